"""Read-out of the trained model."""

from typing import Annotated, Literal

from pydantic import Field

from ngpipe.config.base import Count, Fraction, Section, unit


class Recovery(Section):
    """Reading connectivity, functions and types from a trained model, without the truth."""

    n_types: Count | None = Field(
        None, description="Number of neuron types. Null: estimated from the phi* curves."
    )
    max_types: Annotated[int, Field(ge=2, json_schema_extra=unit("1"))] = Field(
        40, description="Largest number of types considered when it is estimated."
    )
    min_separation: Fraction = Field(
        0.5,
        description="Mean silhouette below which all neurons count as one type.",
    )
    psi_gauge: Literal["saturation", "columns"] = Field(
        "saturation",
        description="Rule that fixes the scale of each psi*, which the data leave open. "
        "'saturation': values at the two ends of its visited range differ by 2. 'columns': this "
        "holds only for the flattest psi*, and the weights of all others get the same robust "
        "scale; for functions that do not saturate within the data.",
    )
    false_discovery: Fraction = Field(
        0.05,
        description="Expected fraction of absent connections among those called present.",
    )
    visited: Fraction = Field(
        0.99,
        description="Central fraction of a neuron's activity that counts as its visited range.",
    )
    grid: Annotated[int, Field(ge=16, json_schema_extra=unit("1"))] = Field(
        401, description="Number of activities at which phi* and psi* are tabulated."
    )
    input_frames: Count = Field(
        250,
        description="Number of evenly spaced frames at which a learned input is tabulated.",
        json_schema_extra=unit("frames"),
    )


class Rollout(Section):
    """Prediction of activity from one held-out frame on."""

    n_frames: Count = Field(
        1_000,
        description="Number of frames predicted from the first held-out frame on.",
        json_schema_extra=unit("frames"),
    )
    at: tuple[Count, ...] = Field(
        (400, 800),
        description="Frames after the start at which the prediction is scored.",
        json_schema_extra=unit("frames"),
    )

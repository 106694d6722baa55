"""How the trained model is read out."""

from typing import Annotated, Literal

from pydantic import Field

from ngpipe.config.base import Count, Fraction, Section, unit


class Recovery(Section):
    """Reading connectivity, functions and types from a trained model, without the truth."""

    n_types: Count | None = Field(
        None, description="Number of neuron types. Null: found from the phi* curves."
    )
    max_types: Annotated[int, Field(ge=2, json_schema_extra=unit("1"))] = Field(
        40, description="Most types considered when their number is to be found."
    )
    min_separation: Fraction = Field(
        0.5,
        description="Mean silhouette below which the neurons are taken to be of one type.",
    )
    psi_gauge: Literal["saturation", "columns"] = Field(
        "saturation",
        description="What fixes the scale of each psi*, which the data leave open: 'saturation' "
        "makes half the difference between the ends of its visited range 1; 'columns' does so for "
        "the flattest psi* only and gives the weights of all the others the same robust scale: for "
        "functions that do not saturate where there is data.",
    )
    false_discovery: Fraction = Field(
        0.05,
        description="Expected share of connections called present that are absent.",
    )
    visited: Fraction = Field(
        0.99,
        description="Central share of a neuron's activity that counts as its visited range.",
    )
    grid: Annotated[int, Field(ge=16, json_schema_extra=unit("1"))] = Field(
        401, description="Activities at which phi* and psi* are tabulated."
    )
    input_frames: Count = Field(
        250,
        description="Evenly spaced frames at which a learned input is tabulated.",
        json_schema_extra=unit("frames"),
    )


class Rollout(Section):
    """Prediction of activity from one held-out frame on."""

    n_frames: Count = Field(
        1_000,
        description="Frames predicted from the first held-out frame.",
        json_schema_extra=unit("frames"),
    )
    at: tuple[Count, ...] = Field(
        (400, 800),
        description="Frames after the start at which the prediction is scored.",
        json_schema_extra=unit("frames"),
    )

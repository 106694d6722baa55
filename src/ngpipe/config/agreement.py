"""Comparison of an estimate with a known connectome: what both systems that have one share."""

from typing import Annotated

from pydantic import Field, field_validator

from ngpipe.config.base import Count, Section, Seed, unit
from ngpipe.config.nulls import NullName
from ngpipe.config.wiring import Wiring

Hops = Annotated[int, Field(ge=1, le=8, json_schema_extra=unit("synapses"))]


class Agreement(Section):
    """Measures of agreement, each against nulls of the connectome."""

    nulls: tuple[NullName, ...] = Field(
        ("degree_and_reciprocity",),
        description="Names of the nulls to compare with. `distance` and "
        "`degree_and_distance` need positions of the neurons. Empty: none.",
    )
    draws: Count = Field(
        200,
        description="Number of samples of each null. With fewer than 39 no p-value can be 0.05 or "
        "less.",
    )
    hops: tuple[Hops, ...] = Field(
        (1,),
        min_length=1,
        description="Compare with single connections (1), or with all paths of up to so many "
        "synapses.",
        json_schema_extra=unit("synapses"),
    )
    seed: Seed = Field(0, description="Seed of the nulls.")

    @field_validator("nulls", "hops")
    @classmethod
    def _each_once(cls, given: tuple[object, ...]) -> tuple[object, ...]:
        if len(set(given)) < len(given):
            raise ValueError(f"{list(given)} names one twice; name each once")
        return given


class CompareWith(Agreement):
    """A known connectome of the recorded neurons, which recovered W is compared with."""

    connectome: Wiring = Field(
        description="The connectome; its neurons are matched with those of the recording by id. "
        "Names of the worm may be those of any usual file: VB1, AWCOFF."
    )

"""Motif counts of a circuit and of nulls: section `motifs`."""

from typing import Annotated

from pydantic import Field, field_validator

from ngpipe.config.base import Count, Section, Seed, unit
from ngpipe.config.circuit.nulls import SWEEPS, CircuitNull
from ngpipe.config.nulls import NullName


class Motifs(Section):
    """Patterns of connections, counted in the connectome and in nulls."""

    nulls: tuple[CircuitNull, ...] = Field(
        ("erdos_renyi", "degree", "degree_and_reciprocity"),
        description="Names of the nulls to compare with. Empty: none.",
    )
    samples: Annotated[int, Field(ge=2, json_schema_extra=unit("1"))] = Field(
        100,
        description="Number of samples of each null. With fewer than 39 no p-value can be "
        "0.05 or less.",
    )
    sweeps: Count | None = Field(None, description=SWEEPS)
    seed: Seed = Field(0, description="Seed of the samples.")

    @field_validator("nulls")
    @classmethod
    def _names_each_once(cls, nulls: tuple[NullName, ...]) -> tuple[NullName, ...]:
        if len(set(nulls)) < len(nulls):
            raise ValueError("a null is named twice; name each once")
        return nulls

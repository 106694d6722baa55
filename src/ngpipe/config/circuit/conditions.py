"""Connectomes to compare with the observed one: section `conditions`."""

from typing import Literal

from pydantic import Field, model_validator

from ngpipe.config.base import Count, Section
from ngpipe.config.circuit.nulls import SWEEPS, CircuitNull
from ngpipe.config.nulls import exchanging


class Condition(Section):
    """A connectome to compare with the observed one: shuffled, ablated, or both in this order."""

    shuffle: CircuitNull | None = Field(
        None, description="Kind of shuffle, one of the nulls. Without a value: not shuffled."
    )
    remove: Literal["random", "weaker", "stronger", "both"] | None = Field(
        None, description="Direction of each reciprocal pair to remove. Null: none."
    )
    match: Literal["count", "weight", "degree"] | None = Field(
        None,
        description="Make a control: instead of what `remove` says, remove connections that are "
        "not reciprocal, with the same number, the same summed weight, or at the same neurons. "
        "Null: no control.",
    )

    sweeps: Count | None = Field(None, description=SWEEPS)

    @model_validator(mode="after")
    def _does_something(self) -> "Condition":
        if self.shuffle is None and self.remove is None:
            raise ValueError("a condition needs `shuffle`, `remove` or both")
        if self.match is not None and self.remove is None:
            raise ValueError("`match` needs `remove`, which says how much is taken")
        if self.sweeps is not None and self.shuffle not in exchanging():
            raise ValueError(f"`sweeps` needs `shuffle` to be one of {', '.join(exchanging())}")
        return self

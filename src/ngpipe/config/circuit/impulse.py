"""The pulse that drives the excitatory neurons: section `impulse`."""

from bisect import bisect_left, bisect_right
from typing import TYPE_CHECKING, Annotated

from pydantic import Field, model_validator

from ngpipe.config.base import Positive, Seconds, unit
from ngpipe.config.parameter_class import parameters

if TYPE_CHECKING:
    import numpy as np


@parameters
class Impulse:
    """A constant input to all excitatory neurons, on from ``start`` to ``end``, both included.

    Raises:
        ArgumentError: a strength that is not positive, a pulse that is never on, or that leaves
            no step after it.
    """

    strength: Positive = Field(10.0, description="Input while the pulse is on.")
    """[1]"""
    start: Annotated[float, Field(ge=0, json_schema_extra=unit("s"))] = Field(
        1.0, description="Start of the pulse."
    )
    """[s]"""
    end: Seconds = Field(15.0, description="End of the pulse; it is still on at this time.")
    """[s]"""
    duration: Seconds = Field(50.0, description="Duration of the whole run, from rest.")
    """[s], from time 0."""
    dt: Seconds = Field(0.01, description="Time step, at most the time constant.")
    """[s]"""

    @model_validator(mode="after")
    def _leaves_something_to_measure(self) -> "Impulse":
        if self.first > self.last:
            raise ValueError(
                f"the pulse from {self.start:g} to {self.end:g} s is on at none of the "
                f"{self.n_steps} steps of {self.dt:g} s; let it start before it ends and before "
                f"the run does, at {self.duration:g} s"
            )
        if self.last == self.n_steps - 1:
            raise ValueError(
                f"the pulse ends at {self.end:g} s and the run at {self.duration:g} s, which "
                "leaves nothing of the response to measure; raise duration"
            )
        return self

    @property
    def n_steps(self) -> int:
        """Steps of a run, the one at time 0 included."""
        return round(self.duration / self.dt)

    @property
    def times(self) -> "np.ndarray":
        """Time of each step [s], shape ``(time,)``."""
        import numpy as np  # only here: Snakemake reads configs for every job, without numpy

        return np.arange(self.n_steps) * self.dt

    @property
    def first(self) -> int:
        """The first step at which the pulse is on."""
        return bisect_left(range(self.n_steps), self.start, key=lambda step: step * self.dt)

    @property
    def last(self) -> int:
        """The last step at which the pulse is on."""
        return bisect_right(range(self.n_steps), self.end, key=lambda step: step * self.dt) - 1

    def is_on(self, times: "float | np.ndarray") -> "bool | np.ndarray":
        """True at times [s] at which the pulse is on."""
        return (times >= self.start) & (times <= self.end)

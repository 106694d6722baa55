"""The pulse that drives the excitatory neurons, and the times at which they are looked at."""

from dataclasses import dataclass, fields

import numpy as np
from jaxtyping import Bool, Float

from ngpipe.errors import ArgumentError

Times = Float[np.ndarray, " time"]


@dataclass(frozen=True)
class Impulse:
    """A constant input to all excitatory neurons, on from ``start`` to ``end``, both included.

    Raises:
        ArgumentError: a strength that is not positive, a pulse that is never on, or that leaves
            no step after it.
    """

    strength: float = 10.0
    """Input while the pulse is on [1]."""
    start: float = 1.0
    """[s]"""
    end: float = 15.0
    """[s]"""
    duration: float = 50.0
    """Duration of the whole run, from rest at time 0 [s]."""
    dt: float = 0.01
    """Step [s]."""

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if not np.isfinite(value) or (field.name != "start" and value <= 0):
                raise ArgumentError(
                    f"{field.name} of the pulse is {value}, expected a finite number above 0; the "
                    "return to baseline is measured against a positive input"
                )
        on = np.flatnonzero(self.is_on(self.times))
        if not len(on):
            raise ArgumentError(
                f"the pulse from {self.start:g} to {self.end:g} s is on at none of the "
                f"{self.n_steps} steps of {self.dt:g} s; let it start before it ends and before "
                f"the run does, at {self.duration:g} s"
            )
        if on[-1] == self.n_steps - 1:
            raise ArgumentError(
                f"the pulse ends at {self.end:g} s and the run at {self.duration:g} s, which "
                "leaves nothing of the response to measure; raise duration"
            )

    @property
    def n_steps(self) -> int:
        """Steps of a run, the one at time 0 included."""
        return round(self.duration / self.dt)

    @property
    def times(self) -> Times:
        """Time of each step [s]."""
        return np.arange(self.n_steps) * self.dt

    @property
    def first(self) -> int:
        """The first step at which the pulse is on."""
        return int(np.flatnonzero(self.is_on(self.times))[0])

    @property
    def last(self) -> int:
        """The last step at which the pulse is on."""
        return int(np.flatnonzero(self.is_on(self.times))[-1])

    def is_on(self, times: float | Times) -> bool | Bool[np.ndarray, " time"]:
        """True at times [s] at which the pulse is on."""
        return (times >= self.start) & (times <= self.end)

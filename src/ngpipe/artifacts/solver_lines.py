"""Progress of the closed form: part, fraction done, loss reached."""

import time
from collections.abc import Sequence

from ngpipe.artifacts.progress import Lines, duration, say

ROWS = ("W", "hidden input")
"""Stages that go through rows of W; the others go through steps."""


class Told:
    """Lines of text on standard error.

    Args:
        after: parts that follow those which the solver itself counts; each begins with its first
            step.
    """

    def __init__(self, after: Sequence[str]) -> None:
        self.after = list(after)
        self.started, self.counted = time.perf_counter(), 0
        self.way: Lines | None = None

    def seconds(self) -> float:
        """Since the beginning [s]."""
        return round(time.perf_counter() - self.started, 3)

    def begins(self, part: str, number: int, of: int) -> None:
        """A part begins."""
        self.counted, self.way = of, None
        say(f"closed form, part {number} of {of + len(self.after)}: {part}")

    def on_the_way(self, stage: str, done: int, of: int) -> None:
        """A stage is so far; a line now and then."""
        if self.way is None or self.way.description != stage or done <= self.way.n:
            if stage in self.after:
                number, total = self.counted + self.after.index(stage) + 1, len(self.after)
                say(f"closed form, part {number} of {self.counted + total}: {stage}")
            self.way = Lines(of, stage, unit="row" if stage in ROWS else "step")
        self.way.update(done - self.way.n)

    def reached(self, stage: str, **numbers: int | float) -> None:
        """A stage has reached something."""
        self.way = None
        told = ", ".join(f"{name} {_short(value)}" for name, value in numbers.items())
        say(f"closed form: {duration(self.seconds())}, {stage}: {told}")


def _short(value: int | float) -> str:
    """Counts as they are, other numbers with three digits."""
    return str(value) if isinstance(value, int) else f"{value:.3g}"

"""Progress of long steps: a bar on a terminal, lines at growing intervals elsewhere.

Under Snakemake standard error goes through a pipe into a log, so lines it is; and the terminal of
several jobs at a time stays readable.
"""

import sys
import threading
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from tqdm import tqdm

FIRST, GROWTH, LONGEST = 2.0, 1.5, 60.0
"""Seconds before the first line, factor from one interval to the next, longest interval."""
_SILENCED = ContextVar("silenced", default=False)
SILENCE = 10.0
"""Seconds without a word after which a step says that it is still at work."""


class Lines:
    """Progress as lines of text, each a longer time after the one before.

    Args:
        total: units of the whole.
        description: what is done.
        unit: what is counted, in the singular.
        initial: units done before.
        clock: seconds.
    """

    def __init__(
        self,
        total: int,
        description: str,
        *,
        unit: str,
        initial: int = 0,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.total, self.description, self.unit = total, description, unit
        self.n = self.initial = initial
        self.note, self.clock = "", clock
        self.started = clock()
        self.interval, self.due = FIRST, self.started + FIRST

    def __enter__(self) -> "Lines":
        """Begin; says where, if some was done before."""
        if self.initial:
            say(f"{self.description}: goes on at {self.initial}/{self.total} {self.unit}s")
        return self

    def __exit__(self, *_: object) -> None:
        """Say how far it came, and how long it took."""
        self._say(f"{duration(self.clock() - self.started)}")

    def update(self, n: int = 1) -> None:
        """Count ``n`` more units; says so if a line is due."""
        _Said.last = time.monotonic()
        self.n += n
        now = self.clock()
        if now < self.due or self.n >= self.total:
            return
        self.interval = min(GROWTH * self.interval, LONGEST)
        self.due = now + self.interval
        done = self.n - self.initial
        left = (now - self.started) * (self.total - self.n) / done if done else None
        self._say("" if left is None else f"{duration(left)} left")

    def set_postfix_str(self, note: str, *, refresh: bool = False) -> None:
        """Set the end of every line from now on."""
        self.note = note

    def _say(self, time_: str) -> None:
        share = f"{100 * self.n // max(self.total, 1)} %"
        count = f"{self.n}/{self.total} {self.unit}s"
        say(f"{self.description}: " + ", ".join(t for t in (count, share, time_, self.note) if t))


class _Bar(tqdm):
    """A bar that counts as speaking."""

    def update(self, n: float | None = 1) -> bool | None:
        """Count ``n`` more units."""
        _Said.last = time.monotonic()
        return super().update(n)


Bar = Lines | _Bar
"""Either display: a context manager with ``update(n)``, ``n`` and ``set_postfix_str(text)``."""


def progress(total: int, description: str, *, unit: str, initial: int = 0) -> Bar:
    """A progress display on standard error, of the kind that suits it."""
    if _SILENCED.get() or not sys.stderr.isatty():
        return Lines(total, description, unit=unit, initial=initial)
    return _Bar(
        total=total,
        initial=initial,
        desc=description,
        unit=f" {unit}",
        dynamic_ncols=True,
        mininterval=0.2,
        maxinterval=10,
        file=sys.stderr,
    )


def duration(seconds: float) -> str:
    """A time as people say it: 0.4 s, 45 s, 12 min, 1 h 5 min."""
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"


def say(text: str) -> None:
    """A line on standard error, above a bar if there is one."""
    _Said.last = time.monotonic()
    if not _SILENCED.get():
        tqdm.write(text, file=sys.stderr)


@contextmanager
def silenced(silent: bool) -> Iterator[None]:
    """Say nothing inside the block, if so wanted."""
    token = _SILENCED.set(silent)
    try:
        yield
    finally:
        _SILENCED.reset(token)


def say_notes(step: str, notes: Iterable[str], shown: Collection[str]) -> None:
    """Notes of a reader, less those that were shown as warnings."""
    for note in notes:
        if note not in shown:
            say(f"ngpipe {step}: note: {note}")


class _Said:
    """Time of the last output of this process, from which silence counts."""

    last = 0.0


@contextmanager
def alive(name: str) -> Iterator[None]:
    """While a step is silent for long, say at growing intervals that it is still at work."""
    ended, started = threading.Event(), time.monotonic()
    _Said.last = started

    def watch() -> None:
        pause = SILENCE
        while not ended.wait(max(0.1, _Said.last + pause - time.monotonic())):
            now = time.monotonic()
            if now - _Said.last >= pause:
                say(f"{name}: at work, {duration(now - started)} so far")
                pause = min(2 * pause, LONGEST)

    thread = threading.Thread(target=watch, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()

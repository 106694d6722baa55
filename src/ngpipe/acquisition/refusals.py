"""Refusals of recordings from which nothing could be learned, each with a remedy."""

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from ngpipe.acquisition.joined import Joined, Label
from ngpipe.errors import RecordingError

SHOWN = 8
"""Neurons named in a message."""


@dataclass(frozen=True)
class Remedies:
    """Words of remedies: where a recording comes from decides what to change."""

    axes: str = "set source.axes"
    series: str = "name another series in source.series"
    segment: str = "source.segment must name the trial of each frame"
    leave_out: str = "leave them out with source.drop: [{names}]"


@dataclass(frozen=True)
class Subject:
    """Facts of a recording that decide whether it is refused, and the words for that."""

    where: str
    """Name of the recording in messages."""
    labels: Sequence[Label]
    n_frames: int
    segment: Shaped[np.ndarray, " frame"] | None = None
    """Trial of every frame; None: there is but one."""
    remedies: Remedies = field(default_factory=Remedies)


def subject(recording: Joined) -> Subject:
    """What is looked at of a recording from files."""
    where = ", ".join(str(s.path) for s in recording.sessions)
    return Subject(where, recording.labels, recording.n_frames, recording.segment)


def check_shape(recording: Subject) -> None:
    """Refuse a recording that is all but certainly turned round, or too short.

    Raises:
        RecordingError: more neurons than frames, no neuron, or a trial for each frame.
    """
    n, frames, where = len(recording.labels), recording.n_frames, recording.where
    if n == 0:
        raise RecordingError(f"{where}: source.drop leaves no neuron; drop fewer")
    if n >= frames:
        raise RecordingError(
            f"{where}: {n} neurons and {frames} frames; expected more frames than neurons. If the "
            f"axes are exchanged, {recording.remedies.axes}; if not, the recording is too short to "
            "say anything of W"
        )
    if recording.segment is not None and len(set(recording.segment.tolist())) > frames // 2:
        raise RecordingError(
            f"{where}: {len(set(recording.segment.tolist()))} trials in {frames} frames, so hardly "
            f"two frames follow one another; {recording.remedies.segment}"
        )


@dataclass
class Tally:
    """Numbers about every neuron, gathered block by block.

    Attributes:
        n: number of neurons.
    """

    n: int
    finite: Int[np.ndarray, " neuron"] = field(init=False)
    low: Float[np.ndarray, " neuron"] = field(init=False)
    high: Float[np.ndarray, " neuron"] = field(init=False)
    rising: Bool[np.ndarray, " neuron"] = field(init=False)
    """Whole numbers that only ever rise, as numbers of frames do."""
    marks: Float[np.ndarray, "mark neuron"] = field(init=False)
    """Weighted sums of the values: equal of equal neurons."""
    _last: Float[np.ndarray, " neuron"] | None = field(init=False, default=None)
    _frames: int = field(init=False, default=0)

    def __post_init__(self) -> None:
        self.finite = np.zeros(self.n, dtype=np.int64)
        self.low, self.high = np.full(self.n, np.inf), np.full(self.n, -np.inf)
        self.rising = np.ones(self.n, dtype=bool)
        self.marks = np.zeros((2, self.n))

    def add(self, block: Float[np.ndarray, "frame neuron"]) -> None:
        """Count some further frames."""
        known = np.isfinite(block)
        self.finite += known.sum(axis=0)
        self.low = np.minimum(self.low, np.where(known, block, np.inf).min(axis=0))
        self.high = np.maximum(self.high, np.where(known, block, -np.inf).max(axis=0))
        before = block[:1] if self._last is None else self._last[None]
        steps = np.diff(np.concatenate([before, block]), axis=0)[self._last is None :]
        self.rising &= (steps >= 1).all(axis=0) & (block == np.round(block)).all(axis=0)
        frames = self._frames + np.arange(len(block))
        weights = np.stack([np.cos(frames), np.sin(0.7 * frames)])
        # One order of additions for all neurons, so that equal ones get equal marks.
        filled = np.where(known, block, 0).astype(np.float64)
        self.marks += np.einsum("kt,tn->kn", weights, filled)
        self._last, self._frames = block[-1], self._frames + len(block)


def check_values(tally: Tally, recording: Subject) -> None:
    """Refuse neurons of which nothing can be learned, and numbers that are no activity.

    Raises:
        RecordingError: naming the neurons.
    """
    if tally.rising.all():
        raise RecordingError(
            f"{recording.where}: all values are whole numbers that rise from frame to frame, as "
            f"indices or times do, expected activity; {recording.remedies.series}"
        )
    empty = tally.finite == 0
    if empty.any():
        raise _leave_out(recording, empty, "have no value at any frame")
    still = tally.low == tally.high
    if still.any():
        what = f"never change (the first is {tally.low[still][0]:g} throughout)"
        raise _leave_out(recording, still, what)
    twins = _twins(tally)
    if twins.any():
        raise _leave_out(
            recording, twins, "repeat the activity of an earlier neuron, value by value"
        )


def _twins(tally: Tally) -> Bool[np.ndarray, " neuron"]:
    """Neurons that are the same as an earlier one in every number that was gathered."""
    rows = np.column_stack([tally.marks.T, tally.low, tally.high, tally.finite])
    _, first = np.unique(rows, axis=0, return_index=True)
    found = np.ones(tally.n, dtype=bool)
    found[first] = False
    return found


def _leave_out(recording: Subject, which: Bool[np.ndarray, " neuron"], what: str) -> RecordingError:
    names = [recording.labels[k] for k in np.flatnonzero(which).tolist()]
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    listed = ", ".join(map(str, names[:SHOWN]))
    remedy = recording.remedies.leave_out.format(names=", ".join(map(str, names)))
    return RecordingError(
        f"{recording.where}: {len(names)} neurons {what}, so nothing can be learned about them: "
        f"{listed}{more}; {remedy}"
    )

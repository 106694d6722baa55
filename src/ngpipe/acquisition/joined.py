"""Sessions of one experiment, joined by the labels of their neurons."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Float, Int, Shaped

from ngpipe.acquisition.series import Series
from ngpipe.config.assembly.source import Recorded
from ngpipe.errors import RecordingError, did_you_mean

AGREE = 0.01
"""Share by which sampling rates of sessions may differ."""

Label = str | int


@dataclass(frozen=True)
class Joined:
    """All sessions as one recording, whose frames follow one another, session after session."""

    sessions: tuple[Series, ...]
    labels: tuple[Label, ...]
    """Neurons of any session, without those that are left out; numbers where files name none."""
    columns: tuple[Int[np.ndarray, " _"], ...]
    """Of each session, the columns of its series that are used."""
    places: tuple[Int[np.ndarray, " _"], ...]
    """And the neuron, an index into ``labels``, that each of them is."""
    rate: float
    """Frames per second [Hz]."""
    tau: float
    """Unit of time [s]."""

    @property
    def n_frames(self) -> int:
        """Frames of all sessions."""
        return sum(s.n_frames for s in self.sessions)

    @property
    def dt(self) -> float:
        """Time from frame to frame [tau]."""
        return 1 / (self.rate * self.tau)

    @cached_property
    def time(self) -> Float[np.ndarray, " frame"]:
        """Time of every frame [tau]; it starts anew in each session that has no clock."""
        parts = (
            np.arange(s.n_frames) / self.rate if s.times is None else s.times for s in self.sessions
        )
        return np.concatenate(list(parts)) / self.tau

    @cached_property
    def session(self) -> Int[np.ndarray, " frame"]:
        """Session of every frame, from 0."""
        return np.repeat(np.arange(len(self.sessions)), [s.n_frames for s in self.sessions])

    @property
    def segment(self) -> Shaped[np.ndarray, " frame"] | None:
        """Trial of every frame, told apart from those of other sessions; None: there is but one."""
        several = len(self.sessions) > 1
        if all(s.segments is None for s in self.sessions):
            return self.session if several else None
        words = [
            [f"{k}:{name}" if several else str(name) for name in s.segments.tolist()]
            if s.segments is not None
            else [str(k)] * s.n_frames
            for k, s in enumerate(self.sessions)
        ]
        return np.array([word for part in words for word in part])

    @property
    def named(self) -> bool:
        """True if neurons have names."""
        return all(s.labels is not None for s in self.sessions)

    @property
    def position(self) -> Float[np.ndarray, "neuron axis"] | None:
        """Positions of the neurons, of the last session that has them; None: not of all."""
        known = [s.positions for s in self.sessions if s.positions is not None]
        if not known:
            return None
        found = np.full((len(self.labels), known[0].shape[1]), np.nan)
        for series, columns, places in zip(self.sessions, self.columns, self.places, strict=True):
            if series.positions is not None:
                found[places] = series.positions[columns]
        return found if np.isfinite(found).all() else None

    def blocks(self, length: int) -> Iterator[tuple[int, Float[np.ndarray, "frame neuron"]]]:
        """All frames, some at a time, with the number of the first; NaN: not in this session."""
        first = 0
        for series, columns, places in zip(self.sessions, self.columns, self.places, strict=True):
            for start in range(0, series.n_frames, length):
                stop = min(start + length, series.n_frames)
                block = np.full((stop - start, len(self.labels)), np.nan, dtype=np.float32)
                block[:, places] = series.block(start, stop)[:, columns]
                yield first + start, block
            first += series.n_frames


def joined(sessions: Sequence[Series], source: Recorded) -> Joined:
    """Join sessions by the labels of their neurons.

    Raises:
        RecordingError: sessions without labels have another number of neurons, sessions number
            their cells each by itself, labels are repeated, rates differ or are not known, or a
            neuron to be left out is not there.
    """
    rate = _common_rate(sessions, source)
    names = [_labels(series) for series in sessions]
    if any(s.labels is None for s in sessions) and len({len(n) for n in names}) > 1:
        sizes = [len(n) for n in names]
        raise RecordingError(
            f"source.files: the sessions have {sizes} neurons and not all of them name theirs, so "
            "it is not known which is which; name the variable with their names in source.labels"
        )
    if len(sessions) > 1 and (own := [s for s in sessions if s.numbered]):
        raise RecordingError(
            f"source.files: {own[0].path} numbers its cells by itself, so its {names[0][0]} is not "
            "that of another session; match the cells of the sessions, write the matched activity "
            "with their names, for example as .npz, or make an experiment of each session"
        )
    every = list(dict.fromkeys(label for found in names for label in found))
    dropped = _dropped(source.drop, every)
    kept = [label for label in every if label not in dropped]
    index = {label: k for k, label in enumerate(kept)}
    columns = [np.flatnonzero([n in index for n in found]) for found in names]
    places = [np.array([index[n] for n in found if n in index], dtype=int) for found in names]
    return Joined(tuple(sessions), tuple(kept), tuple(columns), tuple(places), rate, source.tau)


def _labels(series: Series) -> list[Label]:
    if series.labels is None:
        return list(range(series.n_neurons))
    names = list(series.labels)
    if len(set(names)) == len(names):
        return [*names]
    twice = [n for n in dict.fromkeys(names) if names.count(n) > 1]
    raise RecordingError(
        f"{series.path}: the labels {twice[:6]} name several neurons each ({len(twice)} such "
        "labels); give every neuron its own, or set source.labels to another variable"
    )


def _dropped(drop: Sequence[Label], every: Sequence[Label]) -> set[Label]:
    written = {str(label): label for label in every}
    absent = [d for d in drop if str(d) not in written]
    if absent:
        near = did_you_mean(absent[0], written)
        raise RecordingError(
            f"source.drop: no neuron is called {absent[0]!r}{near}; the recording has {len(every)} "
            f"neurons, {', '.join(list(written)[:6])}, ...; correct the name, or take it out"
        )
    return {written[str(d)] for d in drop}


def _common_rate(sessions: Sequence[Series], source: Recorded) -> float:
    rates = [_rate(series, source) for series in sessions]
    if max(rates) - min(rates) > AGREE * max(rates):
        listed = ", ".join(f"{s.path}: {r:g} Hz" for s, r in zip(sessions, rates, strict=True))
        raise RecordingError(
            f"source.files: the sessions have different rates ({listed}), but a recording has one; "
            "make an experiment of each"
        )
    return float(np.median(rates))


def _rate(series: Series, source: Recorded) -> float:
    """Frames per second: of the file, of its times, or of the config.

    Raises:
        RecordingError: it is said by nobody, twice and not alike, or by times that fall.
    """
    found = series.rate
    if series.times is not None:
        found = _rate_of(series.times, series)
    if found is None and source.rate is None:
        raise RecordingError(
            f"{series.path} gives neither times nor a rate of its {series.n_frames} frames; set "
            "source.rate [Hz], or source.time to the variable with the times"
        )
    if found is None or source.rate is None:
        return float(found or source.rate or 0)
    if abs(found - source.rate) > AGREE * found:
        raise RecordingError(
            f"source.rate is {source.rate:g} Hz, but the frames of {series.path} come at "
            f"{found:g} Hz; leave source.rate out, or correct it"
        )
    return float(found)


def _rate_of(times: Float[np.ndarray, " frame"], series: Series) -> float:
    steps = np.diff(times)
    bad = np.flatnonzero(~(steps > 0))
    if series.segments is not None:  # time may begin anew in each trial
        bad = bad[series.segments[bad] == series.segments[bad + 1]]
    if len(bad) or len(steps) == 0:
        at = f"at frame {bad[0]} it goes on by {steps[bad[0]]:g} s" if len(bad) else "one frame"
        raise RecordingError(
            f"{series.path}: its times do not rise throughout ({at}; {len(bad)} such places); put "
            "the frames in order, or name the trials in source.segment"
        )
    return 1 / float(np.median(steps[steps > 0]))

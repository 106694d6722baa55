"""What a file of activity holds, and the series that a config makes of it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float, Int, Shaped

from ngpipe.acquisition.formats.chunked import Chunked, by_frames
from ngpipe.acquisition.formats.naming import TIMES, means
from ngpipe.acquisition.series import Series
from ngpipe.config.assembly.source import Recorded
from ngpipe.errors import RecordingError, did_you_mean

SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "min": 60.0}
NUMBERS = "biuf"
"""Kinds of array that can be activity."""

Axis = Literal[0, 1]
AXES: tuple[str, str] = ("time_neuron", "neuron_time")
"""Values of ``source.axes``, by the axis that is time."""


@dataclass(frozen=True)
class Candidate:
    """An array that could be activity, and what its file says of it."""

    name: str
    values: Chunked
    """As they are stored, with axes as they are stored."""
    time_axis: Axis | None = None
    """The axis that is time, if the file says so."""
    convert: Callable[[np.ndarray], np.ndarray] | None = None
    """Stored values (frame, neuron) -> values in :attr:`units`; None: they are the same."""
    keep: Int[np.ndarray, " kept"] | None = None
    """Neurons that are used, by their number in the file; None: all."""
    units: str | None = None
    rate: float | None = None
    start: float = 0.0
    """Time of the first frame [s], where the file gives a rate."""
    times: Float[np.ndarray, " frame"] | None = None
    labels: tuple[str, ...] | None = None
    """Names of the neurons that are used."""
    numbered: bool = False
    """True if these are numbers that the file's own analysis gave, and no other knows."""
    positions: Float[np.ndarray, "neuron axis"] | None = None
    segments: Shaped[np.ndarray, " frame"] | None = None
    notes: tuple[str, ...] = ()
    own: Mapping[str, Callable[[], np.ndarray]] = field(default_factory=dict)
    """Columns about its neurons alone, which hide those of the file with the same name."""
    columns: tuple[str, ...] | None = None
    """Names of the stored columns, of a table. Those with times, labels or trials are not used."""


@dataclass(frozen=True)
class Trials:
    """Begin and end of each trial [s], on the clock of the activity."""

    start: Float[np.ndarray, " trial"]
    stop: Float[np.ndarray, " trial"]

    def of(self, times: Float[np.ndarray, " frame"], path: Path, name: str) -> np.ndarray:
        """The trial of every frame, in words; frames between two trials are apart from both.

        Raises:
            RecordingError: trials overlap, or hold no frame.
        """
        order = np.argsort(self.start, kind="stable")
        start, stop = self.start[order], self.stop[order]
        over = np.flatnonzero(start[1:] < stop[:-1])
        if len(over):
            k = over[0]
            raise RecordingError(
                f"{path}: trials of '{name}' overlap, the first two from {start[k]:g} to "
                f"{stop[k]:g} s and from {start[k + 1]:g} s on; name another table in "
                "source.segment, or leave it out"
            )
        k = np.searchsorted(start, times, side="right") - 1
        inside = (k >= 0) & (times < stop[k.clip(0)])
        if not inside.any():
            raise RecordingError(
                f"{path}: no frame, from {times[0]:g} to {times[-1]:g} s, lies in a trial of "
                f"'{name}', from {start[0]:g} to {stop[-1]:g} s; correct source.segment"
            )
        number = np.append(order, -1)[k]
        words = np.where(inside, "trial ", "after trial ")
        found = np.char.add(words, number.astype(str))
        return np.where(k < 0, "before the trials", found)


@dataclass(frozen=True)
class Contents:
    """All of a file that could be activity, times, labels or trials; nothing is read before use."""

    path: Path
    candidates: Mapping[str, Callable[[], Candidate]]
    """By name. One that contradicts itself raises a RecordingError when it is looked at."""
    columns: Mapping[str, Callable[[], Shaped[np.ndarray, " entry"]]] = field(default_factory=dict)
    """Arrays of one dimension, by name: times, labels, trials."""
    traces: Mapping[str, Callable[[], Candidate]] = field(default_factory=dict)
    """Series with one value for each sample: no activity, but maybe a stimulus or behaviour."""
    trials: Mapping[str, Callable[[], Trials]] = field(default_factory=dict)
    """Tables of trials, by name."""


def described(contents: Contents, source: Recorded, *, in_order: bool = True) -> Series:
    """The activity that the config names, as it describes it.

    Args:
        contents: of the file.
        source: the section of the config.
        in_order: frames will be read in order, and all of them. False: only some will be read.

    Raises:
        RecordingError: it is not there, or contradicts the config or itself, or nobody says which
            axis is time.
    """
    path = contents.path
    found = _without_columns(chosen(contents, source.series)(), path, source)
    columns = {**contents.columns, **found.own}
    labels = _texts(_column(path, columns, source.labels))
    trials = contents.trials.get(source.segment or "")
    in_table = source.segment if trials is None else None
    times, segments = (_column(path, columns, name) for name in (source.time, in_table))
    if found.labels is not None:
        _refuse_times(found, path, source)
    if times is not None:
        times = seconds(times, path, source.time, source.time_unit)
    axis, reason = _time_axis(found, path, source, (labels, times, segments))
    values = found.values.turned if axis == 1 else found.values
    series = Series(
        path,
        found.name,
        values.shape[0],
        values.shape[1] if found.keep is None else len(found.keep),
        block=_block(values, found, in_order=in_order),
        units=found.units,
        rate=found.rate if times is None else None,
        start=found.start,
        times=found.times if times is None else times,
        labels=found.labels if labels is None else _of_kept(labels, found, values.shape[1]),
        numbered=found.numbered and labels is None,
        positions=found.positions,
        segments=found.segments if segments is None else segments,
        notes=(*found.notes, *reason),
    )
    if trials is not None and source.segment is not None:
        series = _in_trials(series, trials(), source.segment, source.rate)
    _check_lengths(series, source)
    return series


def _in_trials(series: Series, trials: Trials, name: str, rate: float | None) -> Series:
    """The same with the trial of each frame from a table of trials."""
    times, rate = series.times, series.rate or rate
    if times is None:
        if rate is None:
            raise RecordingError(
                f"{series.path} gives neither times nor a rate of its frames, so it is not known "
                f"which of them lie in the trials of '{name}'; set source.rate"
            )
        times = series.start + np.arange(series.n_frames) / rate
    return replace(series, segments=trials.of(times, series.path, name))


def chosen(contents: Contents, name: str | None) -> Callable[[], Candidate]:
    """The series that the config names, or the only one.

    Raises:
        RecordingError: there is none, or it is not said which one of several.
    """
    path, known = contents.path, list(contents.candidates)
    if name is not None:
        if (one := contents.candidates.get(name)) is not None:
            return one
        raise RecordingError(
            f"{path} has no series '{name}', but {known}"
            f"{did_you_mean(name, known)}; set source.series to one of them"
        )
    if len(known) == 1:
        return contents.candidates[known[0]]
    raise RecordingError(
        f"{path} holds {f'several series, {known}' if known else 'no array of time and neurons'}; "
        + ("set source.series to the one with the activity" if known else "name another file")
    )


def _without_columns(found: Candidate, path: Path, source: Recorded) -> Candidate:
    """A table without the columns that say something of its rows, which tell what rows are."""
    if found.columns is None:
        return found
    of_frames = [c for c in (source.time, source.segment) if c is not None]
    if of_frames and source.labels is not None:
        raise RecordingError(
            f"{path}: source.labels names a column, so rows would be neurons, and so do "
            f"{of_frames}, so rows would be frames; of a table whose columns are neurons the "
            "header names them: leave source.labels out"
        )
    used = {*of_frames, source.labels}
    kept = [k for k, name in enumerate(found.columns) if name not in used]
    if not kept:
        raise RecordingError(
            f"{path}: no column of numbers is left for the activity; correct source.time, "
            "source.labels and source.segment"
        )
    axis: Axis | None = 0 if of_frames else 1 if source.labels is not None else found.time_axis
    frames_down = axis == 0 or source.axes == AXES[0]
    names = tuple(found.columns[k].rpartition("/")[2] for k in kept)
    whole = found.values
    return replace(
        found,
        values=Chunked(
            (whole.shape[0], len(kept)),
            whole.dtype,
            lambda r, c: whole.read(r, slice(None))[:, kept][:, c],
        ),
        time_axis=axis,
        labels=names if frames_down else None,
        columns=tuple(found.columns[k] for k in kept),
    )


def _refuse_times(found: Candidate, path: Path, source: Recorded) -> None:
    """Refuse a column among the neurons that is called time and rises as time does.

    Raises:
        RecordingError: naming it.
    """
    for k, name in enumerate(found.columns or ()):
        if not means(name, TIMES) or name in source.drop:
            continue
        if (np.diff(found.values.read(slice(None), slice(k, k + 1))[:, 0]) > 0).all():
            raise RecordingError(
                f"{path}: column '{name}' would be taken for a neuron, but it rises throughout, as "
                f"times do; set source.time: {name}, or leave it out with source.drop: [{name}]"
            )


def seconds(
    values: Shaped[np.ndarray, " frame"], path: Path, name: str | None, unit: str
) -> Float[np.ndarray, " frame"]:
    """Times in seconds; of dates, since the first.

    Raises:
        RecordingError: they are no times, or some are missing.
    """
    if values.dtype.kind == "M":
        values = values - values[:1]
    if values.dtype.kind == "m":
        found = values.astype("timedelta64[ns]").astype(np.float64) / 1e9
        found = np.where(np.isnat(values), np.nan, found)
    elif values.dtype.kind in "iuf":
        found = values.astype(np.float64) * SECONDS[unit]
    else:
        raise RecordingError(
            f"{path}: '{name}' holds {values.dtype} such as {values[:1].tolist()}, expected the "
            "time of each frame, a number or a date; set source.time to another variable"
        )
    if not np.isfinite(found).all():
        at = int(np.flatnonzero(~np.isfinite(found))[0])
        raise RecordingError(
            f"{path}: '{name}' has no time for frame {at}; complete the times, or leave out the "
            "frames without one"
        )
    return found


def _time_axis(
    found: Candidate, path: Path, source: Recorded, given: tuple
) -> tuple[Axis, tuple[str, ...]]:
    """The axis that is time, and, where the file itself does not say it, why."""
    asked = None if source.axes is None else AXES.index(source.axes)
    if asked is not None and found.time_axis not in (None, asked):
        raise RecordingError(
            f"{path}: source.axes is {source.axes}, but the file says that '{found.name}' "
            f"{found.values.shape} is {AXES[found.time_axis or 0]}; leave source.axes out"
        )
    if found.time_axis is not None:
        return found.time_axis, ()
    if asked is not None:
        return (1 if asked else 0), ()
    labels, times, segments = (None if g is None else len(g) for g in given)
    labels = labels if labels is not None or found.labels is None else len(found.labels)
    shape = found.values.shape
    fits = [
        axis
        for axis in (0, 1)
        if labels in (None, shape[1 - axis])
        and times in (None, shape[axis])
        and segments in (None, shape[axis])
    ]
    if len(fits) == 1:
        said = " and ".join(
            f"{n:,} {what}"
            for n, what in ((labels, "labels"), (times, "times"), (segments, "trials"))
            if n is not None
        )
        axis = fits[0]
        reason = f"'{found.name}' {shape} is read as {AXES[axis]}, as there are {said}"
        return (1 if axis else 0), (reason,)
    raise RecordingError(
        f"{path}: '{found.name}' has shape {shape}, and the file does not say which axis is time; "
        "set source.axes to time_neuron or neuron_time"
    )


def _block(
    values: Chunked, found: Candidate, *, in_order: bool
) -> Callable[[int, int], np.ndarray]:
    raw = by_frames(values if in_order else replace(values, chunks=None))

    def block(start: int, stop: int) -> np.ndarray:
        part = converted(found, raw(start, stop))
        return part if part.dtype.kind == "f" else part.astype(np.float32)

    return block


def converted(found: Candidate, part: np.ndarray) -> np.ndarray:
    """Stored values (frame, neuron) -> those of the neurons that are used, in their unit."""
    part = part if found.convert is None else found.convert(part)
    return part if found.keep is None else part[:, found.keep]


def _of_kept(labels: tuple[str, ...], found: Candidate, n: int) -> tuple[str, ...]:
    """Labels of the neurons that are used, given those of all or of these."""
    if found.keep is None or len(labels) != n:
        return labels
    return tuple(labels[k] for k in found.keep)


def _check_lengths(series: Series, source: Recorded) -> None:
    """Refuse labels, times and trials of another number than neurons and frames."""
    for given, n, what, key, name in (
        (series.labels, series.n_neurons, "neurons", "labels", source.labels),
        (series.times, series.n_frames, "frames", "time", source.time),
        (series.segments, series.n_frames, "frames", "segment", source.segment),
    ):
        if given is not None and len(given) != n:
            raise RecordingError(
                f"{series.path}: '{name or key}' has {len(given)} entries for the {n} {what} of "
                f"'{series.name}'; set source.{key} to another variable"
                + (", or source.axes if the axes are exchanged" if source.axes else "")
            )


def _column(path: Path, columns: Mapping[str, Callable], name: str | None) -> np.ndarray | None:
    if name is None:
        return None
    if name not in columns:
        raise RecordingError(
            f"{path} has no array '{name}' of one dimension, but {list(columns)}"
            f"{did_you_mean(name, columns)}; correct the name in the section source"
        )
    return np.asarray(columns[name]()).ravel()


def _texts(values: np.ndarray | None) -> tuple[str, ...] | None:
    return None if values is None else texts(values)


def texts(values: np.ndarray) -> tuple[str, ...]:
    """Labels as text, of numbers, bytes, or words that lie letter by letter."""
    return tuple(_text(one) for one in values)


def _text(one: object) -> str:
    if isinstance(one, bytes):
        return one.decode()
    if isinstance(one, (list, tuple, np.ndarray)):
        return "".join(_text(letter) for letter in one)
    if isinstance(one, float | np.floating) and float(one).is_integer():
        return str(int(one))
    return str(one)

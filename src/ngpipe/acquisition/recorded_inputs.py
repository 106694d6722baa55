"""Stimuli and behaviour: series of any format, sampled at the frames of the activity."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float

from ngpipe.acquisition.formats import table
from ngpipe.acquisition.formats.chunked import in_memory
from ngpipe.acquisition.formats.contents import NUMBERS, Candidate, Contents, described
from ngpipe.acquisition.joined import Joined
from ngpipe.acquisition.series import Series
from ngpipe.config.assembly.source import Recorded, RecordedInput
from ngpipe.errors import RecordingError, did_you_mean

APART = 0.5
"""Part of a frame by which the time of a sample may differ from that of its frame."""

Values = Float[np.ndarray, "frame input"]


@dataclass(frozen=True)
class Sampled:
    """Inputs at every frame of a recording."""

    values: Values
    """Each in its own unit; NaN where there is none."""
    names: tuple[str, ...]
    units: tuple[str, ...]
    notes: tuple[str, ...]
    """Sentences on how they were sampled."""


@dataclass(frozen=True)
class _Trace:
    """One series of one session."""

    values: Float[np.ndarray, "sample column"]
    times: Float[np.ndarray, " sample"] | None
    """In seconds, on the clock of the activity; None: nobody says them."""
    columns: tuple[str, ...]
    units: str | None


def sampled(inputs: Sequence[RecordedInput], recording: Joined) -> Sampled:
    """Read all inputs, and sample them at the frames of the activity.

    Args:
        inputs: `source.inputs` of the config.
        recording: all sessions of the activity.

    Raises:
        RecordingError: a series is not there, has no times, no unit, or no value at any frame, or
            two inputs have one name.
    """
    values: list[Values] = []
    names: list[str] = []
    units: list[str] = []
    notes: list[str] = []
    for cfg in inputs:
        paths = _paths(cfg, recording)
        traces = [_read(path, cfg) for path in paths]
        named, unit = _names(traces, cfg, paths[0]), _unit(traces, cfg, paths[0])
        pairs = zip(traces, recording.sessions, strict=True)
        at_frames = np.concatenate([_at_frames(t, s, recording.rate, cfg) for t, s in pairs])
        notes.append(_told(at_frames, named, traces, cfg))
        values.append(at_frames)
        names += named
        units += [unit] * len(named)
    twice = [name for name in dict.fromkeys(names) if names.count(name) > 1]
    if twice:
        raise RecordingError(
            f"source.inputs: {twice} name several inputs each; give each a name of its own"
        )
    return Sampled(np.concatenate(values, axis=1), tuple(names), tuple(units), tuple(notes))


def _paths(cfg: RecordedInput, recording: Joined) -> list[Path]:
    """A file for every session."""
    if not cfg.files:
        return [series.path for series in recording.sessions]
    if len(cfg.files) != len(recording.sessions):
        raise RecordingError(
            f"source.inputs: {len(cfg.files)} files for {len(recording.sessions)} sessions, "
            "expected one for each of source.files, in their order; leave files out if the input "
            "is in the files of the activity"
        )
    return [Path(file) for file in cfg.files]


def _read(path: Path, cfg: RecordedInput) -> _Trace:
    """The series that the config names, with the columns that it names."""
    keys = {name: getattr(cfg, name) for name in ("series", "axes", "time", "time_unit")}
    source = Recorded(files=(str(path),), **keys)
    try:
        with table.reads(path) as contents:
            series = described(_with_traces(contents, cfg.series), source)
            values = np.asarray(series.block(0, series.n_frames), dtype=np.float64)
    except RecordingError as error:
        raise RecordingError(
            f"source.inputs: {error} (here the keys of source.inputs are meant)"
        ) from error
    columns = series.labels or tuple(map(str, range(series.n_neurons)))
    chosen = _columns(columns, cfg, path)
    return _Trace(
        values[:, chosen], _times(series, cfg), tuple(columns[k] for k in chosen), series.units
    )


def _with_traces(contents: Contents, name: str | None) -> Contents:
    """With what has one value for each sample, if that is what is asked for."""
    if name is None or name in contents.candidates:
        return contents
    if (trace := contents.traces.get(name)) is not None:
        return replace(contents, candidates={name: trace})
    if name in contents.columns:
        column = np.asarray(contents.columns[name]()).ravel()
        if column.dtype.kind not in NUMBERS:
            raise RecordingError(
                f"{contents.path}: '{name}' holds {column.dtype}, expected numbers; write words "
                "as numbers, such as 0 and 1"
            )
        one = Candidate(name, in_memory(column[:, None]), time_axis=0)
        return replace(contents, candidates={name: lambda: one})
    known = [*contents.candidates, *contents.traces, *contents.columns]
    raise RecordingError(
        f"{contents.path} has no series '{name}'{did_you_mean(name, known)}, but "
        f"{', '.join(known[:12])}; correct series"
    )


def _columns(known: Sequence[str], cfg: RecordedInput, path: Path) -> list[int]:
    if cfg.columns is None:
        return list(range(len(known)))
    absent = [name for name in cfg.columns if name not in known]
    if absent:
        raise RecordingError(
            f"source.inputs: {path} has no column {absent}{did_you_mean(absent[0], known)}, but "
            f"{list(known)[:12]}; correct columns"
        )
    return [known.index(name) for name in cfg.columns]


def _times(series: Series, cfg: RecordedInput) -> Float[np.ndarray, " sample"] | None:
    """Times of the samples [s]: their own, or by their rate.

    Raises:
        RecordingError: they do not rise.
    """
    times, rate = series.times, cfg.rate or series.rate
    if times is None:
        return None if rate is None else series.start + np.arange(series.n_frames) / rate
    if (np.diff(times) <= 0).any():
        at = int(np.flatnonzero(np.diff(times) <= 0)[0])
        raise RecordingError(
            f"source.inputs: the times of '{series.name}' in {series.path} do not rise: "
            f"{times[at]:g} s, then {times[at + 1]:g} s; put the samples in order"
        )
    return times


def _names(traces: Sequence[_Trace], cfg: RecordedInput, path: Path) -> list[str]:
    """A name for every column, the same in all sessions."""
    columns = traces[0].columns
    if any(trace.columns != columns for trace in traces):
        raise RecordingError(
            f"source.inputs: the sessions have different columns, {columns} and "
            f"{next(t.columns for t in traces if t.columns != columns)}; name those wanted in "
            "columns"
        )
    own = cfg.name or (cfg.series or path.stem).removesuffix("/data").rpartition("/")[2]
    if len(columns) == 1 and (cfg.name or cfg.columns is None):
        return [own]
    return [f"{own}.{column}" for column in columns]


def _unit(traces: Sequence[_Trace], cfg: RecordedInput, path: Path) -> str:
    found = cfg.units or traces[0].units
    if found is None:
        raise RecordingError(
            f"source.inputs: {path} does not say the unit of '{cfg.name or cfg.series}'; set "
            "units, such as cm/s, or 1 if it has none"
        )
    return found


def _at_frames(trace: _Trace, session: Series, rate: float, cfg: RecordedInput) -> Values:
    """Values at the frames of one session.

    Raises:
        RecordingError: samples are not those of the frames, and the config does not say how to
            sample them; or nobody says their times.
    """
    frames = session.times
    if frames is None:
        frames = session.start + np.arange(session.n_frames) / rate
    name, times = cfg.name or cfg.series or "the input", trace.times
    if cfg.between is None:
        same = len(trace.values) == len(frames)
        if same and times is not None:
            same = bool(np.abs(times - frames).max() < APART / rate)
        if not same:
            own = "no times" if times is None else f"times from {times[0]:g} to {times[-1]:g} s"
            raise RecordingError(
                f"source.inputs: '{name}' has {len(trace.values)} samples with {own} for "
                f"{len(frames)} frames from {frames[0]:g} to {frames[-1]:g} s in {session.path}; "
                "set between: held or linear, which says what it is between two samples"
            )
        return trace.values
    if times is None:
        raise RecordingError(
            f"source.inputs: nobody says the times of the samples of '{name}'; set rate [Hz], or "
            "time to the variable with the times"
        )
    return _between(trace.values, times, frames, cfg.between, 1e-6 / rate)


def _between(
    values: Float[np.ndarray, "sample column"],
    times: Float[np.ndarray, " sample"],
    frames: Float[np.ndarray, " frame"],
    between: str,
    rounding: float,
) -> Values:
    """Held: of the last sample until then. Linear: mixed from the samples around."""
    if between == "linear":
        inside = [np.interp(frames, times, v, left=np.nan, right=np.nan) for v in values.T]
        return np.stack(inside, axis=1)
    last = np.searchsorted(times, frames + rounding, side="right") - 1
    found = values[last.clip(0)]
    found[last < 0] = np.nan
    return found


def _told(
    values: Values, names: Sequence[str], traces: Sequence[_Trace], cfg: RecordedInput
) -> str:
    """How an input was sampled, and at how many frames it has no value.

    Raises:
        RecordingError: it has none at all.
    """
    absent = ~np.isfinite(values).all(axis=1)
    text = f"input {', '.join(names)}: "
    if absent.all():
        raise RecordingError(
            f"source.inputs: {', '.join(names)} has no value at any frame; its times must be on "
            "the clock of the activity, in seconds after time_unit"
        )
    if cfg.between is None:
        text += "a sample at each frame"
    else:
        steps = np.concatenate([np.diff(t.times) for t in traces if t.times is not None])
        apart = f"{np.median(steps):.4g} s apart, at most {steps.max():.4g} s" if len(steps) else ""
        text += f"{cfg.between} between samples {apart}"
    if absent.any():
        text += f"; {absent.sum():,} frames have no value and are not trained on"
    return text

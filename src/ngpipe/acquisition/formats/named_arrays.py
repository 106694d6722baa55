"""A series made of named arrays: what formats without a convention of their own have in common."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from ngpipe.acquisition.series import Series
from ngpipe.config.assembly.source import Recorded
from ngpipe.errors import RecordingError, did_you_mean

_SECONDS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "min": 60.0}


def series_of(path: Path, arrays: Mapping[str, np.ndarray], source: Recorded) -> Series:
    """A series of arrays that say nothing of themselves: the config says what they are.

    Raises:
        RecordingError: there is no such array, or it is not known which axis is time.
    """
    name = chosen(path, [n for n, a in arrays.items() if a.ndim == 2], source)
    values = arrays[name]
    if source.axes == "neuron_time":
        values = values.T
    elif source.axes is None:
        raise RecordingError(
            f"{path}: {name or 'its array'} has shape {values.shape}, and the file does not say "
            "which axis is time; set source.axes to time_neuron or neuron_time"
        )
    times, labels = (_named(path, arrays, key) for key in (source.time, source.labels))
    return Series(
        path,
        name,
        n_frames=values.shape[0],
        n_neurons=values.shape[1],
        block=lambda start, stop: np.asarray(values[start:stop]),
        times=None if times is None else times.astype(np.float64) * _SECONDS[source.time_unit],
        labels=None if labels is None else tuple(map(str, labels)),
        segments=_named(path, arrays, source.segment),
    )


def chosen(path: Path, known: list[str], source: Recorded) -> str:
    """The series that the config names, or the only one.

    Raises:
        RecordingError: there is none, or it is not said which one of several.
    """
    if source.series is not None:
        if source.series in known:
            return source.series
        raise RecordingError(
            f"{path} has no series '{source.series}', but {known}"
            f"{did_you_mean(source.series, known)}; set source.series to one of them"
        )
    if len(known) == 1:
        return known[0]
    raise RecordingError(
        f"{path} holds {f'several series, {known}' if known else 'no array of time and neurons'}; "
        + ("set source.series to the one with the activity" if known else "name another file")
    )


def _named(path: Path, arrays: Mapping[str, np.ndarray], name: str | None) -> np.ndarray | None:
    if name is None:
        return None
    if name not in arrays:
        raise RecordingError(
            f"{path} has no array '{name}', but {list(arrays)}{did_you_mean(name, arrays)}; "
            "correct the name in the section source"
        )
    return arrays[name].ravel()

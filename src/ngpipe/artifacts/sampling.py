"""Times of frames: `dt`, `time` and `segment` of a recording, checked against one another.

Reads no activity, and imports no torch.
"""

from numbers import Real
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Bool, Float

from ngpipe.config.assembly.source import JITTER, WIDE_JITTER
from ngpipe.errors import StoreError

AGREE = 0.01
"""Share of dt by which the typical spacing of `time` may differ from it: rounding."""

Breaks = Bool[np.ndarray, " pair"]
"""Breaks between frames k and k + 1: true where they are not dt apart."""


def interval(dataset: xr.Dataset, path: Path) -> float:
    """Time from one frame to the next [the unit of `time`].

    Raises:
        StoreError: the attribute `dt` is absent or no positive number.
    """
    given = dataset.attrs.get("dt")
    beside = ""
    if "time" in dataset.coords and len(dataset["time"]) > 1:
        beside = f"; the typical spacing of its `time` is {typical(dataset['time'], path):g}"
    if given is None:
        raise StoreError(
            f"{path} does not say its sampling interval; set the store's attribute `dt` [tau]"
            + beside
        )
    number = isinstance(given, Real) and not isinstance(given, bool | np.bool_)
    if not number or not np.isfinite(given) or given <= 0:
        raise StoreError(
            f"{path}: its attribute `dt` is {given!r}, expected one positive number, the time from "
            f"one frame to the next in the unit of `time` (seconds, if that is a date){beside}; "
            "correct it"
        )
    return float(given)


def breaks(dataset: xr.Dataset, path: Path) -> Breaks:
    """Breaks of a recording: gaps in `time`, and changes of `segment` or `session`.

    Raises:
        StoreError: `dt` and `time` do not agree, or `time` is uneven by more than gaps.
    """
    dt, n = interval(dataset, path), dataset.sizes["time"]
    found = np.zeros(max(0, n - 1), dtype=bool)
    for name in ("segment", "session"):
        if name in dataset:
            found |= _changes(dataset[name], path)
    own = _measured(dataset, path)
    if "time" in dataset.coords:
        jitter = float(dataset.attrs.get("jitter", WIDE_JITTER if own else JITTER))
        found |= _gaps(dataset["time"], found, dt, jitter, path, own=own)
    return found


def steps(dataset: xr.Dataset, path: Path) -> Float[np.ndarray, " frame"] | None:
    """Time from each frame to the next [the unit of `time`]; None: all are dt apart.

    The last of a stretch has no next one; its number means nothing.

    Raises:
        StoreError: the attribute `intervals` is none that there is, or there is no `time`.
    """
    if not _measured(dataset, path):
        return None
    return np.append(_spacings(dataset["time"], path)[0], interval(dataset, path))


def spread(dataset: xr.Dataset, path: Path) -> tuple[float, float, float] | None:
    """Least, typical and longest time between frames of a stretch; None: all are dt apart."""
    found = steps(dataset, path)
    if found is None:
        return None
    inside = found[:-1][~breaks(dataset, path)]
    return float(inside.min()), float(np.median(inside)), float(inside.max())


def _measured(dataset: xr.Dataset, path: Path) -> bool:
    """True if frames come at intervals of their own."""
    said = dataset.attrs.get("intervals", "even")
    if said not in ("even", "measured"):
        raise StoreError(
            f"{path}: its attribute `intervals` is {said!r}, expected 'even' or 'measured'; "
            "correct it"
        )
    if said == "measured" and "time" not in dataset.coords:
        raise StoreError(
            f"{path}: its attribute `intervals` is 'measured', but it has no `time` of its frames; "
            "add the time of each frame, or leave the attribute out"
        )
    return said == "measured"


def _changes(segment: xr.DataArray, path: Path) -> Breaks:
    absent = np.flatnonzero(pd.isna(segment.values))
    if len(absent):
        raise StoreError(
            f"{path}: `{segment.name}` has no value at {len(absent)} frames, the first of them "
            f"frame {absent[0]}; name the {segment.name} of every frame, by numbers or words"
        )
    return segment.values[1:] != segment.values[:-1]


def _gaps(
    time: xr.DataArray, known: Breaks, dt: float, jitter: float, path: Path, *, own: bool
) -> Breaks:
    """Spacings longer than dt; inside a segment each must be as long as dt at least.

    Where frames have intervals of their own, shorter ones are gaps too, but times must rise.
    """
    spacing, precision = _spacings(time, path)
    inside = spacing[~known]
    if len(inside) == 0:
        return known
    typical = float(np.median(inside))
    if not abs(typical - dt) <= AGREE * dt + precision:
        raise StoreError(
            f"{path}: its attribute `dt` is {dt:g}, but its `time` goes on by {typical:g} from "
            "frame to frame (median; seconds, if it is a date); correct whichever is wrong, and "
            "give both in one unit"
        )
    wrong = spacing <= 0 if own else spacing < (1 - jitter) * dt - precision
    short = np.flatnonzero(~known & wrong)
    if len(short):
        raise StoreError(
            f"{path}: `time` goes on by {spacing[short[0]]:g} from frame {short[0]} to the next, "
            f"where `dt` is {dt:g} ({len(short)} such places); put the frames in order and on an "
            "even grid, or, where a trial begins, say so by a coordinate `segment` over time; if "
            "frames really come at uneven times, set source.intervals: measured"
        )
    gaps = spacing > (1 + jitter) * dt + precision
    return gaps | (spacing < (1 - jitter) * dt - precision) if own else gaps


def typical(time: xr.DataArray, path: Path) -> float:
    """Median time between two frames, of dates in seconds.

    Raises:
        StoreError: a frame without a time, or something else than times.
    """
    return float(np.median(_spacings(time, path)[0]))


def _spacings(time: xr.DataArray, path: Path) -> tuple[Float[np.ndarray, " pair"], float]:
    """Time between frames, dates in seconds, and how exactly the numbers can tell it."""
    values = time.values
    absent = np.flatnonzero(pd.isna(values))
    if values.dtype.kind not in "iufmM" or len(absent):
        what = f"no value at frame {absent[0]}" if len(absent) else f"values like {values[0]!r}"
        raise StoreError(
            f"{path}: `time` has {what} (type {values.dtype}), expected a number, a time since the "
            "start or a date for every frame; correct it, or leave `time` out if frames are `dt` "
            "apart"
        )
    if values.dtype.kind in "mM":
        seconds = np.diff(values).astype("timedelta64[ns]").astype(np.float64) / 1e9
        return seconds, 2 * _tick(values)
    if values.dtype.kind == "f":
        precision = 4 * float(np.spacing(np.abs(values).max()))
        return np.diff(values.astype(np.float64)), precision
    return np.diff(values.astype(np.float64)), 0.0


def _tick(values: np.ndarray) -> float:
    """Smallest step of a date [s]."""
    unit, count = np.datetime_data(values.dtype)
    step = np.array(count, dtype=f"timedelta64[{unit}]")
    return float(step / np.timedelta64(1, "ns")) / 1e9

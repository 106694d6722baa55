"""Stretches of a recording on the time axis: gaps stay gaps, long ones and restarts are cut."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import xarray as xr
from jaxtyping import Float
from matplotlib.axes import Axes

JITTER = 0.05
"""Fraction of the typical interval by which one may be longer and still be no gap."""
LONGEST_GAP = 0.1
"""A gap longer than this fraction of the recorded time is cut."""
BREAK = 0.025
"""Width of a cut, as a fraction of the recorded time."""


@dataclass(frozen=True)
class Stretch:
    """Frames without a gap, and where they stand on the axis."""

    frames: slice
    time: Float[np.ndarray, " frame"]
    """Place of every frame on the axis [the unit of the axis]."""
    cut: bool
    """True if the axis is cut before it."""


def stretches(dataset: xr.Dataset, n_frames: int, unit: float = 1.0) -> list[Stretch]:
    """Stretches of the first frames of a recording, laid out along an axis of time.

    A stretch ends where `segment` or `session` changes, and where `time` goes on by more than
    usual or starts again. A short gap stays as wide as it is; before a long one, and where time
    starts again, the axis is cut.

    Args:
        dataset: with a dimension `time`, and its coordinates as far as there are any.
        n_frames: of how many frames.
        unit: of time on the axis, as a multiple of that of the dataset.
    """
    time, known = _times(dataset, n_frames)
    spacing = np.diff(time)
    inside = spacing[~known]
    typical = float(np.median(inside)) if inside.size else 1.0
    jitter = float(dataset.attrs.get("jitter", JITTER))
    broken = known | (spacing > (1 + jitter) * typical) | (spacing <= 0)
    starts = [0, *(np.flatnonzero(broken) + 1).tolist(), len(time)]
    recorded = typical * len(time)
    found, shift = [], -float(time[0]) if spacing.size and (spacing < 0).any() else 0.0
    for start, stop in pairwise(starts):
        gap = spacing[start - 1] - typical if start else 0.0
        cut = bool(start) and not -typical / 2 <= gap <= LONGEST_GAP * recorded
        if cut:
            shift += BREAK * recorded - gap
        found.append(Stretch(slice(start, stop), unit * (time[start:stop] + shift), cut))
    return found


def _times(dataset: xr.Dataset, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Times of the first frames, and the breaks that trials and sessions make."""
    known = np.zeros(max(0, n - 1), dtype=bool)
    for name in ("segment", "session"):
        if name in dataset.variables:
            labels = dataset[name].values[:n]
            known |= labels[1:] != labels[:-1]
    if "time" not in dataset.variables:
        return float(dataset.attrs.get("dt", 1.0)) * np.arange(n), known
    time = dataset["time"].values[:n]
    if time.dtype.kind in "mM":
        return (time - time[0]) / np.timedelta64(1, "s"), known
    return time.astype(np.float64), known


def mark_cuts(ax: Axes, shown: list[Stretch]) -> None:
    """A pale band with a pair of strokes on the axis wherever it is cut."""
    for before, after in pairwise(shown):
        if not after.cut:
            continue
        ends = before.time[-1], after.time[0]
        ax.axvspan(*ends, color="0.93", linewidth=0, zorder=0)
        stroke = {"marker": [(-0.4, -1), (0.4, 1)], "markersize": 6, "color": "k", "mew": 0.6}
        look = {"linestyle": "none", "clip_on": False, "transform": ax.get_xaxis_transform()}
        ax.plot(ends, [0, 0], **stroke, **look)

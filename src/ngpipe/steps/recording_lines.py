"""What `ngpipe inspect` says of a recording: each series in it, and how a config reads it."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import xarray as xr

from ngpipe import ownership
from ngpipe.acquisition.formats import table
from ngpipe.acquisition.series import Series
from ngpipe.acquisition.suggestions import Suggestion, files_as, is_uneven, suggested
from ngpipe.config.assembly.source import JITTER, WIDE_JITTER
from ngpipe.errors import NgpipeError

LOOKED = 2000
"""Frames that are looked at."""
SHOWN = 4
"""Neurons of which a trace is shown."""
WIDTH = 48
_BARS = "▁▂▃▄▅▆▇█"


def is_recording(path: Path) -> bool:
    """True of what could be a recording of the user's own; not of results of ngpipe."""
    if ownership.recorded_key(ownership.manifest_path(path)) is not None:
        return False
    return any(one.fits(path) for one in table.FORMATS.values())


def lines(path: Path, looks: dict[str, xr.DataArray]) -> Iterator[str]:
    """Describe all series of a file.

    Args:
        path: the file or directory.
        looks: gets the first frames of each series that can be drawn.
    """
    try:
        with table.reads(path) as contents:
            found = list(suggested(contents, files_as(path)))
            yield ""
            yield f"  as a recording ({table.name_of(path)}): " + (
                f"{len(found)} series" if found else "no array of time and neurons"
            )
            for one in found:
                yield from _described(one, looks)
    except NgpipeError as error:
        yield ""
        yield f"  as a recording it cannot be read: {error}"


def _described(one: Suggestion, looks: dict[str, xr.DataArray]) -> Iterator[str]:
    yield ""
    yield f"  {one.name}"
    if one.trouble:
        yield f"    cannot be used: {one.trouble}"
        return
    if one.series is None:
        yield f"    shape {one.shape}; the file does not say which axis is time"
    else:
        yield from _of_series(one.series)
        yield from _look(one.series, looks)
    yield ""
    if one.missing:
        yield f"    for a config, with {', '.join(one.missing)} filled in:"
    else:
        yield "    for a config:"
    yield ""
    yield from (f"      {line}" for line in one.section().splitlines())
    yield "      training: {target: finite_difference}"


def _of_series(series: Series) -> Iterator[str]:
    yield f"    {series.n_frames:,} frames of {series.n_neurons:,} neurons"
    yield f"    rate: {_rate(series)}"
    yield f"    units: {series.units or 'not said'}"
    if series.labels is not None:
        more = ", ..." if len(series.labels) > 6 else ""
        yield f"    labels: {', '.join(series.labels[:6])}{more}"
    if series.positions is not None:
        yield f"    positions: {series.positions.shape[1]} numbers for each neuron"
    if series.segments is not None:
        yield f"    trials: {len(set(series.segments.tolist()))}"
    yield from (f"    note: {note}" for note in series.notes)


def _rate(series: Series) -> str:
    """The rate, how long the recording is, and how many gaps it has."""
    if series.times is None:
        if series.rate is None:
            return "not said"
        return f"{series.rate:.6g} Hz, {series.n_frames / series.rate:.4g} s in all, no gaps"
    steps = np.diff(series.times)
    usual = float(np.median(steps)) if len(steps) else float("nan")
    if not usual > 0:
        return "not known: the times do not rise"
    uneven = is_uneven(series)
    long = steps > (1 + (WIDE_JITTER if uneven else JITTER)) * usual
    gaps = steps[long]
    several = f"{len(gaps)} gaps, the longest" if len(gaps) > 1 else "one gap, of"
    told = f"{several} {gaps.max():.4g} s" if len(gaps) else "no gaps"
    span = series.times[-1] - series.times[0]
    by = f"{1 / usual:.6g} Hz by the times of the frames"
    if uneven:
        inside = steps[~long & (steps > 0)]
        by += f", whose intervals differ: {inside.min():.4g} to {inside.max():.4g} s"
    return f"{by}, {span:.4g} s in all, {told}"


def _look(series: Series, looks: dict[str, xr.DataArray]) -> Iterator[str]:
    """Ranges of the first frames, and a trace of the neurons that move most."""
    values = np.asarray(series.block(0, min(LOOKED, series.n_frames)), dtype=np.float64)
    looks[series.name] = _array(series, values, len(looks))
    known = np.isfinite(values)
    if not known.any():
        yield f"    the first {len(values):,} frames hold no value"
        return
    low, middle, high = np.quantile(values[known], [0, 0.5, 1])
    absent = f", {1 - known.mean():.2%} absent" if not known.all() else ""
    yield (
        f"    first {len(values):,} frames: {low:.4g} to {high:.4g}, median {middle:.4g}{absent}"
    )
    pairs = zip(values.T, known.T, strict=True)
    spread = np.array([mine[k].std() if k.any() else 0.0 for mine, k in pairs])
    names = series.labels or tuple(map(str, range(series.n_neurons)))
    for k in np.sort(np.argsort(-spread, kind="stable")[:SHOWN]):
        mine = values[known[:, k], k]
        ends = f"{mine.min():.3g} to {mine.max():.3g}" if len(mine) else "no value"
        yield f"    {names[k][:12]:<12} {sparkline(values[:, k])}  {ends}"


def sparkline(values: np.ndarray) -> str:
    """A trace in one line of text: means of equal stretches, blank where there is no value."""
    parts = np.array_split(values, min(WIDTH, len(values)))
    means = np.array([p[np.isfinite(p)].mean() if np.isfinite(p).any() else np.nan for p in parts])
    known = means[np.isfinite(means)]
    if len(known) == 0:
        return " " * len(means)
    low, span = known.min(), known.max() - known.min() or 1.0
    return "".join(" " if np.isnan(m) else _BARS[min(7, int(8 * (m - low) / span))] for m in means)


def _array(series: Series, values: np.ndarray, k: int) -> xr.DataArray:
    """The first frames over neuron and time, as a quick look draws them; series differ in both."""
    more = f" {k + 1}" if k else ""
    time = np.arange(len(values)) / (series.rate or 1)
    time = time if series.times is None else series.times[: len(values)]
    seconds = series.rate is not None or series.times is not None
    axes = (f"neuron{more}", f"time [s]{more}" if seconds else f"frame{more}")
    return xr.DataArray(
        values.T, {axes[1]: time}, axes, name=series.name, attrs={"units": series.units or "1"}
    )

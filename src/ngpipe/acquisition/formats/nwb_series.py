"""A TimeSeries of NWB, from HDF5 or zarr: its unit, its times, its neurons, its contradictions."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ngpipe.acquisition.formats.chunked import Chunked
from ngpipe.acquisition.formats.contents import Axis, Candidate, texts
from ngpipe.errors import RecordingError

LABELS = ("label", "labels", "name", "names", "roi_name", "roi_names", "cell_name", "neuron_name")
"""Columns of a table of neurons whose text names them, the first that is there."""
_NO_UNIT = {"", "n.a.", "na", "n/a", "none", "unknown", "not available", "no unit"}

Columns = Mapping[str, Callable[[], np.ndarray]]


def one_column(length: int, dtype: np.dtype, read: Callable[[slice], np.ndarray]) -> Chunked:
    """An array of one dimension in a file, as one of a single column."""
    return Chunked((length, 1), dtype, lambda rows, columns: read(rows)[:, None][:, columns])


@dataclass(frozen=True)
class Parts:
    """What an NWB file says of a series."""

    name: str
    """Its path in the file."""
    values: Chunked
    unit: str
    conversion: float = 1.0
    offset: float = 0.0
    channel_conversion: np.ndarray | None = None
    rate: float | None = None
    start: float = 0.0
    """Time of the first frame [s], if there is a rate."""
    times: np.ndarray | None = None
    neurons: Columns | None = None
    """Columns of the table of its ROIs or electrodes, of those that it holds; None: no table."""
    n_neurons: int = 0
    """Number of these ROIs or electrodes."""
    positions: np.ndarray | None = None
    more: Columns = field(default_factory=dict)


def candidate(path: Path, parts: Parts) -> Candidate:
    """A series in its unit: data * conversion * channel_conversion + offset.

    Raises:
        RecordingError: it contradicts itself.
    """
    _check_times(path, parts)
    axis, notes = _time_axis(path, parts)
    if parts.conversion != 1 or parts.offset != 0 or parts.channel_conversion is not None:
        each = "" if parts.channel_conversion is None else " * channel_conversion"
        notes += (f"values are data * {parts.conversion:g}{each} + {parts.offset:g}",)
    unit = None if parts.unit.strip().lower() in _NO_UNIT else parts.unit
    labels, told = _labels(parts)
    return Candidate(
        parts.name,
        parts.values,
        axis,
        convert=_conversion(parts),
        units=unit,
        rate=parts.rate,
        start=parts.start,
        times=parts.times,
        labels=labels,
        positions=parts.positions,
        notes=(*notes, *told),
        own=parts.neurons or {},
    )


def _check_times(path: Path, parts: Parts) -> None:
    named = f"{path}: '{parts.name}'"
    if parts.rate is not None and parts.times is not None:
        raise RecordingError(
            f"{named} has both a rate, {parts.rate:g} Hz, and timestamps; NWB allows one of them. "
            "Delete the one that is wrong, in a copy of the file"
        )
    if parts.rate is not None and not parts.rate > 0:
        raise RecordingError(
            f"{named} has a rate of {parts.rate:g} Hz, expected one above 0; correct it in a copy "
            "of the file, or write timestamps"
        )
    if parts.times is not None and (np.diff(parts.times) <= 0).any():
        at = int(np.flatnonzero(np.diff(parts.times) <= 0)[0])
        raise RecordingError(
            f"{named} has timestamps that do not rise: {parts.times[at]:g} s at frame {at}, then "
            f"{parts.times[at + 1]:g} s; sort the frames in a copy of the file"
        )


def _time_axis(path: Path, parts: Parts) -> tuple[Axis | None, tuple[str, ...]]:
    """The axis that is time, by the number of neurons in the table and of timestamps.

    NWB prescribes (time, neuron), and many files do otherwise without a word. A square array says
    nothing of itself.
    """
    shape = parts.values.shape
    if shape[0] == shape[1]:
        return None, ()
    across = None if parts.neurons is None else parts.n_neurons
    along = None if parts.times is None else len(parts.times)
    fits = [k for k in (0, 1) if across in (None, shape[1 - k]) and along in (None, shape[k])]
    if 0 in fits:
        return 0, ()
    if fits:
        said = [f"{across} neurons"] * (across is not None) + [f"{along} times"] * (
            along is not None
        )
        return 1, (
            f"its shape {shape} is (neuron, time), against the rules of NWB, as there are "
            f"{' and '.join(said)}; it is turned round",
        )
    raise RecordingError(
        f"{path}: '{parts.name}' has shape {shape}, which does not fit "
        + " and ".join(
            text
            for text, n in (
                (f"its table of {across} neurons", across),
                (f"its {along} timestamps", along),
            )
            if n is not None
        )
        + "; correct the table or the data in a copy of the file"
    )


def _conversion(parts: Parts) -> Callable[[np.ndarray], np.ndarray] | None:
    factor, offset = parts.conversion, parts.offset
    if parts.channel_conversion is not None:
        each = np.asarray(parts.channel_conversion, dtype=np.float64) * factor
        return lambda block: block * each + offset
    if factor == 1 and offset == 0:
        return None
    return lambda block: block * np.float64(factor) + offset


def _labels(parts: Parts) -> tuple[tuple[str, ...] | None, tuple[str, ...]]:
    """Names of the neurons: the column of text whose name says so, or the only one of text."""
    columns = parts.neurons or {}
    text = {}
    for name, column in columns.items():
        values = column()
        if values.dtype.kind in "OUST":
            text[name] = texts(values)
    named = [name for name in LABELS if name in text] or [n for n in text if len(text) == 1]
    usable = [name for name in named if any(text[name])]
    if not usable:
        known = f", but it has the columns {list(columns)}" if columns else ""
        return None, ((f"no column names the neurons{known}",) if columns else ())
    return text[usable[0]], (f"neurons are named by the column '{usable[0]}' of their table",)


def joined_letters(values: np.ndarray, ends: np.ndarray) -> np.ndarray | None:
    """Rows of a ragged column: texts that lie letter by letter are joined; None: no texts."""
    if values.dtype.kind not in "OUST":
        return None
    words = texts(values)
    if any(len(word) > 1 for word in words):
        return None
    starts = np.concatenate([[0], ends[:-1]]).astype(int)
    return np.array(["".join(words[a:b]) for a, b in zip(starts, ends.astype(int), strict=True)])


def centres_of_images(
    image: Callable[[int], np.ndarray], n: int, dimensions: int
) -> np.ndarray | None:
    """Centre of mass of each ROI [pixel], of images of its weights.

    Args:
        image: of one ROI; its axes are x, y (and z), as NWB prescribes.
        n: number of ROIs.
        dimensions: of an image.
    """
    if dimensions not in (2, 3):
        return None
    found = np.full((n, dimensions), np.nan)
    for k in range(n):
        weight = np.nan_to_num(np.asarray(image(k), dtype=np.float64))
        if weight.sum() > 0:
            grid = np.indices(weight.shape).reshape(dimensions, -1)
            found[k] = grid @ weight.ravel() / weight.sum()
    return found


def centres(masks: np.ndarray, ends: np.ndarray) -> np.ndarray | None:
    """Centre of mass of each ROI [pixel], of its pixels or voxels with their weights."""
    names = [n for n in ("x", "y", "z") if n in (masks.dtype.names or ())]
    if not names or "weight" not in (masks.dtype.names or ()) or len(ends) == 0:
        return None
    starts = np.concatenate([[0], ends[:-1]]).astype(int)
    weight = masks["weight"].astype(np.float64)
    found = np.full((len(ends), len(names)), np.nan)
    for k, (a, b) in enumerate(zip(starts, ends.astype(int), strict=True)):
        if b > a and weight[a:b].sum() > 0:
            found[k] = [np.average(masks[n][a:b], weights=weight[a:b]) for n in names]
    return found

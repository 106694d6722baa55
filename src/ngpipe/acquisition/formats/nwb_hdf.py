"""NWB files in HDF5, read with pynwb."""

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from ngpipe.acquisition.formats import hdf_files
from ngpipe.acquisition.formats.chunked import Chunked
from ngpipe.acquisition.formats.contents import NUMBERS, Candidate, Contents, Trials, texts
from ngpipe.acquisition.formats.extras import needed
from ngpipe.acquisition.formats.nwb_series import (
    Parts,
    candidate,
    centres,
    centres_of_images,
    joined_letters,
    one_column,
)
from ngpipe.errors import RecordingError

_PICTURES = {"ImageSeries", "OnePhotonSeries", "TwoPhotonSeries", "IndexSeries", "ImageMaskSeries"}
_PICTURES |= {"AnnotationSeries", "IntervalSeries", "OpticalSeries"}
"""Series that hold pictures, numbers of pictures or words."""


@contextmanager
def reads(path: Path) -> Iterator[Contents]:
    """All series over time with several columns, by their paths; the file is closed after use.

    Raises:
        RecordingError: pynwb is not installed, or cannot read the file.
    """
    pynwb = needed("pynwb", path, "nwb")
    with hdf_files.opened(path) as file, warnings.catch_warnings():
        # what pynwb warns of in files is refused or noted below
        warnings.simplefilter("ignore")
        try:
            io = pynwb.NWBHDF5IO(file=file, mode="r", load_namespaces=True)
        except Exception as error:
            raise _unreadable(path, error) from error
        with io:
            try:
                nwb = io.read()
            except Exception as error:
                raise _unreadable(path, error) from error
            everything = list(nwb.objects.values())
            series, single = (
                {_place(io, s): s for s in everything if _usable(s, pynwb, n)} for n in (2, 1)
            )
            yield Contents(
                path,
                {n: (lambda n=n, s=s: _candidate(path, n, s)) for n, s in series.items()},  # type: ignore[misc]
                hdf_files.columns(file),
                {n: (lambda n=n, s=s: _candidate(path, n, s)) for n, s in single.items()},  # type: ignore[misc]
                {
                    _place(io, t): (lambda t=t: _trials(t))  # type: ignore[misc]
                    for t in everything
                    if isinstance(t, pynwb.epoch.TimeIntervals)
                },
            )


def _unreadable(path: Path, error: Exception) -> RecordingError:
    return RecordingError(
        f"{path} cannot be read by pynwb ({type(error).__name__}: {error}); check it with "
        "`pynwb-validate`, and write it again"
    )


def _place(io: Any, series: Any) -> str:  # noqa: ANN401
    """Path of a series in the file."""
    return io.manager.get_builder(series).path.removeprefix("root/")


def _usable(one: Any, pynwb: Any, dimensions: int) -> bool:  # noqa: ANN401
    if not isinstance(one, pynwb.TimeSeries) or type(one).__name__ in _PICTURES:
        return False
    data = one.data
    return len(getattr(data, "shape", ())) == dimensions and data.dtype.kind in NUMBERS


def _candidate(path: Path, name: str, series: Any) -> Candidate:  # noqa: ANN401
    region = getattr(series, "rois", None)
    region = getattr(series, "electrodes", None) if region is None else region
    rows = np.zeros(0, int) if region is None else np.asarray(region.data[:], dtype=int)
    each = getattr(series, "channel_conversion", None)
    rate = series.fields.get("rate")
    parts = Parts(
        name,
        _chunked(series.data),
        str(series.unit),
        float(series.conversion),
        float(series.offset),
        None if each is None else np.asarray(each[:]),
        None if rate is None else float(rate),
        float(series.fields.get("starting_time") or 0.0),
        _timestamps(series),
        None if region is None else _columns(region.table, rows),
        len(rows),
        None if region is None else _positions(region.table, rows),
    )
    found = candidate(path, parts)
    place = Path(series.data.file.filename)
    if place.resolve() == path.resolve():
        return found
    told = (
        f"its values stand in {place}, to which {path.name} links; changes of that file are not "
        "noticed, so import again after one"
    )
    return replace(found, notes=(*found.notes, told))


def _trials(table: Any) -> Trials:  # noqa: ANN401
    start, stop = (np.asarray(table[f"{end}_time"].data[:], float) for end in ("start", "stop"))
    return Trials(start, stop)


def _chunked(data: Any) -> Chunked:  # noqa: ANN401
    if len(data.shape) == 1:
        return one_column(len(data), data.dtype, lambda rows: data[rows])
    return hdf_files.chunked(data)


def _timestamps(series: Any) -> np.ndarray | None:  # noqa: ANN401
    found = series.fields.get("timestamps")
    if found is None:
        return None
    # a series may share the timestamps of another
    found = found.timestamps if hasattr(found, "timestamps") else found
    return np.asarray(found[:], dtype=np.float64)


def _columns(table: Any, rows: np.ndarray) -> Mapping[str, Callable[[], np.ndarray]]:  # noqa: ANN401
    """Columns of the table of neurons with one value each, of the rows of a series."""
    found: dict[str, Callable[[], np.ndarray]] = {"id": lambda: np.asarray(table.id.data[:])[rows]}
    for name in table.colnames:
        column = table[name]
        if hasattr(column, "target"):  # ragged
            ends, held = np.asarray(column.data[:]), column.target.data
            if _kind(held) in "OUST":
                joined = joined_letters(held[:], ends)
                if joined is not None:
                    found[name] = lambda j=joined: j[rows]  # type: ignore[misc]
        elif len(getattr(column.data, "shape", ())) == 1 and _kind(column.data) in "OUSTbiuf":
            found[name] = lambda c=column: _plain(c.data[:])[rows]  # type: ignore[misc]
    return found


def _kind(data: Any) -> str:  # noqa: ANN401
    """Kind of the values of a column; hdmf gives those with fields a list of types."""
    return data.dtype.kind if isinstance(data.dtype, np.dtype) else "V"


def _plain(values: np.ndarray) -> np.ndarray:
    """Texts as texts; objects that are none, such as references, by their names."""
    return np.array(texts(values)) if values.dtype.kind in "OS" else values


def _positions(table: Any, rows: np.ndarray) -> np.ndarray | None:  # noqa: ANN401
    """Centres of ROIs [pixel], or places of electrodes [um]; None: not in the table."""
    for name in ("pixel_mask", "voxel_mask"):
        if name in table.colnames:
            column = table[name]
            found = centres(np.asarray(column.target.data[:]), np.asarray(column.data[:]))
            return None if found is None else found[rows]
    if "image_mask" in table.colnames:
        images = table["image_mask"].data
        return centres_of_images(
            lambda k: images[int(rows[k])], len(rows), len(np.shape(images)) - 1
        )
    places = [name for name in ("x", "y", "z") if name in table.colnames]
    if not places:
        return None
    return np.stack([np.asarray(table[name].data[:], float)[rows] for name in places], axis=1)

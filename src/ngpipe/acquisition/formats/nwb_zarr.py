"""NWB in zarr, as hdmf-zarr lays it out, read without it: it needs an earlier zarr than we do."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ngpipe import opening
from ngpipe.acquisition.formats.chunked import Chunked
from ngpipe.acquisition.formats.contents import NUMBERS, Candidate, Contents, Trials, texts
from ngpipe.acquisition.formats.nwb_series import (
    Parts,
    candidate,
    centres,
    centres_of_images,
    joined_letters,
    one_column,
)
from ngpipe.acquisition.formats.xarray_files import bare

Arrays = Mapping[str, Any]


def fits(path: Path) -> bool:
    """True of a zarr store with NWB in it."""
    return path.is_dir() and "nwb_version" in opening.attributes_of(path)


@contextmanager
def reads(path: Path) -> Iterator[Contents]:
    """All series over time with several columns, by their paths."""
    arrays = opening.arrays_within(path)
    series, single = (
        [
            name.removesuffix("/data")
            for name, one in arrays.items()
            if name.endswith("/data") and len(one.shape) == dimensions
            if np.dtype(one.dtype).kind in NUMBERS and _is_series(path, name.removesuffix("/data"))
        ]
        for dimensions in (2, 1)
    )
    yield Contents(
        path,
        {n: partial(_candidate, path, arrays, n) for n in series},  # type: ignore[misc]
        {n: (lambda a=a: _plain(a)) for n, a in arrays.items() if len(a.shape) == 1},  # type: ignore[misc]
        {n: partial(_candidate, path, arrays, n) for n in single},  # type: ignore[misc]
        {
            n.removesuffix("/start_time"): partial(_trials, arrays, n.removesuffix("/start_time"))
            for n in arrays
            if n.endswith("/start_time") and n.replace("start_time", "stop_time") in arrays
        },
    )


def _is_series(path: Path, name: str) -> bool:
    return str(opening.attributes_of(path / name).get("neurodata_type", "")).endswith("Series")


def _plain(array: Any) -> np.ndarray:  # noqa: ANN401
    values = np.asarray(array[:])
    return np.array(texts(values)) if values.dtype.kind in "OST" else values


def _candidate(path: Path, arrays: Arrays, name: str) -> Candidate:
    links = _links(path, name)

    def part(key: str) -> Any | None:  # noqa: ANN401
        return arrays.get(links.get(key, f"{name}/{key}"))

    data, times, start = part("data"), part("timestamps"), part("starting_time")
    region = part("rois") if part("rois") is not None else part("electrodes")
    about, each = data.attrs, part("channel_conversion")  # type: ignore[union-attr]
    table = None if region is None else str(region.attrs["table"]["value"]["path"]).strip("/")
    rows = np.zeros(0, int) if region is None else np.asarray(region[:], dtype=int)
    rate = None if start is None else start.attrs.get("rate")
    parts = Parts(
        name,
        _chunked(data),
        str(about.get("unit", "")),
        float(about.get("conversion", 1.0)),
        float(about.get("offset", 0.0)),
        None if each is None else np.asarray(each[:]),
        None if rate is None else float(rate),
        0.0 if start is None else float(np.ravel(start[...])[0]),
        None if times is None else np.asarray(times[:], dtype=np.float64),
        None if table is None else _columns(arrays, table, rows),
        len(rows),
        None if table is None else _positions(arrays, table, rows),
    )
    return candidate(path, parts)


def _trials(arrays: Arrays, table: str) -> Trials:
    start, stop = (np.asarray(arrays[f"{table}/{end}_time"][:], float) for end in ("start", "stop"))
    return Trials(start, stop)


def _chunked(data: Any) -> Chunked:  # noqa: ANN401
    if len(data.shape) == 1:
        return one_column(data.shape[0], np.dtype(data.dtype), lambda rows: np.asarray(data[rows]))
    return bare(data)


def _links(path: Path, name: str) -> dict[str, str]:
    """Parts of a series that stand elsewhere in the same store."""
    found = opening.attributes_of(path / name).get("zarr_link", [])
    return {link["name"]: link["path"].strip("/") for link in found if link["source"] == "."}


def _columns(
    arrays: Arrays, table: str, rows: np.ndarray
) -> Mapping[str, Callable[[], np.ndarray]]:
    """Columns of the table of neurons with one value each, of the rows of a series."""
    found: dict[str, Callable[[], np.ndarray]] = {}
    for place, array in arrays.items():
        folder, _, name = place.rpartition("/")
        if folder != table or len(array.shape) != 1 or name.endswith("_index"):
            continue
        if (index := arrays.get(f"{place}_index")) is None:
            found[name] = lambda a=array: _plain(a)[rows]  # type: ignore[misc]
        elif (joined := joined_letters(_plain(array), np.asarray(index[:]))) is not None:
            found[name] = lambda j=joined: j[rows]  # type: ignore[misc]
    return found


def _positions(arrays: Arrays, table: str, rows: np.ndarray) -> np.ndarray | None:
    """Centres of ROIs [pixel], or places of electrodes [um]; None: not in the table."""
    for name in ("pixel_mask", "voxel_mask"):
        if (masks := arrays.get(f"{table}/{name}")) is not None:
            found = centres(masks[:], np.asarray(arrays[f"{table}/{name}_index"][:]))
            return None if found is None else found[rows]
    if (images := arrays.get(f"{table}/image_mask")) is not None:
        return centres_of_images(lambda k: images[int(rows[k])], len(rows), len(images.shape) - 1)
    places = [arrays[f"{table}/{n}"] for n in ("x", "y", "z") if f"{table}/{n}" in arrays]
    return np.stack([np.asarray(p[:], float)[rows] for p in places], axis=1) if places else None

"""Zarr stores and netCDF files of any writer: any names, any order of dimensions."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr

from ngpipe import opening
from ngpipe.acquisition.formats.chunked import Chunked
from ngpipe.acquisition.formats.contents import NUMBERS, SECONDS, Axis, Candidate, Contents, texts
from ngpipe.acquisition.formats.extras import needed
from ngpipe.acquisition.formats.naming import NEURONS, TIMES, TRIALS
from ngpipe.acquisition.formats.numpy_files import is_matrix
from ngpipe.errors import RecordingError, StoreError

_UNITS = {
    **dict.fromkeys(("s", "sec", "secs", "second", "seconds"), SECONDS["s"]),
    **dict.fromkeys(("ms", "msec", "millisecond", "milliseconds"), SECONDS["ms"]),
    **dict.fromkeys(("us", "µs", "μs", "usec", "microsecond", "microseconds"), SECONDS["us"]),
    **dict.fromkeys(("min", "mins", "minute", "minutes"), SECONDS["min"]),
    **dict.fromkeys(("h", "hr", "hour", "hours"), 3600.0),
}


@contextmanager
def zarr_store(path: Path) -> Iterator[Contents]:
    """All variables of a store and its groups; arrays without names of dimensions too."""
    if not path.is_dir():
        raise RecordingError(
            f"{path} is a file, expected a zarr store, which is a directory; unpack it"
        )
    arrays = opening.arrays_within(path)
    candidates: dict[str, Callable[[], Candidate]] = {}
    columns: dict[str, Callable[[], np.ndarray]] = {}
    if "" in arrays:  # the store is one array
        yield Contents(path, {"array": lambda: Candidate("array", bare(arrays[""]))})
        return
    for group in sorted({name.rpartition("/")[0] for name in arrays}):
        try:
            place = path / group if group else path
            dataset = opening.foreign(place) if group else opening.opened(place)
        except (*opening.UNREADABLE, StoreError) as error:
            if "_ARRAY_DIMENSIONS" not in str(error) and "imension" not in str(error):
                raise
            of_group = {n: a for n, a in arrays.items() if n.rpartition("/")[0] == group}
            _add_bare(of_group, candidates, columns)
            continue
        _add(dataset, group, path, candidates, columns)
    yield Contents(path, candidates, columns)


@contextmanager
def netcdf(path: Path) -> Iterator[Contents]:
    """All variables of a file and its groups.

    Raises:
        RecordingError: it is no netCDF file, or a library is missing.
    """
    candidates: dict[str, Callable[[], Candidate]] = {}
    columns: dict[str, Callable[[], np.ndarray]] = {}
    with ExitStack() as stack:
        for group, dataset in _groups(path).items():
            stack.enter_context(dataset)
            _add(dataset, group.strip("/"), path, candidates, columns)
        yield Contents(path, candidates, columns)


def _groups(path: Path) -> Mapping[str, xr.Dataset]:
    options: dict[str, Any] = {"decode_timedelta": False, "cache": False}
    try:
        if "HDF5" not in opening.kind_of_file(path):
            return {"": xr.open_dataset(path, engine="scipy", **options)}
        needed("h5netcdf", path, "hdf")
        return xr.open_groups(path, engine="h5netcdf", **options)
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise RecordingError(
            f"{path} cannot be read as netCDF ({type(error).__name__}: {error}); write it again"
        ) from error


def _add(dataset: xr.Dataset, group: str, path: Path, candidates: dict, columns: dict) -> None:
    for key, variable in dataset.variables.items():
        name = f"{group}/{key}" if group else str(key)
        if variable.ndim == 1:
            columns[name] = lambda v=variable: _values(v)
        elif variable.dtype.kind in NUMBERS and 1 < sum(n > 1 for n in variable.shape) <= 3:
            candidates[name] = lambda n=name, k=str(key): _candidate(dataset, k, n, path)


def _values(variable: xr.Variable) -> np.ndarray:
    values = variable.values
    return np.array(texts(values)) if values.dtype.kind in "OS" else values


def _add_bare(arrays: Mapping[str, Any], candidates: dict, columns: dict) -> None:
    for name, array in arrays.items():
        if len(array.shape) == 1:
            columns[name] = lambda a=array: a[:]
        elif is_matrix(array.shape, array.dtype):
            values = bare(array)
            candidates[name] = lambda n=name, v=values: Candidate(n, v)


def bare(array: Any) -> Chunked:  # noqa: ANN401
    """An array of zarr that stays on disk, undecoded."""
    return Chunked(
        array.shape, np.dtype(array.dtype), lambda r, c: np.asarray(array[r, c]), array.chunks
    )


def _candidate(dataset: xr.Dataset, key: str, name: str, path: Path) -> Candidate:
    array = dataset[key].squeeze(drop=True)
    time, trial = _role(array, _is_time), _role(array, lambda a, d: str(d).lower() in TRIALS)
    if array.ndim == 3:
        array, time = _in_trials(array, time, trial, name, path), "time"
    neurons = _role(array, lambda _, d: str(d).lower() in NEURONS)
    if time is None and neurons is not None:
        time = str(array.dims[1 - array.dims.index(neurons)])
    axis: Axis | None = None if time is None else (1 if array.dims.index(time) else 0)
    times, notes = (None, ()) if time is None else _times(array, time)
    across = None if axis is None else str(array.dims[1 - axis])
    segments = array.attrs.get("_segments")
    return Candidate(
        name,
        array.attrs.get("_chunked") or _chunked(array.variable),
        axis,
        units=array.attrs.get("units"),
        times=times,
        labels=None if across is None else _labels(array, across),
        positions=None,
        segments=segments,
        notes=notes,
    )


def _chunked(variable: xr.Variable) -> Chunked:
    chunks = variable.encoding.get("chunks") or variable.encoding.get("chunksizes")
    chunks = None if chunks is None else tuple(chunks)
    return Chunked(
        variable.shape,  # type: ignore[arg-type]
        variable.dtype,
        lambda r, c: variable[r, c].values,
        chunks if chunks is not None and len(chunks) == 2 else None,
    )


def _role(array: xr.DataArray, fits: Callable[[xr.DataArray, Any], bool]) -> str | None:
    """The one dimension that fits; None: none, or several."""
    found = [str(d) for d in array.dims if fits(array, d)]
    return found[0] if len(found) == 1 else None


def _is_time(array: xr.DataArray, dim: Any) -> bool:  # noqa: ANN401
    """Time by its dates, by what its coordinate says of itself, or by its name."""
    along = [c for c in array.coords.values() if c.dims == (dim,)]
    said = any(
        c.dtype.kind in "mM"
        or c.attrs.get("axis") == "T"
        or c.attrs.get("standard_name") == "time"
        or (c.name == dim and str(c.attrs.get("units", "")).lower() in _UNITS)
        for c in along
    )
    return said or str(dim).lower() in TIMES


def _times(array: xr.DataArray, dim: str) -> tuple[np.ndarray | None, tuple[str, ...]]:
    """Times of the frames [s], or why they are not known."""
    if "_times" in array.attrs:
        return array.attrs["_times"]
    if dim not in array.coords:
        return None, ()
    values = array[dim].values
    if values.dtype.kind in "mM":
        steps = (values - values[:1]).astype("timedelta64[ns]").astype(np.float64) / 1e9
        return steps, ()
    unit = str(array[dim].attrs.get("units", "")).strip()
    if unit.lower() not in _UNITS or values.dtype.kind not in "iuf":
        given = f"the unit {unit!r}" if unit else "no unit of time"
        return None, (
            f"coordinate '{dim}' gives {given}, so it is not used; if it is the time, set "
            f"source.time: {dim} and source.time_unit",
        )
    return values.astype(np.float64) * _UNITS[unit.lower()], ()


def _labels(array: xr.DataArray, dim: str) -> tuple[str, ...] | None:
    """Names of neurons: the coordinate of their dimension, or the only one of text along it."""
    named = [c for c in array.coords.values() if c.dims == (dim,)]
    own = [c for c in named if c.name == dim] or [c for c in named if c.dtype.kind in "OUST"]
    return texts(own[0].values) if len(own) == 1 else None


def _in_trials(
    array: xr.DataArray, time: str | None, trial: str | None, name: str, path: Path
) -> xr.DataArray:
    """Trials of equal length one after the other: (trial, time, neuron) -> (time, neuron).

    Raises:
        RecordingError: it is not known which of three dimensions is what.
    """
    if time is None or trial is None:
        raise RecordingError(
            f"{path}: '{name}' has the dimensions {array.dims}, of which it is not known which are "
            "time and trial; name them so, or store two dimensions"
        )
    (neuron,) = (d for d in array.dims if d not in (time, trial))
    whole = array.transpose(trial, time, neuron)
    k, length, n = whole.shape
    names = whole[trial].values if trial in whole.coords else np.arange(k)
    times, notes = _times(whole, time)

    def read(rows: slice, columns: slice) -> np.ndarray:
        start, stop, _ = rows.indices(k * length)
        first = start // length
        part = whole.variable[first : -(-stop // length), :, columns].values
        return part.reshape(-1, part.shape[2])[start - first * length : stop - first * length]

    labels = {neuron: whole[neuron]} if neuron in whole.coords else {}
    return xr.DataArray(
        np.broadcast_to(np.float32(0), (k * length, n)),
        dims=("time", neuron),
        coords=labels,
        attrs={
            **array.attrs,
            "_chunked": Chunked((k * length, n), whole.dtype, read),
            "_segments": np.repeat(names, length),
            "_times": (None if times is None else np.tile(times, k), notes),
        },
    )

"""Open stores of any writer, with the values their writer meant: zeros as zeros, gaps as gaps.

``store.py`` opens through here; beside it this is the only code that knows zarr.
"""

import asyncio
import hashlib
import json
import os
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import xarray as xr
import zarr
from zarr.abc.store import ByteRequest
from zarr.core.buffer import Buffer, BufferPrototype, default_buffer_prototype
from zarr.storage import LocalStore, WrapperStore

from ngpipe import ownership
from ngpipe.errors import NgpipeWarning, StoreError

UNREADABLE = (OSError, KeyError, ValueError, zarr.errors.BaseZarrError)
"""Errors of zarr and xarray for a directory that is no store, or for damaged metadata."""

_MISSING = ("_FillValue", "missing_value")
_PACKED = ("scale_factor", "add_offset", "_Unsigned")
_MAGIC = {
    b"PK\x03\x04": "a zip archive",
    b"\x89HDF\r\n\x1a\n": "an HDF5 file (netCDF-4, NWB and MATLAB 7.3 are such)",
    b"CDF\x01": "a netCDF file",
    b"CDF\x02": "a netCDF file",
    b"CDF\x05": "a netCDF file",
    b"\x93NUMPY": "a numpy array",
    b"MATLAB 5": "a MATLAB file",
}
_CHUNK = re.compile(r"(?:c[./]?)?((?:\d+[./])*\d+)?")


def kind_of_file(path: Path) -> str:
    """Kind of a file by its first bytes, in words; "a file" if unknown."""
    with Path(path).open("rb") as file:
        head = file.read(8)
    return next((kind for magic, kind in _MAGIC.items() if head.startswith(magic)), "a file")


def opened(path: Path) -> xr.Dataset:
    """Open a store lazily, one of ngpipe against its manifest, any other as its writer meant it.

    Raises:
        StoreError: it is absent, is no zarr store, or is not what its manifest says.
    """
    if not path.is_dir():
        raise StoreError(_no_store(path))
    try:
        return _opened(path)
    except UNREADABLE as error:
        raise StoreError(_unreadable(path, error)) from error


def _opened(path: Path) -> xr.Dataset:
    manifest = ownership.manifest_of(path)
    if manifest is not None and ownership.describes(manifest, path):
        if ownership.CONTENT in manifest:
            return own(path, manifest[ownership.CONTENT])
    elif manifest is not None:
        _refuse_changed(path)
    dataset = foreign(path)
    say_absent(path, dataset)
    return dataset


def _refuse_changed(path: Path) -> None:
    """A store of ngpipe that is not the one its manifest describes; others are merely told."""
    beside = ownership.manifest_path(path)
    if ownership.key_within(path) is not None:
        raise StoreError(
            f"{path} is not the store that {beside} beside it describes: it was changed, or came "
            "from elsewhere. Move both away and run the step that made it again; or, if you want "
            f"this one to be read as it is, move {beside.name} away"
        )
    text = f"{path} is not the store that {beside} beside it describes; it is read as your own"
    warnings.warn(text, NgpipeWarning, stacklevel=4)


def _no_store(path: Path) -> str:
    if path.is_file():
        return (
            f"{path} is {kind_of_file(path)}, expected a zarr store, which is a directory; "
            "write its content with xarray's to_zarr under a name of its own"
        )
    return f"no store at {path}; {ownership.how_to_make(path)}"


def _unreadable(path: Path, error: Exception) -> str:
    reason = f"{type(error).__name__}: {error}"
    if "_ARRAY_DIMENSIONS" in reason or "dimension" in reason:
        remedy = (
            "its arrays need dimension names: the attribute `_ARRAY_DIMENSIONS` in format 2, "
            "`dimension_names` in format 3; xarray's to_zarr writes them"
        )
    else:
        remedy = "move it away or write it again, with xarray's to_zarr if it is your own"
    return f"{path} is not a readable zarr store ({reason}); {remedy}"


def own(path: Path, content: Mapping[str, Sequence]) -> xr.Dataset:
    """Open a store of ngpipe, lazily; every file is held against its digest when it is first read.

    Args:
        path: the store.
        content: size [bytes] and SHA-256 of every file in it, by its path inside.

    Raises:
        StoreError: a file is missing or has another size; in reading, one that was changed.
    """
    short = [name for name, (size, _) in content.items() if _size(path / name) != size]
    if short:
        raise StoreError(
            f"{path} is truncated: {len(short)} of its {len(content)} files are missing or of "
            f"another size, the first is '{short[0]}'; copy it again, or move it away and re-run "
            "the rule that wrote it"
        )
    digests = {name: digest for name, (_, digest) in content.items()}
    return xr.open_zarr(_Checked(path, digests), chunks=None, consolidated=True, zarr_format=2)


def _size(file: Path) -> int:
    return file.stat().st_size if file.exists() else -1


class _Checked(WrapperStore[LocalStore]):
    """A store whose files are compared with their digests, each once; what is lost is an error."""

    def __init__(self, path: Path, digests: Mapping[str, str]) -> None:
        super().__init__(LocalStore(path, read_only=True))
        self._path, self._digests = path, digests
        self._seen: set[str] = set()

    async def get(
        self, key: str, prototype: BufferPrototype, byte_range: ByteRequest | None = None
    ) -> Buffer | None:
        """Read a file, or a part of it."""
        found = await self._store.get(key, prototype, byte_range)
        if key not in self._digests:
            return found
        if found is None:
            raise StoreError(f"{self._path}: '{key}' is gone; {_ANEW}")
        if byte_range is None and key not in self._seen:
            digest = await asyncio.to_thread(hashlib.sha256, found.as_numpy_array().data)
            if digest.hexdigest() != self._digests[key]:
                raise StoreError(
                    f"{self._path}: '{key}' was changed or damaged after ngpipe wrote it (its "
                    f"digest differs); {_ANEW}"
                )
            self._seen.add(key)
        return found


_ANEW = "move the store away and rerun the step that made it"


def foreign(path: Path) -> xr.Dataset:
    """Open a store that others wrote, lazily.

    Consolidated metadata are not believed: they hide what was appended since. The fill value 0 of
    a format-2 array is no missing value, unless an attribute says so: zarr sets it unasked.
    Everything else follows the CF conventions: scale, offset, time units, missing values. Whole
    numbers without scale stay whole if none is missing.

    Raises:
        Exception: one of :data:`UNREADABLE`.
        StoreError: whole numbers too large to be kept exactly beside missing ones.
    """
    with warnings.catch_warnings():
        # Snakemake's time stamp, notes and the like beside the arrays are not our concern.
        warnings.filterwarnings("ignore", message="Object at .* is not recognized")
        raw = xr.open_zarr(_Mended(path), chunks=None, consolidated=False, decode_cf=False)
        attributes = {name: array.attrs for name, array in _arrays(path)}
    variables = {}
    for name in sorted(map(str, raw.variables)):  # the order on disk is no order
        variable = raw.variables[name]
        _declared(variable, attributes.get(name, {}))
        whole = _whole(variable)
        variables[name] = _kept_whole(variable, f"{path}: '{name}'") if whole else variable
    return xr.decode_cf(xr.Dataset(variables, attrs=raw.attrs))


def _arrays(path: Path) -> Iterator[tuple[str, zarr.Array]]:
    return zarr.open_group(_Mended(path), mode="r", use_consolidated=False).arrays()


def _declared(variable: xr.Variable, attributes: Mapping) -> None:
    """Leave out the fill value of a format-2 array where it is 0 and no attribute asks for it."""
    if "_FillValue" in attributes or "_FillValue" not in variable.attrs:
        return
    if variable.dtype.kind not in "mM" and not variable.attrs["_FillValue"]:  # 0, False, ""
        del variable.attrs["_FillValue"]


def _whole(variable: xr.Variable) -> bool:
    """Whole numbers of which some may be missing, and that are neither packed nor dates."""
    attrs = variable.attrs
    return (
        variable.dtype.kind in "iu"
        and any(name in attrs for name in _MISSING)
        and not any(name in attrs for name in _PACKED)
        and " since " not in str(attrs.get("units", ""))
    )


def _kept_whole(variable: xr.Variable, where: str) -> xr.Variable:
    """Drop the mark of missing values if there are none: decoding would give floats."""
    marks = [np.ravel(variable.attrs[name]) for name in _MISSING if name in variable.attrs]
    missing = np.isin(variable.values, np.concatenate(marks))
    if not missing.any():
        attrs = {name: v for name, v in variable.attrs.items() if name not in _MISSING}
        return xr.Variable(variable.dims, variable.values, attrs, variable.encoding)
    largest = np.abs(variable.values[~missing].astype(np.float64)).max(initial=0)
    if largest >= 2**53:
        raise StoreError(
            f"{where} holds whole numbers up to {largest:.0f} and {missing.sum()} missing ones; "
            "with missing ones they cannot be kept exactly, so write them as text"
        )
    return variable


class _Mended(WrapperStore[LocalStore]):
    """A store whose arrays of bytes zarr 3 can open: zarr 2 gave them the fill value 0.

    It stops at the first such array when it lists a group. hdmf-zarr writes dates so.
    """

    def __init__(self, path: Path) -> None:
        super().__init__(LocalStore(path, read_only=True))

    async def get(
        self,
        key: str,
        prototype: BufferPrototype | None = None,
        byte_range: ByteRequest | None = None,
    ) -> Buffer | None:
        """Read a file, or a part of it."""
        prototype = prototype or default_buffer_prototype()
        found = await self._store.get(key, prototype, byte_range)
        if found is None or not key.endswith(".zarray"):
            return found
        about = json.loads(found.to_bytes())
        filters = [one.get("id") for one in about.get("filters") or ()]
        if "vlen-bytes" not in filters or about.get("fill_value") != 0:
            return found
        return prototype.buffer.from_bytes(json.dumps(about | {"fill_value": ""}).encode())


def arrays_within(path: Path) -> dict[str, zarr.Array]:
    """All arrays of a store as they lie on disk, undecoded, by their path inside; "" is the store.

    Arrays that zarr cannot open, such as pickled objects, are left out.

    Raises:
        StoreError: there is no array in it.
    """
    marks = {".zarray", "zarr.json"}
    places = [Path(folder) for folder, _, names in os.walk(path) if marks & set(names)]
    found = {}
    for place in sorted(places):
        # listing the members of a group fails at the first that cannot be opened
        with suppress(TypeError, *UNREADABLE):
            found[place.relative_to(path).as_posix()] = zarr.open_array(_Mended(place), mode="r")
    if not found:
        raise StoreError(
            f"{path} holds no array of zarr that can be read; move it away or write it again, with "
            "xarray's to_zarr if it is your own"
        )
    return {("" if name == "." else name): array for name, array in found.items()}


def attributes_of(path: Path) -> dict[str, Any]:
    """Attributes of a store, or of a group in it; none if there is no such group."""
    try:
        return dict(zarr.open_group(_Mended(path), mode="r", use_consolidated=False).attrs)
    except UNREADABLE:
        return {}


def chunks_held(path: Path) -> dict[str, tuple[int, int]]:
    """Chunks of every array that are there, and that there should be; shards where there are any.

    Zarr reads what is absent as the fill value, without a word.
    """
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Object at .* is not recognized")
        arrays = dict(_arrays(path))
    return {name: _held(path / name, array) for name, array in arrays.items()}


def _held(directory: Path, array: zarr.Array) -> tuple[int, int]:
    sizes = array.shards or array.chunks
    grid = [-(-n // size) for n, size in zip(array.shape, sizes, strict=True)]
    held = sum(_within(name, grid) for name in _files(directory))
    return held, int(np.prod(grid, dtype=int))


def _files(directory: Path) -> Iterator[str]:
    """Paths of all files below a directory; there may be very many."""
    for folder, _, names in os.walk(directory):
        inside = Path(folder).relative_to(directory).as_posix()
        yield from names if inside == "." else (f"{inside}/{name}" for name in names)


def _within(name: str, grid: list[int]) -> bool:
    """Is a file of this name a chunk of the grid? The only one of a scalar is ``0`` or ``c``."""
    found = _CHUNK.fullmatch(name)
    if not found:
        return False
    index = [int(k) for k in re.split("[./]", found[1] or "") if k]
    if not grid:
        return index in ([], [0])
    return len(index) == len(grid) and all(k < n for k, n in zip(index, grid, strict=True))


def say_absent(path: Path, dataset: xr.Dataset) -> None:
    """Warn of chunks that are not there, by variable."""
    for name, (held, expected) in chunks_held(path).items():
        if held < expected and name in dataset.variables:
            warnings.warn(
                f"{path}: {expected - held} of {expected} chunks of '{name}' are absent, because "
                "their writer left out empty ones or a copy is incomplete; they are read as "
                f"{_filling(dataset.variables[name], path, name)}",
                NgpipeWarning,
                stacklevel=2,
            )


def _filling(variable: xr.Variable, path: Path, name: str) -> str:
    array = array_of(zarr.open_group(path, mode="r", use_consolidated=False), name)
    # Format 2 may name no value; zarr then reads zeros.
    fill = np.zeros((), array.dtype) if array.fill_value is None else array.fill_value
    missing = variable.encoding.get("_FillValue")
    if missing is not None and (missing == fill or (missing != missing and fill != fill)):
        return "missing values"
    return repr(np.asarray(fill).item())


def array_of(group: zarr.Group, name: str) -> zarr.Array:
    """A variable of a store.

    Raises:
        StoreError: there is a group of that name.
    """
    found = group[name]
    if not isinstance(found, zarr.Array):
        raise StoreError(f"{group.store_path}: '{name}' is a group, expected an array")
    return found

"""Open, write and check stores; with ``opening`` the only code that knows zarr.

A store is a zarr directory (format 2: readable without warnings by every zarr and xarray) with
CF-like attributes, beside a JSON manifest that says what it holds, what it depends on, how it was
made and what that cost. Both appear whole or not at all: they are written under a temporary name
and renamed.
"""

import json
import os
import shlex
import shutil
import sys
import time
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import xarray as xr
import zarr

from ngpipe import hashing, opening, ownership
from ngpipe.errors import StoreError
from ngpipe.ownership import manifest_path
from ngpipe.provenance import peak_memory_mb, version_of, versions
from ngpipe.schemas.variable import Schema, Variable

if TYPE_CHECKING:
    import dask.array

BLOCK_BYTES = 16 * 2**20
"""Largest chunk of a store: one read of this size is quick and fits any memory."""


@dataclass(frozen=True)
class Provenance:
    """Origin of a result; written into the store's attributes and its manifest."""

    stage: str
    key: str
    config: Mapping[str, object]
    device: str = "cpu"
    notes: Mapping[str, object] = field(default_factory=dict)
    started: float = field(default_factory=time.perf_counter)


def read(path: Path, schema: Mapping[str, Variable]) -> xr.Dataset:
    """Open a store lazily and check it; fail here, by name, rather than later, by shape.

    One of ngpipe is held against the manifest beside it: now that every file is there, and the
    content of each when it is first read. For any other see :func:`ngpipe.opening.foreign`; chunks
    that are not there are told as a warning.

    Raises:
        StoreError: the store is absent, is no zarr store, is not what its manifest says, or does
            not fit ``schema``.
    """
    dataset = opening.opened(Path(path))
    check(dataset, schema, where=path)
    return _with_coordinates(dataset, schema)


def _with_coordinates(dataset: xr.Dataset, schema: Mapping[str, Variable]) -> xr.Dataset:
    """The dataset with labels of dimensions as coordinates, for grouping."""
    return dataset.set_coords([n for n, v in schema.items() if v.coordinate and n in dataset])


def check(dataset: xr.Dataset, schema: Mapping[str, Variable], *, where: object) -> None:
    """Compare a dataset with a schema.

    Raises:
        StoreError: listing everything that is missing or has other dimensions.
    """
    mistakes = []
    for name, variable in schema.items():
        if name not in dataset:
            if variable.required:
                mistakes.append(f"'{name}' is missing")
        elif dataset[name].dims not in (variable.dims, variable.or_dims):
            expected = f"{variable.dims}" + (f" or {variable.or_dims}" if variable.or_dims else "")
            mistakes.append(f"'{name}' has dims {dataset[name].dims}, expected {expected}")
    if mistakes:
        raise StoreError(
            f"{where} does not hold what this step needs:\n  "
            + "\n  ".join(mistakes)
            + f"\nIt holds {sorted(map(str, dataset.data_vars))} over {dict(dataset.sizes)}. "
            "If it is yours, write it with these names and dimensions; if ngpipe wrote it, move it "
            "away and run the step that made it again."
        )


def values(
    dataset: xr.Dataset, name: str, schema: Mapping[str, Variable], *, where: object
) -> np.ndarray:
    """Values of a variable, refused if they are not what the schema says; masks as bool.

    Raises:
        StoreError: naming the first value that is neither 0 nor 1, or not finite.
    """
    found, holds = dataset[name].values, schema[name].holds
    if holds is None or found.dtype == bool:
        return found
    good = np.isin(found, (0, 1)) if holds == "mask" else np.isfinite(found)
    if good.all():
        return found.astype(bool) if holds == "mask" else found
    first = tuple(int(k) for k in np.argwhere(~good)[0])
    place = ", ".join(f"{d} {k}" for d, k in zip(dataset[name].dims, first, strict=True))
    expected = "0 or 1 (or true, false)" if holds == "mask" else "finite numbers"
    raise StoreError(
        f"{where}: '{name}' is {found[first]} at {place}, one of {(~good).sum()} such values; "
        f"expected {expected}. Correct them in the store"
    )


def write(
    dataset: xr.Dataset,
    path: Path,
    schema: Schema,
    provenance: Provenance,
    beside: Iterable[Path] = (),
) -> None:
    """Write a whole dataset, its manifest beside it; both appear complete or not at all.

    ``beside`` names files of the same step whose digests the manifest is to hold as well.
    """
    with writing(dataset, path, schema, provenance, beside):
        pass


@contextmanager
def writing(
    dataset: xr.Dataset,
    path: Path,
    schema: Schema,
    provenance: Provenance,
    beside: Iterable[Path] = (),
) -> Iterator["Blocks"]:
    """Write a store; variables given as :func:`empty` are filled block by block inside.

    The store and its manifest take their final names when the block ends without an error;
    otherwise a previous store stays as it was.
    """
    path = Path(path)
    check(dataset, schema, where=path)
    ownership.claim([path, manifest_path(path)])
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + f".tmp{os.getpid()}")
    try:
        described = _describe(dataset, schema, provenance)
        with zarr.config.set({"array.write_empty_chunks": True}):
            encoding = {name: _encoding(v) for name, v in described.variables.items()}
            described.to_zarr(
                partial,
                mode="w",
                zarr_format=2,
                consolidated=True,
                compute=False,
                encoding=encoding,
            )
            yield Blocks(zarr.open_group(partial, mode="r+", zarr_format=2))
        manifest = _manifest(described, partial, provenance)
        manifest["files"] = {file.name: hashing.file_digest(file) for file in beside}
        write_json(ownership.pending_path(path), manifest)
        replace(partial, path)
        write_manifest(path, manifest)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


class Blocks:
    """The arrays of a store that is being written, filled along their first dimension."""

    def __init__(self, group: zarr.Group) -> None:
        self._group = group

    def put(self, name: str, start: int, block: np.ndarray) -> None:
        """Write ``block`` at index ``start`` of the first dimension of variable ``name``."""
        opening.array_of(self._group, name)[start : start + len(block)] = block


def empty(*shape: int) -> "dask.array.Array":
    """A float32 variable whose values are to come block by block; takes no memory."""
    # Half a second to load, for the steps that write piece by piece alone.
    import dask.array

    return dask.array.empty(shape, dtype="float32", chunks=_chunks(shape, itemsize=4))


def block_length(*trailing: int) -> int:
    """Rows of the first dimension in one chunk of a float32 variable."""
    return max(1, BLOCK_BYTES // (4 * int(np.prod(trailing, dtype=int))))


def write_csv(table: pd.DataFrame, path: Path, *, listed: bool = True) -> None:
    """Write a CSV table, whole or not at all; ``listed`` if a manifest beside it is to name it."""
    with (result if listed else atomic)(path) as partial:
        table.to_csv(partial, index=False, float_format="%.9g")


def read_csv(path: Path, *, text: Collection[str] = ()) -> pd.DataFrame:
    """Read a CSV table; the columns ``text`` stay as they are written.

    Raises:
        StoreError: it is absent or no table.
    """
    if not Path(path).is_file():
        raise StoreError(f"no table at {path}; {ownership.how_to_make(path)}")
    try:
        table = pd.read_csv(path)
        # read again as text: a group may be called NA or 01
        options = {"usecols": lambda name: name in text, "dtype": str, "na_filter": False}
        return table.assign(**pd.read_csv(path, **options)) if text else table
    except (OSError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise StoreError(
            f"{path} is not a readable table ({error}); correct it, or move it away and make it "
            "again"
        ) from error


def write_table(
    table: pd.DataFrame, path: Path, provenance: Provenance, beside: Iterable[Path] = ()
) -> None:
    """Write a CSV table and its manifest; ``beside`` as for :func:`write`."""
    write_csv(table, path)
    manifest = {
        "file": path.name,
        "digest": hashing.file_digest(path),
        "variables": {str(c): {"shape": [len(table)], "dtype": str(table[c].dtype)} for c in table},
        **record(provenance),
        "files": {file.name: hashing.file_digest(file) for file in beside},
    }
    write_manifest(path, manifest)


def write_manifest(path: Path, manifest: Mapping[str, Any]) -> None:
    """Write the manifest of a store, table or picture; what it lists counts as ours from now on."""
    place = path if Path(path).suffix == ".json" else manifest_path(path)
    ownership.claim([place])
    write_json(place, manifest)
    for name in {Path(path).name, *manifest.get("files", ())}:
        ownership.pending_path(place.with_name(name)).unlink(missing_ok=True)


def write_json(path: Path, content: Mapping[str, object]) -> None:
    """Write JSON atomically."""
    with atomic(path) as partial:
        partial.write_text(json.dumps(content, indent=2) + "\n")


def read_json(path: Path) -> dict:
    """Read a JSON manifest.

    Raises:
        StoreError: it is absent or not JSON.
    """
    if not Path(path).is_file():
        raise StoreError(f"no manifest at {path}; {ownership.how_to_make(path)}")
    try:
        return json.loads(Path(path).read_text())
    except (OSError, ValueError) as error:
        raise StoreError(
            f"{path} is not a readable manifest ({error}); move it away and make it again"
        ) from error


def read_manifests(directory: Path) -> dict[str, dict]:
    """Manifests of all results in a directory, by stem; other JSON files are not ours."""
    ours = {"stage", "key", "digest"}
    places = [p for p in sorted(Path(directory).glob("*.json")) if ".tmp" not in p.name]
    found = {path.stem: read_json(path) for path in places}
    return {stem: m for stem, m in found.items() if isinstance(m, dict) and ours <= set(m)}


def digests(directory: Path, stages: Collection[str] | None = None) -> dict[str, str]:
    """Digest of every result in a directory, or of those of some stages, by stem."""
    found = read_manifests(directory)
    return {s: m["digest"] for s, m in found.items() if stages is None or m["stage"] in stages}


@contextmanager
def atomic(path: Path) -> Iterator[Path]:
    """A temporary path that becomes ``path`` when the block ends without an error."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.stem}.tmp{os.getpid()}{path.suffix}")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


@contextmanager
def result(path: Path) -> Iterator[Path]:
    """Like :func:`atomic`, for a file that the manifest of a step lists.

    Raises:
        StoreError: at the path stands what ngpipe did not write.
    """
    ownership.claim([path])
    with atomic(path) as partial:
        yield partial
        pending = {"file": Path(path).name, "digest": hashing.file_digest(partial)}
        write_json(ownership.pending_path(path), pending)


def record(provenance: Provenance) -> dict[str, object]:
    """Fields of every manifest on the origin and cost of a result."""
    return {
        "stage": provenance.stage,
        "key": provenance.key,
        "config": provenance.config,
        "notes": dict(provenance.notes),
        "versions": versions(),
        "command": shlex.join(["ngpipe", *sys.argv[1:]]),
        "device": provenance.device,
        "wall_seconds": round(time.perf_counter() - provenance.started, 2),
        "peak_memory_mb": peak_memory_mb(),
    }


def replace(new: Path, path: Path) -> None:
    """Give a finished directory its final name; the previous one goes only then."""
    old = path.with_name(f".{path.name}.old{os.getpid()}")
    if path.is_symlink():  # a point of a sweep may have had the result from its experiment
        path.unlink()
    elif path.exists():
        path.rename(old)
    new.rename(path)
    shutil.rmtree(old, ignore_errors=True)


def _manifest(dataset: xr.Dataset, written: Path, provenance: Provenance) -> dict[str, object]:
    variables = {
        str(name): {
            "dims": list(v.dims),
            "shape": list(v.shape),
            "dtype": str(v.dtype),
            "units": v.attrs["units"],
        }
        for name, v in dataset.variables.items()
    }
    content = ownership.content_of(written)
    digest = hashing.digest_of({name: d for name, (_, d) in content.items()})
    return {
        "digest": digest,
        "variables": variables,
        **record(provenance),
        ownership.CONTENT: content,
    }


def described(dataset: xr.Dataset, schema: Schema) -> xr.Dataset:
    """The same dataset with the units and long names of its schema, as it has in a store."""
    found = _with_coordinates(dataset, schema).copy()
    for name, variable in found.variables.items():
        if name in schema:
            units, long_name = schema[str(name)].units, schema[str(name)].long_name
        else:
            units, long_name = schema.coordinates.get(str(name), ("1", str(name)))
        found[name].attrs = {"long_name": long_name, "units": units, **variable.attrs}
    return found


def _describe(dataset: xr.Dataset, schema: Schema, provenance: Provenance) -> xr.Dataset:
    """The same dataset with units and long names, the resolved config and the version."""
    found = described(dataset, schema)
    found.attrs = {
        "Conventions": "CF-1.11",
        "title": f"ngpipe {provenance.stage}",
        "source": f"ngpipe {version_of('ngpipe')}",
        "config": hashing.canonical(provenance.config),
        "key": provenance.key,
        **dataset.attrs,
    }
    return found


def _encoding(variable: xr.Variable) -> dict[str, object]:
    return {
        "chunks": _chunks(variable.shape, variable.dtype.itemsize) if variable.ndim else (),
        "compressors": None,
        "_FillValue": None,
    }


def _chunks(shape: tuple[int, ...], itemsize: int) -> tuple[int, ...]:
    """Whole rows of the trailing dimensions, at most :data:`BLOCK_BYTES` a chunk."""
    row = itemsize * int(np.prod(shape[1:], dtype=int))
    return (max(1, min(shape[0], BLOCK_BYTES // max(1, row))), *shape[1:])

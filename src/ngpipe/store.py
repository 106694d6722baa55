"""Open, write and check stores: the only module that knows zarr.

A store is a zarr directory (format 2: readable without warnings by every zarr and xarray) with
CF-like attributes, beside a JSON manifest that says what it holds, what it depends on, how it was
made and what that cost. Both appear whole or not at all: they are written under a temporary name
and renamed.
"""

import json
import os
import platform
import resource
import shlex
import shutil
import sys
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

import dask.array
import numpy as np
import pandas as pd
import xarray as xr
import zarr

from ngpipe import keys
from ngpipe.errors import StoreError
from ngpipe.schemas import COORDINATES, Schema

BLOCK_BYTES = 16 * 2**20
"""Largest chunk of a store: one read of this size is quick and fits any memory."""


@dataclass(frozen=True)
class Provenance:
    """Where a result comes from; written into the store's attributes and its manifest."""

    stage: str
    key: str
    config: Mapping[str, object]
    device: str = "cpu"
    notes: Mapping[str, object] = field(default_factory=dict)
    started: float = field(default_factory=time.perf_counter)


def read(path: Path, schema: Schema) -> xr.Dataset:
    """Open a store lazily and check it; fail here, by name, rather than later, by shape.

    Raises:
        StoreError: the store is absent, is no zarr store, or does not fit ``schema``.
    """
    path = Path(path)
    if not path.is_dir():
        raise StoreError(f"no store at {path}; make it with: snakemake --cores 2 {path}")
    try:
        dataset = xr.open_zarr(path, chunks=None)
    except (FileNotFoundError, KeyError, ValueError, zarr.errors.BaseZarrError) as error:
        raise StoreError(
            f"{path} is not a readable zarr store ({type(error).__name__}: {error}); delete it "
            "and re-run the rule that wrote it"
        ) from error
    check(dataset, schema, where=path)
    _check_chunks(path, dataset)
    return dataset


def check(dataset: xr.Dataset, schema: Schema, *, where: object) -> None:
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
            "Re-run the rule that wrote it."
        )


def _check_chunks(path: Path, dataset: xr.Dataset) -> None:
    """A chunk that zarr does not find reads as zeros without a word: look at the files instead.

    Ours hold every chunk, uncompressed; stores made elsewhere may leave out empty ones.
    """
    if not str(dataset.attrs.get("source", "")).startswith("ngpipe "):
        return
    for name, variable in dataset.variables.items():
        chunks = variable.encoding["chunks"]
        size = variable.encoding["dtype"].itemsize * int(np.prod(chunks, dtype=int))
        expected = int(np.prod([-(-n // c) for n, c in zip(variable.shape, chunks, strict=True)]))
        files = (path / str(name)).glob("[!.]*")
        held = sum(1 for file in files if file.stat().st_size == size)
        if held < expected:
            raise StoreError(
                f"{path} is truncated: '{name}' holds {held} of {expected} chunks; delete the "
                "store and re-run the rule that wrote it"
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
        manifest["files"] = {file.name: keys.file_digest(file) for file in beside}
        replace(partial, path)
        write_json(manifest_path(path), manifest)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


class Blocks:
    """The arrays of a store that is being written, filled along their first dimension."""

    def __init__(self, group: zarr.Group) -> None:
        self._group = group

    def put(self, name: str, start: int, block: np.ndarray) -> None:
        """Write ``block`` at index ``start`` of the first dimension of variable ``name``."""
        self._group[name][start : start + len(block)] = block


def empty(*shape: int) -> dask.array.Array:
    """A float32 variable whose values are to come block by block; takes no memory."""
    return dask.array.empty(shape, dtype="float32", chunks=_chunks(shape, itemsize=4))


def block_length(*trailing: int) -> int:
    """Rows of the first dimension in one chunk of a float32 variable."""
    return max(1, BLOCK_BYTES // (4 * int(np.prod(trailing, dtype=int))))


def write_csv(table: pd.DataFrame, path: Path) -> None:
    """Write a CSV table, whole or not at all."""
    with atomic(path) as partial:
        table.to_csv(partial, index=False, float_format="%.9g")


def read_csv(path: Path, *, text: Iterable[str] = ()) -> pd.DataFrame:
    """Read a CSV table; the columns ``text`` stay as they are written.

    Raises:
        StoreError: it is absent or no table.
    """
    try:
        return pd.read_csv(path, converters=dict.fromkeys(text, str))
    except (OSError, pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise StoreError(f"no readable table at {path} ({error}); re-run its rule") from error


def write_table(
    table: pd.DataFrame, path: Path, provenance: Provenance, beside: Iterable[Path] = ()
) -> None:
    """Write a CSV table and its manifest; ``beside`` as for :func:`write`."""
    write_csv(table, path)
    manifest = {
        "file": path.name,
        "digest": keys.file_digest(path),
        "variables": {str(c): {"shape": [len(table)], "dtype": str(table[c].dtype)} for c in table},
        **record(provenance),
        "files": {file.name: keys.file_digest(file) for file in beside},
    }
    write_json(manifest_path(path), manifest)


def write_json(path: Path, content: Mapping[str, object]) -> None:
    """Write JSON atomically."""
    with atomic(path) as partial:
        partial.write_text(json.dumps(content, indent=2) + "\n")


def read_json(path: Path) -> dict:
    """Read a JSON manifest.

    Raises:
        StoreError: it is absent or not JSON.
    """
    try:
        return json.loads(Path(path).read_text())
    except (OSError, ValueError) as error:
        raise StoreError(
            f"no readable manifest at {path} ({error}); re-run the rule that makes it"
        ) from error


def read_manifests(directory: Path) -> dict[str, dict]:
    """Manifests of all results in a directory, by stem; other JSON files are not ours."""
    ours = {"stage", "key", "digest"}
    found = {path.stem: read_json(path) for path in sorted(Path(directory).glob("*.json"))}
    return {stem: content for stem, content in found.items() if ours <= set(content)}


def digests(directory: Path) -> dict[str, str]:
    """Digest of every result in a directory, by stem, from its manifests."""
    return {stem: manifest["digest"] for stem, manifest in read_manifests(directory).items()}


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


def record(provenance: Provenance) -> dict[str, object]:
    """What every manifest says of how a result came about and what it cost."""
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
    old = path.with_name(path.name + ".old")
    shutil.rmtree(old, ignore_errors=True)
    if path.is_symlink():  # a point of a sweep may have had the result from its experiment
        path.unlink()
    elif path.exists():
        path.rename(old)
    new.rename(path)
    shutil.rmtree(old, ignore_errors=True)


def manifest_path(path: Path) -> Path:
    """The manifest that stands beside a store or table."""
    return Path(path).with_suffix(".json")


def written_under(path: Path) -> str | None:
    """Key under which ngpipe wrote a store that is still as it was written.

    None: it has no manifest of ours, or holds something else by now. Then it is the user's own:
    nothing may replace it, and what is made from it depends on its content.
    """
    try:
        about = json.loads(manifest_path(path).read_text())
        ours = about["stage"] and keys.file_digest(path) == about["digest"]
        return about["key"] if ours else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def versions() -> dict[str, str]:
    """Versions of Python, of this package and of the libraries that results depend on."""
    names = ["ngpipe", "torch", "numpy", "scipy", "pandas", "xarray", "zarr", "scikit-learn"]
    return {"python": platform.python_version(), **{n: _version(n) for n in names}}


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:  # run from source, as in Snakemake's conda environments
        return "not installed"


def peak_memory_mb() -> float:
    """Largest resident memory of this process so far [MB]."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1)


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
    digest = keys.tree_digest(written)
    return {"digest": digest, "variables": variables, **record(provenance)}


def _describe(dataset: xr.Dataset, schema: Schema, provenance: Provenance) -> xr.Dataset:
    """The same dataset with units and long names, the resolved config and the version."""
    described = dataset.copy()
    for name, variable in described.variables.items():
        if name in schema:  # `latent` has the name of its dimension: xarray calls it a coordinate
            units, long_name = schema[str(name)].units, schema[str(name)].long_name
        else:
            units, long_name = COORDINATES.get(str(name), ("1", str(name)))
        described[name].attrs = {"long_name": long_name, "units": units, **variable.attrs}
    described.attrs = {
        "Conventions": "CF-1.11",
        "title": f"ngpipe {provenance.stage}",
        "source": f"ngpipe {_version('ngpipe')}",
        "config": keys.canonical(provenance.config),
        "key": provenance.key,
        **dataset.attrs,
    }
    return described


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

"""Print what a run, store, table, manifest, model or file is, holds and comes from."""

import json
import sys
import warnings
import zipfile
from collections.abc import Callable, Iterator, Mapping
from itertools import chain, islice
from pathlib import Path
from typing import Any

import xarray as xr

from ngpipe import opening, ownership, store
from ngpipe.acquisition.formats import numpy_files
from ngpipe.config.figures import Style
from ngpipe.errors import NgpipeWarning, StoreError
from ngpipe.figures.drawing.compose import save
from ngpipe.figures.quicklook import drawable, quick_look
from ngpipe.steps import recording_lines

Lines = Iterator[str]

ABOUT = ("stage", "key", "command", "device", "wall_seconds", "peak_memory_mb", "digest")
"""Fields of a manifest shown with the result that it describes."""
DRAWN = 6
"""Series of a recording that are drawn."""
_OURS = b"Software\0ngpipe"
"""Mark in a picture that ngpipe drew."""


def run(path: Path) -> None:
    """Describe anything on standard output; of a store or a recording also draw a picture.

    The picture ``<name>.look.png`` stands beside it. Of a recording, every series is described
    with the section `source` of a config that reads it.

    Raises:
        StoreError: there is nothing at ``path``, or it is damaged.
    """
    if not path.exists():
        raise StoreError(f"there is nothing at {path}; {ownership.how_to_make(path)}")
    looks: dict[str, xr.DataArray] = {}
    recorded = recording_lines.is_recording(path)
    for line in chain(_lines(path), recording_lines.lines(path, looks) if recorded else ()):
        sys.stdout.write(line + "\n")
    sys.stdout.flush()
    if _is_store(path) and not _is_bare(path):
        _look(store.read(path, {}), path.with_name(f"{path.stem}.look.png"))
    elif looks:
        shown = xr.Dataset(dict(islice(looks.items(), DRAWN)))
        _look(shown, path.with_name(f"{path.name}.look.png"))


def _lines(path: Path) -> Lines:
    if _is_bare(path):
        return iter([f"{path}: a zarr store of NWB, or of arrays whose dimensions have no names"])
    if _is_store(path):
        return _store(path)
    if path.is_dir():
        return _figure(path) if (path / "manifest.json").is_file() else _directory(path)
    return _KINDS.get(path.suffix.lower(), _file)(path)


def _is_store(path: Path) -> bool:
    marks = (".zgroup", ".zattrs", ".zmetadata", "zarr.json")
    return path.is_dir() and (path.suffix == ".zarr" or any((path / m).exists() for m in marks))


def _is_bare(path: Path) -> bool:
    """True of a zarr store that is not laid out for xarray."""
    if not _is_store(path) or ownership.manifest_of(path) is not None:
        return False
    try:
        arrays = opening.arrays_within(path)
    except StoreError:
        return False
    named = [_names_dimensions(array) for name, array in arrays.items() if "/" not in name]
    return "nwb_version" in opening.attributes_of(path) or not all(named)


def _names_dimensions(array: Any) -> bool:  # noqa: ANN401
    about = getattr(array.metadata, "dimension_names", None)
    return "_ARRAY_DIMENSIONS" in array.attrs or about is not None or array.ndim == 0


def _store(path: Path) -> Lines:
    dataset = store.read(path, {})
    yield f"{path}: {dataset.attrs.get('title', 'a zarr store that ngpipe did not write')}"
    yield ""
    yield from _variables(dataset)
    yield from _about(path)


def _variables(dataset: xr.Dataset) -> Lines:
    for name, v in [*dataset.coords.items(), *dataset.data_vars.items()]:
        shape = ", ".join(f"{d} {n}" for d, n in v.sizes.items())
        units, meaning = v.attrs.get("units", "?"), v.attrs.get("long_name", "")
        yield f"  {name!s:<18} ({shape})  {v.dtype}  [{units}]  {meaning}".rstrip()
    yield ""
    yield from (f"  {k}: {v}" for k, v in dataset.attrs.items() if k not in ("config", "key"))


def _about(path: Path) -> Lines:
    """Origin of a result, if a manifest describes it."""
    for place in sorted(path.parent.glob("*.json")):
        manifest = _manifest(place)
        names = {manifest.get("file", f"{place.stem}.zarr"), *manifest.get("files", ())}
        if manifest and path.name in names:
            yield f"  by {place}:"
            yield from (f"  {k}: {manifest[k]}" for k in ABOUT if k in manifest)


def _manifest(path: Path) -> dict:
    """A manifest of ngpipe, or nothing."""
    try:
        found = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) and {"stage", "key"} <= set(found) else {}


def _figure(path: Path) -> Lines:
    manifest = _manifest(path / "manifest.json")
    yield f"{path}: figure {manifest.get('figure', '(its manifest is none of ngpipe)')}"
    yield ""
    known = manifest.get("files", {})
    for file in sorted(p for p in path.iterdir() if p.name != ".snakemake_timestamp"):
        mark = "" if file.name in known or file.name == "manifest.json" else "  not of ngpipe"
        yield f"  {file.name:<28} {_size(file)}{mark}"
    yield ""
    yield f"  experiments: {', '.join(manifest.get('runs', {})) or 'none'}"
    yield from (f"  {k}: {manifest[k]}" for k in ABOUT if k in manifest)


def _directory(path: Path) -> Lines:
    """A run with its stages, or any other directory."""
    manifests = {place.name: _manifest(place) for place in sorted(path.glob("*.json"))}
    made = {name: m for name, m in manifests.items() if m}
    yield f"{path}: " + ("results of ngpipe" if made else "a directory")
    yield ""
    by_file = {file: m["stage"] for name, m in made.items() for file in _listed(name, m)}
    for entry in sorted(path.iterdir()):
        stage = by_file.get(entry.name, "")
        yield f"  {entry.name:<28} {_size(entry):>10}  {stage and f'by {stage}'}".rstrip()
    if made:
        yield ""
        costs = (
            f"{m['stage']} {m['wall_seconds']} s" for m in made.values() if "wall_seconds" in m
        )
        yield "  time: " + ", ".join(costs)


def _listed(name: str, manifest: Mapping) -> set[str]:
    own = manifest.get("file", f"{Path(name).stem}.zarr")
    return {name, own, *manifest.get("files", ())}


def _size(path: Path) -> str:
    files = [p for p in path.rglob("*") if p.is_file()] if path.is_dir() else [path]
    size = float(sum(p.stat().st_size for p in files))
    for unit in ("B", "kB", "MB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} GB"


def _json(path: Path) -> Lines:
    manifest = _manifest(path)
    if not manifest:
        yield f"{path}: a JSON file, but not a manifest of ngpipe, {_size(path)}"
        return
    yield f"{path}: manifest of {', '.join(sorted(_listed(path.name, manifest) - {path.name}))}"
    yield ""
    for name, v in manifest.get("variables", {}).items():
        yield f"  {name:<18} {v.get('dims', '')} {v['shape']}  {v['dtype']}  {v.get('units', '')}"
    hidden = {"variables", "files", ownership.CONTENT}
    yield from (f"  {k}: {v}" for k, v in manifest.items() if k not in hidden)


def _table(path: Path) -> Lines:
    table = store.read_csv(path)
    yield f"{path}: table of {len(table)} rows"
    yield ""
    yield from (f"  {name:<18} {table[name].dtype}" for name in table)
    yield ""
    yield table.head(10).to_string(index=False)
    yield from _about(path)


def _model(path: Path) -> Lines:
    """Names and shapes of the tensors, which stand as JSON at the beginning of the file."""
    with path.open("rb") as file:
        length = int.from_bytes(file.read(8), "little")
        head = file.read(length) if length < path.stat().st_size else b""
    try:
        tensors = json.loads(head)
        about = json.loads(tensors.pop("__metadata__", {}).get("ngpipe", "{}"))
    except (ValueError, AttributeError) as error:
        raise StoreError(f"{path} is not a safetensors file, or is damaged ({error})") from error
    yield f"{path}: " + (f"model of ngpipe, key {about['key']}" if about else "tensors")
    yield ""
    yield from (f"  {name:<28} {v['shape']}  {v['dtype']}" for name, v in tensors.items())
    yield from _about(path)


def _numpy(path: Path) -> Lines:
    try:
        found = numpy_files.heads(path)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise StoreError(f"{path} is not the numpy file its name says ({error})") from error
    yield f"{path}: numpy, {_size(path)}"
    yield ""
    for name, (shape, dtype) in found.items():
        what = "Python objects: a pickle, which is not opened" if dtype.hasobject else dtype
        yield (f"  {name:<18} " if name else "  ") + f"{shape}  {what}"


def _file(path: Path) -> Lines:
    kind = opening.kind_of_file(path)
    yield f"{path}: {kind}, {_size(path)}"
    if "netCDF" in kind:
        yield "  stores are zarr: xarray.open_dataset(path).to_zarr(...) writes one"
    yield from _about(path)


_KINDS: Mapping[str, Callable[[Path], Lines]] = {
    ".json": _json,
    ".csv": _table,
    ".safetensors": _model,
    ".npy": _numpy,
    ".npz": _numpy,
}


def _look(dataset: xr.Dataset, picture: Path) -> None:
    """Draw a store or a recording, unless a picture of somebody else's is in the way."""
    if not drawable(dataset):
        sys.stdout.write("\nit holds no numbers to draw\n")
        return
    if picture.exists() and _OURS not in picture.read_bytes()[:4096]:
        warnings.warn(
            f"{picture} is not from ngpipe; no picture drawn", NgpipeWarning, stacklevel=2
        )
        return
    try:
        with store.atomic(picture) as partial:
            save(quick_look(dataset), partial, Style())
    except PermissionError as error:
        warnings.warn(f"no picture drawn: {error}", NgpipeWarning, stacklevel=2)
        return
    sys.stdout.write(f"\nquick look: {picture}\n")

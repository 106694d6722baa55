"""Ownership of files by manifests: only what ngpipe wrote may be overwritten.

A manifest lists every file of a result with its digest. What stands at the place of a result and
is in no manifest, or not as its manifest says, may be somebody's work. Needs the standard library
only: Snakemake asks before every run.
"""

import json
import shlex
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ngpipe import hashing
from ngpipe.errors import StoreError
from ngpipe.installed import workflow_root

CONTENT = "content"
"""Entry of a store's manifest: size [bytes] and SHA-256 of every file in it."""


def manifest_path(path: Path) -> Path:
    """The manifest that stands beside a store or table."""
    return Path(path).with_suffix(".json")


def pending_path(path: Path) -> Path:
    """Stands beside a result from when it gets its name until its manifest has been written.

    A process that is killed in between leaves it, so that the result is still known as ours.
    """
    return Path(path).with_name(f".{Path(path).name}.pending")


def content_of(directory: Path) -> dict[str, list]:
    """Size and digest of every file of a store."""
    digests = hashing.tree_digests(directory)
    return {name: [(directory / name).stat().st_size, d] for name, d in digests.items()}


def manifest_of(store: Path) -> dict | None:
    """The manifest of a store, if one of ngpipe stands beside it."""
    return next(iter(_records(store)), None)


def recorded_key(manifest: Path) -> str | None:
    """The key that a manifest names; None where there is none of ngpipe."""
    found = _json(manifest)
    return found["key"] if _is_manifest(found) else None


def written_under(store: Path) -> str | None:
    """Key under which ngpipe wrote a store that is still as it was written; else None.

    Without a key the store is the user's own: what is made from it depends on its content.
    """
    found = manifest_of(store)
    return None if found is None or not_ours(store) is not None else found["key"]


def describes(manifest: Mapping, store: Path) -> bool:
    """Does a manifest belong to the store beside it, by the metadata of the store?"""
    if CONTENT not in manifest:  # of a store that was written before manifests listed its files
        return key_within(store) == manifest["key"]
    metadata = {name: entry for name, entry in manifest[CONTENT].items() if _is_metadata(name)}
    return all(
        hashing.file_digest(store / name) == digest for name, (_, digest) in metadata.items()
    )


def key_within(store: Path) -> str | None:
    """The chain key in the attributes of a store that ngpipe wrote, or that was derived from it."""
    for name in (".zattrs", "zarr.json"):
        found = _json(store / name)
        attributes = found.get("attributes", found) if isinstance(found, dict) else {}
        if isinstance(attributes, dict) and "key" in attributes:
            return str(attributes["key"])
    return None


def claim(paths: Iterable[Path]) -> None:
    """Make sure that results may be written at these paths.

    Raises:
        StoreError: naming what stands there that ngpipe did not write, or that was changed since.
    """
    found = {path: reason for path in map(Path, paths) if (reason := not_ours(path))}
    if found:
        listed = "\n  ".join(f"{path}: {reason}" for path, reason in found.items())
        raise StoreError(
            f"these would be overwritten, and may be yours:\n  {listed}\nngpipe overwrites only "
            "what it wrote itself. Move them to another place or name and run the same command "
            "again. A recording of your own is named in source.files of the config "
            "(docs/recordings.md); to learn from a store here, run the steps by hand: see "
            "'Recordings' in docs/own-study.md."
        )


def not_ours(path: Path) -> str | None:
    """Reason not to overwrite a path; None if nothing is there, or only what ngpipe wrote."""
    if not path.exists() or (path.is_dir() and not hashing.tree_files(path)):
        return None
    if path.is_dir():
        inside = path / "manifest.json"
        return _figure_changed(path) if inside.is_file() else _store_changed(path)
    if path.suffix == ".json":
        return None if _is_manifest(_json(path)) else "no manifest of ngpipe"
    reason = "ngpipe did not write it: no manifest names it"
    for digest in _digests_of_file(path):
        if digest == hashing.file_digest(path):
            return None
        reason = "it was changed since ngpipe wrote it"
    return reason


def _store_changed(path: Path) -> str | None:
    reason: str | None = "ngpipe did not write it: it has no manifest"
    for record in _records(path):
        reason = _difference(path, record)
        if reason is None:
            return None
    return reason


def _difference(path: Path, record: Mapping) -> str | None:
    """The first file of a store that is not as its manifest says; lost ones are no loss more."""
    if CONTENT not in record:
        same = hashing.file_digest(path) == record.get("digest")
        return None if same else "it does not match its manifest"
    written = record["stamp"]
    for file in hashing.tree_files(path):
        name = file.relative_to(path).as_posix()
        if name not in record[CONTENT]:
            return f"it holds '{name}', which ngpipe did not write there"
        size, digest = record[CONTENT][name]
        state = file.stat()
        looked_at = _is_metadata(name) or state.st_mtime_ns > written
        if state.st_size != size or (looked_at and hashing.file_digest(file) != digest):
            return f"'{name}' was changed since ngpipe wrote it"
    return None


def _figure_changed(path: Path) -> str | None:
    manifest = _json(path / "manifest.json")
    if not _is_manifest(manifest) or "files" not in manifest:
        return "its manifest.json is not from ngpipe"
    for file in hashing.tree_files(path):
        name = file.relative_to(path).as_posix()
        if name == "manifest.json":
            continue
        if name not in manifest["files"]:
            return f"it holds '{name}', which is not part of the figure"
        if hashing.file_digest(file) != manifest["files"][name]:
            return f"'{name}' was changed since ngpipe wrote it"
    return None


def _records(path: Path) -> Iterator[dict]:
    """Records of a store: its manifest, and one that a killed process left.

    A link, as points of sweeps have, may go by the manifest of what it leads to.
    """
    for place in (manifest_path(path), pending_path(path), manifest_path(path.resolve())):
        found = _json(place)
        if _is_manifest(found) and "digest" in found:
            yield {**found, "stamp": place.stat().st_mtime_ns}


def _digests_of_file(path: Path) -> Iterator[str]:
    """Digests that manifests in the same directory give for a file; of a link, those there too."""
    others = (m for folder in {path.parent, path.resolve().parent} for m in folder.glob("*.json"))
    for place in (manifest_path(path), pending_path(path), *sorted(others)):
        found = _json(place)
        if not isinstance(found, dict):
            continue
        if found.get("file") == path.name and "digest" in found:
            yield found["digest"]
        files = found.get("files")
        if isinstance(files, dict) and path.name in files:
            yield files[path.name]


def _is_manifest(found: object) -> bool:
    return isinstance(found, dict) and {"stage", "key"} <= set(found)


def _is_metadata(name: str) -> bool:
    """Files that say what a store holds; small, so that they are always compared."""
    return name.rpartition("/")[2] in (".zattrs", ".zgroup", ".zarray", ".zmetadata", "zarr.json")


def _json(path: Path) -> Any:  # noqa: ANN401
    try:
        return json.loads(path.read_text())
    except (OSError, ValueError):
        return None


def how_to_make(path: Path) -> str:
    """Remedy for a result that is not there."""
    place = _in_study(path)
    if place is None:
        return "correct the path"
    if not (place[0] / "config").is_dir():
        return "there is no config/ here: run the command from the directory of the study"
    return f"make it with: {command_for(path)}"


def command_for(target: Path) -> str:
    """The command that makes a result, from the directory at hand.

    Snakemake makes nothing from a recording of the user's own: that is done by hand.
    """
    study, inside = _in_study(target) or (Path(), Path(target))
    run = study / inside.parent
    if target != run / "simulation.zarr" and is_of_a_recording(run):
        there = "" if study == Path() else f"cd {shlex.quote(str(study))}; "
        config = shlex.quote(f"config/experiments/{run.name}.yaml")
        return f"{there}ngpipe train {config}; then recover, rollout and score in the same way"
    where = ""
    if study != Path() or not Path("Snakefile").exists():
        root = workflow_root()
        own = shlex.quote(str(root / "Snakefile")) if root else "path/to/ngpipe/Snakefile"
        where = f"-s {own} "
    if study != Path():
        where += f"--directory {shlex.quote(str(study))} "
    return f"snakemake {where}--cores 2 {shlex.quote(str(inside))}"


def is_of_a_recording(run: Path) -> bool:
    """Does a directory of results rest on a recording of the user's own?"""
    recording = run / "simulation.zarr"
    return recording.is_dir() and written_under(recording) is None


def _in_study(path: Path) -> tuple[Path, Path] | None:
    """The directory of a study, as seen from here, and the path of a result in it."""
    path = Path(path)
    if path.is_relative_to(Path.cwd()):
        path = path.relative_to(Path.cwd())
    if "results" not in path.parts:
        return None
    at = len(path.parts) - 1 - path.parts[::-1].index("results")
    study, inside = Path(*path.parts[:at]), Path(*path.parts[at:])
    return None if study != Path() and not (study / "config").is_dir() else (study, inside)

"""Is a figure, or a sweep, what today's config and source give? Names the first mismatch."""

from collections.abc import Iterator, Mapping
from pathlib import Path

from ngpipe import hashing, store
from ngpipe.errors import StaleError
from ngpipe.ownership import command_for

STAMP = ".snakemake_timestamp"


def run(figure: Path, runs: Path, stages: Mapping[str, Mapping[str, str]], *, key: str) -> None:
    """Check keys and digests of a figure and of the experiments it was made from.

    Args:
        figure: directory of the figure.
        runs: directory of the experiments' results.
        stages: of every experiment, today's key of every stage that the figure rests on.
        key: today's key of the figure.

    Raises:
        StoreError: a manifest is missing.
        StaleError: naming the first file that is missing, foreign, tampered or stale.
    """
    for mismatch in _mismatches(figure, runs, stages, key):
        raise StaleError(mismatch)


def run_sweep(
    table: Path, runs: Path, stages: Mapping[str, Mapping[str, str]], *, key: str
) -> None:
    """Check key and digest of the table of a sweep, and those of all its points.

    Args:
        table: the table.
        runs: directory of the points' results.
        stages: today's key of every stage of every point.
        key: today's key of the table.

    Raises:
        StoreError: a manifest is missing.
        StaleError: naming the first file that is missing, tampered or stale.
    """
    manifest = store.read_json(store.manifest_path(table))
    for mismatch in (
        *_file(table, manifest["digest"]),
        *_made_from(runs, stages, manifest["notes"]["runs"]),
        *_key(table, manifest["key"], key),
    ):
        raise StaleError(mismatch)


def _mismatches(
    figure: Path, runs: Path, stages: Mapping[str, Mapping[str, str]], key: str
) -> Iterator[str]:
    manifest = store.read_json(figure / "manifest.json")
    if not {"files", "runs", "key"} <= set(manifest):
        yield f"{figure / 'manifest.json'} is no manifest of a figure; run the figure again"
        return
    for name, digest in manifest["files"].items():
        yield from _file(figure / name, digest)
    expected = {*manifest["files"], "manifest.json", STAMP}
    for path in sorted(figure.iterdir()):
        if path.name not in expected:
            yield f"{path} is foreign: no part of this figure; move it elsewhere"
    yield from _made_from(runs, stages, manifest["runs"])
    yield from _key(figure, manifest["key"], key)


def _key(path: Path, made: str, now: str) -> Iterator[str]:
    if made != now:
        yield (
            f"{path} is stale: made under key {made[:12]}, config and source now give {now[:12]}; "
            f"run: {command_for(path)}"
        )


def _made_from(
    runs: Path, stages: Mapping[str, Mapping[str, str]], used: Mapping[str, Mapping[str, str]]
) -> Iterator[str]:
    for experiment, known in stages.items():
        yield from _experiment(runs / experiment, known, used.get(experiment, {}))


def _experiment(
    directory: Path, stages: Mapping[str, str], used: Mapping[str, str]
) -> Iterator[str]:
    every = store.read_manifests(directory)
    found = {stem: manifest for stem, manifest in every.items() if manifest["stage"] in stages}
    rank = {stage: k for k, stage in enumerate(stages)}  # the first cause first
    for stem, manifest in sorted(found.items(), key=lambda item: rank[item[1]["stage"]]):
        result = directory / manifest.get("file", f"{stem}.zarr")
        for name, digest in {result.name: manifest["digest"], **manifest.get("files", {})}.items():
            yield from _file(directory / name, digest)
        if manifest["key"] != stages[manifest["stage"]]:
            yield (
                f"{result} is stale: made under key {manifest['key'][:12]}, config and source now "
                f"give {stages[manifest['stage']][:12]}"
            )
        if used.get(stem) != manifest["digest"]:
            yield f"{result} is not the one the figure was made from; run the figure again"
    for name in used:
        if name not in found:
            yield f"{directory / name}.json is missing; run the figure again"


def _file(path: Path, digest: str) -> Iterator[str]:
    found = hashing.tree_digest(path) if path.is_dir() else hashing.file_digest(path)
    if found == "absent":
        yield f"{path} is missing; run the figure again"
    elif found != digest:
        yield f"{path} was changed: digest {found[:12]}, its manifest says {digest[:12]}"

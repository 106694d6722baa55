"""Is a figure, or a sweep, what today's config and source give? Names the first mismatch."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ngpipe import hashing, store
from ngpipe.errors import StaleError
from ngpipe.ownership import command_for, is_of_a_recording

STAMP = ".snakemake_timestamp"
Stages = Mapping[str, Mapping[str, str]]
"""Today's keys of the stages that a result depends on, by experiment, in order of the stages."""


@dataclass(frozen=True)
class Remedy:
    """Command that makes a result again.

    Snakemake makes nothing that rests on a recording of the user's own: that is done by hand.

    Attributes:
        result: the figure, or the table of a sweep.
        runs: directory of the experiments' results.
        stages: what the result rests on.
        by_hand: commands that make it from the results of its experiments.
    """

    result: Path
    runs: Path
    stages: Stages
    by_hand: Sequence[str]

    def __str__(self) -> str:
        """Make the result from what it rests on."""
        return self.of()

    def of(
        self, experiment: str | None = None, stage: str | None = None, *, lost: bool = False
    ) -> str:
        """Make it again, by hand from a stage of an experiment on if one is named.

        If a file is lost, Snakemake looks for it only when the result is not there either.
        """
        if not any(is_of_a_recording(self.runs / name) for name in self.stages):
            aside = f"move {self.result} elsewhere and " if lost else ""
            return f"{aside}run: {command_for(self.result)}"
        commands = []
        if experiment is not None and stage is not None:
            known = list(self.stages[experiment])
            from_here = known[known.index(stage) :]
            later = [name for name in from_here if name not in ("simulate", "import")]
            commands = [f"ngpipe {name} config/experiments/{experiment}.yaml" for name in later]
        return f"run: {'; '.join([*commands, *self.by_hand])}"


def run(
    figure: Path,
    runs: Path,
    stages: Stages,
    *,
    key: str,
    by_hand: Sequence[str],
) -> None:
    """Check keys and digests of a figure and of the experiments it was made from.

    Args:
        figure: directory of the figure.
        runs: directory of the experiments' results.
        stages: of every experiment, today's key of every stage that the figure rests on.
        key: today's key of the figure.
        by_hand: commands that draw it, named where Snakemake cannot.

    Raises:
        StoreError: a manifest is missing.
        StaleError: naming the first file that is missing, foreign, tampered or stale.
    """
    for mismatch in _mismatches(figure, key, Remedy(figure, runs, stages, by_hand)):
        raise StaleError(mismatch)


def run_sweep(table: Path, runs: Path, stages: Stages, *, key: str, by_hand: Sequence[str]) -> None:
    """Check key and digest of the table of a sweep, and those of all its points.

    Args:
        table: the table.
        runs: directory of the points' results.
        stages: today's key of every stage of every point.
        key: today's key of the table.
        by_hand: commands that write it, named where Snakemake cannot.

    Raises:
        StoreError: a manifest is missing.
        StaleError: naming the first file that is missing, tampered or stale.
    """
    manifest = store.read_json(store.manifest_path(table))
    again = Remedy(table, runs, stages, by_hand)
    for mismatch in (
        *_file(table, manifest["digest"], again),
        *_made_from(manifest["notes"]["runs"], again),
        *_key(table, manifest["key"], key, again),
    ):
        raise StaleError(mismatch)


def _mismatches(figure: Path, key: str, again: Remedy) -> Iterator[str]:
    manifest = store.read_json(figure / "manifest.json")
    if not {"files", "runs", "key"} <= set(manifest):
        yield f"{figure / 'manifest.json'} is not the manifest of a figure; {again.of(lost=True)}"
        return
    for name, digest in manifest["files"].items():
        yield from _file(figure / name, digest, again)
    expected = {*manifest["files"], "manifest.json", STAMP}
    for path in sorted(figure.iterdir()):
        if path.name not in expected:
            yield f"{path} is foreign: not part of this figure; move it elsewhere"
    yield from _made_from(manifest["runs"], again)
    yield from _key(figure, manifest["key"], key, again)


def _key(path: Path, made: str, now: str, again: Remedy) -> Iterator[str]:
    if made != now:
        yield (
            f"{path} is stale: made under key {made[:12]}, config and source now give {now[:12]}; "
            f"{again}"
        )


def _made_from(used: Mapping[str, Mapping[str, str]], again: Remedy) -> Iterator[str]:
    for experiment in again.stages:
        yield from _experiment(experiment, used.get(experiment, {}), again)


def _experiment(name: str, used: Mapping[str, str], again: Remedy) -> Iterator[str]:
    directory, stages = again.runs / name, again.stages[name]
    every = store.read_manifests(directory)
    found = {stem: manifest for stem, manifest in every.items() if manifest["stage"] in stages}
    rank = {stage: k for k, stage in enumerate(stages)}  # the first cause first
    for stem, manifest in sorted(found.items(), key=lambda item: rank[item[1]["stage"]]):
        stage = manifest["stage"]
        result = directory / manifest.get("file", f"{stem}.zarr")
        for file, digest in {result.name: manifest["digest"], **manifest.get("files", {})}.items():
            yield from _file(directory / file, digest, again, name, stage)
        if manifest["key"] != stages[stage]:
            yield (
                f"{result} is stale: made under key {manifest['key'][:12]}, config and source now "
                f"give {stages[stage][:12]}; {again.of(name, stage)}"
            )
        if used.get(stem) != manifest["digest"]:
            yield f"{result} is not the one the figure was made from; {again}"
    for stem in used:
        if stem not in found:
            remedy = again.of(name, next(iter(stages)), lost=True)
            yield f"{directory / stem}.json is missing; {remedy}"


def _file(
    path: Path,
    digest: str,
    again: Remedy,
    experiment: str | None = None,
    stage: str | None = None,
) -> Iterator[str]:
    found = hashing.tree_digest(path) if path.is_dir() else hashing.file_digest(path)
    if found == "absent":
        yield f"{path} is missing; {again.of(experiment, stage, lost=True)}"
    elif found != digest:
        yield f"{path} was changed: digest {found[:12]}, its manifest says {digest[:12]}"

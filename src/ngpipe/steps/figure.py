"""Panels and stores -> ``results/<Figure>/``: panels, composed page, metrics, manifest."""

import os
import shutil
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path

import pandas as pd

from ngpipe import hashing, ownership, store
from ngpipe.artifacts import materials
from ngpipe.config.figures import Figure, Style
from ngpipe.errors import StaleError, StoreError
from ngpipe.figures.drawing import compose


def run(
    name: str,
    spec: Figure,
    style: Style,
    results: Path,
    *,
    stages: Mapping[str, Collection[str]],
    key: str,
) -> None:
    """Compose one figure; the directory appears whole or not at all.

    Args:
        name: the figure's name.
        spec: its panels and layout.
        style: how it looks.
        results: the directory that holds ``runs/``, ``panels/`` and the figures.
        stages: of every experiment, those that the figure rests on.
        key: chain key.
    """
    provenance = store.Provenance("figure", key, spec.model_dump(mode="json"))
    material = {
        panel: materials.load(results / "runs" / p.of, p, style) for panel, p in spec.panels.items()
    }
    _check_drawn(name, spec, results / "panels" / name)
    target = results / name
    ownership.claim([target])
    partial = results / f".{name}.tmp{os.getpid()}"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        for panel in spec.panels:
            _copy(results / "panels" / name / f"{panel}.json", partial)
        for panel in spec.movies():
            _copy(results / "panels" / name / f"{panel}.movie.json", partial)
        figure = compose.page(spec, style, material)
        for suffix in ("pdf", "svg", "png"):
            compose.save(figure, partial / f"{name}.{suffix}", style)
        (partial / "caption.txt").write_text(compose.caption(spec), encoding="utf-8")
        store.write_csv(_metrics(results / "runs", stages), partial / "metrics.csv", listed=False)
        files = {p.name: hashing.file_digest(p) for p in sorted(partial.iterdir())}
        runs = {of: store.digests(results / "runs" / of, known) for of, known in stages.items()}
        store.write_json(
            partial / "manifest.json",
            {"figure": name, "files": files, "runs": runs, **store.record(provenance)},
        )
        store.replace(partial, target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _check_drawn(name: str, spec: Figure, panels: Path) -> None:
    """Name the panels that are not drawn, with the commands that draw them."""
    drawn = {("panel", p): panels / f"{p}.json" for p in spec.panels}
    drawn |= {("movie", p): panels / f"{p}.movie.json" for p in spec.movies()}
    commands = [f"ngpipe {step} {name} {p}" for (step, p), m in drawn.items() if not m.is_file()]
    if commands:
        raise StoreError(
            f"{len(commands)} panels of figure {name} are not drawn; run: {'; '.join(commands)}"
        )


def _copy(manifest: Path, target: Path) -> None:
    """Copy the pictures that a manifest lists, unless they were edited since they were drawn."""
    for name, digest in store.read_json(manifest)["files"].items():
        source = manifest.with_name(name)
        if hashing.file_digest(source) != digest:
            raise StaleError(
                f"{source} is not as it was drawn; move an edited copy elsewhere "
                "and run the figure again"
            )
        shutil.copy2(source, target)


def _metrics(runs: Path, experiments: Iterable[str]) -> pd.DataFrame:
    """The metrics of all experiments of the figure, one after another."""
    tables = {name: store.read_csv(runs / name / "metrics.csv") for name in experiments}
    named = [table.assign(experiment=name) for name, table in tables.items()]
    return pd.concat(named, ignore_index=True)

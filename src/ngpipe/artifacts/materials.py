"""The results of an experiment, to be opened by the panels that draw them."""

from functools import partial
from pathlib import Path

from ngpipe import store
from ngpipe.config.figures import KINDS, Panel, Style
from ngpipe.config.panels import SWEPT
from ngpipe.figures.drawing.compose import material_of
from ngpipe.figures.drawing.material import Material, Result, Results, results_of


def load(directory: Path, spec: Panel, style: Style) -> Material:
    """Material of a panel in ``results/runs/<experiment>/``; nothing is opened yet."""
    material = material_of(spec.kind)
    openers = {
        name: partial(_open, _place(directory, spec, result.file), result)
        for name, result in results_of(material).items()
        if result.file in KINDS[spec.kind].reads
    }
    return material(Results(openers), spec, style)


def _place(directory: Path, spec: Panel, file: str) -> Path:
    if file == SWEPT:
        return directory.parent.parent / "sweeps" / f"{spec.of}.csv"
    return directory / file


def _open(path: Path, result: Result) -> object:
    if result.load is not None:
        return result.load(path)
    if result.schema is not None:
        return store.read(path, result.schema)
    if path.suffix == ".json":
        return store.read_json(path)
    return store.read_csv(path, text=result.text)

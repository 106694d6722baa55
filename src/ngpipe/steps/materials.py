"""The results of an experiment, to be opened by the panels that draw them."""

import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from ngpipe import schemas, store
from ngpipe.config.circuit import Impulse, Measures
from ngpipe.config.figures import SWEEP, Panel, Style, system_of
from ngpipe.figures.circuit import CircuitMaterial
from ngpipe.figures.compose import AnyMaterial
from ngpipe.figures.connectome import ConnectomeMaterial
from ngpipe.figures.material import Material, Results
from ngpipe.figures.points import SweepMaterial
from ngpipe.wiring.connectome import Connectome

Openers = Mapping[str, Callable[[], object]]


def load(directory: Path, spec: Panel, style: Style) -> AnyMaterial:
    """What a panel may show of ``results/runs/<experiment>/``; nothing is opened yet."""
    if spec.kind == SWEEP:
        return SweepMaterial(Results(_sweep(directory, spec)), spec, style)
    kind, openers = _OF_SYSTEM[system_of(spec.kind)]
    return kind(Results(openers(directory)), spec, style)


def _sweep(directory: Path, spec: Panel) -> Openers:
    path = directory.parent.parent / "sweeps" / f"{spec.of}.csv"
    return {
        "table": partial(store.read_csv, path, text=("parameter", "setting", "unit")),
        **_tables(directory, "metrics"),
    }


def _assembly(directory: Path) -> Openers:
    return {
        **_stores(
            directory,
            simulation=schemas.SIMULATION,
            recovery=schemas.RECOVERY,
            rollout=schemas.ROLLOUT,
        ),
        **_tables(directory, "metrics", "learning_curve", "training"),
    }


def _connectome(directory: Path) -> Openers:
    return {
        "connectome": partial(Connectome.load, directory / "connectome.zarr"),
        **_stores(
            directory,
            fit=schemas.FIT,
            stimuli=schemas.STIMULI,
            attribution=schemas.ATTRIBUTION,
            control=schemas.CONTROL,
        ),
        "paths": partial(store.read_csv, directory / "paths.csv", text=("stimulus", "pre", "post")),
        **_tables(directory, "metrics"),
    }


def _circuit(directory: Path) -> Openers:
    return {
        "connectome": partial(Connectome.load, directory / "connectome.zarr"),
        **_stores(directory, responses=schemas.RESPONSES),
        **_tables(directory, "measures", "comparison", "motifs", "mixing", "metrics"),
        "impulse": lambda: Impulse(**_config_of_responses(directory)["impulse"]),
        "measured": lambda: Measures(
            **store.read_json(directory / "metrics.json")["config"]["measures"]
        ),
    }


def _config_of_responses(directory: Path) -> dict:
    return json.loads(store.read(directory / "responses.zarr", schemas.RESPONSES).attrs["config"])


def _stores(directory: Path, **expected: schemas.Schema) -> Openers:
    return {
        name: partial(store.read, directory / f"{name}.zarr", schema)
        for name, schema in expected.items()
    }


def _tables(directory: Path, *names: str) -> Openers:
    return {name: partial(store.read_csv, directory / f"{name}.csv") for name in names}


_OF_SYSTEM = {
    "assembly": (Material, _assembly),
    "connectome": (ConnectomeMaterial, _connectome),
    "circuit": (CircuitMaterial, _circuit),
}

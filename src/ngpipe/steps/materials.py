"""Open the results of an experiment for drawing."""

import json
from pathlib import Path

from ngpipe import schemas, store
from ngpipe.config.circuit import Impulse, Measures
from ngpipe.config.figures import SWEEP, Panel, Style, system_of
from ngpipe.figures.circuit import CircuitMaterial
from ngpipe.figures.compose import AnyMaterial
from ngpipe.figures.connectome import ConnectomeMaterial
from ngpipe.figures.material import Material
from ngpipe.figures.points import SweepMaterial
from ngpipe.wiring.connectome import Connectome


def load(directory: Path, spec: Panel, style: Style) -> AnyMaterial:
    """Everything in ``results/runs/<experiment>/`` that a panel may show; the table of a sweep."""
    if spec.kind == SWEEP:
        path = directory.parent.parent / "sweeps" / f"{spec.of}.csv"
        table = store.read_csv(path, text=("parameter", "setting"))
        return SweepMaterial(table, store.read_csv(directory / "metrics.csv"), spec, style)
    return _OF_SYSTEM[system_of(spec.kind)](directory, spec, style)


def _connectome(directory: Path, spec: Panel, style: Style) -> ConnectomeMaterial:
    return ConnectomeMaterial(
        connectome=Connectome.load(directory / "connectome.zarr"),
        fit=store.read(directory / "fit.zarr", schemas.FIT),
        stimuli=store.read(directory / "stimuli.zarr", schemas.STIMULI),
        attribution=store.read(directory / "attribution.zarr", schemas.ATTRIBUTION),
        control=store.read(directory / "control.zarr", schemas.CONTROL),
        paths=store.read_csv(directory / "paths.csv", text=("stimulus", "pre", "post")),
        metrics=store.read_csv(directory / "metrics.csv"),
        spec=spec,
        style=style,
    )


def _assembly(directory: Path, spec: Panel, style: Style) -> Material:
    return Material(
        simulation=store.read(directory / "simulation.zarr", schemas.SIMULATION),
        recovery=store.read(directory / "recovery.zarr", schemas.RECOVERY),
        rollout=store.read(directory / "rollout.zarr", schemas.ROLLOUT),
        metrics=store.read_csv(directory / "metrics.csv"),
        learning_curve=store.read_csv(directory / "learning_curve.csv"),
        training=store.read_csv(directory / "training.csv"),
        spec=spec,
        style=style,
    )


def _circuit(directory: Path, spec: Panel, style: Style) -> CircuitMaterial:
    responses = store.read(directory / "responses.zarr", schemas.RESPONSES)
    compared = store.read_json(directory / "metrics.json")
    return CircuitMaterial(
        connectome=Connectome.load(directory / "connectome.zarr"),
        responses=responses,
        measures=store.read_csv(directory / "measures.csv"),
        comparison=store.read_csv(directory / "comparison.csv"),
        motifs=store.read_csv(directory / "motifs.csv"),
        mixing=store.read_csv(directory / "mixing.csv"),
        metrics=store.read_csv(directory / "metrics.csv"),
        impulse=Impulse(**json.loads(responses.attrs["config"])["impulse"]),
        measured=Measures(**compared["config"]["measures"]),
        spec=spec,
        style=style,
    )


_OF_SYSTEM = {"assembly": _assembly, "connectome": _connectome, "circuit": _circuit}

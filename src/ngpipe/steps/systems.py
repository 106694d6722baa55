"""The stages of each system: what they leave, what they build on, what of the config they read.

No stage imports this module, so a stage's key depends on the config sections it reads and on no
other. Imports no torch: Snakemake loads it for every job.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from ngpipe.config.circuit import CircuitExperiment
from ngpipe.config.connectivity import File
from ngpipe.config.connectome import ConnectomeExperiment
from ngpipe.config.experiment import Experiment
from ngpipe.config.inputs import Video
from ngpipe.config.systems import AnyExperiment
from ngpipe.config.wiring import GeneratedSource, SynapseSource, SyntheticSource, TableSource
from ngpipe.wiring.places import SOURCES, packaged


def _no_files(_: AnyExperiment) -> list[Path]:
    return []


@dataclass(frozen=True)
class Stage:
    """One stage of a system."""

    outputs: tuple[str, ...]
    """What it leaves in results/runs/<experiment>/."""
    above: tuple[str, ...]
    """Stages whose results it reads."""
    section: Callable[[AnyExperiment], object]
    """The part of the config that it reads, JSON-like."""
    files: Callable[[AnyExperiment], list[Path]] = _no_files
    """Files of the user that it reads."""


def _part(*names: str) -> Callable[[AnyExperiment], object]:
    """Sections of the config: one alone as it is, several by name."""

    def read(experiment: AnyExperiment) -> object:
        whole = experiment.model_dump(mode="json")
        return whole[names[0]] if len(names) == 1 else {name: whole[name] for name in names}

    return read


def _score(experiment: Experiment) -> dict:
    whole = experiment.model_dump(mode="json")
    return {"reference": whole["reference"], "at": whole["rollout"]["at"]}


def _rollout(experiment: Experiment) -> dict:
    return {"n_frames": experiment.rollout.n_frames}


def _fit(experiment: ConnectomeExperiment) -> dict:
    """Given stimuli count where something is fitted to the responses to them."""
    whole = experiment.model_dump(mode="json")
    section = {name: whole[name] for name in ("network", "fit")}
    if experiment.fit is not None:
        given = {name: s for name, s in whole["stimuli"].items() if s["kind"] == "pulse"}
        section["stimuli"] = given
    return section


def _simulated(experiment: Experiment) -> list[Path]:
    parts = experiment.simulation.connectivity, experiment.simulation.input
    return [Path(part.path) for part in parts if isinstance(part, File | Video)]


def _wired(experiment: ConnectomeExperiment | CircuitExperiment) -> list[Path]:
    """Files named; without a name, the one that an installed package carries."""
    source = experiment.connectome.source
    if isinstance(source, GeneratedSource | SyntheticSource):
        return []
    if isinstance(source, SynapseSource):
        return [Path(source.synapses.path), Path(source.cells.path)]
    if source.path is None:
        file = packaged(SOURCES[source.kind])
        return [] if file is None else [file]
    neurons = source.neurons if isinstance(source, TableSource) else None
    return [Path(source.path), *([] if neurons is None else [Path(neurons.path)])]


def _fitted(experiment: ConnectomeExperiment) -> list[Path]:
    return [Path(experiment.fit.targets)] if experiment.fit else []


SYSTEMS: Mapping[str, Mapping[str, Stage]] = {
    "assembly": {
        "simulate": Stage(
            ("simulation.zarr", "simulation.json"), (), _part("simulation"), _simulated
        ),
        "train": Stage(
            ("model.safetensors", "training.csv", "training.zarr", "training.json"),
            ("simulate",),
            _part("training"),
        ),
        "recover": Stage(("recovery.zarr", "recovery.json"), ("train",), _part("recovery")),
        "rollout": Stage(("rollout.zarr", "rollout.json"), ("train",), _rollout),
        "score": Stage(
            ("metrics.csv", "metrics.json", "learning_curve.csv"), ("recover", "rollout"), _score
        ),
    },
    "connectome": {
        "wire": Stage(("connectome.zarr", "connectome.json"), (), _part("connectome"), _wired),
        "fit": Stage(
            ("network.safetensors", "fit.zarr", "fit.json"),
            ("wire",),
            _fit,
            _fitted,
        ),
        "search": Stage(("stimuli.zarr", "stimuli.json"), ("fit",), _part("stimuli")),
        "attribute": Stage(
            ("attribution.zarr", "attribution.json"),
            ("search",),
            _part("readouts", "attribution"),
        ),
        "control": Stage(
            ("control.zarr", "control.json"), ("search",), _part("readouts", "control")
        ),
        "tabulate": Stage(
            (
                *("metrics.csv", "metrics.json", "responses.csv", "paths.csv"),
                *("silencing.csv", "contributions.csv"),
            ),
            ("attribute", "control"),
            _part("paths", "reference"),
        ),
    },
    "circuit": {
        "wire": Stage(("connectome.zarr", "connectome.json"), (), _part("connectome"), _wired),
        "respond": Stage(
            ("responses.zarr", "responses.json"),
            ("wire",),
            _part("network", "neurons", "impulse", "runs", "conditions", "sweep"),
        ),
        "motifs": Stage(("motifs.csv", "motifs.json", "mixing.csv"), ("wire",), _part("motifs")),
        "compare": Stage(
            ("metrics.csv", "metrics.json", "measures.csv", "comparison.csv"),
            ("respond",),
            _part("measures", "reference"),
        ),
    },
}
"""Stages by system, in the order in which they run."""

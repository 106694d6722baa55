"""The stages of each system: one record each, from which command line, keys and rules are fed.

No stage imports this module, so a stage's key depends on the config sections it reads and on no
other. Imports the standard library only: every ``ngpipe --help`` loads it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

WHOLE = ""
"""Path of a part of an experiment that means all of it."""


@dataclass(frozen=True)
class Stage:
    """One stage of a system.

    Its module in ``ngpipe.steps`` has a function ``run(*parts, directory, key=...)``. Parts of an
    experiment are named by the path of their keys, as ``rollout.at``.
    """

    does: str
    """A sentence for the command line."""
    outputs: tuple[str, ...]
    """Its outputs in results/runs/<experiment>/."""
    above: tuple[str, ...]
    """Stages whose results it reads."""
    reads: tuple[str, ...]
    """Parts of the config that its key covers."""
    takes: tuple[str, ...] | None = None
    """Parts that ``run`` is called with, if others; keys of stages above cover what these add."""
    files: tuple[str, ...] = ()
    """Parts that name files of the user, whose content its key covers; some may not be there."""
    computes: bool = False
    """True if ``run`` takes a ``device``."""
    options: Mapping[str, str] = field(default_factory=dict)
    """Further arguments of ``run``: directories, with a sentence for the command line."""

    @property
    def parts(self) -> tuple[str, ...]:
        """Parts of the config that ``run`` is called with."""
        return self.reads if self.takes is None else self.takes


_WIRE = Stage(
    "read or generate the connectome of an experiment",
    outputs=("connectome.zarr", "connectome.json"),
    above=(),
    reads=("connectome",),
    files=(
        *("connectome.source.path", "connectome.source.neurons.path"),
        *("connectome.source.synapses.path", "connectome.source.cells.path"),
    ),
)

SYSTEMS: Mapping[str, Mapping[str, Stage]] = {
    "assembly": {
        "simulate": Stage(
            "simulate the assembly of an experiment",
            outputs=("simulation.zarr", "simulation.json"),
            above=(),
            reads=("simulation",),
            files=("simulation.connectivity.path", "simulation.input.path"),
            computes=True,
        ),
        "train": Stage(
            "train the model, resuming from its checkpoint",
            outputs=("model.safetensors", "training.csv", "training.zarr", "training.json"),
            above=("simulate",),
            reads=("training",),
            computes=True,
            options={
                "tensorboard": "also write the losses as TensorBoard events into this directory"
            },
        ),
        "recover": Stage(
            "read out the trained model, without the truth",
            outputs=("recovery.zarr", "recovery.json"),
            above=("train",),
            reads=("recovery",),
            takes=("recovery", "training"),
            computes=True,
        ),
        "rollout": Stage(
            "predict held-out activity",
            outputs=("rollout.zarr", "rollout.json"),
            above=("train",),
            reads=("rollout.n_frames",),
            takes=("rollout.n_frames", "training"),
            computes=True,
        ),
        "score": Stage(
            "compare recovery and rollout with the truth",
            outputs=("metrics.csv", "metrics.json", "learning_curve.csv"),
            above=("recover", "rollout"),
            reads=("reference", "rollout.at"),
        ),
    },
    "connectome": {
        "wire": _WIRE,
        "fit": Stage(
            "build its network, and fit it to given responses",
            outputs=("network.safetensors", "fit.zarr", "fit.json"),
            above=("wire",),
            reads=("network", "fit", "fitted_to"),
            files=("fit.targets",),
            computes=True,
        ),
        "search": Stage(
            "find or make the stimuli that drive it",
            outputs=("stimuli.zarr", "stimuli.json"),
            above=("fit",),
            reads=("stimuli",),
            computes=True,
        ),
        "attribute": Stage(
            "explain responses by input, connections, groups",
            outputs=("attribution.zarr", "attribution.json"),
            above=("search",),
            reads=("readouts", "attribution"),
            computes=True,
        ),
        "control": Stage(
            "compare responses with those of null connectomes",
            outputs=("control.zarr", "control.json"),
            above=("search",),
            reads=("readouts", "control"),
            takes=(WHOLE,),
            computes=True,
        ),
        "tabulate": Stage(
            "write responses, active paths and effects as tables",
            outputs=(
                *("metrics.csv", "metrics.json", "responses.csv", "paths.csv"),
                *("silencing.csv", "contributions.csv"),
            ),
            above=("attribute", "control"),
            reads=("paths", "reference"),
        ),
    },
    "circuit": {
        "wire": _WIRE,
        "respond": Stage(
            "run a circuit and its conditions on a pulse",
            outputs=("responses.zarr", "responses.json"),
            above=("wire",),
            reads=("network", "neurons", "impulse", "runs", "conditions", "sweep"),
            takes=(WHOLE,),
            computes=True,
        ),
        "motifs": Stage(
            "count motifs of a connectome and of nulls",
            outputs=("motifs.csv", "motifs.json", "mixing.csv"),
            above=("wire",),
            reads=("motifs",),
        ),
        "compare": Stage(
            "measure responses of a circuit and compare them",
            outputs=("metrics.csv", "metrics.json", "measures.csv", "comparison.csv"),
            above=("respond",),
            reads=("measures", "reference"),
            takes=("measures", "reference", "impulse", "conditions"),
        ),
    },
}
"""Stages by system, in the order in which they run."""


def stage_called(name: str) -> Stage:
    """A stage by its name, whichever system it is of."""
    return next(stages[name] for stages in SYSTEMS.values() if name in stages)

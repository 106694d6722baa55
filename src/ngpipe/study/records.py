"""The stages of each system: one record each, from which command line, keys and rules are fed.

No stage imports this module, so a stage's key depends on the config sections it reads and on no
other. Imports the standard library only: every ``ngpipe --help`` loads it.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

WHOLE = ""
"""Path of a part of an experiment that means all of it."""


@dataclass(frozen=True)
class Memory:
    """Memory that a stage asks a cluster for; what it really took stands in its manifest.

    Of a connectome and a circuit the size is known only once it is wired: a constant must do.
    """

    base: int = 2000
    """Whatever the size [MB]."""
    pair: int = 0
    """For each pair of neurons of an assembly [bytes]."""
    value: int = 0
    """For each value of its activity, a neuron in a frame [bytes]."""
    shared: int = 0
    """For each pair of neurons, divided among the jobs of a stage [bytes]."""

    def megabytes(self, n_neurons: int = 0, n_frames: int = 0, jobs: int = 1) -> int:
        """Memory for an experiment of a size [MB]."""
        values = self.pair * n_neurons**2 + self.value * n_neurons * n_frames
        return self.base + (values + self.shared * n_neurons**2 // jobs) // 1_000_000


@dataclass(frozen=True)
class Stage:
    """One stage of a system.

    Its module (:func:`ngpipe.keys.step_module`) has a function ``run(*parts, directory, key=...)``.
    Parts of an experiment are named by the path of their keys, as ``rollout.at``.
    """

    does: str
    """A sentence for the command line."""
    outputs: tuple[str, ...]
    """Its outputs in results/runs/<experiment>/."""
    above: tuple[str, ...]
    """Stages whose results it reads; of each experiment those that it has."""
    reads: tuple[str, ...]
    """Parts of the config that its key covers."""
    takes: tuple[str, ...] | None = None
    """Parts that ``run`` is called with, if others; keys of stages above cover what these add."""
    files: tuple[str, ...] = ()
    """Parts that name files of the user, whose content its key covers; some may not be there."""
    computes: bool = False
    """True if ``run`` takes a ``device``."""
    threads: int = 1
    """As many as it gains from."""
    minutes: int = 30
    """Time that it asks a cluster for."""
    cube: float = 0.0
    """Further minutes for each 1000^3 of the cube of its neurons, divided among its jobs."""
    memory: Memory = field(default_factory=Memory)
    gpu: bool = False
    """True if it gains from a GPU, and asks a cluster for one."""
    sources: tuple[str, ...] = ()
    """Kinds of `source` of the experiments that have it; without, all of its system have it."""
    section: str = ""
    """Section without which an experiment does not have this stage."""
    options: Mapping[str, str] = field(default_factory=dict)
    """Further arguments of ``run``: directories, with a sentence for the command line."""
    counts: Mapping[str, str] = field(default_factory=dict)
    """The same: whole numbers."""
    part_of: str = ""
    """The stage that gathers what this one hands on, and whose key covers what this one does.

    Such a part is run if several jobs are to share the work; what it hands on is then removed."""
    gathering: Memory | None = None
    """Memory of a stage that others are part of, if these are run."""

    @property
    def shared(self) -> bool:
        """True if each of several jobs has a share of the work."""
        return "job" in self.counts

    def time(self, n_neurons: int = 0, jobs: int = 1) -> int:
        """Time for an experiment of a size, whose training so many jobs share [minutes]."""
        cubes = (n_neurons / 1000) ** 3 / (jobs if self.shared else 1)
        return self.minutes + int(self.cube * cubes)

    def megabytes(self, n_neurons: int = 0, n_frames: int = 0, jobs: int = 1) -> int:
        """Memory for it [MB]."""
        gathers = self.gathering is not None and jobs > 1
        memory: Any = self.gathering if gathers else self.memory
        return memory.megabytes(n_neurons, n_frames, jobs)

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

_JOB = {"job": "which job this is, from 1", "jobs": "of how many"}

SYSTEMS: Mapping[str, Mapping[str, Stage]] = {
    "assembly": {
        "simulate": Stage(
            "simulate the assembly of an experiment",
            outputs=("simulation.zarr", "simulation.json"),
            above=(),
            reads=("simulation",),
            files=("simulation.connectivity.path", "simulation.input.path"),
            computes=True,
            minutes=60,
            memory=Memory(1500, pair=16),
            sources=("simulated",),
        ),
        "record": Stage(
            "simulate an assembly and write it as a laboratory would record it",
            outputs=("truth.zarr", "truth.json", "recorded", "recorded.json"),
            above=(),
            reads=("simulation", "source.recorded_as", "source.tau"),
            files=("simulation.connectivity.path", "simulation.input.path"),
            computes=True,
            minutes=60,
            memory=Memory(1500, pair=16, value=24),
            sources=("laboratory",),
        ),
        "import": Stage(
            "read the recording of an experiment, in the place of `simulate`",
            outputs=("simulation.zarr", "simulation.json"),
            above=("record",),
            reads=("source",),
            files=("source.files", "source.input_files", "source.truth"),
            sources=("recording", "laboratory"),
        ),
        "psi": Stage(
            "find psi alone, if jobs are to solve the rows of W (training.closed_form.jobs)",
            outputs=("parts/psi.safetensors", "parts/psi.json"),
            above=("simulate", "import"),
            reads=("training",),
            computes=True,
            threads=8,
            minutes=60,
            cube=0.06,
            memory=Memory(6000, pair=60),
            part_of="train",
        ),
        "gram": Stage(
            "sum one job's share of the products of what senders send",
            outputs=("parts/gram_{job}_of_{jobs}.safetensors", "parts/gram_{job}_of_{jobs}.json"),
            above=("psi",),
            reads=("training",),
            computes=True,
            threads=8,
            cube=0.005,
            memory=Memory(2000, shared=24),
            counts=_JOB,
            part_of="train",
        ),
        "factor": Stage(
            "factor the Gram matrices that jobs have summed",
            outputs=("parts/factor.safetensors", "parts/factor.json"),
            above=("gram",),
            reads=("training",),
            computes=True,
            threads=8,
            cube=0.005,
            memory=Memory(3000, pair=64),
            counts={"jobs": "how many have summed them"},
            part_of="train",
        ),
        "solve_rows": Stage(
            "solve one job's share of the rows of W",
            outputs=(
                "parts/solve_rows_{job}_of_{jobs}.safetensors",
                "parts/solve_rows_{job}_of_{jobs}.json",
            ),
            above=("factor",),
            reads=("training",),
            computes=True,
            threads=8,
            cube=0.05,
            memory=Memory(3500, pair=20, shared=24),
            counts=_JOB,
            part_of="train",
        ),
        "train": Stage(
            "train the model, resuming from its checkpoint",
            outputs=("model.safetensors", "training.csv", "training.zarr", "training.json"),
            above=("simulate", "import"),
            reads=("training",),
            computes=True,
            options={
                "tensorboard": "also write the losses as TensorBoard events into this directory"
            },
            threads=8,
            minutes=240,
            memory=Memory(4000, pair=180, value=8),
            gpu=True,
            counts={"jobs": "gather what so many jobs have solved (`psi` to `solve_rows`)"},
            gathering=Memory(4000, pair=100),
        ),
        "recover": Stage(
            "read out the trained model, without the truth",
            outputs=("recovery.zarr", "recovery.json"),
            above=("train",),
            reads=("recovery",),
            takes=("recovery", "training"),
            computes=True,
            memory=Memory(1500, pair=250),
        ),
        "rollout": Stage(
            "predict held-out activity",
            outputs=("rollout.zarr", "rollout.json"),
            above=("train",),
            reads=("rollout.n_frames",),
            takes=("rollout.n_frames", "training"),
            computes=True,
            memory=Memory(1700, pair=32),
        ),
        "compare_with": Stage(
            "compare recovered W with a known connectome and its nulls",
            outputs=("agreement.csv", "agreement.json", "agreement_metrics.csv"),
            above=("recover",),
            reads=("compare_with",),
            files=tuple(f"compare_with.{path}" for path in _WIRE.files),
            memory=Memory(1500),
            section="compare_with",
        ),
        "score": Stage(
            "compare recovery and rollout with the truth",
            outputs=("metrics.csv", "metrics.json", "learning_curve.csv"),
            above=("recover", "rollout", "compare_with"),
            reads=("reference", "rollout.at"),
            takes=("reference", "rollout.at", "compare_with"),
            memory=Memory(1200, pair=100),
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
            threads=8,
            minutes=120,
            memory=Memory(2000),
            gpu=True,
        ),
        "search": Stage(
            "find or make the stimuli that drive it",
            outputs=("stimuli.zarr", "stimuli.json"),
            above=("fit",),
            reads=("stimuli",),
            computes=True,
            threads=8,
            minutes=120,
            memory=Memory(2000),
            gpu=True,
        ),
        "attribute": Stage(
            "explain responses by input, connections, groups",
            outputs=("attribution.zarr", "attribution.json"),
            above=("search",),
            reads=("readouts", "attribution"),
            computes=True,
            threads=8,
            minutes=120,
            memory=Memory(2000),
            gpu=True,
        ),
        "control": Stage(
            "compare responses with those of null connectomes",
            outputs=("control.zarr", "control.json"),
            above=("search",),
            reads=("readouts", "control"),
            takes=(WHOLE,),
            computes=True,
            minutes=120,
            memory=Memory(2000),
        ),
        "tabulate": Stage(
            "write responses, active paths and effects as tables",
            outputs=(
                *("metrics.csv", "metrics.json", "responses.csv", "paths.csv"),
                *("silencing.csv", "contributions.csv"),
            ),
            above=("attribute", "control"),
            reads=("paths", "reference"),
            memory=Memory(1500),
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
            threads=2,
            minutes=60,
            memory=Memory(1500),
        ),
        "motifs": Stage(
            "count motifs of a connectome and of nulls",
            outputs=("motifs.csv", "motifs.json", "mixing.csv"),
            above=("wire",),
            reads=("motifs",),
            memory=Memory(700),
        ),
        "compare": Stage(
            "measure responses of a circuit and compare them",
            outputs=("metrics.csv", "metrics.json", "measures.csv", "comparison.csv"),
            above=("respond",),
            reads=("measures", "reference"),
            takes=("measures", "reference", "impulse", "conditions"),
            memory=Memory(700),
        ),
    },
    "atlas": {
        "wire": _WIRE,
        "measure": Stage(
            "read measured responses between neurons",
            outputs=("measured.zarr", "measured.json"),
            above=(),
            reads=("measured",),
            files=("measured.path",),
            memory=Memory(700),
        ),
        "agree": Stage(
            "compare measured responses with the connectome and with nulls",
            outputs=("metrics.csv", "metrics.json", "agreement.csv"),
            above=("wire", "measure"),
            reads=("agreement", "reference"),
            memory=Memory(1500),
        ),
    },
}
"""Stages by system, in the order in which they run."""


def parts_of(name: str) -> list[str]:
    """The parts of a stage, in their order."""
    every = {n: stage for stages in SYSTEMS.values() for n, stage in stages.items()}
    return [n for n, stage in every.items() if stage.part_of == name]


def stage_called(name: str) -> Stage:
    """A stage by its name, whichever system it is of."""
    return next(stages[name] for stages in SYSTEMS.values() if name in stages)

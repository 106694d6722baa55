"""The command line: one subcommand per step. It finds the config section, the key and the paths.

Steps are imported when called, so that ``ngpipe --help`` is quick and a step's key covers exactly
what it loads.
"""

import argparse
import contextlib
import errno
import importlib
import os
import sys
import warnings
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from types import ModuleType

from tqdm import tqdm

from ngpipe.config.circuit import (
    CircuitNetwork,
    Condition,
    Impulse,
    Measures,
    Motifs,
    Neurons,
    Runs,
)
from ngpipe.config.describe import describe
from ngpipe.config.excitability import Fit, Network
from ngpipe.config.figures import KINDS, Figure
from ngpipe.config.readouts import Attribution, Control, Paths, Readout
from ngpipe.config.recovery import Recovery, Rollout
from ngpipe.config.simulation import Simulation
from ngpipe.config.stimuli import Pulse, Search
from ngpipe.config.systems import load_experiment
from ngpipe.config.training import Training
from ngpipe.config.wiring import Wiring
from ngpipe.errors import ConfigError, DeviceError, NgpipeError, NgpipeWarning, did_you_mean
from ngpipe.keys import check_closure
from ngpipe.ownership import claim
from ngpipe.steps import new, stages
from ngpipe.steps.new import SYSTEMS
from ngpipe.steps.progress import alive

_CONFIG_HELP = "the config directory (default: config)"
_BOARD_HELP = "also write the losses as TensorBoard events into this directory"
_KEY_HELP = "refuse to run unless the chain key is this one"


def main(arguments: list[str] | None = None) -> int:
    """Run one subcommand; returns the exit status."""
    # Read when torch loads. Threads that spin while they wait take the CPU from all other jobs,
    # and gain nothing where there are none; a policy of the user's own stands.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    options = _parser().parse_args(arguments)
    try:
        with alive(options.command), warnings.catch_warnings():
            warnings.showwarning = _noting(options.command, warnings.showwarning)
            options.call(options)
    except NgpipeError as error:
        return _fail(options, str(error))
    except MemoryError as error:
        return _fail(options, f"out of memory ({error}); use fewer neurons, frames or batch_frames")
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        return _fail(
            options,
            f"no space left to write {error.filename or 'results'}; free some "
            "and run the same command again: nothing is half-written",
        )
    return 0


def _noting(command: str, otherwise: Callable) -> Callable:
    """How to show warnings: those of ngpipe as a sentence, without the source they came from."""

    def show(message: Warning, *about: object, **more: object) -> None:
        if isinstance(message, NgpipeWarning):
            tqdm.write(f"ngpipe {command}: note: {message}", file=sys.stderr)
        else:
            otherwise(message, *about, **more)

    return show


def _fail(options: argparse.Namespace, message: str) -> int:
    sys.stderr.write(f"ngpipe {options.command}: {message}\n")
    return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="ngpipe", description="Run one step of the pipeline.")
    parser.add_argument("--version", action="version", version=f"ngpipe {_version()}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="STEP")

    def add(name: str, sentence: str, call: Callable, *sections: type) -> argparse.ArgumentParser:
        command = commands.add_parser(
            name,
            help=sentence,
            description=sentence,
            epilog=describe(*sections),
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.set_defaults(call=call)
        return command

    for stage, (sentence, call, sections) in _STAGES.items():
        command = add(stage, sentence, call, *sections)
        command.add_argument("config", type=Path, help="the experiment's YAML file")
        command.add_argument(
            "directory", type=Path, nargs="?", help="default: results/runs/<experiment>"
        )
        command.add_argument("--key", help=_KEY_HELP)
        command.add_argument("--threads", type=int, help="CPU threads (default: all)")
        command.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
        if stage == "train":
            command.add_argument("--tensorboard", type=Path, help=_BOARD_HELP)
    panel = add("panel", "draw one panel of a figure as svg and png", _panel)
    movie = add("movie", "draw the movie of an input_movie panel as gif", _movie)
    figure = add("figure", "compose a figure from its panels", _figure)
    for command in (panel, movie, figure):
        command.add_argument("name", help="the figure, a key of `figures` in config.yaml")
        command.add_argument("--config", type=Path, default=Path("config"), help=_CONFIG_HELP)
        command.add_argument("--key", help=_KEY_HELP)
    for command in (panel, movie):
        command.add_argument("panel", help="the panel, a key of the figure's `panels`")
    sweep = add("sweep", "collect the metrics of all points of a sweep", _sweep)
    sweep.add_argument("config", type=Path, help="the YAML file of the experiment that is swept")
    sweep.add_argument("--key", help=_KEY_HELP)
    verify = add("verify", "recompute keys and digests; name the first mismatch", _verify)
    verify.add_argument("figure", type=Path, help="results/Fig2/, or results/sweeps/fig2.csv")
    verify.add_argument("--config", type=Path, help="default: config/ beside results/")
    figures = add("figures", "list the figures: what they show, and how to make one", _figures)
    figures.add_argument("--config", type=Path, default=Path("config"), help=_CONFIG_HELP)
    begin = add("new", "write a starting study: a directory with a config that runs", _new)
    begin.add_argument("directory", type=Path, help="e.g. my_study")
    begin.add_argument("--system", choices=SYSTEMS, default=SYSTEMS[0], help="what it is about")
    inspect = add("inspect", "print what a run, store or file is, holds and comes from", _inspect)
    inspect.add_argument("path", type=Path, help="e.g. results/runs/fig2/, or a store in it")
    return parser


def _version() -> str:
    """Version of this package; of a source that is not installed, that of its project."""
    try:
        return metadata.version("ngpipe")
    except metadata.PackageNotFoundError:
        return "of a source that is not installed"


def _simulate(options: argparse.Namespace) -> None:
    job = _Job(options)
    job.step.run(
        job.experiment.simulation, job.path("simulation.zarr"), key=job.key, device=job.device
    )


def _train(options: argparse.Namespace) -> None:
    job = _Job(options)
    job.step.run(
        job.experiment.training,
        job.directory,
        key=job.key,
        device=job.device,
        checkpoints=Path("checkpoints"),
        tensorboard=options.tensorboard,
    )


def _recover(options: argparse.Namespace) -> None:
    _read_model(options, section="recovery", output="recovery.zarr")


def _rollout(options: argparse.Namespace) -> None:
    _read_model(options, section="rollout", output="rollout.zarr")


def _read_model(options: argparse.Namespace, *, section: str, output: str) -> None:
    job = _Job(options)
    job.step.run(
        getattr(job.experiment, section),
        job.experiment.training,
        job.path("simulation.zarr"),
        job.path("model.safetensors"),
        job.path(output),
        key=job.key,
        device=job.device,
    )


def _score(options: argparse.Namespace) -> None:
    job = _Job(options)
    job.step.run(
        job.experiment.reference,
        job.experiment.rollout.at,
        job.directory,
        job.path("metrics.csv"),
        key=job.key,
    )


def _wire(options: argparse.Namespace) -> None:
    job = _Job(options)
    job.step.run(job.experiment.connectome, job.path("connectome.zarr"), key=job.key)


def _fit(options: argparse.Namespace) -> None:
    job = _Job(options)
    cfg = job.experiment
    job.step.run(
        *(cfg.network, cfg.fit, cfg.stimuli, job.directory),
        key=job.key,
        device=job.device,
        checkpoints=Path("checkpoints"),
    )


def _search(options: argparse.Namespace) -> None:
    job = _Job(options)
    job.step.run(job.experiment.stimuli, job.directory, key=job.key, device=job.device)


def _attribute(options: argparse.Namespace) -> None:
    job = _Job(options)
    cfg = job.experiment
    job.step.run(cfg.readouts, cfg.attribution, job.directory, key=job.key, device=job.device)


def _control(options: argparse.Namespace) -> None:
    job = _Job(options)
    job.step.run(job.experiment, job.directory, key=job.key, device=job.device)


def _tabulate(options: argparse.Namespace) -> None:
    job = _Job(options)
    cfg = job.experiment
    job.step.run(cfg.paths, cfg.reference, job.directory, key=job.key)


def _respond(options: argparse.Namespace) -> None:
    job = _Job(options)
    job.step.run(job.experiment, job.directory, key=job.key, device=job.device)


def _motifs(options: argparse.Namespace) -> None:
    job = _Job(options)
    job.step.run(job.experiment.motifs, job.directory, key=job.key)


def _compare(options: argparse.Namespace) -> None:
    job = _Job(options)
    job.step.run(job.experiment, job.directory, key=job.key)


class _Job:
    """An experiment's stage: its config, key, paths and device."""

    def __init__(self, options: argparse.Namespace) -> None:
        stage = options.command
        self.experiment = load_experiment(options.config)
        self.directory = options.directory or Path("results/runs") / options.config.stem
        self.key = stages.key_of(self.experiment, stage)
        if stage in _OF_RECORDINGS:
            # Snakemake has decided by itself whether a simulation is still good enough.
            planned = options.key == self.key
            recording = _step("origin").foreign(self.directory, self.experiment, simulated=planned)
            self.key = stages.key_of(self.experiment, stage, recording)
        stages.confirm(stage, options.key, self.key)
        claim(self.directory / name for name in stages.outputs_of(stage))
        self.device = _device(options)
        self.step = _step(stage)

    def path(self, name: str) -> Path:
        return self.directory / name


def _panel(options: argparse.Namespace) -> None:
    study, figure = _figure_of(options, options.name)
    spec = stages.spec_of(figure, options.panel)
    key = _key(options, study, lambda study: study.panel_key(options.name, options.panel))
    output = Path("results/panels") / options.name / options.panel
    _step("panel", KINDS[spec.kind].module).run(
        spec, study.figures.style, Path("results/runs") / spec.of, output, key=key
    )


def _movie(options: argparse.Namespace) -> None:
    study, figure = _figure_of(options, options.name)
    spec = stages.spec_of(figure, options.panel)
    if options.panel not in figure.movies():
        raise ConfigError(
            f"panel '{options.panel}' is of kind {spec.kind}, which has no movie; the movies of "
            f"{options.name} are {figure.movies()}"
        )
    key = _key(options, study, lambda study: study.movie_key(options.name, options.panel))
    output = Path("results/panels") / options.name / options.panel
    _step("movie", KINDS[spec.kind].module).run(
        spec, study.figures.style, Path("results/runs") / spec.of, output, key=key
    )


def _figure(options: argparse.Namespace) -> None:
    study, figure = _figure_of(options, options.name)
    key = _key(options, study, lambda study: study.figure_key(options.name))
    drawn = {KINDS[panel.kind].module for panel in figure.panels.values()}
    stages_of = study.beneath(options.name)
    step, style = _step("figure", *drawn), study.figures.style
    step.run(options.name, figure, style, Path("results"), stages=stages_of, key=key)


def _key(
    options: argparse.Namespace, study: stages.Study, key: Callable[[stages.Study], str]
) -> str:
    """Key of what a figure needs; of recordings of the user's own, their content counts."""
    now = key(study)
    if options.key != now:
        names = study.experiments_of(options.name)
        now = key(_step("origin").with_recordings(study, Path("results/runs"), names))
    stages.confirm(options.command, options.key, now)
    return now


def _sweep(options: argparse.Namespace) -> None:
    name = options.config.stem
    points = stages.swept(name, load_experiment(options.config))
    key = stages.sweep_key(points)
    stages.confirm("sweep", options.key, key)
    _step("sweep").run(
        points, Path("results/runs"), Path("results/sweeps") / f"{name}.csv", key=key
    )


def _verify(options: argparse.Namespace) -> None:
    typed = options.figure
    is_sweep = typed.suffix == ".csv"
    options.figure = typed.absolute()
    beside = options.figure.parents[2 if is_sweep else 1] / "config"
    options.config = (options.config or beside).absolute()
    call = _verify_sweep if is_sweep else _verify_figure
    # Files that a config names are meant from the directory that holds the config.
    study = options.config.parent
    if options.figure.is_relative_to(study):
        options.figure = options.figure.relative_to(study)
    with contextlib.chdir(study if study.is_dir() else Path.cwd()):
        told = call(options)
    sys.stdout.write(
        f"{typed}: {told}: every file is there, unchanged, and what today's "
        "config and source give\n"
    )


def _verify_sweep(options: argparse.Namespace) -> str:
    table = options.figure
    experiment = load_experiment(options.config / "experiments" / f"{table.stem}.yaml")
    points = stages.swept(table.stem, experiment)
    runs = table.parent.parent / "runs"
    foreign = _step("origin").foreign
    known = {
        name: stages.stage_keys(
            point.experiment, foreign(runs / name, point.experiment, simulated=True)
        )
        for name, point in points.items()
    }
    _step("verify").run_sweep(table, runs, known, key=stages.sweep_key(points))
    return f"metrics of {', '.join(points)}"


def _verify_figure(options: argparse.Namespace) -> str:
    study, figure = _figure_of(options, options.figure.name)
    experiments = study.experiments_of(options.figure.name)
    runs = options.figure.parent / "runs"
    study = _step("origin").with_recordings(study, runs, experiments)
    _step("verify").run(
        options.figure,
        runs,
        study.beneath(options.figure.name),
        key=study.figure_key(options.figure.name),
    )
    return f"{len(figure.panels)} panels from {', '.join(experiments)}"


def _new(options: argparse.Namespace) -> None:
    sys.stdout.write(new.run(options.directory, options.system))


def _figures(options: argparse.Namespace) -> None:
    figures = stages.open_study(options.config).figures.figures
    for name, figure in figures.items():
        shown = figure.about or f"{len(figure.panels)} panels"
        of = ", ".join(dict.fromkeys(panel.of for panel in figure.panels.values()))
        sys.stdout.write(f"{name}: {shown}\n    from {of}\n")
    sys.stdout.write(
        f"\nMake one:   snakemake --cores 2 results/{next(iter(figures), '<Figure>')}/\n"
        "Make all:   snakemake --cores 2 all\n"
        "See what would run: add -n\n"
    )


def _inspect(options: argparse.Namespace) -> None:
    _step("inspect").run(options.path)


def _figure_of(options: argparse.Namespace, name: str) -> tuple[stages.Study, Figure]:
    study = stages.open_study(options.config)
    if name not in study.figures.figures:
        raise ConfigError(
            f"no figure '{name}' in {options.config / 'config.yaml'}"
            f"{did_you_mean(name, study.figures.figures)}; it has "
            f"{', '.join(study.figures.figures)}"
        )
    return study, study.figures.figures[name]


def _step(name: str, *drawn: str) -> ModuleType:
    """Import a step and check that its key covers all it loads; others may have run before it.

    Args:
        name: of the step.
        drawn: modules that it is to load by name.
    """
    before = set(sys.modules)
    module = importlib.import_module(f"ngpipe.steps.{name}")
    for other in drawn:
        importlib.import_module(other)
    check_closure(name, *drawn, loaded=set(sys.modules) - before)
    return module


def _device(options: argparse.Namespace) -> "torch.device":  # noqa: F821
    """The device asked for, and as many threads as asked for but no more than there are.

    Raises:
        DeviceError: the device is unknown or absent.
    """
    import torch

    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    torch.set_num_threads(min(options.threads or available, available))
    name = options.device
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise DeviceError(f"--device {name}: expected auto, cpu, cuda or cuda:N") from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise DeviceError(
            f"--device {name}: this machine has {torch.cuda.device_count()} CUDA devices that "
            "torch can use; use --device cpu, or install a CUDA build of torch"
        )
    if device.type not in ("cpu", "cuda"):
        raise DeviceError(f"--device {name}: expected auto, cpu, cuda or cuda:N")
    return device


_OF_RECORDINGS = ("train", "recover", "rollout", "score")
_TABLES = (Readout, Paths)
_CIRCUIT = (CircuitNetwork, Neurons, Impulse, Runs, Condition)
_STAGES = {
    "simulate": ("simulate the assembly of an experiment", _simulate, (Simulation,)),
    "train": ("train the model, resuming from its checkpoint", _train, (Training,)),
    "recover": ("read the trained model out, without the truth", _recover, (Recovery,)),
    "rollout": ("predict held-out activity", _rollout, (Rollout,)),
    "score": ("compare recovery and rollout with the truth", _score, ()),
    "wire": ("read or generate the connectome of an experiment", _wire, (Wiring,)),
    "fit": ("build its network, and fit it to given responses", _fit, (Network, Fit)),
    "search": ("find or make the stimuli that drive it", _search, (Pulse, Search)),
    "attribute": ("explain responses by input, connections, groups", _attribute, (Attribution,)),
    "control": ("compare responses with those of null connectomes", _control, (Control,)),
    "tabulate": ("write responses, active paths and effects as tables", _tabulate, _TABLES),
    "respond": ("run a circuit, and what it is compared with, on a pulse", _respond, _CIRCUIT),
    "motifs": ("count motifs of a connectome and of nulls", _motifs, (Motifs,)),
    "compare": ("measure responses of a circuit and compare them", _compare, (Measures,)),
}

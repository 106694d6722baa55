"""The command line: one subcommand per step.

What a subcommand does is in ``ngpipe.commands``, loaded when it is called: ``ngpipe --help`` loads
neither models of configs nor torch.
"""

import argparse
import importlib
import os
import sys
from collections.abc import Callable
from pathlib import Path

from ngpipe.errors import NgpipeError
from ngpipe.study.records import SYSTEMS, Stage

_CONFIG_HELP = "the config directory (default: config)"
_KEY_HELP = "refuse to run unless the chain key is this one"


def main(arguments: list[str] | None = None) -> int:
    """Run one subcommand; returns the exit status."""
    # Read when torch loads. Threads that spin while they wait take the CPU from all other jobs,
    # and gain nothing where there are none; a policy of the user's own stands.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    options = parsed(arguments)
    from ngpipe.commands.telling import trouble, watched

    try:
        with watched(options.command):
            room, _, name = options.runs.partition(".")
            getattr(importlib.import_module(f"ngpipe.commands.{room}"), name)(options)
    except (NgpipeError, MemoryError, OSError, RuntimeError) as error:
        if (message := trouble(error)) is None:
            raise
        sys.stderr.write(f"ngpipe {options.command}: {message}\n")
        return 1
    return 0


def parsed(arguments: list[str] | None = None) -> argparse.Namespace:
    """The subcommand and its options; ``runs`` is the function of ``ngpipe.commands`` for it."""
    return _parser().parse_args(arguments)


class _Version(argparse.Action):
    """Version of this package; of a source that is not installed, that of its project."""

    def __init__(self, option_strings: list[str], dest: str, **about: object) -> None:
        super().__init__(option_strings, dest, nargs=0, help="show the version, and stop")

    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        from importlib import metadata

        try:
            found = metadata.version("ngpipe")
        except metadata.PackageNotFoundError:
            found = "of a source that is not installed"
        sys.stdout.write(f"ngpipe {found}\n")
        parser.exit()


class _Command(argparse.ArgumentParser):
    """Parser of a subcommand; that of a stage lists the keys of the config that it reads."""

    def format_help(self) -> str:
        """The help, with the keys of sections if ``stage`` is one of the defaults."""
        if (stage := self.get_default("stage")) is not None:
            from ngpipe.config.describe import describe
            from ngpipe.study.sections import sections

            self.epilog = describe(*sections(stage))
        return super().format_help()


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="ngpipe", description="Run one step of the pipeline.")
    parser.add_argument("--version", action=_Version)
    commands = parser.add_subparsers(
        dest="command", required=True, metavar="STEP", parser_class=_Command
    )

    def add(name: str, sentence: str, runs: str) -> argparse.ArgumentParser:
        command = commands.add_parser(
            name,
            help=sentence,
            description=sentence,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        command.set_defaults(runs=runs)
        return command

    for name, stage in {n: s for stages in SYSTEMS.values() for n, s in stages.items()}.items():
        _of_stage(add(name, stage.does, "stage.run"), name, stage)
    _of_figures(add)
    sweep = add("sweep", "collect the metrics of all points of a sweep", "sweep.run")
    sweep.add_argument("config", type=Path, help="the YAML file of the experiment that is swept")
    sweep.add_argument("--key", help=_KEY_HELP)
    verify = add("verify", "recompute keys and digests; name the first mismatch", "verify.run")
    verify.add_argument("figure", type=Path, help="results/Fig2/, or results/sweeps/fig2.csv")
    verify.add_argument("--config", type=Path, help="default: config/ beside results/")
    _of_a_study(add)
    inspect = add(
        "inspect", "print what a run, store or file is, holds and comes from", "inspect.run"
    )
    inspect.add_argument("path", type=Path, help="e.g. results/runs/fig2/, or a store in it")
    return parser


def _of_a_study(add: Callable[[str, str, str], argparse.ArgumentParser]) -> None:
    new = add("new", "write a starting study: a directory with a config that runs", "new.run")
    new.add_argument("directory", type=Path, help="e.g. my_study")
    new.add_argument(
        "--system", choices=SYSTEMS, default=next(iter(SYSTEMS)), help="what it is about"
    )
    new.add_argument(
        "--from",
        dest="recording",
        type=Path,
        metavar="FILE",
        help="a recording of your own, in any format that `ngpipe inspect` reads",
    )
    new.add_argument("--series", help="which series of it, as `ngpipe inspect FILE` names them")


def _of_stage(command: argparse.ArgumentParser, name: str, stage: Stage) -> None:
    command.set_defaults(stage=name)
    command.add_argument("config", type=Path, help="the experiment's YAML file")
    command.add_argument(
        "directory", type=Path, nargs="?", help="default: results/runs/<experiment>"
    )
    command.add_argument("--key", help=_KEY_HELP)
    command.add_argument("--threads", type=int, help="CPU threads (default: all)")
    command.add_argument("--device", default="auto", help="auto, cpu, cuda or cuda:N")
    for option, sentence in stage.options.items():
        command.add_argument(f"--{option}", type=Path, help=sentence)
    for option, sentence in stage.counts.items():
        command.add_argument(f"--{option}", type=int, required=bool(stage.part_of), help=sentence)


def _of_figures(add: Callable[[str, str, str], argparse.ArgumentParser]) -> None:
    panel = add("panel", "draw one panel of a figure as svg and png", "figures.panel")
    movie = add("movie", "draw the movie of an input_movie panel as gif", "figures.movie")
    figure = add("figure", "compose a figure from its panels", "figures.figure")
    for command in (panel, movie, figure):
        command.add_argument("name", help="the figure, a key of `figures` in config.yaml")
        command.add_argument("--config", type=Path, default=Path("config"), help=_CONFIG_HELP)
        command.add_argument("--key", help=_KEY_HELP)
    for command in (panel, movie):
        command.add_argument("panel", help="the panel, a key of the figure's `panels`")
    listed = "list the figures: what they show, and how to make one"
    figures = add("figures", listed, "figures.listed")
    figures.add_argument("--config", type=Path, default=Path("config"), help=_CONFIG_HELP)

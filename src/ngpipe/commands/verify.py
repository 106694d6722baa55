"""``ngpipe verify``: is a figure, or the table of a sweep, what config and source give today?"""

import argparse
import contextlib
import sys
from pathlib import Path

from ngpipe.artifacts import whose
from ngpipe.commands.figures import figure_of
from ngpipe.config.systems import load_experiment
from ngpipe.errors import NgpipeError
from ngpipe.study import stages, verify


def run(options: argparse.Namespace) -> None:
    """Recompute keys and digests, and say that all is well.

    Raises:
        NgpipeError: naming the first mismatch.
    """
    is_sweep = options.figure.suffix == ".csv"
    result = options.figure.absolute()
    beside = result.parents[2 if is_sweep else 1] / "config"
    config = (options.config or beside).absolute()
    # Files that a config names are meant from the directory that holds the config.
    study = config.parent
    if result.is_relative_to(study):
        result = result.relative_to(study)
    try:
        with contextlib.chdir(study if study.is_dir() else Path.cwd()):
            told = (_sweep if is_sweep else _figure)(result, config)
    except NgpipeError as error:
        if study == Path.cwd():
            raise
        raise type(error)(f"{error} (in {study})") from error
    sys.stdout.write(
        f"{options.figure}: {told}: every file is there, unchanged, and what today's "
        "config and source give\n"
    )


def _sweep(table: Path, config: Path) -> str:
    experiment = load_experiment(config / "experiments" / f"{table.stem}.yaml")
    points = stages.swept(table.stem, experiment)
    runs = table.parent.parent / "runs"
    foreign = whose.foreign
    known = {
        name: stages.stage_keys(
            point.experiment, foreign(runs / name, point.experiment, simulated=True)
        )
        for name, point in points.items()
    }
    by_hand = [f"ngpipe sweep config/experiments/{table.stem}.yaml"]
    verify.run_sweep(table, runs, known, key=stages.sweep_key(points), by_hand=by_hand)
    return f"metrics of {', '.join(points)}"


def _figure(directory: Path, config: Path) -> str:
    name = directory.name
    study, figure = figure_of(config, name)
    experiments, runs = study.experiments_of(name), directory.parent / "runs"
    study = whose.with_recordings(study, runs, experiments)
    drawn = [
        *(f"ngpipe panel {name} {panel}" for panel in figure.panels),
        *(f"ngpipe movie {name} {panel}" for panel in figure.movies()),
        f"ngpipe figure {name}",
    ]
    key = study.figure_key(name)
    verify.run(directory, runs, study.beneath(name), key=key, by_hand=drawn)
    return f"{len(figure.panels)} panels from {', '.join(experiments)}"

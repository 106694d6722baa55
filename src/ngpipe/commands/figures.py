"""``ngpipe panel``, ``movie``, ``figure`` and ``figures``: what config.yaml draws."""

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from ngpipe.artifacts import whose
from ngpipe.commands.loading import step
from ngpipe.config.figures import KINDS, Figure
from ngpipe.errors import ConfigError, did_you_mean
from ngpipe.study import stages

_RUNS, _PANELS = Path("results/runs"), Path("results/panels")


def panel(options: argparse.Namespace) -> None:
    """Draw one panel of a figure."""
    study, figure = figure_of(options.config, options.name)
    spec = stages.spec_of(figure, options.panel)
    key = _key(options, study, lambda study: study.panel_key(options.name, options.panel))
    output = _PANELS / options.name / options.panel
    step("panel", KINDS[spec.kind].module).run(
        spec, study.figures.style, _RUNS / spec.of, output, key=key
    )


def movie(options: argparse.Namespace) -> None:
    """Draw the movie of one panel of a figure.

    Raises:
        ConfigError: its kind has no movie.
    """
    study, figure = figure_of(options.config, options.name)
    spec = stages.spec_of(figure, options.panel)
    if options.panel not in figure.movies():
        raise ConfigError(
            f"panel '{options.panel}' is of kind {spec.kind}, which has no movie; the movies of "
            f"{options.name} are {figure.movies()}"
        )
    key = _key(options, study, lambda study: study.movie_key(options.name, options.panel))
    output = _PANELS / options.name / options.panel
    step("movie", KINDS[spec.kind].module).run(
        spec, study.figures.style, _RUNS / spec.of, output, key=key
    )


def figure(options: argparse.Namespace) -> None:
    """Compose a figure from its panels."""
    study, spec = figure_of(options.config, options.name)
    key = _key(options, study, lambda study: study.figure_key(options.name))
    drawn = {KINDS[panel.kind].module for panel in spec.panels.values()}
    step("figure", *drawn).run(
        *(options.name, spec, study.figures.style, Path("results")),
        stages=study.beneath(options.name),
        key=key,
    )


def listed(options: argparse.Namespace) -> None:
    """List the figures: what they show, and how to make one."""
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


def figure_of(config: Path, name: str) -> tuple[stages.Study, Figure]:
    """The study in a config directory, and one of its figures.

    Raises:
        ConfigError: there is no such figure; names those there are.
    """
    study = stages.open_study(config)
    if name not in study.figures.figures:
        raise ConfigError(
            f"no figure '{name}' in {config / 'config.yaml'}"
            f"{did_you_mean(name, study.figures.figures)}; it has "
            f"{', '.join(study.figures.figures)}"
        )
    return study, study.figures.figures[name]


def _key(
    options: argparse.Namespace, study: stages.Study, key: Callable[[stages.Study], str]
) -> str:
    """Key of what a figure needs; of recordings of the user's own, their content counts."""
    now = key(study)
    if options.key != now:
        names = study.experiments_of(options.name)
        now = key(whose.with_recordings(study, _RUNS, names))
    stages.confirm(options.command, options.key, now)
    return now

"""The stages of an experiment and their chain keys: what Snakemake and the command line share.

No stage imports this module, so a stage's key depends on the config sections it reads and on no
other. Imports no torch: Snakemake loads it for every job.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from ngpipe.config.connectivity import File
from ngpipe.config.experiment import Experiment
from ngpipe.config.figures import Figure, Figures, Panel, Style
from ngpipe.config.inputs import Video
from ngpipe.config.load import load, validate
from ngpipe.errors import ConfigError, StaleError
from ngpipe.keys import chain_key

STAGES = ("simulate", "train", "recover", "rollout", "score")

OUTPUTS = {
    "simulate": ("simulation.zarr", "simulation.json"),
    "train": ("model.safetensors", "training.csv", "training.zarr", "training.json"),
    "recover": ("recovery.zarr", "recovery.json"),
    "rollout": ("rollout.zarr", "rollout.json"),
    "score": ("metrics.csv", "metrics.json", "learning_curve.csv"),
}
"""What each stage leaves in results/runs/<experiment>/."""


@dataclass(frozen=True)
class Study:
    """A config directory: the figures, the experiments they draw on, and all keys."""

    figures: Figures
    experiments: Mapping[str, Experiment]

    def keys(self, experiment: str) -> dict[str, str]:
        """Key of every stage of one experiment."""
        return stage_keys(self.experiments[experiment])

    def panel_key(self, figure: str, panel: str) -> str:
        """Key of one panel: its spec, the style, and the whole chain of its experiment."""
        spec = self.figures.figures[figure].panels[panel]
        return panel_key(spec, self.figures.style, self.keys(spec.of))

    def movie_key(self, figure: str, panel: str) -> str:
        """Key of the movie of one panel: as that of the panel, with the source of the movie."""
        spec = self.figures.figures[figure].panels[panel]
        return panel_key(spec, self.figures.style, self.keys(spec.of), step="movie")

    def figure_key(self, figure: str) -> str:
        """Key of a composed figure: its layout, the style, and the keys of panels and movies."""
        spec = self.figures.figures[figure]
        above = [self.panel_key(figure, panel) for panel in spec.panels]
        above += [self.movie_key(figure, panel) for panel in spec.movies()]
        section = [spec.model_dump(mode="json"), self.figures.style.model_dump(mode="json")]
        return chain_key("figure", section, above)

    def experiments_of(self, figure: str) -> list[str]:
        """Names of the experiments a figure draws on, each once, in order."""
        return list(dict.fromkeys(p.of for p in self.figures.figures[figure].panels.values()))


def open_study(directory: Path, overridden: Mapping | None = None) -> Study:
    """Load config/config.yaml and every experiment that its figures name.

    Args:
        directory: the config directory: ``config.yaml`` and ``experiments/``.
        overridden: the same config as Snakemake sees it, to be refused if it differs.

    Raises:
        ConfigError: listing the mistakes of all files at once.
    """
    path = directory / "config.yaml"
    figures = load(path, Figures)
    if overridden is not None and validate(overridden, Figures, where="--config") != figures:
        raise ConfigError(
            f"--config and --configfile say otherwise than {path}; write the change into {path}, "
            "so that results and config agree"
        )
    names = dict.fromkeys(p.of for f in figures.figures.values() for p in f.panels.values())
    experiments, mistakes = {}, []
    for name in names:
        try:
            experiments[name] = load(directory / "experiments" / f"{name}.yaml", Experiment)
        except ConfigError as error:
            mistakes.append(str(error))
        else:
            mistakes += [
                f"experiment {name}: no file at {file}, named in its section `simulation`"
                for file in named_files(experiments[name])
                if not file.exists()
            ]
    mistakes += _frames_not_scored(figures, experiments)
    mistakes += _frames_not_recorded(figures, experiments)
    if mistakes:
        raise ConfigError("\n".join(mistakes))
    return Study(figures, experiments)


def _frames_not_scored(figures: Figures, experiments: Mapping[str, Experiment]) -> list[str]:
    """Panels that show a frame of the rollout that their experiment does not score."""
    return [
        f"figures.{figure}.panels.{name}.frame: {panel.frame} is not among rollout.at of "
        f"experiment {panel.of}, {list(experiments[panel.of].rollout.at)}; add it there"
        for figure, spec in figures.figures.items()
        for name, panel in spec.panels.items()
        if panel.kind == "rollout_scatter"
        and panel.of in experiments
        and panel.frame not in experiments[panel.of].rollout.at
    ]


def _frames_not_recorded(figures: Figures, experiments: Mapping[str, Experiment]) -> list[str]:
    """Panels that show a frame of the recording that their experiment does not have."""
    return [
        f"figures.{figure}.panels.{name}: frame {frame} lies beyond simulation.n_frames of "
        f"experiment {panel.of} ({experiments[panel.of].simulation.n_frames}); name an earlier one"
        for figure, spec in figures.figures.items()
        for name, panel in spec.panels.items()
        if panel.kind != "rollout_scatter" and panel.of in experiments
        for frame in (panel.frame or 0, *(panel.at or ()))
        if frame >= experiments[panel.of].simulation.n_frames
    ]


def section(experiment: Experiment, stage: str) -> dict:
    """The part of an experiment's config that a stage reads, JSON-like."""
    whole = experiment.model_dump(mode="json")
    match stage:
        case "simulate":
            return whole["simulation"]
        case "train":
            return whole["training"]
        case "recover":
            return whole["recovery"]
        case "rollout":
            return {"n_frames": whole["rollout"]["n_frames"]}
        case "score":
            return {"reference": whole["reference"], "at": whole["rollout"]["at"]}
    raise KeyError(stage)


def stage_keys(experiment: Experiment) -> dict[str, str]:
    """Key of every stage: simulate -> train -> recover, rollout -> score."""
    keys: dict[str, str] = {}
    above = {
        "simulate": [],
        "train": ["simulate"],
        "recover": ["train"],
        "rollout": ["train"],
        "score": ["recover", "rollout"],
    }
    for stage in STAGES:
        files = named_files(experiment) if stage == "simulate" else []
        upstream = [keys[name] for name in above[stage]]
        keys[stage] = chain_key(stage, section(experiment, stage), upstream, files)
    return keys


def named_files(experiment: Experiment) -> list[Path]:
    """Files of the user that the simulation reads."""
    parts = experiment.simulation.connectivity, experiment.simulation.input
    return [Path(part.path) for part in parts if isinstance(part, File | Video)]


def panel_key(
    spec: Panel, style: Style, above: Mapping[str, str], step: Literal["panel", "movie"] = "panel"
) -> str:
    """Key of a panel or its movie; it may draw from any store of its experiment."""
    content = [spec.model_dump(mode="json"), style.model_dump(mode="json")]
    return chain_key(step, content, [above[stage] for stage in STAGES])


def confirm(stage: str, planned: str | None, now: str) -> None:
    """Refuse to run a job under another config or source than it was planned with.

    Raises:
        StaleError: the key Snakemake planned with is not the one of today's config and source.
    """
    if planned is not None and planned != now:
        raise StaleError(
            f"step '{stage}' was planned under key {planned[:12]}, but config, named files and "
            f"source now give {now[:12]}: something was edited since; run the command again"
        )


def spec_of(figure: Figure, panel: str) -> Panel:
    """The spec of a named panel.

    Raises:
        ConfigError: naming the panels there are.
    """
    if panel not in figure.panels:
        raise ConfigError(f"no panel '{panel}' in this figure; it has {list(figure.panels)}")
    return figure.panels[panel]

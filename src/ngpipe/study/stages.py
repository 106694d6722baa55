"""A study, its experiments and their chain keys: what Snakemake and the command line share.

No stage imports this module, so a stage's key depends on the config sections it reads and on no
other. Imports no torch: Snakemake loads it for every job.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from ngpipe.config.figures import KINDS, Figure, Figures, Panel, Style
from ngpipe.config.load import load, validate
from ngpipe.config.panels import SWEPT
from ngpipe.config.sweep import Point, base_of, named_points, spelled
from ngpipe.config.systems import AnyExperiment, load_with_points, unknown_point
from ngpipe.errors import ConfigError, StaleError
from ngpipe.keys import chain_key, step_module
from ngpipe.study import sections
from ngpipe.study.records import SYSTEMS, Stage, parts_of, stage_called
from ngpipe.study.suited import lacks

METRICS = {"metrics.csv"}
"""Files that a figure reads of each of its experiments."""


@dataclass(frozen=True)
class Foreign:
    """Digests of a recording that no stage wrote; they stand for the key of its first stage."""

    seen: str
    """Digest of what training sees."""
    whole: str
    """Digest of everything, including a truth to compare with."""


@dataclass(frozen=True)
class Study:
    """A config directory: the figures, the experiments they draw on, and all keys."""

    figures: Figures
    experiments: Mapping[str, AnyExperiment]
    recordings: Mapping[str, Foreign] = field(default_factory=dict)
    """Recordings that are the user's own, by experiment."""
    _known: dict[str, Mapping[str, str]] = field(default_factory=dict, init=False, compare=False)
    """Keys that were asked for."""

    def keys(self, experiment: str) -> Mapping[str, str]:
        """Key of every stage of one experiment."""
        if experiment not in self._known:
            recording = self.recordings.get(experiment)
            self._known[experiment] = stage_keys(self.experiments[experiment], recording)
        return self._known[experiment]

    def key(self, experiment: str, stage: str) -> str:
        """Key of a stage or of a part of one."""
        keys = self.keys(experiment)
        if stage not in keys:
            return key_of(self.experiments[experiment], stage, self.recordings.get(experiment))
        return keys[stage]

    def reused(self, experiment: str) -> list[str]:
        """Stages in which a point of a sweep does not differ from its experiment, by their keys."""
        base = base_of(experiment)
        if base == experiment:
            return []
        known = self.keys(base)
        return [stage for stage, key in self.keys(experiment).items() if key == known[stage]]

    def panel_key(self, figure: str, panel: str) -> str:
        """Key of one panel: its spec, the style, its drawing, and the results that it reads."""
        spec = self.figures.figures[figure].panels[panel]
        return panel_key(spec, self.figures.style, self._read_by(spec))

    def movie_key(self, figure: str, panel: str) -> str:
        """Key of the movie of one panel: as that of the panel, with the source of the movie."""
        spec = self.figures.figures[figure].panels[panel]
        return panel_key(spec, self.figures.style, self._read_by(spec), step="movie")

    def _read_by(self, spec: Panel) -> list[str]:
        """Keys of the results that a panel reads."""
        experiment, known = self.experiments[spec.of], self.keys(spec.of)
        above = [known[stage] for stage in making(experiment, KINDS[spec.kind].reads)]
        if SWEPT in KINDS[spec.kind].reads:
            above.append(sweep_key(swept(spec.of, experiment)))
        return above

    def figure_key(self, figure: str) -> str:
        """Key of a composed figure: layout, style, keys of panels, movies and metrics."""
        spec = self.figures.figures[figure]
        above = [self.panel_key(figure, panel) for panel in spec.panels]
        above += [self.movie_key(figure, panel) for panel in spec.movies()]
        above += [self.keys(of)[scored(self.experiments[of])] for of in self.experiments_of(figure)]
        section = [
            spec.model_dump(mode="json", exclude={"about"}),
            self.figures.style.model_dump(mode="json"),
        ]
        return chain_key("figure", section, above)

    def beneath(self, figure: str) -> dict[str, dict[str, str]]:
        """Keys of the stages that a figure needs, by experiment, in their order."""
        found = {}
        for of in self.experiments_of(figure):
            panels = self.figures.figures[figure].panels.values()
            files = {file for p in panels if p.of == of for file in KINDS[p.kind].reads}
            whole = chain_of(self.experiments[of], making(self.experiments[of], files | METRICS))
            found[of] = {stage: key for stage, key in self.keys(of).items() if stage in whole}
        return found

    def experiments_of(self, figure: str) -> list[str]:
        """Names of the experiments a figure draws on, each once, in order."""
        return list(dict.fromkeys(p.of for p in self.figures.figures[figure].panels.values()))


def open_study(directory: Path, overridden: Mapping | None = None) -> Study:
    """Load config/config.yaml, and every experiment that its figures name with its points.

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
            f"--config and --configfile contradict {path}; write the change into {path}, so that "
            "results and config agree"
        )
    names = dict.fromkeys(p.of for f in figures.figures.values() for p in f.panels.values())
    experiments: dict[str, AnyExperiment] = {}
    mistakes: list[str] = []
    for name in dict.fromkeys(map(base_of, names)):
        try:
            found = load_with_points(directory / "experiments" / f"{name}.yaml")
        except ConfigError as error:
            mistakes.append(str(error))
        else:
            experiments |= found
            mistakes += _files_missing(found)
            absent = [n for n in names if base_of(n) == name and n not in found]
            mistakes += [unknown_point(n, found) for n in absent]
    for label, panel in _panels(figures):
        if panel.of in experiments:
            mistakes += [f"{label}{text}" for text in _unsuited(panel, experiments[panel.of])]
    if mistakes:
        raise ConfigError("\n".join(mistakes))
    return Study(figures, experiments)


def _files_missing(experiments: Mapping[str, AnyExperiment]) -> list[str]:
    """Files that are not there; what all points of a sweep miss is said once."""
    missing: dict[tuple[str, Path], str] = {}
    for name, experiment in experiments.items():
        for stage, file in named_files(experiment):
            if not file.exists():
                text = f"experiment {name}: no file at {file}, which its stage `{stage}` is to read"
                missing.setdefault((stage, file), text)
    return list(missing.values())


def named_files(experiment: AnyExperiment) -> list[tuple[str, Path]]:
    """Files of the user, with the stage that reads them."""
    stages = stages_of(experiment).items()
    return [(name, file) for name, stage in stages for file in sections.files(stage, experiment)]


def _panels(figures: Figures) -> Iterator[tuple[str, Panel]]:
    """All panels, with their place in config.yaml."""
    for figure, spec in figures.figures.items():
        for name, panel in spec.panels.items():
            yield f"figures.{figure}.panels.{name}", panel


def _unsuited(panel: Panel, experiment: AnyExperiment) -> Iterator[str]:
    """Yield what a panel shows but its experiment lacks."""
    system = KINDS[panel.kind].system
    if system is None:
        yield from _not_swept(panel, experiment)
    elif system != experiment.system:
        yield (
            f".kind: {panel.kind} shows experiments of system {system}, but "
            f"{panel.of} is of system {experiment.system}; take another kind or experiment"
        )
    else:
        yield from lacks(panel, experiment)


def _not_swept(panel: Panel, experiment: AnyExperiment) -> Iterator[str]:
    """A sweep that is not there, or is none of experiments."""
    try:
        swept(panel.of, experiment)
    except ConfigError as error:
        yield f".of: {error}"
        return
    if panel.parameter not in experiment.sweep:
        yield (
            f".parameter: {panel.parameter} is not swept by experiment {panel.of}, whose sweep is "
            f"of {list(experiment.sweep)}; add it there"
        )


def every_stage() -> list[str]:
    """Names of the stages of all systems, in the order in which they run."""
    return list(dict.fromkeys(name for stages in SYSTEMS.values() for name in stages))


def stages_of(experiment: AnyExperiment) -> Mapping[str, Stage]:
    """Stages of an experiment, in the order in which they run, without parts of stages."""
    kind = getattr(getattr(experiment, "source", None), "kind", None)
    found = SYSTEMS[experiment.system].items()
    return {
        name: stage
        for name, stage in found
        if not stage.part_of
        and (not stage.sources or kind in stage.sources)
        and (not stage.section or getattr(experiment, stage.section) is not None)
    }


def first_of(experiment: AnyExperiment) -> str:
    """The stage that an experiment begins with."""
    return next(iter(stages_of(experiment)))


def stage_keys(experiment: AnyExperiment, recording: Foreign | None = None) -> dict[str, str]:
    """Key of every stage, each over the keys of the stages above.

    Args:
        experiment: its config.
        recording: digests of its recording, if no stage of ngpipe wrote it.
    """
    return _keys(experiment, stages_of(experiment), recording)


def _keys(
    experiment: AnyExperiment, stages: Mapping[str, Stage], recording: Foreign | None
) -> dict[str, str]:
    keys: dict[str, str] = {}
    for name, stage in stages.items():
        if recording is not None and not stage.above:
            keys[name] = recording.seen
            continue
        upstream = [keys[above] for above in stage.above if above in keys]
        if recording is not None and name == "score":
            upstream.append(recording.whole)
        section, files = sections.covered(stage, experiment), sections.files(stage, experiment)
        parts = map(step_module, parts_of(name))
        keys[name] = chain_key(name, section, upstream, files, parts)
    return keys


def key_of(experiment: AnyExperiment, stage: str, recording: Foreign | None = None) -> str:
    """Key of one stage.

    Raises:
        ConfigError: the stage is one of another system.
    """
    parts = {name: part for name, part in SYSTEMS[experiment.system].items() if part.part_of}
    stages = stages_of(experiment)
    keys = _keys(experiment, {**stages, **parts} if stage in parts else stages, recording)
    if stage not in keys:
        raise ConfigError(
            f"stage '{stage}' is none of system {experiment.system}, whose stages are "
            f"{list(keys)}; run one of these, or name an experiment of another system"
        )
    return keys[stage]


def outputs_of(stage: str, **counts: object) -> tuple[str, ...]:
    """Results of a stage, whichever system it is of; of a part by the numbers it is called with."""
    return tuple(name.format(**counts) for name in stage_called(stage).outputs)


def making(experiment: AnyExperiment, files: Collection[str]) -> list[str]:
    """Stages of an experiment that make some of its results."""
    every = stages_of(experiment).items()
    return [name for name, stage in every if not set(files).isdisjoint(stage.outputs)]


def chain_of(experiment: AnyExperiment, last: Iterable[str]) -> set[str]:
    """Some stages of an experiment, and all that these are made from."""
    found, todo, stages = set(), list(last), stages_of(experiment)
    while todo:
        name = todo.pop()
        found.add(name)
        todo.extend(above for above in stages[name].above if above in stages)
    return found


def results_of(experiment: AnyExperiment) -> list[str]:
    """Names of all results of an experiment."""
    return [name for stage in stages_of(experiment).values() for name in stage.outputs]


def swept(name: str, experiment: AnyExperiment) -> dict[str, Point]:
    """The points of the sweep of an experiment by name, itself first.

    Raises:
        ConfigError: it has no sweep, or one whose points are no experiments of their own.
    """
    if experiment.system == "circuit":
        raise ConfigError(
            f"experiment {name} is of system circuit, whose step `respond` runs the whole sweep: "
            f"every run is a row of results/runs/{name}/measures.csv"
        )
    if not experiment.sweep:
        raise ConfigError(
            f"experiment {name} has no sweep; give it values of keys in its section `sweep`"
        )
    return named_points(name, experiment)


def scored(experiment: AnyExperiment) -> str:
    """The stage that writes metrics.csv."""
    found = stages_of(experiment).items()
    return next(name for name, stage in found if "metrics.csv" in stage.outputs)


def sweep_key(points: Mapping[str, Point]) -> str:
    """Key of the table of a sweep: what is swept, and the metrics of all points."""
    section = [[name, p.parameter, spelled(p.value)] for name, p in points.items()]
    above = [key_of(p.experiment, scored(p.experiment)) for p in points.values()]
    return chain_key("sweep", section, above)


def panel_key(
    spec: Panel, style: Style, above: Iterable[str], step: Literal["panel", "movie"] = "panel"
) -> str:
    """Key of a panel or its movie, made from the results with the keys ``above``."""
    kind = KINDS[spec.kind]
    content = [spec.model_dump(mode="json"), style.model_dump(mode="json"), list(kind.reads)]
    return chain_key(step, content, above, drawn=kind.roots)


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

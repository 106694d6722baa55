"""The systems, and the model of an experiment of each."""

from collections.abc import Iterable, Mapping
from pathlib import Path

from ngpipe.config.assembly.experiment import Experiment
from ngpipe.config.atlas.experiment import AtlasExperiment
from ngpipe.config.circuit.experiment import CircuitExperiment
from ngpipe.config.connectome.experiment import ConnectomeExperiment
from ngpipe.config.load import content_of, validate
from ngpipe.config.sweep import base_of, named_points
from ngpipe.errors import ConfigError, did_you_mean

EXPERIMENTS: dict[str, "type[AnyExperiment]"] = {
    "assembly": Experiment,
    "connectome": ConnectomeExperiment,
    "circuit": CircuitExperiment,
    "atlas": AtlasExperiment,
}
AnyExperiment = Experiment | ConnectomeExperiment | CircuitExperiment | AtlasExperiment


def load_experiment(path: Path) -> AnyExperiment:
    """Read config/experiments/<name>.yaml of any system; by default assembly.

    ``<name>~<path>=<value>.yaml`` is a point of its sweep, for which there is no file.

    Raises:
        ConfigError: the file is missing, is not YAML, names no system, does not fit it, or has no
            such point.
    """
    found = load_with_points(path.with_stem(base_of(path.stem)))
    if path.stem not in found:
        raise ConfigError(f"{path}: {unknown_point(path.stem, found)}")
    return found[path.stem]


def load_with_points(path: Path) -> dict[str, AnyExperiment]:
    """Read an experiment; it and the points of its sweep, by name, itself first.

    That of a circuit has none: its step `respond` runs all of its sweep.

    Raises:
        ConfigError: as :func:`load_experiment`.
    """
    experiment = _load(path)
    if isinstance(experiment, CircuitExperiment):
        return {path.stem: experiment}
    points = named_points(path.stem, experiment)
    return {name: point.experiment for name, point in points.items()}


def unknown_point(name: str, known: Iterable[str]) -> str:
    """Message about a point that its experiment does not have."""
    first, *others = known
    return (
        f"there is no point {name}; the points of the sweep of {first} are {others[:20] or 'none'}"
    )


def _load(path: Path) -> AnyExperiment:
    content = content_of(path)
    system = content.get("system", "assembly") if isinstance(content, Mapping) else "assembly"
    if system not in EXPERIMENTS:
        near = did_you_mean(system, EXPERIMENTS)
        raise ConfigError(
            f"{path}: system is {system!r}, expected one of {list(EXPERIMENTS)}{near}"
        )
    return validate(content, EXPERIMENTS[system], where=str(path))

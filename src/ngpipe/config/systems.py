"""Which systems there are, and the model of the experiments of each."""

from collections.abc import Mapping
from pathlib import Path

from ngpipe.config.circuit import CircuitExperiment
from ngpipe.config.connectome import ConnectomeExperiment
from ngpipe.config.experiment import Experiment
from ngpipe.config.load import content_of, validate
from ngpipe.errors import ConfigError

EXPERIMENTS = {
    "assembly": Experiment,
    "connectome": ConnectomeExperiment,
    "circuit": CircuitExperiment,
}
AnyExperiment = Experiment | ConnectomeExperiment | CircuitExperiment


def load_experiment(path: Path) -> AnyExperiment:
    """Read config/experiments/<name>.yaml, of whichever system it says; without a word, assembly.

    Raises:
        ConfigError: the file is missing, is not YAML, names no system, or does not fit it.
    """
    content = content_of(path)
    system = content.get("system", "assembly") if isinstance(content, Mapping) else "assembly"
    if system not in EXPERIMENTS:
        raise ConfigError(f"{path}: system is {system!r}, expected one of {list(EXPERIMENTS)}")
    return validate(content, EXPERIMENTS[system], where=str(path))

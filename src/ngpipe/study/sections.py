"""Parts of a config that a stage needs, as they are and as JSON, and files."""

from collections.abc import Iterator
from pathlib import Path

from pydantic_core import to_jsonable_python

from ngpipe.config.assembly.experiment import Experiment
from ngpipe.config.base import models_in
from ngpipe.config.systems import EXPERIMENTS, AnyExperiment
from ngpipe.study.records import SYSTEMS, WHOLE, Stage
from ngpipe.wiring.sources.places import SOURCES, packaged


def taken(stage: Stage, experiment: AnyExperiment) -> list[object]:
    """The parts that the ``run`` of a stage is called with."""
    return [_part(experiment, path) for path in stage.parts]


def covered(stage: Stage, experiment: AnyExperiment) -> dict[str, object]:
    """The parts that the key of a stage covers, JSON-like."""
    return {path: to_jsonable_python(_part(experiment, path)) for path in stage.reads}


def size(experiment: AnyExperiment) -> tuple[int, int]:
    """Neurons and frames of a simulated assembly; 0 and 0 of what is known only once it is read."""
    if not isinstance(experiment, Experiment) or experiment.source.kind == "recording":
        return 0, 0
    return experiment.simulation.n_neurons, experiment.simulation.n_frames


def jobs(experiment: AnyExperiment) -> int:
    """Jobs that share the work of a stage that has parts."""
    if not isinstance(experiment, Experiment):
        return 1
    return experiment.training.closed_form.jobs


def files(stage: Stage, experiment: AnyExperiment) -> list[Path]:
    """Files that a stage reads; where none is named, the one that an installed package carries."""
    found = []
    for path in stage.files:
        named = _part(experiment, path)
        if named is None:
            named = _carried(_part(experiment, path.rpartition(".")[0]))
        if named is not None:
            several = named if isinstance(named, tuple) else (named,)
            found += [Path(str(one)) for one in several]
    return found


def sections(name: str) -> Iterator[type]:
    """Models of the config sections that a stage reads, of the first system that has it."""
    system = next(system for system, stages in SYSTEMS.items() if name in stages)
    fields = EXPERIMENTS[system].model_fields
    for path in SYSTEMS[system][name].reads:
        if (field := fields.get(path.partition(".")[0])) is not None:
            yield from models_in(field.annotation)


def _part(experiment: AnyExperiment, path: str) -> object:
    """A part by the path of its key; None where that kind of section has no such key."""
    found: object = experiment
    for name in path.split(".") if path != WHOLE else ():
        found = getattr(found, name, None)
    return found


def _carried(source: object) -> Path | None:
    known = SOURCES.get(getattr(source, "kind", ""))
    return None if known is None else packaged(known)

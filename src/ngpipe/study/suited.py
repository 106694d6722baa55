"""What a panel shows that its experiment does not have: a check for each system."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ngpipe.config.assembly.experiment import Experiment
from ngpipe.config.atlas.experiment import AtlasExperiment
from ngpipe.config.base import OBSERVED
from ngpipe.config.circuit.experiment import CircuitExperiment
from ngpipe.config.connectome.experiment import ConnectomeExperiment
from ngpipe.config.figures import KINDS, Panel
from ngpipe.config.nulls import exchanging
from ngpipe.config.systems import AnyExperiment
from ngpipe.errors import ConfigError


def lacks(panel: Panel, experiment: AnyExperiment) -> Iterator[str]:
    """Mistakes of a panel of its own system; each begins with the key of the panel.

    Raises:
        ConfigError: no check is registered for the system.
    """
    if experiment.system not in CHECKS:
        raise ConfigError(
            f"panels of system {experiment.system} cannot be checked: CHECKS of "
            f"ngpipe.study.suited knows {list(CHECKS)}; add the system there"
        )
    yield from CHECKS[experiment.system](panel, experiment)


def _frames_missing(panel: Panel, experiment: Experiment) -> Iterator[str]:
    """Frames of the rollout that are not scored, and what is not there of the recording."""
    if panel.kind == "wiring_agreement":
        yield from _without_connectome(panel, experiment)
        return
    if panel.kind == "rollout_scatter":
        if panel.frame not in experiment.rollout.at:
            yield (
                f".frame: {panel.frame} is not among rollout.at of experiment {panel.of}, "
                f"{list(experiment.rollout.at)}; add it there"
            )
        return
    if panel.kind == "halves" and experiment.training.target == "drift":
        yield (
            f".kind: halves shows W of the halves of a recording, which is not made for exact "
            f"rates, the training.target of {panel.of}; leave the panel out"
        )
    if experiment.source.kind != "simulated":
        yield from _truth_missing(panel, experiment)
        return
    n_frames = experiment.simulation.n_frames
    for frame in (panel.frame or 0, *(panel.at or ())):
        if frame >= n_frames:
            yield (
                f": frame {frame} lies beyond simulation.n_frames of experiment {panel.of} "
                f"({n_frames}); name an earlier one"
            )


def _without_connectome(panel: Panel, experiment: Experiment) -> Iterator[str]:
    """A connectome to compare with, and nulls of it."""
    if experiment.compare_with is None or not experiment.compare_with.nulls:
        yield (
            f".kind: experiment {panel.of} has no compare_with with nulls; name a connectome of "
            "the same neurons there, or leave the panel out"
        )


def _truth_missing(panel: Panel, experiment: Experiment) -> Iterator[str]:
    """The truth, which is not known of a recording unless its config names it."""
    if KINDS[panel.kind].truth and getattr(experiment.source, "truth", "") is None:
        yield (
            f".kind: {panel.kind} compares with the truth, which is not known of the recording "
            f"{panel.of}; leave the panel out, or name a store with the truth in source.truth"
        )


def _parts_missing(panel: Panel, experiment: ConnectomeExperiment) -> Iterator[str]:
    """Stimuli, readouts and steps that are not there, and a fit that was not made."""
    for key, known in (("stimulus", experiment.stimuli), ("readout", experiment.readouts)):
        name = getattr(panel, key)
        if name is not None and name not in known:
            yield f".{key}: {name} is not among those of experiment {panel.of}, {list(known)}"
    if panel.layer is not None and panel.layer >= experiment.network.layers:
        yield (
            f".layer: {panel.layer} lies beyond network.layers of experiment {panel.of} "
            f"({experiment.network.layers}); name an earlier one"
        )
    if panel.kind == "fit_scatter" and experiment.fit is None:
        yield f".kind: experiment {panel.of} has no section `fit`; add one, or leave the panel out"


def _runs_missing(panel: Panel, experiment: CircuitExperiment) -> Iterator[str]:
    """Conditions and a sweep that are not run, and nulls that are not drawn."""
    known = [OBSERVED, *experiment.conditions]
    absent = [name for name in panel.conditions or () if name not in known]
    if absent:
        yield f".conditions: {absent} are not among those of experiment {panel.of}, {known}"
    if panel.parameter is not None and panel.parameter not in experiment.sweep:
        yield (
            f".parameter: {panel.parameter} is not in the sweep of experiment {panel.of}, "
            f"{list(experiment.sweep)}; add it there"
        )
    if panel.kind == "motif_scores" and not experiment.motifs.nulls:
        yield f".kind: experiment {panel.of} has no motifs.nulls to compare with; name some there"
    if panel.kind == "mixing" and not set(exchanging()) & set(experiment.motifs.nulls):
        yield (
            f".kind: none of motifs.nulls of experiment {panel.of}, "
            f"{list(experiment.motifs.nulls)}, exchanges partners; add one of {exchanging()}"
        )


def _not_compared(panel: Panel, experiment: AtlasExperiment) -> Iterator[str]:
    """Nulls that are not drawn."""
    if panel.kind == "response_agreement" and not experiment.agreement.nulls:
        yield (
            f".kind: experiment {panel.of} has no agreement.nulls to compare with; name some there"
        )


CHECKS: Mapping[str, Callable[[Panel, Any], Iterator[str]]] = {
    "assembly": _frames_missing,
    "connectome": _parts_missing,
    "circuit": _runs_missing,
    "atlas": _not_compared,
}
"""Checks by system."""

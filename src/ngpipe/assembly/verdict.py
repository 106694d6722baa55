"""Verdict on a trained model from either solver: is it worth reading out?"""

from dataclasses import dataclass

from ngpipe.assembly.closed_form.diagnosis import REST
from ngpipe.assembly.recording import Recording
from ngpipe.config.assembly.training import Training

FRAMES = 200
ROUGH = 0.01
"""Squared error of the networks, relative to the curves they are fitted to, that is too much."""
WORSE = 3.0
"""Times the error of the closed form that its model may have, if it is more than ``ROUGH``."""


@dataclass(frozen=True)
class Verdict:
    """Held-out error of a model beside that of predicting no change."""

    loss: float
    """Mean squared error on held-out frames over the mean squared rate of training frames."""
    zero: float
    """The same of a prediction of zero."""

    @property
    def moves(self) -> bool:
        """True if held-out activity moves at all; if not, it says nothing about a model."""
        return self.zero >= REST

    @property
    def useless(self) -> bool:
        """True if the model is worse than predicting zero."""
        return self.moves and self.loss > self.zero


def judged(recording: Recording, loss: float) -> Verdict:
    """The verdict on a model of some held-out loss."""
    _, target = recording.batch(recording.selection_frames(FRAMES).to(recording.activity.device))
    zero = float(recording.values(target).double().square().mean()) / recording.scales().rate ** 2
    return Verdict(loss, zero)


def doubt(verdict: Verdict, cfg: Training) -> str:
    """Reason why a model is useless, and the remedy; without consent, how to continue anyway."""
    more = "record longer, or more varied activity"
    if cfg.target != "drift":
        more += ", use the exact rate if there is one (training.target: drift)"
    if cfg.solver != "closed_form":
        more += ", or train longer (training.steps)"
    consent = ". To continue anyway, set training.accept_worse_than_zero: true"
    if cfg.accept_worse_than_zero:
        consent = ""
    return (
        f"the model is useless: its loss on held-out frames is {verdict.loss:.4g}, that of "
        f"predicting no change at all {verdict.zero:.4g}, so its W, types and functions mean "
        f"nothing; {more}{consent}"
    )


def at_rest(verdict: Verdict) -> str:
    """Warning if held-out activity does not move."""
    return (
        f"activity hardly changes in the held-out frames (mean squared rate {verdict.zero:.0e} of "
        "that of training frames), so the held-out loss says nothing about the model; set "
        "training.held_out_as: blocks, or record ongoing activity"
    )


def rough(networks: float, model: float, solution: float, steps: int) -> str | None:
    """A warning if the networks do not reproduce the closed-form solution.

    Args:
        networks: squared error of phi* and psi*, relative to the curves.
        model: held-out loss of the model.
        solution: held-out loss of what it was fitted to.
        steps: of the fit.
    """
    allowed = max(ROUGH, WORSE * solution)
    found = []
    if not networks <= ROUGH:
        found.append(
            f"they miss its curves by {networks:.2g} of their mean square (expected at most "
            f"{ROUGH:g})"
        )
    if not model <= allowed:
        found.append(
            f"their held-out loss is {model:.2g} (expected at most {allowed:.2g}) where it reached "
            f"{solution:.2g}"
        )
    if not found:
        return None
    return (
        f"the networks do not reproduce the closed-form solution: {', and '.join(found)}. W is not "
        "affected, but phi, psi, types and rollouts are; raise training.closed_form.distil_steps "
        f"(now {steps})"
    )

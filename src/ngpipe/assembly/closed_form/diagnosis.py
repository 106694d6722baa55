r"""Diagnosis of a recording: the accuracy of W to expect, without the truth.

Three things bound the R2 of W that can be expected; the least of them counts.

- Noise, and directions that activity does not visit. With l the eigenvalues of C, freed of what
  the functions of the row itself explain,

  .. math:: R^2 = \frac{\tau^2 \bar s^2}{\tau^2 \overline{s^2} + \nu \overline{s^2 / l}},
      \qquad s = l / (l + r)

  where :math:`\nu = q s^2 / n`: independent residuals average out over n frames.
- Misfit. What the functions cannot say hangs together from frame to frame and does not average
  out: in the worst case all of it passes for W along every direction. It is the share of the
  residual that neighbouring frames have in common, with :math:`\nu = \rho s^2`.
  Where that leaves less than ``SURE``, two rounds of the search have to agree on W.
- Held-out frames. What they miss beyond noise is not known of W either.
"""

import math
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from ngpipe.assembly.closed_form.rows import Spectrum

POOR = 0.9
"""Expected R2 of W below which a recording does not identify it."""
REST = 1e-4
"""Mean squared rate of held-out frames, over that of training frames, that is no motion."""
TOLERANCE = 1.5
"""Times the noise that a held-out error may be before it says something of W."""
LEAST = 0.1
"""Least share of the rate that is taken to be no noise."""
SURE = 0.99
"""R2 of W, in the worst case of misfit, from which nothing else has to confirm it."""
COMMON = 4.0
"""Standard errors that the correlation of neighbouring residuals exceeds if it is no chance."""

NOT_LOOKED_AT = -1
"""Number of directions that residuals have in common, where nobody has counted them."""


@dataclass(frozen=True)
class Evidence:
    """Evidence about the fit from its residuals."""

    coherent: float = 0.0
    """Share of the residual that neighbouring frames have in common: misfit, no noise."""
    held_out: float = 0.0
    """Mean squared error on held-out frames over the mean squared rate there."""
    motion: float = 1.0
    """Mean squared rate on held-out frames over that of training frames."""
    exact: bool = False
    """True if the rate is the exact one."""
    blocks: bool = True
    """True if frames are held out in blocks."""


@dataclass(frozen=True)
class Diagnosis:
    """Accuracy of W to expect from a recording, without the truth."""

    n_frames: int
    n_neurons: int
    directions: float
    """Directions of the senders' activity that tell more about W than its own spread does."""
    condition_number: float
    """Largest over smallest eigenvalue of the Gram matrix with its ridge."""
    expected_r2: float
    """R2 of W to expect; NaN where no held-out frames can confirm it."""
    at_most: float
    """The same if held-out frames without motion were believed."""
    noise_share: float
    """Share of the variance of W as found that is noise."""
    coherent: float = 0.0
    held_out: float = 0.0
    motion: float = 1.0
    exact: int = 0
    blocks: int = 1
    sender_noise: float = 0.0
    """Share of measurement noise in the mean square of what a neuron sends; 0 if none is known."""
    removed: float = 0.0
    """Share of this noise that was taken out of the equations of W."""
    shared_noise: float = 0.0
    """Noise that state and rate of a neuron share, taken out: root mean square of kappa [1/tau]."""
    unobserved_rank: int = NOT_LOOKED_AT
    """Directions that residuals of different neurons have in common."""
    unobserved_share: float = 0.0
    """Mean square of this part over that of what the model explains."""
    unobserved_bias: float = 0.0
    """Error that neurons which were not recorded may give the weights, relative to their size."""

    def frames_for(self, missing: float) -> float:
        """Frames after which noise would leave 1 - R2 of W at ``missing``."""
        now = self.noise_share / max(1 - self.noise_share, 1e-12)
        return self.n_frames * now * (1 - missing) / missing

    def less(self, share: float) -> "Diagnosis":
        """The diagnosis of a W that deviates from the data by a fraction of its variance."""
        left = max(0.0, 1 - share)
        return replace(self, expected_r2=self.expected_r2 * left, at_most=self.at_most * left)

    def driven_unseen(self, rank: int, share: float, bias: float) -> "Diagnosis":
        """The same, knowing what neurons that were not recorded do to W.

        Args:
            rank: directions that residuals have in common.
            share: mean square of this part over that of what the model explains.
            bias: root mean square error of the weights, over that of the weights as found.
        """
        found = replace(
            self, unobserved_rank=rank, unobserved_share=share, unobserved_bias=min(bias, 1.0)
        )
        return found.less(min(bias, 1.0) ** 2)

    @property
    def in_doubt(self) -> bool:
        """True if misfit may change W, so that other evidence must confirm it."""
        return self.coherent > 0 and self.at_most < SURE

    def agreed(self, share: float) -> "Diagnosis":
        """The same, knowing how well two rounds of the search agree on W.

        Where misfit may change W, psi may be wrong as well: another basis and other frames then
        give another W. Elsewhere the earlier round is just the poorer one, and says nothing.
        """
        if not self.in_doubt:
            return self
        least = min(self.at_most, share)
        expected = self.expected_r2 if math.isnan(self.expected_r2) else least
        return replace(self, expected_r2=expected, at_most=least)

    @property
    def identified(self) -> str:
        """``yes`` or ``no``: whether the recording determines W; ``unknown`` if nothing tells."""
        if math.isnan(self.expected_r2):
            return "unknown"
        return "yes" if self.at_most >= POOR else "no"

    @property
    def sentence(self) -> str:
        """The same in words, with what to do about it."""
        return f"{self._on_frames}{self._on_noise}{self._on_unobserved}"

    @property
    def _on_unobserved(self) -> str:
        """Sentence on neurons that were not recorded; empty if residuals tell nothing of any."""
        if self.unobserved_rank == 0 or (self.unobserved_rank == NOT_LOOKED_AT and self.exact):
            return ""
        if self.unobserved_rank == NOT_LOOKED_AT:
            return ". Whether neurons that were not recorded make weights wrong was not looked at"
        directions = "direction" if self.unobserved_rank == 1 else "directions"
        return (
            f". Neurons have {self.unobserved_rank} {directions} of their residuals in common "
            f"({self.unobserved_share:.2g} of what the model explains): neurons that were not "
            "recorded, or an input that the model does not know. If these are like the recorded "
            f"neurons, they make weights wrong by {self.unobserved_bias:.0%} of their size"
        )

    @property
    def _on_noise(self) -> str:
        """Sentence on measurement noise of activity; empty if none is known."""
        if not self.sender_noise:
            return ""
        begins = f". Measurement noise is {self.sender_noise:.1%} of what neurons seem to send"
        if self.removed:
            return f"{begins}; {self.removed:.0%} of it was taken out of the equations of W"
        return f"{begins}; taking it out would not help on held-out frames, so W may be too small"

    @property
    def _on_frames(self) -> str:
        says = (
            f"{self.n_frames:,} frames excite {self.directions:.0f} of the {self.n_neurons - 1} "
            f"directions of a row (condition number {self.condition_number:.0e}); "
        )
        about = f"{self.at_most:.{5 if self.at_most > 0.99 else 2}f}"
        if math.isnan(self.expected_r2):
            return (
                f"{says}the R2 of W is unknown: activity hardly changes in the held-out frames "
                f"(mean squared rate {self.motion:.0e} of that of training frames), so they cannot "
                f"confirm the R2 from training frames, which is at most {about}. "
                f"{self._motion_advice}"
            )
        if self.at_most >= POOR:
            return f"{says}expect R2 of W about {about}"
        return (
            f"{says}expect R2 of W about {about}: these data do not identify W. {self._advice}; "
            f"{self._single}"
        )

    @property
    def _single(self) -> str:
        """Sentence on whether errors of single weights are reliable."""
        if self.coherent > 0 and self.noise_share < 1 - self.at_most:
            return "the limit is not noise, so the intervals of single weights are not valid"
        return "see connectivity_error for single weights"

    @property
    def _motion_advice(self) -> str:
        if self.blocks:
            return "Record ongoing activity: with noise, a stimulus, or from other initial states"
        return "Set training.held_out_as: blocks, or record ongoing activity"

    @property
    def _advice(self) -> str:
        longer = "Record longer, or more varied activity"
        return longer if self.exact else f"{longer}; use the exact rate if there is one"


def diagnosis(
    spectrum: Spectrum,
    noise: float,
    weight_variance: float,
    n_frames: int,
    *,
    residual: float = 0.0,
    level: float = 1.0,
    evidence: Evidence | None = None,
) -> Diagnosis:
    """Diagnosis of some rows, from the eigenvalues l of C.

    Args:
        spectrum: l and r of some of them.
        noise: nu = q s^2 / n [1/tau^2].
        weight_variance: mean squared weight as found [1/tau^2].
        n_frames: frames used.
        residual: s^2 [1/tau^2].
        level: mean squared rate [1/tau^2].
        evidence: of the fit; by default there is none against it.
    """
    seen = evidence or Evidence()
    misfit = seen.coherent * residual
    values, ridge = spectrum.values, spectrum.padding
    expected, noise_share = _expected(spectrum, noise, weight_variance)
    worst, _ = _expected(spectrum, misfit, weight_variance)
    spread = max(1 - noise_share, 0.0) * weight_variance / float(spectrum.shares.square().mean())
    told = values / (values + ridge + max(noise, misfit) / max(spread, 1e-300))
    moves = seen.motion >= REST
    most = min(1.0, expected, worst)
    if moves:
        used = float(spectrum.shares.sum(1).mean()) / n_frames
        most = min(most, _confirmed(seen, residual / max(level * seen.motion, 1e-300), used))
    return Diagnosis(
        n_frames,
        values.shape[1] + 1,
        float(told.sum(1).mean()),
        spectrum.condition_number,
        most if moves else math.nan,
        most,
        noise_share,
        seen.coherent,
        seen.held_out,
        seen.motion,
        int(seen.exact),
        int(seen.blocks),
    )


def _expected(spectrum: Spectrum, noise: float, variance: float) -> tuple[float, float]:
    """R2 of W that an error nu along every direction leaves, and its share of W as found."""
    values, share = spectrum.values, spectrum.shares
    sampling = noise * float((values / (values + spectrum.padding).square()).mean())
    spread = max(variance - sampling, 0.0) / float(share.square().mean())
    expected = spread * float(share.mean()) ** 2 / max(variance, 1e-300)
    return expected, min(1.0, sampling / max(variance, 1e-300))


def _confirmed(seen: Evidence, noise: float, used: float) -> float:
    """R2 left by held-out frames, of the part of the rate that is not noise.

    Args:
        seen: of the fit.
        noise: residual variance over the mean squared rate of held-out frames.
        used: unknowns over frames.
    """
    missed = max(0.0, seen.held_out - TOLERANCE * noise * (1 + used))
    return max(0.0, 1 - missed / max(1 - noise, LEAST))


def coherence(now: Float[Tensor, "frame row"], after: Float[Tensor, "frame row"]) -> float:
    """Share of residuals that frames have in common with the next; 0 if it is little.

    Noise at each frame is another; what functions cannot say is nearly the same. Frames count
    alike: at a few, beyond what the fit has seen, residuals are large.
    """
    size = (now.square().sum(1) * after.square().sum(1)).sqrt().clamp_min(1e-300)
    common = float(((now * after).sum(1) / size).mean())
    return common if common > COMMON / math.sqrt(now.numel()) else 0.0


def widened(
    error: Float[Tensor, "row pre"],
    weights: Float[Tensor, "row pre"],
    told: Diagnosis,
    inflation: float,
) -> Float[Tensor, "row pre"]:
    """Standard errors with what misfit may add: nothing where it cannot change W.

    Of the worst case, in which misfit does not average out over the frames, as large a share is
    taken as W might be wrong by, sqrt(1 - R2); no error grows by more than weights are large.
    """
    worst = told.coherent * told.n_frames / inflation * math.sqrt(1 - told.at_most)
    more = torch.minimum(error.square() * worst, weights.square().mean(1, keepdim=True))
    more = torch.where(error > 0, more, 0.0)
    return (error.square() + more).sqrt()

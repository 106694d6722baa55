r"""Every freedom that the data leave open, fixed here and nowhere else, without the truth.

The rate :math:`\phi_i(x_i) + \sum_j W_{ij} \psi(x_j)` is unchanged by

- scale: :math:`\psi \to s \psi`, :math:`W \to W / s`. Fixed by the saturation of psi: half the
  difference between its values at the two ends of the visited range is 1.
- offset: :math:`\psi \to \psi + k`, :math:`\phi_i \to \phi_i - k \sum_j W_{ij}`. Fixed by
  psi(0) = 0.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ngpipe.arrays import Connectivity, Curves
from ngpipe.assembly.gnn import AssemblyGNN
from ngpipe.assembly.recording import Recording
from ngpipe.errors import DivergenceError

STATEMENT = (
    "psi(0) = 0; half the difference of psi between the ends of the visited range is 1; "
    "W absorbs the scale, phi_i the offset times the row sum of W"
)


@dataclass(frozen=True)
class Gauge:
    """The scale and offset that bring a learned psi to its fixed form."""

    scale: float
    """s: divide psi by it, multiply W by it; negative if psi was learned decreasing."""
    offset: float
    """psi(0) as learned."""

    def connectivity(self, weights: Connectivity) -> Connectivity:
        """W in the fixed gauge [1/tau]."""
        return weights * self.scale

    def psi(self, curve: Tensor) -> Tensor:
        """Psi in the fixed gauge [1]."""
        return (curve - self.offset) / self.scale

    def phi(self, curves: Curves, weights: Connectivity) -> Curves:
        """phi_i in the fixed gauge [1/tau]; ``weights`` as learned."""
        return curves + self.offset * weights.sum(1)[:, None]


@torch.no_grad()
def of_model(model: AssemblyGNN, recording: Recording) -> Gauge:
    """The gauge of a model, from its psi on the visited range of the training frames."""
    low, high = visited_ends(recording.activity[recording.training_sample(500)])
    return of_shared_psi(model.psi(low), model.psi(high), model.psi(low.new_zeros(1))[0])


def of_shared_psi(
    psi_low: Float[Tensor, " x"], psi_high: Float[Tensor, " x"], psi_zero: Float[Tensor, ""]
) -> Gauge:
    """Gauge of one psi shared by all neurons.

    Args:
        psi_low: learned psi at activities of the lower end of the visited range.
        psi_high: the same at the upper end; both are averaged, so single wiggles do not count.
        psi_zero: learned psi(0).

    Raises:
        DivergenceError: psi is flat.
    """
    scale = float(psi_high.mean() - psi_low.mean()) / 2
    if not abs(scale) > 1e-12:
        raise DivergenceError(
            f"psi has the same value at both ends of the visited range (half difference {scale:g})"
            ": the model transmits nothing, so its scale is undefined; "
            "lower training.penalties on psi, or training.learning_rate.functions"
        )
    return Gauge(scale=scale, offset=float(psi_zero))


def visited_ends(
    activity: Float[Tensor, "frame neuron"], n: int = 33
) -> tuple[Float[Tensor, " n"], Float[Tensor, " n"]]:
    """Activities at the two ends of the visited range: the 0.5 to 2 % and 98 to 99.5 % quantiles.

    The outermost half percent is left out: few frames, so psi is badly known there.
    """
    ordered = activity.flatten().sort().values
    levels = torch.linspace(0.005, 0.02, n, device=activity.device)
    low = (levels * (len(ordered) - 1)).long()
    high = ((1 - levels) * (len(ordered) - 1)).long()
    return ordered[low], ordered[high]

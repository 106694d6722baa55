"""Fast evaluation of learned functions: tabulate on knots, interpolate at the data.

Activity spans decades (functions bend within one unit, activity reaches tens), so knots are
evenly spaced in asinh(x / unit): dense near zero, sparse in the tails.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ngpipe.arrays import Activity, Curves


class Knots:
    """Knots over [-reach, reach], and piecewise cubic interpolation between them.

    Interpolation is Catmull-Rom in u = asinh(x / unit): third order in the spacing, and linear in
    the table, so gradients reach the network that filled it.
    """

    def __init__(self, n_knots: int, *, unit: float, reach: float, device: torch.device) -> None:
        self.unit = unit
        self.n_knots = n_knots
        half = torch.asinh(torch.tensor(reach / unit, dtype=torch.float64))
        u = torch.linspace(-1, 1, n_knots, dtype=torch.float64) * half
        self.spacing = float(u[1] - u[0])
        self.first = float(u[0])
        self.x = (torch.sinh(u) * unit).float().to(device)

    def locate(self, x: Activity) -> "Located":
        """Positions of the activities of a batch ``(frame, neuron)`` between the knots."""
        q = (torch.asinh(x.T.contiguous() / self.unit) - self.first) / self.spacing
        q = q.clamp(1.0, self.n_knots - 2.001)
        left = q.floor()
        t = q - left
        t2, t3 = t * t, t * t * t
        weight = torch.stack(
            [t2 - (t3 + t) / 2, 1.5 * t3 - 2.5 * t2 + 1, 2 * t2 - 1.5 * t3 + t / 2, (t3 - t2) / 2],
            dim=-1,
        )
        index = left.long()[..., None] + torch.arange(-1, 3, device=x.device)
        return Located(index, weight)


class Located:
    """Activities expressed as weights on four neighbouring knots each."""

    def __init__(
        self, index: Int[Tensor, "neuron frame 4"], weight: Float[Tensor, "neuron frame 4"]
    ) -> None:
        self._index = index.flatten(1)
        self._weight = weight

    def read(self, table: Curves) -> Activity:
        """Interpolate one row of the table for each neuron: ``(frame, neuron)``."""
        return (table.gather(1, self._index).view_as(self._weight) * self._weight).sum(-1).T

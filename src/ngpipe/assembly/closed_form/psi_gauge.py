"""Scale and offset of each psi, which W and phi can undo, fixed on a sample of the frames."""

from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from ngpipe.assembly.closed_form.chosen_frames import Frames, Transfer


class Gauge:
    """The freedoms of psi.

    Args:
        frames: those on which the mean square of psi is 1.
    """

    def __init__(self, frames: Frames) -> None:
        self.frames = frames
        self._known: tuple[Transfer, Tensor] | None = None

    def form(self, transfer: Transfer) -> Float[Tensor, "coefficient coefficient"]:
        """Quadratic form that is zero for steps orthogonal to scale and offset of each psi."""
        blocks = []
        for c, metric in zip(transfer.coefficients, self._metric(transfer), strict=True):
            scale, offset = metric @ c, metric.sum(1)
            blocks.append(torch.outer(scale, scale) / (c @ scale) + torch.outer(offset, offset))
        return torch.block_diag(*blocks)

    def normalised(self, transfer: Transfer) -> Transfer:
        """The same with each psi rising, of unit mean square where it is visited, psi(0) = 0."""
        c = transfer.coefficients
        c = c - transfer.spline.read(c, c.new_zeros(1, len(c)))[0][:, None]
        square = torch.einsum("gi,gij,gj->g", c, self._metric(transfer), c)
        ends = c.new_tensor([-1.0, 1.0])[:, None] * self.frames.x.std().double()
        low, high = transfer.spline.read(c, ends.expand(-1, len(c)))
        sign = torch.where(high < low, -1.0, 1.0)
        return replace(transfer, coefficients=c * (sign / square.sqrt())[:, None])

    def _metric(self, transfer: Transfer) -> Float[Tensor, "group basis basis"]:
        """Mean over the visited activities of each group of b b^T; it stays while groups do."""
        if self._known is not None:
            before, metric = self._known
            if before.spline is transfer.spline and before.group is transfer.group:
                return metric
        metrics = []
        for k in range(len(transfer.coefficients)):
            x = self.frames.x[:, transfer.group == k]
            basis = transfer.spline.basis(x.flatten().double())
            metrics.append(basis.T @ basis / len(basis))
        self._known = transfer, torch.stack(metrics)
        return self._known[1]

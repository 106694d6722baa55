r"""Priors on W: most weights are zero, or each sender has one sign.

.. math:: \min_W \tfrac{1}{2} |y - f W^\top - e\, d|^2 / n + \sum_{ij} \lambda_i \sqrt{C_{jj}}
    |W_{ij}| \qquad \text{subject to } \sigma_j W_{ij} \ge 0

by the alternating direction method of multipliers (Boyd et al. 2011, Found. Trends Mach. Learn.
3:1, section 6.4), one factor of the Gram matrix for all rows. The weights that are left are then
fitted once more without the penalty, which would shrink them (relaxed lasso; Meinshausen 2007,
Comput. Stat. Data Anal. 52:374). Held-out frames choose lambda.
"""

from collections.abc import Iterator

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ngpipe.assembly.closed_form.accumulate import gram_moment, residual, solve_rows
from ngpipe.assembly.closed_form.chosen_frames import Equations, Frames, Transfer, smoothness
from ngpipe.assembly.closed_form.rows import Gram, Moments, RowFit, Rows, level_of
from ngpipe.errors import DivergenceError

ITERATIONS = 300
CLOSE = 1e-4
"""Relative disagreement of the two halves of the method at which it ends."""
STRENGTHS = (0.1, 0.3, 1.0, 3.0, 10.0)
"""lambda tried, in units of what noise alone would reach."""


TYPICAL = 0.9
"""Share of the held-out frames, those predicted best, that choose lambda."""


class Prior:
    """Rows of W under a prior.

    Args:
        equations: frames to solve for.
        held_out: frames that choose lambda.
        transfer: what senders send.
        ridge: relative to the mean diagonal of the Gram matrix.
        sparse: whether weights that are not needed are to be zero.
        signs: of every sender's weights; None: either.
    """

    def __init__(
        self,
        equations: Equations,
        held_out: Frames,
        transfer: Transfer,
        ridge: float,
        *,
        sparse: bool,
        signs: Float[Tensor, " pre"] | None,
    ) -> None:
        self.equations, self.held_out, self.transfer = equations, held_out, transfer
        self.sparse, self.signs = sparse, signs
        self.plain = Gram(gram_moment(equations, transfer), ridge)
        self.rho = float(self.plain.moment.diagonal().mean())
        self.gram = Gram(self.plain.moment, ridge + 1.0)

    def strength(self, rows: Int[Tensor, " row"], noise: Float[Tensor, " row"]) -> float:
        """The lambda that suits some rows best, in units of what noise alone would reach."""
        if not self.sparse:
            return 0.0
        missed = {}
        for strength in (0.0, *STRENGTHS):
            missed[strength] = 0.0
            for block, fit in self.solve(rows, noise, strength):
                square = residual(self.held_out, self.transfer, fit, block).square()
                # phi reaches beyond the data at a few held-out frames: these say nothing.
                typical = square.sort(0).values[: int(TYPICAL * len(square))]
                missed[strength] += float(typical.mean(0).sum())
        return min(missed, key=missed.__getitem__)

    def solve(
        self, rows: Int[Tensor, " row"], noise: Float[Tensor, " row"], strength: float
    ) -> Iterator[tuple[Int[Tensor, " block"], RowFit]]:
        """Rows of W, block by block.

        Args:
            rows: whose.
            noise: residual variance of every row.
            strength: lambda.
        """
        n, log = len(self.equations), torch.log(torch.tensor(2.0 * self.equations.n_neurons))
        position = {int(row): k for k, row in enumerate(rows)}
        for block, normal in solve_rows(self.equations, self.transfer, rows, self.gram):
            mine = torch.tensor([position[int(row)] for row in block])
            level = strength * (2 * float(log) * noise[mine] / n).sqrt()
            support = self.descend(normal, level) != 0
            support[torch.arange(len(block)), block] = False
            yield block, self._refitted(normal.moments, block, support)

    def descend(self, normal: Rows, level: Float[Tensor, " row"]) -> Float[Tensor, "row pre"]:
        """Weights under the penalty and the signs."""
        aim = normal.moments.sent_target
        z = torch.zeros_like(aim.T)
        u = torch.zeros_like(z)
        threshold = level[:, None] * self.plain.moment.diagonal().sqrt() / self.rho
        for _ in range(ITERATIONS):
            weights = normal.aimed(aim + self.rho * (z - u).T).solve().weights
            before, z = z, self._nearest(weights + u, threshold)
            u = u + weights - z
            gap = max(float((weights - z).norm()), float((z - before).norm()))
            if gap < CLOSE * float(z.norm()):
                break
        return z

    def _nearest(
        self, weights: Float[Tensor, "row pre"], threshold: Float[Tensor, "row pre"]
    ) -> Float[Tensor, "row pre"]:
        """Soft threshold, and zero for the wrong sign."""
        shrunk = weights.sign() * (weights.abs() - threshold).clamp_min(0)
        if self.signs is None:
            return shrunk
        return torch.where(shrunk * self.signs >= 0, shrunk, 0.0)

    def _refitted(
        self, moments: Moments, rows: Int[Tensor, " row"], support: Bool[Tensor, "row pre"]
    ) -> RowFit:
        """Least squares on the weights that are left."""
        padding = smoothness(self.equations, self.plain.moment.device)
        weights = torch.zeros_like(support, dtype=torch.float64)
        own = torch.zeros_like(moments.own_target)
        for k in range(len(rows)):
            one = slice(k, k + 1)
            while True:
                found = self._one(moments, one, torch.nonzero(support[k])[:, 0], padding)
                wrong = self._wrong(found[0], support[k])
                if not wrong.any():
                    break
                support[k] = support[k] & ~wrong
            weights[k], own[k] = found
        square = Rows.mean_square(self.plain, moments, weights, own)
        return RowFit(weights, own, square)

    def _wrong(
        self, weights: Float[Tensor, " pre"], support: Bool[Tensor, " pre"]
    ) -> Bool[Tensor, " pre"]:
        """Weights that the refit has given the wrong sign."""
        if self.signs is None:
            return torch.zeros_like(support)
        return support & (weights * self.signs < 0)

    def _one(
        self, moments: Moments, one: slice, left: Int[Tensor, " left"], padding: Tensor
    ) -> tuple[Float[Tensor, " pre"], Float[Tensor, " column"]]:
        """One row on the senders that are left."""
        gram = self.plain.moment[left][:, left]
        crossed, own = moments.sent_own[left, one][:, 0], moments.own_own[one][0]
        ridge = self.plain.padding * torch.eye(len(left)).to(gram)
        level = level_of(own, padding)
        matrix = torch.cat(
            [
                torch.cat([gram + ridge, crossed], 1),
                torch.cat([crossed.T, own + level * padding], 1),
            ]
        )
        right = torch.cat([moments.sent_target[left, one][:, 0], moments.own_aim[one][0]])
        factor, failed = torch.linalg.cholesky_ex(matrix)
        if failed:
            raise DivergenceError(
                "the weights that the prior keeps in a row cannot be separated from its functions; "
                "raise the smallest of training.closed_form.ridges, or record more frames"
            )
        found = torch.cholesky_solve(right[:, None], factor)[:, 0]
        weights = gram.new_zeros(len(self.plain.moment)).index_copy(0, left, found[: len(left)])
        return weights, found[len(left) :]


def column_signs(weights: Float[Tensor, "post pre"]) -> Float[Tensor, " pre"]:
    """Sign of every sender, from the sum of its weights."""
    return torch.where(weights.sum(0) < 0, -1.0, 1.0).to(weights)

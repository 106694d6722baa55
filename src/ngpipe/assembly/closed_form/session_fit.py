"""Solution of some rows of W from sessions that each see some of the neurons, and its errors."""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ngpipe.assembly.closed_form.rows import RowFit


@dataclass(frozen=True)
class BlockFit:
    """Weighted least squares of some rows over all sessions."""

    rows: Int[Tensor, " row"]
    fit: RowFit
    square: Float[Tensor, "row session"]
    """Mean squared residual in every session; 0 where a session does not see the row."""
    session_noise: Float[Tensor, "row session"]
    """s_ik^2 by which sessions were weighed."""
    certainty: Float[Tensor, " row"]
    """Sum of n_k / (q_k s_ik^2) over the sessions [tau^2]."""
    n: Float[Tensor, " row"]
    """Frames that see the row's neuron."""
    matrix: Float[Tensor, "row unknown unknown"]
    """Weighted mean of products of the row's columns."""
    factor: Float[Tensor, "row unknown unknown"]
    """Cholesky factor of the same with the ridge, W_ii left out."""
    padding: Float[Tensor, " row"]
    """r: what the ridge adds."""
    sent_noise: Float[Tensor, "row pre pre"] | None = None
    """What of the products of what is sent was taken out as measurement noise."""

    @property
    def noise(self) -> Float[Tensor, " row"]:
        """Residual variance, the harmonic mean over frames [1/tau^2]."""
        return self.n / self.certainty

    def standard_errors(self, inflation: float) -> Float[Tensor, "row pre"]:
        """Standard error of every weight, as :mod:`.uncertainty` has it."""
        n = self.fit.weights.shape[1]
        inverse = torch.cholesky_inverse(self.factor)[:, :n, :n]
        shrunk = self.padding[:, None] ** 2 * inverse.square().sum(2)
        variances = inverse.diagonal(dim1=1, dim2=2) - shrunk / self.padding[:, None]
        variances = variances.clamp_min(0)
        if self.sent_noise is not None:
            variances = variances + ((inverse @ self.sent_noise) * inverse).sum(2)
        sampling = (inflation / self.certainty)[:, None] * variances
        seen = (self.fit.weights.square().mean(1) - sampling.mean(1)).clamp_min(0)
        kept = 1 - self.padding * inverse.diagonal(dim1=1, dim2=2).mean(1)
        missing = (seen / kept.square().clamp_min(1e-300))[:, None] * shrunk
        errors = (sampling + missing).sqrt()
        errors[torch.arange(len(errors), device=errors.device), self.rows] = 0
        return errors

    def input_errors(self, inflation: float, n_inputs: int) -> Float[Tensor, "row input"]:
        """Standard error of the coefficients of recorded inputs, the last unknowns of a row."""
        inverse = torch.cholesky_inverse(self.factor).diagonal(dim1=1, dim2=2)
        last = inverse[:, inverse.shape[1] - n_inputs :]
        return ((inflation / self.certainty)[:, None] * last).sqrt()

    def spectrum(self, wanted: Int[Tensor, " wanted"]) -> Float[Tensor, "row direction"]:
        """Eigenvalues of what the wanted rows are solved from, their own columns projected out."""
        n = self.fit.weights.shape[1]
        values = [self.matrix.new_zeros(0, n - 1)]
        for k in torch.nonzero(torch.isin(self.rows, wanted))[:, 0].tolist():
            matrix = self.matrix[k]
            own = matrix[n:, n:].clone()
            own.diagonal().add_(1e-12 * own.diagonal().mean())
            left = matrix[:n, :n] - matrix[:n, n:] @ torch.linalg.solve(own, matrix[n:, :n])
            others = torch.arange(n, device=left.device) != self.rows[k]
            values.append(torch.linalg.eigvalsh(left[others][:, others])[None].clamp_min(0))
        return torch.cat(values)

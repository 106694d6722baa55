"""Solution of the closed form."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ngpipe.assembly.closed_form.chosen_frames import Transfer
from ngpipe.assembly.closed_form.diagnosis import Diagnosis
from ngpipe.assembly.closed_form.hidden import KnottedInput
from ngpipe.assembly.closed_form.rows import RowFit
from ngpipe.assembly.closed_form.spline import Spline


@dataclass
class Solution:
    """W, phi, psi and types, in a gauge of their own: psi(0) = 0 and of unit mean square."""

    weights: Float[Tensor, "post pre"]
    """W [1/tau]."""
    phi: Spline
    phi_coefficients: Float[Tensor, "neuron basis"]
    """phi_i [1/tau]."""
    transfers: list[Transfer]
    """psi as each group of receivers sees it."""
    receiver_group: Int[Tensor, " neuron"]
    types: Int[Tensor, " neuron"]
    mean_square: Float[Tensor, " neuron"]
    """Mean squared residual of every row [1/tau^2]."""
    level: Float[Tensor, " neuron"]
    """Mean squared rate of every row [1/tau^2]."""
    noise: Float[Tensor, " neuron"]
    """Residual variance of every row [1/tau^2], once all rows are final."""
    held_out: float
    """Mean squared error on held-out frames over the mean squared rate."""
    ridge: float
    error: Float[Tensor, "post pre"]
    """Standard error of W [1/tau], once all rows are final."""
    inputs: Float[Tensor, "neuron input"]
    """Coefficients of recorded inputs, per standard deviation [1/tau, or 1 if multiplicative]."""
    input_error: Float[Tensor, "neuron input"]
    """Their standard error, once all rows are final."""
    unobserved_bias: Float[Tensor, " neuron"] | None = None
    """Root mean square error of the weights of each row by neurons that were not recorded [1/tau];
    None if residuals were not looked at."""
    omega: KnottedInput | None = None
    """Hidden input; a multiplicative one of geometric mean 1 at every site."""
    inflation: float = 1.0
    """Factor on squared errors for residuals correlated in time."""
    diagnosis: Diagnosis | None = None
    """Diagnosis of W; the worst of several groups of rows."""

    def copy(self) -> "Solution":
        """The same, its rows free to be changed."""
        rows = ["weights", "phi_coefficients", "mean_square", "level", "noise", "error"]
        rows += ["inputs", "input_error"]
        return replace(self, **{name: getattr(self, name).clone() for name in rows})

    def enter(self, rows: Int[Tensor, " row"], fit: RowFit) -> None:
        """Take over some rows that were solved."""
        n = self.phi.n
        self.weights[rows], self.mean_square[rows] = fit.weights, fit.mean_square
        self.phi_coefficients[rows], self.inputs[rows] = fit.own[:, :n], fit.own[:, n:]

    def of(self, rows: Int[Tensor, " row"]) -> RowFit:
        """Some of the rows as they were solved."""
        own = torch.cat([self.phi_coefficients[rows], self.inputs[rows]], 1)
        return RowFit(self.weights[rows], own, self.mean_square[rows])

    def received(self, x: Float[Tensor, "frame pre"]) -> Float[Tensor, "frame post"]:
        """What every neuron receives, sum_j W_ij psi_ij(x_j) [1/tau]."""
        out = self.weights.new_empty(len(x), len(self.weights))
        for k, transfer in enumerate(self.transfers):
            mine = self.receiver_group == k
            out[:, mine] = transfer.sent(x) @ self.weights[mine].T
        return out

    def told(self, diagnosis: Diagnosis) -> None:
        """Keep the worst diagnosis."""
        if self.diagnosis is None or diagnosis.at_most < self.diagnosis.at_most:
            self.diagnosis = diagnosis

    @property
    def relative_error(self) -> Float[Tensor, " neuron"]:
        """Mean squared residual of every row over its mean squared rate."""
        return self.mean_square / self.level

    @property
    def scale(self) -> Float[Tensor, "post pre"]:
        """Half of the rise of psi, as every pair has it, over half of its reach."""
        return torch.stack([t.height[t.group] for t in self.transfers])[self.receiver_group]

    def scaled(self) -> Float[Tensor, "post pre"]:
        """W with every psi scaled to rise from -1 to 1 over half of its reach [1/tau]."""
        return (self.weights * self.scale).float()

    def psi(
        self,
        receivers: Int[Tensor, " pair"],
        senders: Int[Tensor, " pair"],
        x: Float[Tensor, "pair x"],
    ) -> Float[Tensor, "pair x"]:
        """Psi of pairs of neurons, each pair on its own grid [1]."""
        out = x.new_empty(x.shape, dtype=torch.float64)
        for k, transfer in enumerate(self.transfers):
            mine = self.receiver_group[receivers] == k
            own = transfer.coefficients[transfer.group[senders[mine]]]
            at_rest = transfer.spline.read(own, own.new_zeros(1, len(own)))[0]
            out[mine] = transfer.spline.read(own, x[mine].double().T).T - at_rest[:, None]
        return out

    def phi_curves(self, x: Float[Tensor, "neuron x"]) -> Float[Tensor, "neuron x"]:
        """phi_i on each neuron's own grid [1/tau]."""
        return self.phi.read(self.phi_coefficients, x.double().T).T

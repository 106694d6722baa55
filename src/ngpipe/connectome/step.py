r"""One step of a connectome network, with every option explicit.

Neurons are rows and samples are columns throughout, ``(neuron, batch)``. From the state x to the
response y, before any external input:

.. math::
    z_i &= a_i d_i(x) \sum_j W_{ij} x_j + b_i \\
    y_i &= \frac{1}{\tau_i} \tanh([z_i \ge \theta] z_i) + (1 - \frac{1}{\tau_i}) x_i

with slope a, bias b, threshold :math:`\theta` and divisive inhibition d, of the edges K(i) that
divide (weights w < 0, strengths s):

.. math::
    d_i = \prod_{k \in K(i)} \max(0, 1 + w_k s_k x_k) \quad\text{or}\quad
    d_i = \max(0, 1 + \sum_{k \in K(i)} w_k s_k x_k).

Source: connectome_interpreter 2.9.5 (product, :math:`\tau = 1`) and its head (sum).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ngpipe.connectome.chords import Chords, Surrogate
from ngpipe.connectome.weights import Edges, SparseProduct

STEEPNESS = 10.0
"""Decay of a surrogate gradient with distance from a bound [1 / activity]."""

State = Float[Tensor, "neuron batch"]
"""Activity of all neurons in each sample [1]."""
Drive = Callable[[State, State], State]
"""Change of the drive W x of a state x before the response: ``(W x, x) -> drive``."""


@dataclass(frozen=True)
class DivisiveInhibition:
    """Edges that divide, and how they combine."""

    post: Int[Tensor, " edge"]
    pre: Int[Tensor, " edge"]
    weight: Float[Tensor, " edge"]
    """Weight times strength, at most 0."""
    combine: Literal["product", "sum"]
    all_slopes: bool = False
    """Negative slopes of neurons that are not divided vanish, too, as in the head."""

    def gain(self, x: State, surrogate: Surrogate = False) -> State:
        """Factor on every slope, 0 to 1."""
        change = self.weight[:, None] * x[self.pre]
        at = self.post[:, None].expand_as(change)
        ones = torch.ones_like(x)
        if self.combine == "sum":
            total = ones.scatter_add(0, at, change)
            if isinstance(surrogate, Chords):
                return surrogate.held(total, total.clamp(min=0), total >= 0)
            return total.clamp(min=0)
        factor = (1 + change).clamp(min=0)
        return ones.scatter_reduce(0, at, factor, "prod", include_self=True)

    def divide(self, slope: Tensor | float, x: Tensor, surrogate: Surrogate = False) -> Tensor:
        """Slopes, each times its gain; a negative one that is divided vanishes."""
        state = x if x.ndim == 2 else x[:, None]
        divided = torch.full_like(state, self.all_slopes, dtype=torch.bool)
        divided = divided.index_fill(0, self.post, True)
        slopes = torch.as_tensor(slope).to(state)
        slopes = slopes[:, None] if slopes.ndim == 1 else slopes
        result = torch.where(divided & (slopes < 0), 0.0, slopes * self.gain(state, surrogate))
        return result if x.ndim == 2 else result[:, 0]


@dataclass(frozen=True)
class Response:
    """Constants of a step. Per-neuron values are columns ``(neuron, 1)``, or one number."""

    weights: Tensor
    """W, sparse CSR, ``[post, pre]``."""
    transposed: Tensor
    slope: Tensor | float
    bias: Tensor | float
    tau: Tensor | float
    """Time constant of the leak [steps]; the number 1: no leak."""
    threshold: float
    divisive: DivisiveInhibition | None
    nonlinear: bool
    """False: y is z itself, without threshold and tanh."""
    surrogate: Surrogate
    """Gradients at the threshold, see :class:`Held` and :class:`Chords`."""
    custom: Callable[[Tensor, Tensor], Tensor] | None
    """A response of one's own, of W x and x; slope, bias, leak and division do not apply."""
    edges: Edges | None = None
    """W in place of ``weights`` where its values have a gradient."""
    drive: Drive | None = None
    """Called with W x and x; the response is to what it returns."""

    def __call__(self, x: State) -> State:
        """Response to a state, before external input."""
        if self.edges is not None:
            incoming = self.edges.product(x)
        else:
            incoming = SparseProduct.apply(x, self.weights, self.transposed)
        return self.respond(incoming if self.drive is None else self.drive(incoming, x), x)

    def respond(self, incoming: State, x: State) -> State:
        """Response to the drive W x of a state x."""
        if self.custom is not None:
            return self.custom(incoming, x)
        y = self._weighted(incoming, x) + self.bias
        if self.nonlinear:
            y = saturated(at_least(y, self.threshold, self.surrogate), self.surrogate)
        if isinstance(self.tau, float) and self.tau == 1.0:
            return y
        return y / self.tau + (1 - 1 / self.tau) * x

    def _weighted(self, incoming: State, x: State) -> State:
        """The drive times the slope under divisive inhibition."""
        if self.divisive is None:
            return self.slope * incoming
        slope = self.divisive.divide(self.slope, x, self.surrogate)
        if isinstance(self.surrogate, Chords):
            return self.surrogate.product(slope, incoming)
        return slope * incoming


class Held(torch.autograd.Function):
    r"""Values held at a bound, with a gradient beyond it: :math:`1 / (1 + k\,d)^2` at distance d.

    The gradient of what is held is 0 and would never let it go. With this surrogate it is small
    where others count, and decides where there is no other. Source: Zenke & Ganguli 2018, Neural
    Comput. 30:1514, eq. 10 and appendix.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, held: Tensor, bound: float) -> Tensor:  # noqa: ANN401
        """The values held; where ``held`` differs from x, x is beyond the bound."""
        ctx.save_for_backward(x, held)
        ctx.bound = bound
        return held.view_as(held)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:  # noqa: ANN401
        """The gradient, smaller the farther beyond the bound."""
        x, held = ctx.saved_tensors
        passes = 1 / (1 + STEEPNESS * (x - ctx.bound).abs()).square()
        return gradient * torch.where(x == held, 1.0, passes), None, None


def at_least(x: Tensor, threshold: float, surrogate: Surrogate) -> Tensor:
    """Values below the threshold are 0; NaN stays."""
    kept = torch.where(x < threshold, 0.0, x)
    if isinstance(surrogate, Chords):
        return surrogate.held(x, kept, x >= threshold)
    return Held.apply(x, kept, threshold) if surrogate else kept


def at_most_one(x: Tensor, surrogate: Surrogate) -> Tensor:
    """Values above 1 are 1; NaN stays."""
    kept = torch.where(x > 1, 1.0, x)
    if isinstance(surrogate, Chords):
        return surrogate.held(x, kept, x <= 1)
    return Held.apply(x, kept, 1.0) if surrogate else kept


def saturated(x: Tensor, surrogate: Surrogate) -> Tensor:
    """The tanh."""
    y = torch.tanh(x)
    if isinstance(surrogate, Chords):
        return surrogate.smooth(x, y, lambda y: 1 - y.square())
    return y

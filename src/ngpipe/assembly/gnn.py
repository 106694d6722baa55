r"""What is learned: the graph neural network of an assembly.

.. math:: \dot x_i = \phi^*(a_i, x_i) + \sum_{j \ne i} W_{ij}\, \psi^*(x_j)

psi* depends on the sender alone, so the sum over all edges is one matrix product.
"""

import math
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import linear, silu

from ngpipe.arrays import Activity, Connectivity, Curves, Drift, Rate
from ngpipe.config.training import Network


@dataclass(frozen=True)
class Scales:
    """Units in which the networks see activity and rate, taken from the training frames."""

    activity: float
    """Standard deviation of activity [1]."""
    reach: float
    """Largest magnitude of activity, with a margin [1]."""
    rate: float
    """Root mean square of the target rate [1/tau]."""

    @property
    def bend(self) -> float:
        """Activity below which functions may bend: an eighth of the standard deviation."""
        return self.activity / 8


class FunctionNetwork(nn.Module):
    """A smooth function of activity and, optionally, of a latent vector.

    Activity enters twice, as x / scale and as asinh(x / bend): a function may bend near zero and
    be linear in the tails. Hidden units are SiLU; the inputs also reach the output directly. At
    the start the function is ``slope * asinh(x / bend)``.

    Shapes: ``x (*shape)`` and ``latent (*shape, latent)`` (broadcast) to ``(*shape)``.
    """

    def __init__(
        self,
        n_latent: int,
        network: Network,
        scales: Scales,
        generator: torch.Generator,
        *,
        slope: float,
    ) -> None:
        super().__init__()
        self.scales = scales
        widths = [2 + n_latent, *[network.hidden] * network.hidden_layers, 1]
        # skip_init: the default initialisation would draw from the global generator.
        self.layers = nn.ModuleList(
            nn.utils.skip_init(nn.Linear, a, b) for a, b in pairwise(widths)
        )
        for layer in self.layers:
            _initialise(layer, generator)
        nn.init.zeros_(self.layers[-1].weight)
        nn.init.zeros_(self.layers[-1].bias)
        self.direct = nn.Parameter(torch.tensor([0.0, slope]))

    def forward(self, x: Tensor, latent: Tensor | None = None) -> Tensor:
        """Value of the function at activity ``x`` for neurons with the given latents."""
        first = self.layers[0]
        features = torch.stack([x / self.scales.activity, torch.asinh(x / self.scales.bend)], -1)
        # The latent part of the first layer is one row per neuron, shared by all its activities.
        hidden = linear(features, first.weight[:, :2], first.bias)
        if latent is not None:
            hidden = hidden + linear(latent, first.weight[:, 2:])
        for layer in self.layers[1:]:
            hidden = layer(silu(hidden))
        return hidden[..., 0] + features @ self.direct


class AssemblyGNN(nn.Module):
    """Learned drift of a neural assembly; the same kind of thing as the simulated drift.

    What is read out after training: ``connectivity`` W[post, pre], the latents ``a`` that cluster
    into neuron types, the update function ``phi`` and the transfer function ``psi``.

    W is learned as ``V @ basis``: coordinates in which the senders' activity is white when the
    trainer says so, the identity otherwise. Its diagonal is zero by construction.

    Shapes:
        ``connectivity``: ``(post, pre)`` · ``latent``: ``(neuron, latent)`` · in and out:
        ``(*batch, neuron)``.
    """

    def __init__(
        self, n_neurons: int, network: Network, scales: Scales, generator: torch.Generator
    ) -> None:
        super().__init__()
        self.scales = scales
        self.phi = FunctionNetwork(network.latent_dim, network, scales, generator, slope=0.0)
        # psi starts as a plain increasing function, so that W knows its sign from the first step.
        self.psi = FunctionNetwork(0, network, scales, generator, slope=0.3)
        self.latent = nn.Parameter(_normal((n_neurons, network.latent_dim), 0.01, generator))
        self.V = nn.Parameter(_normal((n_neurons, n_neurons), 0.003, generator))
        self.register_buffer("basis", torch.eye(n_neurons))

    @property
    def n_neurons(self) -> int:
        """Number of neurons."""
        return len(self.latent)

    @property
    def connectivity(self) -> Connectivity:
        """W[post, pre] with zero diagonal [1/tau]."""
        full = self.V @ self.basis
        return self.scales.rate * (full - torch.diag(full.diagonal()))

    def forward(self, _t: float, x: Activity) -> Rate:
        """dx/dt [1/tau] at activity ``x``: the signature of any other drift."""
        return self.combine(self.phi(x, self.latent), self.psi(x))

    def as_drift(self) -> Drift:
        """The same rate with W worked out once: for the many single frames of a rollout."""
        weights = self.connectivity.detach()

        def drift(_t: float, x: Activity) -> Rate:
            return self.scales.rate * self.phi(x, self.latent) + self.psi(x) @ weights.T

        return drift

    def combine(self, phi: Activity, psi: Activity) -> Rate:
        """The rate, given the values of phi* and psi* at every neuron."""
        own = (self.V * self.basis.T).sum(1)
        return self.scales.rate * (phi + (psi @ self.basis.T) @ self.V.T - own * psi)

    def phi_curves(self, x: Float[Tensor, " x"]) -> Curves:
        """phi*(a_i, x) of every neuron on a grid, shape ``(neuron, x)`` [1/tau]."""
        return self.scales.rate * self.phi(x[None, :], self.latent[:, None, :])

    @torch.no_grad()
    def fold(self) -> None:
        """Absorb the basis: afterwards ``V`` is W itself, in units of the rate, zero diagonal."""
        self.V.copy_(self.connectivity / self.scales.rate)
        self.basis.copy_(torch.eye(self.n_neurons, device=self.basis.device))


def _initialise(layer: nn.Linear, generator: torch.Generator) -> None:
    bound = math.sqrt(3.0 / layer.in_features)
    nn.init.uniform_(layer.weight, -bound, bound, generator=generator)
    nn.init.uniform_(layer.bias, -1.0, 1.0, generator=generator)


def _normal(shape: tuple[int, ...], std: float, generator: torch.Generator) -> Tensor:
    return std * torch.randn(shape, generator=generator)

r"""The model that is trained: the graph neural network of an assembly.

.. math:: \dot x_i = \phi^*(a_i, x_i) + \Omega^*_i(t) \sum_{j \ne i} W_{ij}\, \psi^*_{ij}(x_j),
    \qquad \psi^*_{ij}(x) = \sum_k u_k(a_i)\, v_k(a_j, x)

psi* is a sum of a few products of a function of the receiver and one of the sender, so the sum over
all edges is as many matrix products: one, if psi* does not see the receiver.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import linear, silu

from ngpipe.arrays import Activity, Connectivity, Curves, Drift, Rate
from ngpipe.config.assembly.inputs import Mode
from ngpipe.config.assembly.training import Network

N_FEATURES = 3
"""Functions of activity that every learned function is built from."""


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
    """Smooth functions of activity and, optionally, of a latent vector.

    Activity enters as x / scale, asinh(x / bend) and u / sqrt(1 + u^2), u = x / (2 bend): a
    function may bend near zero and be linear, logarithmic or flat in the tails. Hidden units are
    SiLU; the inputs also reach the outputs directly. At the start the first function is ``height``
    times the last of the three, the others are zero.

    Shapes: ``x (*shape)`` and ``latent (*shape, latent)`` (broadcast) to ``(*shape, output)``.
    """

    def __init__(
        self,
        n_latent: int,
        network: Network,
        scales: Scales,
        generator: torch.Generator,
        *,
        height: float,
        n_outputs: int = 1,
    ) -> None:
        super().__init__()
        self.scales = scales
        widths = [N_FEATURES + n_latent, *[network.hidden] * network.hidden_layers, n_outputs]
        # skip_init: the default initialisation would draw from the global generator.
        layers = [nn.utils.skip_init(nn.Linear, a, b) for a, b in pairwise(widths)]
        self.layers = nn.ModuleList(layers)
        for layer in layers:
            _initialise(layer, generator)
        nn.init.zeros_(layers[-1].weight)
        nn.init.zeros_(layers[-1].bias)
        self.direct = nn.Parameter(torch.zeros(N_FEATURES, n_outputs))
        with torch.no_grad():
            self.direct[-1, 0] = height

    def forward(self, x: Tensor, latent: Tensor | None = None) -> Tensor:
        """Values of the functions at activity ``x`` for neurons with the given latents."""
        hidden, features = self._before_last(x, latent)
        return self.layers[-1](hidden) + features @ self.direct

    def columns(self, x: Tensor, latent: Tensor | None = None) -> Float[Tensor, "*shape column"]:
        """All that the functions are linear in: the last hidden units, 1, and the features."""
        hidden, features = self._before_last(x, latent)
        return torch.cat([hidden, torch.ones_like(hidden[..., :1]), features], -1)

    @property
    def coefficients(self) -> Float[Tensor, "column output"]:
        """What the columns are multiplied by."""
        last: Any = self.layers[-1]
        return torch.cat([last.weight.T, last.bias[None], self.direct])

    @torch.no_grad()
    def set_coefficients(self, coefficients: Float[Tensor, "column output"]) -> None:
        """Replace them."""
        last: Any = self.layers[-1]
        units = last.weight.shape[1]
        last.weight.copy_(coefficients[:units].T)
        last.bias.copy_(coefficients[units])
        self.direct.copy_(coefficients[units + 1 :])

    def _before_last(self, x: Tensor, latent: Tensor | None) -> tuple[Tensor, Tensor]:
        """Values of the last hidden units, and the features of activity."""
        first: Any = self.layers[0]
        bent = x / self.scales.bend
        flat = bent / 2 * torch.rsqrt(1 + (bent / 2).square())
        features = torch.stack([x / self.scales.activity, torch.asinh(bent), flat], -1)
        # The latent part of the first layer is one row per neuron, shared by all its activities.
        hidden = linear(features, first.weight[:, :N_FEATURES], first.bias)
        if latent is not None:
            hidden = hidden + linear(latent, first.weight[:, N_FEATURES:])
        for layer in self.layers[1:-1]:
            hidden = layer(silu(hidden))
        return silu(hidden), features


class Gates(nn.Module):
    """The receiver's side of psi*: u_k(a_i), shape ``(neuron, latent)`` to ``(neuron, k)``."""

    def __init__(self, network: Network, generator: torch.Generator) -> None:
        super().__init__()
        widths = [network.latent_dim, network.hidden, network.receiver_rank]
        layers = [nn.utils.skip_init(nn.Linear, a, b) for a, b in pairwise(widths)]
        self.layers = nn.ModuleList(layers)
        for layer in layers:
            _initialise(layer, generator)
        # The first product starts with weight 1, so that W knows its sign from the first step.
        with torch.no_grad():
            layers[-1].weight[0] = 0
            layers[-1].bias[0] = 1

    def forward(self, latent: Tensor) -> Tensor:
        """Weight of every product for every receiver."""
        first, last = self.layers
        return last(silu(first(latent)))


class AssemblyGNN(nn.Module):
    """Learned drift of a neural assembly; the same kind of thing as the simulated drift.

    What is read out after training: ``connectivity`` W[post, pre], the latents ``a`` that cluster
    into neuron types, the update function ``phi``, the transfer function psi and the ``field``.

    W is learned as ``V @ basis``: coordinates in which the senders' activity is white when the
    trainer says so, the identity otherwise. Its diagonal is zero by construction. ``error`` is the
    standard error of W [1/tau], zero until the training is over; ``unobserved_bias (neuron)`` the
    error that neurons which were not recorded may give the weights of a row, NaN if not known.

    Shapes:
        ``connectivity``: ``(post, pre)`` · ``latent``: ``(neuron, latent)`` · in and out:
        ``(*batch, neuron)``.

    Args:
        n_neurons: number of neurons.
        network: sizes, and what psi* sees.
        scales: units of activity and rate.
        external: the input: a learned :class:`~ngpipe.assembly.field.Field` or a known one; a
            module with ``mode`` and ``of_all(times)``, or None.
        generator: source of the initial parameters.
    """

    basis: Tensor
    error: Tensor
    unobserved_bias: Tensor

    def __init__(
        self,
        n_neurons: int,
        network: Network,
        scales: Scales,
        external: Any,  # noqa: ANN401
        generator: torch.Generator,
    ) -> None:
        super().__init__()
        self.scales, self.sees = scales, network.psi_sees
        sent = network.latent_dim if self.sees in ("sender", "pair") else 0
        received = self.sees in ("receiver", "pair")
        self.phi = FunctionNetwork(network.latent_dim, network, scales, generator, height=0.0)
        # psi starts increasing, so that W knows its sign from the first step, and saturating: from
        # a start that grows without end the way to a psi that saturates is long.
        self.psi = FunctionNetwork(
            sent,
            network,
            scales,
            generator,
            height=0.8,
            n_outputs=network.receiver_rank if received else 1,
        )
        self.gates = Gates(network, generator) if received else None
        self.external: Any = external
        self.latent = nn.Parameter(_normal((n_neurons, network.latent_dim), 0.01, generator))
        if network.one_type:
            nn.init.zeros_(self.latent.requires_grad_(False))
        self.V = nn.Parameter(_normal((n_neurons, n_neurons), 0.003, generator))
        self.register_buffer("basis", torch.eye(n_neurons))
        self.register_buffer("error", torch.zeros(n_neurons, n_neurons))
        self.register_buffer("unobserved_bias", torch.full((n_neurons,), torch.nan))

    @property
    def n_neurons(self) -> int:
        """Number of neurons."""
        return len(self.latent)

    @property
    def mode(self) -> Mode | None:
        """Mode of the external input: multiplicative or additive."""
        return self.external and self.external.mode

    @property
    def connectivity(self) -> Connectivity:
        """W[post, pre] with zero diagonal [1/tau]."""
        full = self.V @ self.basis
        return self.scales.rate * (full - torch.diag(full.diagonal()))

    def forward(self, t: float | Float[Tensor, " batch"], x: Activity) -> Rate:
        """dx/dt [1/tau] at times t and activity ``x``: the signature of any other drift."""
        omega = self.omega(t)
        shown = omega if omega is None else omega.expand_as(x)
        return self.combine(self.phi_of(x), self.sent(x), shown)

    def as_drift(self) -> Drift:
        """The same rate with W worked out once: for the many single frames of a rollout."""
        weights = self.connectivity.detach()

        def drift(t: float | Float[Tensor, " batch"], x: Activity) -> Rate:
            sums = [v @ weights.T for v in self.sent(x).unbind(-1)]
            return self._act(self.scales.rate * self.phi_of(x), self._received(sums), self.omega(t))

        return drift

    def received(self, x: Activity) -> Activity:
        """What every neuron receives, sum_j W_ij psi*_ij(x_j), before its input [1/tau]."""
        weights = self.connectivity
        return self._received([v @ weights.T for v in self.sent(x).unbind(-1)])

    def phi_of(self, x: Activity) -> Activity:
        """phi* of every neuron at its activity, in units of the rate."""
        return self.phi(x, self.latent)[..., 0]

    def sent(self, x: Activity) -> Float[Tensor, "*batch neuron k"]:
        """v_k(a_j, x_j) of every neuron at its activity."""
        return self.psi(x, self.latent if self.sees in ("sender", "pair") else None)

    def omega(self, t: float | Float[Tensor, " batch"]) -> Activity | None:
        """Input of all neurons at times t [tau]; None if the model has none."""
        if self.external is None:
            return None
        times = torch.as_tensor(t, dtype=torch.float32, device=self.latent.device)
        return self.external.of_all(times.reshape(-1)).reshape(*times.shape, self.n_neurons)

    def combine(
        self, phi: Activity, sent: Float[Tensor, "*batch neuron k"], omega: Activity | None
    ) -> Rate:
        """The rate, given the values of phi*, v_k and Omega at every neuron."""
        own = (self.V * self.basis.T).sum(1)
        sums = [(v @ self.basis.T) @ self.V.T - own * v for v in sent.unbind(-1)]
        message = self._received(sums)
        return self._act(self.scales.rate * phi, self.scales.rate * message, omega)

    def phi_curves(self, x: Float[Tensor, " x"]) -> Curves:
        """phi*(a_i, x) of every neuron on a grid, shape ``(neuron, x)`` [1/tau]."""
        return self.scales.rate * self.phi(x[None, :], self.latent[:, None, :])[..., 0]

    def psi_curves(
        self,
        receivers: Float[Tensor, "pair latent"],
        senders: Float[Tensor, "pair latent"],
        x: Float[Tensor, "pair x"],
    ) -> Curves:
        """psi*(a_i, a_j, x) of pairs of latents, each on its own grid, shape ``(pair, x)`` [1]."""
        sender = senders[:, None, :] if self.sees in ("sender", "pair") else None
        values = self.psi(x, sender)
        if self.gates is None:
            return values[..., 0]
        return (values * self.gates(receivers)[:, None, :]).sum(-1)

    @torch.no_grad()
    def fold(self) -> None:
        """Absorb the basis: afterwards ``V`` is W itself, in units of the rate, zero diagonal."""
        self.V.copy_(self.connectivity / self.scales.rate)
        self.basis.copy_(torch.eye(self.n_neurons, device=self.basis.device))

    def _received(self, sums: Sequence[Activity]) -> Activity:
        """Weigh what arrives through each of the products of psi* by the receiver's gates."""
        if self.gates is None:
            return sums[0]
        gates = self.gates(self.latent)
        return sum(gates[:, k] * total for k, total in enumerate(sums))

    def _act(self, own: Rate, message: Rate, omega: Activity | None) -> Rate:
        if omega is None:
            return own + message
        if self.mode == "multiplicative":
            return own + omega * message
        return own + message + omega


def _initialise(layer: nn.Linear, generator: torch.Generator) -> None:
    bound = math.sqrt(3.0 / layer.in_features)
    nn.init.uniform_(layer.weight, -bound, bound, generator=generator)
    nn.init.uniform_(layer.bias, -1.0, 1.0, generator=generator)


def _normal(shape: tuple[int, ...], std: float, generator: torch.Generator) -> Tensor:
    return std * torch.randn(shape, generator=generator)

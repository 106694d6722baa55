r"""The simulated neural assembly of the paper.

.. math:: \dot x_i = -c_i x_i + s_i \tanh x_i
    + g_i \Omega_i(t) \sum_{j \ne i} W_{ij}
      \left(\tanh \frac{x_j}{\gamma_j \gamma'_i} - \theta_j x_j\right)

Omega_i(t) is added to the rate instead where the input is additive. Allier, Heinrich, Schneider,
Saalfeld, arXiv 2602.13325, equations 2 and 3; gamma is the width of the sender, gamma' that of the
receiver, theta the linear term of the sender.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch import Tensor

from ngpipe.arrays import Activity, Connectivity, Curves, Drift, PerNeuron, Rate
from ngpipe.config.assembly.simulation import NeuronType, Simulation
from ngpipe.dynamics.inputs import ExternalInput

FLAT = math.atanh(0.99)
"""Argument of tanh from which it is flat."""


@dataclass(frozen=True)
class Constants:
    """Constants of the assembly, one value per neuron."""

    leak: PerNeuron
    """c_i [1/tau]"""
    self_excitation: PerNeuron
    """s_i [1/tau]"""
    sender_width: PerNeuron
    """gamma_j [1]"""
    receiver_width: PerNeuron
    """gamma'_i [1]"""
    linear: PerNeuron
    """theta_j [1]"""

    def to(self, device: torch.device) -> "Constants":
        """The same constants on another device."""
        return Constants(**{f.name: getattr(self, f.name).to(device) for f in fields(self)})


def phi(x: Activity, constants: Constants) -> Rate:
    r"""Update function :math:`\phi_i(x_i) = -c_i x_i + s_i \tanh x_i` [1/tau]."""
    return constants.self_excitation * torch.tanh(x) - constants.leak * x


def psi(x: Activity, constants: Constants, receiver_width: float = 1.0) -> Activity:
    r"""Transfer function :math:`\psi_{ij}(x_j) = \tanh(x_j / \gamma_j\gamma'_i) - \theta_j x_j`.

    Args:
        x: activity of the senders.
        constants: constants of the senders.
        receiver_width: gamma' of the receivers.
    """
    return torch.tanh(x / (constants.sender_width * receiver_width)) - constants.linear * x


def assembly_drift(
    connectivity: Connectivity, constants: Constants, external: ExternalInput | None = None
) -> Drift:
    """The rate of change of activity as a function of (t, x).

    Args:
        connectivity: effective coupling g_i W_ij, indexed [post, pre] [1/tau].
        constants: constants of every neuron.
        external: input Omega_i(t), none by default.
    """
    received = _received(connectivity, constants)
    if external is None:
        return lambda _t, x: phi(x, constants) + received(x)
    if external.mode == "multiplicative":
        return lambda t, x: phi(x, constants) + external.at(t) * received(x)
    return lambda t, x: phi(x, constants) + received(x) + external.at(t)


def _received(connectivity: Connectivity, constants: Constants) -> Callable[[Activity], Rate]:
    """Summed input of every neuron; one matrix product for each width of the receivers."""
    widths = constants.receiver_width.unique().tolist()
    if len(widths) == 1:
        return lambda x: psi(x, constants, widths[0]) @ connectivity.T
    rows = [torch.nonzero(constants.receiver_width == width)[:, 0] for width in widths]
    parts = [connectivity[row] for row in rows]
    order = torch.cat(rows).argsort()

    def received(x: Activity) -> Rate:
        sums = [psi(x, constants, w) @ p.T for w, p in zip(widths, parts, strict=True)]
        return torch.cat(sums, dim=-1)[..., order]

    return received


def type_of_neuron(cfg: Simulation) -> np.ndarray:
    """Index of every neuron's type, in order or shuffled from the seed, shape ``(neuron,)``."""
    types = np.repeat(np.arange(len(cfg.types)), cfg.neurons_of_types())
    if not cfg.shuffle_types:
        return types
    # A stream of its own: positions, initial state and noise stay as they are in order.
    (own,) = np.random.default_rng(cfg.seed).spawn(1)
    return own.permutation(types)


def constants_of(types: Sequence[NeuronType], type_index: np.ndarray) -> Constants:
    """Constants of neurons of the given types."""
    values = {
        f.name: torch.tensor([getattr(t, f.name) for t in types], dtype=torch.float32)
        for f in fields(Constants)
    }
    return Constants(
        **{name: value[torch.from_numpy(type_index)] for name, value in values.items()}
    )


def flat_from(constants: Constants) -> PerNeuron:
    """Activity of each sender beyond which what it sends is flat for every receiver [1].

    There tanh is within 1 % of its limit; infinite for senders with a linear term.
    """
    width = constants.sender_width * constants.receiver_width.max()
    return torch.where(constants.linear == 0, FLAT * width, torch.inf)


def true_phi(types: Sequence[NeuronType], x: Tensor) -> Curves:
    """Phi of every type on activities ``x``, shape ``(type, x)`` [1/tau]."""
    constants = constants_of(types, np.arange(len(types)))
    return phi(x[:, None].expand(-1, len(types)), constants).T


def true_psi(types: Sequence[NeuronType], x: Tensor) -> Tensor:
    """Psi of every pair of types on activities ``x``, shape ``(receiver, sender, x)`` [1]."""
    senders = constants_of(types, np.arange(len(types)))
    activity = x[:, None].expand(-1, len(types))
    return torch.stack([psi(activity, senders, t.receiver_width).T for t in types])


def sunflower(n_neurons: int) -> np.ndarray:
    """Positions evenly spread over a disc of radius 1/2 (Vogel 1979), shape ``(neuron, 2)``."""
    k = np.arange(n_neurons) + 0.5
    radius, angle = np.sqrt(k / n_neurons) / 2, np.pi * (1 + 5**0.5) * k
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)

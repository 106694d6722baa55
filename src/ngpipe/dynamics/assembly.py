r"""The simulated neural assembly of the paper.

.. math:: \dot x_i = -c_i x_i + s_i \tanh x_i + g_i \sum_{j \ne i} W_{ij} \tanh x_j

Allier, Heinrich, Schneider, Saalfeld, arXiv 2602.13325, equation 2.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ngpipe.arrays import Activity, Connectivity, Curves, Drift, PerNeuron, Rate
from ngpipe.config.simulation import NeuronType, Simulation


@dataclass(frozen=True)
class Constants:
    """Constants of the assembly, one value per neuron."""

    leak: PerNeuron
    """c_i [1/tau]"""
    self_excitation: PerNeuron
    """s_i [1/tau]"""


def phi(x: Activity, constants: Constants) -> Rate:
    r"""Update function :math:`\phi_i(x_i) = -c_i x_i + s_i \tanh x_i` [1/tau]."""
    return constants.self_excitation * torch.tanh(x) - constants.leak * x


def psi(x: Activity) -> Activity:
    r"""Transfer function :math:`\psi(x_j) = \tanh x_j` [1]."""
    return torch.tanh(x)


def assembly_drift(connectivity: Connectivity, constants: Constants) -> Drift:
    """The rate of change of activity as a function of (t, x).

    Args:
        connectivity: effective coupling g_i W_ij, indexed [post, pre] [1/tau].
        constants: constants of every neuron.
    """

    def drift(_t: float, x: Activity) -> Rate:
        return phi(x, constants) + psi(x) @ connectivity.T

    return drift


def type_of_neuron(cfg: Simulation) -> np.ndarray:
    """Index of every neuron's type: equal, contiguous shares, shape ``(neuron,)``."""
    return np.arange(cfg.n_neurons) * len(cfg.types) // cfg.n_neurons


def constants_of(types: Sequence[NeuronType], type_index: np.ndarray) -> Constants:
    """Constants of neurons of the given types."""
    leak = np.array([t.leak for t in types], dtype=np.float32)
    drive = np.array([t.self_excitation for t in types], dtype=np.float32)
    return Constants(
        leak=torch.from_numpy(leak[type_index]),
        self_excitation=torch.from_numpy(drive[type_index]),
    )


def true_curves(types: Sequence[NeuronType], x: Tensor) -> tuple[Curves, Curves]:
    """Phi and psi of every type on activities ``x``: two arrays ``(type, x)``."""
    constants = constants_of(types, np.arange(len(types)))
    return phi(x[:, None].expand(-1, len(types)), constants).T, psi(x).expand(len(types), -1)


def sunflower(n_neurons: int) -> np.ndarray:
    """Positions evenly spread over a disc of radius 1/2 (Vogel 1979), shape ``(neuron, 2)``."""
    k = np.arange(n_neurons) + 0.5
    radius, angle = np.sqrt(k / n_neurons) / 2, np.pi * (1 + 5**0.5) * k
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], axis=1)

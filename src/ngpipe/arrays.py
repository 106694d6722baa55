"""The vocabulary of ngpipe: array types and dimension names, each defined once.

Connectivity is always indexed ``W[post, pre]``: row *i* holds what neuron *i* receives, so the
input of all neurons is ``W @ psi(x)``.
"""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

Activity = Float[Tensor, "*batch neuron"]
"""Activity x of every neuron, possibly of many frames [1]."""

Rate = Float[Tensor, "*batch neuron"]
"""Rate of change of activity, dx/dt [1/tau]."""

Connectivity = Float[Tensor, "neuron neuron"]
"""Effective coupling g_i W_ij, indexed [post, pre] [1/tau]."""

PerNeuron = Float[Tensor, " neuron"]
"""One value per neuron."""

Latent = Float[Tensor, "neuron latent"]
"""Latent vector a_i of every neuron [1]."""

Curves = Float[Tensor, "neuron x"]
"""One function per neuron, sampled on a grid of activities."""

Drift = Callable[[float, Activity], Rate]
"""(t, x) -> dx/dt. Known physics and trained networks are both of this kind."""

Trajectory = Float[Tensor, "time neuron"]
"""Activity or rate, frame by frame."""


@runtime_checkable
class Series(Protocol):
    """A trajectory that need not be in memory: indexed by frames, it gives these."""

    shape: tuple[int, int]
    device: torch.device

    def __len__(self) -> int:
        """Number of frames."""

    def __getitem__(self, frames: slice | Int[Tensor, " frame"]) -> Trajectory:
        """Some frames."""

r"""Propagation of networks in which no unit rectifies, all steps at once.

Euler's scheme is then linear, with h = dt / tau, d the pulse's strength in each neuron and
:math:`u_k` 1 while it is on:

.. math:: x_{k+1} = (1 - h) x_k + h (W x_k + u_k d)

From rest, activity stays in the Krylov space of W and d, spanned by d, W d, W^2 d, ... With an
orthonormal basis V of it and :math:`H = V^T W V`, x = V y where

.. math:: y_{k+1} = (1 - h) y_k + h (H y_k + u_k V^T d)

The basis is enlarged until what W takes out of the space is lost in rounding: some 40 directions
of some hundred. No eigenvectors: those of W may be nearly parallel. Unit i rectifies where
W x + u d, its received input, is below 0.

Rounding is small beside the largest coordinate, not beside each neuron, so that a strongly
feedforward network may amplify it beyond its activity (:mod:`ngpipe.circuit.amplification`). Such
a run counts as not propagated at all. Computed in float64, whatever comes in.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ngpipe.circuit.amplification import FLOOR, is_lost
from ngpipe.circuit.krylov import Networks, enlarged, orbit, stepping

STRIDE = 16
"""Steps taken at a time: few enough that their power of A amplifies rounding as they do."""
SLACK = 64
"""Roundings of the largest input that are not yet taken for a negative one."""

ENOUGH = 1e-12
"""Share of activity that a step may leave out."""
BLOCK = 256
"""Steps at a time for which the input of every neuron is looked at, within the cache."""


@dataclass(frozen=True)
class Timing:
    """Steps of a run and of its pulse."""

    h: float
    """dt / tau"""
    n_steps: int
    first: int
    """The first driven step; activity is 0 up to it."""
    last: int
    """The last driven step."""


@dataclass(frozen=True)
class Propagation:
    """Activity of linear networks, x = basis^T y."""

    basis: Float[Tensor, "run direction neuron"]
    coordinates: Float[Tensor, "run direction time"]
    valid: Int[Tensor, " run"]
    """The step up to which activity is that of steps: the first at which a received input is below
    0, the last of all, or 0 where rounding is lost control of."""
    lost: Bool[Tensor, " run"]
    """True if it is lost in rounding, see :mod:`ngpipe.circuit.amplification`."""

    def read(self, readout: Float[Tensor, "neuron read"]) -> Float[Tensor, "run time read"]:
        """Readings of all steps."""
        return self.coordinates.mT @ (self.basis @ readout)

    def activity(self, step: int) -> Float[Tensor, "run neuron"]:
        """Activity at one step."""
        return (self.coordinates[:, None, :, step] @ self.basis)[:, 0]


def propagate(
    weights: Networks, driven: Float[Tensor, " neuron"], timing: Timing, *, rectify: bool
) -> Propagation:
    """All steps of all networks from rest, and up to where they are what they would be stepped.

    Args:
        weights: W[post, pre] of each run [1].
        driven: input of each neuron while the pulse is on [1].
        timing: when that is.
        rectify: whether units rectify, so that all they receive must be looked at.
    """
    weights, driven = weights.double(), driven.double()
    basis, inner = enlarged(weights, driven)
    coordinates = _coordinates(inner, driven.norm(), timing)
    while inner.shape[2] < weights.shape[-1] and _leaks(inner, coordinates, driven):
        basis, inner = enlarged(weights, driven, (basis, inner))
        coordinates = _coordinates(inner, driven.norm(), timing)
    if rectify:
        received = inner @ coordinates[..., :-1]
        received[:, 0, timing.first : timing.last + 1] += driven.norm()
        valid = _first_negative(received, basis)
    else:
        valid = torch.full((len(weights),), timing.n_steps - 1, device=weights.device)
    size = torch.linalg.vector_norm(coordinates, dim=1)
    out = timing.h * _out(inner, coordinates)
    lost = is_lost(weights, timing.h, size, out, driven.norm())
    return Propagation(basis[:, :-1], coordinates, torch.where(lost, 0, valid), lost)


def _coordinates(inner: Tensor, strength: Tensor, timing: Timing) -> Tensor:
    """Coordinates y at all steps, (run, m, time): at rest, driven, decaying."""
    runs, _, m = inner.shape
    h = timing.h
    free = stepping(inner[:, :m], h)
    # One coordinate more, always 1, carries the input.
    forced = torch.nn.functional.pad(free, (0, 1, 0, 1))
    forced[:, 0, m] = h * strength
    forced[:, m, m] = 1
    at_rest = inner.new_zeros(runs, m + 1)
    at_rest[:, m] = 1
    during = orbit(forced, at_rest, timing.last - timing.first + 2, STRIDE)[:, :m]
    after = orbit(free, during[..., -1], timing.n_steps - timing.last - 1, STRIDE)
    before = inner.new_zeros(runs, m, timing.first)
    return torch.cat([before, during[..., :-1], after], dim=2)


def _leaks(inner: Tensor, coordinates: Tensor, driven: Tensor) -> bool:
    """True if W leaves the space by more than rounding, or by enough to matter to the guard."""
    out, size = _out(inner, coordinates), torch.linalg.vector_norm(coordinates, dim=1)
    rounding = torch.finfo(size.dtype).eps * size.cummax(dim=1).values
    noted = ENOUGH * size.clamp(min=FLOOR * float(driven.norm()))
    return bool(((out > rounding) | (out > noted)).any())


def _out(inner: Tensor, coordinates: Tensor) -> Float[Tensor, "run time"]:
    """Part of the activity that W moves out of the space at each step."""
    m = inner.shape[2]
    return inner[:, m, m - 1, None].abs() * coordinates[:, m - 1].abs()


def _first_negative(
    received: Float[Tensor, "run direction time"], basis: Float[Tensor, "run direction neuron"]
) -> Int[Tensor, " run"]:
    """The first step at which some input is below 0, or no number at all; else one past the end."""
    ranges = [(part.mT @ basis).aminmax(dim=2) for part in received.split(BLOCK, dim=2)]
    low, high = (torch.cat(ends, dim=1) for ends in zip(*ranges, strict=True))
    scale = torch.maximum(-low, high).cummax(dim=1).values
    fine = low >= -SLACK * torch.finfo(low.dtype).eps * scale
    return fine.int().cumprod(dim=1).sum(dim=1)

r"""Exact propagation of networks in which no unit rectifies.

Euler's scheme is then linear, with h = dt / tau, d the pulse's strength in each neuron and
:math:`u_k` 1 while it is on:

.. math:: x_{k+1} = (1 - h) x_k + h (W x_k + u_k d)

From rest, activity stays in the Krylov space of W and d, spanned by d, W d, W^2 d, ... With an
orthonormal basis V of it and :math:`H = V^T W V` (Arnoldi; Saad 2003, section 6.3), x = V y where

.. math:: y_{k+1} = (1 - h) y_k + h (H y_k + u_k V^T d)

The basis is enlarged until what W takes out of the space is lost in rounding: some 40 directions
of some hundred. Powers of the small matrix give all steps at once. No eigenvectors: those of W may
be nearly parallel. Unit i rectifies where W x + u d, its received input, is below 0.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

Networks = Float[Tensor, "run post pre"]

GROWTH = 40
"""Directions added to a basis at a time."""
SLACK = 64
"""Roundings of the largest input that are not yet taken for a negative one."""

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
    """The step up to which activity is exact: the first at which a received input is below 0, or
    the last of all."""

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
    basis, inner = _extend(weights, *_start(weights, driven))
    coordinates = _coordinates(inner, driven.norm(), timing)
    while inner.shape[2] < weights.shape[-1] and _leaks(inner, coordinates):
        basis, inner = _extend(weights, basis, inner)
        coordinates = _coordinates(inner, driven.norm(), timing)
    if rectify:
        received = inner @ coordinates[..., :-1]
        received[:, 0, timing.first : timing.last + 1] += driven.norm()
        valid = _first_negative(received, basis)
    else:
        valid = torch.full((len(weights),), timing.n_steps - 1, device=weights.device)
    return Propagation(basis[:, :-1], coordinates, valid)


def _start(weights: Networks, driven: Tensor) -> tuple[Tensor, Tensor]:
    basis = (driven / driven.norm()).expand(len(weights), 1, -1)
    return basis, weights.new_zeros(len(weights), 1, 0)


def _extend(weights: Networks, basis: Tensor, inner: Tensor) -> tuple[Tensor, Tensor]:
    """Arnoldi: further directions; (run, m + 1, neuron) and W in them, (run, m + 1, m)."""
    old = inner.shape[2]
    m = min(old + GROWTH, weights.shape[-1])
    basis = torch.cat([basis, basis.new_zeros(len(basis), m - old, basis.shape[2])], dim=1)
    inner = torch.nn.functional.pad(inner, (0, m - old, 0, m - old))
    for j in range(old, m):
        known = basis[:, : j + 1]
        # Rows, of which torch multiplies a batch faster than of columns.
        new = known[:, j:] @ weights.mT
        length = torch.linalg.vector_norm(new, dim=2)
        for _ in range(2):  # twice is enough (Giraud et al. 2005)
            overlap = new @ known.mT
            new = new - overlap @ known
            inner[:, : j + 1, j] += overlap[:, 0]
        left = torch.linalg.vector_norm(new, dim=2)
        # Of a space that is complete rounding is left, which may lie in it: no direction at all.
        left = torch.where(left > torch.finfo(left.dtype).eps * length, left, 0)
        inner[:, j + 1, j] = left[:, 0]
        basis[:, j + 1] = torch.where(left > 0, new[:, 0] / left, 0)
    return basis, inner


def _coordinates(inner: Tensor, strength: Tensor, timing: Timing) -> Tensor:
    """Coordinates y at all steps, (run, m, time): at rest, driven, decaying."""
    runs, _, m = inner.shape
    h = timing.h
    free = (1 - h) * torch.eye(m, dtype=inner.dtype, device=inner.device) + h * inner[:, :m]
    # One coordinate more, always 1, carries the input.
    forced = torch.nn.functional.pad(free, (0, 1, 0, 1))
    forced[:, 0, m] = h * strength
    forced[:, m, m] = 1
    at_rest = inner.new_zeros(runs, m + 1)
    at_rest[:, m] = 1
    during = _orbit(forced, at_rest, timing.last - timing.first + 2)[:, :m]
    after = _orbit(free, during[..., -1], timing.n_steps - timing.last - 1)
    before = inner.new_zeros(runs, m, timing.first)
    return torch.cat([before, during[..., :-1], after], dim=2)


def _orbit(
    matrix: Float[Tensor, "run m m"], start: Float[Tensor, "run m"], n: int
) -> Float[Tensor, "run m {n}"]:
    """start, A start, A^2 start, ...: each squaring of A doubles what is known."""
    known = start[..., None]
    while known.shape[2] < n:
        known = torch.cat([known, matrix @ known[..., : n - known.shape[2]]], dim=2)
        matrix = matrix @ matrix
    return known


def _leaks(inner: Tensor, coordinates: Tensor) -> bool:
    """Whether W takes more out of the space than is lost in rounding anyway."""
    m = inner.shape[2]
    out = inner[:, m, m - 1, None].abs() * coordinates[:, m - 1].abs()
    size = torch.linalg.vector_norm(coordinates, dim=1)
    return bool((out > torch.finfo(out.dtype).eps * size.cummax(dim=1).values).any())


def _first_negative(
    received: Float[Tensor, "run direction time"], basis: Float[Tensor, "run direction neuron"]
) -> Int[Tensor, " run"]:
    """The first step at which some input is below 0, or no number at all; else one past the end."""
    ranges = [(part.mT @ basis).aminmax(dim=2) for part in received.split(BLOCK, dim=2)]
    low, high = (torch.cat(ends, dim=1) for ends in zip(*ranges, strict=True))
    scale = torch.maximum(-low, high).cummax(dim=1).values
    fine = low >= -SLACK * torch.finfo(low.dtype).eps * scale
    return fine.int().cumprod(dim=1).sum(dim=1)

r"""Bound on the rounding in a propagated response, from what the network amplifies.

The exact response misses the computed one by

.. math:: e_N = \sum_{k<N} A^{N-1-k} r_k, \qquad A = (1 - h) + h W

with :math:`r_k` what rounding, and the directions left out, took from step k. A normal A takes its
perturbations back as it does activity. A chain, or anything else that is strongly feedforward, has
eigenvectors that are nearly parallel and amplifies for a while what it damps in the end, rounding
too (Trefethen & Embree 2005, chapter 14). So

.. math:: |e_N| \le \sum_{k<N} \|A^{N-1-k}\| \, |r_k|

with the norm of powers estimated from random vectors g: :math:`|(A^T)^j g|^2` is on average the
squared Frobenius norm of :math:`A^j` (Hutchinson 1990). Powers of the transpose act in a Krylov
space of their own.
"""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from ngpipe.circuit.krylov import Networks, enlarged, orbit, stepping

TOLERANCE = 1e-8
"""Largest error of activity, relative to its size at the time."""
FLOOR = 1e-6
"""Activity, over the input of the pulse, below which the tolerance falls no further."""
SAFETY = 8
"""Factor by which rounding may be larger than its unit; tests hold the bound to stepped runs."""
PROBES = 2
"""Random vectors that the norm of powers is estimated from."""
NEGLIGIBLE = 0.01
"""Share of a probe that may leave its space: what is wanted is its order of magnitude."""
PIECES = 200
"""Parts of a run in each of which the largest value stands for all."""
APART = 16
"""Steps between the powers that are looked at: less than a time constant."""


def is_lost(
    weights: Networks,
    h: float,
    size: Float[Tensor, "run time"],
    out: Float[Tensor, "run time"],
    strength: Float[Tensor, ""],
) -> Bool[Tensor, " run"]:
    """True if rounding may exceed :data:`TOLERANCE` anywhere in a run.

    Args:
        weights: W[post, pre] of each run, float64.
        h: dt / tau.
        size: norm of activity over all neurons, at each step.
        out: what each step leaves out of the space.
        strength: norm of the input while the pulse is on.
    """
    bound = _bound(weights, h, size, out)
    allowed = TOLERANCE * _pieces(size).amax(dim=2).clamp(min=FLOOR * float(strength))
    return ~(bound <= allowed).all(dim=1)  # also where a number is none


def _bound(weights: Networks, h: float, size: Tensor, out: Tensor) -> Float[Tensor, "run piece"]:
    """Bound on the norm of the error, in each piece of the run."""
    rounding = SAFETY * torch.finfo(size.dtype).eps * (1 / APART + h * _norm(weights))
    lost = _pieces(rounding[:, None] * size + out).sum(dim=2)
    grown = _powers(weights, h, size.shape[1])
    grown = _pieces(grown.repeat_interleave(APART, dim=1)[:, : size.shape[1]]).amax(dim=2)
    # Two steps in pieces a and b are a - b pieces apart, or nearly one more or less.
    grown = torch.nn.functional.max_pool1d(grown[:, None], 3, stride=1, padding=1)[:, 0]
    n = grown.shape[1]
    lags = torch.nn.functional.pad(grown.flip(1), (0, n - 1)).unfold(1, n, 1)
    return (lags @ lost[..., None])[..., 0].flip(1)


def _powers(weights: Networks, h: float, n: int) -> Float[Tensor, "run power"]:
    """Estimated Frobenius norm of every :data:`APART`-th power of A, from 0 to n or beyond."""
    generator = torch.Generator().manual_seed(0)  # the same vectors in every call
    probes = torch.randn(PROBES, weights.shape[-1], generator=generator, dtype=weights.dtype)
    found = [_orbit_of(probe, weights.mT, h, -(-n // APART)) for probe in probes.to(weights.device)]
    return torch.stack(found).amax(dim=0)


def _orbit_of(
    probe: Float[Tensor, " neuron"], weights: Networks, h: float, n: int
) -> Float[Tensor, "run {n}"]:
    """Norm of every :data:`APART`-th power of A, applied to the probe."""
    known = None
    while True:
        known = enlarged(weights, probe, known)
        inner = known[1]
        m = inner.shape[2]
        start = inner.new_zeros(len(inner), m)
        start[:, 0] = probe.norm()
        apart = torch.linalg.matrix_power(stepping(inner[:, :m], h), APART)
        found = orbit(apart, start, n, 64)
        size = torch.linalg.vector_norm(found, dim=1)
        out = inner[:, m, m - 1, None].abs() * found[:, m - 1].abs()
        if m == weights.shape[-1] or not (out > NEGLIGIBLE * size).any():
            return size


def _norm(weights: Networks) -> Float[Tensor, " run"]:
    """A bound of the spectral norm of W."""
    return (weights.abs().sum(dim=1).amax(dim=1) * weights.abs().sum(dim=2).amax(dim=1)).sqrt()


def _pieces(values: Float[Tensor, "run time"]) -> Float[Tensor, "run piece step"]:
    steps = -(-values.shape[1] // PIECES)
    return torch.nn.functional.pad(values, (0, -values.shape[1] % steps)).unfold(1, steps, steps)

r"""State and rate of a signal whose rate is constant in pieces: total-variation differentiation.

.. math:: \min_z \tfrac12 |y - z|^2 + \lambda \sum_t |v_{t+1} - v_t|, \qquad
    v_t = (z_t - z_{t-1}) / h_t

h_t is the time between two frames, in units of the typical interval. The penalty is the total
variation of the rate (Chartrand 2011, ISRN Appl. Math. 164564; as trend filtering: Kim et al. 2009,
SIAM Rev. 51:339). It keeps sudden changes of the rate, which local polynomials smear. Solved by the
alternating direction method of multipliers, every step a system with five diagonals, for all
neurons of a stretch at once.

The estimate is not linear in the signal, so what noise leaves in it is tried out: noise of the same
size is added to the estimated state twice, and the two estimates from that are compared (parametric
bootstrap; Efron & Tibshirani 1993, "An introduction to the bootstrap", section 6.5).
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.linalg import cho_solve_banded, cholesky_banded

from ngpipe.acquisition.linear_filter import Signal
from ngpipe.acquisition.local_polynomials import Times, typical_interval

ITERATIONS, CLOSE = 2_000, 1e-4
"""Steps of the method, and the change of the state, relative to the noise, at which it ends."""
SHORTEST = 5
"""Frames of a stretch in which a change of the rate can be seen."""
REACH = 20
"""Frames on either side beyond which a measured frame changes the estimates by less than 5 % of its
own: measured on rates that change every 50 frames, at the usual strength."""

PerNeuron = Float[np.ndarray, " neuron"]
Bends = Float[np.ndarray, "inner 3"]


@dataclass(frozen=True)
class Differentiated:
    """State and rate at every frame, and the noise that is left in both."""

    state: Signal
    rate: Signal
    """In the unit of the signal over that of the times."""
    state_noise: PerNeuron
    rate_noise: PerNeuron


def differentiated(
    signal: Signal,
    stretches: Sequence[range],
    times: Times,
    noise: PerNeuron,
    strength: float,
    rng: np.random.Generator,
) -> Differentiated:
    """State and rate of all neurons; NaN in stretches that are too short, or lack a value.

    Args:
        signal: NaN where there is no value.
        stretches: frames that follow one another without a gap.
        times: of the frames.
        noise: standard deviation of the measurement noise; where it is 0 or NaN, the state is the
            signal itself.
        strength: lambda, in units of the noise.
        rng: draws the noise that is tried out.
    """
    state, rate = (np.full(signal.shape, np.nan, dtype=np.float32) for _ in range(2))
    changes, count = np.zeros((2, signal.shape[1])), 0
    sd = np.nan_to_num(noise)
    unit = typical_interval(times, stretches)
    for stretch in stretches:
        part = signal[stretch.start : stretch.stop].astype(np.float64)
        there = np.isfinite(part).all(axis=0)
        if len(part) < SHORTEST or not there.any():
            continue
        inside = slice(stretch.start, stretch.stop)
        at, own = times[inside], sd[there]
        bends = _bends(at / unit)
        z = _trend(part[:, there], own, bends, strength)
        one, other = (
            _trend(z + own * rng.standard_normal(z.shape), own, bends, strength) for _ in range(2)
        )
        moved = (one - other) / np.sqrt(2)
        state[inside, there], rate[inside, there] = z, np.gradient(z, at, axis=0)
        changes[0, there] += (moved**2).sum(axis=0)
        changes[1, there] += (np.gradient(moved, at, axis=0) ** 2).sum(axis=0)
        count += len(part)
    left = np.sqrt(changes / max(count, 1))
    return Differentiated(state, rate, *np.where(np.isnan(noise), np.nan, left))


def _trend(
    y: Float[np.ndarray, "frame neuron"], sd: PerNeuron, bends: Bends, strength: float
) -> Float[np.ndarray, "frame neuron"]:
    """Z of every neuron of one stretch, in units in which its noise is 1."""
    noisy = sd > 0
    out = y.copy()
    if not noisy.any():
        return out
    unit = sd[noisy]
    scaled = y[:, noisy] / unit
    rho = strength  # this much is free: it decides only how fast both halves approach
    factor = _factor(bends, rho)
    z, split = scaled.copy(), np.zeros((len(y) - 2, scaled.shape[1]))
    dual = np.zeros_like(split)
    for _ in range(ITERATIONS):
        before = z
        z = cho_solve_banded((factor, True), scaled + rho * _back(bends, split - dual))
        second = sum(bends[:, k, None] * z[k : len(bends) + k] for k in range(3))
        split = _shrunk(second + dual, strength / rho)
        dual = dual + second - split
        if np.sqrt(np.mean((z - before) ** 2)) < CLOSE:
            break
    out[:, noisy] = z * unit
    return out


def _bends(at: Times) -> Bends:
    """D: weights of three frames in the change of the rate at the middle one."""
    speed = 1 / np.diff(at)
    return np.stack([speed[:-1], -speed[:-1] - speed[1:], speed[1:]], axis=1)


def _factor(bends: Bends, rho: float) -> np.ndarray:
    """Cholesky factor of 1 + rho D^T D by its diagonals."""
    n = len(bends)
    band = np.zeros((3, n + 2))
    for a in range(3):
        for b in range(a, 3):
            band[b - a, a : a + n] += rho * bends[:, a] * bends[:, b]
    band[0] += 1
    return cholesky_banded(band, lower=True)


def _back(bends: Bends, change: Float[np.ndarray, "inner neuron"]) -> Signal:
    """D^T of some changes of the rate."""
    out = np.zeros((len(change) + 2, change.shape[1]))
    for k in range(3):
        out[k : len(change) + k] += bends[:, k, None] * change
    return out


def _shrunk(values: np.ndarray, by: float) -> np.ndarray:
    return np.sign(values) * np.maximum(np.abs(values) - by, 0)

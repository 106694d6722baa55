r"""A discrete smoothing spline far from the ends of its stretch, as a filter.

.. math:: \arg\min_z |y - z|^2 + \lambda |D z|^2

(Whittaker 1923; that it is a filter there: Silverman 1984, Ann. Stat. 12:898). With frames at one
interval, D takes third differences. Else row i of D is the third derivative of the cubic through
four frames, :math:`\sum_a 6 z_a / \prod_{b \ne a} (t_a - t_b)`, times the root of a third of the
time that they span, so that :math:`|D z|^2` stays the integral of the squared third derivative.
Times are in units of the typical interval. Lambda is that of the largest evidence.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float
from scipy.linalg import cho_solve_banded, cholesky_banded
from scipy.optimize import minimize_scalar

from ngpipe.acquisition.linear_filter import Filter, Signal, Weights
from ngpipe.acquisition.local_polynomials import Times, typical_interval
from ngpipe.errors import RecordingError

ORDER = 3
"""Derivative that the spline is penalised for."""
TAIL = 0.01
"""Share of the largest weight below which the spline's filter is cut off."""
LONGEST = 4_096
"""Frames on which the length of a filter is worked out."""
AROUND = 4
"""Lengths of the filter beyond which a stretch is taken to go on for ever."""
BLOCK = 512
"""Frames whose weights are worked out at once."""
SEEN = 4_000
"""Frames that the evidence for lambda is taken from."""
LAMBDA = (1e-3, 1e8)
"""Range of lambda."""

Rows = Float[np.ndarray, "inner 4"]
Band = Float[np.ndarray, "4 inner"]


def reach(penalty: float) -> int:
    """Frames on either side that the filter reads."""
    wave = 2 - 2 * np.cos(2 * np.pi * np.fft.rfftfreq(LONGEST))
    whole = np.fft.irfft(1 / (1 + penalty * wave**ORDER), LONGEST)
    return int(np.flatnonzero(np.abs(whole[: LONGEST // 2]) > TAIL * whole[0])[-1]) + 1


def smoothing(times: Times, stretches: Sequence[range], penalty: float) -> Filter:
    """Value of the spline at every frame.

    Args:
        times: of the frames; NaN at the end of a stretch: no frame that counts.
        stretches: frames that follow one another without a gap.
        penalty: lambda.
    """
    half = reach(penalty)
    found = np.full((len(times), 2 * half + 1), np.nan)
    unit = typical_interval(times, stretches)
    for s in stretches:
        at = times[s.start : s.stop] / unit
        at = at[np.isfinite(at)]
        beyond = AROUND * half
        if len(at) <= 2 * half:
            continue
        more = np.arange(1, beyond + 1)
        at = np.concatenate([at[0] - more[::-1], at, at[-1] + more])
        for low in range(beyond + half, len(at) - beyond - half, BLOCK):
            high = min(low + BLOCK, len(at) - beyond - half)
            rows = slice(s.start + low - beyond, s.start + high - beyond)
            found[rows] = _weights(at[low - beyond - half : high + beyond + half], penalty, half)
    return Filter(found, -half)


def _weights(at: Times, penalty: float, half: int) -> Float[np.ndarray, "inner tap"]:
    """Of the frames that have enough others on either side."""
    edge = (AROUND + 1) * half
    inner = np.arange(edge, len(at) - edge)
    band = penalty * _gram(_third(at), len(at))
    band[0] += 1
    one = np.zeros((len(at), len(inner)))
    one[inner, np.arange(len(inner))] = 1
    whole = cho_solve_banded((cholesky_banded(band, lower=True), True), one)
    near = inner[:, None] + np.arange(-half, half + 1)
    return _exact_on_cubics(
        whole[near, np.arange(len(inner))[:, None]], (at[near] - at[inner, None]) / half
    )


def _exact_on_cubics(weights: Weights, place: Float[np.ndarray, "frame tap"]) -> Weights:
    """The nearest weights that leave polynomials of third order as they are."""
    powers = place[:, None] ** np.arange(ORDER + 1)[:, None]
    missing = np.eye(ORDER + 1)[0] - (powers @ weights[..., None])[..., 0]
    more = np.linalg.solve(powers @ powers.swapaxes(1, 2), missing[..., None])
    return weights + (powers * more).sum(axis=1)


def _third(at: Times) -> Rows:
    """D: weights of four frames in the penalised derivative."""
    own = np.stack([at[a : len(at) - ORDER + a] for a in range(ORDER + 1)], axis=1)
    apart = own[:, :, None] - own[:, None, :] + np.eye(ORDER + 1)
    width = (own[:, -1] - own[:, 0]) / ORDER
    return 6 / apart.prod(axis=2) * np.sqrt(width)[:, None]


def _gram(rows: Rows, n_frames: int) -> Float[np.ndarray, "4 frame"]:
    """D^T D by its diagonals, the main one first."""
    band = np.zeros((ORDER + 1, n_frames))
    for a in range(ORDER + 1):
        for b in range(a, ORDER + 1):
            band[b - a, a : a + len(rows)] += rows[:, a] * rows[:, b]
    return band


def _outer(rows: Rows) -> Band:
    """D D^T by its diagonals, the main one first."""
    band, n = np.zeros((ORDER + 1, len(rows))), len(rows)
    for lag in range(ORDER + 1):
        shared = rows[: n - lag, lag:] * rows[lag:, : ORDER + 1 - lag]
        band[lag, : n - lag] = shared.sum(axis=1)
    return band


@dataclass(frozen=True)
class _Derivatives:
    """Penalised derivatives of the signal in a stretch, and their covariance but for lambda."""

    values: Float[np.ndarray, "inner neuron"]
    """NaN for neurons that lack a value."""
    outer: Band


def best_penalty(signal: Signal, stretches: Sequence[range], times: Times) -> float:
    r"""Lambda of the largest evidence, one for all neurons.

    If what is penalised is, in activity, independent with variance :math:`\sigma^2 / \lambda`,
    then in the signal it has the covariance :math:`\sigma^2 (1 / \lambda + D D^T)`; sigma is each
    neuron's own, and eliminated.

    Args:
        signal: NaN where there is no value.
        stretches: frames that follow one another without a gap.
        times: of the frames.

    Raises:
        RecordingError: no stretch is long enough.
    """
    parts = _derivatives(signal, stretches, times / typical_interval(times, stretches))
    if not parts:
        raise RecordingError(
            "source.observation.rate: no stretch without a gap has more than "
            f"{2 * ORDER} frames, too few for a smoothing spline; use kind: finite_difference"
        )

    def cost(log_penalty: float) -> float:
        return _cost(parts, float(np.exp(log_penalty)))

    low, high = np.log(LAMBDA)
    found = minimize_scalar(cost, bounds=(low, high), method="bounded", options={"xatol": 0.05})
    return float(np.exp(found.x))


def _derivatives(signal: Signal, stretches: Sequence[range], times: Times) -> list[_Derivatives]:
    """Of as many stretches as hold the frames that are looked at."""
    parts: list[_Derivatives] = []
    seen = 0
    for stretch in sorted(stretches, key=len, reverse=True):
        inside = slice(stretch.start, min(stretch.stop, stretch.start + SEEN))
        part = signal[inside].astype(np.float64)
        there = np.isfinite(part).all(axis=0)
        if len(part) <= 2 * ORDER or seen >= SEEN:
            break
        if there.any():
            rows = _third(times[inside])
            found = sum(rows[:, a, None] * part[a : len(rows) + a] for a in range(ORDER + 1))
            parts.append(_Derivatives(np.where(there, found, np.nan), _outer(rows)))
            seen += len(part)
    return parts


def _cost(parts: Sequence[_Derivatives], penalty: float) -> float:
    """Twice the negative logarithm of the evidence, but for a constant."""
    square = np.zeros(parts[0].values.shape[1])
    count, logdet = square.copy(), square.copy()
    for part in parts:
        there = np.isfinite(part.values[0])
        band = part.outer.copy()
        band[0] += 1 / penalty
        factor = cholesky_banded(band, lower=True)
        inside = part.values[:, there]
        square[there] += (inside * cho_solve_banded((factor, True), inside)).sum(axis=0)
        logdet[there] += 2 * np.log(factor[0]).sum()
        count[there] += len(inside)
    known = (count > 0) & (square > 0)
    return float((count * np.log(square / np.maximum(count, 1)) + logdet)[known].sum())

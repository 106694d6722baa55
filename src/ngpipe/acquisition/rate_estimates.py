r"""State and rate of change of a signal: a pair of filters, one for each, of the same reach.

| method | state at frame t | rate |
|---|---|---|
| finite difference | y_t | (y_{t+1} - y_t) / h |
| Savitzky-Golay | value at t of the polynomial through the frames around t | difference of states |
| smoothing spline | :math:`\arg\min_z |y - z|^2 + \lambda |\Delta^3 z|^2` | difference of states |

The difference is the central one of fourth order. What counts is that state and rate are filtered
alike: that leaves dx/dt = f(x) true to the second order of the filter's length, and takes noise
from both sides. (The slope of a Savitzky-Golay polynomial is the rate averaged over its whole
window, while its value averages over far fewer frames: the rate is then too small for the state.)
The spline is used far from the ends of a stretch, where it is a
filter too (Silverman 1984, Ann. Stat. 12:898); lambda is that of the largest evidence.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float
from scipy.linalg import cho_solve_banded, cholesky_banded
from scipy.optimize import minimize_scalar
from scipy.signal import savgol_coeffs
from scipy.special import comb

from ngpipe.acquisition.linear_filter import Filter, Signal
from ngpipe.acquisition.uneven_filters import (
    Times,
    UnevenFilter,
    differences,
    polynomial,
    slope,
    unchanged,
)
from ngpipe.config.assembly.observation import Rates, SavitzkyGolay
from ngpipe.errors import RecordingError

ORDER = 3
"""Differences that the spline is penalised for."""
TAIL = 0.01
"""Share of the largest weight below which the spline's filter is cut off."""
LONGEST = 4_096
"""Frames on which a spline's filter is worked out."""
SEEN = 4_000
"""Frames that the evidence for lambda is taken from."""
LAMBDA = (1e-3, 1e8)
"""Range of lambda."""
SLOPE = np.array([1.0, -8.0, 0.0, 8.0, -1.0]) / 12
"""Central difference of fourth order."""


AnyFilter = Filter | UnevenFilter


@dataclass(frozen=True)
class Estimator:
    """Filters that estimate the state and its rate at a frame."""

    state: AnyFilter
    rate: AnyFilter
    """In the unit of the signal over that of the frame interval."""

    @property
    def reach(self) -> tuple[int, int]:
        """Frames before and after the estimated one that either of them reads."""
        both = (self.state, self.rate)
        return max(f.before for f in both), max(f.after for f in both)

    def of(self, earlier: AnyFilter) -> "Estimator":
        """The same of what another filter makes of a signal."""
        return Estimator(_chained(self.state, earlier), _chained(self.rate, earlier))

    def part(self, frames: slice) -> "Estimator":
        """The same for some frames of a signal."""
        return Estimator(self.state.part(frames), self.rate.part(frames))

    def applied(self, signal: Signal, stretches: Sequence[range]) -> tuple[Signal, Signal]:
        """State and rate of all neurons, both NaN where either filter leaves its stretch."""
        state = self.state.applied(signal, stretches)
        rate = self.rate.applied(signal, stretches)
        absent = np.isnan(state) | np.isnan(rate)
        state[absent] = rate[absent] = np.nan
        return state, rate


def _chained(later: AnyFilter, earlier: AnyFilter) -> AnyFilter:
    """One filter of what another makes of a signal."""
    if isinstance(later, UnevenFilter):
        assert isinstance(earlier, UnevenFilter)
        return later @ earlier
    assert isinstance(earlier, Filter)
    return later @ earlier


def at_measured_times(times: Times, stretches: Sequence[range], cfg: Rates | None) -> Estimator:
    """State and rate of frames that come at intervals of their own.

    Args:
        times: of the frames [tau].
        stretches: frames that follow one another without a gap.
        cfg: differences, or polynomials; None: differences.
    """
    if not isinstance(cfg, SavitzkyGolay):
        return Estimator(unchanged(len(times)), differences(times, stretches))
    state = polynomial(times, stretches, cfg.window, cfg.order)
    return Estimator(state, slope(times, stretches) @ state)


def finite_difference(dt: float) -> Estimator:
    """The difference to the next frame."""
    return Estimator(Filter(np.ones(1)), Filter(np.array([-1.0, 1.0]) / dt))


def savitzky_golay(dt: float, window: int, order: int) -> Estimator:
    """Least-squares polynomial through the frames around each (Savitzky & Golay 1964).

    Args:
        dt: frame interval.
        window: frames, an odd number.
        order: of the polynomial; what is one of this order, up to the fourth, is estimated exactly.
    """
    state = Filter(savgol_coeffs(window, order, use="dot"), -(window // 2))
    return Estimator(state, Filter(SLOPE / dt, -2) @ state)


def smoothing_spline(dt: float, penalty: float) -> Estimator:
    """A discrete smoothing spline far from the ends of its stretch (Whittaker 1923).

    Args:
        dt: frame interval.
        penalty: lambda.
    """
    wave = 2 - 2 * np.cos(2 * np.pi * np.fft.rfftfreq(LONGEST))
    whole = np.fft.irfft(1 / (1 + penalty * wave**ORDER), LONGEST)
    half = int(np.flatnonzero(np.abs(whole[: LONGEST // 2]) > TAIL * whole[0])[-1]) + 1
    place = np.arange(-half, half + 1)
    value = _exact_on_cubics(whole[place], place / half)
    state = Filter(value, -half)
    return Estimator(state, Filter(SLOPE / dt, -2) @ state)


def _exact_on_cubics(
    weights: Float[np.ndarray, " tap"], place: Float[np.ndarray, " tap"]
) -> Float[np.ndarray, " tap"]:
    """The nearest weights that leave polynomials of third order as they are."""
    powers = np.stack([place**0, place**2])
    missing = np.array([1.0, 0.0]) - powers @ weights
    return weights + powers.T @ np.linalg.solve(powers @ powers.T, missing)


def best_penalty(signal: Signal, stretches: Sequence[range]) -> float:
    r"""Lambda of the largest evidence, one for all neurons.

    If the third differences of activity are independent with variance
    :math:`\sigma^2 / \lambda`, those of the signal have the covariance
    :math:`\sigma^2 (1 / \lambda + D D^T)`; sigma is each neuron's own, and eliminated.

    Args:
        signal: NaN where there is no value.
        stretches: frames that follow one another without a gap.

    Raises:
        RecordingError: no stretch is long enough.
    """
    parts = _third_differences(signal, stretches)
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


def _third_differences(signal: Signal, stretches: Sequence[range]) -> list[Any]:
    """Differences in as many stretches as hold the frames that are looked at."""
    parts: list[Any] = []
    seen = 0
    for stretch in sorted(stretches, key=len, reverse=True):
        part = signal[stretch.start : stretch.stop][:SEEN].astype(np.float64)
        there = np.isfinite(part).all(axis=0)
        if len(part) <= 2 * ORDER or seen >= SEEN:
            break
        if there.any():
            parts.append(np.where(there, np.diff(part, ORDER, axis=0), np.nan))
            seen += len(part)
    return parts


def _cost(parts: Sequence[Any], penalty: float) -> float:
    """Twice the negative logarithm of the evidence, but for a constant."""
    shape = [(-1) ** k * comb(2 * ORDER, ORDER - k) for k in range(ORDER + 1)]
    square = np.zeros(parts[0].shape[1])
    count, logdet = square.copy(), square.copy()
    for part in parts:
        n, there = len(part), np.isfinite(part[0])
        band = np.tile(np.array(shape)[:, None], n)
        band[0] += 1 / penalty
        factor = cholesky_banded(band, lower=True)
        inside = part[:, there]
        square[there] += (inside * cho_solve_banded((factor, True), inside)).sum(axis=0)
        logdet[there] += 2 * np.log(factor[0]).sum()
        count[there] += n
    known = (count > 0) & (square > 0)
    return float((count * np.log(square / np.maximum(count, 1)) + logdet)[known].sum())

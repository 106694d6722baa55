r"""Filters of frames that come at intervals of their own: other weights at every frame.

.. math:: y_t = \sum_{k=0}^{K-1} w_{tk}\, x_{t + f + k}

State and rate follow from polynomials through the measured times, so nothing is interpolated. Where
all intervals are alike, they are those of :mod:`.rate_estimates` and :mod:`.indicator`.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from ngpipe.acquisition.linear_filter import Signal

BLOCK = 4_096
"""Frames whose weights are worked out at once."""
SLOPE = 2
"""Frames on either side that the slope of states is from."""

Times = Float[np.ndarray, " frame"]


@dataclass(frozen=True)
class UnevenFilter:
    """Weights of neighbouring frames, at every frame; NaN where they do not lie in one stretch."""

    weights: Float[np.ndarray, "frame tap"]
    """w."""
    first: int = 0
    """f: where the first weight stands, relative to the frame that is estimated."""

    @property
    def before(self) -> int:
        """Frames before the estimated one that it reads."""
        return max(0, -self.first)

    @property
    def after(self) -> int:
        """Frames after the estimated one that it reads."""
        return max(0, self.first + self.weights.shape[1] - 1)

    def __matmul__(self, earlier: "UnevenFilter") -> "UnevenFilter":
        """This filter of what ``earlier`` makes of a signal."""
        n, taps = self.weights.shape
        found = np.zeros((n, taps + earlier.weights.shape[1] - 1))
        for k, mine in enumerate(self.weights.T):
            at = _shifted(earlier.weights, self.first + k)
            found[:, k : k + at.shape[1]] += mine[:, None] * at
        return UnevenFilter(found, self.first + earlier.first)

    @property
    def variance(self) -> float:
        """Mean variance of the result for white noise of variance 1."""
        return float(np.nanmean(np.square(self.weights).sum(axis=1)))

    def part(self, frames: slice) -> "UnevenFilter":
        """The same for some frames of a signal."""
        return UnevenFilter(self.weights[frames], self.first)

    def applied(self, signal: Signal, stretches: Iterable[range]) -> Signal:
        """The filtered signal, NaN where the filter does not lie inside one stretch.

        Args:
            signal: NaN where there is no value.
            stretches: frames that follow one another without a gap.
        """
        out = np.full(signal.shape, np.nan, dtype=np.float32)
        for s in stretches:
            start, stop = s.start - min(0, self.first), s.stop - self.after
            if start >= stop:
                continue
            total = np.zeros((stop - start, signal.shape[1]))
            for k, weight in enumerate(self.weights[start:stop].T):
                at = start + self.first + k
                total += weight[:, None] * signal[at : at + stop - start]
            out[start:stop] = total
        return out


def _shifted(weights: Float[np.ndarray, "frame tap"], by: int) -> Float[np.ndarray, "frame tap"]:
    """Weights of the frame that lies so many frames later, NaN where there is none."""
    found = np.full(weights.shape, np.nan)
    n = len(weights)
    found[max(0, -by) : min(n, n - by)] = weights[max(0, by) : min(n, n + by)]
    return found


def unchanged(n_frames: int) -> UnevenFilter:
    """The signal as it is."""
    return UnevenFilter(np.ones((n_frames, 1)))


def differences(times: Times, stretches: Sequence[range]) -> UnevenFilter:
    """The difference to the next frame over the time between them.

    Args:
        times: of the frames, in the unit that rates are wanted in.
        stretches: frames that follow one another without a gap.
    """
    return _local(times, stretches, first=0, window=2, order=1, derivative=1)


def polynomial(times: Times, stretches: Sequence[range], window: int, order: int) -> UnevenFilter:
    """Value of the least-squares polynomial through the frames around each, at their own times.

    Args:
        times: of the frames.
        stretches: frames that follow one another without a gap.
        window: frames, an odd number.
        order: of the polynomial.
    """
    return _local(times, stretches, first=-(window // 2), window=window, order=order)


def slope(times: Times, stretches: Sequence[range]) -> UnevenFilter:
    """Slope of the polynomial of fourth order through five frames: exact on such polynomials."""
    window = 2 * SLOPE + 1
    return _local(times, stretches, first=-SLOPE, window=window, order=window - 1, derivative=1)


def inverse(
    times: Times, stretches: Sequence[range], time_constant: float
) -> tuple[UnevenFilter, Times]:
    r"""From a leaky integrator's signal to what drove it, exact for a drive constant in between.

    .. math:: x_t = (c_{t+1} - \gamma_t c_t) / (1 - \gamma_t), \qquad \gamma_t = e^{-h_t / \tau}

    Args:
        times: of the frames [s].
        stretches: frames that follow one another without a gap.
        time_constant: tau [s].

    Returns:
        The filter, and the times that its results belong to: the middle between two frames.
    """
    step = np.full(len(times), np.nan)
    for s in stretches:
        step[s.start : s.stop - 1] = np.diff(times[s.start : s.stop])
    kept = np.exp(-step / time_constant)[:, None]
    return UnevenFilter(np.hstack([-kept, np.ones_like(kept)]) / (1 - kept)), times + step / 2


def _local(
    times: Times,
    stretches: Sequence[range],
    *,
    first: int,
    window: int,
    order: int,
    derivative: int = 0,
) -> UnevenFilter:
    """Weights of a polynomial's value, or slope, at the estimated frame."""
    found = np.full((len(times), window), np.nan)
    for s in stretches:
        start, stop = s.start - first, s.stop - (first + window - 1)
        for low in range(start, stop, BLOCK):
            frames = np.arange(low, min(low + BLOCK, stop))
            at = times[frames[:, None] + np.arange(first, first + window)] - times[frames, None]
            there = np.isfinite(at).all(axis=1)
            if not there.any():
                continue
            unit = np.abs(at[there]).max()
            powers = (at[there] / unit)[..., None] ** np.arange(order + 1)
            weights = np.linalg.pinv(powers)[:, derivative] / unit**derivative
            found[frames[there]] = weights
    return UnevenFilter(found, first)

r"""Short linear filters over the frames of a recording.

.. math:: y_t = \sum_{k=0}^{K-1} w_k\, x_{t + f + k}

Every estimate of a state or of a rate here is such a filter, and so is the inverse of an indicator.
One after the other is a filter again, and white noise of standard deviation sigma before it leaves
:math:`\sigma\, (\sum_k w_k^2)^{1/2}` behind it. Where a filter would reach over the end of a
stretch, or onto a frame without a value, its result is NaN: nothing is filled in.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Float

Signal = Float[np.ndarray, "frame neuron"]


@dataclass(frozen=True)
class Filter:
    """Weights of neighbouring frames."""

    weights: Float[np.ndarray, " tap"]
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
        return max(0, self.first + len(self.weights) - 1)

    def __matmul__(self, earlier: "Filter") -> "Filter":
        """This filter of what ``earlier`` makes of a signal."""
        return Filter(np.convolve(self.weights, earlier.weights), self.first + earlier.first)

    def covariance(self, other: "Filter", lag: int = 0) -> float:
        r"""Covariance of two filters' results, ``other`` taken ``lag`` frames later.

        Args:
            other: of the same signal.
            lag: frames.

        Returns:
            The covariance for white noise of variance 1.
        """
        start = min(self.first, other.first + lag)
        stop = max(self.first + len(self.weights), other.first + lag + len(other.weights))
        mine, its = np.zeros(stop - start), np.zeros(stop - start)
        mine[self.first - start :][: len(self.weights)] = self.weights
        its[other.first + lag - start :][: len(other.weights)] = other.weights
        return float(mine @ its)

    @property
    def variance(self) -> float:
        """Variance of the result for white noise of variance 1."""
        return self.covariance(self)

    def part(self, frames: slice) -> "Filter":
        """The same for some frames of a signal."""
        return self

    def applied(self, signal: Signal, stretches: Iterable[range]) -> Signal:
        """The filtered signal, NaN where the filter does not lie inside one stretch.

        Args:
            signal: NaN where there is no value.
            stretches: frames that follow one another without a gap.
        """
        out = np.full(signal.shape, np.nan, dtype=np.float32)
        for stretch in stretches:
            start, stop = stretch.start - min(0, self.first), stretch.stop - self.after
            if start >= stop:
                continue
            total = np.zeros((stop - start, signal.shape[1]))
            for k, weight in enumerate(self.weights):
                at = start + self.first + k
                total += weight * signal[at : at + stop - start]
            out[start:stop] = total
        return out


def whole_stretches(breaks: Iterable[int], n_frames: int) -> tuple[range, ...]:
    """Stretches between breaks.

    Args:
        breaks: frames after which the next is not one interval later.
        n_frames: of the recording.
    """
    ends = [0, *(k + 1 for k in breaks), n_frames]
    return tuple(range(a, b) for a, b in pairwise(ends) if b > a)

r"""Short linear filters over the frames of a recording.

.. math:: y_t = \sum_{k=0}^{K-1} w_{tk}\, x_{t + f + k}

Every estimate of a state or of a rate here is such a filter, and so is the inverse of an indicator.
Where frames come at one interval, the weights are the same at all of them, :math:`w_{tk} = w_k`.
One after the other is a filter again, and white noise of standard deviation sigma before it leaves
:math:`\sigma\, (\sum_k w_{tk}^2)^{1/2}` behind it. Where a filter would reach over the end of a
stretch, or onto a frame without a value, its result is NaN: nothing is filled in.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from jaxtyping import Float

Signal = Float[np.ndarray, "frame neuron"]
Weights = Float[np.ndarray, "frame tap"]


@dataclass(frozen=True)
class Filter:
    """Weights of neighbouring frames."""

    weights: Weights
    """w: one row for each frame, NaN where they do not lie in one stretch; or one row for all."""
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

    def __matmul__(self, earlier: "Filter") -> "Filter":
        """This filter of what ``earlier`` makes of a signal, over the same frames."""
        taps = self.weights.shape[1] + earlier.weights.shape[1] - 1
        found = np.zeros((max(len(self.weights), len(earlier.weights)), taps))
        for k, mine in enumerate(self.weights.T):
            at = _shifted(earlier.weights, self.first + k)
            found[:, k : k + at.shape[1]] += mine[:, None] * at
        return Filter(found, self.first + earlier.first)

    @property
    def variance(self) -> float:
        """Variance of the result for white noise of variance 1; the mean over the frames."""
        return float(np.nanmean(np.square(self.weights).sum(axis=1)))

    def part(self, frames: slice) -> "Filter":
        """The same for some frames of a signal."""
        return self if len(self.weights) == 1 else Filter(self.weights[frames], self.first)

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
            for k, weight in enumerate(self.part(slice(start, stop)).weights.T):
                at = start + self.first + k
                total += weight[:, None] * signal[at : at + stop - start]
            out[start:stop] = total
        return out


def _shifted(weights: Weights, by: int) -> Weights:
    """Weights of the frame that lies so many frames later, NaN where there is none."""
    if (n := len(weights)) == 1:
        return weights
    found = np.full(weights.shape, np.nan)
    found[max(0, -by) : min(n, n - by)] = weights[max(0, by) : min(n, n + by)]
    return found


def whole_stretches(breaks: Iterable[int], n_frames: int) -> tuple[range, ...]:
    """Stretches between breaks.

    Args:
        breaks: frames after which the next is not one interval later.
        n_frames: of the recording.
    """
    ends = [0, *(k + 1 for k in breaks), n_frames]
    return tuple(range(a, b) for a, b in pairwise(ends) if b > a)

"""Polynomials through the frames around each: filters for their value and their slope.

The frames have times of their own, so nothing is interpolated.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from ngpipe.acquisition.linear_filter import Filter

BLOCK = 4_096
"""Frames whose weights are worked out at once."""
SLOPE = 2
"""Frames on either side that the slope of states is from."""

Times = Float[np.ndarray, " frame"]


def differences(times: Times, stretches: Sequence[range]) -> Filter:
    """The difference to the next frame over the time between them.

    Args:
        times: of the frames, in the unit that rates are wanted in.
        stretches: frames that follow one another without a gap.
    """
    return _local(times, stretches, first=0, window=2, order=1, derivative=1)


def polynomial(times: Times, stretches: Sequence[range], window: int, order: int) -> Filter:
    """Value of the least-squares polynomial through the frames around each, at their own times.

    Args:
        times: of the frames.
        stretches: frames that follow one another without a gap.
        window: frames, an odd number.
        order: of the polynomial; at one interval also what is one order higher than an even order
            is left as it is.
    """
    return _local(times, stretches, first=-(window // 2), window=window, order=order)


def slope(times: Times, stretches: Sequence[range]) -> Filter:
    """Slope of the polynomial of fourth order through five frames: exact on such polynomials."""
    window = 2 * SLOPE + 1
    return _local(times, stretches, first=-SLOPE, window=window, order=window - 1, derivative=1)


def typical_interval(times: Times, stretches: Sequence[range]) -> float:
    """Median time between two frames of a stretch, in the unit of ``times``; 1 if there are none.

    Args:
        times: of the frames; NaN at the end of a stretch: no frame that counts.
        stretches: frames that follow one another without a gap.
    """
    steps = [np.diff(times[s.start : s.stop]) for s in stretches]
    known = np.concatenate([np.empty(0), *steps])
    known = known[np.isfinite(known)]
    return float(np.median(known)) if len(known) else 1.0


def _local(
    times: Times,
    stretches: Sequence[range],
    *,
    first: int,
    window: int,
    order: int,
    derivative: int = 0,
) -> Filter:
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
    return Filter(found, first)

r"""State and rate of change of a signal: a pair of filters, one for each, of the same reach.

| method | state at frame t | rate |
|---|---|---|
| finite difference | y_t | (y_{t+1} - y_t) / h_t |
| Savitzky-Golay | value at t of the polynomial through the frames around t | slope of states |
| smoothing spline | :math:`\arg\min_z |y - z|^2 + \lambda |D z|^2` | slope of states |

The slope is that of the polynomial through five states; at one interval, the central difference of
fourth order. What counts is that state and rate are filtered
alike: that leaves dx/dt = f(x) true to the second order of the filter's length, and takes noise
from both sides. (The slope of a Savitzky-Golay polynomial is the rate averaged over its whole
window, while its value averages over far fewer frames: the rate is then too small for the state.)
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ngpipe.acquisition import indicator, smoothing_spline
from ngpipe.acquisition.linear_filter import Filter, Signal
from ngpipe.acquisition.local_polynomials import SLOPE, Times, differences, polynomial, slope
from ngpipe.config.assembly.observation import (
    Rates,
    SavitzkyGolay,
    SmoothingSpline,
    TotalVariation,
)


@dataclass(frozen=True)
class Estimator:
    """Filters that estimate the state and its rate at a frame."""

    state: Filter
    rate: Filter
    """In the unit of the signal over that of the times."""

    @property
    def reach(self) -> tuple[int, int]:
        """Frames before and after the estimated one that either of them reads."""
        both = (self.state, self.rate)
        return max(f.before for f in both), max(f.after for f in both)

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


def at_measured_times(
    times: Times,
    stretches: Sequence[range],
    cfg: Rates | None,
    time_constants: Sequence[float] = (),
) -> Estimator:
    """State and rate of frames that come at intervals of their own.

    Args:
        times: of the frames.
        stretches: frames that follow one another without a gap.
        cfg: a spline's penalty is known. Total variation: no filter, both are the signal. None:
            differences.
        time_constants: of an indicator that is inverted first, in the unit of ``times``.
    """
    earlier, times = indicator.inverse(times, stretches, time_constants)
    match cfg:
        case TotalVariation():
            return Estimator(earlier, earlier)
        case SavitzkyGolay(window=window, order=order):
            state = polynomial(times, stretches, window, order)
        case SmoothingSpline(penalty=penalty):
            assert penalty is not None
            state = smoothing_spline.smoothing(times, stretches, penalty)
        case _:
            return Estimator(earlier, differences(times, stretches) @ earlier)
    return Estimator(state @ earlier, slope(times, stretches) @ state @ earlier)


def at_one_interval(
    dt: float, cfg: Rates | None, time_constants: Sequence[float] = ()
) -> Estimator:
    """The same of frames at one interval: every frame has the same weights.

    Args:
        dt: frame interval.
        cfg: as above.
        time_constants: as above, in the unit of ``dt``.
    """
    middle = len(time_constants) + SLOPE
    match cfg:
        case SavitzkyGolay(window=window):
            middle += window // 2
        case SmoothingSpline(penalty=penalty):
            assert penalty is not None
            middle += smoothing_spline.reach(penalty)
    times = dt * np.arange(2 * middle + 1)
    found = at_measured_times(times, [range(len(times))], cfg, time_constants)
    return found.part(slice(middle, middle + 1))

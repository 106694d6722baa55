r"""Inverse of a calcium indicator that is known: from its signal to the activity that drove it.

An indicator follows activity x as one or two leaky integrators do, of unit gain:

.. math:: \tau_d \dot c = s - c, \qquad \tau_r \dot s = x - s \quad (s = x \text{ without a rise})

If the drive is constant from a frame to the next, h_t later, then exactly

.. math:: s_t = \frac{c_{t+1} - \gamma_t c_t}{1 - \gamma_t}, \qquad \gamma_t = e^{-h_t / \tau_d}

and the same again from s to x; at one interval this is the AR(2) model of calcium pipelines. The
estimate belongs to the middle of the frames that it reads. Each integrator multiplies noise by
:math:`(1 + \gamma^2)^{1/2} / (1 - \gamma)`: by 17 for a decay of 0.4 s at 30 Hz.
"""

from collections.abc import Sequence

import numpy as np

from ngpipe.acquisition.linear_filter import Filter
from ngpipe.acquisition.local_polynomials import Times


def inverse(
    times: Times, stretches: Sequence[range], time_constants: Sequence[float]
) -> tuple[Filter, Times]:
    """The filter from an indicator's signal to activity.

    Args:
        times: of the frames.
        stretches: frames that follow one another without a gap.
        time_constants: of the decay, and of the rise if there is one, in the unit of ``times``.
            None at all: the signal is the activity.

    Returns:
        The filter, and the times that its results belong to; NaN at the ends of stretches.
    """
    found = Filter(np.ones((len(times), 1)))
    for constant in time_constants:
        step = np.full(len(times), np.nan)
        for s in stretches:
            step[s.start : s.stop - 1] = np.diff(times[s.start : s.stop])
        kept = np.exp(-step / constant)[:, None]
        found = Filter(np.hstack([-kept, np.ones_like(kept)]) / (1 - kept)) @ found
        times = times + step / 2
    return found, times

r"""Inverse of a calcium indicator that is known: from its signal to the activity that drove it.

An indicator follows activity x as one or two leaky integrators do, of unit gain:

.. math:: \tau_d \dot c = s - c, \qquad \tau_r \dot s = x - s \quad (s = x \text{ without a rise})

If the drive is constant within a frame of length h, then exactly

.. math:: s_t = \frac{c_{t+1} - \gamma_d c_t}{1 - \gamma_d}, \qquad \gamma_d = e^{-h / \tau_d}

and the same again from s to x; together this is the AR(2) model of calcium pipelines. The estimate
belongs to the middle of the frames that it reads. Each integrator multiplies noise by
:math:`(1 + \gamma^2)^{1/2} / (1 - \gamma)`: by 17 for a decay of 0.4 s at 30 Hz.
"""

import numpy as np

from ngpipe.acquisition.linear_filter import Filter


def inverse(frame: float, decay: float, rise: float | None = None) -> Filter:
    """The filter from an indicator's signal to activity.

    Args:
        frame: h, time from frame to frame [s].
        decay: tau_d [s].
        rise: tau_r [s]; None: the indicator rises at once.
    """
    found = _of_one(frame, decay)
    return found if rise is None else _of_one(frame, rise) @ found


def _of_one(frame: float, time_constant: float) -> Filter:
    kept = np.exp(-frame / time_constant)
    return Filter(np.array([-kept, 1.0]) / (1 - kept))

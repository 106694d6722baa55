r"""Measurement noise of each neuron, from the recording alone.

Noise is another at each frame, activity is not. Two estimates of its standard deviation sigma:

- ``autocovariance``: of the steps :math:`d_t = y_{t+1} - y_t`, noise gives neighbours the
  covariance :math:`-\sigma^2` and those further apart none, while the covariance of activity
  hardly changes from lag 1 to lag 3. So with :math:`\gamma_k` the covariance of steps k apart,
  :math:`\sigma^2 = 2\gamma_2 - \gamma_3 - \gamma_1`. Noise that drives the neurons is not counted:
  it stays in all later frames. Where intervals h_t differ, what noise leaves of the covariance of
  neighbours is told from speeds, :math:`\sigma^2 = \langle d_t\,[h_{t+1} (2 d_{t+2} / h_{t+2}
  - d_{t+3} / h_{t+3}) - d_{t+1}] \rangle`.
- ``spectrum``: the mean of the power spectrum (Welch) between a half and all of the Nyquist
  frequency, as calcium pipelines take it (Pnevmatikakis et al. 2016, Neuron 89:285). Activity that
  fast counts as noise.
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
from jaxtyping import Float
from scipy.signal import welch

from ngpipe.acquisition.linear_filter import Signal

Method = Literal["autocovariance", "spectrum"]

SEGMENT = 256
"""Most frames of a segment whose spectrum is taken."""
SHORTEST = 16
"""Fewest."""

PerNeuron = Float[np.ndarray, " neuron"]
PerFrame = Float[np.ndarray, " frame"]


def noise_sd(
    signal: Signal, stretches: Sequence[range], method: Method, times: PerFrame | None = None
) -> PerNeuron:
    """Standard deviation of the noise of every neuron, in the unit of the signal.

    Args:
        signal: NaN where there is no value.
        stretches: frames that follow one another without a gap.
        method: see above.
        times: of the frames, if they are not evenly spaced; for ``autocovariance``.

    Returns:
        sigma; 0 if no noise is seen, NaN for neurons whose stretches are too short to tell.
    """
    total, weight = np.zeros(signal.shape[1]), np.zeros(signal.shape[1])
    for stretch in stretches:
        part = signal[stretch.start : stretch.stop].astype(np.float64)
        own = None if times is None else np.diff(times[stretch.start : stretch.stop])
        mean, count = _of_spectrum(part) if method == "spectrum" else _of_steps(part, own)
        seen = count > 0
        total[seen] += (mean * count)[seen]
        weight += count
    with np.errstate(invalid="ignore"):
        return np.sqrt(np.maximum(total / weight, 0))


def _of_steps(
    part: Signal, intervals: Float[np.ndarray, " step"] | None
) -> tuple[PerNeuron, PerNeuron]:
    """Variance, and the number of products it is from."""
    steps = np.diff(part, axis=0)
    n = len(steps) - 3
    if n < 1:
        return np.zeros(part.shape[1]), np.zeros(part.shape[1])
    h = np.ones((len(steps), 1)) if intervals is None else intervals[:, None]
    speed = steps / h
    change = h[1 : 1 + n] * (2 * speed[2 : 2 + n] - speed[3:]) - steps[1 : 1 + n]
    return _mean(steps[:n] * change)


def _of_spectrum(part: Signal) -> tuple[PerNeuron, PerNeuron]:
    length = min(SEGMENT, len(part))
    absent = np.zeros(part.shape[1])
    if length < SHORTEST:
        return absent, absent
    frequency, power = welch(part, nperseg=length, axis=0)
    # One-sided: white noise of variance 1 has density 2 per cycle and frame.
    variance = power[frequency > 0.25].mean(axis=0) / 2
    return variance, np.where(np.isfinite(variance), float(len(part)), 0.0)


def _mean(products: Signal) -> tuple[PerNeuron, PerNeuron]:
    count = np.isfinite(products).sum(axis=0).astype(float)
    return np.nansum(products, axis=0) / np.maximum(count, 1), count

r"""From a raw signal to one that neurons can be compared by: dF/F, z-scores, no drift.

All of it neuron by neuron. Frames without a value stay without one; a running window counts the
frames that are there.
"""

import numpy as np
from jaxtyping import Float
from scipy.ndimage import percentile_filter, uniform_filter1d

from ngpipe.acquisition.linear_filter import Signal
from ngpipe.errors import RecordingError

Trace = Float[np.ndarray, " frame"]


def running_quantile(trace: Trace, window: int, quantile: float) -> Trace:
    """Quantile of the frames around each frame; at the ends, of those that there are."""
    if window >= 2 * len(trace):
        return np.full_like(trace, np.quantile(trace, quantile))
    return percentile_filter(trace, 100 * quantile, size=window, mode="reflect")


def relative_change(signal: Signal, window: int, quantile: float, *, first: int = 0) -> Signal:
    r"""dF/F: :math:`(F - F_0) / F_0`, F_0 a running quantile of F.

    Args:
        signal: F, fluorescence.
        window: frames that the quantile is taken of.
        quantile: of F.
        first: number of the first neuron, for errors.

    Raises:
        RecordingError: a baseline is not positive, so that the signal is no raw fluorescence.
    """
    out = np.full_like(signal, np.nan)
    for neuron in range(signal.shape[1]):
        there = np.isfinite(signal[:, neuron])
        if not there.any():
            continue
        trace = signal[there, neuron].astype(np.float64)
        base = running_quantile(trace, window, quantile)
        if base.min() <= 0:
            raise RecordingError(
                f"source.observation.baseline: the baseline of neuron {first + neuron} falls to "
                f"{base.min():g}, but dF/F divides by it; leave `baseline` out if the file holds "
                "dF/F already, or correct the neuropil with a smaller factor"
            )
        out[there, neuron] = trace / base - 1
    return out


def standardised(signal: Signal) -> Signal:
    """z-scores: every neuron minus its mean, over its standard deviation."""
    out = signal.copy()
    there = np.isfinite(signal).any(axis=0)
    centred = signal[:, there] - np.nanmean(signal[:, there], axis=0, dtype=np.float64)
    with np.errstate(invalid="ignore"):
        out[:, there] = centred / np.sqrt(np.nanmean(centred**2, axis=0))
    return out


def straightened(signal: Signal) -> Signal:
    """Every neuron minus its straight line over the frames, the mean kept."""
    out = signal.copy()
    frame = np.arange(len(signal), dtype=np.float64)
    for neuron in range(signal.shape[1]):
        there = np.isfinite(signal[:, neuron])
        if there.sum() < 2:
            continue
        centred = frame[there] - frame[there].mean()
        trace = signal[there, neuron].astype(np.float64)
        slope = centred @ trace / (centred @ centred)
        out[there, neuron] = trace - slope * centred
    return out


def without_drift(signal: Signal, window: int) -> Signal:
    """Every neuron minus its running mean over ``window`` frames, the overall mean kept."""
    out = signal.copy()
    for neuron in range(signal.shape[1]):
        there = np.isfinite(signal[:, neuron])
        trace = signal[there, neuron].astype(np.float64)
        if len(trace):
            slow = uniform_filter1d(trace, min(window, len(trace)), mode="nearest")
            out[there, neuron] = trace - slow + slow.mean()
    return out

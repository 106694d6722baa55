r"""Calls of connections: weights that differ from zero by more than their errors explain.

Two-sided normal tests, the share of false calls held below a rate (Benjamini & Hochberg 1995, J. R.
Stat. Soc. B 57:289). Errors may be too small by a common factor; where many connections are absent,
their z = W / error show it: the width of the peak of z around zero is the width of the null
distribution (Efron 2004, J. Am. Stat. Assoc. 99:96).

A wide peak may also be the weights themselves, where most connections are present and z is a few.
By z alone this cannot be told from errors that are too small. W of the two halves of a recording
can tell what of it is noise: halves differ by noise, and agree on weights.
"""

import numpy as np
from jaxtyping import Bool, Float

PEAK = 1.5
"""Absolute z, in units of the width so far, up to which the peak is looked at."""
BINS = 30
WIDEST = 4.0
"""Width of a peak beyond which there is none: weights spread that far, not errors."""
ROUNDS = 20
DOUBTED = 2.0
"""Width of the peak, over that of noise, beyond which it is of weights if none stands out."""
NONE = 1e-3
"""Share of the weights up to which none is said to stand out."""
MEDIAN = 0.6745
"""Median of the absolute value of a standard normal variable."""

Z = Float[np.ndarray, " weight"]


def detected(
    z: Z, rate: float, noise: float | None = None
) -> tuple[Bool[np.ndarray, " weight"], float]:
    """Mask of the connections called present, and the width of the null distribution.

    The width is that of the peak, at least that of noise. If the peak is more than twice as wide as
    noise, and next to no weight stands out of it, it is made of weights: the width is that of
    noise.

    Args:
        z: weights over their errors.
        rate: expected share of false calls.
        noise: width of z by noise alone (:func:`noise_width`); None: not known, so that any peak
            is taken for the null distribution.
    """
    peak, least = null_width(z), max(1.0, noise or 0.0)
    width = max(peak, least)
    found = _called(z, rate, width)
    if noise is not None and peak > DOUBTED * least and found.mean() < NONE:
        return _called(z, rate, least), least
    return found, width


def _called(z: Z, rate: float, width: float) -> Bool[np.ndarray, " weight"]:
    # Half a second to load; most steps only import this module.
    from scipy.stats import false_discovery_control, norm

    return false_discovery_control(2 * norm.sf(np.abs(z) / width)) <= rate


def noise_width(
    first: Float[np.ndarray, " weight"],
    second: Float[np.ndarray, " weight"],
    error: Float[np.ndarray, " weight"],
) -> float | None:
    """Factor by which errors are too small for the noise in W; None if nothing is known.

    W of half of the frames has twice the variance, so the halves differ by twice the error.

    Args:
        first: W of the first half of the recording, NaN where it is not known.
        second: of the second.
        error: standard errors of W of the whole.
    """
    apart = np.abs(first - second) / (2 * error)
    apart = apart[np.isfinite(apart)]
    return float(np.median(apart)) / MEDIAN if apart.size else None


def null_width(z: Z) -> float:
    """Width of the peak of z at zero, at least 1; 1 if there is no peak.

    The logarithm of the counts near zero falls as :math:`z^2 / 2 w^2`; w by weighted least squares,
    over absolute z up to ``PEAK`` w, in turn.
    """
    width = 1.0
    for _ in range(ROUNDS):
        counts, edges = np.histogram(np.abs(z), BINS, range=(0, PEAK * width))
        square = ((edges[1:] + edges[:-1]) / 2) ** 2
        filled = counts > 0
        if filled.sum() < BINS // 2:
            return 1.0
        # Poisson counts: the variance of log n is 1 / n.
        weights = np.sqrt(counts[filled])
        slope = np.polyfit(square[filled], np.log(counts[filled]), 1, w=weights)[0]
        if slope >= -0.5 / WIDEST**2:
            return 1.0
        before, width = width, float(np.sqrt(-0.5 / slope))
        if abs(width - before) < 1e-3 * width:
            break
    return max(1.0, width)

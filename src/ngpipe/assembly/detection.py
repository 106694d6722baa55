r"""Calls of connections: weights that differ from zero by more than their errors explain.

Two-sided normal tests, the share of false calls held below a rate (Benjamini & Hochberg 1995, J. R.
Stat. Soc. B 57:289). Errors may be too small by a common factor; where many connections are absent,
their z = W / error show it: the width of the peak of z around zero is the width of the null
distribution (Efron 2004, J. Am. Stat. Assoc. 99:96).
"""

import numpy as np
from jaxtyping import Bool, Float

PEAK = 1.5
"""Absolute z, in units of the width so far, up to which the peak is looked at."""
BINS = 30
WIDEST = 4.0
"""Width of a peak beyond which there is none: weights spread that far, not errors."""
ROUNDS = 20

Z = Float[np.ndarray, " weight"]


def detected(z: Z, rate: float) -> tuple[Bool[np.ndarray, " weight"], float]:
    """Mask of the connections called present, and the width of the null distribution.

    Args:
        z: weights over their errors.
        rate: expected share of false calls.
    """
    # Half a second to load; most steps only import this module.
    from scipy.stats import false_discovery_control, norm

    width = null_width(z)
    return false_discovery_control(2 * norm.sf(np.abs(z) / width)) <= rate, width


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

"""Step sizes for fits of networks."""

import math

WARM_UP = 0.05
LAST = 1e-3


def fall(done: float) -> float:
    """Step size relative to its peak: linear warm-up, cosine decay, after a share of the steps."""
    rise = min(1.0, done / WARM_UP)
    return max(rise * 0.5 * (1 + math.cos(math.pi * done)), LAST)

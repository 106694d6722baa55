"""The common form of all metrics: one row per number."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from jaxtyping import Float

COLUMNS = ["quantity", "metric", "value", "n"]

Vector = Float[np.ndarray, " n"]


def scores(quantity: str, values: Mapping[str, float | int], n: int) -> pd.DataFrame:
    """A tidy frame with columns ``quantity, metric, value, n``."""
    return pd.DataFrame(
        [(quantity, metric, float(value), int(n)) for metric, value in values.items()],
        columns=COLUMNS,
    )


def agreement(estimate: Vector, truth: Vector) -> dict[str, float]:
    """Agreement of two vectors, in float64.

    Returns:
        ``r2``: squared Pearson correlation. ``slope``: ordinary least squares of the estimate on
        the truth. ``r2_identity``: 1 - sum((estimate - truth)^2) / sum((truth - mean)^2).
        All are NaN where the truth is constant, a value is NaN, or there is none.
    """
    if len(truth) == 0:
        return {"r2": np.nan, "slope": np.nan, "r2_identity": np.nan}
    estimate, truth = estimate.astype(np.float64), truth.astype(np.float64)
    e, t = estimate - estimate.mean(), truth - truth.mean()
    ee, tt, et = e @ e, t @ t, e @ t
    if tt == 0:
        return {"r2": np.nan, "slope": np.nan, "r2_identity": np.nan}
    r2 = et**2 / (ee * tt) if ee != 0 else 0.0
    residual = estimate - truth
    return {"r2": r2, "slope": et / tt, "r2_identity": 1 - residual @ residual / tt}

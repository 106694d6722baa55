"""Agreement of W between the halves of a recording, and what it lacks; needs no truth."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import xarray as xr

from ngpipe.metrics.connectivity import off_diagonal
from ngpipe.metrics.tidy import scores


def score_halves(recovery: xr.Dataset) -> pd.DataFrame:
    """Agreement of W of the first and of the second half, over the off-diagonal entries.

    Quantity ``halves``: ``correlation``, Pearson's r; ``correlation_connected``, the same of the
    connections called present (NaN if there are fewer than three). Pairs that no session sees
    together are NaN in the halves, and are not counted.

    Args:
        recovery: holds ``connectivity_halves (half, post, pre)``.
    """
    first, second = (off_diagonal(w) for w in recovery["connectivity_halves"])
    first, second = first.astype(np.float64), second.astype(np.float64)
    n = int(np.isfinite(first + second).sum())
    values = {"correlation": _correlation(first, second)}
    if "connected" in recovery:
        called = off_diagonal(recovery["connected"]) != 0
        values["correlation_connected"] = _correlation(first[called], second[called])
    return scores("halves", values, n)


def score_unobserved(recovery: xr.Dataset, told: Mapping[str, Any]) -> pd.DataFrame:
    """What neurons that were not recorded leave in the residuals, and what they may do to W.

    Quantity ``unobserved``: ``rank``, directions that residuals of different neurons have in
    common; ``share``, the mean square of this part over that of what the model explains; ``bias``,
    root mean square error of weights that follows, over the root mean square weight.

    Args:
        recovery: holds ``unobserved_bias (post)`` and ``connectivity``.
        told: the diagnosis, attributes of ``training.zarr``.
    """
    weights = off_diagonal(recovery["connectivity"]).astype(np.float64)
    bias = recovery["unobserved_bias"].values.astype(np.float64)
    values = {
        "rank": float(told["unobserved_rank"]),
        "share": float(told["unobserved_share"]),
        "bias": float(np.sqrt((bias**2).mean() / (weights**2).mean())),
    }
    return scores("unobserved", values, len(bias))


def _correlation(one: np.ndarray, other: np.ndarray) -> float:
    """Pearson's r; NaN where there is none."""
    known = np.isfinite(one) & np.isfinite(other)
    one, other = one[known], other[known]
    if len(one) < 3 or not (one.std() and other.std()):
        return float("nan")
    return float(np.corrcoef(one, other)[0, 1])

"""Learned against true external input."""

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Float

from ngpipe.metrics.tidy import agreement, scores

Table = Float[np.ndarray, "sample neuron"]


def score(estimate: xr.DataArray, truth: xr.Dataset) -> pd.DataFrame:
    """Compare the input of the driven neurons at the sampled times.

    Quantities: ``input`` (all values), ``input_sqrt`` (their square roots, as the paper compares
    them; positive inputs only), ``input_image`` (time averages over the sites) and
    ``input_within`` (mean squared correlation over time within each site, where it varies).

    Args:
        estimate: ``(sample, neuron)`` with the frame of every sample, ``sample_frame``.
        truth: ``external_input (frame, neuron)``, ``input_frame (time)``, ``driven (neuron)``.
    """
    learned, true = pair(estimate, truth)
    n = true.size
    tables = [scores("input", agreement(learned.ravel(), true.ravel()), n)]
    if true.min() >= 0:
        roots = np.sqrt(np.maximum(learned, 0)).ravel(), np.sqrt(true).ravel()
        tables.append(scores("input_sqrt", agreement(*roots), n))
    image = agreement(learned.mean(axis=0), true.mean(axis=0))
    tables.append(scores("input_image", image, true.shape[1]))
    varies = np.flatnonzero(np.ptp(true, axis=0) > 0)
    if len(varies):
        within = [agreement(learned[:, k], true[:, k])["r2"] for k in varies]
        tables.append(scores("input_within", {"r2": float(np.mean(within))}, len(varies)))
    return pd.concat(tables, ignore_index=True)


def pair(estimate: xr.DataArray, truth: xr.Dataset) -> tuple[Table, Table]:
    """Learned and true input of the driven neurons at the sampled times."""
    driven = np.flatnonzero(truth["driven"].values)
    if "sample_frame" in estimate.coords:
        shown = truth["input_frame"].values[estimate["sample_frame"].values]
    else:  # an older store says the times alone
        shown = truth["input_frame"].sel(time=estimate["sample"].values, method="nearest").values
    table = truth["external_input"].values[:, driven].astype(np.float64)
    left = np.floor(shown).astype(int)
    right = np.minimum(left + 1, len(table) - 1)
    share = (shown - left)[:, None]
    true = (1 - share) * table[left] + share * table[right]
    return estimate.values[:, driven].astype(np.float64), true

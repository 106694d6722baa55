"""Learned against true types and functions of the neurons."""

import numpy as np
import pandas as pd
import xarray as xr
from scipy.optimize import linear_sum_assignment
from sklearn.metrics import adjusted_rand_score, confusion_matrix

from ngpipe.metrics.tidy import rows


def score_types(estimate: xr.DataArray, truth: xr.DataArray) -> pd.DataFrame:
    """Compare two labellings ``(neuron)``: counts, adjusted Rand index, matched accuracy.

    Labels are matched by the Hungarian method here, and only here.
    """
    found, true = estimate.values, truth.values
    table = confusion_matrix(true, found)
    matched = table[linear_sum_assignment(table, maximize=True)].sum() / len(true)
    values = {
        "found": float(len(np.unique(found))),
        "true": float(len(np.unique(true))),
        "ari": float(adjusted_rand_score(true, found)),
        "accuracy": float(matched),
    }
    return rows("types", values, len(true))


def score_functions(recovery: xr.Dataset, truth: xr.Dataset) -> pd.DataFrame:
    """Normalised RMSE of phi and psi on the visited range, over all neurons and per true type.

    The error of a type's neurons, over every activity in the neuron's own visited range, is
    divided by the standard deviation of the true function over the same activities.

    Args:
        recovery: ``phi, psi (neuron, x)`` and ``visited (neuron, bound)``.
        truth: ``phi, psi (type, x)`` and ``neuron_type (neuron)``.
    """
    x, bounds = recovery["x"].values, recovery["visited"].values
    inside = (x >= bounds[:, :1]) & (x <= bounds[:, 1:])
    types = truth["neuron_type"].values
    tables = []
    for name in ("phi", "psi"):
        true = truth[name].interp(x=x).values[types]
        estimate = recovery[name].values
        error = {"nrmse": _nrmse(estimate, true, inside)}
        for kind in np.unique(types):
            mine = types == kind
            error[f"nrmse_type_{kind}"] = _nrmse(estimate[mine], true[mine], inside[mine])
        tables.append(rows(name, error, int(inside.sum())))
    return pd.concat(tables, ignore_index=True)


def _nrmse(estimate: np.ndarray, truth: np.ndarray, inside: np.ndarray) -> float:
    error, true = (estimate - truth)[inside], truth[inside]
    return float(np.sqrt(np.mean(error.astype(np.float64) ** 2)) / np.std(true))

"""Learned against true types and functions of the neurons."""

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Int
from scipy.optimize import linear_sum_assignment
from sklearn.metrics import adjusted_rand_score
from sklearn.metrics.cluster import contingency_matrix

from ngpipe.errors import StoreError
from ngpipe.metrics.tidy import scores


def score_types(estimate: xr.DataArray, truth: xr.DataArray) -> pd.DataFrame:
    """Compare two labellings ``(neuron)``: counts, adjusted Rand index, matched accuracy.

    Labels are numbers or words, matched by the Hungarian method here, and only here. Neurons
    without a true one (NaN, None or an empty word) are left out.
    """
    known = ~pd.isna(truth.values) & (truth.values.astype(str) != "")
    found, true = estimate.values[known], _numbered(truth.values[known])
    table = contingency_matrix(true, found)
    matched = table[linear_sum_assignment(table, maximize=True)].sum() / len(true)
    values = {
        "found": float(len(np.unique(found))),
        "true": float(len(np.unique(true))),
        "ari": float(adjusted_rand_score(true, found)),
        "accuracy": float(matched),
    }
    return scores("types", values, len(true))


def _numbered(labels: np.ndarray) -> Int[np.ndarray, " neuron"]:
    """Labels of any kind as whole numbers; those that are numbers from 0 on stay as they are."""
    if labels.dtype.kind in "iu":
        return labels.astype(np.int64)
    return np.unique(labels.astype(str), return_inverse=True)[1]


def score_functions(recovery: xr.Dataset, truth: xr.Dataset) -> pd.DataFrame:
    """Normalised RMSE of phi and psi on the visited range, over all neurons and per true type.

    The error of a type's neurons, over every activity in the neuron's own visited range, is
    divided by the standard deviation of the true function over the same activities. A psi that
    belongs to receivers is judged over the activities that most neurons visit; one that belongs to
    pairs of types, over those that the first neuron of the sender's type visits.

    Args:
        recovery: ``phi (neuron, x)``, ``psi (neuron or pair, x)``, ``visited (neuron, bound)`` and
            ``neuron_type (neuron)``.
        truth: ``phi (type, x)``, ``psi (type or pair, x)`` and ``neuron_type (neuron)``, rows of
            phi by number, or labels of its coordinate ``type``.

    Raises:
        StoreError: a neuron has a type that phi has no row for.
    """
    x, bounds = recovery["x"].values, recovery["visited"].values
    inside = (x >= bounds[:, :1]) & (x <= bounds[:, 1:])
    types = _rows_of_types(truth)
    phi = truth["phi"].interp(x=x).values[types]
    tables = [_rows("phi", recovery["phi"].values, phi, inside, types)]
    estimate, true, labels = _transfer(recovery, truth, x)
    of = recovery["psi"].attrs.get("of", "activity")
    if of == "receiver":
        inside = np.broadcast_to(inside.mean(axis=0) > 0.5, inside.shape)
    if of == "pair":
        inside = inside[_typical_senders(recovery)]
    tables.append(_rows("psi", estimate, true, inside, labels))
    return pd.concat(tables, ignore_index=True)


def _rows_of_types(truth: xr.Dataset) -> Int[np.ndarray, " neuron"]:
    """Row of the true phi for the type of every neuron."""
    labels = truth["neuron_type"].values
    known = np.arange(truth.sizes["type"])
    if "type" in truth.coords:
        known = truth["type"].values
    place = {label: k for k, label in enumerate(known.tolist())}
    absent = [label for label in labels.tolist() if label not in place]
    if absent:
        raise StoreError(
            f"`neuron_type` has {absent[0]!r} ({len(absent)} such neurons), expected one of "
            f"{list(place)[:10]}, the types that the true `phi` has; give `phi` a coordinate "
            "`type` with these labels, or leave `phi` and `psi` out of simulation.zarr"
        )
    return np.array([place[label] for label in labels.tolist()])


def _transfer(
    recovery: xr.Dataset, truth: xr.Dataset, x: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Learned psi, the true one of the same neuron or pair, and its true type."""
    types = _rows_of_types(truth)
    true = truth["psi"].interp(x=x).values
    of_types = truth["psi"].dims[0] == "type"
    if recovery["psi"].dims[0] == "neuron":
        if not of_types:  # a model too poor for the truth is judged by what neurons send themselves
            true = true[:: int(len(true) ** 0.5) + 1]
        return recovery["psi"].values, true[types], types
    found = recovery["neuron_type"].values
    majority = [np.bincount(types[found == k]).argmax() for k in range(found.max() + 1)]
    receiver, sender = (
        np.array(majority)[recovery[name].values] for name in ("receiver_type", "sender_type")
    )
    if of_types:
        index = receiver if truth["psi"].attrs.get("of") == "receiver" else sender
    else:
        index = receiver * int(len(true) ** 0.5) + sender
    return recovery["psi"].values, true[index], receiver


def _typical_senders(recovery: xr.Dataset) -> np.ndarray:
    """First neuron of the sender's type, for every pair of found types."""
    found = recovery["neuron_type"].values
    return np.array([np.flatnonzero(found == k)[0] for k in recovery["sender_type"].values])


def _rows(
    name: str, estimate: np.ndarray, truth: np.ndarray, inside: np.ndarray, types: np.ndarray
) -> pd.DataFrame:
    error = {"nrmse": _nrmse(estimate, truth, inside)}
    for kind in np.unique(types):
        mine = types == kind
        error[f"nrmse_type_{kind}"] = _nrmse(estimate[mine], truth[mine], inside[mine])
    return scores(name, error, int(inside.sum()))


def _nrmse(estimate: np.ndarray, truth: np.ndarray, inside: np.ndarray) -> float:
    error, true = (estimate - truth)[inside], truth[inside]
    return float(np.sqrt(np.mean(error.astype(np.float64) ** 2)) / np.std(true))

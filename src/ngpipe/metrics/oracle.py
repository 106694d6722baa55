"""The oracle: W by least squares when the true phi and psi are given, from the same frames.

It says how much of W a recording holds. What an estimate lacks to it was lost by the method; what
it lacks to the truth, by the recording.
"""

from collections.abc import Iterable

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Float, Int

from ngpipe.metrics.connectivity import known
from ngpipe.metrics.tidy import agreement, scores

RIDGE = 1e-9
"""Added to the Gram matrix, relative to its mean diagonal."""

Frames = Float[np.ndarray, "frame neuron"]


def score_oracle(
    frames: Iterable[tuple[Frames, Frames]], truth: xr.Dataset, like: xr.DataArray
) -> pd.DataFrame:
    """Agreement of the oracle's W with the true one, as quantity ``oracle``.

    W minimises sum_t (dx_i/dt - phi_i(x_i) - sum_j W_ij psi_j(x_j))^2 for each row i, W_ii = 0,
    over the frames that saw all neurons.

    Args:
        frames: activity and its rate as training saw them, NaN where a neuron has no value.
        truth: ``connectivity``, ``neuron_type``, ``phi (type, x)`` and ``psi (type, x)`` with the
            same psi for all receivers.
        like: the estimate, ``(post, pre)``, whose coordinates the oracle's W gets.

    Returns:
        No row if these frames are no more than the neurons.
    """
    types = truth["neuron_type"].values.astype(int)
    x, phi, psi = (truth[name].values.astype(np.float64) for name in ("x", "phi", "psi"))
    (gram, moment), n = np.zeros((2, len(types), len(types))), 0
    for activity, rate in frames:
        whole = np.isfinite(activity).all(axis=1) & np.isfinite(rate).all(axis=1)
        sent = _table(activity[whole], x, psi, types)
        gram += sent.T @ sent
        moment += (rate[whole] - _table(activity[whole], x, phi, types)).T @ sent
        n += int(whole.sum())
    if n <= len(types):
        return scores("oracle", {}, 0)
    pair = known(like.copy(data=_solved(gram, moment)), truth["connectivity"])
    return scores("oracle", agreement(*pair), len(pair[0]))


def _table(
    activity: Frames,
    x: Float[np.ndarray, " point"],
    curves: Float[np.ndarray, "type point"],
    types: Int[np.ndarray, " neuron"],
) -> Frames:
    """A function of each type, at the activity of its neurons; beyond its table, continued flat."""
    found = np.empty(activity.shape)
    for k in np.unique(types):
        found[:, types == k] = np.interp(activity[:, types == k], x, curves[k])
    return found


def _solved(
    gram: Float[np.ndarray, "pre pre"], moment: Float[np.ndarray, "post pre"]
) -> Float[np.ndarray, "post pre"]:
    inverse = np.linalg.inv(gram + RIDGE * np.diag(gram).mean() * np.eye(len(gram)))
    free = moment @ inverse
    return free - (np.diag(free) / np.diag(inverse))[:, None] * inverse

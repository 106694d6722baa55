"""The oracle: W by least squares when the true phi and psi are given, from the same frames.

It says how much of W a recording holds. What an estimate lacks to it was lost by the method; what
it lacks to the truth, by the recording.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Float, Int

from ngpipe.metrics.connectivity import known
from ngpipe.metrics.tidy import agreement, scores

RIDGE = 1e-9
"""Added to the Gram matrix, relative to its mean diagonal."""

Frames = Float[np.ndarray, "frame neuron"]


@dataclass
class _Sums:
    """Sums over frames of products of two neurons, over the frames that saw both."""

    n: int
    gram: np.ndarray = field(init=False)
    moment: np.ndarray = field(init=False)
    gram_count: np.ndarray = field(init=False)
    moment_count: np.ndarray = field(init=False)

    def __post_init__(self) -> None:
        self.gram, self.moment, self.gram_count, self.moment_count = np.zeros((4, self.n, self.n))

    def add(self, sent: Frames, received: Frames) -> None:
        there, wanted = np.isfinite(sent), np.isfinite(received)
        sent, received = np.where(there, sent, 0), np.where(wanted, received, 0)
        self.gram += sent.T @ sent
        self.moment += received.T @ sent
        self.gram_count += there.T.astype(np.float64) @ there
        self.moment_count += wanted.T.astype(np.float64) @ there


def score_oracle(
    frames: Iterable[tuple[Frames, Frames]], truth: xr.Dataset, like: xr.DataArray
) -> pd.DataFrame:
    """Agreement of the oracle's W with the true one, as quantity ``oracle``.

    W minimises sum_t (dx_i/dt - phi_i(x_i) - sum_j W_ij psi_j(x_j))^2 for each row i, W_ii = 0;
    the sums over frames are means over those that saw both neurons of a pair.

    Args:
        frames: activity and its rate as training saw them, NaN where a neuron has no value.
        truth: ``connectivity``, ``neuron_type``, ``phi (type, x)`` and ``psi (type, x)`` with the
            same psi for all receivers.
        like: the estimate, ``(post, pre)``, whose coordinates the oracle's W gets.

    Returns:
        No row if some pair of neurons was never seen together.
    """
    types = truth["neuron_type"].values.astype(int)
    x, phi, psi = (truth[name].values.astype(np.float64) for name in ("x", "phi", "psi"))
    sums = _Sums(len(types))
    for activity, rate in frames:
        sent = _table(activity, x, psi, types)
        sums.add(sent, rate - _table(activity, x, phi, types))
    if (sums.gram_count == 0).any():
        return scores("oracle", {}, 0)
    estimate = like.copy(data=_solved(sums))
    pair = known(estimate, truth["connectivity"])
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
    return np.where(np.isfinite(activity), found, np.nan)


def _solved(sums: _Sums) -> Float[np.ndarray, "post pre"]:
    gram, moment = sums.gram / sums.gram_count, sums.moment / sums.moment_count
    inverse = np.linalg.inv(gram + RIDGE * np.diag(gram).mean() * np.eye(sums.n))
    free = moment @ inverse
    return free - (np.diag(free) / np.diag(inverse))[:, None] * inverse

"""Neuron types from the recovered update functions, the number of types included.

Neurons of one type have the same phi; the curves phi*(a_i, .) are compared where every neuron has
data. The truth is not read.
"""

import numpy as np
from jaxtyping import Float, Int
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import pdist, squareform
from sklearn.metrics import silhouette_score

from ngpipe.config.recovery import Recovery

Features = Float[np.ndarray, "neuron feature"]
Labels = Int[np.ndarray, " neuron"]


def cluster(features: Features, cfg: Recovery) -> Labels:
    """Type of every neuron: labels 0 .. n_types - 1 in order of first appearance.

    One tree (Ward linkage) is cut into k clusters; k is given, or the one with the highest mean
    silhouette (Rousseeuw 1987) up to ``max_types``, or 1 if that stays below ``min_separation``.

    Args:
        features: one row per neuron, for example its curve on the common visited range.
        cfg: the recovery section of the config.
    """
    if cfg.n_types == 1 or len(features) < 3:
        return np.zeros(len(features), dtype=np.int64)
    tree = linkage(features, method="ward")
    if cfg.n_types is not None:
        return _cut(tree, cfg.n_types)
    distance = squareform(pdist(features))
    largest = min(cfg.max_types, len(features) - 1)
    cuts = {k: _cut(tree, k) for k in range(2, largest + 1)}
    score = {
        k: silhouette_score(distance, labels, metric="precomputed")
        for k, labels in cuts.items()
        if labels.max() + 1 == k
    }
    best = max(score, key=lambda k: (score[k], -k), default=1)
    if best == 1 or score[best] < cfg.min_separation:
        return np.zeros(len(features), dtype=np.int64)
    return cuts[best]


def common_range(visited: Float[np.ndarray, "neuron 2"]) -> tuple[float, float]:
    """Activities that all neurons visit; if there are none, those that most of them visit."""
    low, high = visited[:, 0].max(), visited[:, 1].min()
    if low < high:
        return float(low), float(high)
    return float(np.median(visited[:, 0])), float(np.median(visited[:, 1]))


def _cut(tree: np.ndarray, k: int) -> Labels:
    labels = fcluster(tree, k, criterion="maxclust")
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse].astype(np.int64)

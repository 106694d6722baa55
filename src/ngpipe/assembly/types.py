"""Neuron types from the recovered update functions, the number of types included.

Neurons of one type have the same phi; the curves phi*(a_i, .) are compared where every neuron has
data. The truth is not read.
"""

from itertools import combinations

import numpy as np
from jaxtyping import Float, Int
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.sparse.csgraph import minimum_spanning_tree
from scipy.spatial.distance import pdist, squareform

from ngpipe.config.assembly.recovery import Recovery

SAME = 1e-3
"""Spread of curves, relative to their size, below which they are of one type: that of fits."""
SUBTYPES = 0.75
"""Mean silhouette from which a cluster is cut again; an even spread along a line reaches 0.6."""
FEWEST = 3
"""Neurons that a part of a cluster must have: outliers are no types."""
GAP = 5.0
"""Gap between parts of a cluster, over the largest within one, from which they are types."""
APART = 5.0
"""The same of the distance between their means, over the spread within one; an even spread along a
line, cut anywhere, reaches 3.5."""
SHARE = 0.05
"""Least share of a cluster that a part has whose distance in spreads counts."""

Features = Float[np.ndarray, "neuron feature"]
Labels = Int[np.ndarray, " neuron"]


def cluster(features: Features, cfg: Recovery) -> Labels:
    """Type of every neuron: labels 0 .. n_types - 1 in order of first appearance.

    One tree (Ward linkage) is cut into k clusters; k is given, or the one with the highest mean
    silhouette (Rousseeuw 1987) up to ``max_types``, or 1 if that stays below ``min_separation``.
    A large difference between some types hides smaller ones between others: clusters that fall
    apart just as clearly, seen by themselves, are cut again.

    Args:
        features: one row per neuron, for example its curve on the common visited range.
        cfg: the recovery section of the config.
    """
    if cfg.n_types is not None:
        return _given(features, cfg.n_types)
    labels = _best_cut(features, cfg.max_types, cfg.min_separation)
    settled: list[np.ndarray] = []
    open_ones = _members(labels)
    while open_ones:
        members = open_ones.pop()
        room = cfg.max_types - len(settled) - len(open_ones)
        inside = _best_cut(features[members], room, SUBTYPES)
        parts = _members(inside)
        if _are_types(features[members], inside):
            open_ones += [members[part] for part in parts]
        else:
            settled.append(members)
    for k, members in enumerate(settled):
        labels[members] = k
    return _in_order(labels)


def _given(features: Features, n_types: int) -> Labels:
    if n_types == 1 or len(features) < 3:
        return np.zeros(len(features), dtype=np.int64)
    return _cut(linkage(features, method="ward"), n_types)


def _best_cut(features: Features, most: int, separation: float) -> Labels:
    """The cut with the highest mean silhouette; one cluster if that stays below ``separation``."""
    spread = np.sqrt(((features - features.mean(0)) ** 2).mean())
    if len(features) < 3 or most < 2 or spread < SAME * np.sqrt((features**2).mean()):
        return np.zeros(len(features), dtype=np.int64)
    # Loading scikit-learn takes a second, which every step would pay that never clusters.
    from sklearn.metrics import silhouette_score

    tree = linkage(features, method="ward")
    distance = squareform(pdist(features))
    cuts = {k: _cut(tree, k) for k in range(2, min(most, len(features) - 1) + 1)}
    score = {
        k: silhouette_score(distance, labels, metric="precomputed")
        for k, labels in cuts.items()
        if labels.max() + 1 == k
    }
    best = max(score, key=lambda k: (score[k], -k), default=1)
    if best == 1 or score[best] < separation:
        return np.zeros(len(features), dtype=np.int64)
    return cuts[best]


def _are_types(features: Features, labels: Labels) -> bool:
    """True if parts of a cluster are types: with nothing between them, or far apart if large.

    A few neurons whose functions are known poorly bridge the gap between large parts.
    """
    least = min(map(len, _members(labels)))
    if least < FEWEST or labels.max() == 0:
        return False
    if least >= SHARE * len(labels) and _distance_in_spreads(features, labels) >= APART:
        return True
    return bool(_gap(features, labels) >= GAP)


def _distance_in_spreads(features: Features, labels: Labels) -> float:
    """Least distance of two means over the larger of their clusters' spreads along it."""
    parts = [features[m] for m in _members(labels)]
    found = []
    for one, other in combinations(parts, 2):
        between = other.mean(0) - one.mean(0)
        along = between / np.linalg.norm(between)
        spread = max(float((part @ along).std()) for part in (one, other))
        found.append(float(np.linalg.norm(between)) / max(spread, np.finfo(float).tiny))
    return min(found)


def _gap(features: Features, labels: Labels) -> float:
    """Smallest distance between clusters over the largest link of the tree within one.

    The tree is the minimum spanning tree: single linkage.
    """
    distance = squareform(pdist(features))
    apart = distance[labels[:, None] != labels[None, :]].min()
    links = [
        minimum_spanning_tree(distance[np.ix_(m, m)]).data.max(initial=0) for m in _members(labels)
    ]
    return apart / max(*links, np.finfo(float).tiny)


def _members(labels: Labels) -> list[np.ndarray]:
    """Indices of every cluster."""
    return [np.flatnonzero(labels == k) for k in range(labels.max() + 1)]


def common_range(visited: Float[np.ndarray, "neuron 2"]) -> tuple[float, float]:
    """Activities that all neurons visit; if there are none, those that most of them visit."""
    low, high = visited[:, 0].max(), visited[:, 1].min()
    if low < high:
        return float(low), float(high)
    return float(np.median(visited[:, 0])), float(np.median(visited[:, 1]))


def _cut(tree: np.ndarray, k: int) -> Labels:
    return _in_order(fcluster(tree, k, criterion="maxclust"))


def _in_order(labels: Labels) -> Labels:
    """The same clusters, numbered by first appearance."""
    _, first, inverse = np.unique(labels, return_index=True, return_inverse=True)
    return np.argsort(np.argsort(first))[inverse].astype(np.int64)

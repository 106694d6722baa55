"""Parts that several nulls are drawn with."""

from dataclasses import replace

import numpy as np
from scipy import sparse

from ngpipe.wiring.container import Connectome

Rng = np.random.Generator | np.random.RandomState
"""A RandomState where the draws of older code are to be repeated."""
FIXED = -1
"""Class of entries that stay."""


def permuted(values: np.ndarray, classes: np.ndarray, rng: Rng) -> np.ndarray:
    """Values shuffled within classes; with one class they are ``values[rng.permutation(n)]``."""
    order = rng.permutation(len(values))
    found = np.empty_like(values)
    into = np.argsort(classes, kind="stable")
    found[into] = values[order[np.argsort(classes[order], kind="stable")]]
    return found


def with_connections(
    connectome: Connectome, pre: np.ndarray, post: np.ndarray, data: np.ndarray, note: str
) -> Connectome:
    """The same neurons with these connections and their own self-connections."""
    own = connectome.weights.diagonal()
    at = np.flatnonzero(own)
    where = np.r_[post, at], np.r_[pre, at]
    values = np.r_[data, own[at]].astype(np.float32)
    weights = sparse.coo_array((values, where), shape=connectome.weights.shape).tocsr()
    return replace(connectome, weights=weights, origin=connectome.origin.noted(note))

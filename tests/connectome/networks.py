"""Small networks that several tests share. ngpipe is imported late: its types are to be checked."""

import numpy as np

GROUPS = {i: "abcd"[i % 4] for i in range(12)}


def weights(rng, n=12, density=0.4, scale=0.4):
    """Random signed W[post, pre]."""
    return scale * rng.normal(size=(n, n)) * (rng.random((n, n)) < density)


def dale(rng, n=12):
    """Random W[post, pre] of neurons that excite, but for every fourth, which inhibits."""
    W = np.abs(weights(rng, n, scale=0.2))
    W[:, 1::4] *= -1
    return W


def chain(*values):
    """0 -> 1 -> 2 ..., with the weights given."""
    W = np.zeros((len(values) + 1, len(values) + 1))
    for pre, value in enumerate(values):
        W[pre + 1, pre] = value
    return W


def divided():
    """0 drives 2; 1 divides the drive of 2 by group b."""
    W = np.zeros((3, 3))
    W[2, 0], W[2, 1] = 0.3, -0.5
    options = {
        "idx_to_group": {0: "a", 1: "b", 2: "c"},
        "divisive_normalization": {"b": ["c"]},
    }
    return W, options

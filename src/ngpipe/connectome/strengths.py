r"""Trainable strengths: one factor for all edges from one group to another.

.. math:: W_{ij} \to s_{g(i) g(j)} W_{ij}, \qquad s = e^{a} > 0

with post neuron i, pre neuron j, and a = 0 before training. No connection changes its sign, and
none appears. Edges that divide have strengths of their own (``divisive_strength``). What scales
all that a group receives can hardly be told from its slope: train one or the other.
"""

from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Int
from scipy import sparse

from ngpipe.connectome.groups import Groups


@dataclass(frozen=True)
class Pairs:
    """Pairs of groups that are connected, sorted by post group, then by pre group."""

    post: Int[np.ndarray, " pair"]
    """Number of the group that receives."""
    pre: Int[np.ndarray, " pair"]
    of_edge: Int[np.ndarray, " edge"]
    """Pair of each edge, in the order of W."""


def pairs_of(matrix: sparse.csr_array, groups: Groups) -> Pairs:
    """Pairs of groups that the edges of W ``[post, pre]`` connect."""
    n = len(groups.names)
    post = np.repeat(groups.of_neuron, np.diff(matrix.indptr))
    of_edge, pair = pd.factorize(post * n + groups.of_neuron[matrix.indices], sort=True)
    return Pairs(pair // n, pair % n, of_edge.astype(np.int32))

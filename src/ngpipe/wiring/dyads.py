"""Pairs of neurons: connected both ways, one way, or not."""

from typing import TypeAlias

import numpy as np
from scipy import sparse

from ngpipe.wiring.container import Connectome

Links: TypeAlias = sparse.csr_array
"""Linked pairs: 1 or nothing, integers, no diagonal."""


def linked(connectome: Connectome) -> Links:
    """All connections [post, pre], without self-connections."""
    rows = connectome.weights.tocoo()
    post, pre = rows.coords
    free = post != pre
    one = np.ones(np.count_nonzero(free), np.int64)
    return sparse.coo_array((one, (post[free], pre[free])), shape=rows.shape).tocsr()


def split(connectome: Connectome) -> tuple[Links, Links]:
    """Connections [post, pre] that are answered (a symmetric matrix) and those that are not."""
    every = linked(connectome)
    mutual = every.multiply(every.T).tocsr()
    single = (every - mutual).tocsr()
    for links in (mutual, single):
        links.eliminate_zeros()
    return mutual, single

"""The order of nodes in layers: few crossings of the links between neighbouring layers.

Barycentre sweeps (Sugiyama, Tagawa, Toda 1981, IEEE Trans. Syst. Man Cybern. 11:109): layer by
layer, to and fro, nodes are sorted by the mean place of those they are linked to; those with the
same mean change places at every other sweep. In the best order seen, neighbours are exchanged as
long as that removes crossings.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

Links = Int[np.ndarray, "_ 2"]
"""(pre, post) of each link: numbers of nodes in their layers."""
SWEEPS = 16


def fewest_crossings(sizes: Sequence[int], links: Sequence[Links]) -> list[np.ndarray]:
    """Rank of every node in its layer, layer by layer; the same input gives the same ranks.

    Args:
        sizes: nodes in each layer.
        links: those between each layer and the next.
    """
    ranks = [np.arange(n) for n in sizes]
    best, least = ranks, crossings(ranks, links)
    for sweep in range(SWEEPS):
        ranks = _swept(ranks, links, forward=sweep % 2 == 0, turned=sweep % 4 > 1)
        found = crossings(ranks, links)
        if found < least:
            best, least = ranks, found
    return _exchanged(best, links)


def crossings(ranks: Sequence[np.ndarray], links: Sequence[Links]) -> int:
    """Number of pairs of links that cross."""
    total = 0
    for k, link in enumerate(links):
        pre, post = ranks[k][link[:, 0]], ranks[k + 1][link[:, 1]]
        opposed = np.subtract.outer(pre, pre) * np.subtract.outer(post, post) < 0
        total += int(opposed.sum()) // 2
    return total


def _swept(
    ranks: Sequence[np.ndarray], links: Sequence[Links], *, forward: bool, turned: bool
) -> list[np.ndarray]:
    """Every layer but the first sorted by the one before it; backward: but the last, after it."""
    swept = list(ranks)
    if forward:
        for k, link in enumerate(links):
            swept[k + 1] = _sorted(swept[k + 1], swept[k], link[:, ::-1], turned)
    else:
        for k, link in reversed(list(enumerate(links))):
            swept[k] = _sorted(swept[k], swept[k + 1], link, turned)
    return swept


def _exchanged(ranks: Sequence[np.ndarray], links: Sequence[Links]) -> list[np.ndarray]:
    """Neighbours exchanged where fewer links cross then, until no exchange helps."""
    best, least, improved = list(ranks), crossings(ranks, links), True
    while improved:
        improved = False
        for k, place in ((k, place) for k, r in enumerate(ranks) for place in range(len(r) - 1)):
            pair = np.isin(best[k], (place, place + 1))
            mine = np.where(pair, 2 * place + 1 - best[k], best[k])
            tried = [*best[:k], mine, *best[k + 1 :]]
            found = crossings(tried, links)
            if found < least:
                best, least, improved = tried, found, True
    return best


def _sorted(mine: np.ndarray, others: np.ndarray, link: Links, turned: bool) -> np.ndarray:
    """Ranks by the mean place of the linked nodes; unlinked nodes keep their place, from 0 to 1."""
    count = np.bincount(link[:, 0], minlength=len(mine))
    place = (others[link[:, 1]] + 0.5) / len(others)
    mean = np.bincount(link[:, 0], place, minlength=len(mine)) / np.maximum(count, 1)
    mean = np.where(count > 0, mean, (mine + 0.5) / len(mine))
    ranks = np.empty_like(mine)
    ranks[np.lexsort([-mine if turned else mine, mean])] = np.arange(len(mine))
    return ranks

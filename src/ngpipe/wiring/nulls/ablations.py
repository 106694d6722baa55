"""Connectomes without some of their connections, and what shows that it was these that mattered.

Removing reciprocal connections also takes weight, connections, and the degrees of the neurons
concerned. :func:`matched_removal` takes as much of one of these from connections that are not
reciprocal, so that all reciprocal ones stay.
"""

from dataclasses import replace

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import sparse
from scipy.optimize import linprog

from ngpipe.errors import ConnectomeError
from ngpipe.wiring.container import Connectome
from ngpipe.wiring.dyads import split
from ngpipe.wiring.layout import check_choice
from ngpipe.wiring.nulls.swaps import ends

REMOVE = ("random", "weaker", "stronger", "both")
MATCH = ("count", "weight", "degree")


def without_reciprocal(
    connectome: Connectome, rng: np.random.Generator, *, remove: str = "random"
) -> Connectome:
    """Reciprocal connections removed: of each pair linked both ways one direction, or both.

    Keeps: all other connections and their weights, self-connections too; with one direction
    removed, who is linked to whom at all.

    Does not keep: reciprocity (0 pairs are left), total weight, number of connections, degrees.
    For those see :func:`matched_removal`. Done before a shuffle it is in vain: the shuffle makes
    reciprocal pairs anew, as many as chance has it; ablate what was shuffled.

    Args:
        connectome: any; of signed weights the sizes count.
        rng: chooses the direction, or decides between weights that are equal.
        remove: one direction at ``random``, the ``weaker`` or the ``stronger``, or ``both``.

    Raises:
        ConnectomeError: a rule that does not exist.
    """
    check_choice("remove", remove, REMOVE)
    pre, post = ends(connectome)
    mutual = _among(split(connectome)[0], pre, post)
    there = np.flatnonzero(mutual & (pre < post))
    back = np.flatnonzero(mutual & (pre > post))
    there = there[np.lexsort((post[there], pre[there]))]
    back = back[np.lexsort((pre[back], post[back]))]  # in the order of those they answer
    size = np.abs(connectome.weights.data)
    chance = rng.random(len(there)) < 0.5
    larger = np.where(size[there] == size[back], chance, size[there] > size[back])
    if remove == "both":
        gone = np.r_[there, back]
    else:
        first = {"random": chance, "weaker": ~larger, "stronger": larger}[remove]
        gone = np.where(first, there, back)
    return _removed(connectome, gone, f"reciprocal connections removed, {remove}")


def matched_removal(
    connectome: Connectome, ablated: Connectome, rng: np.random.Generator, *, match: str = "count"
) -> Connectome:
    r"""Connections that are not reciprocal removed at random, to match what an ablation removed.

    Every reciprocal pair stays as it is. What the result shares with ``ablated``:

    ==========  ================================================================================
    ``count``   the number of connections
    ``weight``  the summed size of weights (to rounding): connections go in random order as long as
                they fit, and one more is weakened by the rest
    ``degree``  the number of connections, and in- and out-degree of every neuron as far as the
                other connections allow; how many removals happen at another neuron than they
                should is in the counts of the origin (``removed_at_other_senders``,
                ``removed_at_other_receivers``), and is as small as can be
    ==========  ================================================================================

    With ``degree`` the removed are those of least random cost among all choices that match best
    (a transport problem, solved exactly), which is not quite a uniform draw.

    Args:
        connectome: before the ablation.
        ablated: after it, with the same neurons.
        rng: source of all draws.
        match: what to match.

    Raises:
        ConnectomeError: other neurons, connections that the ablation added, or too few
            connections that are not reciprocal.
    """
    check_choice("match", match, MATCH)
    lost = _lost(connectome, ablated)
    pre, post = ends(connectome)
    single = np.flatnonzero(_among(split(connectome)[1], pre, post))
    needed = np.count_nonzero(lost)
    size = np.abs(connectome.weights.data.astype(np.float64))
    weight = size.sum() - np.abs(ablated.weights.data.astype(np.float64)).sum()
    if needed > len(single) or (match == "weight" and weight > size[single].sum()):
        raise ConnectomeError(
            f"the ablation removed {needed} connections of weight {weight:g}, but only "
            f"{len(single)} of weight {size[single].sum():g} are not reciprocal; remove one "
            "direction in place of both, or compare with a null"
        )
    note = f"connections that are not reciprocal removed, {match} matched"
    if match == "weight":
        return _weakened(connectome, rng.permutation(single), weight, note)
    if match == "count":
        return _removed(connectome, rng.choice(single, needed, replace=False), note)
    ablation = np.flatnonzero(lost)
    gone, counts = _transport(
        (pre[single], post[single]), (pre[ablation], post[ablation]), len(connectome), rng
    )
    found = _removed(connectome, single[gone], note)
    return replace(found, origin=found.origin.counted(counts))


def _among(links: sparse.csr_array, pre: np.ndarray, post: np.ndarray) -> Bool[np.ndarray, " edge"]:
    """Mask of the connections that are among the links."""
    n = links.shape[0]
    rows = links.tocoo()
    return np.isin(post * n + pre, rows.coords[0].astype(np.int64) * n + rows.coords[1])


def _lost(connectome: Connectome, ablated: Connectome) -> Bool[np.ndarray, " edge"]:
    """Mask of the connections that an ablation removed."""
    if not np.array_equal(connectome.ids, ablated.ids):
        raise ConnectomeError(
            f"the ablation has {len(ablated)} neurons, which are not the {len(connectome)} of the "
            "connectome; ablate connections, not neurons"
        )
    kept = _among(ablated.weights, *ends(connectome))
    if kept.sum() != ablated.n_edges:
        raise ConnectomeError(
            f"{ablated.n_edges - kept.sum()} connections of the ablation are not in the connectome "
            "it is compared with; give the one that was ablated"
        )
    return ~kept


def _removed(connectome: Connectome, gone: Int[np.ndarray, " removed"], note: str) -> Connectome:
    data = connectome.weights.data.copy()
    data[gone] = 0
    counts = {"connections_removed": len(gone)}
    origin = connectome.origin.counted(counts).noted(note)
    return replace(connectome.mapped(data), origin=origin)


def _weakened(
    connectome: Connectome, order: Int[np.ndarray, " edge"], weight: float, note: str
) -> Connectome:
    """Connections removed in this order while they fit, and the next one weakened by the rest."""
    data = connectome.weights.data.astype(np.float64)
    total = np.cumsum(np.abs(data[order]))
    whole = int(np.searchsorted(total, weight, side="right"))
    data[order[:whole]] = 0
    rest = weight - (total[whole - 1] if whole else 0.0)
    if rest > 0:
        data[order[whole]] -= np.copysign(rest, data[order[whole]])
    counts = {"connections_removed": whole, "connections_weakened": int(rest > 0)}
    origin = connectome.origin.counted(counts).noted(note)
    return replace(connectome.mapped(data), origin=origin)


def _transport(
    edges: tuple[np.ndarray, np.ndarray],
    gone: tuple[np.ndarray, np.ndarray],
    n: int,
    rng: np.random.Generator,
) -> tuple[Int[np.ndarray, " removed"], dict[str, int]]:
    """Edges to remove: as many as are gone, at the same senders and receivers if possible.

    One flow: edges carry 0 or 1, each neuron what it should lose and, at a cost that no edge
    reaches, what it loses beyond. The matrix is that of a network, so the solution is whole.
    """
    m, k = len(edges[0]), len(gone[0])
    columns = np.arange(m)
    # a row for each neuron: what it loses, less what is beyond, is at most what it should lose
    incidence = sparse.vstack(
        [sparse.coo_array((np.ones(m), (end, columns)), shape=(n, m)) for end in edges]
    )
    bounded = sparse.hstack([incidence, -sparse.eye_array(2 * n)]).tocsr()
    wanted = np.concatenate([np.bincount(end, minlength=n) for end in gone])
    every = sparse.hstack([sparse.coo_array(np.ones((1, m))), sparse.coo_array((1, 2 * n))])
    cost: Float[np.ndarray, " x"] = np.r_[rng.random(m), np.full(2 * n, 1.0 + m)]
    limits = np.c_[np.zeros(m + 2 * n), np.r_[np.ones(m), np.full(2 * n, np.inf)]]
    solved = linprog(cost, bounded, wanted, every.tocsr(), [k], limits, method="highs-ds")
    if not solved.success:
        raise ConnectomeError(f"no removal with matched degrees was found: {solved.message}")
    beyond = np.rint(solved.x[m:]).astype(int)
    counts = {
        "removed_at_other_senders": int(beyond[:n].sum()),
        "removed_at_other_receivers": int(beyond[n:].sum()),
    }
    return np.flatnonzero(solved.x[:m] > 0.5), counts

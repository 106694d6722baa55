"""Markov chains of exchanges between neurons that keep degrees; they serve `nulls.rewired`.

A chain holds the connections that may move (self-connections stay) and has ``sweep(rng)``, which
exchanges each about twice; ``edges()``, senders, receivers and weights as they are now; and
``classes()``, of connections among which weights move, in the same order.
"""

import numpy as np
from jaxtyping import Bool, Float, Int
from scipy import sparse

from ngpipe.errors import ConnectomeError
from ngpipe.wiring.columns import few
from ngpipe.wiring.container import Connectome
from ngpipe.wiring.dyads import split
from ngpipe.wiring.layout import check_choice
from ngpipe.wiring.nulls.distances import distance_bins

Edges = tuple[Int[np.ndarray, " edge"], Int[np.ndarray, " edge"], Float[np.ndarray, " edge"]]
"""Sender, receiver and weight of each connection."""
Dyad = tuple[int, int, float, float]
"""a, b, the weight a -> b, the weight b -> a (0 where there is none)."""
KEEP = ("degree", "sign", "type", "reciprocity", "distance")
ATTEMPTS = 50
"""Swaps tried in a sweep for each connection: few keep distances."""
TOGETHER = 256
"""Swaps that are looked at together until one is accepted."""


def ends(connectome: Connectome) -> tuple[np.ndarray, np.ndarray]:
    """Sender and receiver of each stored weight."""
    weights = connectome.weights
    post = np.repeat(np.arange(weights.shape[0]), np.diff(weights.indptr))
    return weights.indices.astype(np.int64), post


class Trades:
    """Curveball trades: two senders deal anew the receivers that only one of them has.

    Each sender, or sender and class of its connections, is a row: receiver -> weight.
    """

    def __init__(self, connectome: Connectome, keep: str) -> None:
        pre, post = ends(connectome)
        pools = {
            "degree": lambda: np.zeros(len(pre), np.int64),
            "sign": lambda: sender_classes(connectome)[pre],
            "type": lambda: type_pairs(connectome, pre, post),
        }
        free = pre != post
        pool, values = pools[keep]()[free], connectome.weights.data[free]
        pre, post = pre[free], post[free]
        order = np.lexsort((post, pre, pool))
        pre, post, values, pool = pre[order], post[order], values[order], pool[order]
        first = np.flatnonzero(np.r_[True, (np.diff(pre) != 0) | (np.diff(pool) != 0)][: len(pre)])
        stops = [*first[1:].tolist(), len(pre)]
        self._rows = [
            dict(zip(post[a:b].tolist(), values[a:b].tolist(), strict=True))
            for a, b in zip(first.tolist(), stops, strict=False)
        ]
        self._senders = pre[first]
        cuts = np.flatnonzero(np.diff(pool[first])) + 1
        self._pools = np.split(np.arange(len(self._rows)), cuts)

    def sweep(self, rng: np.random.Generator) -> None:
        """Each row of each pool trades twice on average."""
        rows, senders = self._rows, self._senders
        for pool in self._pools:
            if len(pool) < 2:
                continue
            first = rng.integers(0, len(pool), len(pool))
            second = (first + rng.integers(1, len(pool), len(pool))) % len(pool)
            for a, b in zip(pool[first].tolist(), pool[second].tolist(), strict=True):
                _trade(rows[a], rows[b], {int(senders[a]), int(senders[b])}, rng)

    def edges(self) -> Edges:
        """The connections as they are now."""
        pre = np.repeat(self._senders, [len(row) for row in self._rows])
        post = np.array([x for row in self._rows for x in row], dtype=np.int64)
        return pre, post, np.array([w for row in self._rows for w in row.values()], np.float64)

    def classes(self) -> Int[np.ndarray, " edge"]:
        """Rows."""
        return np.repeat(np.arange(len(self._rows)), [len(row) for row in self._rows])


class DyadSwaps:
    """Two linked pairs of the same kind exchange partners: a-b, c-d become a-d, c-b.

    Pairs linked both ways swap among themselves, and so do those linked one way, where a sends to
    b and c to d; only if the four differ and neither a-d nor c-b is linked yet. So every neuron
    keeps its numbers of mutual partners, of other receivers and of other senders. A swap that is
    refused counts as a step, which makes the chain uniform over what it can reach.
    """

    def __init__(self, connectome: Connectome) -> None:
        pre, post = ends(connectome)
        self._n = len(connectome)
        weights = dict(
            zip((post * self._n + pre).tolist(), connectome.weights.data.tolist(), strict=True)
        )
        mutual, single = split(connectome)
        self._kinds = []
        for links in (sparse.triu(mutual), single):
            b, a = (x.astype(np.int64).tolist() for x in links.tocoo().coords)
            self._kinds.append([self._dyad(*pair, weights) for pair in zip(a, b, strict=True)])
        self._linked = {self._key(a, b) for kind in self._kinds for a, b, _, _ in kind}

    def _dyad(self, a: int, b: int, weights: dict[int, float]) -> Dyad:
        there, back = b * self._n + a, a * self._n + b
        return a, b, weights[there], weights.get(back, 0.0)

    def sweep(self, rng: np.random.Generator) -> None:
        """Take as many steps as there are linked pairs of a kind, or one more by chance."""
        for kind in self._kinds:
            n = len(kind)
            if n < 2:
                continue
            steps = n + rng.integers(0, 2)  # else, where no swap is refused, parity never changes
            first = rng.integers(0, n, steps)
            second = (first + rng.integers(1, n, steps)) % n
            turned = rng.random(steps) < 0.5
            for i, j, turn in zip(first.tolist(), second.tolist(), turned.tolist(), strict=True):
                self._swap(kind, i, j, turn and kind is self._kinds[0])

    def _swap(self, kind: list[Dyad], i: int, j: int, turn: bool) -> None:
        a, b, ab, ba = kind[i]
        c, d, cd, dc = kind[j]
        if turn:
            c, d, cd, dc = d, c, dc, cd
        new = self._key(a, d), self._key(c, b)
        if len({a, b, c, d}) < 4 or not self._linked.isdisjoint(new):
            return
        self._linked -= {self._key(a, b), self._key(c, d)}
        self._linked.update(new)
        kind[i], kind[j] = (a, d, ab, dc), (c, b, cd, ba)  # weights stay with who sends them

    def _key(self, a: int, b: int) -> int:
        return min(a, b) * self._n + max(a, b)

    def edges(self) -> Edges:
        """The connections as they are now."""
        mutual, single = self._kinds
        rows = [(a, b, ab) for a, b, ab, _ in mutual + single]
        rows += [(b, a, ba) for a, b, _, ba in mutual]
        pre, post, data = np.array(rows, np.float64).reshape(-1, 3).T
        return pre.astype(np.int64), post.astype(np.int64), data

    def classes(self) -> Int[np.ndarray, " edge"]:
        """Weights from one neuron to mutual partners, and to others."""
        n_mutual, n_single = map(len, self._kinds)
        return 2 * self.edges()[0] + np.repeat([1, 0, 1], [n_mutual, n_single, n_mutual])


class DistanceSwaps:
    """Two connections exchange receivers if that keeps distances: a-b, c-d become a-d, c-b.

    It is accepted if the two new pairs lie in the bins of distance of the old ones, in either
    order, if neither is connected yet, and if no neuron would send to itself. So every neuron keeps
    its degrees, and every bin its number of connections. A swap that is refused counts as a step,
    and the reverse of a swap is as likely, which makes the chain uniform over what it can reach.
    """

    def __init__(self, connectome: Connectome) -> None:
        pre, post = ends(connectome)
        free = pre != post
        self._pre, self._post = pre[free], post[free]
        self._data = connectome.weights.data[free].astype(np.float64)
        self._bin = distance_bins(connectome)
        self._linked = np.zeros((len(connectome), len(connectome)), dtype=bool)
        self._linked[self._pre, self._post] = True

    def sweep(self, rng: np.random.Generator) -> None:
        """Try :data:`ATTEMPTS` swaps for each connection."""
        n = len(self._pre)
        if n < 2:
            return
        first = rng.integers(0, n, ATTEMPTS * n)
        second = (first + rng.integers(1, n, ATTEMPTS * n)) % n
        at = 0
        while at < len(first):
            i, j = first[at : at + TOGETHER], second[at : at + TOGETHER]
            accepted = np.flatnonzero(self._allowed(i, j))
            if not len(accepted):
                at += TOGETHER
                continue
            k = int(accepted[0])  # those after it have to be looked at again
            self._swap(int(i[k]), int(j[k]))
            at += k + 1

    def _allowed(
        self, i: Int[np.ndarray, " pair"], j: Int[np.ndarray, " pair"]
    ) -> Bool[np.ndarray, " pair"]:
        a, b, c, d = self._pre[i], self._post[i], self._pre[j], self._post[j]
        old, new = (self._bin[a, b], self._bin[c, d]), (self._bin[a, d], self._bin[c, b])
        straight = (new[0] == old[0]) & (new[1] == old[1])
        crossed = (new[0] == old[1]) & (new[1] == old[0])
        free = ~self._linked[a, d] & ~self._linked[c, b] & (a != d) & (c != b)
        return free & (straight | crossed)

    def _swap(self, i: int, j: int) -> None:
        pair = [i, j]
        self._linked[self._pre[pair], self._post[pair]] = False
        self._post[pair] = self._post[pair[::-1]]
        self._linked[self._pre[pair], self._post[pair]] = True

    def edges(self) -> Edges:
        """The connections as they are now."""
        return self._pre.copy(), self._post.copy(), self._data.copy()

    def classes(self) -> Int[np.ndarray, " edge"]:
        """Senders."""
        return self._pre.copy()


def chain(connectome: Connectome, keep: str) -> Trades | DyadSwaps | DistanceSwaps:
    """The chain that keeps ``degree``, and also another of :data:`KEEP`."""
    check_choice("keep", keep, KEEP)
    if keep == "distance":
        return DistanceSwaps(connectome)
    return DyadSwaps(connectome) if keep == "reciprocity" else Trades(connectome, keep)


def _trade(
    a: dict[int, float], b: dict[int, float], senders: set[int], rng: np.random.Generator
) -> None:
    """Deal anew the receivers that only one of two senders has; weights stay with their sender."""
    of_a = [x for x in a if x not in b and x not in senders]
    of_b = [x for x in b if x not in a and x not in senders]
    if not of_a or not of_b:
        return
    receivers = of_a + of_b
    dealt = [receivers[i] for i in rng.permutation(len(receivers)).tolist()]
    for row, old, new in ((a, of_a, dealt[: len(of_a)]), (b, of_b, dealt[len(of_a) :])):
        weights = [row.pop(x) for x in old]
        row.update(zip(new, weights, strict=True))


def sender_classes(connectome: Connectome) -> Int[np.ndarray, " neuron"]:
    """0 or 1 for senders that inhibit or excite; senders of both signs are refused."""
    weights = connectome.weights if connectome.is_signed else connectome.signed().weights
    signs = sparse.csc_array(weights)
    pre = np.repeat(np.arange(len(connectome)), np.diff(signs.indptr))
    positive = np.bincount(pre, signs.data > 0, len(connectome)) > 0
    negative = np.bincount(pre, signs.data < 0, len(connectome)) > 0
    if (positive & negative).any():
        raise ConnectomeError(
            f"{(positive & negative).sum()} neurons send both signs, "
            f"{few(connectome.ids[positive & negative])}; each sender needs one sign here: give "
            "the neurons signs, or take a null that needs none, as degree or degree_and_type"
        )
    return positive.astype(np.int64)


def type_pairs(
    connectome: Connectome, pre: np.ndarray, post: np.ndarray
) -> Int[np.ndarray, " edge"]:
    """A number for the pair of cell types of each edge; neurons without a type share one."""
    groups = connectome.groups("cell_type")
    code = np.zeros(len(connectome), np.int64)
    for i, members in enumerate(groups.values()):
        code[members] = i + 1
    return code[pre] * (len(groups) + 1) + code[post]

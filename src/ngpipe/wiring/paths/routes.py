r"""Paths of exactly n hops from sources to targets, as layers of edges.

An edge lies on such a path in layer l (0 .. n-1) if its sender is reached from a source in l hops
and its receiver reaches a target in n - 1 - l. Both sets are found by products with the pattern of
W, forwards and backwards; paths are not enumerated, and may come back to a neuron.
"""

from dataclasses import dataclass, replace
from itertools import islice, pairwise, repeat

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int
from scipy import sparse

from ngpipe.errors import ConnectomeError
from ngpipe.wiring.container import Connectome, Group
from ngpipe.wiring.edges import few
from ngpipe.wiring.paths.effective import both_ends, check_hops, hop_by_hop, labelled

EDGE = ["layer", "pre", "post", "sign"]
"""Columns that identify an edge of a table."""
TOLD = 10
"""Longest paths that an error looks for [hops]."""


@dataclass(frozen=True, eq=False)
class Paths:
    r"""Edges on the paths of n hops from sources to targets, n = ``len(layers)``.

    The flow of an edge is what the paths through it carry, in size:

    .. math::
        f^{(l)}_{ij} = b^{(l+1)}_i \, |W^{(l)}_{ij}| \, a^{(l)}_j, \qquad
        a^{(l+1)} = |W^{(l)}| a^{(l)}, \qquad b^{(l)} = |W^{(l)}|^T b^{(l+1)}

    where a is 1 at the sources in front of layer 0, and b is 1 / targets at the targets behind the
    last. The flows of each layer add up to the same: the total effective connectivity of these
    paths, summed over sources, the mean of targets.

    Attributes:
        connectome: where the paths are.
        sources: indices of the neurons where they begin.
        targets: indices of those where they end, all that were asked for.
        layers: weights ``[post, pre]`` of each hop, only those on a path.
    """

    connectome: Connectome
    sources: Int[np.ndarray, " source"]
    targets: Int[np.ndarray, " target"]
    layers: tuple[sparse.csr_array, ...]

    def __repr__(self) -> str:
        counts = ", ".join(str(layer.nnz) for layer in self.layers)
        return (
            f"Paths of {len(self.layers)} hops from {len(self.sources)} to {len(self.targets)} "
            f"neurons; edges by layer: {counts}"
        )

    @property
    def flow(self) -> float:
        """Total effective connectivity of the paths, summed over sources, the mean of targets."""
        return float(self._forward()[-1][self.targets].mean())

    def table(self, by: str = "cell_type") -> pd.DataFrame:
        """Edges between groups, by layer, those of most flow first.

        Args:
            by: column of the neuron table whose values are the groups; ``id``: single neurons.

        Returns:
            Columns layer (0 .. n-1), pre, post, sign (+1 excites, -1 inhibits), weight [as the
            connectome's], flow [weight^n]. Weights are summed over the pre neurons on paths; the
            mean is over all neurons of the post group, in the last layer over its targets. Where
            a group sends both signs to another there are two rows.

        Raises:
            ConnectomeError: no such column, neurons on paths without a value.
        """
        edges, names, _ = self._grouped(by)
        edges = edges.sort_values(["layer", "flow"], ascending=[True, False], kind="stable")
        edges[["pre", "post"]] = names[edges[["pre", "post"]]]
        return edges.reset_index(drop=True)

    def pruned(
        self, *, threshold: float = 0.0, strongest: int | None = None, by: str = "cell_type"
    ) -> "Paths":
        """Only strong edges between groups, and of those only what still leads to a target.

        Args:
            threshold: least size of the weight of an edge between groups, as in :meth:`table`.
            strongest: how many edges of each layer a post group keeps, the largest weights.
            by: what makes a group; ``id``: edges between neurons.

        Raises:
            ConnectomeError: no path is left, or ``strongest`` below 1.
        """
        if strongest is not None and strongest < 1:
            raise ConnectomeError(f"strongest is {strongest}, expected a whole number from 1")
        edges, _, edge = self._grouped(by)
        size = edges["weight"].abs()
        keep = size.astype(np.float32) >= threshold  # as the weights are, so 0.7 is 0.7
        if strongest is not None:
            place = size[keep].groupby([edges["layer"], edges["post"]])
            keep &= place.rank(method="first", ascending=False).reindex(edges.index) <= strongest
        found = self._keeping(keep.to_numpy()[edge])
        if not found.layers[0].nnz:
            raise ConnectomeError(
                f"no path of {len(self.layers)} hops is left with threshold={threshold:g} and "
                f"strongest={strongest} between groups by '{by}', whose largest weight is "
                f"{size.max():.3g}; lower threshold or raise strongest"
            )
        return found

    def carrying(self, share: float, by: str = "cell_type") -> "Paths":
        """The fewest edges between groups, by order of flow, whose paths carry a share of it.

        Edges of all layers stand in one order, that of their flow. The first k are kept with k as
        small as the paths that run through kept edges only need to have ``share`` of :attr:`flow`.

        Args:
            share: of the total effective connectivity, above 0 up to 1.
            by: what makes a group; ``id``: edges between neurons.

        Raises:
            ConnectomeError: a share that is none.
        """
        if not 0 < share <= 1:
            raise ConnectomeError(f"share is {share}, expected a number above 0 up to 1")
        edges, _, edge = self._grouped(by)
        order = np.argsort(-edges["flow"].to_numpy(), kind="stable")
        place = np.empty(len(order), np.int64)
        place[order] = np.arange(len(order))
        wanted = share * self.flow * (1 - 1e-12)  # sums in another order differ in the last digit
        short, enough = 0, len(order)
        while enough - short > 1:
            k = (short + enough) // 2
            through = self._masked((place < k)[edge]).flow
            short, enough = (short, k) if through >= wanted else (k, enough)
        return self._keeping((place < enough)[edge])

    def _forward(self) -> list[Float[np.ndarray, " neuron"]]:
        sizes = (abs(layer).astype(np.float64) for layer in self.layers)
        return list(hop_by_hop(sizes, self._at(self.sources).astype(np.float64)))

    def _backward(self) -> list[Float[np.ndarray, " neuron"]]:
        sizes = (abs(layer).astype(np.float64).T for layer in reversed(self.layers))
        found = list(hop_by_hop(sizes, self._at(self.targets) / len(self.targets)))
        return found[::-1]

    def _at(self, neurons: np.ndarray) -> Bool[np.ndarray, " neuron"]:
        return np.isin(np.arange(len(self.connectome)), neurons)

    def _grouped(self, by: str) -> tuple[pd.DataFrame, np.ndarray, Int[np.ndarray, " edge"]]:
        """Edges between groups by number, names of groups, and to which each edge belongs.

        The edges of neurons are those of all layers, one layer after the other.
        """
        n = len(self.connectome)
        ends = [np.r_[layer.indices, _posts(layer)] for layer in self.layers]
        used = np.unique(np.concatenate([*ends, self.targets]))
        group = np.full(n, -1)
        group[used], names = labelled(self.connectome, by, used)
        members = self.connectome.column(by).value_counts().reindex(names).to_numpy()
        last = np.bincount(group[self.targets], minlength=len(names))
        masses = zip(self.layers, self._forward()[:-1], self._backward()[1:], strict=True)
        rows = []
        for number, (layer, a, b) in enumerate(masses):
            pre, post, w = layer.indices, _posts(layer), layer.data.astype(np.float64)
            size = last if number == len(self.layers) - 1 else members
            edge = {"layer": number, "pre": group[pre], "post": group[post], "sign": np.sign(w)}
            flow = b[post] * np.abs(w) * a[pre]
            rows.append(pd.DataFrame({**edge, "weight": w / size[group[post]], "flow": flow}))
        whole = pd.concat(rows, ignore_index=True).astype({"sign": np.int64})
        groups = whole.groupby(EDGE)
        return groups.sum().reset_index(), names, groups.ngroup().to_numpy()

    def _masked(self, keep: Bool[np.ndarray, " edge"]) -> "Paths":
        """Only some edges, which need not lie on a path any more."""
        ends = np.cumsum([0, *(layer.nnz for layer in self.layers)])
        layers = [
            _kept(layer, keep[start:stop])
            for layer, (start, stop) in zip(self.layers, pairwise(ends), strict=True)
        ]
        return replace(self, layers=tuple(layers))

    def _keeping(self, keep: Bool[np.ndarray, " edge"]) -> "Paths":
        """Only some edges, and of those the ones on a path."""
        return self._masked(keep)._connected()

    def _connected(self) -> "Paths":
        """Only edges on a path; one pass each way finds them all."""
        present = [layer.astype(bool) for layer in self.layers]
        forward = list(hop_by_hop(present, self._at(self.sources)))
        backward = list(hop_by_hop((p.T for p in reversed(present)), self._at(self.targets)))[::-1]
        layers = [
            _kept(layer, a[layer.indices] & b[_posts(layer)])
            for layer, a, b in zip(self.layers, forward[:-1], backward[1:], strict=True)
        ]
        return replace(self, layers=tuple(layers))


def paths(
    connectome: Connectome,
    sources: Group,
    targets: Group,
    hops: int,
    *,
    by: str = "cell_type",
    threshold: float = 0.0,
) -> Paths:
    """All paths of exactly ``hops`` hops from any source to any target.

    Args:
        connectome: its weights are taken as they are.
        sources: values of the column ``by``, or an array of indices.
        targets: likewise.
        hops: length of the paths [synapses].
        by: column of the neuron table; ``id``: single neurons.
        threshold: least size of the weight of an edge between neurons.

    Raises:
        ConnectomeError: no such path, with the lengths that there are; hops below 1, unknown
            groups or indices.
    """
    check_hops(hops)
    pre, post = both_ends(connectome, sources, targets, by)
    weights = _kept(connectome.weights, np.abs(connectome.weights.data) >= threshold)
    found = Paths(connectome, pre.neurons, post.neurons, (weights,) * hops)._connected()
    if not found.layers[0].nnz:
        lengths = _lengths(weights, pre.neurons, post.neurons, TOLD)
        there = f"there are paths of {few(lengths, TOLD)}" if lengths else f"nor of 1 to {TOLD}"
        raise ConnectomeError(
            f"no path of exactly {hops} hops leads from {few(pre.names)} to {few(post.names)} over "
            f"weights of size {threshold:g} or more, {there}; change hops, or lower threshold"
        )
    return found


def path_lengths(
    connectome: Connectome,
    sources: Group,
    targets: Group,
    most: int = TOLD,
    *,
    by: str = "cell_type",
) -> list[int]:
    """Numbers of hops, from 1 to ``most``, of which a path leads from a source to a target.

    The first is that of the shortest. Arguments as in :func:`paths`.
    """
    check_hops(most)
    pre, post = both_ends(connectome, sources, targets, by)
    return _lengths(connectome.weights, pre.neurons, post.neurons, most)


def _lengths(
    weights: sparse.csr_array, sources: np.ndarray, targets: np.ndarray, most: int
) -> list[int]:
    start = np.isin(np.arange(weights.shape[0]), sources)
    reached = islice(hop_by_hop(repeat(weights.astype(bool), most), start), 1, None)
    return [n for n, neurons in enumerate(reached, start=1) if neurons[targets].any()]


def _posts(weights: sparse.csr_array) -> Int[np.ndarray, " edge"]:
    return np.repeat(np.arange(weights.shape[0]), np.diff(weights.indptr))


def _kept(weights: sparse.csr_array, keep: Bool[np.ndarray, " edge"]) -> sparse.csr_array:
    """Some of the stored weights."""
    ends = np.concatenate([[0], np.cumsum(keep)])[weights.indptr]
    parts = (weights.data[keep], weights.indices[keep], ends)
    return sparse.csr_array(parts, shape=weights.shape)

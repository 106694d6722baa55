r"""Signed effective connectivity: what all paths of n hops carry from sources to targets.

A path carries the product of its weights. With W = P - M (P excites, M inhibits, both >= 0) paths
with an even number of inhibitory hops excite and those with an odd number inhibit:

.. math::
    E_n = P E_{n-1} + M I_{n-1}, \qquad I_n = P I_{n-1} + M E_{n-1}, \qquad E_0 = 1, \; I_0 = 0

so that :math:`E_n - I_n = W^n` and :math:`E_n + I_n = |W|^n`. Powers of W are not formed: only its
products with one column for each source, or each target where these are fewer, from the other side
for the last hop; sparse as long as paths reach few neurons. A path may come back to a neuron.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import accumulate

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Float, Int
from scipy import sparse

from ngpipe.errors import ConnectomeError
from ngpipe.wiring.container import Connectome, Group
from ngpipe.wiring.edges import few

SPARSE = 0.1
"""Share of a state that is not 0 from which it is held dense."""


@dataclass(frozen=True)
class Ends:
    """Neurons where paths begin, or where they end, each in a group.

    Attributes:
        neurons: indices, each once.
        group: number of each neuron's group.
        names: of the groups.
    """

    neurons: Int[np.ndarray, " member"]
    group: Int[np.ndarray, " member"]
    names: np.ndarray

    @classmethod
    def of(cls, connectome: Connectome, who: Group, by: str, name: str) -> "Ends":
        """Values of the column ``by`` in the order given, or an array of indices.

        Raises:
            ConnectomeError: nobody, values or indices that do not exist, neurons without a value.
        """
        if isinstance(who, np.ndarray) and who.dtype.kind in "iu":
            neurons = _checked(who, len(connectome), name)
            order = connectome.column(by).iloc[neurons]
        else:
            neurons = connectome.indices(by, who)
            order = connectome.values(by, who)
        if not len(neurons):
            raise ConnectomeError(f"the {name} are empty; name at least one neuron or group")
        codes, names = labelled(connectome, by, neurons, order)
        return cls(neurons, codes, names)

    @property
    def sizes(self) -> Int[np.ndarray, " group"]:
        """Members of each group."""
        return np.bincount(self.group, minlength=len(self.names))

    def sums(self, n: int) -> sparse.csr_array:
        """``(neuron, group)``, 1 for the members of a group."""
        return sparse.csr_array(
            (np.ones(len(self.neurons)), (self.neurons, self.group)), shape=(n, len(self.names))
        )

    def means(self, n: int) -> sparse.csr_array:
        """``(neuron, group)``, 1 / size for the members of a group."""
        return (self.sums(n) / self.sizes).tocsr()


def both_ends(connectome: Connectome, sources: Group, targets: Group, by: str) -> tuple[Ends, Ends]:
    """Sources and targets, see :meth:`Ends.of`."""
    return Ends.of(connectome, sources, by, "sources"), Ends.of(connectome, targets, by, "targets")


def effective_connectivity(
    connectome: Connectome,
    sources: Group,
    targets: Group,
    hops: int,
    *,
    by: str = "cell_type",
    per_hop: bool = True,
    max_bytes: int = 2**28,
) -> xr.Dataset:
    r"""Sum of the weights of all paths of 1 to ``hops`` hops from sources to targets, by sign.

    For a post group A and a pre group B, in the notation of this module,

    .. math:: \frac{1}{|A|} \sum_{i \in A} \sum_{j \in B} (E_n)_{ij}

    and likewise I: summed over senders, the mean of receivers. With ``signed().normalised()`` the
    total over all neurons as sources is at most 1: it is a share of what a receiver gets. A
    connectome without signs excites only. Products are in float64.

    Args:
        connectome: its weights are taken as they are.
        sources: values of the column ``by``, or an array of indices.
        targets: likewise.
        hops: longest path [synapses].
        by: column of the neuron table whose values are the groups; ``id``: single neurons.
        per_hop: keep each number of hops; otherwise their sum, without the dimension ``hop``.
        max_bytes: memory of the states worked on at a time, beside the result.

    Returns:
        ``excitatory`` E, ``inhibitory`` I (both >= 0), ``net`` E - I and ``total`` E + I, dims
        (hop, post, pre), hop from 1. Coordinates of groups: ``pre_size``, ``post_size``; of single
        neurons: ``pre_neuron``, ``post_neuron`` (indices) and, if there is that column,
        ``pre_cell_type``, ``post_cell_type`` (empty where not known).

    Raises:
        ConnectomeError: hops below 1, no neurons, unknown groups or indices.

    Source: the quantity is that of connectome_interpreter (Y. Yin et al.), signed compressed paths.
    """
    check_hops(hops)
    pre, post = both_ends(connectome, sources, targets, by)
    n = len(connectome)
    found = _parts(connectome.weights, pre.sums(n), post.means(n), (hops, per_hop, max_bytes))
    parts = {"excitatory": found[0], "inhibitory": found[1]}
    parts |= {"net": found[0] - found[1], "total": found[0] + found[1]}
    dims = ("hop", "post", "pre") if per_hop else ("post", "pre")
    units = connectome.unit if connectome.unit.endswith("fraction") else f"({connectome.unit})^hop"
    over = "paths of n hops" if per_hop else f"paths of 1 to {hops} hops"
    data = {
        name: (dims, part if per_hop else part[0], {"units": units, "long_name": f"{name}, {over}"})
        for name, part in parts.items()
    }
    coords: dict[str, object] = {"hop": np.arange(1, hops + 1)} if per_hop else {}
    for dim, ends in (("post", post), ("pre", pre)):
        coords |= _coordinates(connectome, dim, ends, by)
    return xr.Dataset(data, coords, {"groups": by})


def hop_by_hop(weights: Iterable[sparse.sparray], start: np.ndarray) -> Iterator[np.ndarray]:
    """The state at the start and after each hop: x, W1 x, W2 W1 x, ..."""
    return accumulate(weights, lambda state, hop: hop @ state, initial=start)


def check_hops(hops: int) -> None:
    """Refuse a number of hops that is no whole number from 1.

    Raises:
        ConnectomeError: naming it.
    """
    if isinstance(hops, bool) or not isinstance(hops, int | np.integer) or hops < 1:
        raise ConnectomeError(f"hops is {hops!r}, expected a whole number from 1")


def labelled(
    connectome: Connectome, by: str, neurons: np.ndarray, order: pd.Series | None = None
) -> tuple[Int[np.ndarray, " member"], np.ndarray]:
    """Number of the group of each of these neurons, and the names of the groups in some order.

    Raises:
        ConnectomeError: neurons without a value of ``by``.
    """
    labels = connectome.column(by).iloc[neurons]
    if labels.isna().any():
        lacking = connectome.ids[neurons][labels.isna().to_numpy()]
        raise ConnectomeError(
            f"{len(lacking)} neurons on these paths have no '{by}', {few(lacking)}; fill that "
            "column with described(), leave them out with select(), or say by='id'"
        )
    names = pd.Index(pd.unique(labels if order is None else order))
    return names.get_indexer(labels), np.array(names.tolist())


def _checked(indices: np.ndarray, n: int, name: str) -> np.ndarray:
    beyond = indices[(indices < 0) | (indices >= n)]
    if len(beyond):
        raise ConnectomeError(f"{name}: index {beyond[0]} is out of range, expected 0 to {n - 1}")
    values, counts = np.unique(indices, return_counts=True)
    if (counts > 1).any():
        raise ConnectomeError(f"{name}: {few(values[counts > 1])} are given twice; give each once")
    return indices.astype(np.int64)


def _parts(
    weights: sparse.csr_array,
    start: sparse.csr_array,
    read: sparse.csr_array,
    how: tuple[int, bool, int],
) -> Float[np.ndarray, "part hop post pre"]:
    """Both parts, from ``start`` (neuron, pre) to ``read`` (neuron, post)."""
    hops, per_hop, max_bytes = how
    backwards = read.shape[1] < start.shape[1]
    if backwards:
        weights, start, read = weights.T.tocsr(), read, start
    n, columns = start.shape
    both = _by_sign(weights)
    # The last hop is taken by what is read, which is mostly few rows, and not by the state.
    reading = read.T.tocsr()
    last = [reading @ rows for rows in (both[:n], both[n:])]
    found = np.zeros((2, hops if per_hop else 1, read.shape[1], columns))
    width = max(1, max_bytes // (2 * 2 * n * found.itemsize))  # two states, both signs
    for first in range(0, columns, width):
        block = slice(first, first + width)
        excites = start[:, block].tocsr()
        state = sparse.vstack([excites, sparse.csr_array(excites.shape)], format="csr")
        for hop in range(hops):
            for part in (0, 1):
                carried = last[part] @ state
                at = hop if per_hop else 0
                found[part, at, :, block] += _dense(carried)
            if hop < hops - 1:
                state = _thick(both @ state)
    return found.swapaxes(2, 3) if backwards else found


def _thick(state: sparse.csr_array | np.ndarray) -> sparse.csr_array | np.ndarray:
    """Sparse while products with it are faster so."""
    filled = 1.0 if isinstance(state, np.ndarray) else state.nnz / max(1, np.prod(state.shape))
    return state if filled < SPARSE else _dense(state)


def _dense(values: sparse.csr_array | np.ndarray) -> np.ndarray:
    return values if isinstance(values, np.ndarray) else values.toarray()


def _by_sign(weights: sparse.csr_array) -> sparse.csr_array:
    """[[P, M], [M, P]]: each neuron twice, for what excites and for what inhibits."""
    n = weights.shape[0]
    size, inhibits = np.abs(weights.data.astype(np.float64)), weights.data < 0
    pre = weights.indices.astype(np.int64)
    indices = np.concatenate([pre + n * inhibits, pre + n * ~inhibits])
    ends = np.concatenate([weights.indptr, weights.indptr[1:].astype(np.int64) + weights.nnz])
    return sparse.csr_array((np.tile(size, 2), indices, ends), shape=(2 * n, 2 * n))


def _coordinates(connectome: Connectome, dim: str, ends: Ends, by: str) -> dict[str, object]:
    if by != "id":
        return {dim: ends.names, f"{dim}_size": (dim, ends.sizes)}
    neurons = ends.neurons[np.argsort(ends.group)]
    found = {dim: ends.names, f"{dim}_neuron": (dim, neurons)}
    if "cell_type" in connectome.neurons:
        kinds = connectome.neurons["cell_type"].iloc[neurons].astype(object).fillna("")
        found[f"{dim}_cell_type"] = (dim, np.array(kinds.tolist()))
    return found

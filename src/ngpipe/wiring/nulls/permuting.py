"""Weights or connections put elsewhere at random, and Erdos-Renyi graphs.

All draw from the generator given, and note in the origin what was done.
"""

from dataclasses import replace

import numpy as np
from jaxtyping import Int
from scipy import sparse

from ngpipe.config.nulls import NullKind
from ngpipe.wiring.container import Connectome
from ngpipe.wiring.layout import check_choice
from ngpipe.wiring.nulls import swaps
from ngpipe.wiring.nulls.distances import AXES, BINS, distance_bins
from ngpipe.wiring.nulls.drawn import FIXED, Rng, permuted, with_connections

KINDS = (
    NullKind(
        "permuted_connections",
        keeps="number of connections; set of weights",
        renews="which neurons are connected, autapses too; degrees; motifs; distances",
        draws="permuted_connections",
    ),
    NullKind(
        "permuted_without_autapses",
        keeps="number of connections; set of weights; autapses",
        renews="which neurons are connected; degrees; motifs; distances",
        draws="permuted_connections",
        options={"autapses": False},
    ),
    NullKind(
        "permuted_weights",
        keeps="which neurons are connected, so all degrees, motifs, distances; set of weights",
        renews="which connection has which weight; strengths",
        draws="permuted_weights",
        options={"within": "all"},
    ),
    NullKind(
        "permuted_weights_of_senders",
        keeps="as permuted_weights, and the set of weights each neuron sends, so its sign",
        renews="which of a sender's connections has which weight; in-strength",
        draws="permuted_weights",
        earlier=("weights",),
    ),
    NullKind(
        "distance",
        keeps="number of connections and set of weights at each distance; autapses",
        renews="which neurons are connected; degrees; motifs beyond what distance makes",
        draws="permuted_by_distance",
        needs=("positions",),
    ),
    NullKind(
        "erdos_renyi",
        keeps="number of connections and distribution of weights, on average; autapses",
        renews="which neurons are connected; degrees; motifs; distances",
        draws="erdos_renyi",
    ),
)

TOSSED = 8192
"""Neurons up to which an Erdos-Renyi graph draws a number for each pair."""


def permuted_weights(connectome: Connectome, rng: Rng, *, within: str = "sender") -> Connectome:
    """Weights shuffled among the edges that exist.

    Keeps: which neurons are connected, all degrees, and the set of weights of each class: all edges
    (``all``), those of one sign (``sign``), of one sender (``sender``: out-strength and Dale's law
    too), or of one pair of cell types (``type``).

    Does not keep: in-strength; with ``all``, ``sign`` and ``type`` out-strength; with ``all`` and
    ``type``, in a signed connectome, Dale's law where a class holds both signs.

    Edges are numbered by sender, then receiver: ``all`` with a RandomState repeats a shuffle of
    the weights of a matrix [pre, post].

    Raises:
        ConnectomeError: ``within="type"`` without cell types.
    """
    check_choice("within", within, ("all", "sign", "sender", "type"))
    weights = connectome.weights
    pre, post = swaps.ends(connectome)
    classes = {
        "all": lambda: np.zeros(weights.nnz, np.int64),
        "sign": lambda: (weights.data > 0).astype(np.int64),
        "sender": lambda: pre,
        "type": lambda: swaps.type_pairs(connectome, pre, post),
    }[within]()
    data = np.empty_like(weights.data)
    by_sender = np.lexsort((post, pre))
    data[by_sender] = permuted(weights.data[by_sender], classes[by_sender], rng)
    note = f"weights permuted within {within}"
    return replace(connectome.mapped(data), origin=connectome.origin.noted(note))


def permuted_connections(connectome: Connectome, rng: Rng, *, autapses: bool = True) -> Connectome:
    """All entries of the matrix shuffled, weights and zeros alike.

    Keeps: the number of neurons and of connections, the set of weights.

    Does not keep: degrees, strengths, reciprocity, motifs, distances, Dale's law. With
    ``autapses`` every n-th connection on average becomes one of a neuron with itself; without, the
    diagonal takes no part and stays.

    Entries are numbered by sender, then receiver: with a RandomState and ``autapses`` this repeats
    a shuffle of the flattened matrix [pre, post]. Needs memory for n^2 numbers.
    """
    n = len(connectome)
    classes = np.zeros((n, n), np.int64)
    if not autapses:
        np.fill_diagonal(classes, FIXED)
    note = f"connections permuted, {'with' if autapses else 'without'} autapses"
    return _shuffled(connectome, classes, rng, note)


def permuted_by_distance(
    connectome: Connectome,
    rng: Rng,
    *,
    bins: int = BINS,
    axes: tuple[str, ...] = AXES,
) -> Connectome:
    """Connections shuffled among pairs of neurons at about the same distance.

    Keeps: the number of connections, and their weights as a set, in each bin of distance, so the
    probability of a connection as a function of distance; self-connections as they are.

    Does not keep: degrees, strengths, reciprocity beyond what distance makes, motifs, Dale's law.

    Args:
        connectome: with positions.
        rng: source of all draws.
        bins: of distance, each with as many pairs.
        axes: columns of the neuron table between whose values the (Euclidean) distance is taken.

    Raises:
        ConnectomeError: a neuron without a position, or no bins.
    """
    classes = distance_bins(connectome, bins, axes)
    return _shuffled(connectome, classes, rng, f"connections permuted in {bins} bins of distance")


def erdos_renyi(connectome: Connectome, rng: Rng) -> Connectome:
    r"""Every pair connected with the same probability, :math:`p = m / (n (n - 1))`.

    Weights are drawn from those of the m connections, with replacement.

    Keeps: on average the number of connections and the distribution of weights;
    self-connections as they are. Does not keep: anything else.
    """
    n = len(connectome)
    pre, post = swaps.ends(connectome)
    weights = connectome.weights.data[pre != post]
    p = len(weights) / max(1, n * (n - 1))
    # Either has the same distribution; that of few neurons keeps what their seeds always drew.
    found_pre, found_post = (_tossed if n <= TOSSED else _picked)(n, p, rng)
    data = rng.choice(weights, len(found_pre)) if len(weights) else weights
    return with_connections(connectome, found_pre, found_post, data, f"Erdos-Renyi, p {p:.4g}")


def _tossed(n: int, p: float, rng: Rng) -> tuple[np.ndarray, np.ndarray]:
    """Pre and post of pairs that are connected, a number for each pair."""
    present = rng.random((n, n)) < p
    np.fill_diagonal(present, False)
    pre, post = np.nonzero(present)
    return pre, post


def _picked(n: int, p: float, rng: Rng) -> tuple[np.ndarray, np.ndarray]:
    """The same with a number for each connection: how many there are, then which."""
    pairs = n * (n - 1)
    count = rng.binomial(pairs, p)
    picked = np.empty(0, np.int64)
    while len(picked) < count:
        more = (rng.random(count - len(picked)) * pairs).astype(np.int64)
        picked = np.sort(np.concatenate([picked, more]))  # np.unique takes 75 times as long
        picked = picked[np.diff(picked, prepend=-1) > 0]
    pre, post = np.divmod(picked, max(1, n - 1))
    return pre, post + (post >= pre)  # past the diagonal


def _shuffled(
    connectome: Connectome, classes: Int[np.ndarray, "pre post"], rng: Rng, note: str
) -> Connectome:
    """Entries of the matrix shuffled among those of the same class, but for those that stay."""
    entries = connectome.weights.toarray().T
    free = classes != FIXED
    entries[free] = permuted(entries[free], classes[free], rng)
    weights = sparse.csr_array(entries.T)
    return replace(connectome, weights=weights, origin=connectome.origin.noted(note))

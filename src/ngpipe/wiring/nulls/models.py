"""Connectomes for comparison: each keeps some properties of the given one and draws the rest.

:data:`NULLS` names those that ask for nothing but a connectome, and says what each keeps.
Signs alone are drawn by :mod:`ngpipe.wiring.nulls.signs`.

All draw from the generator given, and note in the origin what was done.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from itertools import islice
from weakref import WeakKeyDictionary

import numpy as np
import pandas as pd
from jaxtyping import Int
from scipy import sparse
from scipy.spatial.distance import pdist, squareform

from ngpipe.errors import ConnectomeError
from ngpipe.wiring.container import Connectome
from ngpipe.wiring.edges import check_choice, few
from ngpipe.wiring.nulls import swaps
from ngpipe.wiring.nulls.significance import p_value as p_value  # also found here

Rng = np.random.Generator | np.random.RandomState
"""A RandomState where the draws of older code are to be repeated."""


TOSSED = 8192
"""Neurons up to which an Erdos-Renyi graph draws a number for each pair."""


def rewired(
    connectome: Connectome,
    rng: np.random.Generator,
    *,
    keep: str = "degree",
    sweeps: int | None = None,
) -> Connectome:
    """Receivers exchanged between senders at random, degrees kept.

    Two senders compare their receivers; those that only one of them has are dealt anew, as many to
    each as before (Curveball trades; Strona et al. 2014, doi:10.1038/ncomms5114; Carstens et al.
    2018). A sweep is as many trades as there are senders. With ``keep="reciprocity"`` two linked
    pairs exchange partners, a -> b, c -> d for a -> d, c -> b, mutual pairs among themselves; a
    sweep is as many attempts as there are pairs.

    Keeps: the number of neurons and edges, every neuron's in-degree and out-degree, every sender's
    weights as a set, hence out-strength and Dale's law; self-connections as they are; with
    ``keep="sign"`` also how many excitatory and inhibitory senders each neuron has; with
    ``keep="type"`` also how many senders of each type each neuron has, and how many receivers of
    each type, with the weights sent to each; with ``keep="reciprocity"`` also how many of each
    neuron's partners are mutual, so the number of reciprocal pairs, and the weights sent to these.

    Does not keep: which neurons are connected, reciprocity (unless asked), other motifs,
    in-strength, distances, the correlation of a weight with its receiver. If self-connections are
    forbidden, trades cannot reach a few graphs (such as a lone 3-cycle reversed). Swaps of pairs
    miss more: of graphs of five neurons often most. All graphs within reach are equally likely.

    Args:
        connectome: any; signed or not.
        rng: source of all draws.
        keep: what else is kept: ``degree`` (nothing), ``sign``, ``type`` or ``reciprocity``.
        sweeps: how long to trade; default: :func:`enough_sweeps`. In a sparse graph each forgets a
            third to a half of what is left, in a dense one less, which :func:`mixing` shows.

    Raises:
        ConnectomeError: no signs or types to keep, or signs that differ among what one neuron
            sends.
    """
    return _run(connectome, rng, keep, sweeps)[0]


def mixing(
    connectome: Connectome,
    rng: np.random.Generator,
    *,
    keep: str = "degree",
    sweeps: int | None = None,
) -> pd.DataFrame:
    """Overlap with the given connectome: ``sweep`` and ``overlap``, one row per sweep.

    Overlap is the share of connected pairs (self-connections aside) that are those of the given
    connectome. It falls from 1 to what the degrees alone enforce; where the last rows fall no
    further, :func:`rewired` with as many sweeps has forgotten where it started. It stays 1 where
    no connection can move, as where all are connected to all.
    """
    return _run(connectome, rng, keep, sweeps)[1]


def enough_sweeps(connectome: Connectome, keep: str = "degree") -> int:
    """The sweeps after which the overlap with the connectome falls no further.

    10, 20, 40 or 80 (:data:`MOST_SWEEPS`): the first that twice as many do not improve on by more
    than two standard deviations of the overlap of one sample. Tried out on a chain of its own, with
    the same random numbers in every call: were a sample to stop where its own overlap has fallen,
    it would not be drawn uniformly. Of one connectome it is computed once.
    """
    known = _ENOUGH.setdefault(connectome, {})
    if keep not in known:
        known[keep] = _tried(connectome, keep)
    return known[keep]


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
    data[by_sender] = _permuted(weights.data[by_sender], classes[by_sender], rng)
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
        np.fill_diagonal(classes, _FIXED)
    note = f"connections permuted, {'with' if autapses else 'without'} autapses"
    return _shuffled(connectome, classes, rng, note)


def permuted_by_distance(
    connectome: Connectome,
    rng: Rng,
    *,
    bins: int = 20,
    axes: tuple[str, ...] = ("x", "y", "z"),
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
    if bins < 1:
        raise ConnectomeError(f"bins={bins}, expected one bin of distance or more")
    place = np.stack([connectome.column(axis).to_numpy(np.float64) for axis in axes], axis=1)
    lost = np.isnan(place).any(axis=1)
    if lost.any():
        raise ConnectomeError(
            f"{lost.sum()} neurons have no position {axes}, {few(connectome.ids[lost])}; leave "
            "them out with select"
        )
    distance = squareform(pdist(place))
    ordered = np.sort(distance[~np.eye(len(place), dtype=bool)])
    limits = ordered[np.arange(1, bins) * len(ordered) // bins] if len(ordered) else ordered
    classes = np.searchsorted(limits, distance, side="right")
    np.fill_diagonal(classes, _FIXED)
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
    return _with(connectome, found_pre, found_post, data, f"Erdos-Renyi, p {p:.4g}")


def _tossed(n: int, p: float, rng: Rng) -> tuple[np.ndarray, np.ndarray]:
    """Pre and post of pairs that are connected, a number for each pair."""
    present = rng.random((n, n)) < p
    np.fill_diagonal(present, False)
    return np.nonzero(present)


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


@dataclass(frozen=True)
class Null:
    """A null by name.

    Attributes:
        draw: (connectome, rng) -> one sample.
        keeps: what a sample shares with the connectome.
        renews: what is drawn anew.
        exchanges: what :func:`rewired` keeps, of nulls that are made by exchanges.
    """

    draw: Callable[..., Connectome]
    keeps: str
    renews: str
    exchanges: str | None = None

    def sample(self, connectome: Connectome, rng: Rng, sweeps: int | None = None) -> Connectome:
        """One sample, after so many sweeps of exchanges if it is made by these."""
        options = {} if self.exchanges is None else {"sweeps": sweeps}
        return self.draw(connectome, rng, **options)


NULLS = {
    "permuted_connections": Null(
        permuted_connections,
        "number of connections; set of weights",
        "which neurons are connected, autapses too; degrees; motifs; distances",
    ),
    "permuted_without_autapses": Null(
        partial(permuted_connections, autapses=False),
        "number of connections; set of weights; autapses",
        "which neurons are connected; degrees; motifs; distances",
    ),
    "permuted_weights": Null(
        partial(permuted_weights, within="all"),
        "which neurons are connected, so all degrees, motifs, distances; set of weights",
        "which connection has which weight; strengths",
    ),
    "degree": Null(
        rewired,
        "in- and out-degree of each neuron; weights each sends, so out-strength; autapses",
        "which neurons are connected; reciprocity and other motifs; in-strength; distances",
        exchanges="degree",
    ),
    "degree_and_reciprocity": Null(
        partial(rewired, keep="reciprocity"),
        "as degree, and the number of mutual partners of each neuron",
        "which neurons are connected; motifs of three; in-strength; distances",
        exchanges="reciprocity",
    ),
    "distance": Null(
        permuted_by_distance,
        "number of connections and set of weights at each distance; autapses",
        "which neurons are connected; degrees; motifs beyond what distance makes",
    ),
    "erdos_renyi": Null(
        erdos_renyi,
        "number of connections and distribution of weights, on average; autapses",
        "which neurons are connected; degrees; motifs; distances",
    ),
}
"""Every null that needs a connectome and a generator, and nothing else."""


LEAST_SWEEPS, MOST_SWEEPS = 10, 80
"""Bounds on the number of sweeps of exchanges, if it is not given."""
_ENOUGH: WeakKeyDictionary[Connectome, dict[str, int]] = WeakKeyDictionary()
"""Sweeps that are enough, of connectomes in use."""
_FIXED = -1
"""Class of entries that stay."""


def _shuffled(
    connectome: Connectome, classes: Int[np.ndarray, "pre post"], rng: Rng, note: str
) -> Connectome:
    """Entries of the matrix shuffled among those of the same class, but for those that stay."""
    entries = connectome.weights.toarray().T
    free = classes != _FIXED
    entries[free] = _permuted(entries[free], classes[free], rng)
    weights = sparse.csr_array(entries.T)
    return replace(connectome, weights=weights, origin=connectome.origin.noted(note))


def _permuted(values: np.ndarray, classes: np.ndarray, rng: Rng) -> np.ndarray:
    """Values shuffled within classes; with one class they are ``values[rng.permutation(n)]``."""
    order = rng.permutation(len(values))
    found = np.empty_like(values)
    into = np.argsort(classes, kind="stable")
    found[into] = values[order[np.argsort(classes[order], kind="stable")]]
    return found


def _run(
    connectome: Connectome, rng: np.random.Generator, keep: str, sweeps: int | None
) -> tuple[Connectome, pd.DataFrame]:
    """The rewired connectome, and the overlap with the given one after each sweep."""
    check_choice("keep", keep, swaps.KEEP)
    if sweeps is None:
        sweeps = enough_sweeps(connectome, keep)
    chain = swaps.chain(connectome, keep)
    overlaps = [1.0, *islice(_overlaps(chain, len(connectome), rng), sweeps)]
    note = f"rewired, {keep} kept, {sweeps} sweeps, overlap {overlaps[-1]:.3f}"
    if overlaps[-1] == 1:
        note += ": no connection is elsewhere"
    pre, post, data = chain.edges()
    # A connection that degrees keep where it is would keep its weight too.
    found = _with(connectome, pre, post, _permuted(data, chain.classes(), rng), note)
    return found, pd.DataFrame({"sweep": np.arange(sweeps + 1), "overlap": overlaps})


def _overlaps(
    chain: swaps.Trades | swaps.DyadSwaps, n: int, rng: np.random.Generator
) -> Iterator[float]:
    """The overlap after each sweep, without end; 1 where there is nothing to move."""
    start = _pairs(chain.edges(), n)
    while True:
        chain.sweep(rng)
        yield np.isin(_pairs(chain.edges(), n), start).mean() if len(start) else 1.0


def _tried(connectome: Connectome, keep: str) -> int:
    """See :func:`enough_sweeps`."""
    chain = swaps.chain(connectome, keep)
    overlaps = _overlaps(chain, len(connectome), np.random.default_rng(0))
    edges, seen, sweeps = max(1, len(chain.edges()[0])), [1.0], LEAST_SWEEPS
    while sweeps < MOST_SWEEPS:
        seen += islice(overlaps, 2 * sweeps + 1 - len(seen))
        now, later = np.mean(seen[sweeps - 2 : sweeps + 1]), np.mean(seen[3 * sweeps // 2 :])
        if now - later <= 2 * np.sqrt(later * (1 - later) / edges):
            break
        sweeps *= 2
    return sweeps


def _pairs(edges: swaps.Edges, n: int) -> Int[np.ndarray, " edge"]:
    """One number for each connected pair."""
    return edges[0] * n + edges[1]


def _with(
    connectome: Connectome, pre: np.ndarray, post: np.ndarray, data: np.ndarray, note: str
) -> Connectome:
    """The same neurons with these connections and their own self-connections."""
    own = connectome.weights.diagonal()
    at = np.flatnonzero(own)
    where = np.r_[post, at], np.r_[pre, at]
    values = np.r_[data, own[at]].astype(np.float32)
    weights = sparse.coo_array((values, where), shape=connectome.weights.shape).tocsr()
    return replace(connectome, weights=weights, origin=connectome.origin.noted(note))

"""Receivers exchanged between senders, with every degree kept.

All draw from the generator given, and note in the origin what was done.
"""

from collections.abc import Iterator
from itertools import islice
from weakref import WeakKeyDictionary

import numpy as np
import pandas as pd
from jaxtyping import Int

from ngpipe.config.nulls import NullKind
from ngpipe.wiring.container import Connectome
from ngpipe.wiring.layout import check_choice
from ngpipe.wiring.nulls import swaps
from ngpipe.wiring.nulls.drawn import permuted, with_connections

KINDS = (
    NullKind(
        "degree",
        keeps="in- and out-degree of each neuron; weights each sends, so out-strength; autapses",
        renews="which neurons are connected; reciprocity and other motifs; in-strength; distances",
        draws="rewired",
        takes=("sweeps",),
        exchanges="degree",
    ),
    NullKind(
        "degree_and_reciprocity",
        keeps="as degree, and the number of mutual partners of each neuron",
        renews="which neurons are connected; motifs of three; in-strength; distances",
        draws="rewired",
        options={"keep": "reciprocity"},
        takes=("sweeps",),
        exchanges="reciprocity",
    ),
    NullKind(
        "degree_and_sign",
        keeps="as degree, and how many excitatory and inhibitory senders each neuron has",
        renews="which neurons are connected; reciprocity and other motifs; in-strength; distances",
        draws="rewired",
        options={"keep": "sign"},
        takes=("sweeps",),
        needs=("signs",),
        exchanges="sign",
        earlier=("sign",),
    ),
    NullKind(
        "degree_and_type",
        keeps="as degree, and how many senders and receivers of each type each neuron has",
        renews="which neurons of a type are connected; reciprocity and other motifs; distances",
        draws="rewired",
        options={"keep": "type"},
        takes=("sweeps",),
        needs=("types",),
        exchanges="type",
        earlier=("type",),
    ),
    NullKind(
        "degree_and_distance",
        keeps="as degree, and the number of connections at each distance",
        renews="which neurons are connected; reciprocity and other motifs; in-strength",
        draws="rewired",
        options={"keep": "distance"},
        takes=("sweeps",),
        needs=("positions",),
        exchanges="distance",
    ),
)

LEAST_SWEEPS, MOST_SWEEPS = 10, 80
"""Bounds on the number of sweeps of exchanges, if it is not given."""
_ENOUGH: WeakKeyDictionary[Connectome, dict[str, int]] = WeakKeyDictionary()
"""Sweeps that are enough, of connectomes in use."""


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
    sweep is as many attempts as there are pairs. With ``keep="distance"`` two connections do, if
    the new pairs lie in the same two of 20 bins of distance; a sweep is 50 attempts for each.

    Keeps: the number of neurons and edges, every neuron's in-degree and out-degree, every sender's
    weights as a set, hence out-strength and Dale's law; self-connections as they are; with
    ``keep="sign"`` also how many excitatory and inhibitory senders each neuron has; with
    ``keep="type"`` also how many senders of each type each neuron has, and how many receivers of
    each type, with the weights sent to each; with ``keep="distance"`` also the number of
    connections in each bin of distance; with ``keep="reciprocity"`` also how many of each
    neuron's partners are mutual, so the number of reciprocal pairs, and the weights sent to these.

    Does not keep: which neurons are connected, reciprocity (unless asked), other motifs,
    in-strength, distances, the correlation of a weight with its receiver. If self-connections are
    forbidden, trades cannot reach a few graphs (such as a lone 3-cycle reversed). Swaps of pairs
    miss more: of graphs of five neurons often most. All graphs within reach are equally likely.

    Args:
        connectome: any; signed or not.
        rng: source of all draws.
        keep: what else is kept: ``degree`` (nothing), ``sign``, ``type``, ``reciprocity`` or
            ``distance``.
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
    found = with_connections(connectome, pre, post, permuted(data, chain.classes(), rng), note)
    return found, pd.DataFrame({"sweep": np.arange(sweeps + 1), "overlap": overlaps})


def _overlaps(
    chain: swaps.Trades | swaps.DyadSwaps | swaps.DistanceSwaps, n: int, rng: np.random.Generator
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

"""Connectomes for comparison: each keeps some properties of the given one and draws the rest.

=====================  ===========================================================================
function               keeps
=====================  ===========================================================================
`rewired`              in- and out-degree of every neuron, what each sender sends (Dale's law)
`permuted_weights`     who is connected to whom
`sampled_signs`        who is connected to whom, and the sizes of weights
=====================  ===========================================================================

All draw from the numpy Generator given, and note in the origin what was done.
"""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from scipy import sparse

from ngpipe.errors import ConnectomeError
from ngpipe.wiring.connectome import Connectome
from ngpipe.wiring.edges import check_choice, few

Rows = list[dict[int, float]]
"""For each sender, or sender and class: receiver -> weight."""


def rewired(
    connectome: Connectome, rng: np.random.Generator, *, keep: str = "degree", sweeps: int = 10
) -> Connectome:
    """Receivers exchanged between senders at random, degrees kept (Curveball trades).

    Two senders compare their receivers; those that only one of them has are dealt anew, as many to
    each as before (Strona et al. 2014, doi:10.1038/ncomms5114; Carstens et al. 2018). A sweep is
    as many trades as there are senders.

    Keeps: the number of neurons and edges, every neuron's in-degree and out-degree, every sender's
    weights as a set, hence out-strength and Dale's law; self-connections as they are; with
    ``keep="sign"`` also how many excitatory and inhibitory senders each neuron has; with
    ``keep="type"`` also how many senders of each type each neuron has, and how many receivers of
    each type.

    Does not keep: who is connected to whom, reciprocity, motifs, in-strength, distances, and the
    correlation of a weight with its receiver. Where self-connections are forbidden, a few graphs
    may be out of reach of trades (such as a lone 3-cycle reversed).

    Args:
        connectome: any; signed or not.
        rng: source of all draws.
        keep: what else is kept: ``degree`` (nothing), ``sign`` or ``type``.
        sweeps: how long to trade: each forgets a third to a half of what is left, which
            :func:`mixing` shows.

    Raises:
        ConnectomeError: no signs or types to keep, or signs that differ among what one neuron
            sends.
    """
    return _run(connectome, rng, keep, sweeps)[0]


def mixing(
    connectome: Connectome, rng: np.random.Generator, *, keep: str = "degree", sweeps: int = 10
) -> pd.DataFrame:
    """How much of the given connectome is left: ``sweep`` and ``overlap``, one row a sweep.

    Overlap is the share of connected pairs (self-connections aside) that are those of the given
    connectome. It falls from 1 to what the degrees alone enforce; where the last rows fall no
    further, :func:`rewired` with as many sweeps has forgotten where it started.
    """
    return _run(connectome, rng, keep, sweeps)[1]


def permuted_weights(
    connectome: Connectome, rng: np.random.Generator, *, within: str = "sender"
) -> Connectome:
    """Weights shuffled among the edges that exist.

    Keeps: who is connected to whom, all degrees, and the set of weights of each class: all edges
    (``all``), those of one sign (``sign``), of one sender (``sender``: out-strength and Dale's law
    too), or of one pair of cell types (``type``).

    Does not keep: in-strength; with ``all``, ``sign`` and ``type`` out-strength; with ``all`` and
    ``type``, in a signed connectome, Dale's law where a class holds both signs.

    Raises:
        ConnectomeError: ``within="type"`` without cell types.
    """
    weights = connectome.weights
    pre, post = weights.indices, _posts(connectome)
    check_choice("within", within, ("all", "sign", "sender", "type"))
    classes = {
        "all": lambda: np.zeros(weights.nnz, np.int64),
        "sign": lambda: (weights.data > 0).astype(np.int64),
        "sender": lambda: pre,
        "type": lambda: _pairs(connectome, pre, post),
    }[within]()
    by_class = np.argsort(classes, kind="stable")
    shuffled = np.lexsort((rng.random(weights.nnz), classes))
    data = np.empty_like(weights.data)
    data[by_class] = weights.data[shuffled]
    note = f"weights permuted within {within}"
    return replace(connectome.mapped(data), origin=connectome.origin.noted(note))


def sampled_signs(
    connectome: Connectome,
    excitatory: Mapping[object, float] | Float[np.ndarray, " neuron"],
    rng: np.random.Generator,
    *,
    by: str = "id",
) -> Connectome:
    """Signs of senders drawn from their probabilities; the weights returned have these signs.

    Keeps: who is connected to whom, the sizes of all weights, Dale's law (one sign a sender).
    Does not keep: the signs, hence the balance of excitation and inhibition.

    Args:
        connectome: signed or not; signs it has are dropped.
        excitatory: probability that a neuron excites, for each neuron or, as a mapping, for each
            value of ``by``; :func:`excitatory_probability` makes it from calls of transmitters.
        rng: source of all draws.
        by: column of the neuron table whose values share one draw, such as ``cell_type``.

    Raises:
        ConnectomeError: probabilities that are missing or not in [0, 1], or that differ among
            neurons that share a draw.
    """
    labels = connectome.column(by)
    codes, values = pd.factorize(labels)
    if (codes < 0).any():
        raise ConnectomeError(
            f"{(codes < 0).sum()} neurons have no '{by}', so no probability; fill that column"
        )
    p = _probabilities(connectome, excitatory, codes, values)
    sign = np.where(rng.random(len(values)) < p, 1.0, -1.0)[codes]
    drawn = connectome.mapped(np.abs).described(sign=sign).signed()
    return replace(drawn, origin=connectome.origin.noted(f"signs sampled by {by}"))


def excitatory_probability(
    transmitters: pd.DataFrame, signs: Mapping[str, int]
) -> Float[np.ndarray, " neuron"]:
    """Probability that each neuron excites, from the probabilities of its transmitters.

    The sum over excitatory transmitters, over the sum over all that ``signs`` names.

    Args:
        transmitters: one column of probabilities for each transmitter, one row for each neuron.
        signs: +1 or -1 for each transmitter that counts.

    Raises:
        ConnectomeError: a transmitter without a column, or a neuron without any probability.
    """
    missing = [name for name in signs if name not in transmitters]
    if missing:
        raise ConnectomeError(
            f"no column for the transmitters {missing}; the table has {list(transmitters)}"
        )
    values = transmitters[list(signs)].to_numpy(np.float64, na_value=0.0)
    total = values.sum(axis=1)
    if (total <= 0).any():
        raise ConnectomeError(
            f"{(total <= 0).sum()} rows, the first {np.flatnonzero(total <= 0)[0]}, give no "
            f"probability to any of {list(signs)}; leave those neurons out, or give them one"
        )
    return values @ (np.array(list(signs.values())) > 0) / total


def p_value(value: float, draws: Float[np.ndarray, " draw"]) -> float:
    r"""How unusual a value is among K draws of a null, two-sided and never 0.

    .. math::
        p = \min\Big(1, \frac{2}{K + 1} \big(1 + \min(\#\{n_k \ge v\}, \#\{n_k \le v\})\big)\Big)

    Exact if the value was drawn like the others. 39 draws are the fewest that can give 0.05.
    """
    beyond = min(np.count_nonzero(draws >= value), np.count_nonzero(draws <= value))
    return min(1.0, 2 * (1 + beyond) / (1 + len(draws)))


def _probabilities(
    connectome: Connectome,
    given: Mapping[object, float] | np.ndarray,
    codes: np.ndarray,
    values: pd.Index | np.ndarray,
) -> np.ndarray:
    """One probability for each value that shares a draw."""
    if isinstance(given, Mapping):
        p = np.array([given.get(value, np.nan) for value in values], dtype=np.float64)
    else:
        each = np.asarray(given, dtype=np.float64)
        if each.shape != (len(connectome),):
            raise ConnectomeError(
                f"probabilities of shape {each.shape}, expected ({len(connectome)},), one for each "
                "neuron"
            )
        p = np.full(len(values), np.nan)
        p[codes] = each
        if not np.array_equal(p[codes], each, equal_nan=True):
            raise ConnectomeError(
                "neurons that share a draw have different probabilities; give a mapping with one "
                "for each value"
            )
    wrong = ~((p >= 0) & (p <= 1))
    if wrong.any():
        raise ConnectomeError(
            f"the probability to excite of {few(np.asarray(values)[wrong])} is {few(p[wrong])}, "
            "expected a number from 0 to 1"
        )
    return p


def _run(
    connectome: Connectome, rng: np.random.Generator, keep: str, sweeps: int
) -> tuple[Connectome, pd.DataFrame]:
    """The rewired connectome, and the overlap with the given one after each sweep."""
    pre, post = connectome.weights.indices.astype(np.int64), _posts(connectome)
    fixed = pre == post
    rows, senders, pools = _rows(connectome, keep, fixed)
    start = _keys(rows, senders, len(connectome))
    overlaps = [1.0]
    for _ in range(sweeps):
        _sweep(rows, senders, pools, rng)
        shared = np.isin(_keys(rows, senders, len(connectome)), start).sum()
        overlaps.append(shared / max(1, len(start)))
    weights = _weights(connectome, rows, senders, fixed)
    note = f"rewired, {keep} kept, {sweeps} sweeps, overlap {overlaps[-1]:.3f}"
    found = replace(connectome, weights=weights, origin=connectome.origin.noted(note))
    return found, pd.DataFrame({"sweep": np.arange(sweeps + 1), "overlap": overlaps})


def _rows(
    connectome: Connectome, keep: str, fixed: np.ndarray
) -> tuple[Rows, np.ndarray, list[np.ndarray]]:
    """Rows that trade, the sender of each, and the pools of rows that trade among themselves."""
    pre, post = connectome.weights.indices.astype(np.int64), _posts(connectome)
    pools = {
        "degree": lambda: np.zeros(len(pre), np.int64),
        "sign": lambda: _sender_classes(connectome)[pre],
        "type": lambda: _pairs(connectome, pre, post),
    }
    check_choice("keep", keep, pools)
    pool = pools[keep]()[~fixed]
    pre, post, values = pre[~fixed], post[~fixed], connectome.weights.data[~fixed]
    order = np.lexsort((post, pre, pool))
    pre, post, values, pool = pre[order], post[order], values[order], pool[order]
    first = np.flatnonzero(np.r_[True, (np.diff(pre) != 0) | (np.diff(pool) != 0)][: len(pre)])
    ends = [*first[1:].tolist(), len(pre)]
    rows = [
        dict(zip(post[a:b].tolist(), values[a:b].tolist(), strict=True))
        for a, b in zip(first.tolist(), ends, strict=False)
    ]
    cuts = np.flatnonzero(np.diff(pool[first])) + 1
    return rows, pre[first], np.split(np.arange(len(rows)), cuts)


def _sweep(
    rows: Rows, senders: Int[np.ndarray, " row"], pools: list[np.ndarray], rng: np.random.Generator
) -> None:
    """Each row of each pool trades twice on average."""
    for pool in pools:
        if len(pool) < 2:
            continue
        first = rng.integers(0, len(pool), len(pool))
        second = (first + rng.integers(1, len(pool), len(pool))) % len(pool)
        for a, b in zip(pool[first].tolist(), pool[second].tolist(), strict=True):
            _trade(rows[a], rows[b], {int(senders[a]), int(senders[b])}, rng)


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


def _keys(rows: Rows, senders: np.ndarray, n: int) -> Int[np.ndarray, " edge"]:
    """One number for each edge."""
    pre = np.repeat(senders, [len(row) for row in rows])
    return pre * n + np.array([x for row in rows for x in row], dtype=np.int64)


def _weights(
    connectome: Connectome, rows: Rows, senders: np.ndarray, fixed: np.ndarray
) -> sparse.csr_array:
    own = _posts(connectome)[fixed]
    pre = np.r_[np.repeat(senders, [len(row) for row in rows]), own]
    post = np.r_[np.array([x for row in rows for x in row], dtype=np.int64), own]
    data = np.r_[[w for row in rows for w in row.values()], connectome.weights.data[fixed]]
    shape = connectome.weights.shape
    return sparse.coo_array((data.astype(np.float32), (post, pre)), shape=shape).tocsr()


def _posts(connectome: Connectome) -> Int[np.ndarray, " edge"]:
    weights = connectome.weights
    return np.repeat(np.arange(weights.shape[0]), np.diff(weights.indptr))


def _sender_classes(connectome: Connectome) -> Int[np.ndarray, " neuron"]:
    """0 or 1 for senders that inhibit or excite; senders of both signs are refused."""
    weights = connectome.weights if connectome.is_signed else connectome.signed().weights
    signs = sparse.csc_array(weights)
    pre = np.repeat(np.arange(len(connectome)), np.diff(signs.indptr))
    positive = np.bincount(pre, signs.data > 0, len(connectome)) > 0
    negative = np.bincount(pre, signs.data < 0, len(connectome)) > 0
    if (positive & negative).any():
        raise ConnectomeError(
            f"{(positive & negative).sum()} neurons send both signs, "
            f"{few(connectome.ids[positive & negative])}; with keep='sign' each sender needs one "
            "sign: take keep='type', or give the neurons signs"
        )
    return positive.astype(np.int64)


def _pairs(connectome: Connectome, pre: np.ndarray, post: np.ndarray) -> Int[np.ndarray, " edge"]:
    """A number for the pair of cell types of each edge; neurons without a type share one."""
    groups = connectome.groups("cell_type")
    code = np.zeros(len(connectome), np.int64)
    for i, members in enumerate(groups.values()):
        code[members] = i + 1
    return code[pre] * (len(groups) + 1) + code[post]

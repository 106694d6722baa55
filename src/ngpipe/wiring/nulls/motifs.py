r"""Counts of small patterns of connections, and scores against nulls.

With :math:`A_{ij} = 1` where j sends to i, self-connections aside, :math:`k^{in}_i`,
:math:`k^{out}_i` the degrees and R the number of reciprocal pairs:

===========  ======================================================================
reciprocal   :math:`R = \frac12 \sum_{ij} A_{ij} A_{ji}`
chain        i -> j -> k, k not i: :math:`\sum_j k^{in}_j k^{out}_j - 2R`
convergent   i -> j <- k: :math:`\sum_j \binom{k^{in}_j}{2}`
divergent    i <- j -> k: :math:`\sum_j \binom{k^{out}_j}{2}`
===========  ======================================================================

These four count patterns whatever else connects the three. The 16 triads count every three
neurons once, by all that connects them (Davis & Leinhardt 1972; names as in
``networkx.triadic_census``).
"""

from collections.abc import Iterable

import numpy as np
import pandas as pd

from ngpipe.errors import ConnectomeError
from ngpipe.wiring.container import Connectome
from ngpipe.wiring.dyads import Links, linked, split
from ngpipe.wiring.nulls.significance import p_value

PAIRS = ("autapse", "reciprocal", "chain", "convergent", "divergent")
TRIADS = (
    *("003", "012", "102", "021D", "021U", "021C", "111D", "111U"),
    *("030T", "030C", "201", "120D", "120U", "120C", "210", "300"),
)


def motif_counts(connectome: Connectome) -> pd.Series:
    """Numbers of self-connections, of the four patterns of two connections and of the 16 triads.

    Weights do not count. The cost is that of a few sparse products: about the sum over neurons of
    the squared number of partners.
    """
    return pd.concat([pair_counts(connectome), triad_counts(connectome)])


def pair_counts(connectome: Connectome) -> pd.Series:
    """``autapse``, ``reciprocal``, ``chain``, ``convergent``, ``divergent``; see above."""
    every = linked(connectome)
    got, sent = (np.asarray(every.sum(axis=axis)).ravel() for axis in (1, 0))
    reciprocal = every.multiply(every.T).sum() // 2
    counts = (
        np.count_nonzero(connectome.weights.diagonal()),
        reciprocal,
        got @ sent - 2 * reciprocal,
        (got * (got - 1) // 2).sum(),
        (sent * (sent - 1) // 2).sum(),
    )
    return pd.Series(counts, PAIRS, dtype=np.int64, name="count")


def triad_counts(connectome: Connectome) -> pd.Series:
    """Number of triads of each of the 16 kinds."""
    n = len(connectome)
    mutual, single = split(connectome)
    found = _connected(mutual, single.T.tocsr())
    # A pair makes a triad with each other neuron; names begin with the numbers of mutual and of
    # single pairs.
    beside = [sum(int(name[digit]) * count for name, count in found.items()) for digit in (0, 1)]
    found["102"] = mutual.nnz // 2 * (n - 2) - beside[0]
    found["012"] = single.nnz * (n - 2) - beside[1]
    found["003"] = n * (n - 1) * (n - 2) // 6 - sum(found.values())
    return pd.Series(found, dtype=np.int64, name="count").loc[list(TRIADS)]


def motif_scores(connectome: Connectome, samples: Iterable[Connectome]) -> pd.DataFrame:
    r"""Motifs of a connectome against samples of a null, one row a motif.

    .. math:: z = (n - \bar n_{null}) / s_{null}

    Columns: ``count``; ``mean`` and ``sd`` (with K - 1) over the K samples; ``z``, missing where
    the null keeps the motif (sd 0); ``p``, two-sided
    (:func:`ngpipe.wiring.nulls.significance.p_value`); ``samples``, which is K.

    Args:
        connectome: the one observed.
        samples: of any null, such as ``(rewired(c, child) for child in rng.spawn(1000))``.

    Raises:
        ConnectomeError: fewer than two samples, or samples of other neurons.
    """
    observed = motif_counts(connectome)
    drawn = []
    for sample in samples:
        if len(sample) != len(connectome):
            raise ConnectomeError(
                f"a sample has {len(sample)} neurons, the connectome {len(connectome)}; give "
                "samples of a null of this connectome"
            )
        drawn.append(motif_counts(sample))
    if len(drawn) < 2:
        raise ConnectomeError(
            f"got {len(drawn)} samples of the null, expected two or more; 39 are the fewest that "
            "can give p = 0.05"
        )
    counts = pd.DataFrame(drawn).astype(np.float64)
    table = pd.DataFrame({"count": observed, "mean": counts.mean(), "sd": counts.std()})
    table["z"] = (table["count"] - table["mean"]) / table["sd"].where(table["sd"] > 0)
    table["p"] = [
        p_value(float(observed[name]), counts[name].to_numpy()) for name in observed.index
    ]
    return table.assign(samples=len(drawn)).rename_axis("motif")


def _connected(mutual: Links, single: Links) -> dict[str, int]:
    """Triads with two or three connected pairs; links [pre, post], so that rows send."""
    back = single.T.tocsr()
    any_way = mutual + single + back
    chain, into, out = single @ single, single @ back, back @ single
    after, before, both = mutual @ single, mutual @ back, mutual @ mutual

    def closed(open_pairs: Links, third: Links) -> int:
        return int(open_pairs.multiply(third).sum())

    def alone(open_pairs: Links) -> int:
        """Count without triads that a third pair closes, and without pairs in both directions."""
        return int(open_pairs.sum() - open_pairs.diagonal().sum()) - closed(open_pairs, any_way)

    return {
        "021D": alone(out) // 2,
        "021U": alone(into) // 2,
        "021C": alone(chain),
        "111D": alone(before),
        "111U": alone(after),
        "030T": closed(chain, single),
        "030C": closed(chain, back) // 3,
        "201": alone(both) // 2,
        "120D": closed(out, mutual) // 2,
        "120U": closed(into, mutual) // 2,
        "120C": closed(chain, mutual),
        "210": closed(both, single),
        "300": closed(both, mutual) // 6,
    }

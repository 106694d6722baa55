r"""Made-up tables of synapses and cells with the columns of MICrONS v1300.

They stand in for the real tables, which have to be downloaded, and say nothing about cortex: the
direction and size of any effect in them follows from the numbers below. The proofread cells of type
23P in V1 and the connections among them:

=====================  ===========================================================================
cells                  419; soma in a disc of L2/3, Student t with 4 degrees of freedom laterally
                       (scale 36 um), depth uniform over 170 um
connection j -> i      probability :math:`p_{ij} \propto a_j b_i \exp(-d_{ij} / 130\,\mu m)`, d the
                       lateral distance; :math:`(\ln a, \ln b)` normal, sd .70 and .45,
                       correlation .2; on average 15.8 receivers a cell
both ways              :math:`1.6\, p_{ij} p_{ji}`, where this leaves p of either way as it is
synapses a connection  geometric, :math:`P(k > 1) = .115`
size of a synapse      :math:`\exp(\mu + \sigma z)` voxels, :math:`\mu = 8.643, \sigma = .94`, z
                       normal with correlation .5 among the synapses of a connection; at least 1,
                       capped at 9.4 times the mean of the distribution, :math:`e^{\mu+\sigma^2/2}`
=====================  ===========================================================================

After the filters of the notebook 323 +- 10 cells are left with 16.7 +- 0.3 receivers each and
475 +- 41 reciprocal entries of the matrix (10 seeds).

Reciprocity beyond chance and the distribution of synapses per connection are of the order found in
L2/3 (Turner et al. 2022; Dorkenwald et al. 2022); sizes are one log-normal where the real ones
are two. Further cells (other types and regions, not proofread) and random synapses with them are
there to be filtered out.
"""

from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from ngpipe.config.filters import NOTEBOOK, Filters
from ngpipe.errors import ConnectomeError
from ngpipe.wiring.container import Connectome
from ngpipe.wiring.origin import Origin
from ngpipe.wiring.sources.synapses import V1300, from_synapses

SOURCE = "synthetic"
"""Name of the source in the origin, shown in figures."""
FIRST_ID = 864_691_135_000_000_000
"""Ids begin here; they have as many digits as real ones, and belong to no cell."""
PROBABILITY_OF_ONE = 0.885
MU, SIGMA, SHARED = 8.643, 0.94, 0.5


def synthetic(
    rng: np.random.Generator,
    filters: Filters = NOTEBOOK,
    **tables: Any,  # noqa: ANN401
) -> Connectome:
    """The connectome of synthetic tables; its origin has the source ``synthetic``.

    Args:
        rng: source of all draws.
        filters: what is left out of the tables.
        **tables: options of :func:`synthetic_tables`.
    """
    synapses, cells = synthetic_tables(rng, **tables)
    return from_synapses(synapses, cells, V1300, filters, origin=Origin(SOURCE))


def synthetic_tables(
    rng: np.random.Generator,
    *,
    n_neurons: int = 419,
    n_others: int = 400,
    receivers: float = 15.8,
    reciprocity: float = 1.6,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Synapse table and cell table, for :func:`~ngpipe.wiring.sources.synapses.from_synapses`.

    Args:
        rng: source of all draws.
        n_neurons: proofread cells of type 23P in V1.
        n_others: further cells, each with one synapse from and one to a proofread cell.
        receivers: mean number of receivers of a cell among the proofread.
        reciprocity: how much likelier both ways are than for independent connections.

    Raises:
        ConnectomeError: fewer than two cells, or numbers that are not positive or too large.
    """
    if n_neurons < 2 or n_others < 0 or reciprocity < 0 or not 0 < receivers < n_neurons / 2:
        raise ConnectomeError(
            f"n_neurons={n_neurons}, n_others={n_others}, receivers={receivers}, "
            f"reciprocity={reciprocity}: expected two cells or more, and up to half as many "
            "receivers as cells"
        )
    cells = _cells(n_neurons, n_others, rng)
    place = cells[["pt_position_x", "pt_position_z"]].to_numpy()[:n_neurons] / 1000
    pre, post = np.nonzero(connected(_probability(place, receivers, rng), reciprocity, rng))
    number = rng.geometric(PROBABILITY_OF_ONE, len(pre))
    size = _sizes(number, rng)
    pre, post = np.repeat(pre, number), np.repeat(post, number)
    other = n_neurons + np.arange(n_others)
    near = rng.integers(0, n_neurons, (2, n_others))
    pre, post = np.r_[pre, near[0], other], np.r_[post, other, near[1]]
    size = np.r_[size, _sizes(np.ones(2 * n_others, np.int64), rng)]
    synapses = _synapse_table(cells, pre, post, size, rng)
    shuffled = cells.iloc[rng.permutation(len(cells))].reset_index(drop=True)
    return synapses, shuffled


def _cells(n_neurons: int, n_others: int, rng: np.random.Generator) -> pd.DataFrame:
    """The cell table, proofread cells first; y is depth, positions in nm."""
    n = n_neurons + n_others
    x, z = 1000 * (36.0 * rng.standard_t(4, (2, n)) + np.array([[736.0], [861.0]]))
    types = np.full(n, "23P", dtype=object)
    coarse, region, proofread = types.copy(), types.copy(), types.copy()
    coarse[:], region[:], proofread[:] = "E", "V1", "axon_partially_extended"
    others = n_neurons + np.arange(n_others)
    types[others] = rng.choice(["23P", "4P", "BC"], n_others, p=[0.6, 0.2, 0.2])
    coarse[types == "BC"] = "I"
    region[others] = rng.choice(["V1", "RL"], n_others, p=[0.8, 0.2])
    # none of them passes all three filters
    finished = (types[others] != "23P") & (rng.random(n_others) < 0.5)
    proofread[others[~finished]] = ""
    return pd.DataFrame(
        {
            "pt_position_x": x,
            "pt_position_y": 1000 * rng.uniform(415, 585, n),
            "pt_position_z": z,
            "pt_root_id": FIRST_ID + np.sort(rng.choice(10**9, n, replace=False)),
            "volume": rng.normal(300, 46, n),
            "coarse_cell_type_auto": coarse,
            "cell_type_auto": types,
            "coarse_cell_type_manual": "",
            "cell_type_manual": "",
            "region": region,
            "proofreading_strategy": proofread,
        }
    )


def _probability(
    place: Float[np.ndarray, "neuron 2"], receivers: float, rng: np.random.Generator
) -> Float[np.ndarray, "pre post"]:
    """Probability of each connection; scaled once more where a few would exceed 1."""
    n = len(place)
    distance = np.hypot(*(place[:, None] - place[None]).transpose(2, 0, 1))
    sends, other = rng.standard_normal((2, n))
    gets = 0.2 * sends + np.sqrt(1 - 0.2**2) * other
    p = np.exp(0.70 * sends[:, None] + 0.45 * gets[None] - distance / 130.0)
    np.fill_diagonal(p, 0.0)
    for _ in range(20):
        p = np.minimum(p * (n * receivers / p.sum()), 1.0)
    return p


def connected(
    p: Float[np.ndarray, "pre post"], reciprocity: float, rng: np.random.Generator
) -> Bool[np.ndarray, "pre post"]:
    """Pairs drawn one by one: both ways, one way or the other, or not."""
    upper = np.triu(np.ones_like(p, dtype=bool), 1)
    there, back = p[upper], p.T[upper]
    least, most = np.maximum(0.0, there + back - 1), np.minimum(there, back)
    both = np.clip(reciprocity * there * back, least, most)
    u = rng.random(len(there))
    found = np.zeros(p.shape, bool)
    found[upper] = u < there  # of these both ways where u < both
    answered = np.zeros(p.shape, bool)
    answered[upper] = (u < both) | ((u >= there) & (u < there + back - both))
    return found | answered.T


def _sizes(number: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Sizes of all synapses of connections with this many each [voxels]."""
    common = np.repeat(rng.standard_normal(len(number)), number)
    own = rng.standard_normal(number.sum())
    z = np.sqrt(SHARED) * common + np.sqrt(1 - SHARED) * own
    size = np.minimum(np.exp(MU + SIGMA * z), 9.4 * np.exp(MU + SIGMA**2 / 2))
    return np.maximum(1, np.rint(size))


def _synapse_table(
    cells: pd.DataFrame,
    pre: np.ndarray,
    post: np.ndarray,
    size: np.ndarray,
    rng: np.random.Generator,
) -> pd.DataFrame:
    """The synapse table, ordered by receiver, sender and size; places near the receiver."""
    ids = cells["pt_root_id"].to_numpy()
    axes = [f"pt_position_{axis}" for axis in "xyz"]
    centre = cells[axes].to_numpy()[post] + 40_000 * rng.standard_normal((len(post), 3))
    table = pd.DataFrame({f"ctr_{axis}": x for axis, x in zip(axes, centre.T, strict=True)})
    table = table.round().astype(np.int32)
    table["pre_pt_root_id"], table["post_pt_root_id"] = ids[pre], ids[post]
    table["size"] = size.astype(np.int32)
    table = table.sort_values(["post_pt_root_id", "pre_pt_root_id", "size"], ignore_index=True)
    table.insert(0, "id", np.arange(1, len(table) + 1, dtype=np.int32))
    return table

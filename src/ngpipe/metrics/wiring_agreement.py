r"""Agreement of a recovered W, or of measured responses, with a connectome, against nulls.

Compared are pairs of two different neurons that both know: the estimate has a number for them, and
both neurons are in the connectome, which then knows whether they are connected. A pair that was not
measured is left out and counted; it is never a response of 0.

With v the estimate and w the wiring of these pairs:

========= ======================================================================================
measure   value
========= ======================================================================================
rank      Spearman's correlation of v and w, both with their signs
rank_size the same of abs(v) and abs(w)
presence  probability that abs(v) of a connected pair exceeds that of an unconnected one (area
          under the ROC curve; equal values count half)
sign      share of the connected pairs whose v, not 0, has the sign of w
========= ======================================================================================

Along one hop w is the weight; along n hops it is the effective connectivity over all paths of 1 to
n hops, each hop weighed by the share of its receiver's input
(:mod:`ngpipe.wiring.paths.effective`), and nearly all pairs are connected, so ``presence`` is left
out. So are ``rank`` and ``sign`` where connectome or estimate has no negative value. Nulls are
connectomes drawn whole and then compared over the same pairs.
"""

from collections.abc import Iterable, Iterator, Mapping

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Float
from scipy.stats import rankdata

from ngpipe.config.base import OBSERVED
from ngpipe.metrics.tidy import scores
from ngpipe.wiring.container import Connectome
from ngpipe.wiring.nulls.significance import p_value
from ngpipe.wiring.paths.effective import effective_connectivity
from ngpipe.wiring.shared_pairs import SharedPairs

MEASURES = ("rank", "rank_size", "presence", "sign")
COLUMNS = ["null", "hops", "measure", "draw", "value"]

Pairs = Float[np.ndarray, " pair"]


class _Compared:
    """The estimate of shared pairs, with what is needed of it for every draw."""

    def __init__(self, pairs: SharedPairs, *, signed: bool) -> None:
        self._pairs, self._signed = pairs, signed
        self._ranks = _standard(rankdata(pairs.value))
        self._size_ranks = rankdata(np.abs(pairs.value))

    def measures(self, connectome: Connectome, hops: int) -> Iterator[tuple[str, float]]:
        """Each measure by its name."""
        net, total = self._wiring(connectome, hops)
        connected = total > 0
        if self._signed:
            yield "rank", float(self._ranks @ _standard(rankdata(net)))
        sizes = _standard(self._size_ranks)
        yield "rank_size", float(sizes @ _standard(rankdata(total)))
        if hops == 1:
            yield "presence", _area(self._size_ranks, connected)
        if self._signed:
            both = net * self._pairs.value
            yield "sign", float(np.mean(both[both != 0] > 0)) if both.any() else np.nan

    def _wiring(self, connectome: Connectome, hops: int) -> tuple[Pairs, Pairs]:
        """Wiring of the pairs along up to so many hops: with signs, and its size."""
        at = self._pairs.post, self._pairs.pre
        if hops == 1:
            weights = connectome.weights.toarray().astype(np.float64)[at]
            return weights, np.abs(weights)
        every = np.arange(len(connectome))
        shares = connectome.normalised()
        paths = effective_connectivity(shares, every, every, hops, by="id", per_hop=False)
        return paths["net"].values[at], paths["total"].values[at]


def agreement(
    estimate: xr.DataArray,
    connectome: Connectome,
    samples: Mapping[str, Iterable[Connectome]],
    hops: tuple[int, ...] = (1,),
) -> tuple[pd.DataFrame, Mapping[str, int]]:
    """Every measure of an estimate, for the connectome and for each sample of each null.

    Args:
        estimate: recovered W [1/tau] or measured responses, (post, pre) with names as coordinates;
            NaN where not known.
        connectome: weights with their signs, or without.
        samples: null connectomes by the name of their null, drawn as they are needed.
        hops: greatest number of hops of the paths compared with.

    Returns:
        Columns ``null`` (``observed``: the connectome itself, draw 0), ``hops``, ``measure``,
        ``draw`` and ``value``; and the counts of :class:`SharedPairs`.

    Raises:
        ConnectomeError: too few pairs in common.
    """
    pairs = SharedPairs.of(estimate, connectome)
    signed = connectome.is_signed and bool((pairs.value < 0).any())
    compared = _Compared(pairs, signed=signed)
    drawn = {OBSERVED: [connectome], **samples}
    rows = [
        (null, n, measure, k, value)
        for null, connectomes in drawn.items()
        for k, one in enumerate(connectomes)
        for n in hops
        for measure, value in compared.measures(one, n)
    ]
    return pd.DataFrame(rows, columns=COLUMNS), pairs.counts


def score_agreement(table: pd.DataFrame, counts: Mapping[str, int]) -> pd.DataFrame:
    """Metrics of :func:`agreement`.

    Quantity ``agreement`` has the counts and each measure along one hop, ``agreement_n_hops``
    those of longer paths. ``<quantity>_against_<null>`` has for each measure its mean over the
    draws, ``<measure>_null``; ``<measure>_z``, the distance from it in their standard deviations;
    and ``<measure>_p``, two-sided (:func:`ngpipe.wiring.nulls.significance.p_value`).
    """
    found = [scores("agreement", counts, counts["pairs"])]
    observed = table["null"] == OBSERVED
    for hops, rows in table[observed].groupby("hops", sort=False):
        quantity = quantity_of(int(hops))
        values = dict(zip(rows["measure"], rows["value"], strict=True))
        found.append(scores(quantity, values, counts["pairs"]))
        drawn = table[~observed & (table["hops"] == hops)]
        for null, draws in drawn.groupby("null", sort=False):
            found.append(_against(f"{quantity}_against_{null}", values, draws))
    return pd.concat(found, ignore_index=True)


def quantity_of(hops: int) -> str:
    """Name of the agreement along paths of up to so many hops among the metrics."""
    return "agreement" if hops == 1 else f"agreement_{hops}_hops"


def _against(quantity: str, values: Mapping[str, float], draws: pd.DataFrame) -> pd.DataFrame:
    """Each measure beside its draws of one null."""
    told, n = {}, int(draws["draw"].nunique())
    for measure, value in values.items():
        null = draws.loc[draws["measure"] == measure, "value"].to_numpy(np.float64)
        mean, spread = null.mean(), null.std(ddof=1) if len(null) > 1 else np.nan
        told[f"{measure}_null"] = mean
        told[f"{measure}_z"] = (value - mean) / spread if spread > 0 else np.nan
        told[f"{measure}_p"] = p_value(value, null)
    return scores(quantity, told, n)


def _standard(ranks: Pairs) -> Pairs:
    """Ranks about their mean, of length 1; not a number where all are equal."""
    centred = ranks - ranks.mean()
    length = np.linalg.norm(centred)
    return centred / length if length > 0 else np.full_like(centred, np.nan)


def _area(ranks: Pairs, connected: np.ndarray) -> float:
    """Area under the ROC curve of values with these ranks, mean ranks where they are equal."""
    there = int(connected.sum())
    absent = len(ranks) - there
    if not there or not absent:
        return np.nan
    return float((ranks[connected].sum() - there * (there + 1) / 2) / (there * absent))

"""Learned against true connectivity.

A true weight that is not known is NaN, as in atlases of measured pairs. Such pairs are left out of
every number; where there are some, ``left_out`` of quantity ``connectivity`` says how many.
"""

import numpy as np
import pandas as pd
import xarray as xr
from scipy.special import ndtri

from ngpipe.errors import StoreError
from ngpipe.metrics.tidy import agreement, scores

LEVELS = (50, 90, 95)
"""Nominal coverage of the intervals that are scored [%]."""


TURNS = 20
"""Times that factors of receivers and of senders are worked out from one another."""


def score(estimate: xr.DataArray, truth: xr.DataArray) -> pd.DataFrame:
    """Compare two ``(post, pre)`` matrices over the off-diagonal entries that are known."""
    pair = known(estimate, truth)
    absent = len(truth) * (len(truth) - 1) - len(pair[0])
    values = agreement(*pair) | ({"left_out": absent} if absent else {})
    return scores("connectivity", values, len(pair[0]))


def score_driven(estimate: xr.DataArray, truth: xr.DataArray, driven: xr.DataArray) -> pd.DataFrame:
    """The same over the rows of driven neurons, and over the rows of the others."""
    tables = []
    for name, mine in (("driven", driven.values > 0), ("undriven", driven.values == 0)):
        if mine.any():
            rest = xr.DataArray(np.where(mine, 0.0, np.nan), dims="post")
            pair = known(estimate, truth + rest)
            tables.append(scores(f"connectivity_{name}", agreement(*pair), len(pair[0])))
    return pd.concat(tables, ignore_index=True)


def score_intervals(
    estimate: xr.DataArray,
    error: xr.DataArray,
    truth: xr.DataArray,
    pairs_seen: xr.DataArray | None = None,
) -> pd.DataFrame:
    """Coverage of the intervals of W, over the off-diagonal entries.

    With z = (estimate - truth) / error, quantity ``interval`` has ``coverage_p``, the share of
    entries with abs(z) <= the (1 + p / 100) / 2 quantile of the standard normal distribution, and
    ``z_scale`` = 1.4826 median(abs(z)), the standard deviation of a normal distribution with that
    median (Hampel 1974): 1 if errors are right, 2 if they are half of what they should be.

    Args:
        estimate: recovered W, ``(post, pre)`` [1/tau].
        error: its standard error, ``(post, pre)`` [1/tau].
        truth: true W, ``(post, pre)`` [1/tau].
        pairs_seen: frames that see both neurons of a pair; by default all do.

    Pairs that no session of a recording sees together have no error, NaN, and do not count.

    Raises:
        StoreError: an error off the diagonal is not positive and finite.
    """
    _check_error(error, pairs_seen)
    learned, spread, true = (w.astype(np.float64) for w in known(estimate, error, truth))
    told = ~np.isnan(spread)
    learned, spread, true = learned[told], spread[told], true[told]
    if len(true) == 0:
        return scores(
            "interval", dict.fromkeys([*map("coverage_{}".format, LEVELS), "z_scale"], np.nan), 0
        )
    z = np.abs(learned - true) / spread
    values = {f"coverage_{p}": float(np.mean(z <= ndtri((1 + p / 100) / 2))) for p in LEVELS}
    return scores("interval", {**values, "z_scale": float(np.median(z) / ndtri(0.75))}, len(z))


def _check_error(error: xr.DataArray, pairs_seen: xr.DataArray | None) -> None:
    values = error.transpose("post", "pre").values
    wrong = ~((values > 0) & np.isfinite(values)) & ~np.eye(len(values), dtype=bool)
    if pairs_seen is not None:
        wrong &= ~(np.isnan(values) & (pairs_seen.transpose("post", "pre").values == 0))
    if wrong.any():
        post, pre = np.argwhere(wrong)[0]
        raise StoreError(
            f"connectivity_error is {values[post, pre]:g} at post {post}, pre {pre}, expected a "
            f"positive, finite number ({wrong.sum()} such entries off the diagonal); a standard "
            "error like this belongs to no interval: correct it, or leave connectivity_error out "
            "of recovery.zarr"
        )


def score_connected(connected: xr.DataArray, truth: xr.DataArray) -> pd.DataFrame:
    """Connections called present against those that exist, over the off-diagonal entries.

    Quantity ``connected``: ``found`` (number called, R), ``true`` (number of true weights that are
    not exactly zero, T), ``false_discovery`` = V / max(R, 1), where V of the called have a true
    weight of exactly zero (Benjamini & Hochberg 1995), and ``power`` = (R - V) / T, NaN if T is 0.

    Args:
        connected: 1 where a connection is called present, else 0, ``(post, pre)``.
        truth: true W, ``(post, pre)`` [1/tau].
    """
    called, true = (w != 0 for w in known(connected, truth))
    found, existing, right = (float(w.sum()) for w in (called, true, called & true))
    values = {
        "found": found,
        "true": existing,
        "false_discovery": (found - right) / max(found, 1),
        "power": right / existing if existing else np.nan,
    }
    return scores("connected", values, len(true))


def learning_curve(
    snapshots: xr.DataArray, recovered: xr.DataArray, truth: xr.DataArray
) -> pd.DataFrame:
    """Score W(step) with dims ``(step, post, pre)``: columns ``step, r2, slope, r2_identity``.

    W during training has whatever scale psi and the input have. The factors of receivers and of
    senders by which the last W became the recovered one, its gauge, are those of all steps.
    """
    factors = _gauge(snapshots.isel(step=-1), recovered)
    table = [{"step": int(w["step"]), **agreement(*known(w * factors, truth))} for w in snapshots]
    return pd.DataFrame(table)


def _gauge(before: xr.DataArray, after: xr.DataArray) -> xr.DataArray:
    """r_i c_j with r_i c_j before_ij next to after_ij."""
    old, new = (w.transpose("post", "pre") for w in xr.align(before, after, join="exact"))
    row, column = xr.ones_like(old[:, 0], dtype=float), xr.ones_like(old[0], dtype=float)
    for _ in range(TURNS):
        column = _ratio(row * old, new, "post")
        row = _ratio(column * old, new, "pre")
    return row * column


def _ratio(old: xr.DataArray, new: xr.DataArray, dim: str) -> xr.DataArray:
    """Least-squares factor from old to new along a dimension; 1 where there is nothing."""
    square = (old * old).where(new.notnull()).sum(dim)
    return ((old * new).sum(dim) / square).where(square > 0, 1.0)


def known(*matrices: xr.DataArray) -> list[np.ndarray]:
    """Off-diagonal entries of matrices, the last of them the truth, where that is a number."""
    *others, true = (off_diagonal(w) for w in xr.align(*matrices, join="exact"))
    there = np.isfinite(true)
    return [values[there] for values in (*others, true)]


def off_diagonal(matrix: xr.DataArray) -> np.ndarray:
    """Off-diagonal entries of a square matrix, row by row."""
    values = matrix.transpose("post", "pre").values
    return values[~np.eye(len(values), dtype=bool)]

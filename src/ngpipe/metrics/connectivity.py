"""Learned against true connectivity."""

import numpy as np
import pandas as pd
import xarray as xr

from ngpipe.metrics.tidy import agreement, rows


def score(estimate: xr.DataArray, truth: xr.DataArray) -> pd.DataFrame:
    """Compare two ``(post, pre)`` matrices over their off-diagonal entries."""
    pair = [off_diagonal(w) for w in xr.align(estimate, truth, join="exact")]
    return rows("connectivity", agreement(*pair), len(pair[0]))


def score_driven(estimate: xr.DataArray, truth: xr.DataArray, driven: xr.DataArray) -> pd.DataFrame:
    """The same over the rows of driven neurons, and over the rows of the others."""
    off = ~np.eye(len(truth), dtype=bool)
    tables = []
    for name, mine in (("driven", driven.values > 0), ("undriven", driven.values == 0)):
        if mine.any():
            pair = [w.transpose("post", "pre").values[mine][off[mine]] for w in (estimate, truth)]
            tables.append(rows(f"connectivity_{name}", agreement(*pair), len(pair[0])))
    return pd.concat(tables, ignore_index=True)


def learning_curve(snapshots: xr.DataArray, truth: xr.DataArray) -> pd.DataFrame:
    """Score W(step) with dims ``(step, post, pre)``: columns ``step, r2, slope, r2_identity``."""
    true = off_diagonal(truth)
    table = [{"step": int(w["step"]), **agreement(off_diagonal(w), true)} for w in snapshots]
    return pd.DataFrame(table)


def off_diagonal(matrix: xr.DataArray) -> np.ndarray:
    """Off-diagonal entries of a square matrix, row by row."""
    values = matrix.transpose("post", "pre").values
    return values[~np.eye(len(values), dtype=bool)]

"""Paths one by one, and the edges of those that carry most.

Under connectome_interpreter's names.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from ngpipe.connectome.checks import check_columns, check_finite
from ngpipe.connectome.interpreter.effconn import PATHS, check_layers
from ngpipe.connectome.interpreter.pruning import filter_paths
from ngpipe.errors import ArgumentError

BELOW = 0.999
"""Factor on the weakest edge of the paths, since edges at the threshold itself are cut."""


def effective_conn_per_path_from_paths(
    paths_df: pd.DataFrame | None,
) -> tuple[float, np.ndarray, np.ndarray]:
    r"""Weight of every single path through a table, and its weakest edge.

    .. math:: E_p = \prod_{l=1}^{L} w^{(l)}_{p_{l-1} p_l}, \qquad
        m_p = \min_l |w^{(l)}_{p_{l-1} p_l}|

    Time and memory grow with the number of paths.

    Differs from connectome_interpreter: paths begin in the first layer that there is (there in
    layer 1); the weakest edge is that of the least magnitude.

    Args:
        paths_df: columns layer, pre, post, weight; None, or no rows: no paths.

    Returns:
        The sum of E over all paths from the first layer to the last, E of each, and m of each.

    Raises:
        ArgumentError: missing columns or layers, a weight that is not finite.
    """
    if paths_df is None:
        return 0.0, np.empty(0), np.empty(0)
    check_columns(paths_df, PATHS, "paths_df: DataFrame")
    check_finite(paths_df["weight"], "paths_df: weights")
    check_layers(paths_df)
    found = pd.DataFrame({"end": paths_df["pre"].unique(), "carried": 1.0, "weakest": np.inf})
    for _, edges in paths_df.groupby("layer"):
        grown = found.merge(edges[["pre", "post", "weight"]], left_on="end", right_on="pre")
        carried = grown["carried"] * grown["weight"]
        weakest = np.minimum(grown["weakest"], grown["weight"].abs())
        found = pd.DataFrame({"end": grown["post"], "carried": carried, "weakest": weakest})
    if paths_df.empty:
        return 0.0, np.empty(0), np.empty(0)
    return float(found["carried"].sum()), found["carried"].to_numpy(), found["weakest"].to_numpy()


def filter_all_paths_to_cumsum(
    all_paths: pd.DataFrame | list[pd.DataFrame | None],
    thre_cumsum: int | float = 0.5,
    thre_step_min: int | float = 0.0,
    necessary_intermediate: Mapping[int, Any] | None = None,
) -> tuple[pd.DataFrame | list[pd.DataFrame | None] | None, float, float, float]:
    r"""The edges that the strongest paths need, which together carry more than a share of all.

    Paths stand in the order of :math:`|E_p|`. The first k of them are taken, with k as small as
    :math:`\sum_{p \le k} |E_p|` is more than the share ``thre_cumsum`` of all; every edge stays
    that is as strong as their weakest (:func:`ngpipe.connectome.filter_paths`).
    :meth:`ngpipe.wiring.paths.routes.Paths.carrying` finds the fewest edges, and lists no paths.

    Differs from connectome_interpreter: shares are of magnitudes, so that paths that inhibit count;
    the list given is not changed; a share of 1 takes all paths (there it fails).

    Args:
        all_paths: a table of :func:`ngpipe.connectome.find_paths_of_length`, or a list of them with
            one for each length; None: no path of that length.
        thre_cumsum: share, 0 to 1.
        thre_step_min: least threshold of an edge.
        necessary_intermediate: as in :func:`ngpipe.connectome.filter_paths`.

    Returns:
        The tables with the edges that stay, None where there is no path; the sums of
        :math:`|E_p|` over paths through these and over all; the threshold of an edge.

    Raises:
        ArgumentError: no path at all, a share that is none; as
            :func:`effective_conn_per_path_from_paths`.
    """
    if not 0 <= thre_cumsum <= 1:
        raise ArgumentError(f"thre_cumsum is {thre_cumsum}, expected a share, 0 to 1")
    tables = [all_paths] if isinstance(all_paths, pd.DataFrame) else list(all_paths)
    parts = [effective_conn_per_path_from_paths(table)[1:] for table in tables]
    if not parts or not sum(len(carried) for carried, _ in parts):
        raise ArgumentError("all_paths have no path; look for other lengths or keep more edges")
    carried, weakest = (np.concatenate(part) for part in zip(*parts, strict=True))
    size = np.abs(carried)
    order = np.argsort(-size, kind="stable")
    sums = np.cumsum(size[order])
    enough = int(np.searchsorted(sums, thre_cumsum * sums[-1], side="right")) + 1
    threshold = max(BELOW * float(weakest[order[:enough]].min()), thre_step_min)
    kept = [
        None
        if table is None
        else filter_paths(table, threshold, necessary_intermediate, quiet=True)
        for table in tables
    ]
    left = sum(float(np.abs(effective_conn_per_path_from_paths(table)[1]).sum()) for table in kept)
    result = kept[0] if isinstance(all_paths, pd.DataFrame) else kept
    return result, left, float(size.sum()), threshold

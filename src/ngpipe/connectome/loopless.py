"""Effective connectivity of paths that do not come back, under connectome_interpreter's name."""

from collections import defaultdict
from collections.abc import Mapping
from math import prod
from typing import Any

import numpy as np
import pandas as pd

from ngpipe.connectome.grouping import check_method, group_paths
from ngpipe.connectome.pruning import remove_excess_neurons
from ngpipe.connectome.targets import check_columns
from ngpipe.connectome.walks import loopless_walks

PATHS = ["layer", "pre", "post", "weight"]


def effconn_without_loops(  # noqa: PLR0913 (the signature of existing scripts)
    paths: pd.DataFrame,
    pre_group: Mapping[Any, Any] | None = None,
    post_group: Mapping[Any, Any] | None = None,
    intermediate_group: Mapping[Any, Any] | None = None,
    wide: bool = True,
    combining_method: str = "mean",
    chunk_size: int = 2000,
    density_threshold: float = 0.2,
    use_gpu: bool = True,
    root: bool = False,
    remove_loop_after_grouping: bool = True,
    quiet: bool = False,
) -> pd.DataFrame | None:
    r"""What the paths through a table carry that visit no neuron (or group) twice.

    From s, in the first layer, to t, in the last of L,

    .. math::
        E_{st} = \sum_{p \in P_{st}} \prod_{l=1}^{L} w^{(l)}_{p_{l-1} p_l}, \qquad
        P_{st} = \{p : p_0 = s, \; p_L = t, \; p_k \ne p_m \text{ for } k < m
        \text{ but } (k, m) = (0, L)\}

    so that a path may end where it began. Paths are walked one by one and left where they come
    back: time grows with the number of paths, memory with the number of pairs (s, t).

    Differs from connectome_interpreter: the paths without loops are summed, where it subtracts
    those with loops from all and cuts what is below 0; so inhibition stays, and ``root`` is the
    root of E (there the difference of two roots). Without a path the result is None (there an
    empty table). Products are in float64 (there float32).

    Args:
        paths: columns layer, pre, post, weight; it is not changed.
        pre_group: group of neurons where paths begin, see
            :func:`ngpipe.connectome.group_paths`.
        post_group: the same where they end.
        intermediate_group: the same in between; default: as ``pre_group``.
        wide: groups of pre in the rows, of post in the columns; else a row a pair.
        combining_method: ``mean``, ``sum`` or ``median`` over the neurons of a post group.
        chunk_size: ignored, as are the next two: no matrix of all neurons is formed.
        density_threshold: ignored.
        use_gpu: ignored.
        root: :math:`\mathrm{sign}(E) |E|^{1/L}`, the mean strength of a hop.
        remove_loop_after_grouping: group first, so that no path visits a group twice; else loops
            are of neurons, and E (or its root) of neurons is grouped.
        quiet: ignored; nothing is printed.

    Returns:
        Of all that begin and all that end a path, with loops or without; 0 where every path has a
        loop. Long: columns pre, post, weight. No rows, or no path: None.

    Raises:
        ArgumentError: missing columns, a weight that is not finite, another combining_method.
    """
    check_method(combining_method)
    check_columns(paths, PATHS, "paths: DataFrame")
    grouping = (pre_group, post_group, intermediate_group)
    how = {"combining_method": combining_method}
    table = group_paths(paths, *grouping, **how) if remove_loop_after_grouping else paths
    on_paths = _carrying(table)
    if on_paths is None:
        return None
    found = _effective(on_paths, root).rename_axis(index="pre", columns="post")
    long = found.reset_index().melt("pre", var_name="post", value_name="weight")
    if not remove_loop_after_grouping:
        long = group_paths(long, *grouping, **how)
        found = long.pivot(index="pre", columns="post", values="weight").fillna(0)
    return found if wide else long


def _carrying(table: pd.DataFrame) -> pd.DataFrame | None:
    """Edges on paths through all layers, without those of weight 0."""
    edges = table[table["weight"] != 0]
    if set(edges["layer"]) != set(table["layer"]):
        return None
    return remove_excess_neurons(edges, quiet=True)


def _effective(paths: pd.DataFrame, root: bool) -> pd.DataFrame:
    """``(pre, post)``."""
    layer = paths["layer"]
    first, last = int(layer.min()), int(layer.max())
    sums: dict[tuple[Any, Any], float] = defaultdict(float)
    for walk in loopless_walks(paths, first, last):
        sums[walk[0][0], walk[-1][1]] += prod(weight for _, _, weight in walk)
    pre = np.sort(paths["pre"][layer == first].unique())
    post = np.sort(paths["post"][layer == last].unique())
    found = pd.DataFrame(0.0, index=pre, columns=post)
    for (source, target), value in sums.items():
        found.loc[source, target] = value
    return np.sign(found) * found.abs() ** (1 / (last - first + 1)) if root else found

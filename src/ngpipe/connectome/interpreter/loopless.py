"""Effective connectivity of paths that do not come back, under connectome_interpreter's name."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from ngpipe.connectome.checks import check_columns
from ngpipe.connectome.interpreter.effconn import PATHS, check_layers, hops_of
from ngpipe.connectome.interpreter.grouping import check_method, group_paths
from ngpipe.connectome.interpreter.pruning import remove_excess_neurons

Begun = tuple[np.ndarray, np.ndarray]
"""Paths as far as they were followed: neurons ``(path, node)``, product of weights ``(path,)``."""
AT_ONCE = 2**17
"""Beginnings of paths that are followed together; more are halved."""


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
    r"""Weight of the paths through a table that visit no neuron (or group) twice.

    From s, in the first layer, to t, in the last of L,

    .. math::
        E_{st} = \sum_{p \in P_{st}} \prod_{l=1}^{L} w^{(l)}_{p_{l-1} p_l}, \qquad
        P_{st} = \{p : p_0 = s, \; p_L = t, \; p_k \ne p_m \text{ for } k < m
        \text{ but } (k, m) = (0, L)\}

    so that a path may end where it began. Paths are followed in blocks and left where they come
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
        ArgumentError: missing columns or layers, a weight that is not finite, another
            combining_method.
    """
    check_method(combining_method)
    check_columns(paths, PATHS, "paths: DataFrame")
    check_layers(paths)
    grouping = (pre_group, post_group, intermediate_group)
    how: dict[str, Any] = {"combining_method": combining_method}
    table = group_paths(paths, *grouping, **how) if remove_loop_after_grouping else paths
    on_paths = _carrying(table)
    if on_paths is None:
        return None
    found = _effective(on_paths, root).rename_axis(index="pre", columns="post")
    long: Any = found.reset_index().melt("pre", var_name="post", value_name="weight")
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
    names, hops = hops_of(paths)
    first = np.flatnonzero(np.diff(hops[0].indptr))
    last = np.unique(hops[-1].indices)
    total = np.zeros((len(first), len(last)))
    for nodes, carried in _followed(hops):
        ends = np.searchsorted(first, nodes[:, 0]), np.searchsorted(last, nodes[:, -1])
        np.add.at(total, ends, carried)
    found = pd.DataFrame(total, index=names[first], columns=names[last])
    return np.sign(found) * found.abs() ** (1 / len(hops)) if root else found


def _followed(hops: list[sparse.csr_array]) -> Iterator[Begun]:
    """All paths through all hops that do not come back, in blocks."""
    senders = np.flatnonzero(np.diff(hops[0].indptr))
    open_blocks: list[Begun] = [(senders[:, None], np.ones(len(senders)))]
    while open_blocks:
        nodes, carried = open_blocks.pop()
        hop = hops[nodes.shape[1] - 1]
        grown = np.diff(hop.indptr)[nodes[:, -1]].sum()
        if grown > AT_ONCE and len(nodes) > 1:
            half = len(nodes) // 2
            open_blocks += [(nodes[:half], carried[:half]), (nodes[half:], carried[half:])]
            continue
        nodes, carried = _one_further(nodes, carried, hop, nodes.shape[1] == len(hops))
        if nodes.shape[1] > len(hops):
            yield nodes, carried
        elif len(nodes):
            open_blocks.append((nodes, carried))


def _one_further(
    nodes: np.ndarray, carried: np.ndarray, hop: sparse.csr_array, is_last: bool
) -> Begun:
    """The same paths with a hop more; only in the last may they come back to where they began."""
    count = np.diff(hop.indptr)[nodes[:, -1]]
    path = np.repeat(np.arange(len(nodes)), count)
    edge = np.arange(len(path)) - np.repeat(np.cumsum(count) - count, count)
    edge += np.repeat(hop.indptr[nodes[:, -1]], count)
    post = hop.indices[edge]
    been = nodes[path][:, 1 if is_last else 0 :]
    new = ~(been == post[:, None]).any(axis=1)
    walked = np.column_stack([nodes[path[new]], post[new]])
    return walked, carried[path[new]] * hop.data[edge[new]]

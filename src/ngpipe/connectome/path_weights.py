r"""What paths carry: products of their weights, by hops, and without those that run in loops.

The names are those of connectome_interpreter; nothing is printed.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from scipy import sparse

from ngpipe.connectome.groups import check_indices
from ngpipe.connectome.path_filters import coded, listed
from ngpipe.connectome.path_groups import group_paths
from ngpipe.connectome.targets import check_columns
from ngpipe.errors import ArgumentError
from ngpipe.wiring.edges import few

Mapped = Mapping[Any, Any] | None
Begun = tuple[Int[np.ndarray, "path node"], Float[np.ndarray, " path"]]
"""Paths as far as they were followed: their neurons, and the product of their weights."""
AT_ONCE = 2**17
"""Beginnings of paths that are followed together; more are halved."""


def effconn_without_loops(  # noqa: PLR0913 (the signature of existing scripts)
    paths: pd.DataFrame,
    pre_group: Mapped = None,
    post_group: Mapped = None,
    intermediate_group: Mapped = None,
    wide: bool = True,
    combining_method: str = "mean",
    chunk_size: int = 2000,
    density_threshold: float = 0.2,
    use_gpu: bool = True,
    root: bool = False,
    remove_loop_after_grouping: bool = True,
    quiet: bool = False,
) -> pd.DataFrame | None:
    r"""Effective connectivity of the paths that visit nothing twice on their way.

    .. math::
        E_{ij} = \sum_{k_1, \dots, k_{n-1}} w^{(1)}_{j k_1} w^{(2)}_{k_1 k_2} \cdots
        w^{(n)}_{k_{n-1} i}, \qquad k_1, \dots, k_{n-1} \text{ differ from one another, from } i
        \text{ and from } j

    of n layers; a path may end where it began. All paths are followed, many at once, and left where
    they come back. A path visits groups if it is grouped first.

    Args:
        paths: columns layer, pre, post, weight; layers one after the other.
        pre_group: group of each neuron that sends in the first layer, see
            :func:`ngpipe.connectome.group_paths`.
        post_group: group of each neuron that receives in the last.
        intermediate_group: group of each neuron between; default: ``pre_group``.
        wide: a table with senders in the rows and receivers in the columns; else one row a pair.
        combining_method: ``mean``, ``sum`` or ``median`` over the members of a group.
        chunk_size: ignored.
        density_threshold: ignored.
        use_gpu: ignored.
        root: the n-th root of magnitudes, with the sign of E: the weight per hop.
        remove_loop_after_grouping: group the edges, then leave out paths that visit a group twice;
            otherwise leave out those that visit a neuron twice, then group pairs of neurons.
        quiet: ignored; nothing is printed.

    Returns:
        E between all groups (or neurons) where a path begins or ends, be it one with a loop; an
        edge of weight 0 is none. Sorted: wide (pre, post), or columns pre, post, weight. None
        without paths.

    Raises:
        ArgumentError: missing columns, layers with a gap, and those of
            :func:`ngpipe.connectome.group_paths`.

    Differs from connectome_interpreter: the root is taken of the result (there roots of paths with
    loops are subtracted from the root of all), and inhibition stays negative (there it is cut off
    at 0). Numbers are in float64 (there in float32).
    """
    check_columns(paths, ["layer", "pre", "post", "weight"], "paths: DataFrame")
    if not len(paths):
        return None
    groups = (pre_group, post_group, intermediate_group)
    how = {"combining_method": combining_method}
    if remove_loop_after_grouping:
        paths = group_paths(paths, *groups, **how)
    found = _without_loops(paths)
    if root:
        hops = paths["layer"].nunique()
        found = np.sign(found) * found.abs() ** (1 / hops)
    long = found.reset_index().melt(id_vars="pre", var_name="post", value_name="weight")
    if not remove_loop_after_grouping:
        long = group_paths(long, *groups, **how)
        found = long.pivot(index="pre", columns="post", values="weight").fillna(0)
    return found if wide else long


def contribution_by_path_lengths_data(
    steps: Iterable[Any],
    inidx: Any,  # noqa: ANN401
    outidx: Any,  # noqa: ANN401
    outidx_map: Mapped = None,
    inidx_map: Mapped = None,
) -> pd.DataFrame:
    r"""What sources give an average target, by the length of paths.

    With A^(n) what paths of n hops carry, S the sources and T the targets, for a group P of sources
    or a group Q of targets

    .. math::
        c_P(n) = \frac{1}{|T|} \sum_{i \in T} \sum_{j \in P} A^{(n)}_{ji}, \qquad
        c_Q(n) = \frac{1}{|Q|} \sum_{i \in Q} \sum_{j \in S} A^{(n)}_{ji}.

    Args:
        steps: A^(1), A^(2), ... ``[pre, post]``, dense or sparse.
        inidx: the sources: one, or several in any container, each counted once.
        outidx: the targets.
        outidx_map: group of each target; default: every target on its own.
        inidx_map: group of each source, in place of ``outidx_map``.

    Returns:
        Columns path_length (from 1), postsynaptic_type (or presynaptic_type), value; sorted by
        group.

    Raises:
        ArgumentError: both mappings, no steps or neurons, neurons out of range or without group,
            matrices of different shapes.
    """
    if inidx_map is not None and outidx_map is not None:
        raise ArgumentError(
            "inidx_map and outidx_map are both given; leave one out, as either sources or targets "
            "are told apart"
        )
    matrices = [sparse.csr_array(step) for step in steps]
    shapes = {matrix.shape for matrix in matrices}
    if len(shapes) != 1:
        raise ArgumentError(
            f"steps have shapes {sorted(shapes)}, expected one shape and at least one matrix"
        )
    ends = zip((inidx, outidx), shapes.pop(), ("inidx", "outidx"), strict=True)
    pre, post = (_unique(neurons, n, name) for neurons, n, name in ends)
    parts = [matrix[pre][:, post].astype(np.float64) for matrix in matrices]
    if inidx_map is not None:
        column, names = "presynaptic_type", _groups_of(pre, inidx_map, "inidx_map")
        values = [part.sum(axis=1) / len(post) for part in parts]
    else:
        column, names = "postsynaptic_type", _groups_of(post, outidx_map, "outidx_map")
        values = [part.sum(axis=0) for part in parts]
    table = pd.DataFrame(np.stack(values, axis=1)).groupby(names)
    table = table.sum() if inidx_map is not None else table.mean()
    long = table.rename_axis(column).reset_index().melt(column, var_name="path_length")
    long = long.sort_values([column, "path_length"], ignore_index=True)
    long["path_length"] = long["path_length"].astype(np.int64) + 1
    return long[["path_length", column, "value"]]


def _unique(neurons: Any, n: int, name: str) -> Int[np.ndarray, " neuron"]:  # noqa: ANN401
    found = np.unique(check_indices(listed(neurons), n, name))
    if not found.size:
        raise ArgumentError(f"{name} is empty; give at least one neuron")
    return found


def _groups_of(neurons: np.ndarray, mapping: Mapped, name: str) -> np.ndarray:
    if mapping is None:
        return neurons
    groups = pd.Series(neurons).map(dict(mapping))
    if groups.isna().any():
        raise ArgumentError(
            f"{name} has no group for neuron {few(neurons[groups.isna().to_numpy()])}; give it "
            "one, such as 'unknown', or leave it out"
        )
    return groups.to_numpy()


def _without_loops(paths: pd.DataFrame) -> pd.DataFrame:
    """E, senders in the rows, receivers in the columns."""
    pre, post, names = coded(paths)
    layer = paths["layer"].to_numpy()
    numbers = np.unique(layer)
    if (np.diff(numbers) != 1).any():
        raise ArgumentError(
            f"layers {numbers.tolist()} have a gap, so that no path leads through all; number them "
            "one after the other"
        )
    weight = paths["weight"].to_numpy(np.float64)
    hops = [_hop(*(part[layer == k] for part in (pre, post, weight)), len(names)) for k in numbers]
    reached = sparse.eye_array(len(names), format="csr", dtype=bool)
    for hop in hops:
        reached = reached @ sparse.csr_array(
            (np.ones(hop.nnz, bool), hop.indices, hop.indptr), shape=hop.shape
        )
    total = sparse.csr_array(hops[0].shape)
    for nodes, product in _followed(hops):
        ends = (nodes[:, 0], nodes[:, -1])
        total += sparse.coo_array((product, ends), shape=total.shape).tocsr()
    rows, columns = (np.unique(end) for end in reached.nonzero())
    table = pd.DataFrame(
        total[rows][:, columns].toarray(),
        pd.Index(names[rows], name="pre"),
        pd.Index(names[columns], name="post"),
    )
    return table.sort_index().sort_index(axis=1)


def _hop(pre: np.ndarray, post: np.ndarray, weight: np.ndarray, n: int) -> sparse.csr_array:
    """Weights ``[pre, post]`` of a layer; an edge of weight 0 carries nothing and is none."""
    hop = sparse.coo_array((weight, (pre, post)), shape=(n, n)).tocsr()
    hop.eliminate_zeros()
    return hop


def _followed(hops: list[sparse.csr_array]) -> Iterator[Begun]:
    """All paths through all hops that do not come back, in blocks."""
    senders = np.flatnonzero(np.diff(hops[0].indptr))
    open_blocks: list[Begun] = [(senders[:, None], np.ones(len(senders)))]
    while open_blocks:
        nodes, product = open_blocks.pop()
        hop = hops[nodes.shape[1] - 1]
        grown = np.diff(hop.indptr)[nodes[:, -1]].sum()
        if grown > AT_ONCE and len(nodes) > 1:
            half = len(nodes) // 2
            open_blocks += [(nodes[:half], product[:half]), (nodes[half:], product[half:])]
            continue
        nodes, product = _one_further(nodes, product, hop, nodes.shape[1] == len(hops))
        if nodes.shape[1] > len(hops):
            yield nodes, product
        elif len(nodes):
            open_blocks.append((nodes, product))


def _one_further(
    nodes: np.ndarray, product: np.ndarray, hop: sparse.csr_array, is_last: bool
) -> Begun:
    count = np.diff(hop.indptr)[nodes[:, -1]]
    path = np.repeat(np.arange(len(nodes)), count)
    edge = np.arange(len(path)) - np.repeat(np.cumsum(count) - count, count)
    edge += np.repeat(hop.indptr[nodes[:, -1]], count)
    post = hop.indices[edge]
    been = nodes[path][:, 1 if is_last else 0 :]
    new = ~(been == post[:, None]).any(axis=1)
    walked = np.column_stack([nodes[path[new]], post[new]])
    return walked, product[path[new]] * hop.data[edge[new]]

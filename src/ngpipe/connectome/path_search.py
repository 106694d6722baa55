r"""Edges on paths of given numbers of hops, found without listing the paths.

Of the paths of n hops from sources S to targets T an edge j -> i lies in layer l (1 .. n) if

.. math:: j \in F_{l-1} \;\land\; i \in B_{n-l}

with F_k the neurons that are reached from S in exactly k hops and B_k those that reach T so. A path
may come back to a neuron. The names are those of connectome_interpreter; nothing is printed.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Int

from ngpipe.connectome.groups import check_count, check_indices
from ngpipe.connectome.path_filters import coded, filter_paths, listed, refuse_other_type
from ngpipe.connectome.path_groups import group_paths
from ngpipe.connectome.targets import check_columns
from ngpipe.connectome.weights import inprop_csr
from ngpipe.errors import ArgumentError

Mapped = Mapping[Any, Any] | None
Reached = list[Bool[np.ndarray, " neuron"]]


def find_paths_of_length(
    edgelist: Any,  # noqa: ANN401
    inidx: Any,  # noqa: ANN401
    outidx: Any,  # noqa: ANN401
    target_layer_number: int,
    quiet: bool = False,
) -> pd.DataFrame | None:
    """All edges on paths of exactly this many hops, layer by layer.

    Args:
        edgelist: a table with columns pre, post, weight, or weights ``[pre, post]`` (any matrix,
            dense or sparse), or a connectome.
        inidx: neurons where paths begin: one, or several in any container.
        outidx: neurons where they end.
        target_layer_number: hops.
        quiet: ignored; nothing is printed.

    Returns:
        Columns pre, post, weight (and what else the table has), layer from 1. Rows by layer, then
        in the order of the table, of a matrix by pre. None if there is no such path.

    Raises:
        ArgumentError: no neurons, ids of another type or out of range, missing columns, less
            than one hop.
    """
    hops = check_count("target_layer_number", target_layer_number, 1)
    return _Search.of(edgelist, inidx, outidx, hops, "edgelist").paths(hops)


def el_within_n_steps(  # noqa: PLR0913 (the signature of existing scripts)
    inprop: Any,  # noqa: ANN401
    inidx: Any,  # noqa: ANN401
    outidx: Any,  # noqa: ANN401
    n: int,
    threshold: int | float = 0,
    pre_group: Mapped = None,
    post_group: Mapped = None,
    return_raw_el: bool = False,
    combining_method: str = "mean",
    avg_within_connected: bool = False,
    all_connections_between_groups: bool = False,
    quiet: bool = False,
) -> pd.DataFrame | tuple[pd.DataFrame, pd.DataFrame] | None:
    r"""Every edge on a path of 1 to n hops, once.

    The weight of an edge is that of the largest magnitude among its weights :math:`w^{(n, l)}` in
    layer l of the paths of n hops: between groups these differ, as other members take part.

    Args:
        inprop: weights ``[pre, post]``, a table of edges or a connectome, as ``edgelist`` of
            :func:`find_paths_of_length`.
        inidx: neurons where paths begin: one, or several in any container.
        outidx: neurons where they end.
        n: longest path [hops].
        threshold: of the magnitude of weights, after grouping; see
            :func:`ngpipe.connectome.filter_paths`.
        pre_group: group of each neuron, but of the targets.
        post_group: group of each target. Without either mapping edges are those of neurons.
        return_raw_el: give the edges between neurons too, before the threshold.
        combining_method: ``mean``, ``sum`` or ``median``, see
            :func:`ngpipe.connectome.group_paths`.
        avg_within_connected: only members with an edge count, see the same.
        all_connections_between_groups: weights of the same pairs of groups over all of their
            members, whether these lie on the paths or not.
        quiet: ignored; nothing is printed.

    Returns:
        Columns pre, post, weight, sorted; with ``return_raw_el`` also a table with columns pre,
        post, weight, layer. None if no path is left.

    Raises:
        ArgumentError: as :func:`find_paths_of_length` and :func:`ngpipe.connectome.group_paths`;
            all connections between groups are asked for without groups.

    Differs from connectome_interpreter: ``all_connections_between_groups`` works (there groups are
    looked for among row numbers, so that none is found, and they are always combined by the mean);
    one mapping is enough to group (there it is ignored without the other); inhibitory weights count
    by magnitude; the raw table has no columns pre_type and post_type.
    """
    grouped = pre_group is not None or post_group is not None
    if all_connections_between_groups and not grouped:
        raise ArgumentError(
            "all_connections_between_groups needs groups; give pre_group and post_group"
        )
    search = _Search.of(inprop, inidx, outidx, check_count("n", n, 1), "inprop")
    how = (avg_within_connected, combining_method)
    found = [paths for k in range(1, n + 1) if (paths := search.paths(k)) is not None]
    tables = [_grouped(p, pre_group, post_group, how) if grouped else p for p in found]
    left = [t for t in (filter_paths(t, threshold) for t in tables) if t is not None]
    if not left:
        return None
    edges = pd.concat([t.assign(last=t["layer"] == t["layer"].max()) for t in left])
    if all_connections_between_groups:
        edges = _between_all(search.table, edges, pre_group, post_group, how)
    strongest = edges.sort_values("weight", key=abs, ascending=False, kind="stable")
    el = strongest.drop_duplicates(["pre", "post"])[["pre", "post", "weight"]]
    el = el.sort_values(["pre", "post"], ignore_index=True)
    if not return_raw_el:
        return el
    return el, pd.concat(found).drop_duplicates(["pre", "post", "weight"], ignore_index=True)


@dataclass(frozen=True)
class _Search:
    """Edges, and which neurons are on the way from sources to targets.

    Attributes:
        table: columns pre, post, weight and others.
        pre: number of each edge's sender.
        post: of its receiver.
        forwards: neurons reached from the sources in 0, 1, ... hops.
        backwards: neurons that reach the targets so.
    """

    table: pd.DataFrame
    pre: Int[np.ndarray, " edge"]
    post: Int[np.ndarray, " edge"]
    forwards: Reached
    backwards: Reached

    @classmethod
    def of(
        cls,
        edges: Any,  # noqa: ANN401
        inidx: Any,  # noqa: ANN401
        outidx: Any,  # noqa: ANN401
        hops: int,
        name: str,
    ) -> "_Search":
        ends = {"inidx": listed(inidx), "outidx": listed(outidx)}
        empty = [end for end, neurons in ends.items() if not neurons]
        if empty:
            raise ArgumentError(f"{empty[0]} is empty; give at least one neuron")
        if isinstance(edges, pd.DataFrame):
            check_columns(edges, ["pre", "post", "weight"], f"{name}: DataFrame")
            table = edges
            pre, post, names = coded(table)
            for end, neurons in ends.items():
                refuse_other_type(names, neurons, end)
            at = [names.isin(neurons) for neurons in ends.values()]
        else:
            matrix = inprop_csr(edges)
            coo = matrix.tocoo()
            pre, post = coo.row.astype(np.int64), coo.col.astype(np.int64)
            table = pd.DataFrame({"pre": pre, "post": post, "weight": coo.data})
            at = [np.zeros(matrix.shape[0], dtype=bool) for _ in ends]
            for mask, (end, neurons) in zip(at, ends.items(), strict=True):
                mask[check_indices(neurons, len(mask), end)] = True
        return cls(
            table, pre, post, _reached(pre, post, at[0], hops), _reached(post, pre, at[1], hops)
        )

    def paths(self, hops: int) -> pd.DataFrame | None:
        """The edges on paths of so many hops."""
        rows = [
            np.flatnonzero(self.forwards[k][self.pre] & self.backwards[hops - 1 - k][self.post])
            for k in range(hops)
        ]
        if not rows[0].size:
            return None
        layer = np.repeat(np.arange(1, hops + 1), [len(edges) for edges in rows])
        return self.table.iloc[np.concatenate(rows)].assign(layer=layer).reset_index(drop=True)


def _reached(tail: np.ndarray, head: np.ndarray, start: np.ndarray, hops: int) -> Reached:
    found = [start]
    for _ in range(hops - 1):
        following = np.zeros_like(start)
        following[head[found[-1][tail]]] = True
        found.append(following)
    return found


def _grouped(
    paths: pd.DataFrame, pre_group: Mapped, post_group: Mapped, how: tuple[bool, str]
) -> pd.DataFrame:
    connected, method = how
    return group_paths(
        paths, pre_group, post_group, avg_within_connected=connected, combining_method=method
    )


def _between_all(
    table: pd.DataFrame, edges: pd.DataFrame, pre_group: Mapped, post_group: Mapped, how: tuple
) -> pd.DataFrame:
    """Pairs of groups with their weights over all edges, by the names that their layers use."""
    table = table.drop(columns="layer", errors="ignore")
    parts = []
    for last, receivers in ((True, post_group), (False, pre_group)):
        pairs = edges.loc[edges["last"] == last, ["pre", "post"]].drop_duplicates()
        parts.append(pairs.merge(_grouped(table, pre_group, receivers, how), on=["pre", "post"]))
    return pd.concat(parts)

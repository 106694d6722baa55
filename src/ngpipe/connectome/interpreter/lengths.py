r"""Effective connectivity between groups by the length of the paths, from the edges alone.

Under connectome_interpreter's names. For each number of hops n the edges on paths from sources to
targets are found (:func:`ngpipe.connectome.find_paths_of_length`), grouped
(:func:`ngpipe.connectome.group_paths`) and multiplied
(:func:`ngpipe.connectome.effective_conn_from_paths`): paths run through groups, and what a group
receives is passed on by its average neuron.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from ngpipe.connectome.groups import check_count
from ngpipe.connectome.interpreter.effconn import (
    LONG,
    effective_conn_from_paths,
    signed_effective_conn_from_paths,
)
from ngpipe.connectome.interpreter.grouping import check_method, group_paths
from ngpipe.connectome.interpreter.pruning import doubt, listed
from ngpipe.connectome.interpreter.tracing import find_paths_of_length
from ngpipe.errors import ArgumentError

Groups = Mapping[Any, Any] | None


def conn_by_path_length_data(  # noqa: PLR0913 (the signature of existing scripts)
    inprop: Any,  # noqa: ANN401
    inidx: Any,  # noqa: ANN401
    outidx: Any,  # noqa: ANN401
    n: int,
    outidx_map: Groups = None,
    inidx_map: Groups = None,
    intermediate_group: Groups = None,
    combining_method: str = "mean",
    wide: bool = False,
    chunk_size: int = 2000,
) -> pd.DataFrame | list[pd.DataFrame]:
    r"""Input of groups of targets from groups of sources over paths of 1 to n hops.

    With :math:`w^{(l)}_{QP}` the weights between groups in layer l of the paths of m hops,

    .. math:: c_m(Q, P) = \left(w^{(1)} w^{(2)} \cdots w^{(m)}\right)_{QP}, \qquad
        w^{(l)}_{QP} = \frac{1}{|P|} \sum_{i \in P} \sum_{j \in Q} w^{(l)}_{ji}

    With one map, all neurons of the other end are one group. Without any, neurons stay by
    themselves. :func:`ngpipe.connectome.contribution_by_path_lengths_data` does the same with
    powers of the whole matrix, through neurons and not through groups.

    Differs from connectome_interpreter: without maps there is a table for each length (there one
    table that lacks the sources); pairs without a path have their length (there 0); long tables
    have no row numbers of their own.

    Args:
        inprop: weights ``[pre, post]``, or a connectome, or a table of edges.
        inidx: sources, one or several; NaN is left out.
        outidx: targets.
        n: longest path [hops].
        outidx_map: group of each target.
        inidx_map: group of each source.
        intermediate_group: group of neurons in between; default: the map that is given, of both
            ``inidx_map``.
        combining_method: ``mean``, ``sum`` or ``median`` over a post group.
        wide: see below.
        chunk_size: ignored; products are sparse.

    Returns:
        With one map: columns path_length, post (or pre), weight, all lengths for every group that a
        path reaches; wide: lengths in the rows, groups in the columns. With both or none: a table
        for each length with columns pre, post, weight, path_length, the pairs of all sources of any
        length and the targets of this one; wide: pre in the rows, post in the columns.

    Raises:
        ArgumentError: as :func:`ngpipe.connectome.find_paths_of_length` and
            :func:`ngpipe.connectome.group_paths`.
    """
    check_method(combining_method)
    single = (inidx_map is None) != (outidx_map is None)
    given = outidx_map if inidx_map is None else inidx_map
    first, last = inidx_map, outidx_map
    if single:
        first = dict.fromkeys(listed(inidx), "group") if inidx_map is None else inidx_map
        last = dict.fromkeys(listed(outidx), "group") if outidx_map is None else outidx_map
    middle = given if intermediate_group is None else intermediate_group
    tables = [
        effective_conn_from_paths(paths, wide=False, quiet=True) if paths is not None else None
        for paths in _grouped((inprop, inidx, outidx), n, (first, last, middle), combining_method)
    ]
    found = [pd.DataFrame(columns=LONG) if table is None else table for table in tables]
    if not any(len(table) for table in found):
        doubt(f"no path of 1 to {n} hops leads from inidx to outidx; raise n", quiet=False)
    if single:
        return _by_end(found, "post" if inidx_map is None else "pre", wide)
    return _by_pair(found, wide)


def signed_conn_by_path_length_data(  # noqa: PLR0913 (the signature of existing scripts)
    inprop: Any,  # noqa: ANN401
    inidx: Any,  # noqa: ANN401
    outidx: Any,  # noqa: ANN401
    n: int,
    group_to_sign: Groups = None,
    inidx_map: Groups = None,
    outidx_map: Groups = None,
    intermediate_map: Groups = None,
    combining_method: str = "mean",
    wide: bool = True,
) -> tuple[list[pd.DataFrame], list[pd.DataFrame]]:
    """Excitation and inhibition by groups of sources, over paths of 1 to n hops.

    Equation: :func:`ngpipe.connectome.signed_effective_conn_from_paths`, of weights between groups
    as in :func:`conn_by_path_length_data`.

    Differs from connectome_interpreter as these two do.

    Args:
        inprop: magnitudes of weights ``[pre, post]``, or a table of edges.
        inidx: sources.
        outidx: targets.
        n: longest path [hops].
        group_to_sign: 1, -1 or 0 of each group that sends, of neurons without a group by their id.
        inidx_map: group of each source; default: every neuron on its own.
        outidx_map: group of each target.
        intermediate_map: group of neurons in between; default: as ``inidx_map``.
        combining_method: ``mean``, ``sum`` or ``median`` over a post group.
        wide: pre in the rows, post in the columns; else columns pre, post, weight.

    Returns:
        A table for each length, of what is excited and of what is inhibited; no rows where there
        is no path.

    Raises:
        ArgumentError: no signs; as these two.
    """
    check_method(combining_method)
    if group_to_sign is None:
        raise ArgumentError("group_to_sign is missing; give the sign of each group that sends")
    signs = {str(name): sign for name, sign in group_to_sign.items()}
    ends, groups = (inprop, inidx, outidx), (inidx_map, outidx_map, intermediate_map)
    empty = pd.DataFrame(columns=LONG)
    pairs = [
        (empty.copy(), empty.copy())
        if paths is None
        else signed_effective_conn_from_paths(paths, wide, signs)
        for paths in _grouped(ends, n, groups, combining_method)
    ]
    return [excited for excited, _ in pairs], [inhibited for _, inhibited in pairs]


def _grouped(
    ends: tuple[Any, Any, Any], n: int, groups: tuple[Groups, Groups, Groups], method: str
) -> list[pd.DataFrame | None]:
    """Edges between groups by layer, of the paths of each length; None where there is none."""
    lengths = range(1, check_count("n", n, 1) + 1)
    return [
        group_paths(find_paths_of_length(*ends, hops, quiet=True), *groups, combining_method=method)
        for hops in lengths
    ]


def _by_end(tables: list[pd.DataFrame], end: str, wide: bool) -> pd.DataFrame:
    """One table of all lengths, by group of one end."""
    lengths = range(1, len(tables) + 1)
    whole = pd.concat([t.assign(path_length=k) for k, t in zip(lengths, tables, strict=True)])
    found = whole.pivot(index="path_length", columns=end, values="weight").reindex(lengths)
    found = found.fillna(0).rename_axis("path_length").astype(float)
    if wide:
        return found
    return found.stack().rename("weight").reset_index()


def _by_pair(tables: list[pd.DataFrame], wide: bool) -> list[pd.DataFrame]:
    pres = np.unique(np.concatenate([table["pre"].to_numpy(object) for table in tables]))
    found = []
    for length, table in enumerate(tables, start=1):
        matrix = table.pivot(index="pre", columns="post", values="weight")
        matrix = matrix.reindex(index=pd.Index(pres, name="pre")).fillna(0).astype(float)
        if not wide:
            matrix = matrix.stack().rename("weight").reset_index().assign(path_length=length)
        found.append(matrix)
    return found

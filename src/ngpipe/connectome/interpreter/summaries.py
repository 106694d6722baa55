"""Weights between groups as matrices, and by path length, under connectome_interpreter's names.

Matrices are ``[pre, post]``: a connectome's weights, or one of the products of several hops
("steps"). Only sums over groups are formed.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from ngpipe.connectome.checks import check_kind
from ngpipe.connectome.groups import check_indices
from ngpipe.connectome.interpreter.grouping import Names, group_paths
from ngpipe.connectome.interpreter.pruning import listed
from ngpipe.connectome.weights import inprop_csr
from ngpipe.errors import ArgumentError

Groups = Mapping[Any, Any] | None
AXES = ("row", "column")
MAPS = ("inidx_map", "outidx_map")
UNDEFINED = "undefined"


def connectivity_summary(  # noqa: PLR0913 (the signature of existing scripts)
    stepsn: Any,  # noqa: ANN401
    inidx: Any,  # noqa: ANN401
    outidx: Any,  # noqa: ANN401
    inidx_map: Groups = None,
    outidx_map: Groups = None,
    display_output: bool = True,
    display_threshold: int | float = 1e-3,
    threshold_axis: str = "row",
    sort_within: str = "column",
    sort_names: Any = None,  # noqa: ANN401
    pre_in_column: bool = False,
    include_undefined_groups: bool = False,
    outprop: bool = False,
    combining_method: str = "mean",
    return_long: bool = False,
) -> pd.DataFrame:
    r"""Weights from groups of inidx to groups of outidx, over all neurons that the maps name.

    .. math:: w_{QP} = \frac{1}{|P|} \sum_{i \in P \cap \mathrm{out}}
        \sum_{j \in Q \cap \mathrm{in}} w_{ji}

    and the other ways of :func:`ngpipe.connectome.group_paths`: the sum or median over P, or with
    ``outprop`` over the senders Q. P has all neurons that ``outidx_map`` puts into it; those not
    asked for count as 0. :func:`result_summary` counts only those asked for.

    Differs from connectome_interpreter: thresholds are on the magnitude in the long form too;
    neurons without a group are left out also where they are not in a map at all; before they are
    sorted by weight, groups stand by name (there as they are met); nothing is shown.

    Args:
        stepsn: weights ``[pre, post]``, dense or sparse, or a connectome.
        inidx: pre neurons, one or several; NaN is left out.
        outidx: post neurons.
        inidx_map: group of each neuron; default: every neuron on its own.
        outidx_map: the same for post; default: as ``inidx_map``.
        display_output: ignored; for colours use ``.style.background_gradient()`` of the result.
        display_threshold: rows (or columns) stay if a value has at least this magnitude; of the
            long form the pairs above it.
        threshold_axis: ``row`` or ``column``.
        sort_within: ``column``: sort rows by a column, descending; ``row``: rows by their mean
            magnitude, columns by a row.
        sort_names: which columns (or rows); default: the first.
        pre_in_column: turn the table round.
        include_undefined_groups: neurons without a group, or with NaN, are the group "undefined".
        outprop: what a sender gives, not what a receiver gets.
        combining_method: ``mean``, ``sum`` or ``median``.
        return_long: columns pre_group, post_group, value, a row a pair.

    Returns:
        Groups of pre in the rows, of post in the columns; those with an edge.

    Raises:
        ArgumentError: neurons out of range, also in a map, nothing above the threshold, an unknown
            option or name.
        ArgumentTypeError: a map whose keys are no whole numbers, as '3'.
    """
    given = (stepsn, (inidx, outidx), (inidx_map, outidx_map), include_undefined_groups)
    edges, _, names = _submatrix(*given)
    long: Any = group_paths(
        edges, names[0], names[1], outprop=outprop, combining_method=combining_method
    )
    long = long.rename(columns={"pre": "pre_group", "post": "post_group"})
    if return_long:
        long = long[long["weight"].abs() > display_threshold].rename(columns={"weight": "value"})
        return _not_empty(long.reset_index(drop=True), display_threshold)
    table = long.pivot(index="pre_group", columns="post_group", values="weight").fillna(0)
    table = table.T if pre_in_column else table
    return _sorted(_above(table, display_threshold, threshold_axis), sort_within, sort_names)


def summaries_by_length(
    steps: Iterable[Any],
    ends: tuple[Any, Any],
    groups: tuple[Groups, Groups],
    threshold: int | float,
    sort_names: Any = None,  # noqa: ANN401
    pre_in_column: bool = False,
) -> list[pd.DataFrame]:
    """:func:`connectivity_summary` of every step; one that has nothing above is without rows.

    Args:
        steps: matrices ``[pre, post]``: of 1 hop, 2 hops ...
        ends: inidx and outidx.
        groups: inidx_map and outidx_map.
        threshold: least magnitude of a value in a row.
        sort_names: columns to sort by.
        pre_in_column: turn the tables round.

    Raises:
        ArgumentError: nothing above the threshold in any step; as there.
    """
    tables = []
    for step in steps:
        edges, _, names = _submatrix(step, ends, groups, False)
        long: Any = group_paths(edges, names[0], names[1])
        table = long.pivot(index="pre", columns="post", values="weight").fillna(0)
        table = table.rename_axis(index="pre_group", columns="post_group")
        table = table.T if pre_in_column else table
        kept = table[(table.abs() >= threshold).any(axis=1)]
        tables.append(kept if kept.empty else _sorted(kept, "column", sort_names))
    if all(table.empty for table in tables):
        raise ArgumentError(
            f"no weight between these groups reaches display_threshold={threshold:g} in any of "
            f"{len(tables)} steps; lower it, or give a matrix for each path length"
        )
    return tables


def result_summary(  # noqa: PLR0913 (the signature of existing scripts)
    stepsn: Any,  # noqa: ANN401
    inidx: Any,  # noqa: ANN401
    outidx: Any,  # noqa: ANN401
    inidx_map: Groups = None,
    outidx_map: Groups = None,
    display_output: bool = True,
    display_threshold: int | float = 1e-3,
    threshold_axis: str = "row",
    sort_within: str = "column",
    sort_names: Any = None,  # noqa: ANN401
    pre_in_column: bool = False,
    include_undefined_groups: bool = False,
    outprop: bool = False,
    combining_method: str = "mean",
) -> pd.DataFrame:
    r"""Weights from groups of inidx to groups of outidx, over those neurons alone.

    .. math:: w_{QP} = \frac{1}{|P \cap \mathrm{out}|} \sum_{i \in P \cap \mathrm{out}}
        \sum_{j \in Q \cap \mathrm{in}} w_{ji}

    All else is as in :func:`connectivity_summary`. Differs from connectome_interpreter: neurons
    without a group are left out (there the group "nan"); nothing is shown.

    Returns:
        As there, but all groups of inidx and outidx, 0 where there is no edge.
    """
    groups = (inidx_map, outidx_map)
    edges, ends, names = _submatrix(stepsn, (inidx, outidx), groups, include_undefined_groups)
    within = [{n: name[n] for n in end if n in name} for end, name in zip(ends, names, strict=True)]
    long: Any = group_paths(
        edges, within[0], within[1], outprop=outprop, combining_method=combining_method
    )
    table = long.pivot(index="pre", columns="post", values="weight")
    pre, post = (sorted(set(name.values())) for name in within)
    table = table.reindex(index=pre, columns=post).astype(float).fillna(0)
    table = table.rename_axis(index=None, columns=None)
    table = table.T if pre_in_column else table
    return _sorted(_above(table, display_threshold, threshold_axis), sort_within, sort_names)


def contribution_by_path_lengths_data(
    steps: Iterable[Any],
    inidx: Any,  # noqa: ANN401
    outidx: Any,  # noqa: ANN401
    outidx_map: Groups = None,
    inidx_map: Groups = None,
) -> pd.DataFrame:
    r"""Input of an average target from all sources over paths of n hops, by group of one end.

    With :math:`S_n` the n-th of the steps, by post group P or by pre group Q:

    .. math::
        c_n(P) = \frac{1}{|P \cap \mathrm{out}|} \sum_{i \in P \cap \mathrm{out}}
        \sum_{j \in \mathrm{in}} (S_n)_{ji}, \qquad
        c_n(Q) = \frac{1}{|\mathrm{out}|} \sum_{i \in \mathrm{out}}
        \sum_{j \in Q \cap \mathrm{in}} (S_n)_{ji}

    Args:
        steps: matrices ``[pre, post]``, dense or sparse: of 1 hop, 2 hops ...
        inidx: sources, one or several; NaN is left out.
        outidx: targets.
        outidx_map: group of each target; default, without ``inidx_map``: every target on its own.
        inidx_map: group of each source, in place of ``outidx_map``.

    Returns:
        Columns path_length (from 1), postsynaptic_type (or presynaptic_type), value.

    Raises:
        ArgumentError: both maps, a neuron without a group or out of range, no steps; a map whose
            keys are text.
    """
    if inidx_map is not None and outidx_map is not None:
        raise ArgumentError("both inidx_map and outidx_map are given; give one of them")
    by_pre = inidx_map is not None
    sources, targets = (np.unique(listed(end)) for end in (inidx, outidx))
    ends = sources if by_pre else targets
    names = _groups_of(ends, inidx_map if by_pre else outidx_map, "inidx" if by_pre else "outidx")
    rows = []
    for step in steps:
        totals = _totals(step, sources, targets, by_pre)
        grouped = pd.Series(totals, index=names).groupby(level=0)
        rows.append(grouped.sum() / len(targets) if by_pre else grouped.mean())
    if not rows:
        raise ArgumentError("steps are empty; give a matrix for each path length, from 1")
    table = pd.concat(rows, axis=1, keys=range(1, len(rows) + 1)).T.rename_axis("path_length")
    kind = "presynaptic_type" if by_pre else "postsynaptic_type"
    return table.melt(ignore_index=False, var_name=kind).reset_index()


def _totals(step: Any, sources: np.ndarray, targets: np.ndarray, by_pre: bool) -> np.ndarray:  # noqa: ANN401
    """Sums over targets for each source, or over sources for each target."""
    matrix = _matrix(step)
    pre = check_indices(sources, matrix.shape[0], "inidx")
    post = check_indices(targets, matrix.shape[1], "outidx")
    over, ends = (post, pre) if by_pre else (pre, post)
    chosen = np.zeros(matrix.shape[1 if by_pre else 0])
    chosen[over] = 1.0
    return np.asarray(matrix @ chosen if by_pre else matrix.T @ chosen)[ends]


def _matrix(given: Any) -> sparse.sparray | sparse.spmatrix | np.ndarray:  # noqa: ANN401
    as_it_is = sparse.issparse(given) or isinstance(given, np.ndarray)
    return given if as_it_is else inprop_csr(given)


def _groups_of(ends: np.ndarray, group: Groups, name: str) -> list:
    neurons = ends.tolist()
    if not neurons:
        raise ArgumentError(f"{name} has no neurons; give at least one")
    if group is None:
        return neurons
    check_kind(group, neurons, f"{name}_map")
    missing = [neuron for neuron in neurons if pd.isna(group.get(neuron))]
    if missing:
        raise ArgumentError(f"{name}_map has no group for neuron {missing[0]}; add it")
    return [group[neuron] for neuron in neurons]


def _submatrix(
    stepsn: Any,  # noqa: ANN401
    ends: tuple[Any, Any],
    groups: tuple[Groups, Groups],
    undefined: bool,
) -> tuple[pd.DataFrame, list[list[int]], list[Names]]:
    """Edges from inidx to outidx, those indices, and the names that both maps give."""
    matrix = _matrix(stepsn)
    chosen = [
        np.unique(check_indices(listed(end), n, name))
        for end, n, name in zip(ends, matrix.shape, ("inidx", "outidx"), strict=True)
    ]
    rows = matrix if isinstance(matrix, np.ndarray) else matrix.tocsr()
    coo = sparse.coo_array(rows[chosen[0]][:, chosen[1]])
    pre, post = chosen[0][coo.row], chosen[1][coo.col]
    first = dict(enumerate(range(matrix.shape[0]))) if groups[0] is None else groups[0]
    last = first if groups[1] is None else groups[1]
    for group, name, n in zip((first, last), MAPS, matrix.shape, strict=True):
        check_indices(list(group), n, f"{name}: neuron")
    names = [_defined(g, e, undefined) for g, e in zip((first, last), chosen, strict=True)]
    edges = pd.DataFrame({"pre": pre, "post": post, "weight": coo.data.astype(np.float64)})
    known = edges["pre"].isin(list(names[0])) & edges["post"].isin(list(names[1]))
    return edges[known], [end.tolist() for end in chosen], names


def _defined(group: Mapping[Any, Any], neurons: np.ndarray, undefined: bool) -> Names:
    whole = dict.fromkeys(neurons.tolist()) | dict(group)
    lacking = {neuron for neuron, name in whole.items() if pd.isna(name)}
    return {
        neuron: UNDEFINED if neuron in lacking else str(name)
        for neuron, name in whole.items()
        if undefined or neuron not in lacking
    }


def _above(table: pd.DataFrame, threshold: int | float, axis: str) -> pd.DataFrame:
    _one_of("threshold_axis", axis)
    large = table.abs() >= threshold
    kept = table.loc[large.any(axis=1)] if axis == "row" else table.loc[:, large.any(axis=0)]
    return _not_empty(kept, threshold)


def _sorted(table: pd.DataFrame, within: str, names: Any) -> pd.DataFrame:  # noqa: ANN401
    _one_of("sort_within", within)
    if within == "row":
        order = table.abs().mean(axis=1).sort_values(ascending=False, kind="stable")
        table = table.loc[order.index]
    labels = table.columns if within == "column" else table.index
    chosen = [labels[0]] if names is None else listed(names)
    unknown = [name for name in chosen if name not in labels]
    if unknown:
        raise ArgumentError(
            f"sort_names has {unknown[:5]}, expected names of a {within}: {list(labels[:5])} ..."
        )
    axis = 0 if within == "column" else 1
    return table.sort_values(chosen, axis=axis, ascending=False, kind="stable")


def _not_empty(table: pd.DataFrame, threshold: int | float) -> pd.DataFrame:
    if table.empty:
        raise ArgumentError(
            f"no weight between these groups reaches display_threshold={threshold:g}; lower it"
        )
    return table


def _one_of(name: str, value: str) -> None:
    if value not in AXES:
        raise ArgumentError(f"{name} is {value!r}, expected one of {', '.join(AXES)}")

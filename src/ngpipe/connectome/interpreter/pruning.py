"""Edges of paths that are strong and still on a path, under connectome_interpreter's names.

Tables have a row an edge: columns layer, pre, post, weight. An edge of layer l is on a path if an
edge of layer l - 1 ends where it begins, one of layer l + 1 begins where it ends, and so on to the
first and last layer. Rows keep their order and index; the tables given are not changed.
"""

import warnings
from collections.abc import Mapping
from numbers import Number
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.sparse import csgraph

from ngpipe.connectome.checks import check_columns, check_kind
from ngpipe.connectome.dataframes import as_list
from ngpipe.errors import ArgumentError, DoubtfulWarning


def remove_excess_neurons(
    df: pd.DataFrame,
    keep: Any = None,  # noqa: ANN401
    target_indices: Any = None,  # noqa: ANN401
    keep_targets_in_middle: bool = False,
    quiet: bool = False,
) -> pd.DataFrame | None:
    r"""Only the edges on a path from the first layer to the last.

    The largest set of edges in which each (j, i) of layer l has

    .. math:: j \in K \cup \mathrm{post}_{l-1}, \qquad i \in K \cup \mathrm{pre}_{l+1}

    with K the neurons to keep, but that nothing is asked in front of the first layer and behind the
    last. If layers are missing, those after the gap count.

    Differs from connectome_interpreter: the table given does not change; targets count in a table
    of one layer too; layers may begin with any number (there the first of them is not looked at);
    a target that nothing reaches is no source of the last layer.

    Args:
        df: columns layer, pre, post.
        keep: neurons, one or several, that may begin or end in the middle.
        target_indices: where paths end, among the post neurons of the last layer; default: all.
        keep_targets_in_middle: targets are among those to keep.
        quiet: no warning if layers are missing, neurons to keep have no edge, or nothing is left.

    Returns:
        Some of the rows; None if no edge is left in the last layer or in one in between.

    Raises:
        ArgumentError: missing columns, targets that are not in the last layer; no rows, unless
            ``quiet``, which gives None; neurons to keep that are text where the table has numbers,
            or the reverse.
    """
    if _is_empty(df, "remove_excess_neurons", quiet):
        return None
    _check_keep(df, keep, quiet)
    table = _last_run(df, quiet)
    last = int(table["layer"].max())
    targets = set(listed(target_indices))
    if target_indices is not None:
        table = _ending_in(table, targets, last)
    kept = set(listed(keep)) | (targets if keep_targets_in_middle else set())
    layers = range(int(table["layer"].min()), last + 1)
    table = table[_supported(table, layers, kept)]
    if not set(layers[1:] or layers) <= set(table["layer"]):
        return doubt("no path is left from the first layer to the last; keep more edges", quiet)
    return table


def remove_excess_neurons_batched(
    df: pd.DataFrame,
    keep: Any = None,  # noqa: ANN401
    target_indices: Any = None,  # noqa: ANN401
    keep_targets_in_middle: bool = False,
    quiet: bool = False,
) -> pd.DataFrame | None:
    """The same as :func:`remove_excess_neurons` for each batch of a table.

    Args:
        df: columns batch, layer, pre, post.
        keep: as there, as are the others.
        target_indices: where paths end; batches without any of them are left out.
        keep_targets_in_middle: targets are among those to keep.
        quiet: no warnings.

    Returns:
        Some of the rows, batch by batch; None if none has a path.

    Raises:
        ArgumentError: as there; no column batch.
    """
    check_columns(df, ["batch"], "df: DataFrame")
    if _is_empty(df, "remove_excess_neurons_batched", quiet):
        return None
    _check_keep(df, keep, quiet)
    last = df["layer"] == df.groupby("batch")["layer"].transform("max")
    targets = listed(target_indices)
    if target_indices is not None:
        _check_targets(set(targets), df["post"][last], " of any batch")
    parts = []
    for _, batch in df.groupby("batch", sort=False):
        ends = set(batch["post"][last[batch.index]])
        here = [target for target in targets if target in ends]
        if target_indices is None:
            parts.append(remove_excess_neurons(batch, keep, quiet=True))
        elif here:
            parts.append(remove_excess_neurons(batch, keep, here, keep_targets_in_middle, True))
    parts = [part for part in parts if part is not None]
    if not parts:
        return doubt("no batch has a path from its first layer to its last; keep more edges", quiet)
    return pd.concat(parts)


def filter_paths(
    df: pd.DataFrame,
    threshold: int | float = 0,
    necessary_intermediate: Mapping[int, Any] | None = None,
    quiet: bool = False,
) -> pd.DataFrame | None:
    """Paths of strong edges that run through given neurons.

    An edge is kept if ``|weight| > threshold``, and if its ends are among the neurons asked for in
    their layers; then what is on no path any more is removed (:func:`remove_excess_neurons`).

    Differs from connectome_interpreter: the threshold is on the magnitude, so that inhibition
    stays; a layer that the table lacks is an error.

    Args:
        df: columns layer, pre, post, weight.
        threshold: 0 or less: all edges.
        necessary_intermediate: neurons, one or several, by place along the path: l for the pre
            neurons of layer l, the last layer + 1 for where paths end.
        quiet: no warning if nothing is left.

    Returns:
        Some of the rows; None if no path is left.

    Raises:
        ArgumentError: missing columns, a place that is not there; no rows, unless ``quiet``, which
            gives None; neurons that are text where the table has numbers, or the reverse.
    """
    if _is_empty(df, "filter_paths", quiet):
        return None
    check_columns(df, ["weight"], "df: DataFrame")
    layers = set(df["layer"])
    table: pd.DataFrame | None = df
    if threshold > 0:
        strong = df["weight"].abs() > threshold
        table = _on_paths(df[strong], layers, f"threshold={threshold:g}; lower it", quiet)
    for place, neurons in (necessary_intermediate or {}).items():
        if not min(layers) <= place <= max(layers) + 1:
            raise ArgumentError(
                f"necessary_intermediate has layer {place}, expected {min(layers)} to "
                f"{max(layers) + 1}: the first neurons to those where paths end"
            )
        if table is None:
            return None
        end, layer = ("post", place - 1) if place > max(layers) else ("pre", place)
        neurons = listed(neurons)
        check_kind(neurons, df[end].unique(), f"necessary_intermediate of layer {place}")
        through = table[end].isin(neurons) | (table["layer"] != layer)
        why = f"these neurons of necessary_intermediate in layer {place}; name more"
        table = _on_paths(table[through], layers, why, quiet)
    return table


def connected_components(
    paths: pd.DataFrame, threshold: int | float = 0, quiet: bool = False
) -> list[pd.DataFrame]:
    r"""Parts of a table of paths that share no neuron.

    Two neurons are in one part if a chain of edges leads from one to the other, whatever their
    direction, layer and sign: the classes of the smallest equivalence ~ with j ~ i for every edge.

    Differs from connectome_interpreter: parts without a path are left out (there they are None).

    Args:
        paths: columns layer, pre, post, weight.
        threshold: as in :func:`filter_paths`, before parts are looked for.
        quiet: no warning if nothing is left.

    Returns:
        For each part its rows that are on a path, with the number of the part as component_idx;
        in the order of their first rows.

    Raises:
        ArgumentError: as :func:`filter_paths`.
    """
    table = filter_paths(paths, threshold, quiet=quiet)
    if table is None:
        return []
    codes, neurons = pd.factorize(pd.concat([table["pre"], table["post"]], ignore_index=True))
    pre, post = np.split(codes, 2)
    n = len(neurons)
    joined = sparse.coo_array((np.ones(len(pre)), (pre, post)), shape=(n, n))
    _, label = csgraph.connected_components(joined, directed=False)
    number, _ = pd.factorize(label[pre])
    whole = table.assign(component_idx=number)
    parts = (remove_excess_neurons(part, quiet=quiet) for _, part in whole.groupby("component_idx"))
    return [part for part in parts if part is not None]


def listed(values: Any) -> list:  # noqa: ANN401
    """One neuron or several as a list, without NaN; None: none."""
    if values is None:
        return []
    several = [values] if isinstance(values, str | Number) else as_list(values)
    return [value for value in several if value == value]


def doubt(message: str, quiet: bool) -> Any:  # noqa: ANN401
    """Warn the caller of a public function why nothing is found."""
    if not quiet:
        warnings.warn(message, DoubtfulWarning, stacklevel=3)
    return None


def _is_empty(df: pd.DataFrame, function: str, quiet: bool) -> bool:
    check_columns(df, ["layer", "pre", "post"], "df: DataFrame")
    if df.empty and not quiet:
        raise ArgumentError(
            f"the table given to {function} has no rows, expected one per edge; loosen the filter "
            "before, or pass quiet=True to get None"
        )
    return df.empty


def _check_keep(df: pd.DataFrame, keep: Any, quiet: bool) -> None:  # noqa: ANN401
    given, neurons = listed(keep), pd.unique(pd.concat([df["pre"], df["post"]]))
    check_kind(given, neurons, "keep")
    unknown = [neuron for neuron in given if neuron not in set(neurons)]
    if unknown and not quiet:
        warnings.warn(
            f"keep has {unknown[:5]}, which no edge of df has, so that there is nothing to keep; "
            f"df has {neurons[:5].tolist()} ...",
            DoubtfulWarning,
            stacklevel=3,
        )


def _last_run(df: pd.DataFrame, quiet: bool) -> pd.DataFrame:
    """Layers up to the last without a gap."""
    there = np.sort(df["layer"].unique())
    first = there[np.flatnonzero(np.diff(there, prepend=there[0] - 2) > 1)[-1]]
    if first > there[0]:
        doubt(f"there is no layer {first - 1}; only layers from {first} are looked at", quiet)
    return df[df["layer"] >= first]


def _ending_in(df: pd.DataFrame, targets: set, last: int) -> pd.DataFrame:
    ends = df["layer"] == last
    _check_targets(targets, df["post"][ends], f", {last}")
    return df[~ends | df["post"].isin(targets)]


def _check_targets(targets: set, ends: pd.Series, where: str) -> None:
    unknown = targets - set(ends)
    if unknown:
        raise ArgumentError(
            f"target_indices has {list(unknown)[:5]}, which are no post neurons of the last layer"
            f"{where}; those are {ends.unique().tolist()[:5]} ..."
        )


def _on_paths(df: pd.DataFrame, layers: set, reason: str, quiet: bool) -> pd.DataFrame | None:
    """Rows on paths through all layers, or None, with the reason, if one layer is empty."""
    if set(df["layer"]) != layers:
        return doubt(f"no path is left with {reason}", quiet)
    return remove_excess_neurons(df, quiet=quiet)


def _supported(df: pd.DataFrame, layers: range, keep: set) -> np.ndarray:
    """Mask of rows connected at both ends, ``(row,)``; one pass each way finds them all."""
    codes, neurons = pd.factorize(pd.concat([df["pre"], df["post"]], ignore_index=True))
    pre, post = np.split(codes, 2)
    kept = np.isin(np.arange(len(neurons)), pd.Index(neurons).get_indexer_for(list(keep)))
    at = [np.flatnonzero(df["layer"] == layer) for layer in layers]
    on = np.ones(len(df), dtype=bool)
    for rows, near, far in ((at, pre, post), (at[::-1], post, pre)):
        reached = np.ones(len(neurons), dtype=bool)
        for layer in rows:
            on[layer] &= reached[near[layer]]
            reached = kept.copy()
            reached[far[layer[on[layer]]]] = True
    return on

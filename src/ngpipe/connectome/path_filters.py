"""Tables of paths, layer by layer, cut down to what still leads from the first layer to the last.

A table has a row an edge: columns layer, pre, post, weight. Layer 1 leads from the sources to the
neurons behind them, the last layer to the targets. The names are those of connectome_interpreter.
No function changes the table it is given, rows keep their order and nothing is printed.
"""

import warnings
from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import pandas as pd
from jaxtyping import Bool, Int
from scipy import sparse
from scipy.sparse import csgraph

from ngpipe.connectome.frames import as_list
from ngpipe.connectome.targets import check_columns
from ngpipe.errors import ArgumentError, DoubtfulWarning
from ngpipe.wiring.edges import few


def remove_excess_neurons(
    df: pd.DataFrame,
    keep: Any = None,  # noqa: ANN401
    target_indices: Any = None,  # noqa: ANN401
    keep_targets_in_middle: bool = False,
    quiet: bool = False,
) -> pd.DataFrame | None:
    r"""Only the edges that lie on a path through all layers.

    With S_l the edges that stay in layer l, of L layers, and K the neurons to keep, an edge j -> i
    of layer l stays if

    .. math::
        (l = 1 \;\lor\; j \in K \cup \mathrm{post}(S_{l-1})) \;\land\;
        (l = L \;\lor\; i \in K \cup \mathrm{pre}(S_{l+1})).

    Args:
        df: columns layer, pre, post.
        keep: neurons whose edges stay although the path breaks off there.
        target_indices: where paths may end; default: at every post neuron of the last layer.
        keep_targets_in_middle: keep the targets in the layers between, too.
        quiet: of an empty table give None, and do not warn of a gap in the layers.

    Returns:
        Rows of ``df``; None if a layer behind the first loses all of its edges. Where layers
        have a gap, those behind it alone are looked at, with a warning.

    Raises:
        ArgumentError: an empty table, missing columns, targets that the last layer does not reach.

    Differs from connectome_interpreter: layers that do not start at 1 are all pruned (there the
    first is dropped), ``target_indices`` count in a table of one layer (there they do not), a
    target that sends from the middle is kept on request alone (there the function never ends).
    """
    if _is_empty(df, "remove_excess_neurons", quiet):
        return None
    check_columns(df, ["layer", "pre", "post"], "df: DataFrame")
    df = _last_run(df, quiet)
    last = df["layer"] == df["layer"].max()
    kept = set(listed(keep))
    if target_indices is not None:
        targets = listed(target_indices)
        _refuse_unreached(targets, df.loc[last, "post"])
        df = df[~last | df["post"].isin(targets)]
        kept |= set(targets) if keep_targets_in_middle else set()
    return _pruned(df, kept)


def filter_paths(
    df: pd.DataFrame,
    threshold: int | float = 0,
    necessary_intermediate: Mapping[int, Any] | None = None,
    quiet: bool = False,
) -> pd.DataFrame | None:
    """Only strong edges, and paths through given neurons; then what still leads to the end.

    An edge stays if :math:`|w| >` ``threshold``, and if its layer is named in
    ``necessary_intermediate``, if it starts at one of the neurons named.

    Args:
        df: columns layer, pre, post, weight.
        threshold: of the magnitude of weights; 0: all edges stay, weights of 0 too.
        necessary_intermediate: ``{layer: neurons}``, 1 for the sources, the number of the last
            layer plus 1 for the targets.
        quiet: of an empty table give None.

    Returns:
        Rows of ``df``, all of them if nothing was asked for; None if no path is left.

    Raises:
        ArgumentError: an empty table, missing columns, a layer that does not exist.

    Differs from connectome_interpreter: weights count by magnitude, so that inhibitory ones stay.
    """
    if _is_empty(df, "filter_paths", quiet):
        return None
    check_columns(df, ["layer", "pre", "post", "weight"], "df: DataFrame")
    if threshold <= 0 and necessary_intermediate is None:
        return df
    layer, end = df["layer"], int(df["layer"].max()) + 1
    stays = pd.Series(True, df.index) if threshold <= 0 else df["weight"].abs() > threshold
    for number, neurons in (necessary_intermediate or {}).items():
        if not 1 <= number <= end:
            raise ArgumentError(
                f"necessary_intermediate names layer {number!r}, expected 1 (the sources) to "
                f"{end} (the targets)"
            )
        among = (
            df["pre"].isin(listed(neurons)) if number < end else df["post"].isin(listed(neurons))
        )
        stays &= among | (layer != min(number, end - 1))
    left = df[stays]
    if set(left["layer"]) != set(layer):
        return None
    return remove_excess_neurons(left, quiet=quiet)


def connected_components(
    paths: pd.DataFrame, threshold: int | float = 0, quiet: bool = False
) -> list[pd.DataFrame]:
    """Parts of a table of paths that share no neuron, whichever way edges point.

    Two neurons are in one component if edges of any layers, taken both ways, lead from one to the
    other. Each component is then cut down to the paths through all of its own layers.

    Args:
        paths: columns layer, pre, post, weight.
        threshold: see :func:`filter_paths`.
        quiet: see :func:`filter_paths`.

    Returns:
        A table for each component, by their first rows, with its number as ``component_idx``. No
        table if no path is left.

    Raises:
        ArgumentError: as :func:`filter_paths`.

    Differs from connectome_interpreter: a component without a path through its layers is left out
    (there None stands in its place), and no path left is an empty list (there it fails).
    """
    left = filter_paths(paths, threshold, quiet=quiet)
    if left is None:
        return []
    pre, post, names = coded(left)
    graph = sparse.coo_array((np.ones(len(pre)), (pre, post)), shape=(len(names), len(names)))
    part = csgraph.connected_components(graph, directed=False)[1][pre]
    tables = (
        remove_excess_neurons(rows, quiet=quiet) for _, rows in left.groupby(part, sort=False)
    )
    return [
        table.assign(component_idx=number)
        for number, table in enumerate(table for table in tables if table is not None)
    ]


def listed(values: Any) -> list:  # noqa: ANN401
    """One neuron, or several in any container, as a list without missing values."""
    single = isinstance(values, str) or not isinstance(values, Iterable)
    several = ([] if values is None else [values]) if single else as_list(values)
    return [value for value in several if not pd.isna(value)]


def refuse_other_type(asked: Iterable[Any], known: Iterable[Any], name: str) -> None:
    """Refuse ids that are among the known ones as text alone.

    Raises:
        ArgumentError: naming one.
    """
    asked, known = list(asked), list(known)
    if not set(known).isdisjoint(asked):
        return
    text = {str(value): value for value in known}
    same = next((value for value in asked if str(value) in text), None)
    if same is not None:
        other = text[str(same)]
        raise ArgumentError(
            f"{name} holds {other!r} ({type(other).__name__}) where the paths have {same!r} "
            f"({type(same).__name__}); give both the same type"
        )


def coded(
    table: pd.DataFrame,
) -> tuple[Int[np.ndarray, " edge"], Int[np.ndarray, " edge"], pd.Index]:
    """Number of both ends of each edge, and the neurons by number.

    Raises:
        ArgumentError: an edge without a neuron.
    """
    codes, names = pd.factorize(pd.concat([table["pre"], table["post"]], ignore_index=True))
    if (codes < 0).any():
        row = int(np.flatnonzero(codes < 0)[0]) % len(table)
        raise ArgumentError(
            f"row {row} of the edges lacks pre or post: {table.iloc[row].to_dict()}; leave it out"
        )
    return codes[: len(table)], codes[len(table) :], pd.Index(names)


def _is_empty(df: pd.DataFrame, function: str, quiet: bool) -> bool:
    if len(df) or quiet:
        return not len(df)
    raise ArgumentError(
        f"{function} was given a table without edges; ask for other paths, lower the threshold "
        "before it, or say quiet=True to get None"
    )


def _last_run(df: pd.DataFrame, quiet: bool) -> pd.DataFrame:
    """The layers behind the last gap."""
    layers = np.sort(df["layer"].unique())
    gaps = np.flatnonzero(np.diff(layers) != 1)
    if not gaps.size:
        return df
    first = layers[gaps[-1] + 1]
    if not quiet:
        warnings.warn(
            f"layers {layers.tolist()} have a gap: those before {first} are left out; number "
            "layers one after the other",
            DoubtfulWarning,
            stacklevel=3,
        )
    return df[df["layer"] >= first]


def _refuse_unreached(targets: list, reached: pd.Series) -> None:
    missing = [target for target in targets if target not in set(reached)]
    if missing or not targets:
        raise ArgumentError(
            f"target_indices has {few(missing) if missing else 'no neuron'}, expected some of the "
            f"{reached.nunique()} post neurons of the last layer, such as {few(reached.unique())} "
            f"({reached.dtype})"
        )


def _pruned(df: pd.DataFrame, kept: set) -> pd.DataFrame | None:
    pre, post, names = coded(df)
    layer = df["layer"].to_numpy() - df["layer"].min()
    rows = [np.flatnonzero(layer == number) for number in range(int(layer.max()) + 1)]
    always = names.isin(list(kept))
    for k in range(1, len(rows)):
        rows[k] = rows[k][_marked(always, post[rows[k - 1]])[pre[rows[k]]]]
    for k in range(len(rows) - 2, -1, -1):
        rows[k] = rows[k][_marked(always, pre[rows[k + 1]])[post[rows[k]]]]
    if not all(edges.size for edges in rows[1:]):
        return None
    return df.iloc[np.sort(np.concatenate(rows))]


def _marked(
    always: Bool[np.ndarray, " neuron"], neurons: Int[np.ndarray, " edge"]
) -> Bool[np.ndarray, " neuron"]:
    marks = always.copy()
    marks[neurons] = True
    return marks

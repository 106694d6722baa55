r"""Effective connectivity of the paths through a table, under connectome_interpreter's names.

A table has a row an edge: columns layer, pre, post, weight. With :math:`w^{(l)}` the weights of
layer l, paths from s in the first layer to t in the last of L carry

.. math:: E_{st} = \left(w^{(1)} w^{(2)} \cdots w^{(L)}\right)_{st}

whether or not they come back to a neuron. :func:`ngpipe.connectome.effconn_without_loops` takes
only those that do not.
"""

import warnings
from collections.abc import Mapping
from functools import reduce
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from ngpipe.connectome.checks import check_columns, check_finite, check_kind
from ngpipe.connectome.interpreter.pruning import doubt, remove_excess_neurons
from ngpipe.errors import ArgumentError, ArgumentTypeError, DoubtfulWarning

PATHS = ["layer", "pre", "post", "weight"]
LONG = ["pre", "post", "weight"]
SIGNS = (1, -1, 0)


def effective_conn_from_paths(
    paths: pd.DataFrame,
    wide: Any = True,  # noqa: ANN401 (2.9.5 has groups here, which are told from True and False)
    chunk_size: int = 2000,
    density_threshold: int | float = 0.2,
    use_gpu: bool = True,
    root: bool = False,
    quiet: bool = False,
) -> pd.DataFrame | None:
    r"""Summed weight of all paths through a table, from their start to their end.

    .. math:: E_{st} = \left(w^{(1)} w^{(2)} \cdots w^{(L)}\right)_{st}

    Of groups: :func:`ngpipe.connectome.group_paths` of the table first.

    Differs from connectome_interpreter: the table given is not changed; layers with a gap between
    them are an error; without a path the result is None; the long form has no row numbers of its
    own; inhibition has roots too; products are in float64. 2.9.5 has ``group_dict``.

    Args:
        paths: columns layer, pre, post, weight; rows of one edge add up.
        wide: pre in the rows, post in the columns; else a row a pair.
        chunk_size: ignored, as are the next two: products are sparse.
        density_threshold: ignored.
        use_gpu: ignored.
        root: :math:`\mathrm{sign}(E) |E|^{1/L}`, the mean strength of a hop.
        quiet: no warning if there is no path.

    Returns:
        Those that begin and those that end a path. Long: columns pre, post, weight, sorted. No
        rows, or no path: None.

    Raises:
        ArgumentError: missing columns or layers, a weight that is not finite.
    """
    names, hops = _checked_hops(paths, wide)
    if not hops:
        return doubt("paths have no rows; there is nothing to multiply", quiet)
    found = _long(reduce(lambda carried, hop: carried @ hop, hops), names)
    if found.empty:
        return doubt("no path leads from the first layer to the last; keep more edges", quiet)
    if root:
        found["weight"] = np.sign(found["weight"]) * found["weight"].abs() ** (1 / len(hops))
    return _wide(found) if wide else found


def effective_conn_from_paths_cpu(paths: pd.DataFrame, wide: bool = True) -> pd.DataFrame | None:
    """The same as :func:`effective_conn_from_paths`, which is never taken on a GPU here."""
    return effective_conn_from_paths(paths, wide)


def signed_effective_conn_from_paths(
    paths: pd.DataFrame, wide: bool = True, idx_to_nt: Mapping[Any, Any] | None = None
) -> tuple[pd.DataFrame, pd.DataFrame]:
    r"""Excitation and inhibition carried by all paths through a table.

    With :math:`e^{(l)}` the weights of senders that excite and :math:`i^{(l)}` of those that
    inhibit,

    .. math::
        E^{(l)} = E^{(l-1)} e^{(l)} + I^{(l-1)} i^{(l)}, \qquad
        I^{(l)} = E^{(l-1)} i^{(l)} + I^{(l-1)} e^{(l)}, \qquad
        E^{(1)} = e^{(1)}, \; I^{(1)} = i^{(1)}

    Differs from connectome_interpreter as :func:`effective_conn_from_paths` does; and weights
    below 0 are an error, as every edge has its sign already.

    Args:
        paths: columns layer, pre, post, weight [magnitude], perhaps sign.
        wide: pre in the rows, post in the columns; else a row a pair.
        idx_to_nt: 1, -1 or 0 of each pre neuron, in place of a column sign; outputs of those with
            0, or with none (a warning), are left out.

    Returns:
        E and I, each at least 0; no rows where nothing is excited (or inhibited).

    Raises:
        ArgumentError: missing columns or layers, no signs, a weight below 0 or not finite; ids that
            are text in idx_to_nt and numbers in the table, or the reverse.
    """
    names, hops = _checked_hops(paths, wide)
    if not hops:
        empty = pd.DataFrame(columns=LONG)
        return empty, empty.copy()
    if (paths["weight"] < 0).any():
        raise ArgumentError(
            f"paths have a weight of {paths['weight'].min():g} beside signs; give magnitudes: "
            "paths.assign(weight=paths['weight'].abs(), sign=np.sign(paths['weight']))"
        )
    sign = _signs(paths, idx_to_nt)
    excites, inhibits = (_hops(paths[sign == s], names, paths["layer"]) for s in (1, -1))
    pair = excites[0], inhibits[0]
    for e, i in zip(excites[1:], inhibits[1:], strict=True):
        pair = pair[0] @ e + pair[1] @ i, pair[0] @ i + pair[1] @ e
    first, second = (_long(part, names) for part in pair)
    return (_wide(first), _wide(second)) if wide else (first, second)


def path_for_ngl(path: pd.DataFrame) -> pd.DataFrame:
    r"""Neurons of a path with what they pass on to its end, for neuroglancer.

    With T targets in the last layer L, a pre neuron j of layer l has

    .. math:: b^{(l)}_j = \sum_i w^{(l)}_{ji} b^{(l+1)}_i, \qquad b^{(L+1)}_t = 1 / T

    and targets have 1.

    Differs from connectome_interpreter: every target counts in the mean, and stands in one row.

    Args:
        path: columns layer, pre, post, weight; it is not changed.

    Returns:
        Columns neuron_id, activation, layer, each neuron once a layer; only those on a path from
        the first layer to the last. Targets are in the layer after the last.

    Raises:
        ArgumentError: as :func:`effective_conn_from_paths`; no path.
    """
    names, _ = _checked_hops(path, True)
    on_path = remove_excess_neurons(path, quiet=True)
    if on_path is None:
        raise ArgumentError("path has no path from its first layer to its last; keep more edges")
    layers = np.unique(on_path["layer"])
    targets = names.get_indexer(on_path.loc[on_path["layer"] == layers[-1], "post"].unique())
    carried = np.zeros(len(names))
    carried[targets] = 1 / len(targets)
    parts = [pd.DataFrame({"neuron_id": names[np.sort(targets)], "activation": 1.0})]
    parts[0]["layer"] = layers[-1] + 1
    for layer, hop in zip(layers[::-1], _hops(on_path, names, on_path["layer"])[::-1], strict=True):
        carried = hop @ carried
        pre = np.unique(names.get_indexer(on_path.loc[on_path["layer"] == layer, "pre"]))
        part = {"neuron_id": names[pre], "activation": carried[pre], "layer": layer}
        parts.insert(0, pd.DataFrame(part))
    return pd.concat(parts, ignore_index=True)


def hops_of(paths: pd.DataFrame) -> tuple[pd.Index, list[sparse.csr_array]]:
    """Names of all neurons, sorted, and the weights of each layer, ``(pre, post)`` in that order.

    Raises:
        ArgumentError: as :func:`check_layers`.
    """
    check_layers(paths)
    _, names = pd.factorize(pd.concat([paths["pre"], paths["post"]]), sort=True)
    index = pd.Index(names)
    return index, _hops(paths, index, paths["layer"])


def check_layers(paths: pd.DataFrame) -> None:
    """Refuse a table with a gap between its layers, where no path leads across.

    Raises:
        ArgumentError: naming the layer that is missing.
    """
    layers = np.unique(paths["layer"])
    gap = layers[:-1][np.diff(layers) != 1]
    if gap.size:
        raise ArgumentError(
            f"paths have no layer {gap[0] + 1}, but {layers[-1]}; give every layer, or number "
            "those there are from 1"
        )


def _checked_hops(paths: pd.DataFrame, wide: Any) -> tuple[pd.Index, list[sparse.csr_array]]:  # noqa: ANN401
    if not isinstance(wide, bool | np.bool_):
        raise ArgumentTypeError(
            f"wide is a {type(wide).__name__}, expected True or False; for groups give "
            "group_paths(paths, ...) in place of paths"
        )
    check_columns(paths, PATHS, "paths: DataFrame")
    check_finite(paths["weight"], "paths: weights")
    return hops_of(paths)


def _hops(paths: pd.DataFrame, names: pd.Index, layers: pd.Series) -> list[sparse.csr_array]:
    """Weights by layer of all ``layers``, whether or not ``paths`` has them."""
    ends = (names.get_indexer(paths["pre"]), names.get_indexer(paths["post"]))
    weight, layer = paths["weight"].to_numpy(np.float64), paths["layer"].to_numpy()
    shape = (len(names), len(names))
    rows = [np.flatnonzero(layer == number) for number in np.unique(layers)]
    return [
        sparse.coo_array((weight[k], (ends[0][k], ends[1][k])), shape=shape).tocsr() for k in rows
    ]


def _signs(paths: pd.DataFrame, idx_to_nt: Mapping[Any, Any] | None) -> pd.Series:
    if "sign" in paths:
        sign = paths["sign"]
    elif idx_to_nt is None:
        raise ArgumentError("the signs are missing; give a column 'sign' in paths, or idx_to_nt")
    else:
        check_kind(idx_to_nt, paths["pre"].unique(), "idx_to_nt")
        sign = paths["pre"].map(dict(idx_to_nt))
        unknown = paths["pre"][sign.isna()].unique().tolist()
        if unknown:
            warnings.warn(
                f"idx_to_nt has no sign for {unknown[:5]}: their outputs are left out; give 0 if "
                "that is meant",
                DoubtfulWarning,
                stacklevel=3,
            )
    wrong = sign[sign.notna() & ~sign.isin(SIGNS)]
    if len(wrong):
        raise ArgumentError(f"a sign is {wrong.iloc[0]!r}, expected 1, -1 or 0")
    return sign


def _long(carried: sparse.sparray, names: pd.Index) -> pd.DataFrame:
    """A row for each pair that a path joins, also where the weights of it are 0; sorted."""
    coo = carried.tocsr().sorted_indices().tocoo()
    return pd.DataFrame({"pre": names[coo.row], "post": names[coo.col], "weight": coo.data})


def _wide(long: pd.DataFrame) -> pd.DataFrame:
    return long.pivot(index="pre", columns="post", values="weight").fillna(0)

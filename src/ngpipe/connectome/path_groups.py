"""Edges between neurons taken together to edges between groups, as in connectome_interpreter."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from ngpipe.connectome.path_filters import refuse_other_type
from ngpipe.connectome.targets import check_columns
from ngpipe.errors import ArgumentError
from ngpipe.wiring.edges import few

COMBINING = ("mean", "sum", "median")
Mapped = Mapping[Any, Any] | None


def group_paths(
    paths: pd.DataFrame | None,
    pre_group: Mapped = None,
    post_group: Mapped = None,
    intermediate_group: Mapped = None,
    avg_within_connected: bool = False,
    outprop: bool = False,
    combining_method: str = "mean",
) -> pd.DataFrame | None:
    r"""Edges between groups, by layer.

    Of the weights from group P to group Q in one layer, first the total that each receiver gets,
    then over receivers

    .. math::
        w_{PQ} = \mathop{\mathrm{mean}}_{i \in Q} \sum_{j \in P} w_{ji}
        \qquad\text{or, with outprop,}\qquad
        w_{PQ} = \mathop{\mathrm{mean}}_{j \in P} \sum_{i \in Q} w_{ji}

    or the sum or the median in place of the mean. All members of a group count, those without an
    edge as 0, unless ``avg_within_connected``.

    Args:
        paths: columns pre, post, weight, perhaps layer, perhaps pre_activation and
            post_activation, of which the mean over edges is taken.
        pre_group: group of each neuron that sends in the first layer (without column layer: in
            all rows). A neuron that is not in it is a group of its own, here and below.
        post_group: group of each neuron that receives in the last layer (or in all rows).
        intermediate_group: group of each neuron elsewhere; default: ``pre_group``.
        avg_within_connected: members of Q (with outprop of P) count in w_PQ only with an edge from
            P (to Q) in this layer.
        outprop: combine over senders what each sends to Q, not over receivers what each gets.
        combining_method: ``mean``, ``sum`` or ``median``.

    Returns:
        Columns layer (if there is one), pre, post (names of groups, as text), activations (if
        there are any), weight; sorted. Of no paths (None, or no rows) what was given.

    Raises:
        ArgumentError: another way of combining, missing columns, a neuron on the paths whose group
            is a missing value.

    Differs from connectome_interpreter: the table given is not changed (there it gets columns
    pre_type and post_type), and a missing group is refused (there it is one named ``nan``). 2.9.5
    takes the median over edges, not over neurons; here all is as in the head.
    """
    if combining_method not in COMBINING:
        raise ArgumentError(
            f"combining_method is {combining_method!r}, expected one of {', '.join(COMBINING)}"
        )
    if paths is None or not len(paths):
        return paths
    check_columns(paths, ["pre", "post", "weight"], "paths: DataFrame")
    ids = pd.concat([paths["pre"], paths["post"]]).unique().tolist()
    middle = pre_group if intermediate_group is None else intermediate_group
    maps = _Maps(
        _filled(pre_group, ids, "pre_group"),
        _filled(middle, ids, "intermediate_group"),
        _filled(post_group, ids, "post_group"),
    )
    table = _between(paths, maps, outprop)
    keys = [*(["layer"] if "layer" in paths else []), "pre", "post"]
    members = table.groupby([*keys, "member"], sort=False)
    each = members.agg({"weight": "sum", "size": "first"}).reset_index()
    if avg_within_connected:
        each["size"] = each.groupby(keys)["member"].transform("size")
    weight = _combined(each, keys, combining_method)
    activity = [name for name in ("pre_activation", "post_activation") if name in paths]
    return table.groupby(keys)[activity].mean().join(weight).reset_index()


@dataclass(frozen=True)
class _Maps:
    """Name of each neuron's group, in the first layer, between, and in the last."""

    first: pd.Series
    middle: pd.Series
    last: pd.Series


def _filled(mapping: Mapped, ids: list, name: str) -> pd.Series:
    """Groups by neuron, as text; a neuron that has none is a group of its own."""
    given = dict(mapping) if mapping is not None else {}
    refuse_other_type(ids, given, name)
    whole = dict(zip(ids, ids, strict=True)) | given
    groups = pd.Series(list(whole.values()), index=pd.Index(list(whole)), dtype=object)
    absent = groups.index[groups.isna()]
    if absent.isin(ids).any():
        raise ArgumentError(
            f"{name} has no name for the group of {few(absent[absent.isin(ids)])}; give it one, "
            "such as 'unknown', or leave these neurons out of the mapping"
        )
    return groups.dropna().astype(str)


def _between(paths: pd.DataFrame, maps: _Maps, outprop: bool) -> pd.DataFrame:
    """A row an edge, its ends by group: who counts as a member, and of how many."""
    layer = paths["layer"].to_numpy() if "layer" in paths else np.zeros(len(paths))
    first, last = layer == layer.min(), layer == layer.max()
    names = {
        "pre": _named(paths["pre"], first, maps.first, maps.middle),
        "post": _named(paths["post"], last, maps.last, maps.middle),
    }
    side, at_end, end = ("pre", first, maps.first) if outprop else ("post", last, maps.last)
    sizes = [pd.Series(names[side]).map(of.value_counts()) for of in (end, maps.middle)]
    return paths.assign(
        **names,
        member=paths[side],
        size=np.where(at_end, *sizes),
        weight=paths["weight"].astype(np.float64),
    )


def _named(neurons: pd.Series, at_end: np.ndarray, end: pd.Series, middle: pd.Series) -> np.ndarray:
    return np.where(at_end, neurons.map(end), neurons.map(middle))


def _combined(each: pd.DataFrame, keys: list[str], method: str) -> pd.Series:
    """Mean, sum or median over ``size`` members, of whom those without a row have 0."""
    groups = each.groupby(keys)
    if method == "sum":
        return groups["weight"].sum()
    if method == "mean":
        return (groups["weight"].sum() / groups["size"].first()).rename("weight")
    # With zeros in more than half of the places the median is 0: only the others are filled up.
    count, size = groups.size(), groups["size"].first().astype(np.int64)
    lacking = (size - count).where(2 * count >= size, 0)
    zeros = lacking.index.repeat(lacking).to_frame(index=False).assign(weight=0.0)
    filled = pd.concat([each[[*keys, "weight"]], zeros]) if len(zeros) else each
    median = filled.groupby(keys)["weight"].median()
    return median.where(2 * count >= size, 0.0)

r"""Edges between groups from edges between neurons, under connectome_interpreter's name.

A neuron of the post group P receives :math:`\sum_{j \in Q} w_{ji}` from the pre group Q. The weight
of the edge Q -> P is the mean, sum or median of that over the neurons of P; seen from the senders
it is that of :math:`\sum_{i \in P} w_{ji}` over the neurons j of Q.
"""

from collections import Counter
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
import pandas as pd

from ngpipe.connectome.checks import check_columns, check_finite, check_kind
from ngpipe.errors import ArgumentError

METHODS = ("mean", "sum", "median")
Names = dict[Any, str]
"""Name of each neuron's group."""


def group_paths(
    paths: pd.DataFrame | None,
    pre_group: Mapping[Any, Any] | None = None,
    post_group: Mapping[Any, Any] | None = None,
    intermediate_group: Mapping[Any, Any] | None = None,
    avg_within_connected: bool = False,
    outprop: bool = False,
    combining_method: str = "mean",
) -> pd.DataFrame | None:
    r"""Paths between groups: edges of a layer summed over one end, combined over the other.

    With the default, the mean input of a neuron of P from all of Q, in layer l,

    .. math:: w^{(l)}_{QP} = \frac{1}{|P|} \sum_{i \in P} \sum_{j \in Q} w^{(l)}_{ji}

    ``sum`` leaves out 1 / \|P\|, ``median`` takes the median over i in P. With ``outprop`` it is
    the mean output of a neuron of Q to all of P: sums over P, mean, sum or median over Q. Neurons
    of P (or Q) without an edge in the table count as 0.

    Differs from connectome_interpreter: the table given is not changed (there it gets two columns);
    a neuron whose group is NaN or None stays by itself (there all of these are one group "nan").
    Its release 2.9.5 takes medians over edges, and means within connected neurons over those that
    any group reaches.

    Args:
        paths: columns pre, post, weight, perhaps layer, perhaps pre_activation and
            post_activation. Without layer all edges are of one hop.
        pre_group: group of neurons where paths begin; of a neuron that it lacks, or whose group is
            NaN or None: its own id.
        post_group: the same where they end.
        intermediate_group: the same in between; default: as ``pre_group``.
        avg_within_connected: take only the neurons of P (or Q) that have an edge with the other
            group in that layer.
        outprop: what a sender gives, not what a receiver gets.
        combining_method: ``mean``, ``sum`` or ``median``.

    Returns:
        Columns layer (if there was one), pre, post, weight, sorted; groups as strings. Activities
        are the mean over the edges between two groups. No rows, or None: what was given.

    Raises:
        ArgumentError: missing columns, a weight that is not finite, another combining_method; ids
            that are text in a mapping and numbers in the table, or the reverse.
    """
    check_method(combining_method)
    if paths is None or paths.empty:
        return paths
    check_columns(paths, ["pre", "post", "weight"], "paths: DataFrame")
    check_finite(paths["weight"], "paths: weights")
    table, names = _named(paths, (pre_group, post_group, intermediate_group))
    keys = [key for key in ("layer", "pre_name", "post_name") if key in table]
    end = "pre" if outprop else "post"
    sums = table.groupby([*keys, end], sort=False)["weight"].sum().reset_index()
    size = 0 if avg_within_connected else _sizes(sums, names, end)
    found = _combined(sums, keys, size, combining_method)
    activities = [name for name in ("pre_activation", "post_activation") if name in table]
    if activities:
        found = table.groupby(keys)[activities].mean().join(found)
    return found.reset_index().rename(columns={"pre_name": "pre", "post_name": "post"})


def check_method(combining_method: str) -> None:
    """Refuse a way of combining neurons that there is not.

    Raises:
        ArgumentError: naming it.
    """
    if combining_method not in METHODS:
        raise ArgumentError(
            f"combining_method is {combining_method!r}, expected one of {', '.join(METHODS)}"
        )


def names_of(group: Mapping[Any, Any] | None, neurons: Collection[Any]) -> Names:
    """Name of every neuron's group, of those that have none the neuron itself.

    Keys that are not among ``neurons`` stay: members of a group that have no edge.

    Raises:
        ArgumentError: as :func:`.check_kind`.
    """
    check_kind(group or {}, neurons, "the mapping to groups")
    whole = {neuron: neuron for neuron in neurons} | dict(group or {})
    return {neuron: str(neuron if pd.isna(name) else name) for neuron, name in whole.items()}


def _named(
    paths: pd.DataFrame, groups: tuple[Mapping[Any, Any] | None, ...]
) -> tuple[pd.DataFrame, tuple[Names, Names, Names]]:
    """The table with the names of both ends; names of first, last and other neurons."""
    everyone = pd.unique(pd.concat([paths["pre"], paths["post"]]))
    first = names_of(groups[0], everyone)
    last = names_of(groups[1], everyone)
    middle = first if groups[2] is None else names_of(groups[2], everyone)
    one_hop = "layer" not in paths
    starts = one_hop or (paths["layer"] == paths["layer"].min())
    stops = one_hop or (paths["layer"] == paths["layer"].max())
    pre, post = paths["pre"], paths["post"]
    table = paths.assign(
        pre_name=np.where(starts, pre.map(first), pre.map(middle)),
        post_name=np.where(stops, post.map(last), post.map(middle)),
    )
    return table, (first, last, middle)


def _sizes(sums: pd.DataFrame, names: tuple[Names, Names, Names], end: str) -> np.ndarray:
    """Neurons of the group at that end, for each row."""
    outer, middle = Counter(names[0 if end == "pre" else 1].values()), Counter(names[2].values())
    named = sums[f"{end}_name"]
    if "layer" not in sums:
        return named.map(outer).to_numpy()
    layer = sums["layer"]
    is_outer = layer == (layer.min() if end == "pre" else layer.max())
    return np.where(is_outer, named.map(outer), named.map(middle))


def _combined(
    sums: pd.DataFrame, keys: list[str], size: np.ndarray | int, method: str
) -> pd.Series:
    """Sums of neurons, combined over ``size`` of them: those without a row are 0."""
    groups = sums.assign(size=size).groupby(keys)
    if method == "sum":
        return groups["weight"].sum()
    present = groups.size()
    size = np.maximum(groups["size"].first(), present)
    if method == "mean":
        return (groups["weight"].sum() / size).rename("weight")
    silent = (size - present).astype(int)
    zeros = silent.index.repeat(silent).to_frame(index=False).assign(weight=0.0)
    return pd.concat([sums, zeros]).groupby(keys)["weight"].median()

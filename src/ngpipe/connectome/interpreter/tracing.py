"""Edges on the paths of a given length between neurons, under connectome_interpreter's names."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from ngpipe.connectome.checks import check_columns, check_kind
from ngpipe.connectome.groups import check_count, check_indices
from ngpipe.connectome.interpreter.grouping import Names, check_method, group_paths, names_of
from ngpipe.connectome.interpreter.pruning import doubt, filter_paths, listed
from ngpipe.connectome.weights import inprop_csr
from ngpipe.errors import ArgumentError

EDGE = ["pre", "post"]
Groups = Mapping[Any, Any] | None


def find_paths_of_length(
    edgelist: Any,  # noqa: ANN401
    inidx: Any,  # noqa: ANN401
    outidx: Any,  # noqa: ANN401
    target_layer_number: int,
    quiet: bool = False,
) -> pd.DataFrame | None:
    r"""Edges on the paths of exactly n hops from any source to any target.

    With :math:`a^{(0)}` the sources, :math:`b^{(n)}` the targets, an edge (j, i) is in layer l if

    .. math::
        j \in a^{(l-1)}, \; i \in b^{(l)}, \qquad
        a^{(l)} = \mathrm{post}(a^{(l-1)}), \qquad b^{(l-1)} = \mathrm{pre}(b^{(l)})

    A path may come back to a neuron. Time and memory grow as edges times hops.

    Args:
        edgelist: columns pre, post, weight; or a matrix ``[pre, post]``, or a connectome.
        inidx: sources, one or several; NaN is left out.
        outidx: targets.
        target_layer_number: hops n, from 1.
        quiet: no warning if there is no path.

    Returns:
        Columns pre, post, weight (with a table all of its columns) and layer, from 1. None if
        there is no path.

    Raises:
        ArgumentError: no sources, targets or hops, or neurons that a matrix does not have; ids
            that are text where the table has numbers, or the reverse.
    """
    hops = check_count("target_layer_number", target_layer_number, 1)
    layers = _Layers(edgelist, inidx, outidx, hops)
    found = layers.of(hops)
    if found is None:
        return doubt(f"no path of {hops} hops leads from inidx to outidx; change the hops", quiet)
    return found


def el_within_n_steps(  # noqa: PLR0913 (the signature of existing scripts)
    inprop: Any,  # noqa: ANN401
    inidx: Any,  # noqa: ANN401
    outidx: Any,  # noqa: ANN401
    n: int,
    threshold: int | float = 0,
    pre_group: Groups = None,
    post_group: Groups = None,
    return_raw_el: bool = False,
    combining_method: str = "mean",
    avg_within_connected: bool = False,
    all_connections_between_groups: bool = False,
    quiet: bool = False,
) -> pd.DataFrame | tuple[pd.DataFrame, pd.DataFrame] | None:
    r"""Edges on the paths of 1 to n hops from any source to any target, each once.

    Paths of each length are found (:func:`find_paths_of_length`), grouped if both groups are given
    (:func:`group_paths`), and cut to strong ones (:func:`filter_paths`). Groups Q and P may be
    joined by other neurons in another layer l of the paths of m hops; theirs is the weight

    .. math:: w_{QP} = w^{(m^*, l^*)}_{QP}, \qquad m^*, l^* = \arg\max_{m, l} |w^{(m, l)}_{QP}|

    Differs from connectome_interpreter: ``all_connections_between_groups`` finds the neurons of
    the groups (there names are looked for among row numbers, and none or wrong ones are found) and
    combines them by ``combining_method`` (there always the mean); lengths of which nothing is left
    above the threshold are left out (there it fails if none is left). 2.9.5 has ``steps`` as its
    second argument, which is not needed.

    Args:
        inprop: weights ``[pre, post]``, or a connectome, or a table as of
            :func:`find_paths_of_length`.
        inidx: sources, one or several; NaN is left out.
        outidx: targets.
        n: longest path [hops].
        threshold: as in :func:`filter_paths`; of groups, where they are given.
        pre_group: group of each source and of each neuron in between.
        post_group: group of each target.
        return_raw_el: return the edges between neurons as well.
        combining_method: ``mean``, ``sum`` or ``median``, see :func:`group_paths`.
        avg_within_connected: the same.
        all_connections_between_groups: for the pairs of groups found, the weight over all their
            neurons and not only those on paths. A post group is taken from ``post_group`` or, if
            it has no such name, from ``pre_group``.
        quiet: no warning if lengths have no path.

    Returns:
        Columns pre, post, weight, sorted; with ``return_raw_el`` two tables, the second between
        neurons with the layer where each edge was first met. None if there is no path.

    Raises:
        ArgumentError: as :func:`find_paths_of_length` and :func:`group_paths`; all connections
            between groups without both groups.
    """
    check_method(combining_method)
    grouped = pre_group is not None and post_group is not None
    if all_connections_between_groups and not grouped:
        raise ArgumentError(
            "all_connections_between_groups has no groups; give both pre_group and post_group"
        )
    hops = check_count("n", n, 1)
    layers = _Layers(inprop, inidx, outidx, hops)
    raw = [path for path in layers if path is not None]
    how: dict[str, Any] = {
        "avg_within_connected": avg_within_connected,
        "combining_method": combining_method,
    }
    named = [group_paths(path, pre_group, post_group, **how) for path in raw] if grouped else raw
    strong = [filter_paths(path, threshold, quiet=True) for path in named]
    kept = [path for path in strong if path is not None]
    if not kept:
        return doubt(
            f"no path of 1 to {hops} hops with weights above {threshold:g} leads from inidx to "
            "outidx; raise n or lower threshold",
            quiet,
        )
    found = _largest(pd.concat(kept, ignore_index=True))
    if all_connections_between_groups:
        groups = names_of(pre_group, layers.neurons), names_of(post_group, layers.neurons)
        found = _between(layers.edges, found, groups, combining_method)
    if not return_raw_el:
        return found
    return found, pd.concat(raw, ignore_index=True).drop_duplicates([*EDGE, "weight"])


class _Layers:
    """Edges by layer of the paths of each length, from 1 to ``hops``."""

    def __init__(self, edgelist: Any, inidx: Any, outidx: Any, hops: int) -> None:  # noqa: ANN401
        self.edges, n = _edges(edgelist)
        ends = [_neurons(inidx, "inidx", n), _neurons(outidx, "outidx", n)]
        both = pd.concat([self.edges["pre"], self.edges["post"]], ignore_index=True)
        codes, self.neurons = pd.factorize(both)
        for end, name in zip(ends, ("inidx", "outidx"), strict=True):
            check_kind(end, self.neurons, name)
        self.pre, self.post = np.split(codes, 2)
        sources, targets = (np.isin(self.neurons, end) for end in ends)
        self.forward = list(_reached(sources, self.pre, self.post, hops))
        self.backward = list(_reached(targets, self.post, self.pre, hops))
        self.hops = hops

    def __iter__(self) -> Iterator[pd.DataFrame | None]:
        return (self.of(hops) for hops in range(1, self.hops + 1))

    def of(self, hops: int) -> pd.DataFrame | None:
        """Rows on paths of this many hops."""
        layers = []
        for layer in range(1, hops + 1):
            starts, stops = self.forward[layer - 1], self.backward[hops - layer]
            edges = self.edges[starts[self.pre] & stops[self.post]]
            if edges.empty:
                return None
            layers.append(edges.assign(layer=layer))
        return pd.concat(layers, ignore_index=True)


def _reached(start: np.ndarray, near: np.ndarray, far: np.ndarray, hops: int) -> Iterator:
    """``(neuron,)``: whom so many hops reach, from 0."""
    yield start
    for _ in range(hops - 1):
        reached = np.zeros_like(start)
        reached[far[start[near]]] = True
        yield (start := reached)


def _edges(edgelist: Any) -> tuple[pd.DataFrame, int | None]:  # noqa: ANN401
    """Edges, and the number of neurons, which a table does not tell."""
    if isinstance(edgelist, pd.DataFrame):
        check_columns(edgelist, [*EDGE, "weight"], "edgelist: DataFrame")
        return edgelist, None
    coo = inprop_csr(edgelist).tocoo()
    stored = coo.data != 0
    ends = {"pre": coo.row[stored], "post": coo.col[stored]}
    return pd.DataFrame({**ends, "weight": coo.data[stored]}), coo.shape[0]


def _neurons(given: Any, name: str, n: int | None) -> list:  # noqa: ANN401
    neurons = listed(given)
    if not neurons:
        raise ArgumentError(f"{name} has no neurons; give at least one")
    return neurons if n is None else check_indices(neurons, n, name).tolist()


def _largest(table: pd.DataFrame) -> pd.DataFrame:
    """Each pair once, with the weight of largest magnitude."""
    order = table["weight"].abs().sort_values(kind="stable", ascending=False).index
    largest = table.loc[order].drop_duplicates(EDGE)
    return largest.sort_values(EDGE, ignore_index=True)[[*EDGE, "weight"]]


def _between(
    edges: pd.DataFrame, pairs: pd.DataFrame, groups: tuple[Names, Names], combining_method: str
) -> pd.DataFrame:
    """The pairs with the weights between all neurons of their groups."""
    pre, targets = groups
    ends = set(targets.values())
    sends = edges["pre"].map(pre).isin(set(pairs["pre"]))
    found = []
    for post, wanted in (
        (targets, pairs[pairs["post"].isin(ends)]),
        (pre, pairs[~pairs["post"].isin(ends)]),
    ):
        gets = edges["post"].map(post).isin(set(wanted["post"]))
        among = edges.loc[sends & gets, [*EDGE, "weight"]]
        if not among.empty:
            whole = group_paths(among, pre, post, combining_method=combining_method)
            found.append(wanted[EDGE].merge(whole, on=EDGE))
    return pd.concat(found).sort_values(EDGE, ignore_index=True)

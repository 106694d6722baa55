"""Paths through tables of edges, counted, listed and the shortest, under connectome_interpreter's
names.

A path takes one row of each layer, from the first layer to the last, each beginning where the one
before it ended.
"""

from collections import Counter, defaultdict
from collections.abc import Hashable, Iterator
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.sparse import csgraph

from ngpipe.connectome.checks import check_columns, check_finite, check_kind
from ngpipe.connectome.interpreter.pruning import listed
from ngpipe.errors import ArgumentError

Walk = list[tuple[Any, Any, Any]]
"""(pre, post, weight) of each hop."""
Layer = dict[Hashable, list[tuple[Any, Any]]]
"""pre -> (post, weight) of every row, in the order of the table."""
LOOPS = ("allow", "exclude", "both")


def enumerate_paths(
    edgelist: pd.DataFrame,
    start_layer: int = 1,
    end_layer: int | None = None,
    return_generator: bool = False,
) -> list[Walk] | Iterator[Walk]:
    """Every path that begins in one layer and ends in another.

    Args:
        edgelist: columns layer, pre, post, weight.
        start_layer: where paths begin.
        end_layer: where they end; default: the last layer.
        return_generator: one at a time, for tables with more paths than fit in memory.

    Returns:
        Lists of (pre, post, weight), one for each hop.

    Raises:
        ArgumentError: missing columns, or layers in the wrong order.
    """
    layers = _layers(edgelist, start_layer, end_layer, ["layer", "pre", "post", "weight"])
    found = _walks(layers)
    return found if return_generator else list(found)


def count_paths(
    edgelist: pd.DataFrame,
    start_layer: int = 1,
    end_layer: int | None = None,
    loop_mode: str = "allow",
) -> int | tuple[int, int]:
    """Number of paths that :func:`enumerate_paths` lists.

    All are counted layer by layer; those without loops are walked one by one, as whether a path
    comes back depends on where it has been.

    Args:
        edgelist: columns layer, pre, post.
        start_layer: where paths begin.
        end_layer: where they end; default: the last layer.
        loop_mode: ``allow``: all; ``exclude``: those that visit no neuron twice, but that a path
            may end where it began; ``both``: the two numbers.

    Raises:
        ArgumentError: missing columns, layers in the wrong order, an unknown mode.
    """
    if loop_mode not in LOOPS:
        raise ArgumentError(f"loop_mode is '{loop_mode}', expected one of {', '.join(LOOPS)}")
    layers = _layers(edgelist, start_layer, end_layer, ["layer", "pre", "post"])
    every = _count(layers) if loop_mode != "exclude" else 0
    without = sum(1 for _ in _walks(layers, loops=False)) if loop_mode != "allow" else 0
    if loop_mode == "both":
        return every, without
    return every if loop_mode == "allow" else without


def find_shortest_paths(
    paths: pd.DataFrame,
    start_nodes: Any,  # noqa: ANN401
    end_nodes: Any,  # noqa: ANN401
) -> list[list[Any]]:
    r"""The shortest path between each two nodes, an edge being as long as it is weak.

    .. math:: \arg\min_{p} \sum_{(j, i) \in p} \frac{1}{|w_{ji}|}

    Differs from connectome_interpreter: of an edge with several weights the strongest counts (there
    their lengths add up); lengths are of magnitudes, so that inhibition has paths.

    Args:
        paths: columns pre, post, weight; layers do not count.
        start_nodes: where paths begin, one or several.
        end_nodes: where they end.

    Returns:
        Nodes from start to end, for each start and each other end in the order given; pairs without
        a path are left out.

    Raises:
        ArgumentError: missing columns, a weight that is not finite; nodes that are text where the
            table has numbers, or the reverse.
    """
    check_columns(paths, ["pre", "post", "weight"], "paths: DataFrame")
    check_finite(paths["weight"], "paths: weights")
    edges = paths[["pre", "post"]].assign(size=paths["weight"].abs())
    edges = edges[edges["size"] > 0].groupby(["pre", "post"], sort=False)["size"].max()
    ends = [edges.index.get_level_values(level) for level in ("pre", "post")]
    codes, nodes = pd.factorize(np.concatenate([end.to_numpy(object) for end in ends]))
    for given, name in ((start_nodes, "start_nodes"), (end_nodes, "end_nodes")):
        check_kind(listed(given), nodes, name)
    at = {node: k for k, node in enumerate(nodes)}
    n = len(nodes)
    lengths = sparse.csr_array((1 / edges.to_numpy(), tuple(np.split(codes, 2))), shape=(n, n))
    found = []
    for start in (node for node in listed(start_nodes) if node in at):
        _, before = csgraph.dijkstra(lengths, indices=at[start], return_predecessors=True)
        stops = [at[end] for end in listed(end_nodes) if end in at and end != start]
        found += [_back(before, stop) for stop in stops if before[stop] >= 0]
    return [[nodes[k] for k in path] for path in found]


def _back(before: np.ndarray, stop: int) -> list[int]:
    """From the start to ``stop``, by the node in front of each; in front of the start is none."""
    path = [stop]
    while before[path[-1]] >= 0:
        path.append(int(before[path[-1]]))
    return path[::-1]


def _layers(edgelist: pd.DataFrame, start: int, end: int | None, columns: list[str]) -> list[Layer]:
    check_columns(edgelist, columns, "edgelist: DataFrame")
    end = int(edgelist["layer"].max()) if end is None else end
    if start > end:
        raise ArgumentError(
            f"start_layer is {start}, expected at most end_layer, {end}; exchange them"
        )
    weights = edgelist["weight"] if "weight" in edgelist else [None] * len(edgelist)
    layers: dict[int, Layer] = defaultdict(lambda: defaultdict(list))
    for layer, pre, post, weight in zip(
        edgelist["layer"], edgelist["pre"], edgelist["post"], weights, strict=True
    ):
        layers[layer][pre].append((post, weight))
    return [layers[layer] for layer in range(start, end + 1)]


def _walks(layers: list[Layer], *, loops: bool = True) -> Iterator[Walk]:
    """Depth first, in the order of the table, without recursion."""
    for first in layers[0]:
        open_rows = [iter(layers[0][first])]
        walk: Walk = []
        while open_rows:
            row = next(open_rows[-1], None)
            if row is None:
                open_rows.pop()
                if walk:
                    walk.pop()
                continue
            pre = walk[-1][1] if walk else first
            is_last = len(walk) + 1 == len(layers)
            if not loops and _comes_back(walk, first, row[0], is_last):
                continue
            walk.append((pre, *row))
            if is_last:
                yield walk.copy()
                walk.pop()
            else:
                open_rows.append(iter(layers[len(walk)].get(row[0], [])))


def _comes_back(walk: Walk, first: Hashable, post: Hashable, is_last: bool) -> bool:
    return any(post == hop[1] for hop in walk) or (post == first and not is_last)


def _count(layers: list[Layer]) -> int:
    reached = Counter(layers[0].keys())
    for layer in layers:
        following: Counter[Hashable] = Counter()
        for pre, count in reached.items():
            for post, _ in layer.get(pre, []):
                following[post] += count
        reached = following
    return sum(reached.values())

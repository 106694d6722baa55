"""What is left of paths: by a search of every path, and tables made by hand."""

from itertools import pairwise, product

import numpy as np
import pandas as pd
import pytest

from ngpipe.connectome import (
    connected_components,
    filter_paths,
    remove_excess_neurons,
    remove_excess_neurons_batched,
)
from ngpipe.errors import ArgumentError, DoubtfulWarning

#  a > b > d > f   a > c (leads nowhere)   e > f (from nowhere)   x > y > z > x
TABLE = pd.DataFrame(
    [
        (3, "e", "f", 0.9),
        (1, "a", "b", 0.5),
        (1, "a", "c", 0.9),
        (2, "b", "d", -0.4),
        (3, "d", "f", 0.3),
        (1, "x", "y", 0.1),
        (2, "y", "z", 0.2),
        (3, "z", "x", 0.8),
    ],
    columns=["layer", "pre", "post", "weight"],
    index=range(10, 18),
)
ON_PATHS = [11, 13, 14, 15, 16, 17]


def random_table(rng, layers, edges=18):
    ends, layer = rng.integers(0, 6, (2, edges)), rng.integers(1, layers + 1, edges)
    return pd.DataFrame(
        {"layer": layer, "pre": ends[0], "post": ends[1], "weight": rng.random(edges)}
    )


def on_paths(table, allowed):
    """Rows on a path from the first layer to the last, each path tried in turn."""
    layers = sorted(table["layer"].unique())
    rows = [list(table[table["layer"] == layer].itertuples()) for layer in layers]
    found = set()
    for path in product(*rows):
        nodes = [path[0].pre, *(edge.post for edge in path)]
        joined = all(one.post == two.pre for one, two in pairwise(path))
        if joined and all(allowed(place, node) for place, node in enumerate(nodes, 1)):
            found |= {edge.Index for edge in path}
    return sorted(found)


def index_of(table):
    return [] if table is None else sorted(table.index)


@pytest.mark.quick(2)
@pytest.mark.parametrize("layers", [1, 2, 3, 4])
def test_only_edges_on_a_path_stay(rng, layers):
    for _ in range(5):
        table = random_table(rng, layers)
        found = remove_excess_neurons(table, quiet=True)
        assert index_of(found) == on_paths(table, lambda *_: True)
        ends = sorted(set(table["post"][table["layer"] == table["layer"].max()]))[:2]
        found = remove_excess_neurons(table, target_indices=ends, quiet=True)
        last = table["layer"].max() + 1
        expected = on_paths(table, lambda place, node: place < last or node in ends)  # noqa: B023
        assert index_of(found) == expected


def test_rows_keep_their_order_and_the_table_stays():
    before = TABLE.copy()
    left = remove_excess_neurons(TABLE)
    assert left.index.tolist() == ON_PATHS
    pd.testing.assert_frame_equal(left, TABLE.loc[ON_PATHS])
    pd.testing.assert_frame_equal(TABLE, before)
    later = TABLE.assign(layer=TABLE["layer"] + 3)
    assert remove_excess_neurons(later).index.tolist() == ON_PATHS


def test_neurons_to_keep_may_begin_and_end_anywhere():
    assert set(remove_excess_neurons(TABLE, keep="c").index) == {*ON_PATHS, 12}
    assert set(remove_excess_neurons(TABLE, keep=["c", "e"]).index) == set(TABLE.index)
    stub = pd.concat([TABLE, TABLE[:1].assign(layer=2, pre="b", post="x")], ignore_index=True)
    both = {"target_indices": ["x", "f"]}
    assert len(remove_excess_neurons(stub, **both)) == 6
    assert len(remove_excess_neurons(stub, **both, keep_targets_in_middle=True)) == 7


def test_layers_before_a_gap_are_left_out():
    with pytest.warns(DoubtfulWarning, match="there is no layer 2; only layers from 3"):
        left = remove_excess_neurons(TABLE[TABLE["layer"] != 2])
    assert left.index.tolist() == [10, 14, 17]


def test_strong_paths_through_given_neurons(rng):
    assert filter_paths(TABLE) is TABLE
    assert filter_paths(TABLE, 0.25).index.tolist() == [11, 13, 14]  # inhibition is strong
    assert filter_paths(TABLE, necessary_intermediate={4: "f"}).index.tolist() == [11, 13, 14]
    for _ in range(5):
        table, through = random_table(rng, 3, 25), {2: {0, 1, 2, 3}, 4: np.array([1, 2, 3])}
        found = filter_paths(table, 0.2, through, quiet=True)
        strong = table[table["weight"] > 0.2]
        expected = on_paths(strong, lambda place, n: place not in through or n in through[place])  # noqa: B023
        assert index_of(found) == expected


def test_no_path_is_none_with_the_reason():
    with pytest.warns(DoubtfulWarning, match=r"no path is left with threshold=0.85; lower it"):
        assert filter_paths(TABLE, 0.85, {1: "a"}) is None
    with pytest.warns(DoubtfulWarning, match="necessary_intermediate in layer 2; name more"):
        assert filter_paths(TABLE, necessary_intermediate={2: ["f"]}) is None
    with pytest.warns(DoubtfulWarning, match="no path is left from the first layer to the last"):
        assert remove_excess_neurons(TABLE[TABLE["pre"].isin(["e", "a", "y"])]) is None
    assert filter_paths(TABLE[:0], quiet=True) is None
    assert connected_components(TABLE, 2.0, quiet=True) == []


def test_parts_share_no_neuron():
    first, second = connected_components(TABLE)
    assert first.index.tolist() == [11, 13, 14]
    assert second.index.tolist() == [15, 16, 17]
    assert first["component_idx"].tolist() == [0, 0, 0]
    assert second["component_idx"].tolist() == [1, 1, 1]
    bridged = pd.concat([TABLE, TABLE[-1:].assign(pre="d")])
    assert [len(part) for part in connected_components(bridged)] == [7]
    assert [len(part) for part in connected_components(TABLE[TABLE["layer"] < 3], quiet=True)] == [
        2,
        2,
    ]


def test_refusals():
    with pytest.raises(ArgumentError, match="the table given to filter_paths has no rows"):
        filter_paths(TABLE[:0])
    with pytest.raises(ArgumentError, match=r"target_indices has \['q'\], which are no post"):
        remove_excess_neurons(TABLE, target_indices="q")
    with pytest.raises(ArgumentError, match="necessary_intermediate has layer 5, expected 1 to 4"):
        filter_paths(TABLE, necessary_intermediate={5: "f"})
    with pytest.raises(ArgumentError, match="layer"):
        remove_excess_neurons(TABLE[["pre", "post"]])


BATCHED = pd.DataFrame(
    [(0, 1, "a", "b"), (0, 2, "b", "c"), (0, 2, "x", "c"), (1, 1, "a", "b"), (1, 2, "b", "d")],
    columns=["batch", "layer", "pre", "post"],
)


def test_batches_are_looked_at_one_by_one():
    found = remove_excess_neurons_batched(BATCHED)
    assert found.index.tolist() == [0, 1, 3, 4]
    assert remove_excess_neurons_batched(BATCHED, keep="x").index.tolist() == [0, 1, 2, 3, 4]
    assert remove_excess_neurons_batched(BATCHED, target_indices=["c"]).index.tolist() == [0, 1]
    with pytest.raises(ArgumentError, match=r"\['z'\], which are no post neurons of the last laye"):
        remove_excess_neurons_batched(BATCHED, target_indices=["c", "z"])
    with pytest.raises(ArgumentError, match="it lacks \\['batch'\\]"):
        remove_excess_neurons_batched(BATCHED.drop(columns="batch"))
    with pytest.warns(DoubtfulWarning, match="no batch has a path"):
        assert remove_excess_neurons_batched(BATCHED[[True, False, True, False, False]]) is None


def test_neurons_to_keep_are_those_of_the_table():
    numbered = pd.DataFrame({"layer": [1, 2, 2], "pre": [0, 1, 5], "post": [1, 2, 2]})
    assert len(remove_excess_neurons(numbered, keep=5)) == 3
    for function in (remove_excess_neurons, remove_excess_neurons_batched):
        with pytest.raises(ArgumentError, match="keep has neurons such as '5', the"):
            function(numbered.assign(batch=0), keep=["5"])
        with pytest.warns(DoubtfulWarning, match=r"keep has \[77\], which no edge of df has"):
            assert len(function(numbered.assign(batch=0), keep=[77])) == 2
    with pytest.raises(ArgumentError, match=r"necessary_intermediate of layer 2 has .* '1'"):
        filter_paths(numbered.assign(weight=1.0), necessary_intermediate={2: "1"})

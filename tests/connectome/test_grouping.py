"""Edges between groups: the definition, neuron by neuron, and numbers made by hand."""

from itertools import product

import numpy as np
import pandas as pd
import pytest

from ngpipe.connectome import group_paths
from ngpipe.errors import ArgumentError

COMBINE = {"mean": np.mean, "sum": np.sum, "median": np.median}
TABLE = pd.DataFrame({"pre": [0, 1, 0], "post": [2, 2, 3], "weight": [0.2, 0.4, 0.3]})
TYPES = {0: "S", 1: "S", 2: "A", 3: "A", 4: "A", 5: "A"}


def by_definition(table, pre, post, middle, connected, outprop, combining):
    """The weight of every edge between groups, by loops over all neurons."""
    first, last = table["layer"].min(), table["layer"].max()
    found = {}
    for layer in table["layer"].unique():
        sends, gets = (pre if layer == first else middle), (post if layer == last else middle)
        rows = table[table["layer"] == layer]
        weight = rows.groupby(["pre", "post"])["weight"].sum().to_dict()
        pairs = {(sends[p], gets[q]) for p, q in weight}
        for source, target in pairs:
            senders = [n for n in sends if sends[n] == source]
            receivers = [n for n in gets if gets[n] == target]
            summed, over = (receivers, senders) if outprop else (senders, receivers)
            values = []
            for neuron in over:
                edges = [(neuron, n) if outprop else (n, neuron) for n in summed]
                if not connected or any(edge in weight for edge in edges):
                    values.append(sum(weight.get(edge, 0.0) for edge in edges))
            found[int(layer), source, target] = COMBINE[combining](values)
    return found


@pytest.mark.quick(1)
@pytest.mark.parametrize("combining", COMBINE)
def test_weights_are_those_of_the_definition(rng, combining):
    ends, layer = rng.integers(0, 6, (2, 40)), rng.integers(1, 4, 40)
    table = pd.DataFrame(
        {"layer": layer, "pre": ends[0], "post": ends[1], "weight": rng.random(40)}
    )
    pre, post, middle = ({n: "ABC"[k] for n, k in enumerate(rng.integers(0, 3, 9))} for _ in "123")
    for connected, outprop in product((False, True), repeat=2):
        told = group_paths(table, pre, post, middle, connected, outprop, combining)
        expected = by_definition(table, pre, post, middle, connected, outprop, combining)
        keys = told[["layer", "pre", "post"]].itertuples(index=False, name=None)
        found = dict(zip(keys, told["weight"], strict=True))
        assert found == pytest.approx(expected)
        assert list(found) == sorted(found)


@pytest.mark.parametrize(
    ("options", "weight"),
    [
        ({}, 0.9 / 4),  # 0.6, 0.3, 0, 0
        ({"combining_method": "sum"}, 0.9),
        ({"combining_method": "median"}, 0.15),
        ({"avg_within_connected": True}, 0.45),
        ({"outprop": True}, 0.45),  # 0.5 and 0.4
        ({"outprop": True, "combining_method": "sum"}, 0.9),
    ],
)
def test_neurons_without_an_edge_count(options, weight):
    before = TABLE.copy()
    grouped = group_paths(TABLE, TYPES, TYPES, **options)
    assert grouped.columns.tolist() == ["pre", "post", "weight"]
    assert grouped.values.tolist() == [["S", "A", pytest.approx(weight)]]
    pd.testing.assert_frame_equal(TABLE, before)


def test_names_and_activities():
    table = TABLE.assign(layer=[1, 1, 2], pre_activation=[1.0, 0.0, 0.5], post_activation=1.0)
    grouped = group_paths(table, {0: 7, 1: 7}, {3: "end"})
    columns = ["layer", "pre", "post", "pre_activation", "post_activation", "weight"]
    assert grouped.columns.tolist() == columns
    expected = [[1, "7", "2", 0.5, 1.0, pytest.approx(0.6)], [2, "7", "end", 0.5, 1.0, 0.3]]
    assert grouped.values.tolist() == expected
    assert group_paths(None) is None
    assert group_paths(TABLE[:0]).empty


def test_refusals():
    with pytest.raises(ArgumentError, match="combining_method is 'max', expected one of mean"):
        group_paths(TABLE, combining_method="max")
    with pytest.raises(ArgumentError, match=r"weights hold .*nan.* as value in row 0"):
        group_paths(TABLE.assign(weight=np.nan))
    with pytest.raises(ArgumentError, match="weight"):
        group_paths(TABLE[["pre", "post"]])


@pytest.mark.parametrize("absent", [None, np.nan, pd.NA])
def test_neurons_without_a_type_are_no_type(absent):
    grouped = group_paths(TABLE, {0: absent, 1: absent}, {2: "A", 3: "A"})
    assert grouped[["pre", "post"]].values.tolist() == [["0", "A"], ["1", "A"]]
    assert grouped["weight"].tolist() == pytest.approx([0.25, 0.2])


def test_text_is_not_joined_to_numbers():
    with pytest.raises(ArgumentError, match="groups has neurons such as '0', the table such as 0"):
        group_paths(TABLE, {"0": "S", "1": "S"})
    with pytest.raises(ArgumentError, match="groups has neurons such as 0, the table such as '0'"):
        group_paths(TABLE.astype({"pre": str, "post": str}), TYPES)

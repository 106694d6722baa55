"""Edges on paths of a length, found by trying every path, and what is taken of them."""

from itertools import pairwise, product

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from ngpipe.connectome import el_within_n_steps, find_paths_of_length, group_paths
from ngpipe.errors import ArgumentError, DoubtfulWarning
from ngpipe.wiring.container import Connectome

INPROP = np.zeros((6, 6))
#      0, 1: S    2, 3: M    4, 5: T
for pre, post, weight in [(0, 2, 0.4), (1, 3, 0.8), (2, 4, 0.5), (3, 5, 0.1), (0, 4, 0.3)]:
    INPROP[pre, post] = weight
TYPES = dict(enumerate("SSMMTT"))


def rows(table):
    return table.round(12).values.tolist()


def edges_by_trial(inprop, sources, targets, hops):
    """(pre, post, layer) of all edges on a path, each path tried in turn."""
    found = set()
    for path in product(range(len(inprop)), repeat=hops + 1):
        joined = all(inprop[pre, post] for pre, post in pairwise(path))
        if joined and path[0] in sources and path[-1] in targets:
            found |= {(*edge, layer) for layer, edge in enumerate(pairwise(path), 1)}
    return sorted(found)


@pytest.mark.parametrize("hops", [1, 2, 3, 4])
def test_all_edges_on_a_path_of_that_length_and_no_other(rng, hops):
    inprop = rng.random((6, 6)) * (rng.random((6, 6)) < 0.3)
    expected = edges_by_trial(inprop, {0, 1}, {2, 3}, hops)
    table = find_paths_of_length(sparse.csc_matrix(inprop), [1, 0, np.nan], {2, 3}, hops)
    assert sorted(table[["pre", "post", "layer"]].itertuples(index=False, name=None)) == expected
    assert (table["weight"] == inprop[table["pre"], table["post"]]).all()
    pre, post = np.nonzero(inprop)
    edges = pd.DataFrame({"pre": pre, "post": post, "weight": inprop[pre, post], "sign": 1})
    listed = find_paths_of_length(edges, pd.Series([0, 1]), np.array([2, 3]), hops)
    assert listed.columns.tolist() == ["pre", "post", "weight", "sign", "layer"]
    columns = ["layer", "pre", "post", "weight"]
    pd.testing.assert_frame_equal(
        *(t[columns].sort_values(columns, ignore_index=True) for t in (listed, table)),
        check_dtype=False,
    )


def test_edges_within_some_hops():
    edges = el_within_n_steps(INPROP, 0, 4, 3)
    assert rows(edges) == [[0, 2, 0.4], [0, 4, 0.3], [2, 4, 0.5]]
    assert rows(el_within_n_steps(INPROP, 0, 4, 1)) == [[0, 4, 0.3]]
    strong, raw = el_within_n_steps(INPROP, 0, 4, 2, threshold=0.35, return_raw_el=True)
    assert rows(strong) == [[0, 2, 0.4], [2, 4, 0.5]]
    assert rows(raw) == [[0, 4, 0.3, 1], [0, 2, 0.4, 1], [2, 4, 0.5, 2]]
    inhibits = np.where(INPROP == 0.4, -0.4, INPROP)
    assert rows(el_within_n_steps(inhibits, 0, 4, 2, threshold=0.35)) == [[0, 2, -0.4], [2, 4, 0.5]]
    connectome = Connectome(sparse.csr_array(INPROP.T), pd.DataFrame({"id": range(6)}))
    np.testing.assert_allclose(el_within_n_steps(connectome, 0, 4, 3), edges)


@pytest.mark.parametrize(
    ("options", "weights"),
    [
        ({}, [0.25, 0.2, 0.15]),  # M > T, S > M, S > T
        ({"combining_method": "sum"}, [0.5, 0.4, 0.3]),
        ({"avg_within_connected": True}, [0.5, 0.4, 0.3]),
        ({"all_connections_between_groups": True}, [0.3, 0.6, 0.15]),  # of all six neurons
        ({"all_connections_between_groups": True, "combining_method": "sum"}, [0.6, 1.2, 0.3]),
    ],
)
def test_edges_between_groups(options, weights):
    edges = el_within_n_steps(INPROP, 0, 4, 2, pre_group=TYPES, post_group=TYPES, **options)
    assert edges[["pre", "post"]].values.tolist() == [["M", "T"], ["S", "M"], ["S", "T"]]
    np.testing.assert_allclose(edges["weight"], weights)


def test_the_largest_of_layers_stands_for_a_pair():
    inprop = np.zeros((5, 5))
    inprop[0, 1], inprop[1, 2], inprop[0, 2], inprop[2, 3], inprop[1, 3] = 0.1, -0.9, 0.3, 0.2, 0.6
    groups = {0: "A", 1: "A", 2: "B", 3: "C", 4: "B"}
    paths = find_paths_of_length(inprop, [0, 1], 3, 2)
    by_layer = group_paths(paths, groups, groups)
    assert rows(by_layer[by_layer["post"] == "B"]) == [[1, "A", "B", -0.3]]
    edges = el_within_n_steps(inprop, [0, 1], 3, 3, pre_group=groups, post_group=groups)
    assert rows(edges[edges["post"] == "B"]) == [["A", "B", -0.45]]  # of three hops: 0 > 1 > 2 > 3


def test_a_group_in_between_that_post_group_does_not_name():
    edges = el_within_n_steps(
        INPROP, 0, 4, 2, pre_group=TYPES, post_group={4: "end", 5: "end"},
        all_connections_between_groups=True,
    )  # fmt: skip
    assert rows(edges) == [["M", "end", 0.3], ["S", "M", 0.6], ["S", "end", 0.15]]


def test_no_path_is_none_with_the_reason():
    with pytest.warns(DoubtfulWarning, match="no path of 3 hops leads from inidx to outidx"):
        assert find_paths_of_length(INPROP, 0, 4, 3) is None
    with pytest.warns(DoubtfulWarning, match=r"no path of 1 to 2 hops with weights above 0.9"):
        assert el_within_n_steps(INPROP, 0, 4, 2, threshold=0.9) is None
    assert el_within_n_steps(INPROP, 5, 0, 4, return_raw_el=True, quiet=True) is None


def test_refusals():
    with pytest.raises(ArgumentError, match="target_layer_number is 0, expected at least 1"):
        find_paths_of_length(INPROP, 0, 4, 0)
    with pytest.raises(ArgumentError, match="inidx has no neurons; give at least one"):
        find_paths_of_length(INPROP, [], 4, 1)
    with pytest.raises(ArgumentError, match=r"outidx 6 is out of range: expected 0 to 5"):
        find_paths_of_length(INPROP, 0, 6, 1)
    with pytest.raises(ArgumentError, match="give both pre_group and post_group"):
        el_within_n_steps(INPROP, 0, 4, 1, pre_group=TYPES, all_connections_between_groups=True)
    with pytest.raises(ArgumentError, match="combining_method is 'max'"):
        el_within_n_steps(INPROP, 0, 4, 1, combining_method="max")


def test_text_is_not_joined_to_numbers():
    table = pd.DataFrame({"pre": [0], "post": [1], "weight": [0.5]})
    with pytest.raises(ArgumentError, match="inidx has neurons such as '0', the table such as 0"):
        find_paths_of_length(table, "0", 1, 1)
    with pytest.raises(ArgumentError, match="outidx has neurons such as 1, the table such as '0'"):
        el_within_n_steps(table.astype({"pre": str, "post": str}), "0", 1, 1)

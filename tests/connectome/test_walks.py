"""Paths through tables of edges: connectome_interpreter's numbers on a table with loops."""

import numpy as np
import pandas as pd
import pytest
from examples import at_most
from hypothesis import given
from hypothesis import strategies as st

from ngpipe.connectome import count_paths, enumerate_paths
from ngpipe.errors import ArgumentError

TABLE = pd.DataFrame(
    {
        "layer": [1, 1, 1, 2, 2, 2, 2, 3, 3, 3],
        "pre": ["a", "a", "b", "b", "b", "c", "c", "a", "c", "d"],
        "post": ["b", "c", "c", "a", "c", "c", "d", "b", "a", "a"],
        "weight": [0.5, 0.25, 1.0, 0.5, 0.5, 0.1, 0.9, 0.3, 0.7, 0.2],
    }
)
PATHS = ["abab", "abca", "acca", "acda", "bcca", "bcda"]
"""Of connectome_interpreter at commit 695c776, in its order."""


def spelled(walk):
    return walk[0][0] + "".join(post for _, post, _ in walk)


def test_every_path_in_the_order_of_the_table():
    found = enumerate_paths(TABLE)
    assert [spelled(walk) for walk in found] == PATHS
    assert found[0] == [("a", "b", 0.5), ("b", "a", 0.5), ("a", "b", 0.3)]
    assert list(enumerate_paths(TABLE, return_generator=True)) == found
    assert [spelled(w) for w in enumerate_paths(TABLE, 2, 2)] == ["ba", "bc", "cc", "cd"]


def test_loops_are_those_that_come_back_before_the_end():
    assert count_paths(TABLE) == 6
    assert count_paths(TABLE, loop_mode="exclude") == 3
    assert count_paths(TABLE, loop_mode="both") == (6, 3)


@at_most(20)
@given(st.integers(0, 999), st.integers(1, 4))
def test_counts_are_those_of_the_list(seed, hops):
    rng = np.random.default_rng(seed)
    ends = rng.integers(0, 4, (2, 25))
    layer = rng.integers(1, hops + 1, 25)
    table = pd.DataFrame({"layer": layer, "pre": ends[0], "post": ends[1], "weight": 1.0})
    walks = enumerate_paths(table, 1, hops)
    inner = [[pre for pre, _, _ in walk] for walk in walks]
    lone = [
        len(set(nodes)) == len(nodes) and walk[-1][1] not in nodes[1:]
        for nodes, walk in zip(inner, walks, strict=True)
    ]
    assert count_paths(table, 1, hops, "both") == (len(walks), sum(lone))


def test_refusals():
    with pytest.raises(ArgumentError, match="start_layer is 3, expected at most end_layer, 2"):
        enumerate_paths(TABLE, 3, 2)
    with pytest.raises(ArgumentError, match="loop_mode is 'some', expected one of allow"):
        count_paths(TABLE, loop_mode="some")
    with pytest.raises(ArgumentError, match="weight"):
        enumerate_paths(TABLE.drop(columns="weight"))

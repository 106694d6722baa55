"""Circuits of exclusive or: one by hand, and all of a random table by trial."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest

from ngpipe.connectome import XORCircuit, find_xor
from ngpipe.errors import ArgumentError


def table(first, second):
    """Edges (pre, post) of layer 1, (pre, post, sign) of layer 2."""
    rows = [(1, pre, post, 1) for pre, post in first] + [(2, *edge) for edge in second]
    return pd.DataFrame(rows, columns=["layer", "pre", "post", "sign"])


def test_a_circuit():
    first = [("x", "a"), ("y", "b"), ("x", "c"), ("y", "c"), ("z", "a"), ("z", "b"), ("z", "c")]
    second = [("a", "t", 1), ("b", "t", 1), ("c", "t", -1), ("a", "u", 1)]
    expected = XORCircuit(["x"], ["y"], "a", "b", "c", ["t"])
    assert find_xor(table(first, second)) == [expected]
    lost = [("x", "a"), ("y", "b"), ("x", "c")]  # the inhibitory neuron gets one input alone
    assert find_xor(table(lost, second)) == []
    apart = [("a", "t", 1), ("b", "t", 1), ("c", "u", -1)]  # and does not reach the output
    assert find_xor(table(first, apart)) == []


def test_all_circuits_of_a_random_table(rng):
    first = np.argwhere(rng.random((5, 6)) < 0.5)
    signs = [1, -1, 1, 1, -1, 1]
    second = np.argwhere(rng.random((6, 3)) < 0.5)
    edges = [(f"i{i}", f"m{m}") for i, m in first]
    behind = [(f"m{m}", f"o{o}", signs[m]) for m, o in second]
    found = {
        (frozenset((c.exciter1, c.exciter2)), c.inhibitor): (
            {frozenset(c.input1), frozenset(c.input2)},
            set(c.output),
        )
        for c in find_xor(table(edges, behind))
    }
    expected = {}
    for (a, b), c in ((pair, c) for pair in combinations([0, 2, 3, 5], 2) for c in (1, 4)):
        ups = [{i for i, m in edges if m == f"m{k}"} for k in (a, b, c)]
        downs = [{o for m, o, _ in behind if m == f"m{k}"} for k in (a, b, c)]
        inputs = [(ups[0] - ups[1]) & ups[2], (ups[1] - ups[0]) & ups[2]]
        output = set.intersection(*downs)
        if all(inputs) and output:
            key = (frozenset((f"m{a}", f"m{b}")), f"m{c}")
            expected[key] = ({frozenset(part) for part in inputs}, output)
    assert found == expected
    assert len(expected) > 1


def test_refusals():
    edges = table([("x", "a")], [("a", "t", 1)])
    with pytest.raises(ArgumentError, match=r"paths have \[1\] as layer, expected \[1, 2\]"):
        find_xor(edges[edges["layer"] == 1])
    with pytest.raises(ArgumentError, match=r"paths have \[0, 1\] as sign, expected \[-1, 1\]"):
        find_xor(edges.assign(sign=[0, 1]))

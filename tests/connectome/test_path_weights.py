"""What paths carry, without loops and by length, against every path written out."""

from itertools import pairwise, product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from ngpipe.connectome import (
    contribution_by_path_lengths,
    contribution_by_path_lengths_data,
    effconn_without_loops,
    group_paths,
    path_weights,
)
from ngpipe.errors import ArgumentError


def layered(rng, hops, n=5):
    """A table of random layers, with the weights W[layer, pre, post] it was made of."""
    weights = rng.normal(size=(hops, n, n)) * (rng.random((hops, n, n)) < 0.6)
    weights[:, 0, 0] = 1.0  # else no path may lead through all layers
    layer, pre, post = weights.nonzero()
    columns = {"layer": layer + 1, "pre": pre, "post": post, "weight": weights[layer, pre, post]}
    return pd.DataFrame(columns), weights


def carried(weights):
    """E[start, end] of all sequences of neurons whose inner ones are met once."""
    hops, n, _ = weights.shape
    total = np.zeros((n, n))
    for nodes in product(range(n), repeat=hops + 1):
        inner = nodes[1:-1]
        if len({*inner, nodes[0]}) == len({*inner, nodes[-1]}) == len(inner) + 1:
            total[nodes[0], nodes[-1]] += np.prod(
                [w[step] for w, step in zip(weights, pairwise(nodes), strict=True)]
            )
    return total


def wide(table, n=5):
    return table.reindex(index=range(n), columns=range(n), fill_value=0).to_numpy()


@settings(max_examples=15)
@given(st.integers(0, 999), st.integers(1, 4), st.sampled_from([4, 2**17]))
def test_paths_without_loops_are_those_written_out(seed, hops, at_once):
    table, weights = layered(np.random.default_rng(seed), hops)
    before = table.copy()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(path_weights, "AT_ONCE", at_once)
        found = effconn_without_loops(table, remove_loop_after_grouping=False)
        rooted = effconn_without_loops(table, remove_loop_after_grouping=False, root=True)
    pd.testing.assert_frame_equal(table, before)
    expected = carried(weights)
    found, rooted = (t.rename(int).rename(columns=int) for t in (found, rooted))
    np.testing.assert_allclose(wide(found), expected, atol=1e-12)
    np.testing.assert_allclose(
        wide(rooted) * np.abs(wide(rooted)) ** (hops - 1), expected, atol=1e-12
    )


def test_grouped_before_and_after():
    rng = np.random.default_rng(0)
    table, weights = layered(rng, 3)
    group = dict(enumerate("ABABC"))
    groups = group_paths(table, group, group)
    by_group = effconn_without_loops(table, group, group)
    dense = np.zeros((3, 3, 3))
    ends = ("ABC".index(name) for end in ("pre", "post") for name in groups[end])
    dense[(groups["layer"] - 1, *np.reshape(list(ends), (2, -1)))] = groups["weight"]
    np.testing.assert_allclose(by_group.loc[list("ABC"), list("ABC")], carried(dense))
    after = effconn_without_loops(
        table, group, group, remove_loop_after_grouping=False, combining_method="sum", wide=False
    )
    member = pd.get_dummies(pd.Series(group)).to_numpy(float)
    expected = member.T @ carried(weights) @ member
    assert list(after) == ["pre", "post", "weight"]
    np.testing.assert_allclose(after["weight"], expected.ravel())


def test_pairs_with_loops_alone_are_there_with_zero():
    table = pd.DataFrame(
        {"layer": [1, 1, 2, 2], "pre": list("aaab"), "post": list("abac"), "weight": 0.5}
    )
    found = effconn_without_loops(table)
    assert found.to_dict("index") == {"a": {"a": 0.0, "c": 0.25}}
    assert effconn_without_loops(table[:0]) is None


@pytest.fixture
def steps(rng):
    return [sparse.csc_array(rng.random((5, 5))), rng.random((5, 5))]


def test_contributions_of_groups(steps):
    sources, targets, group = [3, 0, 0, 1], [2, 4], dict(enumerate("QPQQP"))
    dense = [steps[0].toarray(), steps[1]]
    of_sources = contribution_by_path_lengths_data(steps, sources, targets, inidx_map=group)
    assert list(of_sources) == ["path_length", "presynaptic_type", "value"]
    assert of_sources["presynaptic_type"].tolist() == ["P", "P", "Q", "Q"]
    assert of_sources["path_length"].tolist() == [1, 2, 1, 2]
    expected = [a[np.ix_(members, targets)].sum() / 2 for members in ([1], [0, 3]) for a in dense]
    np.testing.assert_allclose(of_sources["value"], expected)
    of_targets = contribution_by_path_lengths_data(steps, sources, targets, outidx_map=group)
    expected = [a[[0, 1, 3], target].sum() for target in (4, 2) for a in dense]
    assert of_targets["postsynaptic_type"].tolist() == ["P", "P", "Q", "Q"]
    np.testing.assert_allclose(of_targets["value"], expected)
    each = contribution_by_path_lengths_data(steps, sources, targets)
    assert each["postsynaptic_type"].tolist() == [2, 2, 4, 4]


def test_contributions_as_a_picture(steps):
    figure = contribution_by_path_lengths(steps, [0, 1], [2, 4], width=500, height=300)
    assert figure.get_size_inches().tolist() == [5, 3]
    (ax,) = figure.axes
    assert [line.get_label() for line in ax.lines] == ["2", "4"]
    assert [line.get_xdata().tolist() for line in ax.lines] == [[1, 2], [1, 2]]
    assert all(tick == int(tick) for tick in ax.get_xticks())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"outidx_map": {}, "inidx_map": {}}, "both given"),
        ({"outidx_map": {2: "P"}}, "outidx_map has no group for neuron .*4"),
        ({"steps": []}, r"shapes \[\], expected one shape"),
        ({"outidx": 5}, "outidx 5 is out of range"),
        ({"inidx": []}, "inidx is empty"),
    ],
)
def test_contributions_refused(steps, arguments, message):
    asked = {"steps": steps, "inidx": 0, "outidx": [2, 4]} | arguments
    with pytest.raises(ArgumentError, match=message):
        contribution_by_path_lengths_data(**asked)


def test_a_gap_is_refused():
    table = pd.DataFrame({"layer": [1, 3], "pre": [0, 1], "post": [1, 2], "weight": 1.0})
    with pytest.raises(ArgumentError, match=r"layers \[1, 3\] have a gap"):
        effconn_without_loops(table)

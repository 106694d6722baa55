"""Effective connectivity without loops, by the product of every path."""

from itertools import pairwise, product

import numpy as np
import pandas as pd
import pytest

from ngpipe.connectome import effconn_without_loops, find_paths_of_length, group_paths
from ngpipe.errors import ArgumentError

#  s > a > b > t   s > b > a > t   s > a > s > t and s > t > s > t come back
TABLE = pd.DataFrame(
    [
        (1, "s", "a", 0.5),
        (1, "s", "b", 0.2),
        (1, "s", "t", 0.9),
        (2, "a", "b", 0.4),
        (2, "b", "a", -0.3),
        (2, "a", "s", 0.7),
        (2, "t", "s", 0.8),
        (3, "b", "t", 0.1),
        (3, "a", "t", 1.0),
        (3, "s", "t", 0.6),
        (3, "s", "u", 0.6),
    ],
    columns=["layer", "pre", "post", "weight"],
)


def by_trial(inprop, sources, targets, hops):
    """E of every pair: each path tried in turn."""
    found = np.zeros((len(inprop), len(inprop)))
    for path in product(range(len(inprop)), repeat=hops + 1):
        inner = path[1:-1]
        lone = len(set(inner)) == len(inner) and not {path[0], path[-1]} & set(inner)
        if lone and path[0] in sources and path[-1] in targets:
            found[path[0], path[-1]] += np.prod([inprop[e] for e in pairwise(path)])
    return found


def test_paths_that_come_back_do_not_count():
    found = effconn_without_loops(TABLE)
    expected = pd.DataFrame([[0.5 * 0.4 * 0.1 - 0.2 * 0.3, 0.0]], index=["s"], columns=["t", "u"])
    pd.testing.assert_frame_equal(found, expected, check_names=False, check_column_type=False)
    assert (found.index.name, found.columns.name) == ("pre", "post")
    long = effconn_without_loops(TABLE, wide=False)
    assert long.columns.tolist() == ["pre", "post", "weight"]
    assert long.values.tolist() == [["s", "t", pytest.approx(-0.04)], ["s", "u", 0.0]]
    root = effconn_without_loops(TABLE, root=True)
    assert root.loc["s", "t"] == pytest.approx(-(0.04 ** (1 / 3)))


@pytest.mark.parametrize("hops", [1, 2, 3, 4])
def test_every_path_counts_by_its_product(rng, hops):
    inprop = rng.normal(size=(6, 6)) * (rng.random((6, 6)) < 0.6)
    paths = find_paths_of_length(inprop, [0, 1, 2], [1, 4], hops)
    found = effconn_without_loops(paths)  # 1 to 1 is no loop
    expected = by_trial(inprop, {0, 1, 2}, {1, 4}, hops)
    for pre, post in product((0, 1, 2), (1, 4)):
        value = found.reindex(index=[str(pre)], columns=[str(post)], fill_value=0.0).iloc[0, 0]
        assert value == pytest.approx(expected[pre, post], abs=1e-12)


def test_groups_before_and_after():
    paths = pd.DataFrame(
        {"layer": [1, 1, 2, 2], "pre": [0, 1, 2, 3], "post": [2, 3, 4, 5], "weight": [1, 2, 3, 4.0]}
    )
    types = dict(enumerate("SSMMTTT"))
    groups = (types, types)
    before = paths.copy()
    first = effconn_without_loops(paths, *groups)
    assert first.loc["S", "T"] == pytest.approx(1.5 * 7 / 3)  # the mean of M, then that of T
    after = effconn_without_loops(paths, *groups, remove_loop_after_grouping=False)
    assert after.loc["S", "T"] == pytest.approx((3 + 8) / 3)
    how = {"combining_method": "median", "remove_loop_after_grouping": False}
    assert effconn_without_loops(paths, *groups, **how).loc["S", "T"] == 3.0  # 0, 3, 8
    pd.testing.assert_frame_equal(paths, before)
    # M > M in the middle is a loop of groups and none of neurons.
    loop = pd.DataFrame({"layer": [1, 2, 3], "pre": [0, 2, 3], "post": [2, 3, 4], "weight": 1.0})
    assert effconn_without_loops(loop, *groups).loc["S", "T"] == 0.0
    assert group_paths(loop, *groups)["weight"].prod() > 0
    own = effconn_without_loops(loop, *groups, remove_loop_after_grouping=False, root=True)
    assert own.loc["S", "T"] == pytest.approx(1 / 3)


def test_nothing_is_none():
    assert effconn_without_loops(TABLE[:0]) is None
    assert effconn_without_loops(TABLE[TABLE["layer"] != 3].assign(post="q")) is None
    silent = TABLE.assign(weight=TABLE["weight"].where(TABLE["layer"] != 2, 0.0))
    assert effconn_without_loops(silent) is None


def test_refusals():
    with pytest.raises(ArgumentError, match="layer"):
        effconn_without_loops(TABLE.drop(columns="layer"))
    with pytest.raises(ArgumentError, match="combining_method is 'max'"):
        effconn_without_loops(TABLE, combining_method="max")

"""Effective connectivity of tables of paths, by the product of every path."""

from itertools import pairwise, product

import numpy as np
import pandas as pd
import pytest
from test_compressed import FIXED, FIXED_SIGNS, RECORDED

from ngpipe.connectome import (
    conn_by_path_length_data,
    effconn_without_loops,
    effective_conn_from_paths,
    effective_conn_from_paths_cpu,
    effective_conn_per_path_from_paths,
    filter_all_paths_to_cumsum,
    filter_paths,
    find_paths_of_length,
    find_shortest_paths,
    path_for_ngl,
    signed_conn_by_path_length_data,
    signed_effective_conn_from_paths,
)
from ngpipe.errors import ArgumentError, ArgumentTypeError, DoubtfulWarning

N = 6
SOURCES, TARGETS = [0, 1], [1, 4, 5]
TYPES = dict(enumerate("abcabc"))
SIGNS = dict(enumerate([1, -1, 1, -1, -1, 1]))
FIXED_TYPES = dict(enumerate("aabbcc"))
FIXED_PATHS = pd.DataFrame(RECORDED["paths"], columns=["layer", "pre", "post", "weight"])


@pytest.fixture
def inprop(rng):
    return rng.normal(size=(N, N)) * (rng.random((N, N)) < 0.6)


def walks(inprop, hops):
    """Every path of so many hops between sources and targets, with its weights."""
    for path in product(range(N), repeat=hops + 1):
        weights = [inprop[edge] for edge in pairwise(path)]
        if path[0] in SOURCES and path[-1] in TARGETS and all(weights):
            yield path, weights


def by_trial(inprop, hops, *, of_sign=None):
    """Sum of all paths; of those with an even (1) or odd (-1) number of inhibitory senders."""
    found = np.zeros((N, N))
    for path, weights in walks(inprop, hops):
        sign = np.prod([SIGNS[neuron] for neuron in path[:-1]])
        if of_sign in (None, sign):
            found[path[0], path[-1]] += np.prod(weights)
    return found


def matrix(table):
    """``(pre, post)`` of all neurons, from a table of some."""
    return table.reindex(index=range(N), columns=range(N)).fillna(0).to_numpy()


@pytest.mark.parametrize("hops", [1, 2, 3])
def test_every_path_counts_by_its_product(inprop, hops):
    paths = find_paths_of_length(inprop, SOURCES, TARGETS, hops)
    before = paths.copy()
    expected = by_trial(inprop, hops)
    wide = effective_conn_from_paths(paths)
    np.testing.assert_allclose(matrix(wide), expected, atol=1e-12)
    pd.testing.assert_frame_equal(effective_conn_from_paths_cpu(paths), wide)
    roots = np.sign(expected) * np.abs(expected) ** (1 / hops)
    np.testing.assert_allclose(matrix(effective_conn_from_paths(paths, root=True)), roots, 1e-9)
    long = effective_conn_from_paths(paths, wide=False)
    assert long.columns.tolist() == ["pre", "post", "weight"]
    assert long[["pre", "post"]].apply(tuple, axis=1).is_monotonic_increasing
    pairs = zip(long["pre"], long["post"], strict=True)
    np.testing.assert_allclose(long["weight"], wide.stack().loc[pairs])
    pd.testing.assert_frame_equal(paths, before)


@pytest.mark.parametrize("hops", [1, 2, 3])
def test_paths_excite_or_inhibit_by_the_number_of_inhibitory_senders(inprop, hops):
    size = np.abs(inprop)
    paths = find_paths_of_length(size, SOURCES, TARGETS, hops)
    excited, inhibited = signed_effective_conn_from_paths(paths, idx_to_nt=SIGNS)
    np.testing.assert_allclose(matrix(excited), by_trial(size, hops, of_sign=1), atol=1e-12)
    np.testing.assert_allclose(matrix(inhibited), by_trial(size, hops, of_sign=-1), atol=1e-12)
    signed = paths.assign(sign=paths["pre"].map(SIGNS))
    for one, other in zip(
        signed_effective_conn_from_paths(signed), (excited, inhibited), strict=True
    ):
        pd.testing.assert_frame_equal(one, other)


def test_neurons_without_a_sign_send_nothing_and_are_named(inprop):
    paths = find_paths_of_length(np.abs(inprop), SOURCES, TARGETS, 2)
    known = {neuron: sign for neuron, sign in SIGNS.items() if neuron != 3}
    with pytest.warns(DoubtfulWarning, match=r"no sign for \[3\]: their outputs are left out"):
        without = signed_effective_conn_from_paths(paths, idx_to_nt=known)
    with_0 = signed_effective_conn_from_paths(paths, idx_to_nt=SIGNS | {3: 0})
    rest = signed_effective_conn_from_paths(paths[paths["pre"] != 3], idx_to_nt=SIGNS)
    for found in (without, with_0):
        for part, expected in zip(found, rest, strict=True):
            pd.testing.assert_frame_equal(part, expected)


def test_what_neurons_pass_on_to_an_average_target(inprop):
    hops = 3
    paths = find_paths_of_length(inprop, SOURCES, TARGETS, hops)
    found = path_for_ngl(paths)
    assert found.columns.tolist() == ["neuron_id", "activation", "layer"]
    assert not found.duplicated(["neuron_id", "layer"]).any()
    ends = paths.loc[paths["layer"] == hops, "post"].nunique()
    for row in found[found["layer"] <= hops].itertuples():
        left = hops + 1 - row.layer
        to_targets = np.linalg.matrix_power(inprop, left)[row.neuron_id, TARGETS].sum() / ends
        assert row.activation == pytest.approx(to_targets)
    last = found[found["layer"] == hops + 1]
    assert (sorted(last["neuron_id"]), set(last["activation"])) == (TARGETS, {1.0})


def test_paths_one_by_one(inprop):
    paths = find_paths_of_length(inprop, SOURCES, TARGETS, 3)
    total, carried, weakest = effective_conn_per_path_from_paths(paths)
    listed = [weights for _, weights in walks(inprop, 3)]
    assert total == pytest.approx(sum(np.prod(weights) for weights in listed))
    found = sorted(zip(carried, weakest, strict=True))
    expected = sorted((np.prod(weights), np.abs(weights).min()) for weights in listed)
    np.testing.assert_allclose(found, expected)
    assert effective_conn_per_path_from_paths(None)[0] == 0
    assert len(effective_conn_per_path_from_paths(paths[:0])[1]) == 0


@pytest.mark.quick(2)
@pytest.mark.parametrize("share", [0.0, 0.3, 0.8, 1.0])
def test_the_strongest_paths_hold_their_share(inprop, share):
    lengths = [find_paths_of_length(inprop, SOURCES, TARGETS, hops) for hops in (1, 2, 3)]
    tables, left, total, threshold = filter_all_paths_to_cumsum(lengths, share)
    listed = [weights for hops in (1, 2, 3) for _, weights in walks(inprop, hops)]
    listed.sort(key=lambda weights: -abs(np.prod(weights)))
    sizes = np.abs([np.prod(weights) for weights in listed])
    assert total == pytest.approx(sizes.sum())
    sums = np.cumsum(sizes)
    enough = next((k for k, s in enumerate(sums) if s > share * sums[-1]), len(sums) - 1) + 1
    weakest = min(np.abs(weights).min() for weights in listed[:enough])
    assert threshold == pytest.approx(0.999 * weakest)
    assert left >= sums[enough - 1] * (1 - 1e-9)
    for table, given in zip(tables, lengths, strict=True):
        kept = filter_paths(given, threshold, quiet=True)
        if kept is None:
            assert table is None
        else:
            pd.testing.assert_frame_equal(table, kept)


def test_a_share_of_one_table_and_none_of_a_length(inprop):
    paths = find_paths_of_length(inprop, SOURCES, TARGETS, 2)
    table, left, *rest = filter_all_paths_to_cumsum(paths, 0.5)
    (same, none), *others = filter_all_paths_to_cumsum([paths, None], 0.5)
    pd.testing.assert_frame_equal(table, same)
    assert none is None
    assert [left, *rest] == others
    with pytest.raises(ArgumentError, match="all_paths have no path"):
        filter_all_paths_to_cumsum([None])
    with pytest.raises(ArgumentError, match="thre_cumsum is 50, expected a share"):
        filter_all_paths_to_cumsum(paths, 50)


def test_shortest_paths(rng):
    inprop = rng.normal(size=(N, N)) * (rng.random((N, N)) < 0.4)
    pre, post = np.nonzero(inprop)
    edges = pd.DataFrame({"pre": pre, "post": post, "weight": inprop[pre, post]})
    weaker = edges.assign(weight=edges["weight"] / 2)  # the strongest of an edge counts
    found = find_shortest_paths(pd.concat([weaker, edges]), SOURCES, TARGETS)
    expected = []
    for start, stop in product(SOURCES, TARGETS):
        tried = [
            path
            for hops in range(1, N)
            for path in product(range(N), repeat=hops + 1)
            if (path[0], path[-1]) == (start, stop) and all(inprop[e] for e in pairwise(path))
        ]
        if start != stop and tried:
            length = [sum(1 / abs(inprop[e]) for e in pairwise(path)) for path in tried]
            expected.append(list(tried[int(np.argmin(length))]))
    assert found == expected
    assert len(found) > 2
    assert find_shortest_paths(edges, 0, 77) == []
    with pytest.raises(ArgumentError, match=r"start_nodes has neurons such as '0', the table such"):
        find_shortest_paths(edges, ["0"], TARGETS)


@pytest.mark.quick(1)
@pytest.mark.parametrize("method", ["mean", "sum", "median"])
def test_by_length_between_groups(inprop, method):
    """Layer by layer: what a group sends on is what its average (or summed) neuron gets."""
    combine = {"mean": np.mean, "sum": np.sum, "median": np.median}[method]
    options = {"combining_method": method, "wide": True}
    given = (inprop, SOURCES, TARGETS, 3, TYPES, TYPES)
    for hops, table in enumerate(conn_by_path_length_data(*given, **options), start=1):
        paths = find_paths_of_length(inprop, SOURCES, TARGETS, hops)
        carried = np.eye(3)
        for layer in range(1, hops + 1):
            there = np.zeros((N, N))
            rows = paths[paths["layer"] == layer]
            there[rows["pre"], rows["post"]] = rows["weight"]
            summed = there.reshape(2, 3, N).sum(axis=0)  # over pre neurons k and k + 3
            carried = carried @ combine(summed.reshape(3, 2, 3), axis=1)
        found = table.reindex(index=list("abc"), columns=list("abc")).fillna(0)
        np.testing.assert_allclose(found, carried, atol=1e-12)


def test_by_length_of_one_end(inprop):
    by_post = conn_by_path_length_data(inprop, SOURCES, TARGETS, 3, TYPES)
    assert by_post.columns.tolist() == ["path_length", "post", "weight"]
    assert by_post["path_length"].tolist() == sorted(by_post["post"].nunique() * [1, 2, 3])
    everyone = dict.fromkeys(SOURCES, "all")
    pairs = conn_by_path_length_data(
        inprop, SOURCES, TARGETS, 3, TYPES, everyone, intermediate_group=TYPES
    )
    for length, table in enumerate(pairs, start=1):
        rows = by_post[by_post["path_length"] == length].set_index("post")["weight"]
        np.testing.assert_allclose(table["weight"], rows[table["post"]])
        assert set(table["path_length"]) == {length}
    by_pre = conn_by_path_length_data(inprop, SOURCES, TARGETS, 2, inidx_map=TYPES, wide=True)
    direct = inprop[np.ix_(SOURCES, TARGETS)].mean(axis=1)
    np.testing.assert_allclose(by_pre.loc[1], direct)


def test_without_maps_neurons_stay_by_themselves(inprop):
    tables = conn_by_path_length_data(inprop, SOURCES, TARGETS, 2, wide=True)
    for hops, table in enumerate(tables, start=1):
        table.index, table.columns = table.index.astype(int), table.columns.astype(int)
        np.testing.assert_allclose(matrix(table), by_trial(inprop, hops), atol=1e-12)


def test_signed_by_length(inprop):
    size = np.abs(inprop)
    excited, inhibited = signed_conn_by_path_length_data(size, SOURCES, TARGETS, 3, SIGNS)
    for part, sign in ((excited, 1), (inhibited, -1)):
        for hops, table in enumerate(part, start=1):
            table.index, table.columns = table.index.astype(int), table.columns.astype(int)
            expected = by_trial(size, hops, of_sign=sign)
            np.testing.assert_allclose(matrix(table), expected, atol=1e-12)
    with pytest.raises(ArgumentError, match="group_to_sign is missing"):
        signed_conn_by_path_length_data(size, SOURCES, TARGETS, 3)


def test_numbers_of_connectome_interpreter():
    def close(found, case):
        np.testing.assert_allclose(found, RECORDED[case], atol=2e-6)

    paths = find_paths_of_length(FIXED, [0, 1], [4, 5], 3)
    columns = FIXED_PATHS.columns
    ordered = (t[columns].sort_values(list(columns)) for t in (paths, FIXED_PATHS))
    np.testing.assert_allclose(*ordered, atol=2e-6)
    close(effective_conn_from_paths(paths), "carried")
    close(signed_effective_conn_from_paths(paths, idx_to_nt=FIXED_SIGNS), "excited_inhibited")
    assert find_shortest_paths(paths, [0, 1], [4, 5]) == RECORDED["shortest"]
    given = (FIXED, [0, 1, 2], [3, 4, 5], 3)
    tables = conn_by_path_length_data(*given, FIXED_TYPES, FIXED_TYPES)
    for table, rows in zip(tables, RECORDED["by_length"], strict=True):
        assert table[["pre", "post"]].values.tolist() == [row[:2] for row in rows]
        np.testing.assert_allclose(table["weight"], [row[2] for row in rows], atol=2e-6)
    signs = {"a": 1, "b": -1, "c": 1}
    signed = signed_conn_by_path_length_data(*given, signs, FIXED_TYPES, FIXED_TYPES)
    for part, case in zip(signed, RECORDED["signed_by_length"], strict=True):
        for table, values in zip(part, case, strict=True):
            np.testing.assert_allclose(table, values, atol=2e-6)
    kept, *numbers = filter_all_paths_to_cumsum(paths, 0.5)
    np.testing.assert_allclose([len(kept), *numbers], RECORDED["share"], atol=2e-6)


def test_where_there_is_no_path():
    edges = pd.DataFrame({"layer": [1, 2], "pre": [0, 3], "post": [1, 4], "weight": 0.5})
    with pytest.warns(DoubtfulWarning, match="no path leads from the first layer to the last"):
        assert effective_conn_from_paths(edges) is None
    assert effective_conn_from_paths(edges[:0], quiet=True) is None
    assert all(t.empty for t in signed_effective_conn_from_paths(edges, idx_to_nt={0: 1, 3: 1}))
    with pytest.raises(ArgumentError, match="path has no path from its first layer to its last"):
        path_for_ngl(edges)
    with pytest.warns(DoubtfulWarning, match="no path of 1 to 2 hops leads from inidx to outidx"):
        table = conn_by_path_length_data(edges, [0], [4], 2, {4: "t"})
    assert (table.columns.tolist(), len(table)) == (["path_length", "post", "weight"], 0)


def test_a_missing_layer_is_named():
    edges = pd.DataFrame({"layer": [1, 3], "pre": [0, 1], "post": [1, 2], "weight": 0.5})
    for function in (
        effective_conn_from_paths,
        effconn_without_loops,
        effective_conn_per_path_from_paths,
        path_for_ngl,
    ):
        with pytest.raises(ArgumentError, match="paths have no layer 2, but 3"):
            function(edges)


def test_refusals(inprop):
    paths = find_paths_of_length(inprop, SOURCES, TARGETS, 2)
    with pytest.raises(ArgumentTypeError, match=r"wide is a dict, expected True or False"):
        effective_conn_from_paths(paths, TYPES)
    with pytest.raises(ArgumentError, match=r"paths have a weight of -.* beside signs"):
        signed_effective_conn_from_paths(paths, idx_to_nt=SIGNS)
    positive = paths.assign(weight=paths["weight"].abs())
    with pytest.raises(ArgumentError, match="the signs are missing; give a column 'sign'"):
        signed_effective_conn_from_paths(positive)
    with pytest.raises(ArgumentError, match=r"idx_to_nt has neurons such as '0', the table such"):
        signed_effective_conn_from_paths(positive, idx_to_nt={"0": 1})
    with pytest.raises(ArgumentError, match="a sign is 'inh', expected 1, -1 or 0"):
        signed_effective_conn_from_paths(positive, idx_to_nt=dict.fromkeys(range(N), "inh"))

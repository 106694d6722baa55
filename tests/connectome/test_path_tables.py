"""Tables of paths, found, filtered and grouped, against every path written out."""

from itertools import pairwise, product

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from ngpipe.connectome import (
    connected_components,
    el_within_n_steps,
    enumerate_paths,
    filter_paths,
    find_paths_of_length,
    group_paths,
    remove_excess_neurons,
)
from ngpipe.errors import ArgumentError, DoubtfulWarning

TABLE = pd.DataFrame(
    {
        "layer": [1, 1, 1, 2, 2, 2, 3, 3],
        "pre": ["a", "a", "b", "c", "d", "e", "f", "g"],
        "post": ["c", "d", "d", "f", "g", "f", "t", "u"],
        "weight": [0.5, 0.2, 0.9, 0.4, -0.3, 0.6, 0.8, 0.7],
    }
)
"""Edges of neurons a to g towards t and u; e begins where no path leads."""


def edges(table):
    return (
        []
        if table is None
        else sorted(table[["layer", "pre", "post"]].itertuples(index=False, name=None))
    )


def spelled(table):
    return " ".join(f"{layer}{pre}{post}" for layer, pre, post in edges(table))


@st.composite
def networks(draw):
    """A small W[pre, post] with self-loops, sources, targets and a seed."""
    rng = np.random.default_rng(draw(st.integers(0, 999)))
    weights = rng.random((6, 6)) * (rng.random((6, 6)) < 0.35)
    return weights, rng.integers(0, 6, 2).tolist(), rng.integers(0, 6, 2).tolist(), rng


def walked(weights, sources, targets, hops):
    """Every edge of every walk, one walk after the other."""
    found = set()
    for nodes in product(range(len(weights)), repeat=hops + 1):
        steps = list(pairwise(nodes))
        if nodes[0] in sources and nodes[-1] in targets and all(weights[s] for s in steps):
            found |= {(layer, *step) for layer, step in enumerate(steps, 1)}
    return sorted(found)


@settings(max_examples=20)
@given(networks(), st.integers(1, 4), st.sampled_from(["csr_matrix", "csc_array", "coo_matrix"]))
def test_edges_found_are_those_of_all_walks(network, hops, kind):
    weights, sources, targets, _ = network
    expected = walked(weights, sources, targets, hops)
    found = find_paths_of_length(getattr(sparse, kind)(weights), sources, targets, hops)
    assert edges(found) == expected
    if found is not None:
        assert (found["weight"] == weights[found["pre"], found["post"]]).all()
    pre, post = weights.nonzero()
    table = pd.DataFrame({"pre": pre, "post": post, "weight": weights[pre, post], "note": "x"})
    named = table.assign(pre="n" + table["pre"].astype(str), post="n" + table["post"].astype(str))
    ends = ([f"n{k}" for k in neurons] for neurons in (sources, targets))
    again = find_paths_of_length(named, *ends, hops)
    assert edges(again) == [(layer, f"n{a}", f"n{b}") for layer, a, b in expected]
    assert again is None or list(again) == ["pre", "post", "weight", "note", "layer"]


@settings(max_examples=20)
@given(st.integers(0, 999), st.integers(1, 4))
def test_what_stays_lies_on_a_path_through_all_layers(seed, hops):
    rng = np.random.default_rng(seed)
    ends = rng.integers(0, 5, (2, 14 + hops))
    layer = np.r_[1 : hops + 1, rng.integers(1, hops + 1, 14)]
    table = pd.DataFrame({"layer": layer, "pre": ends[0], "post": ends[1], "weight": 1.0})
    expected = {
        (number, pre, post)
        for walk in enumerate_paths(table)
        for number, (pre, post, _) in enumerate(walk, 1)
    }
    found = remove_excess_neurons(table)
    assert set(edges(found)) == expected
    later = remove_excess_neurons(table.assign(layer=table["layer"] + 3))
    assert set(edges(later)) == {(number + 3, pre, post) for number, pre, post in expected}


def test_neurons_that_are_kept_and_targets():
    before = TABLE.copy()
    assert spelled(remove_excess_neurons(TABLE)) == "1ac 1ad 1bd 2cf 2dg 3ft 3gu"
    assert spelled(remove_excess_neurons(TABLE, keep="e")) == spelled(TABLE)
    assert spelled(remove_excess_neurons(TABLE, target_indices="t")) == "1ac 2cf 3ft"
    pd.testing.assert_frame_equal(TABLE, before)
    middle = pd.concat([TABLE, TABLE.iloc[[6]].assign(pre="t")], ignore_index=True)
    on_request = remove_excess_neurons(middle, None, ["t"], keep_targets_in_middle=True)
    assert spelled(on_request) == "1ac 2cf 3ft 3tt"
    assert spelled(remove_excess_neurons(middle, None, ["t"])) == "1ac 2cf 3ft"
    with pytest.warns(DoubtfulWarning, match=r"layers \[1, 3\] have a gap: those before 3"):
        assert spelled(remove_excess_neurons(TABLE[TABLE["layer"] != 2])) == "3ft 3gu"


def test_filters_by_magnitude_and_by_neurons_between():
    assert filter_paths(TABLE) is TABLE
    assert spelled(filter_paths(TABLE, 0.25)) == "1ac 1bd 2cf 2dg 3ft 3gu"
    assert spelled(filter_paths(TABLE, 0.45)) == ""
    assert spelled(filter_paths(TABLE, 0, {1: "a", 3: ["g", "f"]})) == "1ac 1ad 2cf 2dg 3ft 3gu"
    assert spelled(filter_paths(TABLE, 0, {4: "u"})) == "1ad 1bd 2dg 3gu"
    assert filter_paths(TABLE, 0, {2: "a"}) is None
    assert filter_paths(TABLE[:0], quiet=True) is None


def test_components_share_no_neuron():
    parts = connected_components(TABLE, 0.25)
    assert [spelled(part) for part in parts] == ["1ac 2cf 3ft", "1bd 2dg 3gu"]
    assert [part["component_idx"].unique().tolist() for part in parts] == [[0], [1]]
    assert len(connected_components(TABLE)) == 1
    assert connected_components(TABLE, 0.95) == []
    dead = pd.DataFrame({"layer": [1, 2], "pre": ["x", "x"], "post": ["y", "z"], "weight": 1.0})
    assert len(connected_components(pd.concat([dead, TABLE]))) == 1


def slow_groups(table, maps, connected, outprop, method):
    """Every member of every pair of groups, one at a time."""
    first, between, last = ({n: n for n in range(9)} | m for m in maps)
    found = {}
    for layer, rows in table.groupby("layer"):
        senders = first if layer == table["layer"].min() else between
        receivers = last if layer == table["layer"].max() else between
        totals = {}
        for _, edge in rows.iterrows():
            pair = (layer, str(senders[edge["pre"]]), str(receivers[edge["post"]]))
            member = int(edge["pre"] if outprop else edge["post"])
            one = totals.setdefault(pair, {})
            one[member] = one.get(member, 0) + edge["weight"]
        side = senders if outprop else receivers
        for pair, one in totals.items():
            name = pair[1] if outprop else pair[2]
            members = one if connected else [n for n, g in side.items() if str(g) == name]
            found[pair] = getattr(np, method)([one.get(n, 0) for n in members])
    return found


@settings(max_examples=30)
@given(
    st.integers(0, 999),
    st.booleans(),
    st.booleans(),
    st.sampled_from(["mean", "sum", "median"]),
)
def test_groups_are_those_of_a_slow_loop(seed, connected, outprop, method):
    rng = np.random.default_rng(seed)
    size = 25
    table = pd.DataFrame(
        {
            "layer": rng.integers(1, 4, size),
            "pre": rng.integers(0, 9, size),
            "post": rng.integers(0, 9, size),
            "weight": rng.normal(size=size),
        }
    )
    before = table.copy()
    maps = [dict(zip(rng.permutation(9)[:7].tolist(), "ABABCAB", strict=True)) for _ in range(3)]
    found = group_paths(table, maps[0], maps[2], maps[1], connected, outprop, method)
    expected = slow_groups(table, maps, connected, outprop, method)
    pd.testing.assert_frame_equal(table, before)
    assert list(found) == ["layer", "pre", "post", "weight"]
    assert edges(found) == sorted(expected)
    values = found.set_index(["layer", "pre", "post"])["weight"]
    assert all(abs(values[pair] - value) < 1e-12 for pair, value in expected.items())


def test_groups_of_edges_without_layers_and_with_activity():
    table = pd.DataFrame({"pre": [0, 1, 2], "post": [3, 3, 4], "weight": [1.0, 3.0, 5.0]})
    group = {0: "P", 1: "P", 2: "P", 3: "Q", 4: "Q", 5: "Q"}
    active = table.assign(pre_activation=[1.0, 2.0, 6.0], post_activation=0.5)
    found = group_paths(active, group, group)
    assert found.to_dict("records") == [
        {"pre": "P", "post": "Q", "pre_activation": 3, "post_activation": 0.5, "weight": 3}
    ]
    assert group_paths(table)["pre"].tolist() == ["0", "1", "2"]
    assert group_paths(None) is None


@settings(max_examples=20)
@given(networks(), st.sampled_from(["mean", "sum", "median"]), st.booleans())
def test_edges_within_n_steps_are_the_strongest_of_each_length(network, method, connected):
    weights, sources, targets, rng = network
    group = dict(enumerate(rng.choice(list("AB"), 6).tolist()))
    how = {"combining_method": method, "avg_within_connected": connected}
    found = el_within_n_steps(
        weights, sources, targets, 3, 0.3, group, group, return_raw_el=True, **how
    )
    raw, grouped = [], {}
    for hops in (1, 2, 3):
        paths = find_paths_of_length(weights, sources, targets, hops)
        if paths is not None:
            raw.append(paths)
            left = filter_paths(group_paths(paths, group, group, **how), 0.3)
            for _, pre, post, weight in [] if left is None else left.itertuples(index=False):
                grouped[pre, post] = max(weight, grouped.get((pre, post), 0))
    if not grouped:
        assert found is None
        return
    el, edges_between = found
    assert {(pre, post): weight for pre, post, weight in el.itertuples(index=False)} == grouped
    assert {edge[1:] for edge in edges(edges_between)} == {
        edge[1:] for paths in raw for edge in edges(paths)
    }


def test_edges_within_n_steps_over_all_members():
    """Neuron 1 of A is on no path from 0 to 2; it counts where all members are asked for."""
    weights = np.zeros((4, 4))
    weights[0, 2], weights[1, 2], weights[1, 3] = 0.2, 0.3, -0.9
    group = {0: "A", 1: "A", 2: "B", 3: "B"}
    few = el_within_n_steps(weights, 0, 2, 2, pre_group=group, post_group=group)
    assert few.to_numpy().tolist() == [["A", "B", 0.1]]
    every = {"all_connections_between_groups": True, "pre_group": group, "post_group": group}
    for method, expected in (("mean", -0.2), ("sum", -0.4), ("median", -0.2)):
        found = el_within_n_steps(weights, 0, 2, 2, combining_method=method, **every)
        assert found["weight"].item() == pytest.approx(expected)
    only_post = el_within_n_steps(weights, 0, 2, 2, post_group=group)
    assert only_post.to_numpy().tolist() == [["0", "B", 0.1]]
    assert el_within_n_steps(weights, 1, 3, 1)["weight"].tolist() == [-0.9]
    assert el_within_n_steps(weights, 2, 0, 3) is None


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: remove_excess_neurons(TABLE[:0]), "without edges.*say quiet=True"),
        (lambda: remove_excess_neurons(TABLE, None, ["a"]), "target_indices has .*a.*such as"),
        (lambda: filter_paths(TABLE, 0, {5: "a"}), r"layer 5, expected 1 \(the sources\) to 4"),
        (lambda: filter_paths(TABLE.drop(columns="weight")), "lacks"),
        (lambda: remove_excess_neurons(TABLE.assign(pre=None)), "row 0 of the edges lacks pre"),
        (lambda: find_paths_of_length(np.eye(3), [], 1, 1), "inidx is empty"),
        (lambda: find_paths_of_length(np.eye(3), 0, 3, 1), "outidx 3 is out of range"),
        (lambda: find_paths_of_length(np.eye(3), 0, 1, 0), "target_layer_number is 0"),
        (
            lambda: find_paths_of_length(TABLE.assign(pre=1, post=2), "1", "2", 1),
            r"inidx holds '1' \(str\) where the paths have 1 \(int",
        ),
        (lambda: group_paths(TABLE, combining_method="max"), "expected one of mean, sum, median"),
        (lambda: group_paths(TABLE, {"a": None}), "pre_group has no name for the group of .*a"),
        (
            lambda: el_within_n_steps(np.eye(2), 0, 1, 1, all_connections_between_groups=True),
            "needs groups",
        ),
    ],
)
def test_refusals(call, message):
    with pytest.raises(ArgumentError, match=message):
        call()

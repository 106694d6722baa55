"""Weights between groups as matrices, and by path length: numbers made by hand."""

import numpy as np
import pytest
from scipy import sparse

import ngpipe.connectome
from ngpipe.connectome import (
    connectivity_summary,
    contribution_by_path_lengths,
    contribution_by_path_lengths_data,
    result_summary,
)
from ngpipe.errors import ArgumentError

STEPS = np.zeros((7, 7))
#      0, 1: Q    2: R    3, 4, 5: P    6: none
for pre, post, weight in [(0, 3, 0.2), (1, 3, 0.4), (0, 4, 0.3), (2, 3, -0.6), (6, 4, 0.5)]:
    STEPS[pre, post] = weight
TYPES = dict(enumerate("QQRPPP")) | {6: np.nan}
SOURCES, TARGETS = [0, 1, 2, 6], [3, 4]


@pytest.mark.quick
@pytest.mark.parametrize("kind", [np.asarray, sparse.csc_matrix, sparse.coo_array])
@pytest.mark.parametrize(
    ("options", "asked", "everyone"),
    [
        ({}, {"Q": 0.45, "R": -0.3}, {"Q": 0.3, "R": -0.2}),
        ({"combining_method": "sum"}, {"Q": 0.9, "R": -0.6}, {"Q": 0.9, "R": -0.6}),
        ({"combining_method": "median"}, {"Q": 0.45, "R": -0.3}, {"Q": 0.3, "R": 0.0}),
        ({"outprop": True}, {"Q": 0.45, "R": -0.6}, {"Q": 0.45, "R": -0.6}),
        (
            {"include_undefined_groups": True},
            {"Q": 0.45, "undefined": 0.25, "R": -0.3},
            {"Q": 0.3, "undefined": 0.5 / 3, "R": -0.2},
        ),
    ],
)
def test_over_those_asked_for_or_everyone(kind, options, asked, everyone):
    options = options | {"display_threshold": 0}
    within = result_summary(kind(STEPS), SOURCES, TARGETS, TYPES, **options)
    assert within["P"].to_dict() == pytest.approx(asked)
    assert within.index.tolist() == list(asked)  # sorted by weight
    whole = connectivity_summary(kind(STEPS), SOURCES, TARGETS, TYPES, **options)
    assert whole["P"].to_dict() == pytest.approx(everyone)


def test_order_threshold_and_form():
    weights = STEPS.copy()
    weights[2, 1] = 0.7
    given = (weights, [0, 1, 2], [1, 3, 4], TYPES)
    table = connectivity_summary(*given)
    assert table.columns.tolist() == ["P", "Q"]
    assert table.index.tolist() == ["Q", "R"]
    by_q = connectivity_summary(*given, sort_names="Q")
    assert by_q.index.tolist() == ["R", "Q"]
    by_row = connectivity_summary(*given, sort_within="row")
    assert (by_row.index.tolist(), by_row.columns.tolist()) == (["R", "Q"], ["Q", "P"])
    turned = connectivity_summary(*given, pre_in_column=True)
    assert turned.loc["P"].to_dict() == table["P"].to_dict()
    few = connectivity_summary(*given, display_threshold=0.32, threshold_axis="column")
    assert few.columns.tolist() == ["Q"]
    long = connectivity_summary(*given, return_long=True, display_threshold=0.1)
    assert long.columns.tolist() == ["pre_group", "post_group", "value"]
    assert long[["pre_group", "post_group"]].values.tolist() == [["Q", "P"], ["R", "P"], ["R", "Q"]]
    np.testing.assert_allclose(long["value"], [0.3, -0.2, 0.35])


def test_contributions_by_path_length():
    second = np.zeros((7, 7))
    second[0, 5], second[6, 3] = 0.9, 0.1
    steps = [sparse.coo_matrix(STEPS), second]
    given = (steps, [0, 2, 6], [3, 4, 5])
    table = contribution_by_path_lengths_data(*given, outidx_map={3: "a", 4: "b", 5: "a"})
    assert table.columns.tolist() == ["path_length", "postsynaptic_type", "value"]
    assert table[["path_length", "postsynaptic_type"]].values.tolist() == [
        [1, "a"], [2, "a"], [1, "b"], [2, "b"],
    ]  # fmt: skip
    np.testing.assert_allclose(table["value"], [-0.2, 0.5, 0.8, 0.0])
    table = contribution_by_path_lengths_data(*given, inidx_map={0: "z", 2: "y", 6: "z"})
    assert table["presynaptic_type"].tolist() == ["y", "y", "z", "z"]
    np.testing.assert_allclose(table["value"], [-0.2, 0.0, 1.0 / 3, 1.0 / 3])
    alone = contribution_by_path_lengths_data(*given)
    assert alone["postsynaptic_type"].tolist() == [3, 3, 4, 4, 5, 5]


def test_contributions_as_a_figure():
    figure = contribution_by_path_lengths([STEPS, STEPS, STEPS], SOURCES, TARGETS, TYPES, width=400)
    (ax,) = figure.axes
    (line,) = ax.lines
    np.testing.assert_allclose(line.get_ydata(), 0.4)
    assert line.get_label() == "P"
    assert ax.get_xticks().tolist() == [1, 2, 3]


def test_every_public_name_is_there():
    for name in ngpipe.connectome.__all__:
        assert getattr(ngpipe.connectome, name).__name__ == name
    with pytest.raises(AttributeError, match="has no attribute 'nothing'"):
        _ = ngpipe.connectome.nothing


def test_refusals():
    given = (STEPS, SOURCES, TARGETS, TYPES)
    with pytest.raises(ArgumentError, match="reaches display_threshold=2; lower it"):
        result_summary(*given, display_threshold=2)
    with pytest.raises(ArgumentError, match="threshold_axis is 'x', expected one of row, column"):
        connectivity_summary(*given, threshold_axis="x")
    with pytest.raises(ArgumentError, match=r"sort_names has \['Z'\], expected names of a column"):
        connectivity_summary(*given, sort_names="Z")
    with pytest.raises(ArgumentError, match="combining_method is 'max'"):
        result_summary(*given, combining_method="max")
    with pytest.raises(ArgumentError, match=r"outidx 9 is out of range"):
        result_summary(STEPS, 0, 9)
    with pytest.raises(ArgumentError, match="give one of them"):
        contribution_by_path_lengths_data([STEPS], 0, 3, TYPES, TYPES)
    with pytest.raises(ArgumentError, match="outidx_map has no group for neuron 4; add it"):
        contribution_by_path_lengths_data([STEPS], 0, [3, 4], {3: "P"})
    with pytest.raises(ArgumentError, match="steps are empty"):
        contribution_by_path_lengths_data([], 0, 3)


def test_a_neuron_of_no_type_is_named_not_left_out():
    with pytest.raises(ArgumentError, match="outidx_map has no group for neuron 1; add it"):
        contribution_by_path_lengths_data([np.eye(2)], [0, 1], [0, 1], {0: "A", 1: np.nan})

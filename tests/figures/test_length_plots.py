"""Connectivity by path length as lines and as colours."""

import inspect

import numpy as np
import pytest
from drawing import clipped, overlapping, texts

from ngpipe import keys
from ngpipe.connectome import (
    conn_by_path_length,
    conn_by_path_length_data,
    conn_by_path_length_heatmap,
    connectivity_summary,
    contribution_by_path_lengths_heatmap,
)
from ngpipe.errors import ArgumentError

N = 12
TYPES = {k: f"type {'ABC'[k % 3]}" for k in range(N)}
SOURCES, TARGETS = range(6), range(6, N)


@pytest.fixture
def inprop(rng):
    return rng.random((N, N)) * (rng.random((N, N)) < 0.4)


def pictures(figure):
    """Values and names of every picture, by title."""
    found = {}
    for ax in figure.axes:
        if ax.get_title(loc="left"):
            names = [[t.get_text() for t in axis.get_ticklabels()] for axis in (ax.yaxis, ax.xaxis)]
            values = ax.images[0].get_array() if ax.images else None
            found[ax.get_title(loc="left")] = (values, *names, [t.get_text() for t in ax.texts])
    return found


def test_names_and_arguments_are_those_of_existing_scripts():
    assert list(inspect.signature(contribution_by_path_lengths_heatmap).parameters) == [
        *("steps", "inidx", "outidx", "inidx_map", "outidx_map", "sort_by_index", "sort_names"),
        *("pre_in_column", "display_threshold", "cmap", "figsize"),
    ]
    assert list(inspect.signature(conn_by_path_length_heatmap).parameters) == [
        *("inprop", "inidx", "outidx", "n", "outidx_map", "inidx_map", "threshold"),
        *("combining_method", "cmap", "annot", "figsize"),
    ]


def test_results_do_not_depend_on_how_figures_look():
    reached = keys.closure("ngpipe.connectome.interpreter.length_plots")
    assert not [m for m in reached if m.startswith("ngpipe.figures")]


def test_lines_have_the_values_of_the_table(inprop):
    figure = conn_by_path_length(inprop, SOURCES, TARGETS, 3, TYPES)
    table = conn_by_path_length_data(inprop, SOURCES, TARGETS, 3, TYPES)
    (ax,) = figure.axes
    for line in ax.lines:
        rows = table[table["post"] == line.get_label()]
        np.testing.assert_allclose(line.get_data(), rows[["path_length", "weight"]].T)
    assert len(ax.lines) == 3
    alone = conn_by_path_length(inprop, SOURCES, TARGETS, 2).axes[0]
    assert {line.get_label() for line in alone.lines} == {str(k) for k in TARGETS}


def test_a_picture_a_length_has_the_values_of_the_table(inprop):
    given = (inprop, SOURCES, TARGETS, 2, TYPES, TYPES)
    found = pictures(conn_by_path_length_heatmap(*given, figsize=(9, 5)))
    for length, table in enumerate(conn_by_path_length_data(*given, wide=True), start=1):
        values, rows, columns, written = found[f"path length {length}"]
        np.testing.assert_allclose(values, table)
        assert (rows, columns) == (table.index.tolist(), table.columns.tolist())
        assert written == [f"{value:.2f}" for value in table.to_numpy().ravel()]
    whole = conn_by_path_length_data(*given, wide=True)
    largest = max(table.to_numpy().max() for table in whole)
    few = conn_by_path_length_heatmap(*given, threshold=largest, annot=False, figsize=(9, 5))
    sizes = {
        title: (len(rows), len(columns)) for title, (_, rows, columns, _) in pictures(few).items()
    }
    assert set(sizes.values()) == {(1, 1)}  # the same pair in both
    assert not any(written for *_, written in pictures(few).values())


@pytest.mark.slow
def test_colours_mean_the_same_in_all_pictures(inprop):
    figure = conn_by_path_length_heatmap(inprop, SOURCES, TARGETS, 3, TYPES, TYPES, figsize=(9, 4))
    norms = [ax.images[0].norm for ax in figure.axes if ax.images]
    assert len({(norm.vmin, norm.vmax) for norm in norms}) == 1
    assert {ax.images[0].get_cmap().name for ax in figure.axes if ax.images} == {"viridis"}


@pytest.mark.slow
def test_contributions_are_summaries_of_each_step(inprop):
    steps = [inprop, inprop @ inprop, np.zeros((N, N))]
    given = (SOURCES, TARGETS, TYPES)
    rows = connectivity_summary(inprop, *given, display_threshold=0).max(axis=1)
    least = float(rows.median())  # some rows stay, some do not
    options = {"display_threshold": least, "figsize": (9, 4)}
    found = pictures(contribution_by_path_lengths_heatmap(steps, *given, **options))
    for length, step in enumerate(steps[:2], start=1):
        table = connectivity_summary(step, *given, display_threshold=least).sort_index()
        values, rows, columns, _ = found[f"path length {length}"]
        np.testing.assert_allclose(values, table)
        assert (rows, columns) == (table.index.tolist(), table.columns.tolist())
    assert found["path length 3"] == (None, [], [], [])
    by_weight = contribution_by_path_lengths_heatmap(
        steps[:2], *given, sort_by_index=False, sort_names="type B", figsize=(9, 4)
    )
    table = connectivity_summary(inprop, *given, display_threshold=0, sort_names="type B")
    assert pictures(by_weight)["path length 1"][1] == table.index.tolist()
    turned = contribution_by_path_lengths_heatmap(steps[:1], *given, pre_in_column=True)
    assert turned.axes[0].get_xlabel() == "pre_group"


@pytest.mark.quick(1)
@pytest.mark.parametrize("n", [1, 2, 5])
def test_no_text_overlaps_and_nothing_is_clipped(inprop, n):
    figure = conn_by_path_length_heatmap(inprop, SOURCES, TARGETS, n, TYPES, TYPES, figsize=(12, 7))
    assert not clipped(figure)
    assert not overlapping(texts(figure))


def test_refusals(inprop):
    given = (inprop, SOURCES, TARGETS, 2)
    with pytest.raises(ArgumentError, match="both inidx_map and outidx_map are given"):
        conn_by_path_length(*given, TYPES, TYPES)
    with pytest.raises(ArgumentError, match="one of inidx_map and outidx_map is given; give both"):
        conn_by_path_length_heatmap(*given, TYPES)
    with pytest.raises(ArgumentError, match="over 1 to 2 hops reaches threshold=99; lower it"):
        conn_by_path_length_heatmap(*given, TYPES, TYPES, threshold=99)
    with pytest.raises(ArgumentError, match="cmap is 'pretty', expected a colormap"):
        conn_by_path_length_heatmap(*given, TYPES, TYPES, cmap="pretty")
    with pytest.raises(ArgumentError, match="display_threshold=99 in any of 1 steps"):
        contribution_by_path_lengths_heatmap([inprop], *given[1:3], TYPES, display_threshold=99)
    with pytest.raises(ArgumentError, match="in any of 0 steps"):
        contribution_by_path_lengths_heatmap([], *given[1:3], TYPES)

"""The plots of connectome_interpreter's later version, drawn by Matplotlib, without its sliders."""

import inspect

import numpy as np
import pandas as pd
import pytest
import torch
from drawing import clipped, overlapping, texts
from matplotlib.colors import to_rgba

from ngpipe import keys
from ngpipe.connectome import (
    activity_by_column,
    get_neuron_activation,
    plot_activity_by_column,
    plot_timeseries,
)
from ngpipe.errors import ArgumentError

GROUP = {i: ("EPG", "PEN", "FC")[i // 5] for i in range(15)}
COLUMN = {i: i % 5 + 1 for i in range(15)}


def activity(*batch: int) -> torch.Tensor:
    return torch.rand(*batch, 15, 3, generator=torch.Generator().manual_seed(0))


def series(names=("on", "off")) -> pd.DataFrame:
    return get_neuron_activation(activity(len(names)), range(15), names, GROUP)


def pictures(figure) -> dict[str, object]:
    return {ax.get_title(loc="left"): ax for ax in figure.axes if ax.get_visible()}


def lines(ax) -> dict[str, np.ndarray]:
    return {line.get_label(): np.array(line.get_data()) for line in ax.lines}


def shown_colors(figure) -> dict[str, set]:
    """Colours of the lines of every name."""
    found: dict[str, set] = {}
    for line in (line for ax in figure.axes for line in ax.lines):
        found.setdefault(line.get_label(), set()).add(to_rgba(line.get_color()))
    return found


def test_names_and_arguments_are_those_of_existing_scripts():
    assert list(inspect.signature(plot_activity_by_column).parameters) == [
        *("activity", "idx_to_group", "idx_to_column", "selected_group", "plot_type"),
        *("model_input", "sensory_indices", "figsize", "global_min", "global_max"),
    ]
    assert list(inspect.signature(plot_timeseries).parameters) == [
        *("df", "style", "sizing", "x_label", "y_label", "title", "slider_dim", "ymin", "ymax"),
        "scatter_mode",
    ]


def test_results_do_not_depend_on_how_figures_look():
    assert not [m for m in keys.closure("ngpipe.connectome") if m.startswith("ngpipe.figures")]


class TestByColumn:
    def drawn(self, **options):
        options = {"selected_group": ["EPG", "FC"], **options}
        return plot_activity_by_column(activity(), GROUP, COLUMN, **options)

    def test_a_picture_a_time_step_has_the_values_of_the_table(self):
        inputs = {"model_input": np.full((5, 3), 0.25), "sensory_indices": range(10, 15)}
        found = pictures(self.drawn(**inputs))
        table = activity_by_column(activity(), GROUP, COLUMN, ["EPG", "FC"], **inputs)
        assert list(found) == [f"time step {k}" for k in range(4)]
        for (step, group), rows in table.groupby(["time_step", "cell_group"]):
            expected = rows[["normalised_column", "activation"]].to_numpy().T
            np.testing.assert_allclose(lines(found[f"time step {step}"])[group], expected)
        assert set(lines(found["time step 0"])) == {"FC"}
        assert set(lines(found["time step 1"])) == {"EPG", "FC"}

    def test_a_group_has_one_colour_of_its_own_and_a_key(self):
        figure = self.drawn()
        colors = shown_colors(figure)
        assert colors.keys() == {"EPG", "FC"}
        assert [len(of_group) for of_group in colors.values()] == [1, 1]
        assert len(set.union(*colors.values())) == 2
        (legend,) = figure.legends
        keys_of_groups = zip(legend.get_texts(), legend.get_lines(), strict=True)
        assert {t.get_text(): {to_rgba(k.get_color())} for t, k in keys_of_groups} == colors

    def test_limits_hold_0_and_1_unless_given(self):
        low, high = self.drawn().axes[0].get_ylim()
        assert low < 0 < 1 < high
        assert self.drawn(global_min=-2.0, global_max=3.0).axes[0].get_ylim() == (-2, 3)

    def test_kind_size_and_labels(self):
        figure = self.drawn(plot_type="scatter", figsize=(500, 300))
        assert figure.get_size_inches() * 100 == pytest.approx([500, 300])
        assert {line.get_linestyle() for ax in figure.axes for line in ax.lines} == {"None"}
        assert figure.get_supxlabel().startswith("column")
        assert figure.get_supylabel() == "activity"
        with pytest.raises(ArgumentError, match="plot_type is 'bar', expected one of"):
            self.drawn(plot_type="bar")


class TestTimeseries:
    @pytest.mark.quick(1)
    @pytest.mark.parametrize(
        ("slider", "panels", "inside"),
        [
            ("batch", ["on", "off"], {"EPG", "FC", "PEN"}),
            ("group", ["EPG", "FC", "PEN"], {"on", "off"}),
        ],
    )
    def test_pictures_and_lines(self, slider, panels, inside):
        table = series()
        found = pictures(plot_timeseries(table, slider_dim=slider))
        assert list(found) == panels
        for row in table.itertuples():
            names = (row.batch_name, row.group)
            panel, line = names if slider == "batch" else names[::-1]
            expected = [[0, 1, 2], [row.time_0, row.time_1, row.time_2]]
            np.testing.assert_allclose(lines(found[panel])[line], expected, rtol=1e-6)
        assert all(set(lines(ax)) == inside for ax in found.values())

    def test_without_slider_all_samples_are_in_one_picture_in_the_colour_of_their_group(self):
        (ax,) = plot_timeseries(series(), slider_dim=None).axes
        assert len(ax.lines) == 6
        colors = shown_colors(ax.figure)
        assert [len(of_group) for of_group in colors.values()] == [1, 1, 1]
        assert len(set.union(*colors.values())) == 3

    def test_without_batch_there_is_one_picture(self):
        table = get_neuron_activation(activity(), range(15), idx_to_group=GROUP)
        (ax,) = plot_timeseries(table, x_label="t [steps]", y_label="x", title="rise").axes
        assert set(lines(ax)) == {"EPG", "FC", "PEN"}
        figure = ax.figure
        assert (figure.get_supxlabel(), figure.get_supylabel()) == ("t [steps]", "x")
        assert figure.get_suptitle() == "rise"

    def test_times_are_in_order_whatever_the_order_of_columns(self):
        wide = pd.DataFrame(np.random.default_rng(0).uniform(size=(2, 12)))
        wide.columns = [f"time_{k}" for k in range(12)]
        mixed = wide[sorted(wide.columns)].assign(group=["a", "b"])
        (ax,) = plot_timeseries(mixed).axes
        x, y = lines(ax)["b"]
        np.testing.assert_array_equal(x, range(12))
        np.testing.assert_allclose(y, wide.iloc[1])

    def test_look(self):
        figure = plot_timeseries(
            series(),
            style={"papercolor": "#eeeeee", "linecolor": "0.3"},
            sizing={"fig_width": 700, "fig_height": 350, "fsize_ticks_pt": 9, "markersize": 5},
            scatter_mode="lines+markers",
            ymin=0.0,
            ymax=2.0,
        )
        assert figure.get_size_inches() * 100 == pytest.approx([700, 350])
        assert figure.axes[0].get_ylim() == (0, 2)
        line = figure.axes[0].lines[0]
        assert (line.get_marker(), line.get_linestyle(), line.get_markersize()) == ("o", "-", 5)
        assert {t.get_fontsize() for t in figure.axes[0].get_yticklabels()} == {9}
        assert figure.get_facecolor()[:3] == pytest.approx([0xEE / 255] * 3)

    @pytest.mark.quick(1)
    @pytest.mark.parametrize("n", [1, 6])
    def test_no_text_overlaps_and_nothing_is_clipped(self, n):
        figure = plot_timeseries(series([f"odour {k}" for k in range(n)]), title="all odours")
        assert not clipped(figure)
        assert not overlapping(texts(figure))

    @pytest.mark.slow
    def test_the_table_is_not_changed(self):
        table = series()
        before = table.copy()
        plot_timeseries(table)
        pd.testing.assert_frame_equal(table, before)

    @pytest.mark.parametrize(
        ("table", "options", "words"),
        [
            (series().drop(columns="group"), {}, "expected rows with 'group' and 'time_0'"),
            (series()[["batch_name", "group"]], {}, "expected rows with 'group' and 'time_0'"),
            (pd.concat([series(), series()[:1]]), {}, "'EPG'} in more than one row"),
            (series(), {"slider_dim": "time"}, "slider_dim is 'time', expected one of"),
            (series(), {"scatter_mode": "dots"}, "scatter_mode is 'dots', expected one of"),
            (series(), {"style": {"colour": "red"}}, "key of style is 'colour', expected one of"),
            (series(), {"sizing": {"ticks": 3}}, "key of sizing is 'ticks', expected one of"),
            (series(), {"style": {"papercolor": "rgba(1,1,1,1)"}}, "not a colour of Matplotlib"),
        ],
    )
    def test_bad_input_is_named(self, table, options, words):
        with pytest.raises(ArgumentError, match=words):
            plot_timeseries(table, **options)

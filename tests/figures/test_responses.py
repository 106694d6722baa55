"""Response maps, effects over their null and fits: rows in order, numbers as counted by hand."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from drawing import STYLE, clipped, overlapping, panel, texts
from matplotlib.colors import to_rgba

from ngpipe.errors import ArgumentError
from ngpipe.figures.connectome.responses import effect_bars, fit_scatter, response_map
from ngpipe.figures.drawing import compose
from ngpipe.figures.drawing.scale import MISSING


def responses(rows: int = 5, across: int = 9, seed: int = 0) -> xr.DataArray:
    values = np.random.default_rng(seed).normal(size=(rows, across)) + 0.4
    return xr.DataArray(
        values,
        dims=("group", "time"),
        coords={
            "group": [f"TmY{k}(Lo)" for k in range(rows)],
            "time": ("time", 2 * np.arange(across), {"units": "steps", "long_name": "time"}),
        },
        attrs={"units": "1/tau", "long_name": "response"},
    )


def effects(n: int = 6, seed: int = 1) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Effects on groups and 40 draws of a null model of each, mixed."""
    rng = np.random.default_rng(seed)
    groups = [f"AV{k}" for k in range(n)]
    table = pd.DataFrame({"group": groups, "effect": rng.normal(0, 0.3, n)})
    null = pd.DataFrame({"group": groups * 40, "effect": rng.normal(0.05, 0.1, 40 * n)})
    return table, null.sample(frac=1, random_state=2)


def names(figure) -> list[str]:
    """Names of rows from top to bottom, as they stand on the page."""
    rows = [t for t in figure.axes[0].texts if t.get_ha() == "right"]
    return [t.get_text() for t in sorted(rows, key=lambda t: -t.get_window_extent().y0)]


class TestMap:
    def test_rows_come_from_top_to_bottom_under_their_names(self):
        data = responses()
        figure = panel(response_map, data=data)
        ax = figure.axes[0]
        (image,) = ax.images
        np.testing.assert_array_equal(image.get_array(), data)
        assert ax.yaxis_inverted()
        assert names(figure) == data["group"].values.tolist()
        for row, text in enumerate(t for t in ax.texts if t.get_ha() == "right"):
            middle = ax.transData.transform((0, row))[1]
            box = text.get_window_extent()
            assert box.y0 < middle < box.y1
            assert box.x1 < ax.bbox.x0

    def test_colours_and_axes_have_names_and_units(self):
        figure = panel(response_map, data=responses())
        ax, bar = figure.axes
        assert bar.get_ylabel() == "response [1/τ]"
        assert ax.get_xlabel() == "time [steps]"
        marks = {
            t.get_text(): x for t, x in zip(ax.get_xticklabels(), ax.get_xticks(), strict=True)
        }
        assert all(float(text) == 2 * x for text, x in marks.items())
        assert len(marks) > 2

    def test_names_across_are_all_there(self):
        data = responses(3, 4).assign_coords(time=["left", "right", "up", "down"])
        ax = panel(response_map, data=data).axes[0]
        assert [t.get_text() for t in ax.get_xticklabels()] == ["left", "right", "up", "down"]
        assert ax.get_xlabel() == "time"

    def test_without_coordinates_rows_are_numbered(self):
        figure = panel(response_map, data=responses().drop_vars(["group", "time"]))
        assert names(figure) == list("01234")
        assert figure.axes[0].get_xlabel() == "time"

    def test_symmetric_limited_and_missing_colours(self):
        data = responses()
        data[2, 3] = np.nan
        (image,) = panel(response_map, data=data, symmetric=True).axes[0].images
        low, high = image.get_clim()
        assert -low == high == float(np.abs(data).max())
        assert tuple(image.to_rgba(image.get_array())[2, 3]) == to_rgba(MISSING)
        (image,) = panel(response_map, data=data, limits=(0.0, 0.5)).axes[0].images
        assert image.get_clim() == (0, 0.5)
        assert image.colorbar.extend == "both"

    @pytest.mark.quick(1)
    @pytest.mark.parametrize(
        ("rows", "size"),
        [(8, (2.4, 2.1)), (24, (3.4, 2.6)), (30, (2.4, 2.1)), (40, (3.4, 2.6)), (65, (3.4, 3.4))],
    )
    def test_every_row_has_a_legible_name(self, rows, size):
        figure = panel(response_map, size, data=responses(rows))
        assert len(names(figure)) == rows
        shown = texts(figure)
        assert not overlapping(shown)
        assert min(t.get_fontsize() for t in shown) >= 6.5
        assert not clipped(figure)

    def test_blocks_are_parted_and_named_at_their_rows(self):
        blocks = ["input"] * 2 + ["output"] * 3
        figure = panel(response_map, data=responses(), blocks=blocks)
        ax = figure.axes[0]
        (line,) = ax.lines
        assert set(line.get_ydata()) == {1.5}
        found = {t.get_text(): t.xy[1] for t in ax.texts if t.get_ha() == "left"}
        assert found == {"input": 0.5, "output": 3.0}
        assert not overlapping(texts(figure))
        assert not clipped(figure)

    @pytest.mark.parametrize(
        ("data", "options", "words"),
        [
            (responses()[0], {}, r"two dimensions, rows and across, got \('time',\)"),
            (responses(), {"blocks": ["a"] * 4}, "blocks names 4 rows, the data have 5"),
            (responses(), {"blocks": list("aabba")}, "rows of block 'a' are not contiguous"),
            (responses() * np.nan, {}, "none of 45 values is finite"),
        ],
    )
    def test_bad_input_is_named(self, data, options, words):
        with pytest.raises(ArgumentError, match=words):
            panel(response_map, data=data, **options)


class TestEffects:
    def test_bars_reach_from_zero_to_their_effects_in_order(self):
        table, _ = effects()
        figure = panel(effect_bars, table=table, label="change of activity [1]")
        ax = figure.axes[0]
        bars = ax.collections[0].get_segments()
        for row, (bar, effect) in enumerate(zip(bars, table["effect"], strict=True)):
            np.testing.assert_allclose(bar, [[0, row], [effect, row]])
        np.testing.assert_allclose(ax.collections[1].get_offsets()[:, 0], table["effect"])
        assert names(figure) == table["group"].tolist()
        assert ax.get_xlabel() == "change of activity [1]"
        assert ax.yaxis_inverted()
        assert set(ax.lines[0].get_xdata()) == {0}
        assert ax.get_legend() is None

    def test_dots_are_filled_where_the_null_hardly_reaches(self):
        table, null = effects()
        figure = panel(effect_bars, table=table, null=null, label="change")
        ax = figure.axes[0]
        dots = ax.collections[-1]
        outside = []
        for group, effect in table.itertuples(index=False):
            draws = null["effect"][null["group"] == group]  # 40 of them: beyond all, p = 2 / 41
            outside.append(not draws.min() <= effect <= draws.max())
        assert 0 < sum(outside) < len(outside), "else the test would not tell"
        white = (dots.get_facecolors() == 1).all(axis=1)
        np.testing.assert_array_equal(white, np.logical_not(outside))
        legend = [t.get_text() for t in ax.get_legend().get_texts()]
        assert legend == ["p ≤ 0.05", "p > 0.05", "null, n = 40"]

    def test_the_null_lies_at_its_row_with_its_interval(self):
        table, null = effects(4)
        shifted = null.assign(effect=null["effect"] + null["group"].str[-1].astype(int))
        ax = panel(effect_bars, table=table, null=shifted, label="change").axes[0]
        bodies, spans = ax.collections[0:8:2], ax.collections[1:8:2]
        for row, (body, span) in enumerate(zip(bodies, spans, strict=True)):
            draws = shifted["effect"][shifted["group"] == f"AV{row}"]
            x, y = body.get_paths()[0].vertices.T
            assert (x.min(), x.max()) == pytest.approx((draws.min(), draws.max()))
            assert row - 0.5 < y.min() < row < y.max() < row + 0.5
            (segment,) = span.get_segments()
            expected = [[draws.quantile(0.025), row], [draws.quantile(0.975), row]]
            np.testing.assert_allclose(segment, expected)

    def test_few_draws_of_a_null_are_shown_one_by_one(self):
        table, null = effects(2)
        few = null.groupby("group").head(4)
        ax = panel(effect_bars, table=table, null=few, label="change").axes[0]
        for row, marks in enumerate(ax.collections[:2]):
            draws = few["effect"][few["group"] == f"AV{row}"]
            np.testing.assert_allclose(marks.get_offsets(), [[x, row] for x in draws])

    def test_a_null_without_spread_is_drawn_too(self):
        table, null = effects(3)
        null.loc[null["group"] == "AV1", "effect"] = 0.0
        figure = panel(effect_bars, table=table, null=null[3:], label="change")
        counts = null[3:]["group"].value_counts()
        legend = [t.get_text() for t in figure.axes[0].get_legend().get_texts()]
        assert legend[-1] == f"null, n = {counts.min()} to {counts.max()}"

    @pytest.mark.quick(1)
    @pytest.mark.parametrize(("n", "size"), [(6, (2.4, 2.1)), (8, (3.4, 2.6)), (24, (3.4, 2.6))])
    def test_no_text_overlaps_and_nothing_is_clipped(self, n, size):
        table, null = effects(n)
        figure = panel(effect_bars, size, table=table, null=null, label="change of activity")
        assert not overlapping(texts(figure))
        assert not clipped(figure)

    @pytest.mark.parametrize(
        ("change", "change_null", "words"),
        [
            (lambda t: t.drop(columns="effect"), lambda n: n, r"effects has 6 rows with columns"),
            (lambda t: t, lambda n: n[:0], "null effects has 0 rows"),
            (lambda t: pd.concat([t, t[2:3]]), lambda n: n, "'AV2' has more than one effect"),
            (lambda t: t.replace({"effect": t["effect"][3]}, np.nan), lambda n: n, "nan for group"),
            (lambda t: t, lambda n: n[n["group"] != "AV4"], "no draws of group 'AV4'"),
        ],
    )
    def test_bad_input_is_named(self, change, change_null, words):
        table, null = effects()
        with pytest.raises(ArgumentError, match=words):
            panel(effect_bars, table=change(table), null=change_null(null), label="change")


class TestFit:
    def wanted_and_got(self, rng):
        wanted = rng.uniform(size=30)
        return wanted, wanted + 0.1 * rng.normal(size=30), np.arange(30) % 3 == 0

    def test_targets_run_across_and_held_out_ones_are_apart(self, rng):
        wanted, got, held = self.wanted_and_got(rng)
        options = {"wanted": wanted, "got": got, "held_out": held, "label": "activity"}
        ax = panel(fit_scatter, **options).axes[0]
        fitted, apart = ax.collections
        np.testing.assert_array_equal(fitted.get_offsets(), np.stack([wanted, got], 1)[~held])
        np.testing.assert_array_equal(apart.get_offsets(), np.stack([wanted, got], 1)[held])
        marks = [len(c.get_paths()[0].vertices) for c in (fitted, apart)]
        assert marks[0] != marks[1], "told apart without colour"
        assert (ax.get_xlabel(), ax.get_ylabel()) == ("target activity", "fitted activity")
        x, y = ax.lines[0].get_data()
        np.testing.assert_array_equal(x, y)
        assert ax.get_xlim() == ax.get_ylim()

    def test_numbers_are_those_of_each_part(self, rng):
        wanted, got, held = self.wanted_and_got(rng)
        ax = panel(fit_scatter, wanted=wanted, got=1.5 * got, held_out=held).axes[0]
        told = [t.get_text() for t in ax.get_legend().get_texts()]
        for name, part, text in zip(("fitted", "held out"), (~held, held), told, strict=True):
            residual = 1.5 * got[part] - wanted[part]
            r2 = 1 - (residual**2).sum() / ((wanted[part] - wanted[part].mean()) ** 2).sum()
            assert abs(r2 - np.corrcoef(wanted[part], got[part])[0, 1] ** 2) > 0.1
            rmse = np.sqrt((residual**2).mean())
            assert text == f"{name}, n = {part.sum()}: RMSE {rmse:.3f}, $R^2$ {r2:.3f}"

    @pytest.mark.parametrize("n", [1, 9])
    def test_few_targets_have_an_error_but_no_r2(self, n):
        wanted = np.linspace(0.5, 0.9, n)
        figure = panel(fit_scatter, wanted=wanted, got=wanted + 0.25)
        (text,) = [t.get_text() for t in figure.axes[0].get_legend().get_texts()]
        assert text == f"fitted, n = {n}: RMSE 0.250"
        assert not clipped(figure)

    def test_keys_lie_outside_the_axes_where_no_point_can_be(self, rng):
        wanted, got, held = self.wanted_and_got(rng)
        ax = panel(fit_scatter, wanted=wanted, got=got, held_out=held).axes[0]
        assert ax.get_legend().get_window_extent().y1 < ax.get_window_extent().y0

    @pytest.mark.parametrize(
        ("wanted", "got", "held", "words"),
        [
            (np.ones(3), np.ones(4), None, r"shape \(3,\), got \(4,\)"),
            (np.ones(3), np.ones(3), np.ones(2, dtype=bool), r"held_out \(2,\)"),
            (np.ones(0), np.ones(0), None, "at least one value"),
            (
                np.array([1, np.nan, 2]),
                np.ones(3),
                None,
                "1 of 3 pairs of responses are not finite",
            ),
        ],
    )
    def test_bad_input_is_named(self, wanted, got, held, words):
        with pytest.raises(ArgumentError, match=words):
            panel(fit_scatter, wanted=wanted, got=got, held_out=held)


def drawings():
    table, null = effects()
    wanted = np.linspace(0, 1, 9)
    return {
        "map": lambda: panel(response_map, data=responses(30), blocks=["a"] * 9 + ["b"] * 21),
        "effects": lambda: panel(effect_bars, table=table, null=null, label="change"),
        "fit": lambda: panel(fit_scatter, wanted=wanted, got=wanted**2, held_out=wanted > 0.7),
    }


@pytest.mark.slow
@pytest.mark.parametrize("which", list(drawings()))
def test_same_input_same_bytes(tmp_path, which):
    paths = [tmp_path / f"{k}.svg" for k in range(2)]
    for path in paths:
        compose.save(drawings()[which](), path, STYLE)
    assert paths[0].read_bytes() == paths[1].read_bytes()

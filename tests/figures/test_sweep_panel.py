"""Panel `sweep`: the right numbers at the right places."""

import numpy as np
import pandas as pd
import pytest

from ngpipe.config.figures import Panel, Style
from ngpipe.errors import StoreError
from ngpipe.figures.drawing import compose
from ngpipe.figures.drawing.style import new_figure
from ngpipe.figures.points import SweepMaterial, sweep

NOISE, UNIT = "simulation.noise", "1/tau"


def table(settings: list[str], values: list[float], published: object = None) -> pd.DataFrame:
    """One metric at every setting, among another metric, another parameter and no parameter."""
    each = published if isinstance(published, list) else [published] * len(settings)
    published = each[0]
    rows = [
        ("one", "", "", "", "connectivity", "r2", 9.0, published),
        ("one~training.seed=1", "training.seed", "1", "1", "connectivity", "r2", 8.0, published),
    ]
    for setting, value, published in zip(settings, values, each, strict=True):
        labels = (f"one~{NOISE}={setting}", NOISE, setting, UNIT)
        rows.append((*labels, "connectivity", "r2", value, published))
        rows.append((*labels, "connectivity", "slope", value + 1, np.nan))
    columns = ["experiment", "parameter", "setting", "unit"]
    columns += ["quantity", "metric", "value", "reference"]
    return pd.DataFrame(rows, columns=columns)


def material(found: pd.DataFrame, metric: str = "r2") -> SweepMaterial:
    asked = {"parameter": NOISE, "quantity": "connectivity", "metric": metric}
    spec = Panel(kind="sweep", of="one", **asked)
    return SweepMaterial({"table": found}, spec, Style())


def drawn(*arguments, **options):
    ax = new_figure(3.0, 2.0).subplots()
    assert sweep(material(table(*arguments, **options)), ax) is ax
    return ax


def test_one_dot_a_point_at_its_value():
    ax = drawn(["1", "0", "0.1"], [0.3, 0.9, 0.7])
    np.testing.assert_array_equal(ax.lines[0].get_xdata(), [0, 0.1, 1])
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), [0.9, 0.7, 0.3])
    assert ax.lines[0].get_marker() == "o"
    assert (ax.get_xlabel(), ax.get_ylabel()) == (f"{NOISE} [1/τ]", "$R^2$")
    assert ax.get_title() == "W, one run a point"


@pytest.mark.parametrize(
    ("settings", "scale"),
    [
        (["1e-05", "0.001", "1"], "log"),
        (["1", "2", "3"], "linear"),
        (["0", "0.001", "1"], "linear"),
        (["-1", "0.001", "1"], "linear"),
    ],
)
def test_positive_values_of_many_decades_are_logarithmic(settings, scale):
    assert drawn(settings, [1.0, 2.0, 3.0]).get_xscale() == scale


@pytest.mark.parametrize("settings", [["relu", "tanh"], ["null", "3"], ["true", "false"]])
def test_what_is_no_number_stands_side_by_side_unconnected(settings):
    ax = drawn(settings, [0.2, 0.4])
    np.testing.assert_array_equal(ax.lines[0].get_ydata(), [0.2, 0.4])
    assert [tick.get_text() for tick in ax.get_xticklabels()] == settings
    assert ax.lines[0].get_linewidth() == 0


def test_a_published_value_is_a_line_of_its_own():
    ax = drawn(["0", "1"], [0.2, 0.4], published=0.95)
    np.testing.assert_array_equal(ax.lines[1].get_ydata(), [0.95, 0.95])
    assert [text.get_text() for text in ax.texts] == ["published"]
    assert len(drawn(["0", "1"], [0.2, 0.4]).lines) == 1


def test_published_values_of_points_are_rings_at_their_points():
    ax = drawn(["1", "0", "0.5"], [0.2, 0.4, 0.3], published=[0.9, 0.5, None])
    np.testing.assert_array_equal(ax.lines[1].get_xdata(), [0, 1])
    np.testing.assert_array_equal(ax.lines[1].get_ydata(), [0.5, 0.9])
    assert ax.lines[1].get_markerfacecolor() == "none"
    assert [text.get_text() for text in ax.texts] == ["published"]


def test_a_point_without_a_value_has_no_dot():
    ax = drawn(["0", "1"], [np.nan, 0.4])
    assert np.isnan(ax.lines[0].get_ydata()[0])


def test_a_metric_that_is_not_there_is_named():
    with pytest.raises(StoreError, match=r"connectivity\.r3 of one against simulation\.noise, but"):
        material(table(["0"], [1.0]), metric="r3").shown()


def test_it_is_drawn_like_any_panel():
    figure = compose.panel_figure(material(table(["0", "1"], [0.2, 0.4], published=0.9)))
    assert figure.axes[0].lines


@pytest.mark.parametrize("missing", ["parameter", "quantity", "metric"])
def test_the_panel_says_what_it_shows(missing):
    spec = {"parameter": NOISE, "quantity": "connectivity", "metric": "r2"}
    with pytest.raises(ValueError, match=f"a sweep panel needs `{missing}`"):
        Panel(kind="sweep", of="one", **{k: v for k, v in spec.items() if k != missing})

"""The panel of intervals shows how many hold the truth, and by how much errors are off."""

import numpy as np
import pytest
import xarray as xr
from drawing import axes_of
from synthetic import N, material

from ngpipe.config.figures import Panel, Style
from ngpipe.errors import StoreError
from ngpipe.figures.drawing import compose
from ngpipe.metrics import connectivity

OFF = ~np.eye(N, dtype=bool)
SMALLEST = (2.4, 2.2)
"""Width and height of the smallest panel of a page [inch]."""


def parts(factor: float = 1.0, *, zeros: bool = False) -> dict[str, xr.Dataset]:
    """Errors that are ``factor`` times the right ones; ``zeros``: every other weight is zero."""
    rng = np.random.default_rng(7)
    synthetic = material("calibration")
    simulation, recovery = synthetic.simulation.copy(deep=True), synthetic.recovery.copy(deep=True)
    if zeros:
        simulation["connectivity"][:, ::2] = 0
    spread = np.exp(rng.normal(size=(N, N))) * OFF
    noise = spread * rng.normal(size=(N, N))
    recovery["connectivity"].values[:] = simulation["connectivity"].values + noise
    recovery["connectivity_error"].values[:] = factor * spread
    return {"simulation": simulation, "recovery": recovery}


def drawn(changes: dict[str, xr.Dataset]):
    """The axes of the panel, and those of its inset."""
    ax = axes_of(material("calibration", **changes))
    (inset,) = ax.child_axes
    return ax, inset


def curve(ax) -> tuple[np.ndarray, np.ndarray]:
    """Nominal and actual coverage."""
    _, line = ax.lines
    return line.get_xdata(), line.get_ydata()


def text(ax) -> str:
    return "\n".join(t.get_text() for t in ax.texts)


@pytest.mark.parametrize("factor", [0.5, 1.0, 2.0])
def test_the_curve_is_the_share_of_true_weights_in_their_intervals(factor):
    """At the levels that are scored it is what the metrics say; between them it rises."""
    changes = parts(factor)
    ax, _ = drawn(changes)
    nominal, actual = curve(ax)
    assert (nominal[0], nominal[-1], len(nominal)) == (0.05, 0.99, 20)
    assert (np.diff(actual) > 0).all() or factor == 2
    recovery = changes["recovery"]
    table = connectivity.score_intervals(
        recovery["connectivity"],
        recovery["connectivity_error"],
        changes["simulation"]["connectivity"],
    ).set_index("metric")["value"]
    for level in (50, 90, 95):
        (at,) = np.flatnonzero(np.isclose(nominal, level / 100))
        assert actual[at] == pytest.approx(table[f"coverage_{level}"])
    sign = np.sign(actual - nominal)[2:-2]
    assert factor == 1 or (sign == np.sign(factor - 1)).all()


def test_right_errors_lie_on_the_diagonal():
    ax, _ = drawn(parts())
    ideal, _ = ax.lines
    np.testing.assert_array_equal(ideal.get_xdata(), ideal.get_ydata())
    nominal, actual = curve(ax)
    np.testing.assert_allclose(actual, nominal, atol=4 * np.sqrt(0.25 / OFF.sum()))
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("nominal coverage", "actual coverage")


def test_a_transposed_error_matrix_is_seen():
    changes = parts()
    error = changes["recovery"]["connectivity_error"]
    error.values[:] = error.values.T.copy()
    nominal, actual = curve(drawn(changes)[0])
    assert actual[-2] < 0.85 < nominal[-2]


@pytest.mark.parametrize("factor", [0.5, 1.0, 2.0])
def test_the_inset_is_the_density_of_z_over_the_normal_one(factor):
    """Also where much of z lies beyond it: the area is the share inside, not 1."""
    changes = parts(factor)
    _, inset = drawn(changes)
    (stairs,) = inset.patches
    density, edges, _ = stairs.get_data()
    weights = [changes[k]["connectivity"].values[OFF] for k in ("recovery", "simulation")]
    z = (weights[0] - weights[1]) / changes["recovery"]["connectivity_error"].values[OFF]
    middle = np.mean((z >= edges[20]) & (z < edges[21])) / (edges[21] - edges[20])
    assert density[20] == pytest.approx(middle)
    assert np.sum(density * np.diff(edges)) == pytest.approx(np.mean(np.abs(z) <= 4))
    (normal,) = inset.collections
    x, y = normal.get_paths()[0].vertices.T
    assert y.max() == pytest.approx(1 / np.sqrt(2 * np.pi))
    assert y[np.argmin(np.abs(x - 1))] == pytest.approx(0.24197, abs=0.01)
    assert inset.get_title(loc="right") == "$z$"


@pytest.mark.quick(2)
@pytest.mark.parametrize("factor", [0.2, 0.5, 1.0, 2.0, 5.0])
def test_the_inset_and_the_numbers_stay_clear_of_the_curve(factor):
    panel = Panel(kind="calibration", of="e", size=SMALLEST)
    changes = parts(factor, zeros=True)
    (ax,) = compose.panel_figure(material("calibration", spec=panel, **changes)).axes
    (inset,) = ax.child_axes
    points = ax.transData.transform(np.column_stack(curve(ax)))
    renderer = ax.figure.canvas.get_renderer()
    boxes = [inset.get_tightbbox(renderer), *(t.get_window_extent(renderer) for t in ax.texts)]
    for box in boxes:
        assert not any(box.contains(*point) for point in points)
    assert not boxes[0].overlaps(boxes[1])


def test_numbers_are_those_of_metrics_csv():
    dense, sparse = (text(drawn(parts(zeros=zeros))[0]) for zeros in (False, True))
    assert dense == "coverage of 95 % intervals 0.943"
    assert sparse.splitlines() == [dense, "false discoveries 0.032 (aim ≤ 0.05)", "power 0.876"]


def test_without_calls_nothing_is_said_of_discoveries():
    changes = parts(zeros=True)
    changes["recovery"] = changes["recovery"].drop_vars("connected")
    assert text(drawn(changes)[0]) == "coverage of 95 % intervals 0.943"


@pytest.mark.quick(1)
@pytest.mark.parametrize("factor", [0.5, 2.0])
def test_nothing_is_cut_off_at_the_size_of_the_smallest_panel(factor):
    panel = Panel(kind="calibration", of="e", size=SMALLEST)
    parts_of = material("calibration", spec=panel, style=Style(), **parts(factor, zeros=True))
    figure = compose.panel_figure(parts_of)
    renderer = figure.canvas.get_renderer()
    ax = figure.axes[0]
    shown = [*ax.texts, ax.xaxis.label, ax.yaxis.label, *ax.get_xticklabels(), ax.child_axes[0]]
    for artist in shown:
        box = artist.get_tightbbox(renderer)
        assert box.x0 >= 0 and box.y0 >= 0
        assert box.x1 <= figure.bbox.width and box.y1 <= figure.bbox.height


def test_without_standard_errors_it_says_what_to_do():
    changes = parts()
    changes["recovery"] = changes["recovery"].drop_vars("connectivity_error")
    with pytest.raises(
        StoreError, match=r"'calibration'.*connectivity_error.*'e'.*train and recover"
    ):
        drawn(changes)


def test_a_recording_has_no_calibration():
    blind = material("calibration").simulation[["activity"]]
    with pytest.raises(StoreError, match=r"'calibration' draws the true connectivity"):
        drawn({"simulation": blind})

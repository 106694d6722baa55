"""Maps of columns: each cell where its column is, in the colour of its value, without gaps."""

import numpy as np
import pandas as pd
import pytest
from drawing import STYLE, clipped, overlapping, panel, pixels, texts
from matplotlib.colors import to_rgba

from ngpipe.errors import ArgumentError
from ngpipe.figures.drawing import compose
from ngpipe.figures.drawing.lattice import hexagonal_map
from ngpipe.figures.drawing.scale import MISSING
from ngpipe.wiring.sources.unroll import cartesian, hexagon


def table(radius: int = 3, **names: float) -> pd.DataFrame:
    """Random values; with names one map each, shifted by a number."""
    u, v = hexagon(radius).T
    values = np.random.default_rng(radius).normal(size=len(u))
    one = pd.DataFrame({"u": u, "v": v, "value": values})
    if not names:
        return one
    return pd.concat([one.assign(name=k, value=values + x) for k, x in names.items()])


def drawn(data: pd.DataFrame, size=(3.4, 2.6), **options):
    """Figure, axes and cells of a map."""
    figure = panel(hexagonal_map, size, table=data, **{"label": "attribution", **options})
    (cells,) = figure.axes[0].collections
    return figure, figure.axes[0], cells


def centres(cells) -> np.ndarray:
    return np.stack([path.vertices[:6].mean(axis=0) for path in cells.get_paths()])


def test_cells_lie_where_their_columns_do_and_have_their_values():
    shuffled = table().sample(frac=1, random_state=1)
    _, _, cells = drawn(shuffled)
    x, y = cartesian(*hexagon(3).T)
    found = centres(cells)
    np.testing.assert_allclose(found - found[0], np.stack([x, y], axis=1) - [x[0], y[0]], atol=1e-9)
    np.testing.assert_array_equal(cells.get_array(), table()["value"])


def test_v_grows_upwards_and_u_to_the_upper_right_on_the_page():
    figure, ax, cells = drawn(table())
    place = {tuple(c): p for c, p in zip(hexagon(3).tolist(), centres(cells), strict=True)}
    corner = ax.transData.transform([place[0, 0], place[1, 0], place[0, 1]])
    right, up = corner[1:] - corner[0]
    assert up[1] > 0 == pytest.approx(up[0], abs=1e-6)
    assert right / np.linalg.norm(right) == pytest.approx([np.sqrt(3) / 2, 0.5], abs=1e-3)
    arrows = {t.get_text(): t for t in texts(figure) if t.get_text() in ("$u$", "$v$")}
    assert arrows["$v$"].get_position()[1] > arrows["$u$"].get_position()[1] > 0


def test_cells_fill_the_plane():
    """Every cell has the area of its column, and each of its corners in common with two others."""
    _, _, cells = drawn(table(4))
    corners = np.stack([path.vertices[:6] for path in cells.get_paths()])
    x, y = np.moveaxis(corners, -1, 0)
    area = 0.5 * np.abs((x * np.roll(y, -1, 1) - y * np.roll(x, -1, 1)).sum(axis=1))
    np.testing.assert_allclose(area, np.sqrt(3) / 2)
    middle = int(np.flatnonzero((hexagon(4) == 0).all(axis=1))[0])
    for corner in corners[middle]:
        near = np.linalg.norm(corners.reshape(-1, 2) - corner, axis=1) < 1e-9
        assert near.sum() == 3


def test_no_page_shows_between_cells():
    flat = table(4).assign(value=1.0)
    figure, ax, cells = drawn(flat)
    low, high = ax.transData.transform([centres(cells).min(0), centres(cells).max(0)])
    width, height = (high - low) / 2
    middle = (low + high) / 2
    rows, columns = np.indices(pixels(figure).shape[:2])
    y = figure.bbox.height - rows - 0.5 - middle[1]
    inside = np.hypot((columns + 0.5 - middle[0]) / width, y / height) < 0.8
    shown = pixels(figure)[inside].astype(int)
    assert np.abs(shown - shown[0]).max() < 8


def test_symmetric_colours_tell_the_sign():
    data = table().assign(value=lambda t: t["value"] + 0.7)  # so that extremes differ
    _, _, cells = drawn(data, symmetric=True)
    low, high = cells.get_clim()
    assert -low == high == np.abs(data["value"]).max()
    red, _, blue, _ = cells.get_facecolors().T
    strong = np.abs(data["value"]) > 0.1 * high
    np.testing.assert_array_equal((red > blue)[strong], (data["value"] > 0)[strong])
    assert drawn(data)[2].get_clim() == (data["value"].min(), data["value"].max())


def test_columns_without_a_value_are_grey():
    data = table(2)
    data.loc[4, "value"] = np.nan
    _, _, cells = drawn(data.drop(index=7), radius=3)
    grey = (cells.get_facecolors() == to_rgba(MISSING)).all(axis=1)
    known = {(u, v) for u, v in data.drop(index=[4, 7])[["u", "v"]].to_numpy().tolist()}
    expected = [tuple(c) not in known for c in hexagon(3).tolist()]
    assert sum(expected) == len(hexagon(3)) - len(data) + 2
    np.testing.assert_array_equal(grey, expected)


def test_maps_stand_apart_in_their_order_on_one_scale_under_their_names():
    data = table(3, T5=0.0, Mi1=1.0, Am=-1.0, R1=2.0)
    sparse = data[(data["name"] != "Am") | (data["u"] == 0)]
    figure, ax, cells = drawn(sparse)
    n = len(hexagon(3))
    boxes = [(c.min(axis=0), c.max(axis=0)) for c in centres(cells).reshape(4, n, 2)]
    for k, (low, high) in enumerate(boxes):
        for other_low, other_high in boxes[k + 1 :]:
            assert (high + 0.5 < other_low).any() or (other_high + 0.5 < low).any()
    names = [t for t in ax.texts if t.get_text() in {"T5", "Mi1", "Am", "R1"}]
    assert [t.get_text() for t in names] == ["T5", "Mi1", "Am", "R1"]
    for text, (low, high) in zip(names, boxes, strict=True):
        assert text.get_position()[0] == pytest.approx((low[0] + high[0]) / 2)
        assert text.get_position()[1] > high[1]
    assert boxes[1][0][0] > boxes[0][1][0], "the second is to the right of the first"
    assert not overlapping(texts(figure))
    values = cells.get_array().reshape(4, n)
    np.testing.assert_allclose(values[3] - values[0], 2)
    assert values[2].mask.sum() == n - 7
    assert cells.get_clim() == (sparse["value"].min(), sparse["value"].max())


def test_the_bar_has_the_label_and_says_what_lies_beyond():
    figure, _, cells = drawn(table(), label="input x gradient [1/τ]", limits=(-0.5, 0.5))
    bar = cells.colorbar
    assert bar.ax.get_ylabel() == "input x gradient [1/τ]"
    assert bar.extend == "both"
    assert drawn(table(), limits=(-9.0, 0.5))[2].colorbar.extend == "max"
    assert drawn(table())[2].colorbar.extend == "neither"
    assert cells.get_clim() == (-0.5, 0.5)
    assert not clipped(figure)


@pytest.mark.quick(2)
@pytest.mark.parametrize("size", [(2.4, 2.1), (3.4, 2.6), (7.2, 2.1)])
@pytest.mark.parametrize("n", [1, 6])
def test_nothing_is_clipped_or_overlaps_at_the_sizes_of_a_page(size, n):
    names = {f"time {k}": float(k) for k in range(n)} if n > 1 else {}
    figure, _, _ = drawn(table(5, **names), size)
    assert not clipped(figure)
    assert not overlapping(texts(figure))


@pytest.mark.parametrize(
    ("change", "options", "words"),
    [
        (lambda t: t.drop(columns="value"), {}, r"columns \['u', 'v'\], expected rows with"),
        (lambda t: t[:0], {}, "0 rows"),
        (lambda t: pd.concat([t, t[4:5]]), {}, r"column \(-3, 4\)|more than one value in map ''"),
        (lambda t: t.assign(u=t["u"] + 0.5), {}, "must be whole numbers, got"),
        (lambda t: t, {"radius": 2}, "3 columns from the centre, beyond the radius 2"),
        (lambda t: t.assign(value=np.nan), {}, "none of 37 values is finite"),
        (lambda t: t, {"limits": (1.0, -1.0)}, "expected the smaller first"),
        (lambda t: t, {"limits": (0.0, 1.0), "symmetric": True}, "as far below 0 as above"),
    ],
)
def test_bad_input_is_named(change, options, words):
    with pytest.raises(ArgumentError, match=words):
        drawn(change(table()), **options)


@pytest.mark.quick(1)
@pytest.mark.parametrize("suffix", [".svg", ".png"])
def test_same_input_same_bytes_and_the_table_is_not_changed(tmp_path, suffix):
    data = table(2, a=0.0, b=1.0)
    before = data.copy()
    paths = [tmp_path / f"{k}{suffix}" for k in range(2)]
    for path in paths:
        compose.save(drawn(data)[0], path, STYLE)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    pd.testing.assert_frame_equal(data, before)

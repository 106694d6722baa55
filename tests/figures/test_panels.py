"""Every panel draws what it says, from stores alone; the same input gives the same bytes."""

import numpy as np
import pytest
import xarray as xr
from drawing import axes_of, pixels
from pydantic import ValidationError
from synthetic import N, material

from ngpipe import schemas
from ngpipe.config.figures import KINDS, Figure, Panel, Style
from ngpipe.errors import ConfigError, StoreError
from ngpipe.figures.drawing import compose
from ngpipe.figures.quicklook import quick_look
from ngpipe.study import stages


@pytest.mark.parametrize("kind", [k for k, one in KINDS.items() if one.system == "assembly"])
def test_a_panel_has_a_title_labels_and_ink_inside_the_page(kind):
    figure = compose.panel_figure(material(kind))
    ax = figure.axes[0]
    assert ax.get_title(loc="left")
    labels = [ax.get_xlabel(), *(cell.get_xlabel() for cell in ax.child_axes)]
    frames = ax.get_xticklabels()
    assert kind == "diagnosis" or any(labels) or frames[0].get_text().startswith("frame")
    image = pixels(figure)
    assert (image < 250).any(axis=-1).mean() > 0.02
    border = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
    assert (border > 250).all(), "something is clipped at the edge"


@pytest.mark.quick(1)
@pytest.mark.parametrize("suffix", [".svg", ".png", ".pdf"])
def test_same_input_same_bytes(tmp_path, suffix):
    paths = [tmp_path / f"{k}{suffix}" for k in range(2)]
    for path in paths:
        compose.save(compose.panel_figure(material("phi")), path, Style())
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_the_scatter_says_what_metrics_csv_says():
    text = " ".join(t.get_text() for t in axes_of(material("connectivity_scatter")).texts)
    assert "0.98760" in text
    assert "1.0100" in text


def test_rows_of_the_heat_map_are_post():
    ax = axes_of(material("true_connectivity"))
    shown = ax.images[0].get_array()
    np.testing.assert_array_equal(shown, material("psi").simulation["connectivity"])
    assert "post" in ax.get_ylabel()
    assert "pre" in ax.get_xlabel()
    assert ax.yaxis_inverted()


def test_learned_and_true_w_share_a_colour_scale():
    limits = [
        axes_of(material(f"{which}_connectivity")).images[0].get_clim()
        for which in ("true", "learned")
    ]
    assert limits[0] == limits[1]


def test_a_recording_without_truth_still_draws_what_it_can():
    blind = material("phi").simulation[["activity"]]
    ax = axes_of(material("phi", simulation=blind))
    assert ax.get_title(loc="left")
    with pytest.raises(StoreError, match=r"true_connectivity.*does not know"):
        compose.panel_figure(material("true_connectivity", simulation=blind))


def test_a_page_letters_its_panels_in_reading_order():
    spec = Figure(
        panels={"one": Panel(kind="psi", of="e"), "two": Panel(kind="latents", of="e")},
        mosaic=(("two", "one"),),
    )
    parts = {name: material(p.kind) for name, p in spec.panels.items()}
    figure = compose.page(spec, Style(dpi=60), parts)
    titles = {ax.get_title(loc="left"): ax.get_position().x0 for ax in figure.axes}
    (first,), (second,) = ([t for t in titles if f"bf{{{c}}}" in t] for c in "ab")
    assert "latents" in first
    assert titles[first] < titles[second]


@pytest.mark.slow
def test_a_quick_look_draws_every_variable():
    """The latents too, which xarray takes for a coordinate."""
    dataset = material("psi").recovery
    figure = quick_look(dataset)
    assert {ax.get_title(loc="left").split(" ")[0] for ax in figure.axes} == set(schemas.RECOVERY)


def test_a_quick_look_shows_rows_of_w_as_rows_and_real_coordinates():
    """Thinned pictures keep the numbers of neurons and the values of activity."""
    n = 1001
    x = np.linspace(-6, 6, n)
    values = np.random.default_rng(0).normal(size=(n, n))
    values[600:] = 0
    dataset = xr.Dataset(
        {"W": (("post", "pre"), values), "phi": (("neuron", "x"), values)}, coords={"x": x}
    )
    w, phi = quick_look(dataset).axes
    assert (w.get_xlabel(), w.get_ylabel()) == ("pre", "post")
    assert w.get_ylim()[0] == pytest.approx(n, abs=5)
    shown = np.asarray(w.images[0].get_array())
    assert not shown[int(0.62 * len(shown)) :].any()
    assert shown[:, int(0.62 * len(shown)) :].any()
    assert phi.get_xlim() == pytest.approx((-6, 6), abs=0.1)


def test_a_quick_look_leaves_gaps_empty_and_tells_what_colours_mean():
    time = np.r_[0:50, 150:200] / 10
    dims = ("time [s]", "neuron")  # as of a recording that is inspected
    dataset = xr.Dataset({"dff": (dims, np.full((100, 9), 3.0))}, {dims[0]: time})
    (ax,) = quick_look(dataset).axes
    shown = np.asarray(ax.images[0].get_array().filled(np.nan))
    at = np.linspace(0, 19.9, shown.shape[1])
    np.testing.assert_array_equal(np.isnan(shown[0]), (at > 4.9 + 0.15) & (at < 15))
    assert ax.get_title(loc="right") == "±3"


def test_a_quick_look_leaves_out_names_and_what_is_not_finite():
    """As in the responses of a circuit: labels of runs are text, and some runs diverge."""
    values = np.random.default_rng(0).normal(size=(20, 30))
    values[3, 20:], values[4, 20:] = np.inf, np.nan
    labels = {"condition": ("run", np.array(["a", "bc"] * 10)), "seed": ("run", np.arange(20))}
    names = {"run": [f"run {i}" for i in range(20)]}
    dataset = xr.Dataset({"mean": (("run", "time"), values), **labels}, names)
    mean, seed = quick_look(dataset).axes
    assert (mean.get_title(loc="left"), seed.get_title(loc="left")) == ("mean", "seed")
    assert mean.images[0].get_clim()[1] == pytest.approx(2.5, abs=0.5)
    assert mean.get_ylim() == (19, 0)


def of_pairs(receiver: np.ndarray, sender: np.ndarray) -> xr.Dataset:
    """A recovery whose psi belongs to pairs of types: r + 1 and s + 1 tell them apart."""
    recovery = material("psi").recovery.drop_vars("psi")
    x = recovery["x"].values
    curves = np.tanh(x / (1 + receiver[:, None] + 0.1 * sender[:, None]))
    pairs = {"receiver_type": ("pair", receiver), "sender_type": ("pair", sender)}
    return recovery.assign(psi=(("pair", "x"), curves, {"of": "pair"})).assign_coords(pairs)


def test_psi_of_senders_is_drawn_for_every_neuron_in_the_colour_of_its_type():
    recovery = material("psi").recovery
    recovery["psi"].attrs["of"] = "sender"
    recovery["visited"][5] = [-1.0, 2.0]
    ax = axes_of(material("psi", recovery=recovery))
    (lines,) = ax.collections
    assert len(lines.get_segments()) == N
    x, y = lines.get_segments()[5].T
    assert (x.min(), x.max()) == pytest.approx((-1, 2), abs=0.31)
    np.testing.assert_allclose(y, np.tanh(x))
    colors = {tuple(c) for c in lines.get_colors()}
    assert len(colors) == len(np.unique(material("psi").simulation["neuron_type"]))
    assert "a_j, x_j" in ax.get_ylabel()


def test_psi_of_receivers_is_drawn_where_most_senders_go():
    recovery = material("psi").recovery
    recovery["psi"].attrs["of"] = "receiver"
    recovery["visited"][5] = [-1.0, 2.0]
    ax = axes_of(material("psi", recovery=recovery))
    x, _ = ax.collections[0].get_segments()[5].T
    assert (x.min(), x.max()) == pytest.approx((-4, 4), abs=0.31)
    assert "a_i, x_j" in ax.get_ylabel()


def test_psi_of_pairs_has_a_picture_a_receiver_with_the_true_curves_of_that_receiver():
    receiver, sender = np.divmod(np.arange(9), 3)
    recovery = of_pairs(receiver, sender)
    truth = material("psi").simulation.drop_vars("psi")
    true = recovery["psi"].values * 0.9
    x = recovery["x"].values
    truth = truth.assign(psi=(("pair", "x"), true, {"of": "pair"}))
    ax = axes_of(material("psi", recovery=recovery, simulation=truth))
    cells = ax.child_axes
    assert [c.get_title(loc="left") for c in cells] == ["to type 1", "to type 2", "to type 3"]
    for r, cell in enumerate(cells):
        np.testing.assert_array_equal([line.get_ydata() for line in cell.lines], true[3 * r :][:3])
        segments = cell.collections[0].get_segments()
        for s, segment in enumerate(segments):
            np.testing.assert_allclose(
                segment[:, 1], np.tanh(segment[:, 0] / (1 + r + 0.1 * s)), atol=1e-12
            )
            assert np.abs(segment[:, 0]).max() < 4.01 < x.max()
        assert len({tuple(c) for c in cell.collections[0].get_colors()}) == 3
    assert "a_i, a_j, x_j" in ax.get_ylabel()


def test_found_types_have_the_colours_and_names_of_the_true_types_they_mostly_are():
    """Found types in reverse order of the true ones."""
    receiver, sender = np.divmod(np.arange(9), 3)
    recovery = of_pairs(receiver, sender)
    recovery["neuron_type"][:] = 2 - recovery["neuron_type"]
    cells = axes_of(material("psi", recovery=recovery)).child_axes
    assert [c.get_title(loc="left") for c in cells] == ["to type 3", "to type 2", "to type 1"]
    ordered = axes_of(material("psi", recovery=of_pairs(receiver, sender)))
    colors, expected = (c[0].collections[0].get_colors() for c in (cells, ordered.child_axes))
    np.testing.assert_array_equal(colors, expected[::-1])


def test_many_types_of_receivers_are_cut_to_four():
    types = np.arange(N) % 6
    receiver, sender = np.divmod(np.arange(36), 6)
    recovery = of_pairs(receiver, sender)
    recovery["neuron_type"][:] = types
    blind = material("psi").simulation.drop_vars(["psi", "neuron_type"])
    ax = axes_of(material("psi", recovery=recovery, simulation=blind))
    assert len(ax.child_axes) == 4


def test_rows_have_the_heights_asked_for():
    panels = {name: Panel(kind="latents", of="e") for name in ("a", "b")}
    spec = Figure(panels=panels, mosaic=(("a",), ("b",)), row_height=2.0, row_heights=(1.0, 0.5))
    parts = {name: material("latents") for name in panels}
    figure = compose.page(spec, Style(dpi=60), parts)
    assert figure.get_figheight() == pytest.approx(3.0)
    upper, lower = (ax.get_position().height for ax in figure.axes)
    assert upper > 1.8 * lower
    with pytest.raises(ValidationError, match=r"row_heights has 1 entries for 2 rows"):
        Figure(panels=panels, mosaic=(("a",), ("b",)), row_heights=(1.0,))


def test_a_title_may_quote_that_of_the_kind_and_a_panel_have_its_own_size():
    spec = Panel(kind="latents", of="e", title="sender: {}", size=(5.0, 2.0))
    ax = axes_of(material("latents", spec=spec))
    assert ax.get_title(loc="left") == "sender: latents, 3 types found"
    assert tuple(ax.figure.get_size_inches()) == (5.0, 2.0)


def test_a_frame_that_was_not_recorded_is_refused_before_anything_runs(study):
    panels = {"a": {"kind": "true_input", "of": "one", "at": [0, 100_000]}}
    with pytest.raises(ConfigError, match=r"F\.panels\.a: frame 100000 lies beyond.*\(100000\)"):
        stages.open_study(study({"F": {"panels": panels}}, one={}))

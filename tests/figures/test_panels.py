"""Every panel draws what it says, from stores alone; the same input gives the same bytes."""

from typing import get_args

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from ngpipe import store
from ngpipe.config.figures import Figure, Kind, Panel, Style
from ngpipe.errors import StoreError
from ngpipe.figures import compose
from ngpipe.figures.material import Material
from ngpipe.figures.quicklook import quick_look

N, T = 70, 900


def material(kind: str, **changes) -> Material:
    rng = np.random.default_rng(0)
    x = np.linspace(-6, 6, 41)
    weights = rng.standard_cauchy((N, N)).clip(-9, 9)
    types = np.arange(N) * 3 // N
    phi = np.stack([-x, -2 * x, -3 * x])
    noisy = weights + 0.1 * rng.normal(size=weights.shape)
    activity = rng.normal(size=(T, N)).cumsum(0) / 9
    time = 0.01 * np.arange(T)
    simulation = xr.Dataset(
        {
            "activity": (("time", "neuron"), activity),
            "connectivity": (("post", "pre"), weights),
            "neuron_type": (("neuron",), types),
            "phi": (("type", "x"), phi),
            "psi": (("type", "x"), np.tanh(np.tile(x, (3, 1)))),
        },
        coords={"time": time, "x": x},
    )
    recovery = xr.Dataset(
        {
            "connectivity": (("post", "pre"), noisy),
            "latent": (("neuron", "latent"), rng.normal(size=(N, 2))),
            "neuron_type": (("neuron",), types),
            "phi": (("neuron", "x"), phi[types]),
            "psi": (("neuron", "x"), np.tanh(np.tile(x, (N, 1)))),
            "visited": (("neuron", "bound"), np.tile([-4.0, 4.0], (N, 1))),
        },
        coords={"x": x},
        attrs={"n_types": 3},
    )
    rollout = xr.Dataset(
        {
            "activity": (("time", "neuron"), activity),
            "activity_hat": (("time", "neuron"), activity + 0.1),
        },
        coords={"time": time},
    )
    for dataset, schema in [
        (simulation, store.SIMULATION),
        (recovery, store.RECOVERY),
        (rollout, store.ROLLOUT),
    ]:
        for name, v in dataset.variables.items():
            v.attrs = {"units": getattr(schema.get(str(name)), "units", "1"), "long_name": "q"}
        dataset["time" if "time" in dataset.dims else "x"].attrs["units"] = "tau"
    metrics = pd.DataFrame(
        [
            ("connectivity", "r2", 0.9876),
            ("connectivity", "slope", 1.01),
            ("phi", "nrmse", 0.01),
            ("psi", "nrmse", 0.02),
            ("rollout_400", "r2", 0.8765),
            ("rollout_400", "slope", 0.9),
        ],
        columns=["quantity", "metric", "value"],
    )
    curve = pd.DataFrame({"step": [1, 2, 3], "r2": [0.1, 0.6, 0.9]})
    training = pd.DataFrame({"step": [1, 2, 3], "held_out": [1.0, np.nan, 0.01]})
    spec = Panel(kind=kind, of="e", frame=400 if kind == "rollout_scatter" else None)
    parts = {
        "simulation": simulation,
        "recovery": recovery,
        "rollout": rollout,
        "metrics": metrics,
        "learning_curve": curve,
        "training": training,
        "spec": spec,
        "style": Style(dpi=60),
    }
    return Material(**{**parts, **changes})


@pytest.mark.parametrize("kind", get_args(Kind))
def test_a_panel_has_a_title_labels_and_ink_inside_the_page(kind):
    figure = compose.panel_figure(material(kind))
    ax = figure.axes[0]
    assert ax.get_title(loc="left")
    assert ax.get_xlabel()
    figure.canvas.draw()
    image = np.asarray(figure.canvas.buffer_rgba())[..., :3]
    assert (image < 250).any(axis=-1).mean() > 0.02
    border = np.concatenate([image[0], image[-1], image[:, 0], image[:, -1]])
    assert (border > 250).all(), "something is clipped at the edge"


@pytest.mark.parametrize("suffix", [".svg", ".png", ".pdf"])
def test_same_input_same_bytes(tmp_path, suffix):
    paths = [tmp_path / f"{k}{suffix}" for k in range(2)]
    for path in paths:
        compose.save(compose.panel_figure(material("phi")), path, Style())
    assert paths[0].read_bytes() == paths[1].read_bytes()


def test_the_scatter_says_what_metrics_csv_says():
    figure = compose.panel_figure(material("connectivity_scatter"))
    text = " ".join(t.get_text() for t in figure.axes[0].texts)
    assert "0.98760" in text
    assert "1.0100" in text


def test_rows_of_the_heat_map_are_post():
    figure = compose.panel_figure(material("true_connectivity"))
    ax = figure.axes[0]
    shown = ax.images[0].get_array()
    np.testing.assert_array_equal(shown, material("psi").simulation["connectivity"])
    assert "post" in ax.get_ylabel()
    assert "pre" in ax.get_xlabel()
    assert ax.yaxis_inverted()


def test_learned_and_true_w_share_a_colour_scale():
    limits = [
        compose.panel_figure(material(f"{which}_connectivity")).axes[0].images[0].get_clim()
        for which in ("true", "learned")
    ]
    assert limits[0] == limits[1]


def test_a_recording_without_truth_still_draws_what_it_can():
    blind = material("phi").simulation[["activity"]]
    ax = compose.panel_figure(material("phi", simulation=blind)).axes[0]
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


def test_a_quick_look_draws_every_variable():
    """The latents too, which xarray takes for a coordinate."""
    dataset = material("psi").recovery
    figure = quick_look(dataset)
    assert {ax.get_title(loc="left").split(" ")[0] for ax in figure.axes} == set(store.RECOVERY)


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

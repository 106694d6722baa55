"""Panels of the connectome system: the right numbers, under the right names, in the right place."""

from dataclasses import replace

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
import xarray as xr
from drawing import axes_of, read_by

from ngpipe.config.figures import KINDS, Panel, Style
from ngpipe.errors import StoreError
from ngpipe.figures.connectome import material as panels
from ngpipe.figures.connectome.material import ConnectomeMaterial
from ngpipe.figures.drawing import compose
from ngpipe.wiring.sources.generated import generated

LAYERS = 4
NEEDED = {"stimulus": "drive", "readout": "out"}


@pytest.fixture(scope="module")
def results():
    rng = np.random.default_rng(0)
    connectome = generated(rng, radius=2).signed()
    group = connectome.neurons["cell_type"].to_numpy(str)
    sensors = np.flatnonzero(connectome.neurons["role"] == "input")
    names = np.unique(group)
    one = ("run", "sensor", "time")
    stimuli = xr.Dataset(
        {
            "stimulus": (one, rng.random((1, len(sensors), LAYERS))),
            "activity": (("run", "neuron", "layer"), rng.random((1, len(group), LAYERS))),
            "neuron_group": ("neuron", group),
        },
        {"run": ["drive"], "sensor": sensors},
    )
    attribution = xr.Dataset(
        {
            "attribution": (
                ("readout", "sensor", "time"),
                rng.normal(size=(1, len(sensors), LAYERS)),
            ),
            "silencing": (("readout", "group"), rng.normal(size=(1, len(names)))),
        },
        {"readout": ["out"], "group": names},
    )
    control = xr.Dataset(
        {"value": ("readout", [2.0]), "null": (("draw", "readout"), rng.random((30, 1)))},
        {"readout": ["out"]},
        {"model": "sign"},
    )
    fit = xr.Dataset(
        {
            "given": ("target", rng.random(6)),
            "fitted": ("target", rng.random(6)),
            "held_out": ("target", np.array([0, 0, 0, 0, 1, 1])),
        }
    )
    return {
        "connectome": connectome,
        "fit": fit,
        "stimuli": stimuli,
        "attribution": attribution,
        "control": control,
        "paths": _paths(),
    }


def _paths() -> pd.DataFrame:
    """I1 -> M1 -> O1 and I1 -| M2 -> O2, and M3 -> O1 that nothing drives."""
    rows = [
        (1, "I1", "M1", 0.5),
        (1, "I1", "M2", -0.2),
        (2, "M1", "O1", 0.4),
        (2, "M2", "O2", 0.3),
        (2, "M3", "O1", 0.1),
    ]
    table = pd.DataFrame(rows, columns=["layer", "pre", "post", "weight"])
    level = {"I1": 1.0, "M1": 0.5, "M2": 0.4, "M3": 0.3, "O1": 0.2, "O2": 0.1}
    return table.assign(
        stimulus="drive",
        pre_activation=table["pre"].map(level),
        post_activation=table["post"].map(level),
    )


@pytest.fixture
def material(results):
    """material(kind, ...) -> what such a panel draws from."""

    def make(kind: str, **spec) -> ConnectomeMaterial:
        needed = {k: v for k, v in NEEDED.items() if k not in spec}
        panel = Panel(kind=kind, of="one", **needed, **spec)
        known = read_by(panel, ConnectomeMaterial, results)
        return ConnectomeMaterial(known, spec=panel, style=Style(dpi=60))

    return make


def given(material: ConnectomeMaterial, **changes: object) -> ConnectomeMaterial:
    """The same panel, with some results exchanged."""
    return replace(material, results={**material.results, **changes})


def image_of(ax: mpl.axes.Axes) -> np.ndarray:
    """Values of a heat map, whether an image or a mesh."""
    shown = ax.images or ax.collections
    return np.ma.filled(shown[0].get_array(), np.nan)


@pytest.mark.parametrize("kind", [k for k, one in KINDS.items() if one.system == "connectome"])
def test_every_kind_is_drawn_and_titled(material, kind):
    figure = compose.panel_figure(material(kind))
    assert figure.axes[0].get_title(loc="left")


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["responses", "paths", "attribution"])
def test_every_kind_gives_the_same_bytes(material, tmp_path, kind):
    files = [tmp_path / f"{k}.svg" for k in range(2)]
    for file in files:
        compose.save(compose.panel_figure(material(kind)), file, Style(dpi=60))
    assert files[0].read_bytes() == files[1].read_bytes()


def test_responses_are_means_of_the_groups_named(material, results):
    ax = axes_of(material("responses", groups=["O2", "M1"]))
    stimuli = results["stimuli"]
    group, activity = stimuli["neuron_group"].values, stimuli["activity"].values[0]
    expected = [activity[group == name].mean(axis=0) for name in ("O2", "M1")]
    np.testing.assert_allclose(image_of(ax).reshape(2, LAYERS), expected, rtol=1e-6)


def test_weights_of_groups_have_receivers_in_rows(material, results):
    ax = axes_of(material("type_weights", groups=["I1", "M1", "O1"]))
    shares = results["connectome"].normalised()
    shown = image_of(ax).reshape(3, 3)
    for row, post in enumerate(("I1", "M1", "O1")):
        for column, pre in enumerate(("I1", "M1", "O1")):
            block = shares.block(post, pre)
            mean = block.sum() / block.shape[0]
            assert shown[row, column] == pytest.approx(mean, abs=1e-6)
    assert ax.get_xlabel() == "sending group"


def test_columns_are_those_of_the_lattice(material, results):
    ax = axes_of(material("response_columns", groups=["M2"], layer=1))
    stimuli, neurons = results["stimuli"], results["connectome"].neurons
    mine = stimuli["neuron_group"].values == "M2"
    activity = stimuli["activity"].values[0, :, 1]
    expected = [activity[mine & (neurons["u"] == u)].mean() for u in range(-2, 3)]
    np.testing.assert_allclose(image_of(ax).ravel(), expected, rtol=1e-6)


def test_the_largest_groups_are_shown_where_none_is_named(material, results):
    lost = results["attribution"]["silencing"].to_series().abs().sort_values(ascending=False)
    expected = [group for _, group in lost.index[:4]]
    found = panels.ConnectomeMaterial.shown(
        material("silencing", top=4),
        results["attribution"]["group"].values,
        np.abs(results["attribution"]["silencing"].values[0]),
    )
    assert found == expected


def test_paths_lead_to_the_groups_named(results):
    whole = panels.leading_to(results["paths"], {"O1", "O2"}, top=9)
    assert len(whole) == 4  # M3 is no sender that the first layer reaches
    one = panels.leading_to(results["paths"], {"O1"}, top=9)
    assert set(one["post"]) == {"M1", "O1"}
    few = panels.leading_to(results["paths"], {"O1", "O2"}, top=1)
    assert set(few.loc[few["layer"] == 2, "pre"]) == {"M1"}


def test_columns_of_paths_are_steps(material):
    ax = axes_of(material("paths", groups=["O1", "O2"]))
    assert [t.get_text() for t in ax.get_xticklabels()] == ["input", "step 1", "step 2"]


def test_input_and_response_share_one_clock(material, results):
    """A layer holds what the input of its step added: no response before its stimulus."""
    driven, answering = (axes_of(material(kind)) for kind in ("stimulus", "responses"))
    assert [ax.get_xlabel() for ax in (driven, answering)] == ["step", "step"]
    first = [ax.get_xticklabels()[0].get_text() for ax in (driven, answering)]
    assert first == ["0", "1"]
    last = axes_of(material("response_map", groups=["O1"])).get_title(loc="left")
    assert last == f"responses to drive, step {LAYERS}"


def test_a_stimulus_without_active_paths_says_so(material):
    ax = axes_of(material("paths", groups=["I1"]))
    (text,) = [t.get_text() for t in ax.texts]
    assert text == "no active path\nfrom drive to I1\nin 4 steps"


def test_a_readout_that_nothing_reaches_is_shown_as_zeros(material, results):
    attribution = results["attribution"] * 0
    for kind, rows in (("attribution", 2), ("silencing", 3)):  # two groups have sensors
        ax = axes_of(given(material(kind, top=3), attribution=attribution))
        assert len(ax.texts) == rows


def test_nothing_silenced_is_said(material, results):
    nothing = results["attribution"].assign(silencing=results["attribution"]["silencing"] * np.nan)
    ax = axes_of(given(material("silencing"), attribution=nothing))
    (text,) = [t.get_text() for t in ax.texts]
    assert text == "no group that is silenced\nchanges out"


def test_readouts_are_shown_where_no_null_was_drawn(material, results):
    ax = axes_of(given(material("control"), control=results["control"].isel(draw=slice(0, 0))))
    assert ax.get_title(loc="left") == "readouts"
    assert ax.get_legend() is None


def test_maps_are_of_sensors_or_of_all_neurons(material, results):
    shown = axes_of(material("stimulus", groups=["I1"], layer=2))
    stimuli = results["stimuli"]
    mine = stimuli["neuron_group"].values[stimuli["sensor"].values] == "I1"
    values = stimuli["stimulus"].values[0, mine, 2]
    found = np.concatenate([c.get_array() for c in shown.collections if c.get_array() is not None])
    np.testing.assert_allclose(np.sort(found), np.sort(values), rtol=1e-6)


def test_unknown_groups_and_missing_lattices_are_named(material, results):
    with pytest.raises(StoreError, match=r"should show the groups \['X'\]"):
        axes_of(material("responses", groups=["X"]))
    flat = results["connectome"].neurons.drop(columns=["u", "v"])
    one = material("response_map", groups=["O1"])
    bare = type(one.connectome)(one.connectome.weights, flat)
    with pytest.raises(StoreError, match="have no columns u, v; take kind 'responses'"):
        axes_of(ConnectomeMaterial({**results, "connectome": bare}, spec=one.spec, style=one.style))

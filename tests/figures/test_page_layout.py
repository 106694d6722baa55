"""Pages: every panel has room, titles are not cut, a caption says what there is to see."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from drawing import axes_of, overlapping, texts
from synthetic import material

from ngpipe.config.figures import KINDS, Figure, Panel, Style
from ngpipe.errors import ConfigError, StoreError
from ngpipe.figures.drawing import compose
from ngpipe.figures.drawing.headlines import shortened
from ngpipe.figures.drawing.material import Results

ASSEMBLY = [name for name, kind in KINDS.items() if kind.system == "assembly"]
WIDE = ("impulse_response", "response_times", "effects")


def panels(*kinds: str, **spec: object) -> dict[str, Panel]:
    needed = {"rollout_scatter": {"frame": 400}, "paths": {"stimulus": "s"}}
    needed |= {"wiring_agreement": {"metric": "rank"}}
    return {k: Panel(kind=k, of="e", **needed.get(k, {}), **spec) for k in kinds}


def page(spec: Figure, **changes: object):
    parts = {name: material(p.kind, spec=p, **changes) for name, p in spec.panels.items()}
    figure = compose.page(spec, Style(dpi=60), parts)
    figure.canvas.draw()
    return figure


def test_wide_panels_take_more_of_a_page_without_a_mosaic():
    assert Figure(panels=panels("phi", "psi", "latents", "activity")).layout() == [
        ["phi", "psi", "latents"],
        ["activity", ".", "."],
    ]
    assert Figure(panels=panels(*WIDE)).layout() == [[k, k] for k in WIDE]
    assert Figure(panels=panels("phi", "impulse_response", "effects", "psi", "paths")).layout() == [
        ["phi", "impulse_response", "impulse_response"],
        ["effects", "effects", "psi"],
        ["paths", "paths", "paths"],
    ]
    assert Figure(panels=panels("phi", "effects", "effects")).layout() == [
        ["phi", "effects", "effects"]
    ]
    big = Figure(panels=panels("phi", size=(4.8, 2.0)) | panels("psi"))
    assert big.layout() == [["phi", "phi", "psi"]]


@pytest.mark.slow
def test_a_page_of_every_kind_without_a_mosaic_has_room_for_all():
    spec = Figure(panels=panels(*ASSEMBLY))
    figure = page(spec)
    widths = [ax.get_window_extent().width / figure.dpi for ax in figure.axes]
    assert min(w for w in widths if w > 0.2) > 0.4, "narrower ones are colour bars"
    titles = [t for t in texts(figure) if "bf" in t.get_text()]
    assert len(titles) == len(ASSEMBLY)
    assert not overlapping(titles)
    assert all(t.get_window_extent().x1 <= figure.bbox.x1 for t in titles)


def test_a_page_that_cannot_be_laid_out_is_refused():
    row = ("true_connectivity", "learned_connectivity", "calibration", "phi")
    spec = Figure(panels=panels(*row), mosaic=(row,), width=1.5, row_height=1.0)
    with pytest.raises(ConfigError, match=r"4 panels do not fit a page of 1.5 x 1.0 inch.*mosaic"):
        page(spec)


def test_a_long_title_is_shortened_where_there_is_no_room_for_it():
    long = "the mean response of all of these neurons to a stimulus, from synapses_of_2027.feather"
    spec = Figure(panels=panels("phi", title=long) | panels("psi"))
    figure = page(spec)
    first = figure.axes[0].get_title(loc="left")
    assert first.startswith("$\\bf{a}$  the mean")
    assert first.endswith("feather")
    assert "…" in first
    assert figure.axes[1].get_title(loc="left") == "$\\bf{b}$  transfer function"


@pytest.mark.slow
def test_a_long_title_with_room_stays_whole():
    spec = Figure(panels=panels("phi", title="{} of all the neurons that were recorded here"))
    assert (
        page(
            spec,
        )
        .axes[0]
        .get_title(loc="left")
        .endswith("recorded here")
    )


@pytest.mark.parametrize("length", range(2, 12))
def test_shortened_texts_keep_both_ends(length):
    text = "abcdefghij"
    found = shortened(text, length)
    assert len(found) <= length
    assert (found == text) == (length >= len(text))
    assert found[0] == "a"


def test_a_caption_names_every_panel_in_reading_order():
    spec = Figure(panels=panels("psi", "phi"), mosaic=(("phi", ".", "psi"),))
    lines = compose.caption(spec).splitlines()
    assert lines == [
        f"(a) phi, of e: {KINDS['phi'].shows}.",
        f"(b) psi, of e: {KINDS['psi'].shows}.",
    ]


def test_a_panel_opens_only_what_it_draws():
    whole = material("phi")
    opened = []

    def opener(name: str):
        def open_it() -> object:
            opened.append(name)
            if name == "rollout":
                raise StoreError("no store of the rollout")
            return whole.results[name]

        return open_it

    names = ("simulation", "recovery", "metrics", "rollout")
    results = Results({name: opener(name) for name in names})
    compose.panel_figure(replace(whole, results=results))
    assert sorted(opened) == ["metrics", "recovery", "simulation"]
    with pytest.raises(StoreError, match="rollout"):
        compose.panel_figure(replace(material("rollout"), results=results))


def test_functions_are_shown_as_far_as_asked():
    for kind in ("phi", "psi"):
        ax = axes_of(material(kind, spec=Panel(kind=kind, of="e", reach=2.5)))
        assert ax.get_xlim() == (-2.5, 2.5)


def test_colours_of_types_are_named_where_they_can_be_told_apart():
    ax = axes_of(material("latents"))
    legend = ax.get_legend()
    assert [t.get_text() for t in legend.get_texts()] == ["1", "2", "3"]
    assert legend.get_title().get_text() == "true type"


def test_losses_of_different_problems_are_not_joined():
    """A closed form solves for psi on some rows, then for all of W, then fits the networks."""
    rows = [
        ("psi, ridge 1e-04", 3.0, 0.5),
        ("psi, ridge 1e-06", 5.0, 0.4),
        ("W", 9.0, 0.02),
        ("recording", 10.0, 0.3),
        ("model", 12.0, 0.03),
    ]
    training = pd.DataFrame(rows, columns=["stage", "seconds", "held_out"])
    training["step"] = np.arange(1, 6)
    curve = pd.DataFrame({"step": [3, 5], "r2": [0.98, 0.99]})
    shown = material("learning_curve", training=training, learning_curve=curve)
    left, right = compose.panel_figure(shown).axes
    np.testing.assert_array_equal(left.lines[0].get_xdata(), [9.0, 12.0])
    assert left.get_xlabel() == "time of training [s]"
    lines = {line.get_label(): list(line.get_xdata()) for line in right.lines}
    assert lines == {"psi, some rows": [3.0, 5.0], "W": [9.0], "networks": [12.0]}
    assert all(a != b for a, b in pairwise(line.get_marker() for line in right.lines))
    left.figure.draw_without_rendering()
    legend = left.get_legend().get_window_extent()
    assert 0 < legend.y0 < legend.y1 < left.xaxis.label.get_window_extent().y0  # hides no curve


def test_a_recording_of_elsewhere_needs_no_attributes_of_ours():
    bare = material("activity").simulation[["activity"]].drop_attrs()
    for kind in ("activity", "phi", "latents"):
        axes_of(material(kind, simulation=bare))

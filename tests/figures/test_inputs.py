"""Panels of the external input show the values they name, the right way up, on one scale."""

import numpy as np
import pytest
import xarray as xr
from drawing import axes_of
from synthetic import SAMPLES, SIDE, N, material, positions

from ngpipe.config.figures import Panel
from ngpipe.errors import StoreError
from ngpipe.figures.assembly.inputs import side_by_side
from ngpipe.figures.drawing.raster import SIDE as PIXELS
from ngpipe.figures.drawing.raster import raster

FIELDS = ("true_input", "learned_input")
LEARNED = ("learned_input", "input_scatter", "input_movie")
TRUE = ("input_map", "true_input", *LEARNED)
DRIVEN = slice(SIDE**2)


def drawn(kind: str, changes: dict | None = None, **spec):
    """The first axes of a panel."""
    panel = Panel(kind=kind, of="e", **spec)
    return axes_of(material(kind, spec=panel, **(changes or {})))


def shown_at_sites(image) -> np.ndarray:
    """Pixels of an image at the sites of the driven neurons, in their order."""
    pixels = np.asarray(image.get_array())
    column, row = np.floor(positions()[DRIVEN] * PIXELS).astype(int).T
    assert image.origin == "lower"
    return pixels[row, column]


def true_omega(frame: int) -> np.ndarray:
    """By hand: the two images on either side of a frame, mixed."""
    simulation = material("input_map").simulation
    k = float(simulation["input_frame"][frame])
    table = simulation["external_input"].values
    left = min(int(k), len(table) - 2)
    return table[left] + (k - left) * (table[left + 1] - table[left])


class TestImages:
    def test_a_field_that_grows_to_the_right_and_upwards_is_drawn_so(self):
        simulation = material("true_input").simulation
        x, y = positions().T
        ramp = np.broadcast_to(x + 10 * y, simulation["external_input"].shape)
        rising = simulation.assign(
            external_input=(("frame", "neuron"), ramp.copy(), {"units": "1"})
        )
        ax = drawn("true_input", {"simulation": rising})
        for image in ax.images:
            pixels = np.asarray(image.get_array())
            assert image.origin == "lower"
            assert (np.diff(pixels, axis=0) >= 0).all()
            assert (np.diff(pixels, axis=1) >= 0).all()
            assert pixels[-1, -1] > pixels[0, -1] > pixels[0, 0]
        low, high = ax.get_ylim()
        assert low < high

    def test_the_true_field_is_that_of_the_frames_asked_for(self):
        frames = (0, 123, 899)
        ax = drawn("true_input", at=frames)
        assert len(ax.images) == 3
        for image, frame in zip(ax.images, frames, strict=True):
            np.testing.assert_allclose(shown_at_sites(image), true_omega(frame)[DRIVEN])
        assert [t.get_text() for t in ax.get_xticklabels()] == ["frame 0", "123", "899"]

    def test_by_default_five_frames_are_spread_over_the_recording(self):
        names = [t.get_text() for t in drawn("true_input").get_xticklabels()]
        assert names == ["frame 0", "180", "360", "540", "720"]

    def test_the_learned_field_is_that_of_the_nearest_samples_and_says_so(self):
        ax = drawn("learned_input", at=(0, 140, 600))
        learned = material("learned_input").recovery["external_input"].values
        nearest = [int(np.abs(SAMPLES - frame).argmin()) for frame in (0, 140, 600)]
        for image, k in zip(ax.images, nearest, strict=True):
            np.testing.assert_array_equal(shown_at_sites(image), learned[k, DRIVEN])
        first, *others = (str(SAMPLES[k]) for k in nearest)
        assert [t.get_text() for t in ax.get_xticklabels()] == [f"frame {first}", *others]

    def test_both_fields_have_the_scale_of_the_whole_true_movie(self):
        truth = material("input_movie").simulation["external_input"].values[:, DRIVEN]
        learned = material("input_movie").recovery["external_input"].values[:, DRIVEN]
        assert learned.max() > 1.1 * truth.max(), "else the test would not tell"
        for kind in (*FIELDS, "input_movie"):
            for image in drawn(kind).images:
                assert image.get_clim() == (truth.min(), truth.max())

    def test_the_still_has_the_truth_on_the_left_at_the_time_of_the_sample(self):
        ax = drawn("input_movie", frame=500)
        k = int(np.abs(SAMPLES - 500).argmin())
        true, learned = ax.images
        np.testing.assert_allclose(shown_at_sites(true), true_omega(SAMPLES[k])[DRIVEN])
        values = material("input_movie").recovery["external_input"].values[k, DRIVEN]
        np.testing.assert_array_equal(shown_at_sites(learned), values)
        assert true.get_extent()[1] < learned.get_extent()[0]
        assert [t.get_text() for t in ax.get_xticklabels()] == ["true", "learned"]
        assert ax.get_xlabel() == f"time {0.01 * SAMPLES[k]:.0f} τ"


class TestRaster:
    def test_every_pixel_shows_the_nearest_of_irregular_sites(self, rng):
        sites = rng.uniform(size=(40, 2)) * [2, 1]
        found = raster(sites)
        image = found.image(np.arange(40.0))
        assert image.shape[1] > 1.5 * image.shape[0]
        step = found.width / image.shape[1]
        centre = np.array([sites.min(axis=0) + sites.max(axis=0)]) / 2
        corner = centre - np.array([found.width, found.height]) / 2
        for row, column in rng.integers(0, image.shape, size=(50, 2)):
            pixel = corner + (np.array([column, row]) + 0.5) * step
            distance = np.linalg.norm(sites - pixel, axis=1)
            if not image.mask[row, column]:
                at = distance[int(image[row, column])]
                assert at == pytest.approx(distance.min(), abs=step)

    def test_a_grid_fills_the_unit_square_and_far_corners_stay_empty(self):
        grid = raster(positions()[DRIVEN])
        assert (grid.width, grid.height) == pytest.approx((1, 1))
        assert not grid.empty.any()
        angle = np.linspace(0, 2 * np.pi, 60)
        ring = raster(np.stack([np.cos(angle), np.sin(angle)], axis=1))
        assert ring.empty[0, 0]
        assert not ring.empty[ring.empty.shape[0] // 2, 0]


class TestMaps:
    def test_dots_lie_where_neurons_do_and_have_their_values(self):
        (dots,) = drawn("input_map", frame=400).collections
        offsets = dots.get_offsets()
        np.testing.assert_allclose(offsets - offsets[0], positions() - positions()[0], atol=1e-12)
        values = dots.get_array()
        np.testing.assert_allclose(values[DRIVEN], true_omega(400)[DRIVEN])
        assert values.mask.sum() == N - SIDE**2, "neurons without input have the colour of none"
        table = material("input_map").simulation["external_input"].values[:, DRIVEN]
        assert dots.get_clim() == pytest.approx((table.min(), table.max()))

    def test_several_frames_stand_side_by_side_on_one_symmetric_scale(self):
        ax = drawn("activity_map", at=(0, 450))
        (dots,) = ax.collections
        activity = material("activity_map").simulation["activity"].values[[0, 450]]
        np.testing.assert_array_equal(dots.get_array(), activity.ravel())
        first, second = np.split(np.asarray(dots.get_offsets()), 2)
        assert first[:, 0].max() < second[:, 0].min()
        np.testing.assert_allclose(first[:, 1], second[:, 1])
        low, high = dots.get_clim()
        assert -low == high == pytest.approx(np.quantile(np.abs(activity), 0.98))
        assert [t.get_text() for t in ax.get_xticklabels()] == ["frame 0", "450"]


class TestScatter:
    def test_pairs_are_those_of_driven_neurons_at_the_samples(self):
        inputs = side_by_side(material("input_scatter"))
        assert inputs.true.shape == inputs.learned.shape == (len(SAMPLES), SIDE**2)
        expected = np.stack([true_omega(frame)[DRIVEN] for frame in SAMPLES])
        np.testing.assert_allclose(inputs.true, expected)

    def test_it_spans_the_truth_and_says_what_metrics_csv_says(self):
        ax = drawn("input_scatter")
        low, high = side_by_side(material("input_scatter")).scale
        assert ax.get_xlim() == ax.get_ylim()
        assert ax.get_xlim()[0] < low < high < ax.get_xlim()[1]
        assert ax.get_xlim()[1] - ax.get_xlim()[0] < 1.5 * (high - low)
        text = " ".join(t.get_text() for t in ax.texts)
        for number in ("0.7654", "1.234", "0.8123", "1.345"):
            assert number in text

    def test_truth_runs_across(self):
        """All truth near its least value and all estimates near its largest: upper left."""
        parts = material("input_scatter")
        low, high = side_by_side(parts).scale
        simulation, recovery = parts.simulation.copy(deep=True), parts.recovery.copy(deep=True)
        simulation["external_input"][1:, DRIVEN] = low
        simulation["external_input"][0, 0] = high
        recovery["external_input"][:] = high
        ax = drawn("input_scatter", {"simulation": simulation, "recovery": recovery})
        density = ax.collections[0].get_array().filled(0)
        row, column = np.unravel_index(density.argmax(), density.shape)
        assert row > 0.8 * len(density)
        assert column < 0.2 * len(density)


class TestErrors:
    @pytest.mark.quick
    @pytest.mark.parametrize("kind", TRUE)
    @pytest.mark.parametrize("name", ["external_input", "driven", "input_frame", "position"])
    def test_without_a_true_input_the_panel_names_itself_and_what_is_missing(self, kind, name):
        if (kind, name) == ("input_map", "driven"):
            name = "external_input"
        blind = material(kind).simulation.drop_vars(name)
        with pytest.raises(StoreError, match=rf"'{kind}' draws the true {name}.*leave the panel"):
            drawn(kind, {"simulation": blind})

    @pytest.mark.parametrize("kind", LEARNED)
    def test_without_a_learned_input_it_says_how_to_learn_one(self, kind):
        blind = material(kind).recovery.drop_vars("external_input")
        with pytest.raises(StoreError, match=rf"'{kind}' draws the learned .*training\.input"):
            drawn(kind, {"recovery": blind})

    def test_additive_inputs_have_their_units_on_the_axes(self):
        parts = material("input_scatter")
        simulation: xr.Dataset = parts.simulation.copy()
        simulation["external_input"].attrs["units"] = "1/tau"
        assert "[1/τ]" in drawn("input_scatter", {"simulation": simulation}).get_xlabel()

"""Generated movies have the statistics asked for; files come back as they were written."""

import imageio.v3 as imageio
import numpy as np
import pytest
import tifffile
import xarray as xr
import zarr
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtri

from ngpipe import store
from ngpipe.config.assembly.inputs import Movie, Video
from ngpipe.dynamics.movie import generate, read, resized
from ngpipe.errors import ConfigError
from ngpipe.schemas.variable import Schema

SIDE = 24


def latent(movie: np.ndarray, cfg: Movie) -> np.ndarray:
    """The normal variable behind the grey values."""
    return ndtri((movie - cfg.low) / (cfg.high - cfg.low))


class TestGenerate:
    @given(
        low=st.floats(-5, 5),
        width=st.floats(0.01, 10),
        static=st.floats(0, 1),
        n_images=st.integers(2, 9),
        n_blobs=st.integers(1, 4),
        side=st.integers(2, 12),
        seed=st.integers(0, 2**63 - 1),
    )
    def test_stays_within_its_range(self, low, width, static, n_images, n_blobs, side, seed):
        options = {"static": static, "n_images": n_images, "n_blobs": n_blobs, "seed": seed}
        movie = generate(Movie(low=low, high=low + width, **options), side)
        assert movie.shape == (n_images, side, side)
        assert np.isfinite(movie).all()
        assert low <= movie.min() < movie.max() <= low + width

    @pytest.mark.parametrize("static", [0.0, 0.25, 0.6, 0.9, 1.0])
    def test_the_static_image_carries_its_share_of_the_variance(self, static):
        cfg = Movie(static=static)
        v = latent(generate(cfg, 32), cfg)
        assert v.std() == pytest.approx(1, rel=0.01)
        assert v.mean(axis=0).var() / v.var() == pytest.approx(static, abs=0.01)

    def test_all_static_is_a_still_image_and_none_is_motion_about_grey(self):
        still = generate(Movie(static=1, low=-1, high=3), SIDE)
        assert (still == still[0]).all()
        assert still[0].std() > 0.5
        cfg = Movie(static=0, n_images=50)
        moving = latent(generate(cfg, SIDE), cfg)
        assert np.abs(moving.mean(axis=0)).max() < 1e-6
        assert np.median(moving.std(axis=0)) > 0.5

    @pytest.mark.quick(1)
    @pytest.mark.parametrize("n_inputs", [1024, 2500])
    def test_grey_values_are_spread_evenly(self, n_inputs):
        """A uniform variable has a standard deviation of 0.29 of its range."""
        movies = [generate(Movie(seed=s, low=2, high=4), int(n_inputs**0.5)) for s in range(4)]
        assert np.std(movies) / 2 == pytest.approx(12**-0.5, abs=0.015)
        assert np.mean(movies) == pytest.approx(3, abs=0.1)
        counts = np.histogram(movies, bins=5, range=(2, 4))[0] / np.size(movies)
        assert counts == pytest.approx([0.2] * 5, abs=0.06)

    def test_changes_smoothly_in_time_and_space(self):
        movie = generate(Movie(), 32)
        for axis, limit in ((0, 0.1), (1, 0.35), (2, 0.35)):
            assert np.diff(movie, axis=axis).std() < limit * movie.std()
        assert np.abs(np.diff(movie, axis=0)).max() < 0.2
        assert movie.std(axis=0).min() > 0.01, "a neuron that sees no change"
        assert (movie[0] - movie[-1]).std() < 0.1 * movie.std(), "it does not close"

    def test_two_images_differ(self):
        """Also for one blob on a path that turns twice for others."""
        for seed in range(20):
            cfg = Movie(n_images=2, n_blobs=1, static=0.5, seed=seed)
            v = latent(generate(cfg, SIDE), cfg)
            assert v.mean(axis=0).var() / v.var() == pytest.approx(0.5, abs=0.01)

    def test_the_seed_alone_decides(self):
        one, again, other = (generate(Movie(n_images=9, seed=s), SIDE) for s in (3, 3, 4))
        assert one.tobytes() == again.tobytes()
        assert np.abs(one - other).mean() > 0.1


@pytest.fixture
def smooth():
    """A drifting wave of 12 images of 32 x 32 pixels, 27 to 227, different along x and y."""
    y, x = np.mgrid[:32, :32] / 32
    images = [127 + 100 * np.sin(2 * np.pi * (x + k / 12)) * np.cos(3 * y) for k in range(12)]
    return np.array(images).astype(np.uint8)


def write_zarr(path, **variables):
    xr.Dataset({name: (("image", "y", "x"), values) for name, values in variables.items()}).to_zarr(
        path, zarr_format=2, consolidated=True
    )


def write_zarr_alone(path, images):
    """As zarr writes format 2 without xarray: 0 is its fill value, and no missing one."""
    group = zarr.open_group(path, mode="w", zarr_format=2)
    array = group.create_array("movie", data=images)
    array.attrs["_ARRAY_DIMENSIONS"] = ["image", "y", "x"]


WRITERS = {
    ".npy": np.save,
    ".tif": lambda path, images: tifffile.imwrite(path, images, photometric="minisblack"),
    ".tiff": lambda path, images: tifffile.imwrite(path, images, photometric="minisblack"),
    ".TIF": lambda path, images: tifffile.imwrite(path, images, photometric="minisblack"),
    ".zarr": lambda path, images: write_zarr(path, movie=images),
    ".of_zarr.zarr": write_zarr_alone,
}


class TestRead:
    @pytest.mark.quick
    @pytest.mark.parametrize("dtype", ["float32", "float64"])
    @pytest.mark.parametrize("suffix", WRITERS)
    def test_numbers_come_back_as_they_are(self, suffix, dtype, rng, tmp_path):
        images = rng.normal(3, 20, (5, 6, 7)).astype(dtype)
        path = tmp_path / f"movie{suffix}"
        WRITERS[suffix](path, images)
        np.testing.assert_array_equal(read(Video(path=str(path))), images)

    @pytest.mark.quick
    @pytest.mark.parametrize(("dtype", "white"), [("uint8", 255), ("uint16", 65_535)])
    @pytest.mark.parametrize("suffix", WRITERS)
    def test_black_is_0_and_white_1(self, suffix, dtype, white, rng, tmp_path):
        images = rng.integers(0, white, (5, 6, 7), dtype=dtype, endpoint=True)
        images[0, 0, :2] = 0, white
        path = tmp_path / f"movie{suffix}"
        WRITERS[suffix](path, images)
        found = read(Video(path=str(path)))
        np.testing.assert_allclose(found, images.astype(float) / white, rtol=1e-12)
        assert (found.min(), found.max()) == (0, 1)

    @pytest.mark.parametrize("dtype", ["int64", "int16", "uint32", "bool"])
    def test_other_whole_numbers_are_no_grey_levels(self, dtype, rng, tmp_path):
        """numpy's own integers would otherwise shrink to nothing."""
        images = rng.integers(0, 2, (5, 6, 7)).astype(dtype)
        np.save(tmp_path / "movie.npy", images)
        np.testing.assert_array_equal(read(Video(path=str(tmp_path / "movie.npy"))), images)

    @pytest.mark.parametrize("dtype", ["uint8", "float32"])
    @pytest.mark.parametrize("colours", [3, 4])
    @pytest.mark.parametrize("suffix", [".npy", ".tif"])
    def test_colours_are_averaged_without_the_transparency(
        self, suffix, colours, dtype, rng, tmp_path
    ):
        images = rng.integers(0, 255, (5, 6, 7, colours)).astype(dtype)
        path = tmp_path / f"movie{suffix}"
        if suffix == ".npy":
            np.save(path, images)
        else:
            extra = {"extrasamples": ["unassalpha"]} if colours == 4 else {}
            tifffile.imwrite(path, images, photometric="rgb", **extra)
        white = 255 if dtype == "uint8" else 1
        expected = images[..., :3].astype(float).mean(axis=-1) / white
        np.testing.assert_allclose(read(Video(path=str(path))), expected, rtol=1e-6)

    @pytest.mark.slow
    @pytest.mark.parametrize(
        ("suffix", "codec"), [(".mp4", "libx264"), (".mov", "libx264"), (".avi", "mpeg4")]
    )
    def test_a_video_comes_back_within_a_few_grey_levels(self, suffix, codec, smooth, tmp_path):
        path = tmp_path / f"movie{suffix}"
        frames = np.repeat(smooth[..., None], 3, axis=-1)
        imageio.imwrite(path, frames, plugin="pyav", codec=codec, fps=10)
        found = 255 * read(Video(path=str(path)))
        assert found.shape == smooth.shape
        difference = np.abs(found - smooth)
        assert difference.mean() < 4
        assert np.quantile(difference, 0.9) < 10
        likeness = np.corrcoef(found.reshape(12, -1), smooth.reshape(12, -1))[:12, 12:]
        assert likeness.argmax(axis=1).tolist() == list(range(12))

    def test_a_gif_comes_back_within_a_few_grey_levels(self, smooth, tmp_path):
        path = tmp_path / "movie.gif"
        imageio.imwrite(path, smooth, plugin="pillow")
        np.testing.assert_allclose(255 * read(Video(path=str(path))), smooth, atol=3)

    def test_a_zarr_of_several_needs_the_name(self, rng, tmp_path):
        first, second = rng.normal(size=(2, 5, 6, 7))
        path = tmp_path / "movie.zarr"
        write_zarr(path, first=first, second=second)
        np.testing.assert_array_equal(read(Video(path=str(path), variable="second")), second)
        message = r"holds \['first', 'second'\], not 'None'; .*simulation\.input\.variable"
        with pytest.raises(ConfigError, match=message):
            read(Video(path=str(path)))
        with pytest.raises(ConfigError, match=r"holds \['first', 'second'\], not 'third'"):
            read(Video(path=str(path), variable="third"))

    def test_a_store_of_ours_is_a_movie_as_well(self, rng, tmp_path):
        images = rng.normal(size=(5, 6, 7))
        path = tmp_path / "movie.zarr"
        dataset = xr.Dataset({"movie": (("image", "y", "x"), images)})
        store.write(dataset, path, Schema({}), store.Provenance("movie", "k" * 64, {}))
        np.testing.assert_array_equal(read(Video(path=str(path))), images)

    def test_low_and_high_are_the_ends_of_the_grey_values(self, rng, tmp_path):
        images = rng.integers(30, 200, (5, 6, 7), dtype=np.uint8)
        np.save(tmp_path / "movie.npy", images)
        found = read(Video(path=str(tmp_path / "movie.npy"), low=-0.5, high=2.5))
        assert (found.min(), found.max()) == pytest.approx((-0.5, 2.5))
        assert np.corrcoef(found.ravel(), images.ravel())[0, 1] == pytest.approx(1)


def refused(path, **options) -> str:
    with pytest.raises(ConfigError) as caught:
        read(Video(path=str(path), **options))
    return str(caught.value)


class TestRefused:
    @pytest.mark.parametrize("name", ["gone.npy", "gone.mp4", "gone.zarr"])
    def test_a_missing_file(self, name, tmp_path):
        assert refused(tmp_path / name) == (f"simulation.input.path: no file at {tmp_path / name}")

    @pytest.mark.parametrize("name", ["movie.txt", "movie", "movie.h5"])
    def test_an_unknown_kind_lists_the_known_ones(self, name, tmp_path):
        (tmp_path / name).write_text("1 2 3")
        assert "is not a movie file; expected one of .tif, .tiff, .npy, .zarr, .mp4" in refused(
            tmp_path / name
        )

    @pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
    def test_a_value_that_is_not_finite_names_its_image(self, value, rng, tmp_path):
        images = rng.normal(size=(9, 6, 7))
        images[4, 0, 3] = images[6, 1, 1] = value
        np.save(tmp_path / "movie.npy", images)
        found = refused(tmp_path / "movie.npy")
        assert "holds 2 values that are not finite, the first in image 4; replace" in found

    @pytest.mark.parametrize("shape", [(6, 7), (7,), (2, 3, 6, 7), (5, 6, 7, 2), (5, 0, 7), ()])
    def test_another_rank_shows_the_shape(self, shape, rng, tmp_path):
        np.save(tmp_path / "movie.npy", rng.normal(size=shape))
        found = refused(tmp_path / "movie.npy")
        assert f"holds an array of shape {shape}; a movie is (image, y, x)" in found

    def test_complex_numbers_and_words(self, rng, tmp_path):
        np.save(tmp_path / "movie.npy", rng.normal(size=(5, 6, 7)) * 1j)
        assert "holds complex128, expected real numbers" in refused(tmp_path / "movie.npy")
        np.save(tmp_path / "movie.npy", np.full((5, 6, 7), "dark"))
        assert "expected real numbers" in refused(tmp_path / "movie.npy")

    def test_a_single_image(self, rng, tmp_path):
        """A single image in colour is no movie of its rows, either."""
        np.save(tmp_path / "one.npy", rng.normal(size=(1, 6, 7)))
        imageio.imwrite(tmp_path / "one.gif", np.eye(8, dtype=np.uint8)[None], plugin="pillow")
        colour = rng.integers(0, 255, (16, 17, 3), dtype=np.uint8)
        tifffile.imwrite(tmp_path / "one.tif", colour, photometric="rgb")
        for name in ("one.npy", "one.gif", "one.tif"):
            assert "holds 1 image" in refused(tmp_path / name)
            assert "a movie needs at least 2" in refused(tmp_path / name)

    @pytest.mark.parametrize("suffix", [".tif", ".npy", ".mp4", ".avi", ".mov", ".gif", ".zarr"])
    def test_garbage(self, suffix, tmp_path):
        path = tmp_path / f"movie{suffix}"
        path.write_bytes(b"no movie at all" * 100)
        assert str(path) in refused(path)
        assert "simulation.input.path" in refused(path)

    @pytest.mark.quick(1)
    @pytest.mark.filterwarnings("ignore")  # readers warn before they give up
    @pytest.mark.parametrize("suffix", [".tif", ".npy", ".mp4", ".gif"])
    def test_half_a_file(self, suffix, smooth, tmp_path):
        path = tmp_path / f"movie{suffix}"
        if suffix in WRITERS:
            WRITERS[suffix](path, smooth)
        else:
            frames = np.repeat(smooth[..., None], 3, axis=-1)
            plugin = {".mp4": {"plugin": "pyav", "codec": "libx264"}, ".gif": {"plugin": "pillow"}}
            imageio.imwrite(path, frames, **plugin[suffix])
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
        found = refused(path)
        assert f"{path} cannot be read as a movie (" in found
        assert "write the file again, or name another in simulation.input.path" in found

    def test_an_empty_folder_that_is_called_zarr(self, tmp_path):
        (tmp_path / "movie.zarr").mkdir()
        assert "is not a readable zarr store" in refused(tmp_path / "movie.zarr")

    def test_a_constant_movie_cannot_be_rescaled(self, tmp_path):
        np.save(tmp_path / "movie.npy", np.full((5, 6, 7), 0.25))
        found = refused(tmp_path / "movie.npy", low=0.5, high=1.5)
        assert "is 0.25 everywhere, so it cannot be rescaled to 0.5 .. 1.5; leave out" in found


class TestResized:
    @given(side=st.integers(1, 8), fold=st.integers(1, 4), seed=st.integers(0, 2**16))
    def test_shrinking_averages_over_areas(self, side, fold, seed):
        images = np.random.default_rng(seed).normal(size=(3, side * fold, side * fold))
        expected = images.reshape(3, side, fold, side, fold).mean(axis=(2, 4))
        found = resized(images, side)
        np.testing.assert_allclose(found, expected, atol=1e-12)
        np.testing.assert_allclose(found.mean(axis=(1, 2)), images.mean(axis=(1, 2)), atol=1e-12)

    def test_growing_is_bilinear(self):
        ramp = np.tile((np.arange(4) + 0.5) / 4, (2, 4, 1)) + np.array([0, 10])[:, None, None]
        found = resized(ramp, 16)
        centres = (np.arange(16) + 0.5) / 16
        expected = np.tile(np.clip(centres, 1 / 8, 7 / 8), (16, 1))
        np.testing.assert_allclose(found, [expected, expected + 10], atol=1e-12)

    def test_one_side_may_shrink_while_the_other_grows(self):
        """Stripes finer than the grid average out; they must not turn into coarse ones."""
        stripes = np.zeros((2, 4, 64))
        stripes[:, :, ::2] = 1
        np.testing.assert_allclose(resized(stripes, 16), 0.5, atol=1e-12)
        np.testing.assert_allclose(resized(stripes.swapaxes(1, 2), 16), 0.5, atol=1e-12)

    def test_the_same_size_stays_as_it_is(self, rng):
        images = rng.normal(size=(3, 8, 8))
        np.testing.assert_array_equal(resized(images, 8), images)

    @pytest.mark.parametrize("shape", [(30, 50), (10, 7), (8, 3), (3, 40)])
    def test_up_stays_up_and_left_stays_left(self, shape):
        """A movie bright at the top and dark on the right is so at any size."""
        y, x = np.mgrid[: shape[0], : shape[1]]
        image = 2 - y / shape[0] - 0.3 * x / shape[1]
        found = resized(np.stack([image, 2 * image]), 8)
        assert (np.diff(found, axis=1) <= 1e-12).all()
        assert (np.diff(found, axis=2) <= 1e-12).all()
        assert found[0, 0, 0] - found[0, 7, 0] > 0.5
        np.testing.assert_allclose(found[1], 2 * found[0])

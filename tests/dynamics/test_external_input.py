"""Which image shows when, what the neurons see of it, and the inputs that are no movies."""

import tempfile
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import example, given
from hypothesis import strategies as st
from scipy.stats import kstest

from ngpipe.config.assembly.inputs import Movie, Oscillation, Pulses, Video
from ngpipe.dynamics.inputs import ExternalInput, external_input, grid_positions, sample
from ngpipe.errors import ConfigError

DTS = (0.01, 0.1, 0.03, 0.02, 0.7, 1 / 3, 1e-3)
MODES = {"multiplicative": 1.0, "additive": 0.0}


def shown(
    images: np.ndarray, *, n_frames: int, dt: float, n_neurons: int = 0, **options
) -> ExternalInput:
    """The input made of a movie of these images, one neuron a pixel; then undriven neurons."""
    side = images.shape[1]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "movie.npy"
        np.save(path, images)
        cfg = Video(path=str(path), n_inputs=side**2, **options)
        positions = np.full((max(n_neurons, side**2), 2), 5.0)
        positions[: side**2] = grid_positions(cfg, np.random.default_rng(0))
        return external_input(cfg, positions, n_frames=n_frames, dt=dt)


def counting(n_images: int) -> np.ndarray:
    """A movie of one pixel that shows 1, 2, 3, ..."""
    return np.arange(1.0, n_images + 1)[:, None, None]


class TestHeld:
    @given(n=st.integers(2, 400), frames=st.integers(1, 5000), dt=st.sampled_from(DTS))
    @example(n=257, frames=100_000, dt=0.01)
    @example(n=1000, frames=50_000, dt=0.03)
    @example(n=7, frames=3_000_000, dt=0.1)
    def test_every_image_has_its_share_of_the_frames_none_late_none_early(self, n, frames, dt):
        """Frame k of T shows image floor(k n / T), in whole numbers."""
        external = shown(counting(n), n_frames=frames, dt=dt)
        k = np.arange(frames)
        np.testing.assert_array_equal(external.image(dt * k), k * n // frames)
        for k in {0, frames // 3, frames - 1, *(-(-j * frames // n) for j in (1, n // 2, n - 1))}:
            assert (
                float(external.at(dt * min(k, frames - 1))[0])
                == 1 + min(k, frames - 1) * n // frames
            )

    def test_the_last_image_stays_after_the_end(self, rng):
        images = rng.uniform(1, 2, (5, 2, 2))
        external = shown(images, n_frames=100, dt=0.1)
        for t in (9.99, 10.0, 500.0):
            assert external.at(t).tolist() == pytest.approx(images[-1].ravel().tolist())


class TestLinear:
    @given(n=st.integers(2, 60), frames=st.integers(2, 4000), dt=st.sampled_from(DTS))
    def test_moves_evenly_from_the_first_image_to_the_last(self, n, frames, dt):
        external = shown(counting(n), n_frames=frames, dt=dt, interpolation="linear")
        for k in {0, frames // 3, frames // 2, frames - 1, frames}:
            expected = 1 + k * (n - 1) / frames
            assert float(external.at(dt * k)[0]) == pytest.approx(expected, rel=1e-6)

    def test_passes_through_every_image_and_is_monotone_between(self, rng):
        images = rng.uniform(0.5, 1.5, (9, 3, 3))
        external = shown(images, n_frames=800, dt=0.01, interpolation="linear")
        for j, image in enumerate(images):
            np.testing.assert_allclose(external.at(float(j)), image.ravel(), rtol=1e-6)
        for j in range(8):
            between = torch.stack([external.at(j + s) for s in np.linspace(0, 1, 11)])
            steps = between.diff(dim=0)
            np.testing.assert_allclose(steps, steps.mean(dim=0).expand(10, 9), atol=1e-6)


class TestWho:
    @pytest.mark.parametrize("interpolation", ["held", "linear"])
    @pytest.mark.parametrize(("mode", "neutral"), MODES.items())
    def test_undriven_neurons_have_what_changes_nothing(self, rng, mode, neutral, interpolation):
        images = rng.uniform(2, 3, (5, 3, 3))
        options = {"mode": mode, "interpolation": interpolation}
        external = shown(images, n_frames=200, dt=0.1, n_neurons=20, **options)
        for t in (-5.0, -0.1, 0.0, 3.3, 10.0, 19.9, 99.0):
            omega = external.at(t)
            assert omega[9:].tolist() == [neutral] * 11
            assert float(omega[:9].min()) > 1.9

    @pytest.mark.parametrize("mode", MODES)
    def test_before_the_recording_omega_is_what_was_asked_for(self, rng, mode):
        images = rng.uniform(2, 3, (5, 3, 3))
        options = {"n_frames": 200, "dt": 0.1, "n_neurons": 20, "mode": mode}
        by_name = {
            name: shown(images, burn_in_input=name, **options)
            for name in ("first_frame", "one", "zero")
        }
        for t in (-20.0, -1e-9):
            assert torch.equal(by_name["first_frame"].at(t), by_name["zero"].at(0.0))
            assert by_name["one"].at(t).tolist() == [1.0] * 20
            assert by_name["zero"].at(t).tolist() == [0.0] * 20
        assert float(by_name["zero"].at(0.0)[:9].min()) > 1.9

    def test_neuron_by_neuron_and_row_by_row_it_is_the_image(self, rng):
        """Neuron 0 sits top left, as pixel (0, 0); neuron 1 beside it."""
        images = rng.uniform(1, 2, (6, 4, 4))
        external = shown(images, n_frames=60, dt=0.1)
        np.testing.assert_allclose(external.table, images.reshape(6, 16), rtol=1e-6)

    @pytest.mark.parametrize("mode", MODES)
    def test_an_input_that_is_zero_everywhere_is_refused(self, mode):
        with pytest.raises(ConfigError, match=r"simulation\.input: .* zero everywhere .* raise"):
            shown(np.zeros((5, 3, 3)), n_frames=50, dt=0.1, mode=mode)
        never = Pulses(baseline=0, rate=1e-9, n_inputs=4, mode=mode)
        with pytest.raises(ConfigError, match="zero everywhere"):
            external_input(never, np.full((4, 2), 0.5), n_frames=50, dt=0.1)


def by_hand(image: np.ndarray, x: float, y: float) -> float:
    """Bilinear between pixel centres; the outermost ones hold out to the border."""
    side = len(image)
    across = min(max(x * side - 0.5, 0), side - 1)
    down = min(max((1 - y) * side - 0.5, 0), side - 1)
    i, j = min(int(down), side - 2), min(int(across), side - 2)
    v, u = down - i, across - j
    top = (1 - u) * image[i, j] + u * image[i, j + 1]
    bottom = (1 - u) * image[i + 1, j] + u * image[i + 1, j + 1]
    return (1 - v) * top + v * bottom


class TestSample:
    def test_row_zero_is_on_top_and_x_points_right(self):
        image = np.array([[[1.0, 2.0], [3.0, 4.0]]])
        corners = np.array([[0.0, 1.0], [1.0, 1.0], [0.0, 0.0], [1.0, 0.0], [0.5, 0.5]])
        np.testing.assert_allclose(sample(image, corners)[0], [1, 2, 3, 4, 2.5])

    def test_is_exact_at_the_cell_centres_of_its_grid(self, rng):
        images = rng.standard_normal((3, 7, 7))
        cfg = Movie(n_inputs=49)
        found = sample(images, grid_positions(cfg, rng))
        np.testing.assert_allclose(found, images.reshape(3, 49), rtol=1e-12)

    @given(side=st.integers(2, 9), seed=st.integers(0, 2**16))
    def test_is_bilinear_between_them(self, side, seed):
        rng = np.random.default_rng(seed)
        images, positions = rng.standard_normal((2, side, side)), rng.uniform(0, 1, (20, 2))
        expected = [[by_hand(image, x, y) for x, y in positions] for image in images]
        np.testing.assert_allclose(sample(images, positions), expected, atol=1e-12)

    @pytest.mark.parametrize("where", [[1.2, 0.5], [0.5, -0.01], [0.5, 1.001]])
    def test_a_neuron_outside_the_unit_square_is_named(self, rng, where):
        positions = np.array([[0.5, 0.5], where, [0.1, 0.9]])
        with pytest.raises(ConfigError) as caught:
            sample(rng.standard_normal((2, 4, 4)), positions)
        assert f"lies at {where}, outside the unit square" in str(caught.value)


class TestGrid:
    def test_fills_the_unit_square_row_by_row_from_the_top(self, rng):
        positions = grid_positions(Movie(n_inputs=9), rng)
        a, b, c = 1 / 6, 3 / 6, 5 / 6
        expected = [(x, y) for y in (c, b, a) for x in (a, b, c)]
        np.testing.assert_allclose(positions, expected)

    def test_jitter_is_normal_and_independent(self, rng):
        plain = grid_positions(Movie(n_inputs=400), rng)
        moved = grid_positions(Movie(n_inputs=400, jitter=0.005), rng) - plain
        assert moved.std(axis=0) == pytest.approx([0.005, 0.005], rel=0.1)
        assert abs(np.corrcoef(moved.T)[0, 1]) < 0.15

    def test_the_movie_is_read_where_the_neuron_is(self, rng):
        """A grey ramp to the right shows each neuron its own x."""
        cfg = Movie(n_inputs=100, jitter=0.01)
        positions = grid_positions(cfg, rng)
        ramp = np.tile((np.arange(10) + 0.5) / 10, (2, 10, 1))
        inside = (positions[:, 0] > 0.05) & (positions[:, 0] < 0.95)
        np.testing.assert_allclose(sample(ramp, positions)[1, inside], positions[inside, 0])

    def test_too_much_jitter_names_the_first_neuron_that_leaves(self):
        with pytest.raises(ConfigError) as caught:
            grid_positions(Movie(n_inputs=100, jitter=0.2), np.random.default_rng(1))
        same = 0.2 * np.random.default_rng(1).standard_normal((100, 2))
        there = grid_positions(Movie(n_inputs=100), np.random.default_rng(1)) + same
        gone = np.flatnonzero((np.abs(there - 0.5) > 0.5).any(axis=1))
        assert (
            f"simulation.input.jitter (0.2) moves {len(gone)} driven neurons out of the unit "
            f"square, the first of them number {gone[0]} to {there[gone[0]].round(4).tolist()}"
        ) in str(caught.value)


def table(cfg: Oscillation | Pulses, n_frames: int, dt: float) -> tuple[np.ndarray, ExternalInput]:
    """Omega of the driven neurons at the tabulated times, read through at()."""
    external = external_input(cfg, np.full((cfg.n_inputs + 3, 2), 0.5), n_frames=n_frames, dt=dt)
    times = cfg.every * dt * np.arange(n_frames // cfg.every + 1)
    seen = np.array([external.at(float(t)).numpy() for t in times], dtype=float)
    assert seen[:, cfg.n_inputs :].std() == 0
    return seen[:, : cfg.n_inputs], external


class TestOscillation:
    CFG = Oscillation(n_inputs=300, period=(4.0, 30.0), baseline=1.2, amplitude=0.4, seed=3)

    def fit(self, cfg, n_frames=4000, dt=0.1):
        """Period, amplitude and phase of each neuron.

        For a sine, y(t + h) + y(t - h) = 2 cos(2 pi h / period) y(t): a regression without bias.
        """
        seen, _ = table(cfg, n_frames, dt)
        y, h = seen - cfg.baseline, cfg.every * dt
        cosine = ((y[2:] + y[:-2]) * y[1:-1]).sum(axis=0) / (2 * (y[1:-1] ** 2).sum(axis=0))
        period = 2 * np.pi * h / np.arccos(cosine)
        angle = 2 * np.pi * h * np.arange(len(y))[:, None] / period
        parts = [
            np.linalg.lstsq(np.stack([np.sin(a), np.cos(a)], axis=1), v, rcond=None)[0]
            for a, v in zip(angle[:200].T, y[:200].T, strict=True)
        ]
        wave = np.array(parts) @ [1, 1j]
        return period, np.abs(wave), np.angle(wave) % (2 * np.pi)

    def test_every_neuron_is_a_sine_of_the_amplitude_asked_for(self):
        period, amplitude, _ = self.fit(self.CFG)
        assert amplitude == pytest.approx(np.full(300, 0.4), rel=1e-3)
        assert 4 <= period.min() < 4.2
        assert 28 < period.max() <= 30

    def test_a_spectrum_finds_the_same_periods(self):
        seen, _ = table(self.CFG, 20_000, 0.1)
        power = np.abs(np.fft.rfft(seen[:-1] - seen[:-1].mean(axis=0), axis=0))
        peak = power.argmax(axis=0)
        np.testing.assert_allclose(2000 / peak, self.fit(self.CFG)[0], rtol=0.01)

    def test_periods_are_even_in_their_logarithm_and_phases_in_the_circle(self):
        period, _, phase = self.fit(self.CFG)
        share = np.log(period / 4) / np.log(30 / 4)
        assert kstest(share, "uniform").pvalue > 0.05
        assert kstest(phase / (2 * np.pi), "uniform").pvalue > 0.05
        assert abs(np.corrcoef(share, phase)[0, 1]) < 0.15

    def test_between_tabulated_values_it_is_linear(self):
        _, external = table(self.CFG, 50, 0.1)
        left, middle, right = (external.at(t) for t in (1.0, 1.2, 1.5))
        torch.testing.assert_close(middle, 0.6 * left + 0.4 * right)

    @pytest.mark.parametrize("n_frames", [1, 4, 5, 6, 51])
    def test_the_table_reaches_to_the_last_frame(self, n_frames):
        """The last frame must not repeat what came before it."""
        _, external = table(self.CFG, n_frames, 0.1)
        _, longer = table(self.CFG, 200, 0.1)
        last = (n_frames - 1) * 0.1
        assert torch.equal(external.at(last), longer.at(last))

    def test_the_seed_alone_decides(self):
        one, again, other = (
            table(self.CFG.model_copy(update={"seed": seed}), 100, 0.1)[0] for seed in (3, 3, 4)
        )
        np.testing.assert_array_equal(one, again)
        assert np.abs(one - other).mean() > 0.1


class TestPulses:
    CFG = Pulses(n_inputs=50, rate=0.05, decay=2.0, baseline=0.3, amplitude=1.5, seed=3)
    FRAMES, DT, STEP = 20_000, 0.1, 0.5

    def triggers(self, cfg=CFG):
        """What is left of a trace after its own exponential decay, in units of the amplitude."""
        seen, _ = table(cfg, self.FRAMES, self.DT)
        y = seen - cfg.baseline
        kept = np.exp(-self.STEP / cfg.decay)
        return y, np.concatenate([y[:1], y[1:] - kept * y[:-1]]) / cfg.amplitude

    def test_a_trace_is_exponential_between_whole_triggers(self):
        y, triggers = self.triggers()
        whole = triggers.round()
        np.testing.assert_allclose(triggers, whole, atol=1e-5)
        assert y.min() >= -1e-7
        assert whole.max() >= 2, "overlapping triggers are not tested here"

    @pytest.mark.slow
    def test_the_decay_is_the_one_asked_for(self):
        """The slope of the logarithm wherever no trigger falls."""
        y, triggers = self.triggers()
        quiet = (triggers[1:].round() == 0) & (y[:-1] > 0.05)
        decay = -self.STEP / np.log(y[1:][quiet] / y[:-1][quiet])
        assert quiet.sum() > 1000
        assert decay == pytest.approx(np.full(len(decay), 2.0), rel=1e-3)

    def test_triggers_are_a_poisson_process_of_the_rate_asked_for(self):
        _, triggers = self.triggers()
        counts = triggers.round().sum(axis=0)
        expected = 0.05 * self.FRAMES * self.DT
        assert counts.mean() == pytest.approx(expected, rel=0.05)
        assert counts.var() == pytest.approx(expected, rel=0.5)
        assert np.abs(np.corrcoef(triggers.T) - np.eye(50)).max() < 0.1

    def test_the_seed_alone_decides(self):
        one, again, other = (
            table(self.CFG.model_copy(update={"seed": seed}), 2000, 0.1)[0] for seed in (3, 3, 4)
        )
        np.testing.assert_array_equal(one, again)
        assert np.abs(one - other).mean() > 0.05

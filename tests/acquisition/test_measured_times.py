"""Filters at measured times: exact on polynomials, those of even frames where frames are even."""

import numpy as np
import pytest

from ngpipe.acquisition import indicator
from ngpipe.acquisition.linear_filter import whole_stretches
from ngpipe.acquisition.local_polynomials import polynomial
from ngpipe.acquisition.measurement_noise import noise_sd
from ngpipe.acquisition.rate_estimates import at_measured_times, at_one_interval
from ngpipe.acquisition.smoothing_spline import best_penalty
from ngpipe.acquisition.total_variation import differentiated
from ngpipe.config.assembly.observation import Differences, SavitzkyGolay, SmoothingSpline

N = 300
STRETCHES = whole_stretches([119], N)


def times(seed: int = 0, jitter: float = 0.3) -> np.ndarray:
    """Times that differ from a grid of 0.1, with a gap after frame 119."""
    even = 0.1 * np.arange(N) + 7.0 * (np.arange(N) > 119)
    return even + 0.1 * jitter * np.random.default_rng(seed).uniform(-0.5, 0.5, N)


@pytest.mark.parametrize(
    ("cfg", "degree"),
    [
        (None, 1),
        (Differences(), 1),
        (SavitzkyGolay(window=7, order=3), 3),
        (SmoothingSpline(penalty=30.0), 3),
    ],
)
def test_polynomials_are_exact_and_gaps_are_not_crossed(cfg, degree):
    at = times()
    found = at_measured_times(at, STRETCHES, cfg)
    powers = (at[:, None] / 10) ** np.arange(degree + 1)
    state, rate = found.applied(powers, STRETCHES)
    known = np.isfinite(rate[:, 0])
    before, after = found.reach
    inside = np.zeros(N, dtype=bool)
    for s in STRETCHES:
        inside[s.start + before : s.stop - after] = True
    np.testing.assert_array_equal(known, inside)
    np.testing.assert_allclose(state[known], powers[known], atol=1e-5)
    k = np.arange(1, degree + 1)
    slope = k / 10 * (at[known, None] / 10) ** (k - 1)
    np.testing.assert_allclose(rate[known, 1:], slope, atol=2e-4)


@pytest.mark.parametrize("cfg", [SavitzkyGolay(window=9, order=2), SmoothingSpline(penalty=200.0)])
def test_even_frames_have_the_same_weights_at_all_of_them(cfg):
    at, signal = 0.1 * np.arange(N), np.random.default_rng(1).normal(size=(N, 2))
    mine = at_measured_times(at, STRETCHES, cfg, [0.3, 0.05])
    theirs = at_one_interval(0.1, cfg, [0.3, 0.05])
    both = zip(mine.applied(signal, STRETCHES), theirs.applied(signal, STRETCHES), strict=True)
    for one, other in both:
        assert np.isfinite(one).any()
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-4)
    assert mine.reach == theirs.reach
    assert mine.state.variance == pytest.approx(theirs.state.variance)
    assert mine.rate.variance == pytest.approx(theirs.rate.variance)


@pytest.mark.parametrize("penalty", [0.5, 50.0, 1e5])
def test_the_spline_is_that_of_whittaker(penalty):
    """Far from the ends, weights are those of least squares with squared third differences."""
    n = 401
    third = np.diff(np.eye(n), 3, axis=0)
    row = np.linalg.inv(np.eye(n) + penalty * third.T @ third)[n // 2]
    found = at_one_interval(1.0, SmoothingSpline(penalty=penalty)).state
    expected = row[n // 2 - found.before : n // 2 + found.after + 1]
    np.testing.assert_allclose(found.weights[0], expected, atol=0.02 * row.max())
    assert np.abs(np.delete(row, n // 2 + np.arange(-found.before, found.before + 1))).max() <= (
        0.011 * row.max()
    )


def test_a_spline_weighs_the_time_that_frames_span():
    """Frames at half of the typical interval: a penalty on 2^5 times their squared differences."""
    at = np.concatenate([np.arange(200.0), 300 + 0.5 * np.arange(100)])
    parts = whole_stretches([199], 300)
    found = at_measured_times(at, parts, SmoothingSpline(penalty=5.0)).state
    same = at_one_interval(1.0, SmoothingSpline(penalty=5.0 * 2**5)).state
    assert same.before > found.before
    inside = same.weights[0, same.before - found.before : same.before + found.after + 1]
    np.testing.assert_allclose(found.weights[250], inside, atol=0.05 * inside.max())


def wave(at: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Two slow neurons, and their rates."""
    speed = np.array([0.7, 1.1])
    return np.sin(at[:, None] * speed), speed * np.cos(at[:, None] * speed)


def test_a_spline_is_as_good_at_uneven_times():
    n, rng = 3_000, np.random.default_rng(2)
    noise, missed = 0.1 * rng.normal(size=(n, 2)), {}
    for jitter in (0.0, 0.9):
        at = 0.1 * (np.arange(n) + jitter * rng.uniform(-0.5, 0.5, n))
        x, slope = wave(at)
        penalty = best_penalty(x + noise, [range(n)], at)
        used = at_measured_times(at, [range(n)], SmoothingSpline(penalty=penalty))
        state, rate = used.applied(x + noise, [range(n)])
        missed[jitter] = np.nanstd(state - x), np.nanstd(rate - slope)
        assert missed[jitter][0] < 0.5 * noise.std()
        taken_for_even = at_one_interval(0.1, SmoothingSpline(penalty=penalty))
        blurred = np.nanstd(taken_for_even.applied(x + noise, [range(n)])[1] - slope)
        assert jitter == 0 or blurred > 1.02 * missed[jitter][1]
    np.testing.assert_allclose(missed[0.9], missed[0.0], rtol=0.15)


def test_total_variation_is_as_good_at_uneven_times():
    """A rate that is constant in pieces, which change at measured times."""
    n, sd, rng = 1_000, 0.05, np.random.default_rng(3)
    change = np.where(rng.random((n, 5)) < 0.02, rng.normal(size=(n, 5)), 0.0)
    noise, missed = sd * rng.normal(size=(n, 5)), {}
    for jitter in (0.0, 0.5):
        at = 0.1 * (np.arange(n) + jitter * rng.uniform(-0.5, 0.5, n))
        true = np.cumsum(change, axis=0)
        x = np.cumsum(true * np.diff(at, prepend=0.0)[:, None], axis=0)
        found = differentiated(x + noise, [range(n)], at, np.full(5, sd), 3.0, rng)
        away = found.rate[:-1] - (true[:-1] + true[1:]) / 2
        missed[jitter] = np.std(found.state - x), np.std(away)
        assert found.state_noise.mean() < 0.4 * sd
    np.testing.assert_allclose(missed[0.5], missed[0.0], rtol=0.15)


def test_total_variation_leaves_a_line_at_uneven_times_as_it_is():
    at = times()
    found = differentiated(
        0.3 * at[:, None], STRETCHES, at, np.full(1, 0.05), 3.0, np.random.default_rng(0)
    )
    np.testing.assert_allclose(found.state[:, 0], 0.3 * at, atol=1e-4)
    np.testing.assert_allclose(found.rate, 0.3, atol=1e-3)


def test_an_indicator_is_inverted_over_each_interval():
    at, decay = times(2), 0.25
    drive = np.random.default_rng(3).normal(size=(N, 2))
    signal = np.zeros((N, 2))
    for t in range(N - 1):
        kept = np.exp(-(at[t + 1] - at[t]) / decay)
        signal[t + 1] = kept * signal[t] + (1 - kept) * drive[t]
    found, middle = indicator.inverse(at, STRETCHES, [decay])
    x = found.applied(signal, STRETCHES)
    lost = [119, N - 1]
    assert np.isnan(x[lost]).all()
    np.testing.assert_allclose(np.delete(x, lost, 0), np.delete(drive, lost, 0), atol=1e-5)
    np.testing.assert_allclose(middle[5], (at[5] + at[6]) / 2)
    even = at_one_interval(0.1, None, [decay]).state.applied(signal, STRETCHES)
    assert np.nanmax(np.abs(even - drive)) > 0.1


def test_a_filter_of_another_is_one_after_the_other():
    at, signal = times(4), np.random.default_rng(5).normal(size=(N, 3))
    early, middle = indicator.inverse(at, STRETCHES, [0.2])
    late = polynomial(middle, STRETCHES, 5, 2)
    both = (late @ early).applied(signal, STRETCHES)
    inner = [range(s.start, s.stop - 1) for s in STRETCHES]
    alone = late.applied(early.applied(signal, STRETCHES), inner)
    np.testing.assert_allclose(both, alone, atol=1e-4)
    assert np.isfinite(both).all(1).sum() == N - 2 * 5


@pytest.mark.parametrize("jitter", [0.0, 0.9])
def test_measurement_noise_is_told_at_uneven_times(jitter):
    """Slow activity whose steps are as large as the noise."""
    n, rng = 60_000, np.random.default_rng(6)
    at = 0.1 * (np.arange(n) + jitter * rng.uniform(-0.5, 0.5, n))
    clean = 3 * np.sin(at[:, None] * [0.7, 0.9, 1.1])
    noise = np.array([0.05, 0.1, 0.2])
    found = noise_sd(
        clean + noise * rng.normal(size=(n, 3)), [range(n)], "autocovariance", times=at
    )
    np.testing.assert_allclose(found, noise, rtol=0.05)

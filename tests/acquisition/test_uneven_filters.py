"""Filters at measured times: exact on polynomials, those of even frames where frames are even."""

import numpy as np
import pytest

from ngpipe.acquisition import indicator, rate_estimates, uneven_filters
from ngpipe.acquisition.linear_filter import whole_stretches
from ngpipe.acquisition.measurement_noise import noise_sd
from ngpipe.acquisition.rate_estimates import at_measured_times
from ngpipe.config.assembly.observation import Differences, SavitzkyGolay

N = 300
STRETCHES = whole_stretches([119], N)


def times(seed: int = 0, jitter: float = 0.3) -> np.ndarray:
    """Times that differ from a grid of 0.1, with a gap after frame 119."""
    even = 0.1 * np.arange(N) + 7.0 * (np.arange(N) > 119)
    return even + 0.1 * jitter * np.random.default_rng(seed).uniform(-0.5, 0.5, N)


@pytest.mark.parametrize(
    ("cfg", "degree"),
    [(None, 1), (Differences(), 1), (SavitzkyGolay(window=7, order=3), 3)],
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


def test_even_frames_have_the_filters_of_even_frames():
    at, signal = 0.1 * np.arange(N), np.random.default_rng(1).normal(size=(N, 2))
    whole = whole_stretches([], N)
    mine = at_measured_times(at, whole, SavitzkyGolay(window=9, order=2))
    theirs = rate_estimates.savitzky_golay(0.1, 9, 2)
    both = zip(mine.applied(signal, whole), theirs.applied(signal, whole), strict=True)
    for one, other in both:
        np.testing.assert_allclose(one, other, atol=1e-4)
    assert mine.reach == theirs.reach
    assert mine.state.variance == pytest.approx(theirs.state.variance)
    assert mine.rate.variance == pytest.approx(theirs.rate.variance)
    inverse, _ = uneven_filters.inverse(at, whole, 0.3)
    other = indicator.inverse(0.1, 0.3)
    expected = other.applied(signal, whole)
    np.testing.assert_allclose(inverse.applied(signal, whole), expected, atol=1e-4)


def test_an_indicator_is_inverted_over_each_interval():
    at, decay = times(2), 0.25
    drive = np.random.default_rng(3).normal(size=(N, 2))
    signal = np.zeros((N, 2))
    for t in range(N - 1):
        kept = np.exp(-(at[t + 1] - at[t]) / decay)
        signal[t + 1] = kept * signal[t] + (1 - kept) * drive[t]
    found, middle = uneven_filters.inverse(at, STRETCHES, decay)
    x = found.applied(signal, STRETCHES)
    lost = [119, N - 1]
    assert np.isnan(x[lost]).all()
    np.testing.assert_allclose(np.delete(x, lost, 0), np.delete(drive, lost, 0), atol=1e-5)
    np.testing.assert_allclose(middle[5], (at[5] + at[6]) / 2)
    even = indicator.inverse(0.1, decay).applied(signal, STRETCHES)
    assert np.nanmax(np.abs(even - drive)) > 0.1


def test_a_filter_of_another_is_one_after_the_other():
    at, signal = times(4), np.random.default_rng(5).normal(size=(N, 3))
    early, middle = uneven_filters.inverse(at, STRETCHES, 0.2)
    late = uneven_filters.polynomial(middle, STRETCHES, 5, 2)
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

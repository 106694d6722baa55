"""Filters of a recorded signal, against what is known of them."""

import numpy as np
import pytest

from ngpipe.acquisition import baseline, measurement_noise
from ngpipe.acquisition.linear_filter import Filter, whole_stretches
from ngpipe.acquisition.rate_estimates import Estimator, at_one_interval
from ngpipe.acquisition.smoothing_spline import best_penalty
from ngpipe.config.assembly.observation import SavitzkyGolay, SmoothingSpline
from ngpipe.errors import RecordingError

H = 1 / 30


def rng(seed: int = 5) -> np.random.Generator:
    return np.random.default_rng(seed)


def followed(x: np.ndarray, time_constant: float) -> np.ndarray:
    """An indicator under drive that is constant within each frame."""
    kept = np.exp(-H / time_constant)
    c = np.zeros_like(x)
    for t in range(len(x) - 1):
        c[t + 1] = kept * c[t] + (1 - kept) * x[t]
    return c


def inverse(*time_constants: float) -> Filter:
    """Of an indicator, at one interval."""
    return at_one_interval(H, None, time_constants).state


def test_inverse_of_one_integrator_is_exact() -> None:
    x = rng().standard_normal((60, 3))
    c = followed(x, 0.4)
    found = inverse(0.4).applied(c, [range(60)])
    np.testing.assert_allclose(found[:-1], x[:-1], atol=1e-4)
    assert np.isnan(found[-1]).all()


def test_inverse_of_rise_and_decay_is_exact() -> None:
    x = rng().standard_normal((60, 3))
    c = followed(followed(x, 0.1), 0.4)
    found = inverse(0.4, 0.1).applied(c, [range(60)])
    np.testing.assert_allclose(found[:-2], x[:-2], atol=1e-3)


def test_noise_behind_a_filter_is_as_stated() -> None:
    noise = rng().standard_normal((20_000, 1))
    used = inverse(0.4)
    found = used.applied(noise, [range(20_000)])[:-1]
    assert found.std() == pytest.approx(used.variance**0.5, rel=0.03)
    assert used.variance**0.5 == pytest.approx(17, abs=0.5)  # as the module says


def test_one_filter_after_another() -> None:
    x = rng().standard_normal((50, 2))
    first, then = Filter(np.array([[0.5, -1.0, 2.0]]), -1), Filter(np.array([[1.0, 3.0]]), 1)
    whole = [range(50)]
    np.testing.assert_allclose(
        (then @ first).applied(x, whole), then.applied(first.applied(x, whole), whole), rtol=1e-4
    )


def test_no_filter_reaches_over_a_gap_or_an_absent_value() -> None:
    x = np.ones((20, 2))
    x[14, 0] = np.nan
    found = Filter(np.ones((1, 3)), -1).applied(x, whole_stretches([9], 20))
    absent = np.flatnonzero(np.isnan(found[:, 1]))
    assert absent.tolist() == [0, 9, 10, 19]
    assert np.flatnonzero(np.isnan(found[:, 0])).tolist() == [0, 9, 10, 13, 14, 15, 19]
    assert np.nanmax(np.abs(found - 3)) == 0


@pytest.mark.parametrize(
    "estimator",
    [
        at_one_interval(0.1, SavitzkyGolay(window=7, order=3)),
        at_one_interval(0.1, SmoothingSpline(penalty=20.0)),
    ],
)
def test_estimators_are_exact_on_cubics(estimator: Estimator) -> None:
    t = 0.1 * np.arange(60)[:, None]
    x, slope = 1 - 2 * t + t**2 - 0.3 * t**3, -2 + 2 * t - 0.9 * t**2
    state, rate = estimator.applied(x, [range(60)])
    inside = np.isfinite(state[:, 0])
    before, after = estimator.reach
    assert inside.sum() == 60 - before - after > 20
    np.testing.assert_allclose(state[inside], x[inside], rtol=1e-5)
    np.testing.assert_allclose(rate[inside], slope[inside], rtol=1e-5)


def test_state_and_rate_are_there_together() -> None:
    state, rate = at_one_interval(0.1, None).applied(np.zeros((5, 1)), [range(5)])
    assert np.isnan(state[:, 0]).tolist() == np.isnan(rate[:, 0]).tolist() == [0, 0, 0, 0, 1]


def smooth(n: int, sd: float) -> np.ndarray:
    """Two neurons: sines of a few periods, and noise."""
    t = np.arange(n)[:, None]
    return np.sin(t / np.array([30.0, 40.0])) + sd * rng().standard_normal((n, 2))


def test_evidence_smooths_noisy_signals_more_and_helps_the_rate() -> None:
    whole = [range(3000)]
    weak, strong = (best_penalty(smooth(3000, s), whole, np.arange(3000.0)) for s in (0.01, 0.3))
    assert strong > 20 * weak
    t = np.arange(3000)[:, None]
    true = np.cos(t / np.array([30.0, 40.0])) / np.array([30.0, 40.0])
    errors = {}
    for penalty in (strong / 1e4, strong, strong * 1e4):
        used = at_one_interval(1.0, SmoothingSpline(penalty=penalty))
        rate = used.applied(smooth(3000, 0.3), whole)[1]
        errors[penalty] = np.nanmean((rate - true) ** 2)
    assert min(errors, key=errors.__getitem__) == strong


def test_no_stretch_is_long_enough_for_a_spline() -> None:
    with pytest.raises(RecordingError, match="finite_difference"):
        best_penalty(np.zeros((12, 1)), whole_stretches([5], 12), np.arange(12.0))


def wandering(n: int) -> np.ndarray:
    """Activity that noise drives, so that its steps are noise too."""
    x, kicks = np.zeros((n, 4)), rng(6).standard_normal((n, 4))
    for t in range(n - 1):
        x[t + 1] = 0.97 * x[t] + 0.12 * kicks[t]
    return x


@pytest.mark.parametrize("kind", ["smooth", "wandering"])
def test_noise_is_told_from_activity(kind: str) -> None:
    n = 20_000
    clean = smooth(n, 0)[:, [0, 1, 0, 1]] if kind == "smooth" else wandering(n)
    sd = np.array([0.1, 0.2, 0.3, 0.4])
    noisy = clean + sd * rng().standard_normal((n, 4))
    gaps = whole_stretches(range(99, n - 1, 100), n)
    found = measurement_noise.noise_sd(noisy, gaps, "autocovariance")
    np.testing.assert_allclose(found, sd, rtol=0.1)


def test_noise_by_the_spectrum_as_calcium_pipelines_do() -> None:
    sd = np.array([0.1, 0.3])
    noisy = smooth(20_000, 0) + sd * rng().standard_normal((20_000, 2))
    found = measurement_noise.noise_sd(noisy, [range(20_000)], "spectrum")
    np.testing.assert_allclose(found, sd, rtol=0.1)


def test_noise_of_neurons_that_are_not_there_is_not_known() -> None:
    x = rng().standard_normal((400, 2))
    x[:, 1] = np.nan
    for method in ("autocovariance", "spectrum"):
        found = measurement_noise.noise_sd(x, [range(400)], method)
        assert found[0] == pytest.approx(1, rel=0.3)
        assert np.isnan(found[1])


def test_relative_change_undoes_a_slow_baseline() -> None:
    t = np.arange(2000)[:, None]
    base = 100 * (1 + 0.2 * np.sin(t / 600))
    events = np.where(t % 100 < 10, 0.5, 0.0)
    found = baseline.relative_change(base * (1 + events), 300, 0.2)
    np.testing.assert_allclose(found[300:-300], events[300:-300], atol=0.05)


def test_relative_change_of_what_is_no_fluorescence_is_refused() -> None:
    with pytest.raises(RecordingError, match="baseline of neuron 1 falls to -"):
        baseline.relative_change(np.stack([np.ones(50), -np.ones(50)], 1), 10, 0.08)


def test_absent_frames_stay_absent_and_change_no_other() -> None:
    x = 5 + smooth(300, 0.1)
    gone = x.copy()
    gone[100:110, 0] = np.nan
    for change in (
        lambda s: baseline.relative_change(s, 40, 0.08),
        baseline.standardised,
        baseline.straightened,
        lambda s: baseline.without_drift(s, 40),
    ):
        found, whole = change(gone), change(x)
        assert np.flatnonzero(np.isnan(found[:, 0])).tolist() == list(range(100, 110))
        np.testing.assert_array_equal(found[:, 1], whole[:, 1])


def test_scores_have_mean_0_and_sd_1() -> None:
    found = baseline.standardised(3 + 7 * smooth(300, 0.1))
    np.testing.assert_allclose([found.mean(0), found.std(0)], [[0, 0], [1, 1]], atol=1e-6)


def test_lines_and_drift_are_taken_out() -> None:
    t = np.arange(4000)[:, None]
    fast = np.sin(t / 3.0)
    line = baseline.straightened(fast + 0.01 * t)
    np.testing.assert_allclose(line - line.mean(), fast - fast.mean(), atol=0.01)
    slow = np.sin(t / 1000.0)
    left = baseline.without_drift(fast + slow, 200)[200:-200]
    assert np.corrcoef(left[:, 0], fast[200:-200, 0])[0, 1] > 0.998

"""Total-variation differentiation: sudden changes of the rate stay, and its noise is as told."""

import numpy as np
import pytest
from pydantic import ValidationError
from test_observing import TAU, H, chain, whole

from ngpipe.acquisition.rate_estimates import at_one_interval
from ngpipe.acquisition.total_variation import REACH, differentiated
from ngpipe.config.assembly.observation import Observation, SavitzkyGolay

N, FRAMES, SD = 6, 1_200, 0.05
RNG = np.random.default_rng


def in_pieces(seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Signals whose rate changes at random about every 50 frames, and the rate per frame."""
    rng = RNG(seed)
    new = rng.normal(size=(FRAMES, N)) * SD
    last = np.maximum.accumulate(
        np.where(rng.random((FRAMES, N)) < 0.02, np.arange(FRAMES)[:, None], 0), axis=0
    )
    rate = np.take_along_axis(new, last, axis=0)
    return np.cumsum(rate, axis=0), rate


def estimated(signal: np.ndarray, strength: float = 3.0, sd: float = SD):
    noise = np.full(signal.shape[1], sd)
    frames = len(signal)
    return differentiated(
        signal, [range(frames)], np.arange(float(frames)), noise, strength, RNG(1)
    )


def test_sudden_changes_of_the_rate_are_kept_better_than_by_filters():
    x, rate = in_pieces()
    y = x + SD * RNG(2).normal(size=x.shape)
    found = estimated(y)
    missed = np.sqrt(np.mean((found.rate - rate) ** 2))
    for window in (9, 13, 21):
        used = at_one_interval(1.0, SavitzkyGolay(window=window, order=2))
        other = used.applied(y, [range(FRAMES)])[1]
        assert missed < 0.85 * np.sqrt(np.nanmean((other - rate) ** 2))
    assert np.sqrt(np.mean((found.state - x) ** 2)) < 0.4 * SD


def test_the_noise_that_is_left_is_as_told():
    x, _ = in_pieces()
    found = [estimated(x + SD * RNG(seed).normal(size=x.shape)) for seed in (3, 4)]
    for name in ("state", "rate"):
        values = [getattr(one, name) for one in found]
        true = np.sqrt(np.mean((values[0] - values[1]) ** 2, axis=0) / 2)
        told = getattr(found[0], f"{name}_noise")
        np.testing.assert_allclose(told.mean(), true.mean(), rtol=0.2)


def test_it_solves_its_equations():
    x, _ = in_pieces()
    y = (x + SD * RNG(2).normal(size=x.shape))[:200, :1]
    z = estimated(y).state.astype(np.float64)
    # The dual of the penalty: (y - z) / sd = D^T v with |v| <= lambda, and at the bound where the
    # rate changes.
    v = np.cumsum(np.cumsum((y - z)[:, 0] / SD))[:-2]
    assert np.abs(v).max() < 3.0 * 1.02
    bends = np.abs(np.diff(z[:, 0], 2)) > 0.05 * SD
    assert 0 < bends.sum() < 40
    np.testing.assert_allclose(np.abs(v[bends]), 3.0, rtol=0.03)


def test_a_line_is_left_as_it_is():
    t = np.arange(50.0)[:, None]
    found = estimated(0.3 * t)
    np.testing.assert_allclose(found.state, 0.3 * t, atol=1e-4)
    np.testing.assert_allclose(found.rate, 0.3, atol=1e-4)


def test_stretches_are_apart_and_short_or_absent_ones_have_no_estimate():
    x, _ = in_pieces()
    x[40, 0] = np.nan
    parts = [range(60), range(60, 63), range(63, 120)]
    found = differentiated(x[:120], parts, np.arange(120.0), np.full(N, SD), 3.0, RNG(1))
    assert np.isnan(found.rate[:60, 0]).all()
    assert np.isnan(found.rate[60:63]).all()
    assert np.isfinite(found.rate[63:]).all()
    alone = estimated(x[63:120])
    np.testing.assert_allclose(found.state[63:], alone.state, atol=1e-6)


def test_without_noise_the_state_is_the_signal():
    x, _ = in_pieces()
    found = estimated(x, sd=0.0)
    np.testing.assert_allclose(found.state, x, rtol=1e-6)
    assert found.rate_noise.tolist() == [0] * N


def test_frames_far_apart_hardly_share_a_measured_frame():
    x, _ = in_pieces()
    y = x + SD * RNG(2).normal(size=x.shape)
    other = y.copy()
    other[600] += SD
    moved = np.sqrt(((estimated(other).state - estimated(y).state) ** 2).mean(axis=1))
    assert moved[[600 - REACH - 5, 600 + REACH + 5]].max() < 0.1 * moved[600]


def test_in_the_signal_chain():
    x, rate = in_pieces()
    y = (x + SD * RNG(2).normal(size=x.shape)).astype(np.float32)
    found = chain([y], rate={"kind": "total_variation"})
    made = whole(found, 100)
    assert np.corrcoef(made["rate"].ravel(), rate.ravel())[0, 1] > 0.9
    assert np.polyfit(rate.ravel() / H * TAU, made["rate"].ravel(), 1)[0] == pytest.approx(
        1, abs=0.1
    )
    assert found.reach == (REACH, REACH)
    assert (found.rate_noise > 0).all()
    assert any("total variation: strength 3" in text for text in found.steps)
    np.testing.assert_array_equal(made["recorded"], y)


def test_its_weight_needs_the_noise():
    with pytest.raises(ValidationError, match="in units of the measurement noise"):
        Observation.model_validate({"noise": "none", "rate": {"kind": "total_variation"}})

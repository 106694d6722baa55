"""The oracle against the assembly that it is told of."""

import numpy as np
import pytest
import xarray as xr

from ngpipe.metrics.oracle import score_oracle

N, T = 6, 400


@pytest.fixture
def system():
    """Activity that visits everything, its exact rate, and the truth."""
    rng = np.random.default_rng(2)
    W = rng.normal(size=(N, N))
    np.fill_diagonal(W, 0)
    types = np.array([0, 0, 0, 1, 1, 1])
    x = np.linspace(-8, 8, 4001)
    phi, psi = np.stack([-x, -2 * x + np.tanh(x)]), np.stack([np.tanh(x)] * 2)
    activity = rng.normal(size=(T, N))
    rate = np.stack([np.interp(activity[:, i], x, phi[types[i]]) for i in range(N)], axis=1)
    rate += np.tanh(activity) @ W.T
    truth = xr.Dataset(
        {
            "connectivity": (("post", "pre"), W),
            "neuron_type": ("neuron", types),
            "phi": (("type", "x"), phi),
            "psi": (("type", "x"), psi),
        },
        coords={"x": x},
    )
    return activity, rate, truth


def r2(frames, truth) -> float:
    table = score_oracle(frames, truth, truth["connectivity"])
    return float(table.set_index("metric")["value"].get("r2", np.nan))


def test_it_finds_w_from_exact_rates(system):
    activity, rate, truth = system
    assert r2([(activity[:200], rate[:200]), (activity[200:], rate[200:])], truth) > 1 - 1e-6


def test_noise_costs_it_what_least_squares_lose(system):
    activity, rate, truth = system
    noisy = rate + 3 * np.random.default_rng(0).normal(size=rate.shape)
    expected = 1 / (1 + 9 / (T * np.tanh(activity).var()) / truth["connectivity"].values.var())
    assert r2([(activity, noisy)], truth) == pytest.approx(expected, abs=0.05)


def test_frames_that_lack_a_neuron_are_left_out(system):
    activity, rate, truth = system
    noisy = rate + np.random.default_rng(0).normal(size=rate.shape)
    some = activity.copy()
    some[T // 2 :, 0] = np.nan
    half = r2([(activity[: T // 2], noisy[: T // 2])], truth)
    assert r2([(some, noisy)], truth) == pytest.approx(half)


def test_without_a_whole_frame_there_is_no_row(system):
    activity, rate, truth = system
    activity[: T // 2, 0] = activity[T // 2 :, 1] = np.nan
    assert np.isnan(r2([(activity, rate)], truth))

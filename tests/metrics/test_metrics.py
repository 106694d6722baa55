"""Metrics against values known by construction, and blind to what does not matter."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from ngpipe.metrics import connectivity, neurons, prediction
from ngpipe.metrics.tidy import COLUMNS, agreement

N = 30


def value(table: pd.DataFrame, quantity: str, metric: str) -> float:
    (found,) = table.query("quantity == @quantity and metric == @metric")["value"]
    return found


def matrix(values: np.ndarray) -> xr.DataArray:
    return xr.DataArray(values, dims=("post", "pre"))


@pytest.fixture
def weights():
    return np.random.default_rng(0).normal(size=(N, N))


@given(
    scale=st.floats(0.1, 10),
    offset=st.floats(-5, 5),
    noise=st.floats(0.1, 3),
    seed=st.integers(0, 1000),
)
def test_agreement_is_that_of_textbooks(scale, offset, noise, seed):
    rng = np.random.default_rng(seed)
    truth = rng.normal(size=500)
    estimate = scale * truth + offset + noise * rng.normal(size=500)
    found = agreement(estimate, truth)
    assert found["r2"] == pytest.approx(np.corrcoef(truth, estimate)[0, 1] ** 2)
    assert found["slope"] == pytest.approx(np.polyfit(truth, estimate, 1)[0])
    identity = 1 - np.mean((estimate - truth) ** 2) / np.var(truth)
    assert found["r2_identity"] == pytest.approx(identity)


def test_a_constant_truth_has_no_score():
    assert np.isnan(agreement(np.arange(4.0), np.ones(4))["r2"])


def test_the_diagonal_does_not_count(weights):
    wrong = weights.copy()
    np.fill_diagonal(wrong, 100.0)
    table = connectivity.score(matrix(wrong), matrix(weights))
    assert list(table.columns) == COLUMNS
    assert value(table, "connectivity", "r2") == pytest.approx(1)
    assert value(table, "connectivity", "slope") == pytest.approx(1)
    assert set(table["n"]) == {N * N - N}


def test_a_transposed_matrix_scores_nothing(weights):
    table = connectivity.score(matrix(weights.T.copy()), matrix(weights))
    assert value(table, "connectivity", "r2") < 0.05


def test_a_scale_shows_in_the_slope_and_the_identity_alone(weights):
    table = connectivity.score(matrix(0.8 * weights), matrix(weights))
    assert value(table, "connectivity", "r2") == pytest.approx(1)
    assert value(table, "connectivity", "slope") == pytest.approx(0.8)
    assert value(table, "connectivity", "r2_identity") == pytest.approx(0.96, abs=0.002)


def test_a_learning_curve_scores_every_snapshot(weights):
    noise = np.random.default_rng(1).normal(size=weights.shape)
    history = np.stack([weights + noise, weights + 0.1 * noise, weights])
    snapshots = xr.DataArray(history, dims=("step", "post", "pre"), coords={"step": [10, 20, 30]})
    table = connectivity.learning_curve(snapshots, matrix(weights), matrix(weights))
    assert table["step"].tolist() == [10, 20, 30]
    assert table["r2"].is_monotonic_increasing
    assert table["r2"].iloc[-1] == pytest.approx(1)


def test_a_learning_curve_ends_at_the_recovered_connectivity(weights):
    """Receivers and senders in training have scales of their own, which recovery takes out."""
    rng = np.random.default_rng(2)
    gauge = np.outer(rng.uniform(0.3, 3, len(weights)), rng.uniform(0.3, 3, len(weights)))
    recovered = weights + 0.1 * rng.normal(size=weights.shape)
    history = np.stack([gauge * (recovered + rng.normal(size=weights.shape)), gauge * recovered])
    snapshots = xr.DataArray(history, dims=("step", "post", "pre"), coords={"step": [1, 2]})
    table = connectivity.learning_curve(snapshots, matrix(recovered), matrix(weights))
    expected = value(connectivity.score(matrix(recovered), matrix(weights)), "connectivity", "r2")
    assert table["r2"].iloc[-1] == pytest.approx(expected, abs=1e-6)
    assert table["r2"].iloc[0] < 0.8 * expected
    assert table["slope"].iloc[-1] == pytest.approx(1, abs=0.05)


def labels(values) -> xr.DataArray:
    return xr.DataArray(np.asarray(values), dims="neuron")


def test_names_of_types_do_not_matter():
    table = neurons.score_types(labels([2, 2, 0, 0, 1, 1]), labels([0, 0, 1, 1, 2, 2]))
    assert value(table, "types", "ari") == 1
    assert value(table, "types", "accuracy") == 1


def test_a_split_and_a_mixed_up_neuron_are_counted():
    table = neurons.score_types(labels([0, 0, 0, 1, 2, 2, 2, 1]), labels([0, 0, 0, 0, 1, 1, 1, 1]))
    assert value(table, "types", "found") == 3
    assert value(table, "types", "true") == 2
    assert value(table, "types", "accuracy") == 6 / 8
    assert 0 < value(table, "types", "ari") < 1


def functions(error: np.ndarray) -> tuple[xr.Dataset, xr.Dataset]:
    """Two neurons of two types; ``error`` is added to the learned phi and psi."""
    x = np.linspace(-4, 4, 81)
    true = np.stack([-x, -2 * x + np.tanh(x)])
    firing = np.stack([np.tanh(x), np.tanh(x)])
    truth = xr.Dataset(
        {
            "phi": (("type", "x"), true),
            "psi": (("type", "x"), firing),
            "neuron_type": (("neuron",), [0, 1]),
        },
        coords={"x": x},
    )
    recovery = xr.Dataset(
        {
            "phi": (("neuron", "x"), true + error),
            "psi": (("neuron", "x"), firing + error),
            "visited": (("neuron", "bound"), [[-2.0, 2.0], [-3.0, 1.0]]),
        },
        coords={"x": x},
    )
    return recovery, truth


def test_functions_are_compared_on_the_visited_range_alone():
    x = np.linspace(-4, 4, 81)
    unseen = np.stack([np.abs(x) > 2.05, (x < -3.05) | (x > 1.05)])
    table = neurons.score_functions(*functions(100.0 * unseen))
    assert value(table, "phi", "nrmse") == pytest.approx(0, abs=1e-6)
    assert value(table, "psi", "nrmse") == pytest.approx(0, abs=1e-6)
    table = neurons.score_functions(*functions(100.0 * ~unseen))
    assert value(table, "phi", "nrmse") > 10


def test_nrmse_is_relative_to_the_spread_of_the_truth():
    table = neurons.score_functions(*functions(np.full((2, 81), 0.1)))
    x = np.linspace(-4, 4, 81)
    spread = np.std(-x[np.abs(x) <= 2.0001])
    assert value(table, "phi", "nrmse_type_0") == pytest.approx(0.1 / spread, rel=1e-3)


def rollout(estimate: np.ndarray, truth: np.ndarray) -> xr.Dataset:
    dims, rates = ("time", "neuron"), ("sample", "neuron")
    return xr.Dataset(
        {
            "activity": (dims, truth),
            "activity_hat": (dims, estimate),
            "drift": (rates, truth),
            "drift_hat": (rates, estimate),
        }
    )


def test_a_rollout_is_scored_at_the_frames_asked_for():
    rng = np.random.default_rng(2)
    truth = rng.normal(size=(11, 50))
    estimate = truth.copy()
    estimate[10] = rng.normal(size=50)
    table = prediction.score_rollout(rollout(estimate, truth), at=(5, 10))
    assert value(table, "rollout_5", "r2") == pytest.approx(1)
    assert value(table, "rollout_5", "pearson") == pytest.approx(1)
    assert value(table, "rollout_10", "r2") < 0.3
    assert 0.5 < value(table, "rollout", "pearson_over_time") < 1


@pytest.mark.parametrize("frames", [1, 2, 8])
def test_a_rollout_that_diverged_is_scored_up_to_there(frames):
    """Scores that need later frames are empty, not zero."""
    truth = np.random.default_rng(2).normal(size=(11, 50))
    estimate = np.where(np.arange(11)[:, None] < frames, truth, np.nan)
    table = prediction.score_rollout(rollout(estimate, truth), at=(1, 10))
    assert value(table, "rollout", "frames") == frames
    for metric in ("r2", "slope", "r2_identity", "pearson"):
        assert np.isnan(value(table, "rollout_10", metric))
        before = 1 if frames > 1 else np.nan
        assert value(table, "rollout_1", metric) == pytest.approx(before, nan_ok=True)
    within = 1 if frames > 1 else np.nan
    assert value(table, "rollout", "pearson_over_time") == pytest.approx(within, nan_ok=True)


def test_one_type_is_scored_without_a_warning():
    """Warnings are errors in the tests."""
    one = xr.DataArray(np.zeros(6, dtype=int), dims="neuron")
    table = neurons.score_types(one, one)
    for metric in ("found", "true", "ari", "accuracy"):
        assert value(table, "types", metric) == 1
    split = one.copy(data=[0, 0, 0, 0, 1, 1])
    assert value(neurons.score_types(split, one), "types", "accuracy") == pytest.approx(4 / 6)


def test_the_drift_is_scored_about_the_identity():
    """A prediction of the right shape but twice the size is no prediction."""
    truth = np.random.default_rng(3).normal(size=(20, 10))
    table = prediction.score_drift(rollout(2 * truth, truth))
    assert value(table, "drift_held_out", "r2_identity") == pytest.approx(0, abs=0.05)
    assert value(table, "drift_held_out", "slope") == pytest.approx(2)

"""Agreement of halves, and R2 of forecasts, against values known by construction."""

import numpy as np
import pytest
import xarray as xr

from ngpipe.metrics.prediction import PREDICTORS, score_forecasts
from ngpipe.metrics.stability import score_halves, score_unobserved

N = 30


def value(table, quantity: str, metric: str) -> float:
    (found,) = table.query("quantity == @quantity and metric == @metric")["value"]
    return found


def recovery(first: np.ndarray, second: np.ndarray, called: np.ndarray | None = None):
    pair = ("post", "pre")
    made = xr.Dataset({"connectivity_halves": (("half", *pair), np.stack([first, second]))})
    return made if called is None else made.assign(connected=(pair, called))


def test_halves_are_correlated_off_the_diagonal():
    rng = np.random.default_rng(0)
    first = rng.normal(size=(N, N))
    second = first + 0.5 * rng.normal(size=(N, N))
    np.fill_diagonal(second, 100.0)
    called = np.abs(first) > 1
    off = ~np.eye(N, dtype=bool)
    table = score_halves(recovery(first, second, called))
    assert value(table, "halves", "correlation") == pytest.approx(
        np.corrcoef(first[off], second[off])[0, 1]
    )
    mine = off & called
    assert value(table, "halves", "correlation_connected") == pytest.approx(
        np.corrcoef(first[mine], second[mine])[0, 1]
    )
    assert set(table["n"]) == {N * N - N}


def test_pairs_without_w_are_not_counted():
    rng = np.random.default_rng(1)
    first, second = rng.normal(size=(2, N, N))
    second[3, 4] = first[3, 4] = np.nan
    known = ~np.eye(N, dtype=bool) & np.isfinite(first)
    table = score_halves(recovery(first, second))
    expected = np.corrcoef(first[known], second[known])[0, 1]
    assert value(table, "halves", "correlation") == pytest.approx(expected)
    assert set(table["n"]) == {N * N - N - 1}


def test_too_few_calls_have_no_correlation_and_no_calls_no_row():
    first = np.random.default_rng(0).normal(size=(N, N))
    none = score_halves(recovery(first, first, np.zeros((N, N), dtype=bool)))
    assert np.isnan(value(none, "halves", "correlation_connected"))
    assert set(score_halves(recovery(first, first))["metric"]) == {"correlation"}


def forecasts() -> xr.Dataset:
    """Two starts of different variance, three leads; the error of predictor k is k + lead."""
    error = np.add.outer(np.arange(4.0), np.arange(1.0, 4.0))
    return xr.Dataset(
        {
            "forecast_error": (("predictor", "start", "lead"), np.stack([error, error], axis=1)),
            "forecast_variance": (("start", "lead"), [[10.0] * 3, [30.0] * 3]),
        },
        coords={"predictor": list(PREDICTORS), "neuron": np.arange(5)},
    )


def test_forecasts_are_scored_one_frame_ahead_and_as_far_as_they_reach():
    table = score_forecasts(forecasts(), at=(2, 400))
    assert list(dict.fromkeys(table["quantity"])) == ["prediction", "prediction_2"]
    for k, name in enumerate(PREDICTORS):
        assert value(table, "prediction", f"r2_{name}") == pytest.approx(1 - (k + 1) / 20)
        assert value(table, "prediction_2", f"r2_{name}") == pytest.approx(1 - (k + 2) / 20)
    assert set(table["n"]) == {10}


def test_a_diverged_forecast_has_no_score():
    rollout = forecasts()
    rollout["forecast_error"][0, 1, 1] = np.nan
    table = score_forecasts(rollout, at=(2,))
    assert np.isnan(value(table, "prediction_2", "r2_model"))
    assert np.isfinite(value(table, "prediction_2", "r2_alone"))
    assert np.isfinite(value(table, "prediction", "r2_model"))


def test_what_was_not_recorded_is_told_relative_to_the_weights():
    weights = np.full((N, N), 2.0)
    made = xr.Dataset(
        {"connectivity": (("post", "pre"), weights), "unobserved_bias": ("post", np.full(N, 0.5))}
    )
    told = {"unobserved_rank": 3, "unobserved_share": 0.25}
    table = score_unobserved(made, told)
    assert [value(table, "unobserved", name) for name in ("rank", "share", "bias")] == [
        3,
        0.25,
        0.25,
    ]

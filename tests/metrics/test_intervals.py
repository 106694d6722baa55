"""Standard errors and calls of W against a truth whose errors are known by construction."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from ngpipe import schemas, store
from ngpipe.errors import StoreError
from ngpipe.metrics import connectivity
from ngpipe.steps import score

N = 120
ENTRIES = N * (N - 1)
ANALYTIC = {0.5: (0.264, 0.589, 0.673), 1.0: (0.5, 0.9, 0.95), 2.0: (0.823, 0.999, 0.9999)}
"""Coverage at 50, 90, 95 % if errors are half, once, twice the right ones: from normal tables."""


def value(table: pd.DataFrame, quantity: str, metric: str) -> float:
    (found,) = table.query("quantity == @quantity and metric == @metric")["value"]
    return found


def matrix(values, **attrs) -> xr.DataArray:
    return xr.DataArray(np.asarray(values), dims=("post", "pre"), attrs=attrs)


@pytest.fixture
def recovered() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Estimate, its right standard errors, which differ widely, and the truth."""
    rng = np.random.default_rng(5)
    truth, spread = rng.normal(size=(N, N)), np.exp(rng.normal(size=(N, N)))
    estimate = truth + spread * rng.normal(size=(N, N))
    for w in (truth, spread, estimate):
        np.fill_diagonal(w, 0)
    return estimate, spread, truth


def intervals(estimate, error, truth) -> pd.DataFrame:
    return connectivity.score_intervals(matrix(estimate), matrix(error), matrix(truth))


def monte_carlo(share: float) -> float:
    """Four standard deviations of a share of all entries."""
    return 4 * np.sqrt(share * (1 - share) / ENTRIES)


@pytest.mark.parametrize("factor", ANALYTIC)
def test_coverage_is_that_of_normal_tables(recovered, factor):
    estimate, spread, truth = recovered
    table = intervals(estimate, factor * spread, truth)
    for level, expected in zip((50, 90, 95), ANALYTIC[factor], strict=True):
        found = value(table, "interval", f"coverage_{level}")
        assert found == pytest.approx(expected, abs=monte_carlo(expected) + 5e-4)
    assert set(table["n"]) == {ENTRIES}


@pytest.mark.parametrize("factor", ANALYTIC)
def test_z_scale_says_by_how_much_errors_are_too_small(recovered, factor):
    """The median of 14,280 normal deviates is known to 1 %."""
    estimate, spread, truth = recovered
    table = intervals(estimate, factor * spread, truth)
    assert value(table, "interval", "z_scale") == pytest.approx(1 / factor, rel=0.04)


def test_a_few_wild_entries_leave_z_scale_as_it_is(recovered):
    estimate, spread, truth = recovered
    estimate[0, 1:] = 1e6
    assert value(intervals(estimate, spread, truth), "interval", "z_scale") == pytest.approx(
        1, rel=0.05
    )


def test_an_interval_holds_its_ends():
    """Of six weights, those 1.9 errors away are inside 95 %, those 2 errors away are not."""
    away = np.array([[0, 1.9, -1.9], [2, 0, -2], [0, 0.5, 0]])
    table = intervals(0.3 * away, np.full((3, 3), 0.3), np.zeros((3, 3)))
    assert value(table, "interval", "coverage_95") == pytest.approx(4 / 6)
    assert value(table, "interval", "coverage_90") == pytest.approx(2 / 6)


def test_a_transposed_error_matrix_is_noticed(recovered):
    estimate, spread, truth = recovered
    table = intervals(estimate, spread.T.copy(), truth)
    assert value(table, "interval", "coverage_95") < 0.85


def test_dimensions_count_not_their_order(recovered):
    estimate, spread, truth = recovered
    turned = matrix(spread).transpose("pre", "post")
    table = connectivity.score_intervals(matrix(estimate), turned, matrix(truth))
    pd.testing.assert_frame_equal(table, intervals(estimate, spread, truth))


@pytest.mark.parametrize("bad", [0.0, -1.0, np.nan, np.inf])
def test_an_error_that_is_none_is_named_by_its_entry(recovered, bad):
    estimate, spread, truth = recovered
    spread[3, 7] = bad
    with pytest.raises(StoreError, match=rf"is {bad:g} at post 3, pre 7, .*\(1 such entries"):
        intervals(estimate, spread, truth)
    turned = matrix(spread).transpose("pre", "post")
    with pytest.raises(StoreError, match=r"post 3, pre 7"):
        connectivity.score_intervals(matrix(estimate), turned, matrix(truth))


def test_false_discoveries_and_power_by_hand():
    """Three called: two of the four true ones, and one that is absent."""
    truth = np.array([[9.0, 0.5, 0.0], [-0.1, 0.0, 2.0], [1e-9, 0.0, 0.0]])
    called = np.array([[1, 0, 1], [0, 1, 1], [1, 0, 1]], dtype=np.int8)
    table = connectivity.score_connected(matrix(called), matrix(truth))
    expected = {"found": 3, "true": 4, "false_discovery": 1 / 3, "power": 2 / 4}
    assert dict(zip(table["metric"], table["value"], strict=True)) == pytest.approx(expected)
    assert set(table["n"]) == {6}
    assert set(table["quantity"]) == {"connected"}
    turned = matrix(called).transpose("pre", "post")
    again = connectivity.score_connected(turned, matrix(truth))
    pd.testing.assert_frame_equal(table, again)
    wrong = connectivity.score_connected(matrix(called.T.copy()), matrix(truth))
    assert value(wrong, "connected", "false_discovery") == pytest.approx(2 / 3)


def test_nothing_called_is_nothing_false_and_nothing_true_has_no_power():
    none, some = np.zeros((3, 3)), np.ones((3, 3))
    table = connectivity.score_connected(matrix(none.astype(np.int8)), matrix(some))
    assert value(table, "connected", "false_discovery") == 0
    assert value(table, "connected", "power") == 0
    table = connectivity.score_connected(matrix(some.astype(np.int8)), matrix(none))
    assert value(table, "connected", "false_discovery") == 1
    assert np.isnan(value(table, "connected", "power"))


@pytest.fixture
def run_directory(tmp_path):
    """Write the stores of a run with some variables of recovery.zarr left out: call(*names)."""
    rng = np.random.default_rng(6)
    truth = rng.normal(size=(4, 4)) * (1 - np.eye(4))
    x, neurons = np.linspace(-1, 1, 5), ("neuron",)
    series = (("time", "neuron"), rng.normal(size=(6, 4)))
    rates = (("sample", "neuron"), rng.normal(size=(6, 4)))
    recovery = xr.Dataset(
        {
            "connectivity": matrix(truth + 0.1),
            "connectivity_error": matrix(np.full((4, 4), 0.1, dtype=np.float32)),
            "connected": matrix(np.ones((4, 4), dtype=np.int8), false_discovery=0.05),
            "latent": (("neuron", "component"), rng.normal(size=(4, 2))),
            "neuron_type": (neurons, np.zeros(4, dtype=int)),
            "phi": (("neuron", "x"), rng.normal(size=(4, 5))),
            "psi": (("neuron", "x"), rng.normal(size=(4, 5))),
            "visited": (("neuron", "bound"), np.tile([-1.0, 1.0], (4, 1))),
        },
        coords={"x": x},
    )
    history = xr.Dataset(
        {"connectivity": (("step", "post", "pre"), truth[None])}, coords={"step": [1]}
    )
    rollout = xr.Dataset(
        {"activity": series, "activity_hat": series, "drift": rates, "drift_hat": rates}
    )

    simulation = xr.Dataset({"activity": series, "connectivity": matrix(truth)})

    def write(*left_out: str):
        for name, dataset, schema in (
            ("simulation", simulation, schemas.SIMULATION),
            ("recovery", recovery.drop_vars(left_out), schemas.RECOVERY),
            ("training", history, schemas.TRAINING),
            ("rollout", rollout, schemas.ROLLOUT),
        ):
            provenance = store.Provenance(name, "k", {})
            store.write(dataset, tmp_path / f"{name}.zarr", schema, provenance)
        return tmp_path

    return write


@pytest.mark.quick(1)
@pytest.mark.parametrize(
    ("left_out", "quantities"),
    [
        ((), {"interval", "connected"}),
        (("connectivity_error",), {"connected"}),
        (("connected",), {"interval"}),
        (("connectivity_error", "connected"), set()),
    ],
)
def test_what_a_store_does_not_hold_has_no_rows(run_directory, left_out, quantities):
    directory = run_directory(*left_out)
    score.run({}, (2,), None, directory, key="k")
    table = store.read_csv(directory / "metrics.csv")
    assert set(table["quantity"]) & {"interval", "connected"} == quantities
    if "interval" in quantities:
        assert value(table, "interval", "coverage_50") == 0
        assert value(table, "interval", "z_scale") == pytest.approx(1 / 0.67449, rel=1e-5)
    if "connected" in quantities:
        assert value(table, "connected", "found") == 12


def test_the_stores_say_units_and_the_rate_aimed_at(run_directory):
    recovery = store.read(run_directory() / "recovery.zarr", schemas.RECOVERY)
    assert recovery["connectivity_error"].attrs["units"] == "1/tau"
    assert recovery["connected"].attrs["false_discovery"] == 0.05
    assert recovery["connected"].attrs["units"] == "1"

"""Learned against true input: exact on the truth, and each failing shows where it should."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from ngpipe.metrics import connectivity, external

N, DRIVEN, FRAMES, DT = 12, [7, 2, 5, 11], 60, 0.25


def value(table: pd.DataFrame, quantity: str, metric: str) -> float:
    (found,) = table.query("quantity == @quantity and metric == @metric")["value"]
    return found


def simulation(*, linear: bool, positive: bool = True, still: bool = False) -> xr.Dataset:
    """Five images over 60 frames; driven neurons in no order."""
    rng = np.random.default_rng(4)
    images = np.ones((5, N))
    images[:, DRIVEN] = rng.uniform(0.5, 1.5, (5, 4)) if positive else rng.normal(size=(5, 4))
    if still:
        images[:] = images[0]
    shown = np.linspace(0, 4, FRAMES) if linear else np.arange(FRAMES) * 5 // FRAMES
    return xr.Dataset(
        {
            "external_input": (("frame", "neuron"), images.astype(np.float32)),
            "input_frame": (("time",), shown.astype(np.float32)),
            "driven": (("neuron",), np.isin(np.arange(N), DRIVEN).astype(np.int8)),
        },
        coords={"time": DT * np.arange(FRAMES)},
    )


def true_at(truth: xr.Dataset, frame: int) -> np.ndarray:
    """By hand: the image of a frame, mixed linearly between two."""
    shown = float(truth["input_frame"][frame])
    table = truth["external_input"].values.astype(np.float64)
    left = int(shown)
    if shown == left:
        return table[left]
    return table[left] * (1 - (shown - left)) + table[left + 1] * (shown - left)


def estimate(truth: xr.Dataset, frames: list[int], late: float = 0.0) -> xr.DataArray:
    values = np.stack([true_at(truth, f) for f in frames])
    undriven = np.setdiff1d(np.arange(N), DRIVEN)
    values[:, undriven] = np.nan  # nobody asks
    times = DT * np.array(frames) + late
    return xr.DataArray(values, dims=("sample", "neuron"), coords={"sample": times})


@pytest.mark.parametrize("linear", [True, False], ids=["linear", "held"])
@pytest.mark.parametrize("late", [0.0, 0.4 * DT, -0.4 * DT])
def test_the_truth_itself_is_exact(linear, late):
    """At the frame nearest to each sample, images held or mixed."""
    truth = simulation(linear=linear)
    table = external.score(estimate(truth, [0, 3, 11, 12, 30, 41, 59], late), truth)
    for quantity in ("input", "input_sqrt", "input_image"):
        assert value(table, quantity, "r2") == pytest.approx(1)
        assert value(table, quantity, "slope") == pytest.approx(1)
        assert value(table, quantity, "r2_identity") == pytest.approx(1)
    assert value(table, "input_within", "r2") == pytest.approx(1)
    counts = table.drop_duplicates("quantity").set_index("quantity")["n"].to_dict()
    assert counts == {"input": 28, "input_sqrt": 28, "input_image": 4, "input_within": 4}


@given(factor=st.floats(0.2, 5))
def test_a_factor_shows_in_slopes_alone(factor):
    truth = simulation(linear=True)
    table = external.score(factor * estimate(truth, list(range(60))), truth)
    assert value(table, "input", "slope") == pytest.approx(factor)
    assert value(table, "input_image", "slope") == pytest.approx(factor)
    assert value(table, "input_sqrt", "slope") == pytest.approx(factor**0.5)
    assert value(table, "input", "r2") == pytest.approx(1)
    assert value(table, "input_within", "r2") == pytest.approx(1)


def test_a_wrong_image_leaves_the_moving_part_right():
    """A scale for each site, as the gauge errs: the static image suffers, what moves does not."""
    truth = simulation(linear=True)
    scale = np.ones(N)
    scale[DRIVEN] = [0.5, 2.0, 0.7, 1.6]
    table = external.score(scale * estimate(truth, list(range(60))), truth)
    assert value(table, "input_within", "r2") == pytest.approx(1)
    assert value(table, "input_image", "r2") < 0.9
    assert value(table, "input", "r2") < 0.9


def test_frozen_time_leaves_the_image_right():
    truth = simulation(linear=True)
    learned = estimate(truth, list(range(60)))
    rng = np.random.default_rng(1)
    table = external.score(
        learned.isel(sample=rng.permutation(60)).assign_coords(sample=learned["sample"]), truth
    )
    assert value(table, "input_image", "r2") == pytest.approx(1)
    assert value(table, "input_within", "r2") < 0.2


def test_an_input_of_both_signs_has_no_square_root():
    truth = simulation(linear=True, positive=False)
    table = external.score(estimate(truth, [0, 20, 40]), truth)
    assert "input_sqrt" not in set(table["quantity"])
    assert value(table, "input", "r2") == pytest.approx(1)


def test_an_input_that_never_changes_has_no_moving_part():
    """No warning either: there is nothing to average."""
    truth = simulation(linear=False, still=True)
    table = external.score(estimate(truth, [0, 20, 40]), truth)
    assert value(table, "input", "r2") == pytest.approx(1)
    assert "input_within" not in set(table["quantity"])


def matrices(seed: int) -> tuple[xr.DataArray, xr.DataArray]:
    rng = np.random.default_rng(seed)
    pair = rng.normal(size=(2, N, N))
    pair[0] = pair[1] + 0.1 * pair[0]
    return tuple(xr.DataArray(m, dims=("post", "pre")) for m in pair)


def test_rows_of_driven_neurons_are_scored_apart():
    """Against a loop over rows; the diagonal does not count."""
    learned, truth = matrices(3)
    driven = simulation(linear=True)["driven"]
    learned[DRIVEN] *= 2  # an input of half its size
    learned.values[np.arange(N), np.arange(N)] = 99
    table = connectivity.score_driven(learned, truth, driven)
    for name, rows in (("driven", DRIVEN), ("undriven", np.setdiff1d(np.arange(N), DRIVEN))):
        pairs = [
            (float(learned[i, j]), float(truth[i, j])) for i in rows for j in range(N) if i != j
        ]
        a, b = np.array(pairs).T
        quantity = f"connectivity_{name}"
        assert value(table, quantity, "r2") == pytest.approx(np.corrcoef(a, b)[0, 1] ** 2)
        assert value(table, quantity, "slope") == pytest.approx(np.polyfit(b, a, 1)[0])
        assert set(table.query("quantity == @quantity")["n"]) == {len(pairs)}
    assert value(table, "connectivity_driven", "slope") == pytest.approx(2, abs=0.1)


def test_rows_that_are_columns_are_noticed():
    """Driven neurons receive: their rows, not their columns, carry the input's scale."""
    learned, truth = matrices(4)
    learned[:, DRIVEN] *= 2
    table = connectivity.score_driven(learned, truth, simulation(linear=True)["driven"])
    assert value(table, "connectivity_driven", "slope") < 1.6
    assert value(table, "connectivity_undriven", "slope") > 1.2


def test_dimensions_may_come_in_any_order():
    learned, truth = matrices(5)
    driven = simulation(linear=True)["driven"]
    pd.testing.assert_frame_equal(
        connectivity.score_driven(learned.transpose("pre", "post"), truth, driven),
        connectivity.score_driven(learned, truth, driven),
    )


@pytest.mark.parametrize(("who", "left"), [(0, "undriven"), (1, "driven")])
def test_an_empty_group_has_no_row(who, left):
    everyone = xr.DataArray(np.full(N, who), dims="neuron")
    table = connectivity.score_driven(*matrices(6), everyone)
    assert set(table["quantity"]) == {f"connectivity_{left}"}

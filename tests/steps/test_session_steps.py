"""From a store of two sessions, of which the second lacks neurons, to scores."""

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr

from ngpipe.config.assembly.recovery import Recovery
from ngpipe.config.assembly.simulation import Simulation
from ngpipe.config.assembly.training import Training
from ngpipe.metrics.connectivity import score_intervals
from ngpipe.steps import recover, rollout, score, simulate, train

pytestmark = pytest.mark.slow

CPU = {"key": "k" * 64, "device": torch.device("cpu")}
N, FRAMES = 16, 3000
LACKING = [3, 9]
TRAINING = Training(
    solver="closed_form",
    held_out=0.2,
    network={"hidden": 16},
    closed_form={
        "search_frames": 4,
        "frames": 8,
        "psi_basis": 16,
        "phi_basis": 16,
        "fine_basis": 16,
        "rows": 4,
        "iterations": 4,
        "ridges": [1e-2, 1e-6],
        "distil_steps": 300,
    },
)


@pytest.fixture(scope="module", params=["some", "all"])
def results(request, tmp_path_factory):
    """Results of two sessions: the first sees all neurons, or one fewer."""
    made, directory = (tmp_path_factory.mktemp(name) for name in ("made", "sessions"))
    cfg = Simulation(
        n_neurons=N, n_frames=FRAMES, burn_in=50, noise=1.0, types=[{"leak": 1}, {"leak": 2}]
    )
    simulate.run(cfg, made, **CPU)
    path = directory / "simulation.zarr"
    dataset = xr.open_zarr(made / "simulation.zarr").load()
    dataset = dataset.copy(deep=True)
    for name in ("activity", "drift"):
        dataset[name].values[FRAMES // 2 :, LACKING] = np.nan
        if request.param == "some":
            dataset[name].values[: FRAMES // 2, 0] = np.nan
    session = np.repeat(["first", "second"], FRAMES // 2)
    dataset = dataset.assign_coords(session=("time", session))
    for variable in dataset.variables.values():
        variable.encoding.clear()
    dataset.drop_attrs(deep=False).assign_attrs(dt=dataset.attrs["dt"]).to_zarr(path, zarr_format=2)
    train.run(TRAINING, directory, checkpoints=directory / "checkpoints", **CPU)
    recover.run(Recovery(), TRAINING, directory, **CPU)
    rollout.run(40, TRAINING, directory, **CPU)
    score.run({}, (10,), None, directory, key="k" * 64)
    return directory


def test_counts_and_errors_are_in_the_store(results):
    found = xr.open_zarr(results / "recovery.zarr").load()
    counts = found["pairs_seen"].values
    first, both = counts[3, 9], counts[1, 2]
    assert 0 < first < both
    assert counts.dtype.kind == "i"
    np.testing.assert_array_equal(counts, counts.T)
    never = np.argwhere(counts == 0)
    errors = found["connectivity_error"].values
    assert {tuple(pair) for pair in np.argwhere(np.isnan(errors))} == {tuple(p) for p in never}
    assert not found["connected"].values[counts == 0].any()
    truth = xr.open_zarr(results / "simulation.zarr")["connectivity"].load()
    weights, spread = found["connectivity"], found["connectivity_error"]
    table = score_intervals(weights, spread, truth, found["pairs_seen"])
    assert table["n"].iloc[0] == N * (N - 1) - len(never)


def test_what_a_session_lacks_is_predicted_and_not_scored(results):
    found = xr.open_zarr(results / "rollout.zarr").load()
    lacks = np.isnan(found["activity"].values).any(axis=0)
    assert np.isfinite(found["activity_hat"].values).all()
    np.testing.assert_array_equal(np.isnan(found["drift"].values).any(axis=0), lacks)
    table = pd.read_csv(results / "metrics.csv").set_index(["quantity", "metric"])
    seen = (~lacks).sum()
    assert table.loc[("rollout_10", "r2"), "n"] == seen
    assert table.loc[("drift_held_out", "r2"), "n"] == found.sizes["sample"] * seen
    assert table.loc[("drift_held_out", "r2"), "value"] > (0.97 if seen == N else 0.8)

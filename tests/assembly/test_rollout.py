"""Rollouts: of a model that follows, and of one that diverges, which is a result and no failure."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from assemblies import numbers, random_model

from ngpipe.assembly.gnn import AssemblyGNN
from ngpipe.assembly.recording import Recording
from ngpipe.assembly.rollout import roll_out, summary, warning
from ngpipe.dynamics.integrate import free_run
from ngpipe.metrics.prediction import score_drift

N, FRAMES, DT = 6, 200, 0.05


def recording(size: float = 1.0) -> Recording:
    x = size * (5 + numbers(1, FRAMES, N))
    return Recording(x, numbers(2, FRAMES, N), DT, held_out=0.4)


def model(gain: float) -> AssemblyGNN:
    """What it sends grows with activity, so that a large W makes it run away."""
    made = random_model(N)
    with torch.no_grad():
        made.V.mul_(gain)
    return made


def test_a_rollout_that_stays_finite_is_ok():
    found = roll_out(model(0.0), recording(), 20)
    assert found.attrs["status"] == "ok"
    assert found.attrs["frames_predicted"] == 21
    assert np.isfinite(found["activity_hat"]).all()
    assert warning(found) is None


def test_a_line_says_how_far_and_how_well():
    found = roll_out(model(0.0), recording(), 20)
    scored = score_drift(found).set_index("metric")["value"]
    n = len(found["sample"])
    x, predicted = found["activity"].values[1:], found["activity_hat"].values[1:]
    r2 = 1 - ((predicted - x) ** 2).sum() / ((x - x.mean()) ** 2).sum()
    assert summary(found) == (
        f"20 of 20 frames predicted from frame 120 on, R2 {r2:.4g}; R2 of the rate at {n} "
        f"held-out frames {scored['r2_identity']:.4g}"
    )
    lost = roll_out(model(1e3), recording(), 60)
    assert summary(lost).startswith(f"{lost.attrs['frames_predicted'] - 1} of 60 frames predicted")
    assert "nan held-out" not in summary(lost)


@pytest.mark.parametrize("size", [1.0, 1e9])
def test_a_model_that_diverges_is_a_result(size):
    """Frames before are there, those after are NaN, and the message blames the model alone."""
    found = roll_out(model(1e3), recording(size), 60)
    n = found.attrs["frames_predicted"]
    assert found.attrs["status"] == "diverged"
    assert 1 <= n < 60
    values = found["activity_hat"].values
    assert np.isfinite(values[:n]).all()
    assert np.isnan(values[n:]).all()
    np.testing.assert_array_equal(values[0], found["activity"].values[0])
    assert np.isfinite(found["activity"]).all()
    assert np.isfinite(found["drift_hat"]).all()
    told = warning(found)
    assert told.startswith(f"the learned model diverges {n} frames after frame 120")
    assert "dt" not in told


def test_units_of_a_recording_are_no_divergence():
    """Activity of 1e9 in a recording is not beyond it."""
    assert roll_out(model(0.0), recording(1e9), 20).attrs["status"] == "ok"


def test_a_free_run_ends_where_it_leaves_the_limit():
    """Doubling each step from 1, it is beyond 10 at 16."""
    x, diverged = free_run(lambda _t, x: x, torch.ones(1, 2), dt=1.0, n_frames=8, limit=10.0)
    assert diverged == 4
    assert x[:4, 0, 0].tolist() == [1, 2, 4, 8]
    assert x[4:].isnan().all()


def test_a_rollout_steps_by_the_intervals_of_its_frames():
    """With the same model, frames twice as far apart move twice as much."""
    plain = recording()
    made = model(0.0)
    own = torch.full((FRAMES,), DT, dtype=torch.float64)
    own[120] = 2 * DT
    found = roll_out(made, replace(plain, rate=None, intervals=own), 20)
    even = roll_out(made, replace(plain, rate=None), 20)
    moved, usual = (
        f["activity_hat"].values[1] - f["activity_hat"].values[0] for f in (found, even)
    )
    np.testing.assert_allclose(moved, 2 * usual, rtol=1e-3, atol=1e-6)
    assert np.abs(usual).max() > 1e-3
    np.testing.assert_allclose(found["time"][:3], [0, 2 * DT, 3 * DT])
    np.testing.assert_allclose(even["time"], DT * np.arange(21))

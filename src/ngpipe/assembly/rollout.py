"""Predict held-out activity with a trained model."""

import numpy as np
import torch
import xarray as xr

from ngpipe.assembly.gnn import AssemblyGNN
from ngpipe.assembly.recording import Recording
from ngpipe.dynamics.integrate import free_run

DRIFT_FRAMES = 200
FAR = 100.0
"""Largest activity of a rollout, in units of the largest of the recording: beyond it diverges."""


@torch.no_grad()
def roll_out(model: AssemblyGNN, recording: Recording, n_frames: int) -> xr.Dataset:
    """Activity from a held-out frame on and its prediction, as ``schemas.ROLLOUT`` describes it.

    The model starts from the first held-out frame after which the recording goes on without a
    break, and runs freely for ``n_frames``; process noise of the recording is not predicted, and a
    learned input is the one learned for these frames. Beside it: the rate at held-out frames,
    predicted one by one.

    Where sessions lack neurons, frames are held out in those that see most. Neurons that these lack
    are NaN in ``activity`` and ``drift``; the model starts them at their mean activity, and keeps
    them there where it predicts the rate frame by frame.

    A learned model may diverge. That is a result: ``activity_hat`` is NaN from there on, the
    attribute ``status`` is "diverged" instead of "ok", and ``frames_predicted`` counts the frames
    before.

    Raises:
        StoreError: no stretch of the recording is long enough.
    """
    start = recording.rollout_start(n_frames)
    truth = recording.activity[start : start + n_frames + 1]
    steps = recording.steps(torch.arange(start, start + n_frames + 1)).tolist()
    predicted, diverged = free_run(
        model.as_drift(),
        recording.filled(truth[0]),
        dt=recording.dt,
        n_frames=len(truth),
        steps=steps,
        first=start,
        limit=FAR * recording.scales().reach,
    )
    samples = recording.scoring_frames(DRIFT_FRAMES).to(truth.device)
    x, target = recording.batch(samples)
    dims, sample_dims = ("time", "neuron"), ("sample", "neuron")
    return xr.Dataset(
        {
            "activity": (dims, truth.cpu().numpy()),
            "activity_hat": (dims, predicted.cpu().numpy()),
            "drift": (sample_dims, target.cpu().numpy()),
            "drift_hat": (
                sample_dims,
                model(recording.times(samples), recording.filled(x)).cpu().numpy(),
            ),
        },
        coords={
            "time": _times(recording, steps),
            "sample": recording.dt * samples.double().cpu().numpy(),
        },
        attrs={
            "start_frame": int(start),
            "dt": recording.dt,
            "status": "ok" if diverged is None else "diverged",
            "frames_predicted": len(truth) if diverged is None else diverged,
        },
    )


def _times(recording: Recording, steps: list[float]) -> np.ndarray:
    """Time of every frame since the first [tau]."""
    if recording.intervals is None:
        return recording.dt * np.arange(len(steps))
    return np.concatenate([[0.0], np.cumsum(steps[:-1])])


def summary(rollout: xr.Dataset) -> str:
    r"""Summary of a rollout in one line: how many frames it predicts, and how well.

    .. math:: R^2 = 1 - \sum (\hat x - x)^2 / \sum (x - \bar x)^2

    of the activity of all neurons in the frames predicted, and of the rate at held-out frames: the
    ``r2_identity`` of metrics.
    """
    n = rollout.attrs["frames_predicted"]
    within = _explained(rollout["activity_hat"].values[1:n], rollout["activity"].values[1:n])
    drift = _explained(rollout["drift_hat"].values, rollout["drift"].values)
    return (
        f"{n - 1:,} of {rollout.sizes['time'] - 1:,} frames predicted from frame "
        f"{rollout.attrs['start_frame']:,} on, R2 {within:.4g}; R2 of the rate at "
        f"{rollout.sizes['sample']:,} held-out frames {drift:.4g}"
    )


def _explained(estimate: np.ndarray, truth: np.ndarray) -> float:
    """NaN where there is nothing to explain."""
    known = ~np.isnan(truth)  # neurons that the session lacks have no truth
    truth, estimate = truth[known].astype(np.float64), estimate[known].astype(np.float64)
    total = ((truth - truth.mean()) ** 2).sum() if truth.size else 0.0
    return float(1 - ((estimate - truth) ** 2).sum() / total) if total else float("nan")


def warning(rollout: xr.Dataset) -> str | None:
    """Warning about a rollout that diverged; None for one that did not."""
    if rollout.attrs["status"] == "ok":
        return None
    after = rollout.attrs["frames_predicted"]
    return (
        f"the learned model diverges {after} frames after frame {rollout.attrs['start_frame']}, "
        f"where its rollout starts: activity goes beyond {FAR:g} times the recording's largest. "
        "activity_hat is NaN from there on, and scores that need it are empty. The cause is the "
        "model, not the recording: see its held-out loss in training.csv and the R2 of "
        "drift_held_out in metrics.csv"
    )

"""Predict held-out activity with a trained model."""

import torch
import xarray as xr

from ngpipe.assembly.gnn import AssemblyGNN
from ngpipe.assembly.recording import Recording
from ngpipe.dynamics.integrate import trajectory

DRIFT_FRAMES = 200


@torch.no_grad()
def roll_out(model: AssemblyGNN, recording: Recording, n_frames: int) -> xr.Dataset:
    """Activity from a held-out frame on beside its prediction, as ``schemas.ROLLOUT`` describes it.

    The model starts from the first held-out frame and runs freely for ``n_frames``; process noise
    of the recording is not predicted, and a learned input is the one learned for these frames.
    Beside it: the rate at held-out frames, predicted one by one.
    """
    start = recording.first_held_out
    truth = recording.activity[start : start + n_frames + 1]
    predicted = trajectory(
        model.as_drift(), truth[0], dt=recording.dt, n_frames=len(truth), first=start
    )
    samples = recording.scoring_frames(DRIFT_FRAMES).to(truth.device)
    x, target = recording.batch(samples)
    dims, sample_dims = ("time", "neuron"), ("sample", "neuron")
    return xr.Dataset(
        {
            "activity": (dims, truth.cpu().numpy()),
            "activity_hat": (dims, predicted.cpu().numpy()),
            "drift": (sample_dims, target.cpu().numpy()),
            "drift_hat": (sample_dims, model(recording.times(samples), x).cpu().numpy()),
        },
        coords={
            "time": recording.dt * torch.arange(len(truth), dtype=torch.float64).numpy(),
            "sample": recording.dt * samples.double().cpu().numpy(),
        },
        attrs={"start_frame": int(start), "dt": recording.dt},
    )

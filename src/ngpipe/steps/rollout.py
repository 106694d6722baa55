"""``model.safetensors`` and ``simulation.zarr`` (activity alone) -> ``rollout.zarr``."""

from dataclasses import replace
from pathlib import Path

import torch

from ngpipe import store
from ngpipe.artifacts import model_file
from ngpipe.artifacts.progress import say
from ngpipe.assembly.forecasts import forecasts
from ngpipe.assembly.rollout import roll_out, summary, warning
from ngpipe.config.assembly.training import Training
from ngpipe.schemas import assembly as schemas


def run(
    n_frames: int,
    training: Training,
    directory: Path,
    *,
    key: str,
    device: torch.device,
) -> None:
    """Predict held-out activity from one frame on.

    Args:
        n_frames: how many frames.
        training: how the model was trained.
        directory: holds recording and model; the store goes there.
        key: chain key.
        device: where to compute.
    """
    provenance = store.Provenance("rollout", key, {"n_frames": n_frames}, str(device))
    model, found = model_file.read_beside(directory, training, device)
    run_of = roll_out(model, found.recording, n_frames)
    ahead = forecasts(model, found.recording, n_frames)
    dataset = found.labelled(run_of.merge(ahead))
    notes, told = found.notes(), warning(dataset)
    if told is not None:
        say(f"rollout: {told}")
        notes |= {"status": dataset.attrs["status"], "warning": told}
    path = directory / "rollout.zarr"
    store.write(dataset, path, schemas.ROLLOUT, replace(provenance, notes=notes))
    say(f"rollout: {summary(dataset)}; written to {path}")

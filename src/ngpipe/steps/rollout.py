"""``model.safetensors`` and ``simulation.zarr`` (activity alone) -> ``rollout.zarr``."""

from dataclasses import replace
from pathlib import Path

import torch

from ngpipe import schemas, store
from ngpipe.assembly.rollout import roll_out, warning
from ngpipe.config.recovery import Rollout
from ngpipe.config.training import Training
from ngpipe.steps import model_file
from ngpipe.steps.progress import say


def run(
    cfg: Rollout,
    training: Training,
    simulation: Path,
    model: Path,
    rollout: Path,
    *,
    key: str,
    device: torch.device,
) -> None:
    """Predict held-out activity from one frame on."""
    provenance = store.Provenance("rollout", key, {"n_frames": cfg.n_frames}, str(device))
    model, found = model_file.read_beside(model, simulation, training, device)
    dataset = found.labelled(roll_out(model, found.recording, cfg.n_frames))
    notes, told = found.notes(), warning(dataset)
    if told is not None:
        say(f"rollout: {told}")
        notes |= {"status": dataset.attrs["status"], "warning": told}
    store.write(dataset, rollout, schemas.ROLLOUT, replace(provenance, notes=notes))

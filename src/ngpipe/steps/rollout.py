"""``model.safetensors`` and ``simulation.zarr`` (activity alone) -> ``rollout.zarr``."""

import sys
from dataclasses import replace
from pathlib import Path

import torch
from tqdm import tqdm

from ngpipe import schemas, store
from ngpipe.assembly.rollout import roll_out, warning
from ngpipe.config.recovery import Rollout
from ngpipe.config.training import Training
from ngpipe.steps import model_file, recordings


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
    recording = recordings.load(simulation, training, device)
    dataset = roll_out(model_file.read(model, recording), recording, cfg.n_frames)
    told = warning(dataset)
    if told is not None:
        tqdm.write(f"rollout: {told}", file=sys.stderr)
        provenance = replace(provenance, notes={"status": dataset.attrs["status"], "warning": told})
    store.write(dataset, rollout, schemas.ROLLOUT, provenance)

"""``model.safetensors`` and ``simulation.zarr`` (activity alone) -> ``recovery.zarr``."""

from pathlib import Path

import torch

from ngpipe import schemas, store
from ngpipe.assembly.readout import read_out
from ngpipe.config.recovery import Recovery
from ngpipe.config.training import Training
from ngpipe.steps import model_file, recordings


def run(
    cfg: Recovery,
    training: Training,
    simulation: Path,
    model: Path,
    recovery: Path,
    *,
    key: str,
    device: torch.device,
) -> None:
    """Read a trained model out, without the truth."""
    provenance = store.Provenance("recover", key, cfg.model_dump(), str(device))
    recording = recordings.load(simulation, training, device)
    dataset = read_out(model_file.read(model, recording), recording, cfg)
    store.write(dataset, recovery, schemas.RECOVERY, provenance)

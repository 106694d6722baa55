"""``model.safetensors`` and ``simulation.zarr`` (activity alone) -> ``recovery.zarr``."""

from dataclasses import replace
from pathlib import Path

import torch

from ngpipe import schemas, store
from ngpipe.assembly.readout import read_out
from ngpipe.config.recovery import Recovery
from ngpipe.config.training import Training
from ngpipe.steps import model_file


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
    model, found = model_file.read_beside(model, simulation, training, device)
    dataset = found.labelled(read_out(model, found.recording, cfg))
    store.write(dataset, recovery, schemas.RECOVERY, replace(provenance, notes=found.notes()))

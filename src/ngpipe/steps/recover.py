"""``model.safetensors`` and ``simulation.zarr`` (activity alone) -> ``recovery.zarr``."""

from dataclasses import replace
from pathlib import Path

import torch

from ngpipe import store
from ngpipe.artifacts import model_file
from ngpipe.artifacts.named_readout import named_readout
from ngpipe.artifacts.progress import say
from ngpipe.assembly.readout import types_in_words
from ngpipe.config.assembly.recovery import Recovery
from ngpipe.config.assembly.training import Training
from ngpipe.schemas import assembly as schemas


def run(
    cfg: Recovery,
    training: Training,
    directory: Path,
    *,
    key: str,
    device: torch.device,
) -> None:
    """Read a trained model out, without the truth.

    Args:
        cfg: what is read out, and how.
        training: how the model was trained.
        directory: holds recording and model; the store goes there.
        key: chain key.
        device: where to compute.
    """
    provenance = store.Provenance("recover", key, cfg.model_dump(), str(device))
    model, found = model_file.read_beside(directory, training, device)
    training_log = store.read_csv(directory / "training.csv")
    dataset = named_readout(model, found, training_log, cfg)
    told = types_in_words(dataset)
    say(f"recovery: {told}")
    notes = {**found.notes(), "types": told}
    store.write(
        dataset, directory / "recovery.zarr", schemas.RECOVERY, replace(provenance, notes=notes)
    )

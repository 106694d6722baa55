"""The trained model on disk: one safetensors file that knows how to rebuild the network."""

from dataclasses import asdict
from pathlib import Path

import torch

from ngpipe.assembly.gnn import AssemblyGNN, Scales
from ngpipe.assembly.gradient import build
from ngpipe.assembly.recording import Recording
from ngpipe.config.training import Training
from ngpipe.steps import parameter_file


def write(model: AssemblyGNN, cfg: Training, path: Path, *, key: str) -> None:
    """Write the model whole or not at all. The basis must be folded into W before."""
    state = {k: v for k, v in model.state_dict().items() if k != "basis"}
    about = {"key": key, "training": cfg.model_dump(mode="json"), "scales": asdict(model.scales)}
    parameter_file.write(path, state, about)


def read(path: Path, recording: Recording) -> AssemblyGNN:
    """Rebuild the model, on the device of the recording it was trained on.

    Raises:
        StoreError: the file is absent, truncated, or not a model of ngpipe.
    """
    about, state = parameter_file.read(path, "model", "train")
    cfg = Training.model_validate(about["training"])
    model = build(recording, cfg, torch.Generator(), Scales(**about["scales"]))
    model.load_state_dict({**state, "basis": torch.eye(recording.n_neurons)})
    return model.to(recording.activity.device)

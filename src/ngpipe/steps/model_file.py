"""The trained model on disk: one safetensors file that knows how to rebuild the network."""

import json
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from ngpipe import store
from ngpipe.assembly.gnn import AssemblyGNN, Scales
from ngpipe.assembly.gradient import build
from ngpipe.assembly.recording import Recording
from ngpipe.config.training import Training
from ngpipe.errors import StoreError


def write(model: AssemblyGNN, cfg: Training, path: Path, *, key: str) -> None:
    """Write the model whole or not at all. The basis must be folded into W before."""
    state = {k: v.cpu().contiguous() for k, v in model.state_dict().items() if k != "basis"}
    about = {"key": key, "training": cfg.model_dump(mode="json"), "scales": asdict(model.scales)}
    with store.atomic(path) as partial:
        # One entry: the order of several is not reproducible.
        metadata = {"ngpipe": json.dumps(about, sort_keys=True)}
        partial.write_bytes(save(state, metadata=metadata))


def read(path: Path, recording: Recording) -> AssemblyGNN:
    """Rebuild the model, on the device of the recording it was trained on.

    Raises:
        StoreError: the file is absent, truncated, or not a model of ngpipe.
    """
    try:
        with safe_open(path, "pt") as file:
            about = json.loads(file.metadata()["ngpipe"])
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
    except (OSError, SafetensorError, KeyError, TypeError) as error:
        raise StoreError(
            f"{path} is not a model of ngpipe ({error}); re-run the rule `train`"
        ) from error
    cfg = Training.model_validate(about["training"])
    model = build(recording, cfg, torch.Generator(), Scales(**about["scales"]))
    model.load_state_dict({**state, "basis": torch.eye(recording.n_neurons)})
    return model.to(recording.activity.device)

"""The trained model on disk: one safetensors file that knows how to rebuild the network."""

import json
from dataclasses import asdict
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save

from ngpipe import store
from ngpipe.assembly.gnn import AssemblyGNN, Scales
from ngpipe.config.training import Network
from ngpipe.errors import StoreError


def write(model: AssemblyGNN, network: Network, path: Path, *, key: str) -> None:
    """Write the model whole or not at all. The basis must be folded into W before."""
    state = {k: v.cpu().contiguous() for k, v in model.state_dict().items() if k != "basis"}
    about = {"key": key, "network": network.model_dump(), "scales": asdict(model.scales)}
    with store.atomic(path) as partial:
        # One entry: the order of several is not reproducible.
        metadata = {"ngpipe": json.dumps(about, sort_keys=True)}
        partial.write_bytes(save(state, metadata=metadata))


def read(path: Path, device: torch.device) -> AssemblyGNN:
    """Rebuild the model.

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
    model = AssemblyGNN(
        len(state["latent"]),
        Network(**about["network"]),
        Scales(**about["scales"]),
        torch.Generator(),
    )
    state["basis"] = torch.eye(len(state["latent"]))
    model.load_state_dict(state)
    return model.to(device)

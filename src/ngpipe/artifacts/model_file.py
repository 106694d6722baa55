"""The trained model on disk: one safetensors file that knows how to rebuild the network."""

import json
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import torch
from torch import Tensor

from ngpipe.artifacts import parameter_file, recordings, survey
from ngpipe.artifacts.recordings import Opened
from ngpipe.assembly.gnn import AssemblyGNN, Scales
from ngpipe.assembly.gradient import build
from ngpipe.assembly.recording import Recording
from ngpipe.config.assembly.training import Training
from ngpipe.errors import StaleError

READ_BY = ("input", "input_mode", "target", "held_out", "held_out_as")
"""Keys of the training section by which the recording is read after training as well."""


def write(
    model: AssemblyGNN, cfg: Training, path: Path, *, key: str, recording: str | None = None
) -> None:
    """Write the model whole or not at all. The basis must be folded into W before.

    Args:
        model: the trained model.
        cfg: the training section of the config.
        path: the file.
        key: chain key of the training.
        recording: identity of the recording, as text.
    """
    state = {k: v for k, v in model.state_dict().items() if k != "basis"}
    about = {"key": key, "training": cfg.model_dump(mode="json"), "scales": asdict(model.scales)}
    if recording is not None:
        about["recording"] = recording
    parameter_file.write(path, state, about)


def read(path: Path, recording: Recording) -> AssemblyGNN:
    """Rebuild the model, on the device of the recording it was trained on.

    Raises:
        StoreError: the file is absent, truncated, or not a model of ngpipe.
        StaleError: it is of another number of neurons.
    """
    about, state = parameter_file.read(path, "model", "train")
    _check_size(state, recording.n_neurons, path)
    cfg = Training.model_validate(about["training"])
    model = build(recording, cfg, torch.Generator(), Scales(**about["scales"]))
    model.load_state_dict({**state, "basis": torch.eye(recording.n_neurons)})
    return model.to(recording.activity.device)


def read_beside(directory: Path, cfg: Training, device: torch.device) -> tuple[AssemblyGNN, Opened]:
    """The model and the recording beside it, if they belong together.

    Args:
        directory: holds both.
        cfg: the training section of today's config.
        device: where both go.

    Raises:
        StoreError: one of them is absent or cannot be used.
        StaleError: the model was trained on another recording, or to read it in another way;
            names what differs.
    """
    path, simulation = directory / "model.safetensors", directory / "simulation.zarr"
    about, state = parameter_file.read(path, "model", "train")
    now = cfg.model_dump(mode="json")
    for key in READ_BY:
        before = about["training"].get(key, now[key])
        if before != now[key]:
            raise StaleError(
                f"{path} was trained with training.{key}: {before}, but the config now says "
                f"{now[key]}; train again, or set it back"
            )
    found = recordings.opened(simulation, cfg, device)
    _check_size(state, found.recording.n_neurons, path)
    if "recording" in about:  # no older ngpipe says it, whose keys are others anyway
        survey.compare(json.loads(about["recording"]), found.identity, path, simulation)
    return read(path, found.recording), found


def _check_size(state: Mapping[str, Tensor], n_neurons: int, path: Path) -> None:
    learned = len(state["latent"])
    if learned != n_neurons:
        raise StaleError(
            f"{path} is a model of {learned} neurons, but the recording has {n_neurons}; train "
            "again on this recording, or put the other one back"
        )

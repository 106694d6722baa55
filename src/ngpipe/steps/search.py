"""Stimuli, given or searched, and the activity they cause -> ``stimuli.zarr``."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
import xarray as xr

from ngpipe import store
from ngpipe.artifacts import network_file
from ngpipe.artifacts.progress import progress
from ngpipe.artifacts.stimuli import input_of
from ngpipe.config.connectome.stimuli import Stimulus
from ngpipe.connectome.network import MultilayeredNetwork
from ngpipe.schemas import connectome as schemas
from ngpipe.wiring.container import Connectome

STEPS = {"units": "steps", "long_name": "time"}


def run(
    stimuli: Mapping[str, Stimulus], directory: Path, *, key: str, device: torch.device
) -> None:
    """Make or search every stimulus, and run the network on all of them.

    Args:
        stimuli: what is wanted, by name.
        directory: holds the network; the store goes there.
        key: chain key.
        device: where to compute.

    Raises:
        ConfigError: groups that do not exist, are not near the centre, or receive no input.
    """
    config = {name: stimulus.model_dump(mode="json") for name, stimulus in stimuli.items()}
    provenance = store.Provenance("search", key, config, device=str(device))
    connectome, _, network = network_file.read(directory, device)
    inputs = _inputs(stimuli, connectome, network)
    with torch.no_grad():
        layers = torch.stack(network.run(inputs)).permute(2, 1, 0)
    dataset = xr.Dataset(
        {
            "stimulus": (("run", "sensor", "time"), inputs.cpu().numpy()),
            "activity": (("run", "neuron", "layer"), layers.cpu().numpy()),
            "neuron_group": (("neuron",), np.array(network.groups.names)[network.groups.of_neuron]),
        },
        {
            "run": np.array(list(stimuli)),
            "sensor": network.sensory_indices.cpu().numpy(),
            "time": ("time", np.arange(network.num_layers), STEPS),
            "layer": np.arange(network.num_layers),
        },
    )
    store.write(dataset, directory / "stimuli.zarr", schemas.STIMULI, provenance)


def _inputs(
    stimuli: Mapping[str, Stimulus], connectome: Connectome, network: MultilayeredNetwork
) -> torch.Tensor:
    """Input of every stimulus to the sensors, of shape (run, sensor, time)."""
    made = []
    with progress(len(stimuli), "search", unit="input") as bar:
        for name, stimulus in stimuli.items():
            made.append(input_of(connectome, network, stimulus, name))
            bar.update()
    return torch.stack(made)

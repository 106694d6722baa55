"""Stimuli, given or searched, and the activity they cause -> ``stimuli.zarr``."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float
from torch import Tensor

from ngpipe import schemas, store
from ngpipe.config.stimuli import Pulse, Search, Stimulus
from ngpipe.connectome.network import MultilayeredNetwork
from ngpipe.connectome.objectives import Objective, activity
from ngpipe.connectome.penalties import Penalty, l1, smoothness
from ngpipe.connectome.search import find_stimuli
from ngpipe.steps import network_file
from ngpipe.steps.measures import members
from ngpipe.steps.pulses import pulse
from ngpipe.wiring.connectome import Connectome


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
    inputs = torch.stack([_input(connectome, network, s, n) for n, s in stimuli.items()])
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
            "time": np.arange(network.num_layers),
            "layer": np.arange(network.num_layers),
        },
    )
    store.write(dataset, directory / "stimuli.zarr", schemas.STIMULI, provenance)


def _input(
    connectome: Connectome, network: MultilayeredNetwork, cfg: Stimulus, name: str
) -> Float[Tensor, "sensor time"]:
    if isinstance(cfg, Pulse):
        return pulse(network, cfg, name)
    found = find_stimuli(
        network,
        _objective(connectome, network, cfg, name),
        penalty=_penalty(cfg),
        starts=cfg.starts,
        diversity=cfg.diversity,
        iterations=cfg.iterations,
        rate=cfg.learning_rate,
        synapse_noise=cfg.synapse_noise,
        generator=torch.Generator().manual_seed(cfg.seed),
    )
    return torch.from_numpy(found["best"].values[0]).to(network.w_values)


def _objective(
    connectome: Connectome, network: MultilayeredNetwork, cfg: Search, name: str
) -> Objective:
    """The weighted sum of what is to be driven."""
    parts = []
    for group, weight in cfg.drive.items():
        who = members(connectome, network, [group], cfg.columns, f"stimuli.{name}")
        parts.append(weight * activity(network, who, cfg.layers))
    return sum(parts)


def _penalty(cfg: Search) -> Penalty | None:
    parts = [(cfg.l1, l1()), (cfg.smoothness, smoothness())]
    wanted = [weight * penalty for weight, penalty in parts if weight]
    return sum(wanted) if wanted else None

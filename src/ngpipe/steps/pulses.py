"""Given input as an array: what a section `stimuli` says of groups, for the sensors."""

import torch
from jaxtyping import Float
from torch import Tensor

from ngpipe.config.stimuli import Pulse
from ngpipe.connectome.network import MultilayeredNetwork
from ngpipe.errors import ConfigError


def pulse(network: MultilayeredNetwork, cfg: Pulse, name: str) -> Float[Tensor, "sensor time"]:
    """Input of every sensor: the level of its group while the pulse lasts.

    Raises:
        ConfigError: a group without sensors.
    """
    group = [network.groups.names[k] for k in network.indices[network.sensory_indices].tolist()]
    absent = sorted(set(cfg.levels) - set(group))
    if absent:
        raise ConfigError(
            f"stimuli.{name}.levels: no sensor is of group {absent}; the sensors are of "
            f"{sorted(set(group))[:20]}; correct the name, or choose others in network.sensors"
        )
    level = torch.tensor([cfg.levels.get(g, 0.0) for g in group]).to(network.w_values)
    steps = torch.arange(network.num_layers, device=network.device)
    end = network.num_layers if cfg.steps is None else cfg.start + cfg.steps
    on = (steps >= cfg.start) & (steps < end)
    return level[:, None] * on

"""Stimuli as arrays: what a section `stimuli` says of groups, given or searched."""

import torch
from jaxtyping import Float
from torch import Tensor

from ngpipe.artifacts.readouts import members
from ngpipe.config.connectome.stimuli import Pulse, Search, Stimulus
from ngpipe.connectome.network import MultilayeredNetwork
from ngpipe.connectome.optimisation.objectives import Objective, activity
from ngpipe.connectome.optimisation.penalties import Penalty, l1, smoothness
from ngpipe.connectome.optimisation.search import find_stimuli
from ngpipe.errors import ConfigError
from ngpipe.wiring.container import Connectome


def input_of(
    connectome: Connectome, network: MultilayeredNetwork, cfg: Stimulus, name: str
) -> Float[Tensor, "sensor time"]:
    """Input of the sensors to a network: as given, or searched in it.

    Raises:
        ConfigError: groups that do not exist, are not near the centre, or receive no input.
    """
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
    return sum(parts, Objective(()))


def _penalty(cfg: Search) -> Penalty | None:
    parts = [(cfg.l1, l1()), (cfg.smoothness, smoothness())]
    wanted = [weight * penalty for weight, penalty in parts if weight]
    return sum(wanted, Penalty(())) if wanted else None


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

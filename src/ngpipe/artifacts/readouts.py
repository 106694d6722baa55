"""Readouts of an experiment as functions: which input, and which number of the activity."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float, Int
from torch import Tensor

from ngpipe.config.connectome.readouts import Readout
from ngpipe.connectome.network import MultilayeredNetwork
from ngpipe.connectome.optimisation.objectives import Objective, activity
from ngpipe.errors import ConfigError
from ngpipe.wiring.container import Connectome


@dataclass(frozen=True)
class ReadoutObjective:
    """A readout."""

    inputs: Float[Tensor, "1 sensor time"]
    objective: Objective


def readout_objectives(
    connectome: Connectome,
    network: MultilayeredNetwork,
    stimuli: xr.DataArray,
    readouts: Mapping[str, Readout],
) -> dict[str, ReadoutObjective]:
    """The readouts by name; ``stimuli`` are (run, sensor, time).

    Raises:
        ConfigError: groups that do not exist or are not near the centre.
    """
    found = {}
    for name, readout in readouts.items():
        who = members(connectome, network, readout.groups, readout.columns, f"readouts.{name}")
        inputs = torch.from_numpy(stimuli.sel(run=readout.stimulus).values)
        layers = range(network.num_layers) if readout.layers is None else readout.layers
        objective = activity(network, who, layers)
        found[name] = ReadoutObjective(inputs.to(network.w_values)[None], objective)
    return found


def members(
    connectome: Connectome,
    network: MultilayeredNetwork,
    groups: Iterable[str],
    columns: int | None,
    where: str,
) -> Int[np.ndarray, " member"]:
    """Indices of the neurons of some groups, near the centre of the lattice if so wanted.

    Args:
        connectome: the neurons, with columns ``u`` and ``v`` if these are asked for.
        network: knows the groups.
        groups: names.
        columns: radius around the centre; None: everywhere.
        where: place in the config, for messages.

    Raises:
        ConfigError: a group that does not exist, or of which nobody is near.
    """
    near = np.ones(len(connectome), dtype=bool)
    if columns is not None:
        u, v = (connectome.column(axis).to_numpy(float) for axis in "uv")
        near = np.abs([u, v, u + v]).max(axis=0) <= columns
    found = []
    for group in groups:
        whole = network.groups.members(group)
        if not len(whole):
            raise ConfigError(
                f"{where}: there is no group {group!r}; the groups are {network.groups.names[:20]}"
            )
        if not near[whole].any():
            raise ConfigError(
                f"{where}.columns: no neuron of {group} lies within {columns} columns of the "
                "centre; raise it"
            )
        found.append(whole[near[whole]])
    return np.concatenate(found)

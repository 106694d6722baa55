"""Readouts of an experiment as functions: which input, and which number of the activity."""

from collections.abc import Mapping
from dataclasses import dataclass

import torch
import xarray as xr
from jaxtyping import Float
from torch import Tensor

from ngpipe.config.readouts import Readout
from ngpipe.connectome.network import MultilayeredNetwork
from ngpipe.connectome.objectives import Objective, activity
from ngpipe.errors import ConfigError


@dataclass(frozen=True)
class Measure:
    """A readout."""

    inputs: Float[Tensor, "1 sensor time"]
    objective: Objective


def measures(
    network: MultilayeredNetwork, stimuli: xr.Dataset, readouts: Mapping[str, Readout]
) -> dict[str, Measure]:
    """The readouts by name.

    Raises:
        ConfigError: a group that does not exist.
    """
    found = {}
    for name, readout in readouts.items():
        absent = [group for group in readout.groups if group not in network.groups.names]
        if absent:
            raise ConfigError(
                f"readouts.{name}.groups: there is no group {absent}; the groups are "
                f"{network.groups.names[:20]}"
            )
        inputs = torch.from_numpy(stimuli["stimulus"].sel(run=readout.stimulus).values)
        layers = range(network.num_layers) if readout.layers is None else readout.layers
        objective = activity(network, list(readout.groups), layers)
        found[name] = Measure(inputs.to(network.w_values)[None], objective)
    return found

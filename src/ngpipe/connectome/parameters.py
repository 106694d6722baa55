"""Parameters of a network as a labelled table, and back."""

from collections.abc import Hashable, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
import xarray as xr
from torch import Tensor

from ngpipe.connectome.network import MultilayeredNetwork
from ngpipe.errors import ArgumentError

BY_GROUP = {
    "slope": ("slope", "slope of the response", "1"),
    "bias": ("raw_biases", "bias", "1"),
    "tau": ("tau_param", "time constant of the leak", "step"),
}
"""Name in tables: attribute, long name, units."""


def parameters_of(network: MultilayeredNetwork) -> xr.Dataset:
    """Parameters with names.

    Returns:
        ``slope``, ``bias`` and ``tau`` by ``group``; ``divisive_strength`` by ``divisive_group``
        (pre); ``strength`` by ``pair``, whose coordinates ``post`` and ``pre`` are names of groups.
        Only what the network has. ``table.strength.set_index(pair=["post", "pre"]).unstack()`` is
        a matrix.
    """
    data = xr.Dataset()
    if network.groups is None:
        return data
    names = name_array(network.groups.names)
    data = data.assign_coords(group=("group", names))
    for name, (attribute, long_name, units) in BY_GROUP.items():
        data[name] = _labelled(getattr(network, attribute), "group", long_name, units)
    if network.divisive_strength is not None:
        data = data.assign_coords(
            divisive_group=(
                "divisive_group",
                name_array(list(network.divisive_normalization or {})),
            )
        )
        data["divisive_strength"] = _labelled(
            network.divisive_strength, "divisive_group", "strength of divisive edges", "1"
        )
    pairs = network.pairs
    if network.strengths is not None and pairs is not None:
        long_name = "factor of the weights from group pre to group post"
        data["strength"] = _labelled(network.strengths, "pair", long_name, "1")
        data = data.assign_coords(post=("pair", names[pairs.post]), pre=("pair", names[pairs.pre]))
    return data


@torch.no_grad()
def set_parameters(network: MultilayeredNetwork, parameters: xr.Dataset) -> None:
    """Give a network the parameters of a table that :func:`parameters_of` a like one gave.

    Raises:
        ArgumentError: groups that differ.
    """
    own = parameters_of(network)
    if "strength" in parameters:
        network.add_strengths()
        own = parameters_of(network)
    for coordinate in ("group", "divisive_group", "post", "pre"):
        if coordinate in own.coords:
            _check_same(coordinate, own, parameters)
    for name, (attribute, _, _) in BY_GROUP.items():
        _copy(getattr(network, attribute), parameters[name])
    if network.divisive_strength is not None:
        _copy(network.divisive_strength, parameters["divisive_strength"])
    if "strength" in parameters:
        strength: Any = np.log(parameters["strength"])
        _copy(network.log_strengths, strength)


def _check_same(coordinate: str, own: xr.Dataset, given: xr.Dataset) -> None:
    if coordinate not in given.coords or not np.array_equal(own[coordinate], given[coordinate]):
        found = given[coordinate].values[:5].tolist() if coordinate in given.coords else None
        raise ArgumentError(
            f"the parameters have {coordinate} {found}, the network has "
            f"{own[coordinate].values[:5].tolist()}; build the network with the groups and weights "
            "that the parameters were fitted with"
        )


def _copy(parameter: Tensor, values: xr.DataArray) -> None:
    parameter.copy_(torch.from_numpy(np.array(values)))


def _labelled(values: Tensor, dim: str, long_name: str, units: str) -> xr.DataArray:
    array = values.detach().cpu().numpy().copy()
    return xr.DataArray(array, dims=dim, attrs={"long_name": long_name, "units": units})


def name_array(names: Sequence[Hashable]) -> np.ndarray:
    """Names of groups as an array, tuples as one name each."""
    array = pd.Index(names, tupleize_cols=False).to_numpy()
    return array.astype(str) if all(isinstance(name, str) for name in names) else array

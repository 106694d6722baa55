"""Names of the axes of what a network gives: neurons, sensors, layers, edges, and their groups."""

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np
import xarray as xr
from torch import Tensor

from ngpipe.connectome.groups import check_indices, neurons_of
from ngpipe.connectome.network import MultilayeredNetwork
from ngpipe.errors import ArgumentError

Coordinates = dict[str, Any]
Members = Mapping[Any, Any] | Iterable[Any]
"""``{name: neurons}``, or names of a network's groups and indices of single neurons."""

COUNTED = ("sample", "time", "layer")
"""Axes whose positions are their coordinates."""


def labelled(
    values: Tensor | np.ndarray, dims: tuple[str, ...], coords: Coordinates, long_name: str
) -> xr.DataArray:
    """An array with named axes; activity, inputs and what is made of them have the unit 1.

    Samples, layers and times are counted; coordinates of axes that the array lacks are left out.
    """
    array = values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)
    counted = {
        dim: np.arange(n) for dim, n in zip(dims, array.shape, strict=True) if dim in COUNTED
    }
    named = {name: at for name, at in coords.items() if _dim(name, at) in dims}
    attrs = {"long_name": long_name, "units": "1"}
    return xr.DataArray(array, dims=dims, coords=counted | named, attrs=attrs)


def sensor_coords(network: MultilayeredNetwork) -> Coordinates:
    """Position of each sensor, index and group of its neuron."""
    neurons = network.sensory_indices.cpu().numpy()
    coords: Coordinates = {"sensor": np.arange(len(neurons)), "neuron": ("sensor", neurons)}
    return coords | _group_coords(network, neurons, "sensor", "group")


def neuron_coords(network: MultilayeredNetwork) -> Coordinates:
    """Index and group of each neuron."""
    neurons = np.arange(network.n_neurons)
    return {"neuron": neurons} | _group_coords(network, neurons, "neuron", "group")


def edge_coords(network: MultilayeredNetwork) -> Coordinates:
    """Post and pre neuron, weight and groups of each edge of W, ordered by post, then pre."""
    post, pre = edges_of(network)
    coords: Coordinates = {
        "edge": np.arange(len(post)),
        "post": ("edge", post),
        "pre": ("edge", pre),
        "weight": ("edge", network.edge_values.detach().cpu().numpy()),
    }
    coords |= _group_coords(network, post, "edge", "post_group")
    return coords | _group_coords(network, pre, "edge", "pre_group")


def edges_of(network: MultilayeredNetwork) -> tuple[np.ndarray, np.ndarray]:
    """Post and pre neuron of each edge of W, in the order of ``w_values``."""
    rows = network.w_rows.cpu().numpy()
    post = np.repeat(np.arange(len(rows) - 1), np.diff(rows))
    return post, network.w_columns.cpu().numpy().astype(np.int64)


def members_of(network: MultilayeredNetwork, groups: Members | None) -> dict[Any, np.ndarray]:
    """Neurons by name of their group; default: all groups of the network.

    Raises:
        ArgumentError: no groups, one that is empty or unknown, neurons out of range.
    """
    if groups is None:
        if network.groups is None:
            raise ArgumentError("the network has no groups; name some: {name: neurons}")
        groups = network.groups.names
    n = network.n_neurons
    if isinstance(groups, Mapping):
        found = {
            name: np.unique(check_indices(neurons, n, f"group {name!r}: neuron"))
            for name, neurons in groups.items()
        }
    else:
        keys: list = [groups] if isinstance(groups, str) else list(groups)
        found = {key: neurons_of(key, network.groups, n, "groups:") for key in keys}
    empty = [name for name, neurons in found.items() if not neurons.size]
    if empty or not found:
        what = f"group {empty[0]!r} has no neurons" if empty else "groups are empty"
        raise ArgumentError(f"{what}; give each group at least one neuron")
    return found


def axis(names: Iterable[Any]) -> np.ndarray:
    """Names as a coordinate; those of several kinds stay what they are."""
    names = list(names)
    if len({type(name) for name in names}) == 1:
        return np.asarray(names)
    return np.array(names, dtype=object)


def _group_coords(
    network: MultilayeredNetwork, neurons: np.ndarray, dim: str, name: str
) -> Coordinates:
    if network.groups is None:
        return {}
    names = axis(network.groups.names)
    return {name: (dim, names[network.groups.of_neuron[neurons]])}


def _dim(name: str, at: Any) -> str:  # noqa: ANN401
    return at[0] if isinstance(at, tuple) else name

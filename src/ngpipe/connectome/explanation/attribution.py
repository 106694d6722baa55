"""Attribution to inputs and neurons: gradients of chosen activities."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ngpipe.connectome.dataframes import get_neuron_activation, sample_names
from ngpipe.connectome.groups import check_indices, neurons_of
from ngpipe.connectome.network import MultilayeredNetwork
from ngpipe.connectome.step import State
from ngpipe.errors import ArgumentError

METHODS = ("vanilla", "input_x_gradient")


def saliency(
    model: MultilayeredNetwork,
    input_tensor: Any,  # noqa: ANN401
    neurons_of_interest: Mapping[int, Iterable[Any]],
    method: str = "vanilla",
    normalize: bool = False,
    device: torch.device | str | None = None,
) -> Tensor:
    r"""Gradient of the summed activities of chosen neurons by the input.

    .. math:: G_{bs}(t) = \frac{\partial}{\partial u_{bs}(t)} \sum_{(l, n)} x_{bn}^{(l)}

    Args:
        model: the network.
        input_tensor: ``(sensor, time)`` or ``(batch, sensor, time)``.
        neurons_of_interest: ``{layer: [neuron or group]}``.
        method: ``vanilla``: G; ``input_x_gradient``: G times the input.
        normalize: divide each sample by its largest magnitude; if the preset is not ``mended``,
            by its largest value, if that is positive.
        device: where to put the result; default: where the network is.

    Returns:
        A tensor of the input's shape, without graph.

    Raises:
        ArgumentError: an unknown method, no neurons, neurons or layers that do not exist.
    """
    if method not in METHODS:
        raise ArgumentError(f"Unknown saliency method: {method!r}, expected one of {METHODS}")
    neurons = _by_layer(model, neurons_of_interest)
    batch, single = model.as_inputs(input_tensor)
    u = batch.detach().clone().requires_grad_(True)
    signal = _summed(model.run(u), neurons)
    maps = gradients(signal, [u])[0]
    if method == "input_x_gradient":
        maps = maps * u.detach()
    if normalize:
        maps = _normalised(maps, model.rules.mended)
    maps = maps[0] if single else maps
    return maps if device is None else maps.to(device)


def get_gradients(  # noqa: PLR0913 (the arguments of existing scripts)
    model: MultilayeredNetwork,
    input_tensor: Any,  # noqa: ANN401
    monitor_neurons: Iterable[Any],
    target_neurons: Mapping[int, Iterable[Any]],
    monitor_layers: Sequence[int] | None = None,
    method: str = "vanilla",
    batch_names: Sequence[str] | None = None,
    device: torch.device | str | None = None,
    checkpoint_steps: int | None = None,
    normalize_per_layer: bool = False,
    *,
    times_activation: bool = False,
    normalize: bool = False,
) -> pd.DataFrame:
    r"""Gradient of target neurons by the activity of any neuron in any layer.

    .. math::
        G_{bm}(l) = \frac{1}{T} \sum_{t}
            \frac{\partial x_{b n_t}^{(l_t)}}{\partial x_{bm}^{(l)}}

    Only the head of connectome_interpreter has this function. With ``preset="mended"`` each sample
    has a gradient of its own, and groups have the mean of their members. With the others it is as
    in the head: divided by the size of the batch, and summed over the members.

    Args:
        model: the network.
        input_tensor: ``(sensor, time)`` or ``(batch, sensor, time)``.
        monitor_neurons: neurons or groups whose influence is asked for.
        target_neurons: ``{layer: [neuron or group]}``.
        monitor_layers: layers of the monitored neurons; default: all.
        method: ``vanilla``: G; ``input_x_gradient``: G times the activity of the monitored neuron.
        batch_names: names of the samples; default batch_0, batch_1 ...
        device: ignored; the network's device is used.
        checkpoint_steps: see :meth:`MultilayeredNetwork.forward`.
        normalize_per_layer: divide each layer's gradients by their norm over the monitored neurons
            (head: over all neurons and samples).
        times_activation: an earlier way to say ``method="input_x_gradient"``.
        normalize: an earlier name of ``normalize_per_layer``.

    Returns:
        Columns batch_name, group and one time_l a layer, for groups or, without groups, single
        neurons. Head: group comes first, and rows are sorted by it.

    Raises:
        ArgumentError: an unknown method, no neurons, or neurons or layers that do not exist.
    """
    if method not in METHODS:
        raise ArgumentError(f"method is {method!r}, expected one of {METHODS}")
    times_activation = times_activation or method == "input_x_gradient"
    normalize = normalize or normalize_per_layer
    targets = _by_layer(model, target_neurons)
    monitored = _monitored(model, monitor_neurons)
    shown = range(model.num_layers) if monitor_layers is None else monitor_layers
    shown = check_indices(shown, model.num_layers, "monitor_layers").tolist()
    batch, _ = model.as_inputs(input_tensor)
    u = batch.detach().clone().requires_grad_(True)
    layers = model.run(u, checkpoint_steps=checkpoint_steps)
    signal = _summed(layers, targets) / sum(len(neurons) for neurons in targets.values())
    found = gradients(signal, [layers[layer] for layer in shown])
    activity = [layers[layer].detach() for layer in shown] if times_activation else None
    make = _own_table if model.rules.mended else _table_of_head
    table = make(model, found, activity, monitored, normalize)
    names = sample_names(batch_names, len(batch))
    table["batch_name"] = [names[k] for k in table["batch_name"]]
    return table.rename(columns={f"time_{k}": f"time_{layer}" for k, layer in enumerate(shown)})


def _own_table(
    model: MultilayeredNetwork,
    found: Sequence[State],
    activity: Sequence[State] | None,
    monitored: np.ndarray,
    normalize: bool,
) -> pd.DataFrame:
    """Means of groups, each sample on its own."""
    if activity is not None:
        found = [g * x for g, x in zip(found, activity, strict=True)]
    influence = _of(monitored, found)
    if normalize:
        norm = torch.linalg.vector_norm(influence, dim=1, keepdim=True)
        influence = torch.where(norm > 0, influence / norm, influence)
    return _means(model, influence, monitored)


def _table_of_head(
    model: MultilayeredNetwork,
    found: Sequence[State],
    activity: Sequence[State] | None,
    monitored: np.ndarray,
    normalize: bool,
) -> pd.DataFrame:
    """Sums over the members of groups, of gradients of the mean over samples."""
    found = [g / g.shape[1] for g in found]
    if normalize:
        found = [g / (torch.linalg.vector_norm(g) + 1e-12) for g in found]
    if activity is not None:
        found = [g * x for g, x in zip(found, activity, strict=True)]
    table = _means(model, _of(monitored, found) * _members(model, monitored), monitored)
    columns = ["group", "batch_name", *table.columns.drop(["group", "batch_name"])]
    return table.sort_values(["group", "batch_name"], ignore_index=True)[columns]


def _of(monitored: np.ndarray, layers: Sequence[State]) -> Tensor:
    """Values of monitored neurons, ``(batch, neuron, layer)``."""
    rows = torch.from_numpy(monitored).to(layers[0].device)
    return torch.stack([x[rows] for x in layers]).permute(2, 1, 0)


def _members(model: MultilayeredNetwork, monitored: np.ndarray) -> Tensor | float:
    """Number of monitored neurons in each neuron's group, ``(neuron, 1)``; without groups 1."""
    if model.groups is None:
        return 1.0
    group = model.groups.of_neuron[monitored]
    return torch.from_numpy(np.bincount(group)[group][:, None]).to(model.w_values)


def _means(model: MultilayeredNetwork, values: Tensor, monitored: np.ndarray) -> pd.DataFrame:
    """Means of groups, or single neurons, with numbers of samples."""
    names = monitored.tolist()
    if model.groups is not None:
        names = [model.groups.names[model.groups.of_neuron[neuron]] for neuron in names]
    group = dict(enumerate(names))
    samples = range(len(values))
    return get_neuron_activation(values.cpu().numpy(), list(group), samples, group)


def _monitored(model: MultilayeredNetwork, keys: Iterable[Any]) -> np.ndarray:
    found = [_neurons(model, key, "monitor_neurons:") for key in _listed(keys)]
    if not found:
        raise ArgumentError("monitor_neurons are empty; name at least one neuron or group")
    return np.unique(np.concatenate(found))


def _by_layer(
    model: MultilayeredNetwork, wanted: Mapping[int, Iterable[Any]]
) -> dict[int, np.ndarray]:
    """Neurons by layer; one that is named twice counts twice."""
    result = {}
    for layer, keys in wanted.items():
        check_indices([layer], model.num_layers, "neurons of interest: layer")
        found = [_neurons(model, key, "neurons of interest:") for key in _listed(keys)]
        if found:
            result[int(layer)] = np.concatenate(found)
    if not result:
        raise ArgumentError("neurons of interest are empty; give {layer: [neuron, ...]}")
    return result


def _neurons(model: MultilayeredNetwork, key: Any, name: str) -> np.ndarray:  # noqa: ANN401
    return neurons_of(key, model.groups, model.n_neurons, name)


def _listed(keys: Iterable[Any]) -> list:
    if isinstance(keys, Tensor | np.ndarray):
        return keys.tolist()
    return [keys] if isinstance(keys, str) else list(keys)


def _summed(layers: Sequence[State], neurons: Mapping[int, np.ndarray]) -> Tensor:
    device = layers[0].device
    parts = [
        layers[layer][torch.from_numpy(rows).to(device)].sum() for layer, rows in neurons.items()
    ]
    return torch.stack(parts).sum()


def gradients(signal: Tensor, by: Sequence[Tensor]) -> list[Tensor]:
    """Gradients of a number by tensors, 0 where there is no path."""
    if not signal.requires_grad:
        return [torch.zeros_like(x) for x in by]
    found = torch.autograd.grad(signal, list(by), allow_unused=True)
    return [torch.zeros_like(x) if g is None else g for x, g in zip(by, found, strict=True)]


def _normalised(maps: Tensor, by_magnitude: bool) -> Tensor:
    scale = (maps.abs() if by_magnitude else maps).amax(dim=(1, 2), keepdim=True)
    return torch.where(scale > 0, maps / scale, maps)

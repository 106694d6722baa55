r"""Loss of an objective when neurons are clamped, or inputs are masked.

.. math:: \mathrm{loss}_g = F - F_{\text{without } g}

Positive: the group supports the objective; negative: it opposes it. Unlike a gradient this is a
finite change, through thresholds and saturation.
"""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
import torch
import xarray as xr
from torch import Tensor

from ngpipe.connectome import labels
from ngpipe.connectome.explanation.copies import Objective, pieces, repeated, states, values
from ngpipe.connectome.groups import check_indices
from ngpipe.connectome.network import MultilayeredNetwork
from ngpipe.connectome.schedule import Change, Changes, Entries
from ngpipe.errors import ArgumentError


def ablation(  # noqa: PLR0913 (a call that names all it depends on)
    network: MultilayeredNetwork,
    inputs: Any,  # noqa: ANN401
    objective: Objective,
    groups: labels.Members | None = None,
    *,
    hold: Any = "silence",  # noqa: ANN401
    layers: Iterable[int] | None = None,
    pairs: bool = False,
    chunk: int | None = None,
) -> xr.DataArray:
    """Loss of the objective when the neurons of a group are clamped.

    Silenced in all layers, a group is as good as cut off: its outgoing edges carry nothing, and
    its input does not arrive.

    Args:
        network: the network.
        inputs: ``(sensor, time)`` or ``(sample, sensor, time)``.
        objective: one number a sample.
        groups: ``{name: neurons}``, or a list of groups of the network and of neurons; default:
            all groups of the network.
        hold: ``silence``: at 0. ``mean``: each neuron at its mean over the samples, in each layer.
            Other inputs, ``(sensor, time)`` or ``(sample, sensor, time)``: at the mean over what
            the neuron does under these.
        layers: hold only in these; default: in all, and in the state of the input of time 0.
        pairs: hold two groups at a time; the diagonal has single groups.
        chunk: groups that are run at once; default: as many as fit into some memory.

    Returns:
        (sample, group), or (sample, group, partner) with pairs.

    Raises:
        ArgumentError: an unknown or empty group, neurons or layers out of range, an unknown way to
            hold, inputs or an objective of the wrong shape.
        DivergenceError: an objective that is not finite.
    """
    batch, _ = network.as_inputs(inputs)
    members = labels.members_of(network, groups)
    reference = _reference(network, hold, batch)
    at = _layers(network, layers)
    first, second = np.triu_indices(len(members)) if pairs else (np.arange(len(members)),) * 2
    held = list(members.values())
    lesions = [np.union1d(held[a], held[b]) for a, b in zip(first, second, strict=True)]

    def without(piece: range) -> Tensor:
        held = _changes([lesions[k] for k in piece], at, reference, len(batch))
        layers = network.run(repeated(batch, len(piece)), held)
        return values(objective, layers, len(batch))

    loss = _losses(network, batch, objective, without, len(lesions), chunk)
    names = labels.axis(list(members))
    if not pairs:
        return _labelled(loss, ("sample", "group"), {"group": names})
    square = np.empty((len(batch), len(members), len(members)), dtype=loss.dtype)
    square[:, first, second] = square[:, second, first] = loss
    return _labelled(square, ("sample", "group", "partner"), {"group": names, "partner": names})


def occlusion(
    network: MultilayeredNetwork,
    inputs: Any,  # noqa: ANN401
    objective: Objective,
    groups: labels.Members | None = None,
    *,
    windows: Sequence[tuple[int, int]] | None = None,
    fill: Any = 0.0,  # noqa: ANN401
    chunk: int | None = None,
) -> xr.DataArray:
    """Loss of the objective when the input of a group is masked for some time.

    Args:
        network: the network.
        inputs: ``(sensor, time)`` or ``(sample, sensor, time)``.
        objective: one number a sample.
        groups: as :func:`ablation`, of which the sensory neurons count; default: all groups of the
            network that have some.
        windows: times hidden, start and stop, stop not included [steps]; default: all.
        fill: input shown instead, a number or ``(sensor, time)`` [1].
        chunk: variants that are run at once.

    Returns:
        (sample, group, window), with coordinates ``start`` and ``stop`` of the windows.

    Raises:
        ArgumentError: a group without sensory neurons, a window that is empty or out of range, a
            fill of another shape, inputs or an objective of the wrong shape.
        DivergenceError: an objective that is not finite.
    """
    batch, _ = network.as_inputs(inputs)
    sensors = _sensors(network, groups)
    times = _windows(windows, batch.shape[2])
    shown = _filled(fill, batch)
    hidden = [(where, time) for where in sensors.values() for time in times]

    def without(piece: range) -> Tensor:
        u = repeated(batch, len(piece)).unflatten(0, (len(piece), -1))
        for copy, k in zip(u, piece, strict=True):
            where, (start, stop) = hidden[k]
            copy[:, where, start:stop] = shown[where, start:stop]
        return values(objective, network.run(u.flatten(0, 1)), len(batch))

    loss = _losses(network, batch, objective, without, len(hidden), chunk)
    start, stop = np.array(times).T
    coords: labels.Coordinates = {
        "group": labels.axis(list(sensors)),
        "window": np.arange(len(times)),
    }
    coords |= {"start": ("window", start), "stop": ("window", stop)}
    loss = loss.reshape(len(batch), len(sensors), len(times))
    return _labelled(loss, ("sample", "group", "window"), coords)


def _losses(
    network: MultilayeredNetwork,
    batch: Tensor,
    objective: Objective,
    without: Callable[[range], Tensor],
    n: int,
    chunk: int | None,
) -> np.ndarray:
    """Losses ``(sample, variant)`` of n variants, of which ``without`` runs some."""
    with torch.no_grad():
        intact = values(objective, network.run(batch), len(batch))
        losses = [intact - without(piece) for piece in pieces(n, network, len(batch), chunk)]
    return torch.cat(losses).T.cpu().numpy()


def _labelled(loss: np.ndarray, dims: tuple[str, ...], coords: dict) -> xr.DataArray:
    return labels.labelled(loss, dims, coords, "loss of the objective").rename("loss")


def _reference(network: MultilayeredNetwork, hold: Any, batch: Tensor) -> list[Tensor]:  # noqa: ANN401
    """Activity at which neurons are held, ``(neuron,)``, before the first step and by layer."""
    if not isinstance(hold, str):
        batch, _ = network.as_inputs(hold)
    elif hold == "silence":
        return [batch.new_zeros(network.n_neurons)] * (network.num_layers + 1)
    elif hold != "mean":
        raise ArgumentError(f"hold is {hold!r}, expected 'silence', 'mean' or inputs")
    return [x.mean(1) for x in states(network, batch)]


def _layers(network: MultilayeredNetwork, layers: Iterable[int] | None) -> list[int]:
    if layers is None:
        return list(range(-1, network.num_layers))
    found = check_indices(list(layers), network.num_layers, "layers").tolist()
    if not found:
        raise ArgumentError("layers are empty; name at least one, or None for all")
    return found


def _changes(
    lesions: Sequence[np.ndarray], layers: Sequence[int], reference: Sequence[Tensor], samples: int
) -> Changes:
    """Neurons of variants held side by side, each in all samples."""
    device = reference[0].device
    neurons = torch.from_numpy(np.concatenate([np.repeat(who, samples) for who in lesions]))
    columns = torch.cat(
        [torch.arange(samples).repeat(len(who)) + k * samples for k, who in enumerate(lesions)]
    )
    neurons, columns = neurons.to(device), columns.to(device)
    return {
        layer: Change(None, Entries(neurons, columns, reference[layer + 1][neurons]))
        for layer in layers
    }


def _sensors(network: MultilayeredNetwork, groups: labels.Members | None) -> dict[Any, Tensor]:
    """Positions of the sensors of each group."""
    neurons = network.sensory_indices.cpu().numpy()
    members = labels.members_of(network, groups)
    found = {name: np.flatnonzero(np.isin(neurons, who)) for name, who in members.items()}
    without = [name for name, where in found.items() if not where.size]
    if without and groups is not None:
        raise ArgumentError(
            f"group {without[0]!r} has no sensory neurons, so it has no input to hide; leave it "
            "out, or use ablation"
        )
    device = network.device
    return {name: torch.from_numpy(at).to(device) for name, at in found.items() if at.size}


def _windows(windows: Sequence[tuple[int, int]] | None, times: int) -> list[tuple[int, int]]:
    found = [(0, times)] if windows is None else [(int(a), int(b)) for a, b in windows]
    bad = [window for window in found if not 0 <= window[0] < window[1] <= times]
    if bad or not found:
        raise ArgumentError(
            f"windows has {bad[0] if bad else 'no window'}, expected (start, stop) with 0 <= start "
            f"< stop <= {times}"
        )
    return found


def _filled(fill: Any, batch: Tensor) -> Tensor:  # noqa: ANN401
    shown = torch.as_tensor(fill, dtype=batch.dtype, device=batch.device)
    if shown.ndim and shown.shape != batch.shape[1:]:
        raise ArgumentError(
            f"fill has shape {tuple(shown.shape)}, expected a number or (sensor, time) = "
            f"{tuple(batch.shape[1:])}"
        )
    return shown.expand(batch.shape[1:])

r"""Attribution to edges: what each connection contributes to an objective.

.. math::
    A_{ij} = W_{ij} \frac{\partial F}{\partial W_{ij}}
        = W_{ij} \sum_l \delta_i^{(l)} x_j^{(l-1)},
    \qquad \delta_i^{(l)} = \frac{\partial F}{\partial (W x^{(l-1)})_i}

where x(-1) is the input of time 0. Only edges that exist are computed; no N x N array is formed.
Edges that act divisively are not part of W here: they shape the result and get no attribution.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
import xarray as xr
from scipy import sparse
from torch import Tensor

from ngpipe.connectome import labels
from ngpipe.connectome.checks import check_kind
from ngpipe.connectome.chords import Chords
from ngpipe.connectome.explanation.attribution import gradients
from ngpipe.connectome.explanation.copies import Objective, pieces, repeated, values
from ngpipe.connectome.explanation.integrated import passed_on
from ngpipe.connectome.groups import check_count
from ngpipe.connectome.network import MultilayeredNetwork
from ngpipe.connectome.step import State
from ngpipe.errors import ArgumentError


def edge_attribution(
    network: MultilayeredNetwork,
    inputs: Any,  # noqa: ANN401
    objective: Objective,
    *,
    by_layer: bool = False,
) -> xr.Dataset:
    """Derivative of the objective by every weight, times the weight; see the module.

    Args:
        network: the network.
        inputs: ``(sensor, time)`` or ``(sample, sensor, time)``.
        objective: one number a sample.
        by_layer: keep apart the layers that edges lead to.

    Returns:
        ``attribution`` (sample, edge) or (sample, layer, edge); ``objective`` (sample). Edges have
        coordinates ``post``, ``pre``, ``weight``, and ``post_group``, ``pre_group`` where known.

    Raises:
        ArgumentError: inputs or an objective of the wrong shape.
        DivergenceError: an objective that is not finite.
    """
    batch, _ = network.as_inputs(inputs)
    sent, received = [], []

    def note(incoming: State, x: State) -> State:
        sent.append(x.detach())
        received.append(incoming)
        return incoming

    layers = network.run(batch.detach().clone().requires_grad_(True), drive=note)
    reached = values(objective, layers, len(batch))[0]
    total = _Edges(network, len(batch), by_layer)
    total.add(gradients(reached.sum(), received), sent)
    return _dataset(network, total, {"objective": (reached, "objective")})


def integrated_edge_attribution(
    network: MultilayeredNetwork,
    inputs: Any,  # noqa: ANN401
    objective: Objective,
    *,
    steps: int = 64,
    by_layer: bool = False,
    chunk: int | None = None,
) -> xr.Dataset:
    r"""Contribution of every edge as all weights grow from 0 to W.

    .. math::
        A_{ij} = W_{ij} \int_0^1 \frac{\partial F}{\partial W_{ij}}(s W)\, ds,
        \qquad \sum_{ij} A_{ij} = F(W) - F(0)

    by slopes of chords over ``steps`` equal pieces, so that the sum holds through thresholds, see
    :mod:`ngpipe.connectome.explanation.integrated`.

    Args:
        network: the network.
        inputs: ``(sensor, time)`` or ``(sample, sensor, time)``.
        objective: one number a sample.
        steps: pieces of the path.
        by_layer: keep apart the layers that edges lead to.
        chunk: steps that are run at once; default: as many as fit into some memory.

    Returns:
        As :func:`edge_attribution`, with ``delta`` (sample), the sum of attributions minus the
        difference of the objectives, and ``baseline_objective`` (sample), that of a network
        without these edges.

    Raises:
        ArgumentError: no steps, inputs or an objective of the wrong shape.
        DivergenceError: an objective that is not finite.
    """
    steps = check_count("steps", steps, 1)
    batch, _ = network.as_inputs(inputs)
    total = _Edges(network, len(batch), by_layer, steps)
    for piece in pieces(steps, network, len(batch), chunk):
        for received, sent in _growing(network, batch, objective, piece, steps):
            total.add(received, sent)
    with torch.no_grad():
        reached = values(objective, network.run(batch), len(batch))[0]
        alone = network.run(batch, drive=lambda incoming, x: torch.zeros_like(incoming))
        without = values(objective, alone, len(batch))[0]
    delta = total.attribution().double().sum((0, 1)) - (reached - without).double()
    of_samples = {
        "delta": (delta, "sum of attributions minus change of the objective"),
        "objective": (reached, "objective"),
        "baseline_objective": (without, "objective without these edges"),
    }
    return _dataset(network, total, of_samples)


def edges_by_group(
    attribution: xr.DataArray, groups: Mapping[Any, Any] | None = None
) -> xr.DataArray:
    """Attributions of edges summed by the groups that they connect.

    Args:
        attribution: with a dim ``edge``, from :func:`edge_attribution`.
        groups: ``{name: neurons}``; default: the groups of the network. Edges from or to neurons
            in no group are left out.

    Returns:
        ``(..., post, pre)``, in the order of the groups.

    Raises:
        ArgumentError: no groups, or a neuron in two of them.
    """
    names, post, pre = _ends(attribution, groups)
    n, inside = len(names), np.flatnonzero((post >= 0) & (pre >= 0))
    pair = post[inside] * n + pre[inside]
    shape = (attribution.sizes["edge"], n * n)
    sums = sparse.csr_array((np.ones(len(pair)), (inside, pair)), shape=shape)
    values = attribution.transpose(..., "edge")
    leading = math.prod(values.shape[:-1])  # no edges leave no size to be inferred
    flat = values.to_numpy().reshape(leading, shape[0]) @ sums
    dims = (*values.dims[:-1], "post", "pre")
    kept = {name: at for name, at in values.coords.items() if "edge" not in at.dims}
    array = flat.reshape(*values.shape[:-1], n, n).astype(values.dtype)
    coords = kept | {"post": names, "pre": names}
    return xr.DataArray(array, coords, dims, "attribution", values.attrs)


class _Edges:
    """Sums over layers, and means over steps, of what edges received times what they were sent."""

    def __init__(
        self, network: MultilayeredNetwork, samples: int, by_layer: bool, steps: int = 1
    ) -> None:
        self.weights, self.by_layer, self.steps = network.edge_values.detach(), by_layer, steps
        ends = (torch.from_numpy(at).to(network.device) for at in labels.edges_of(network))
        self.post, self.pre = ends
        layers = network.num_layers if by_layer else 1
        self.total = self.weights.new_zeros(layers, len(self.weights), samples)

    def add(self, received: Sequence[Tensor], sent: Sequence[Tensor]) -> None:
        """Gradients by the drives, and the states before them, ``(neuron, sample)`` by layer."""
        for layer, (gradient, x) in enumerate(zip(received, sent, strict=True)):
            into = self.total[layer if self.by_layer else 0]
            into.addcmul_(gradient[self.post], x[self.pre])

    def attribution(self) -> Tensor:
        """``(layer, edge, sample)``, of one layer if they are not kept apart."""
        return self.total * self.weights[:, None] / self.steps


def _growing(
    network: MultilayeredNetwork, batch: Tensor, objective: Objective, piece: range, steps: int
) -> Iterator[tuple[list[Tensor], list[Tensor]]]:
    """Yield, for each chord, slopes of F by the drives and mean states before them."""
    chords, samples, n = Chords(len(batch)), len(batch), len(piece)
    scale = torch.arange(piece.start, piece.stop + 1).to(batch) / steps
    scale = scale.repeat_interleave(samples)
    sent, received = [], []

    def grow(incoming: State, x: State) -> State:
        sent.append(chords.mean(x.detach()))
        received.append(chords.product(scale.expand_as(incoming), incoming))
        return received[-1]

    u = repeated(batch.detach(), n + 1).requires_grad_(True)
    layers = network.run(u, surrogate=chords, drive=grow)
    slopes = gradients(passed_on(objective, layers, chords), received)
    for k in range(n):
        columns = slice(k * samples, (k + 1) * samples)
        yield [slope[:, columns] for slope in slopes], [x[:, columns] for x in sent]


def _ends(
    attribution: xr.DataArray, groups: Mapping[Any, Any] | None
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Names of groups, and the number of the group at either end of each edge, or -1."""
    if groups is None:
        if "post_group" not in attribution.coords:
            raise ArgumentError("the network of these edges has no groups; give {name: neurons}")
        post, pre = (attribution[f"{end}_group"].to_numpy() for end in ("post", "pre"))
        names = np.unique(np.concatenate([post, pre]))
        return names, np.searchsorted(names, post), np.searchsorted(names, pre)
    number: dict[Any, int] = {}
    for k, (name, neurons) in enumerate(groups.items()):
        for neuron in np.atleast_1d(neurons).tolist():
            if number.setdefault(neuron, k) != k:
                raise ArgumentError(f"neuron {neuron} is in {name!r} and another group; choose one")
    check_kind(number, attribution["post"].to_numpy(), "groups")
    post, pre = (
        np.array([number.get(neuron, -1) for neuron in attribution[end].to_numpy().tolist()])
        for end in ("post", "pre")
    )
    return labels.axis(list(groups)), post, pre


def _dataset(
    network: MultilayeredNetwork, total: _Edges, of_samples: dict[str, tuple[Tensor, str]]
) -> xr.Dataset:
    array = total.attribution().permute(2, 0, 1)
    dims: tuple[str, ...] = ("sample", "layer", "edge")
    if not total.by_layer:
        array, dims = array[:, 0], ("sample", "edge")
    made = {
        name: labels.labelled(value, ("sample",), {}, long_name)
        for name, (value, long_name) in of_samples.items()
    }
    coords = labels.edge_coords(network)
    made["attribution"] = labels.labelled(array, dims, coords, "contribution to the objective")
    return xr.Dataset(made)

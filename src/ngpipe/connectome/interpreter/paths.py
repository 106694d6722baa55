"""Tables of active paths, layer by layer.

A row is a connection between two groups in one layer: layer 1 leads from the input of time 0 to the
first output, layer l from output l - 1 to output l. Groups appear by name, as strings.
"""

from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from ngpipe.connectome.checks import check_columns
from ngpipe.connectome.dataframes import as_array, as_list
from ngpipe.connectome.groups import check_indices
from ngpipe.connectome.weights import inprop_csr
from ngpipe.errors import ArgumentError

COLUMNS = ["pre", "post", "weight", "layer", "pre_activation", "post_activation"]


@dataclass(frozen=True)
class Side:
    """Neurons on one side of a connection, by group."""

    names: list[Hashable]
    group: np.ndarray
    """Group of each neuron, -1: none; ``(neuron,)``."""

    def mean(self, neurons: np.ndarray, values: np.ndarray, threshold: float) -> np.ndarray:
        """Mean of each group over its neurons with a value of at least the threshold, else NaN.

        A threshold of 0 or less keeps every neuron.
        """
        group = self.group[neurons]
        kept = group >= 0
        if threshold > 0:
            kept &= values >= threshold
        count = np.bincount(group[kept], minlength=len(self.names))
        total = np.bincount(group[kept], values[kept], minlength=len(self.names))
        return np.divide(total, count, out=np.full(len(count), np.nan), where=count > 0)


def activations_to_df(  # noqa: PLR0913 (the signature of existing scripts)
    inprop: Any,  # noqa: ANN401
    model_input: Any,  # noqa: ANN401
    out: Any,  # noqa: ANN401
    sensory_indices: Any,  # noqa: ANN401
    inidx_mapping: Mapping[Any, Any] | None = None,
    outidx_mapping: Mapping[Any, Any] | None = None,
    activation_threshold: float = 0.0,
    connectivity_threshold: float = 0.0,
    high_ram: bool = True,
) -> pd.DataFrame:
    r"""Connections between active groups, by layer.

    The weight between two groups is what a post neuron receives on average,

    .. math:: \frac{1}{|P|} \sum_{i \in P} \sum_{j \in Q} w_{ji},

    over all neurons of the groups; activity is the mean over neurons above the threshold.

    Args:
        inprop: weights ``[pre, post]``; negative ones are kept, or a connectome.
        model_input: ``(sensor, time)``; its first time step is used.
        out: ``(neuron, time)``, the activity of all neurons.
        sensory_indices: the sensory neurons, in the order of the rows of ``model_input``.
        inidx_mapping: group of each neuron as pre; default: every neuron on its own.
        outidx_mapping: group of each neuron as post; default: as pre.
        activation_threshold: leave out neurons below it; 0: none.
        connectivity_threshold: leave out weights of smaller magnitude.
        high_ram: ignored; weights of groups are computed once, sparsely.

    Returns:
        Columns pre, post, weight, layer, pre_activation, post_activation.

    Raises:
        ArgumentError: arrays that do not fit, or no connection between active groups.
    """
    table = _Tracer(inprop, sensory_indices, inidx_mapping, outidx_mapping).trace(
        as_array(model_input), as_array(out), activation_threshold, connectivity_threshold
    )
    return _not_empty(table, activation_threshold, connectivity_threshold)


def activations_to_df_batched(  # noqa: PLR0913 (the signature of existing scripts)
    inprop: Any,  # noqa: ANN401
    opt_in: Any,  # noqa: ANN401
    out: Any,  # noqa: ANN401
    sensory_indices: Any,  # noqa: ANN401
    inidx_mapping: Mapping[Any, Any] | None = None,
    outidx_mapping: Mapping[Any, Any] | None = None,
    activation_threshold: float = 0.0,
    connectivity_threshold: float = 0.0,
    high_ram: bool = True,
) -> pd.DataFrame:
    """The same for ``(batch, sensor, time)`` and ``(batch, neuron, time)``, with a column batch.

    Samples without connections have no rows.

    Raises:
        ArgumentError: as :func:`activations_to_df`; no connection in any sample.
    """
    inputs, outputs = as_array(opt_in), as_array(out)
    if inputs.ndim != 3 or outputs.ndim != 3 or len(inputs) != len(outputs):
        raise ArgumentError(
            f"opt_in has shape {inputs.shape} and out {outputs.shape}, expected "
            "(batch, sensor, time) and (batch, neuron, time); without batch axis use "
            "activations_to_df"
        )
    tracer = _Tracer(inprop, sensory_indices, inidx_mapping, outidx_mapping)
    tables = [
        tracer.trace(u, x, activation_threshold, connectivity_threshold).assign(batch=sample)
        for sample, (u, x) in enumerate(zip(inputs, outputs, strict=True))
    ]
    whole = pd.concat([table for table in tables if len(table)] or tables[:1], ignore_index=True)
    return _not_empty(whole, activation_threshold, connectivity_threshold)


def get_activations_for_path(
    path: pd.DataFrame,
    activations: Any,  # noqa: ANN401
    model_in: Any = None,  # noqa: ANN401
    sensory_indices: Any = None,  # noqa: ANN401
    idx_to_group: Mapping[Any, Any] | None = None,
    activation_start: int = 0,
) -> pd.DataFrame:
    """Mean activities of the groups at both ends of given connections.

    Args:
        path: columns pre, post, layer; it is not changed.
        activations: ``(neuron, time)``.
        model_in: ``(sensor, time)``; its first time step is the activity before layer 1.
        sensory_indices: the sensory neurons, in the order of its rows.
        idx_to_group: group of each neuron, as in ``path``; default: every neuron on its own.
        activation_start: what is added to ``path.layer`` to find the layer of the network.

    Returns:
        ``path`` with pre_activation and post_activation, sorted by layer. Before layer 1 the mean
        is over the sensory members of a group; NaN if it has none.

    Raises:
        ArgumentError: an unknown group, a layer out of range, layer 1 without model_in.
    """
    check_columns(path, ["pre", "post", "layer"], "path: DataFrame")
    values = as_array(activations)
    side = _side(idx_to_group, len(values))
    number = {str(name): k for k, name in enumerate(side.names)}
    _refuse_unknown(path, number)
    layer = path["layer"].to_numpy() + activation_start
    check_indices(layer - 1, values.shape[1], "path: layer - 1 + activation_start")
    before = np.full(len(side.names), np.nan)
    if (layer == 1).any():
        if model_in is None or sensory_indices is None:
            raise ArgumentError(
                "path has layer 1, whose activity before it is the input: give model_in and "
                "sensory_indices, or activation_start >= 1"
            )
        before = _sensory_means(side, as_array(model_in), as_list(sensory_indices), 0.0)
    everyone = np.arange(len(values))
    means = [before] + [side.mean(everyone, column, 0.0) for column in values.T]
    table = np.stack(means)
    ends = {
        "pre_activation": table[layer - 1, [number[str(name)] for name in path["pre"]]],
        "post_activation": table[layer, [number[str(name)] for name in path["post"]]],
    }
    return path.assign(**ends).sort_values("layer", kind="stable")


def activated_path_for_ngl(path: pd.DataFrame) -> pd.DataFrame:
    """Neurons of a path with their activity, for neuroglancer.

    Args:
        path: columns pre, post, layer, pre_activation, post_activation.

    Returns:
        Columns neuron_id, layer, activation, each neuron once a layer: pre neurons in the layer of
        their connection, post neurons in the next.

    Raises:
        ArgumentError: missing columns.
    """
    check_columns(path, [name for name in COLUMNS if name != "weight"], "path: DataFrame")
    ends = [
        pd.DataFrame(
            {
                "neuron_id": path[end],
                "layer": path["layer"] + shift,
                "activation": path[f"{end}_activation"],
            }
        )
        for end, shift in (("pre", 0), ("post", 1))
    ]
    whole = pd.concat(ends).drop_duplicates(["neuron_id", "layer"])
    return whole.sort_values("layer", kind="stable", ignore_index=True)


class _Tracer:
    """Weights between groups, computed once for any number of samples."""

    def __init__(
        self,
        inprop: Any,  # noqa: ANN401
        sensory_indices: Any,  # noqa: ANN401
        pre_mapping: Mapping[Any, Any] | None,
        post_mapping: Mapping[Any, Any] | None,
    ) -> None:
        matrix = inprop_csr(inprop)
        self.n = matrix.shape[0]
        self.sensors = as_list(sensory_indices)
        check_indices(self.sensors, self.n, "sensory_indices")
        self.pre = _side(pre_mapping, self.n)
        self.post = self.pre if post_mapping is None else _side(post_mapping, self.n)
        sends, receives = _indicator(self.pre), _indicator(self.post)
        members = np.maximum(receives.sum(axis=0), 1)
        between = sparse.coo_array((sends.T @ matrix.astype(np.float64) @ receives) / members)
        self.sender, self.receiver, self.weight = between.row, between.col, between.data

    def trace(
        self, inputs: np.ndarray, out: np.ndarray, active: float, connected: float
    ) -> pd.DataFrame:
        """Connections between active groups in every layer of one sample."""
        if out.ndim != 2 or len(out) != self.n:
            raise ArgumentError(f"out has shape {out.shape}, expected (neuron {self.n}, time)")
        strong = (np.abs(self.weight) >= connected) & (self.weight != 0)
        sender, receiver = self.sender[strong], self.receiver[strong]
        everyone = np.arange(self.n)
        before = _sensory_means(self.pre, inputs, self.sensors, active)
        tables = []
        for layer, column in enumerate(out.T, start=1):
            after = self.post.mean(everyone, column, active)
            rows = ~np.isnan(before[sender]) & ~np.isnan(after[receiver])
            tables.append(
                pd.DataFrame(
                    {
                        "pre": [str(self.pre.names[k]) for k in sender[rows]],
                        "post": [str(self.post.names[k]) for k in receiver[rows]],
                        "weight": self.weight[strong][rows],
                        "layer": layer,
                        "pre_activation": before[sender[rows]],
                        "post_activation": after[receiver[rows]],
                    }
                )
            )
            before = self.pre.mean(everyone, column, active)
        filled = [table for table in tables if len(table)]
        return pd.concat(filled, ignore_index=True) if filled else pd.DataFrame(columns=COLUMNS)


def _indicator(side: Side) -> sparse.csr_array:
    """``(neuron, group)``, 1 where a neuron belongs to a group."""
    neurons = np.flatnonzero(side.group >= 0)
    shape = (len(side.group), len(side.names))
    return sparse.csr_array((np.ones(len(neurons)), (neurons, side.group[neurons])), shape=shape)


def _side(mapping: Mapping[Any, Any] | None, n: int) -> Side:
    if mapping is None:
        return Side(list(range(n)), np.arange(n))
    check_indices(list(mapping), n, "mapping: neuron")
    names = list(dict.fromkeys(mapping.values()))
    number = {name: k for k, name in enumerate(names)}
    group = np.full(n, -1)
    for idx, name in mapping.items():
        group[int(idx)] = number[name]
    return Side(names, group)


def _sensory_means(side: Side, inputs: np.ndarray, sensors: list, threshold: float) -> np.ndarray:
    if inputs.ndim != 2 or len(inputs) != len(sensors):
        raise ArgumentError(
            f"the input has shape {inputs.shape}, expected (sensor {len(sensors)}, time), rows in "
            "the order of sensory_indices"
        )
    neurons = check_indices(sensors, len(side.group), "sensory_indices")
    return side.mean(neurons, inputs[:, 0], threshold)


def _refuse_unknown(path: pd.DataFrame, number: Mapping[str, int]) -> None:
    used = pd.concat([path["pre"], path["post"]]).map(str)
    unknown = [name for name in used.unique() if name not in number]
    if unknown:
        raise ArgumentError(
            f"path has {unknown[:5]}, which idx_to_group does not have among its "
            f"{len(number)} groups; correct the names or give another idx_to_group"
        )


def _not_empty(table: pd.DataFrame, active: float, connected: float) -> pd.DataFrame:
    if table.empty:
        raise ArgumentError(
            f"no path found: no connection of magnitude >= {connected} between neurons active at "
            f">= {active}; lower activation_threshold or connectivity_threshold"
        )
    return table

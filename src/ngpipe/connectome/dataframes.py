"""Tables in and out: inputs from tables, activities of groups, columns and sensors as tables.

Rows of inputs are in the order of ``sensory_indices``, whatever that order is. No function changes
the tables it is given.
"""

from collections.abc import Iterable, Mapping, Sequence
from numbers import Integral
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse
from torch import Tensor

from ngpipe.connectome.checks import check_kind
from ngpipe.connectome.groups import check_indices
from ngpipe.connectome.weights import inprop_csr
from ngpipe.errors import ArgumentError, ArgumentTypeError


def input_from_df(
    df: pd.DataFrame,
    sensory_indices: Any,  # noqa: ANN401
    idx_to_group: Mapping[Any, Any],
    num_layers: int,
    timepoints: Any = 0,  # noqa: ANN401
    dtype: Any = np.float32,  # noqa: ANN401
) -> np.ndarray:
    """Inputs of a network from activities of groups.

    Args:
        df: groups in the rows, samples in the columns; of a group given twice the last holds.
        sensory_indices: neurons that receive input.
        idx_to_group: group of each sensory neuron; groups not in ``df`` get 0.
        num_layers: time steps.
        timepoints: when the input is there, one time step or several.
        dtype: of the result.

    Returns:
        ``(batch, sensor, time)``.

    Raises:
        ArgumentError: a sensory neuron without group, a time step out of range; no sensory neuron
            has a group of ``df``, or groups are text there and numbers in ``idx_to_group``.
    """
    sensors = as_list(sensory_indices)
    check_kind(idx_to_group, sensors, "idx_to_group")
    missing = [idx for idx in sensors if idx not in idx_to_group]
    if missing:
        raise ArgumentError(f"idx_to_group has no group for sensory neuron {missing[0]}; add it")
    times = [timepoints] if isinstance(timepoints, Integral) else as_list(timepoints)
    at = check_indices(times, num_layers, "timepoints")
    groups = [idx_to_group[idx] for idx in sensors]
    _check_groups(df, groups)
    rows = df[~df.index.duplicated(keep="last")].reindex(groups, fill_value=0)
    values = rows.to_numpy(dtype=dtype).T
    inputs = np.zeros((df.shape[1], len(sensors), num_layers), dtype=dtype)
    inputs[:, :, at] = values[:, :, None]
    return inputs


def _check_groups(df: pd.DataFrame, groups: list) -> None:
    """Refuse a table of which nothing would be input."""
    if len(df) and groups and not set(df.index) & set(groups):
        raise ArgumentError(
            f"df has the groups {df.index[:5].tolist()}, and no sensory neuron is in one of them; "
            f"idx_to_group has {list(dict.fromkeys(groups))[:5]}, give these in the index of df"
        )


def get_neuron_activation(
    activations: Any,  # noqa: ANN401
    neuron_indices: Any,  # noqa: ANN401
    batch_names: Sequence[Any] | None = None,
    idx_to_group: Mapping[Any, Any] | None = None,
) -> pd.DataFrame:
    """Mean activity of groups over time.

    Args:
        activations: ``(neuron, time)`` or ``(batch, neuron, time)``.
        neuron_indices: neurons to show, each counted once.
        batch_names: names of the samples; default batch_0, batch_1 ...
        idx_to_group: group of each neuron; default: every neuron on its own.

    Returns:
        Columns group, time_0, time_1 ...; with a batch axis batch_name before them. Samples are in
        their own order, groups sorted.

    Raises:
        ArgumentError: another shape or number of names, neurons out of range or without group.
    """
    values = as_array(activations)
    if values.ndim not in (2, 3):
        raise ArgumentError(
            f"activations have shape {values.shape}, expected (neuron, time) or "
            "(batch, neuron, time)"
        )
    neurons = np.unique(check_indices(neuron_indices, values.shape[-2], "neuron_indices"))
    groups = _groups(neurons.tolist(), idx_to_group, "neuron_indices")
    if values.ndim == 2:
        return _means(values[neurons], {"group": groups})
    names = sample_names(batch_names, len(values))
    labels = {
        "batch_name": np.repeat(np.arange(len(values)), len(neurons)),
        "group": groups * len(values),
    }
    table = _means(values[:, neurons].reshape(-1, values.shape[2]), labels)
    return table.assign(batch_name=[names[k] for k in table["batch_name"]])


def get_input_activation(
    model_in: Any,  # noqa: ANN401
    sensory_indices: Any,  # noqa: ANN401
    idx_to_group: Mapping[Any, Any],
    selected_indices: Any = None,  # noqa: ANN401
    activation_threshold: float = 0.0,
    batch_names: Sequence[Any] | None = None,
) -> pd.DataFrame:
    """Mean input of groups of sensory neurons over time.

    Args:
        model_in: ``(sensor, time)`` or ``(batch, sensor, time)``.
        sensory_indices: the sensory neurons, in the order of the rows.
        idx_to_group: group of each.
        selected_indices: sensory neurons to show; default: all.
        activation_threshold: leave out neurons whose input never has this magnitude.
        batch_names: names of the samples; default batch_0, batch_1 ...

    Returns:
        Columns group, time_0, time_1 ...; with a batch axis batch_name before them.

    Raises:
        ArgumentError: another shape, a selected neuron that is not sensory, one without group.
    """
    values, sensors = as_array(model_in), as_list(sensory_indices)
    if values.ndim not in (2, 3) or values.shape[-2] != len(sensors):
        raise ArgumentError(
            f"Expected input shape (num_neurons={len(sensors)}, num_timepoints), perhaps after a "
            f"batch axis, got {values.shape}"
        )
    chosen = np.ones(len(sensors), dtype=bool)
    if selected_indices is not None:
        chosen = np.isin(sensors, _among(as_list(selected_indices), sensors))
    groups = np.array(_groups(sensors, idx_to_group, "sensory_indices"), dtype=object)
    batched = values if values.ndim == 3 else values[None]
    names = sample_names(batch_names, len(batched))
    parts = []
    for name, sample in zip(names, batched, strict=True):
        rows = chosen & (np.abs(sample) >= activation_threshold).any(axis=1)
        part = _means(sample[rows], {"group": groups[rows].tolist()})
        if values.ndim == 3:
            part.insert(0, "batch_name", name)
        parts.append(part)
    return pd.concat(parts, ignore_index=True)


def add_sign(inprop: Any, idx_to_sign: Mapping[Any, Any]) -> sparse.coo_matrix:  # noqa: ANN401
    """Signed weights ``[post, pre]`` of weights ``[pre, post]`` and the neurons' signs.

    Outputs w of a neuron with sign -1 become -abs(w); any other sign, or none, leaves them.

    Args:
        inprop: weights, pre in the rows, or a connectome.
        idx_to_sign: sign of each neuron.

    Raises:
        ArgumentError: a sign of a neuron that does not exist, or that is text.
    """
    coo = inprop_csr(inprop).tocoo()
    neurons = check_indices(list(idx_to_sign), coo.shape[0], "idx_to_sign: key")
    text = [sign for sign in idx_to_sign.values() if isinstance(sign, str)]
    if text:
        raise ArgumentError(
            f"idx_to_sign has {text[0]!r} as a sign, expected numbers: -1 for neurons that inhibit"
        )
    negative = np.zeros(coo.shape[0], dtype=bool)
    negative[neurons[[sign == -1 for sign in idx_to_sign.values()]]] = True
    data = np.where(negative[coo.row], -np.abs(coo.data), coo.data)
    return sparse.coo_matrix((data, (coo.col, coo.row)), shape=coo.shape)


def activity_by_column(
    activity: Any,  # noqa: ANN401
    idx_to_group: Mapping[Any, Any],
    idx_to_column: Mapping[Any, Any],
    selected_group: Iterable[Any],
    model_input: Any = None,  # noqa: ANN401
    sensory_indices: Any = None,  # noqa: ANN401
) -> pd.DataFrame:
    """Mean activity by column (of a retinotopic map, of the central complex) and group.

    Args:
        activity: ``(neuron, time)``.
        idx_to_group: group of each neuron.
        idx_to_column: column of each neuron, a number.
        selected_group: groups to show.
        model_input: ``(sensor, time)``; its first time step is shown as time step 0.
        sensory_indices: the sensory neurons, in the order of its rows.

    Returns:
        Columns normalised_column (over the group's largest; 0 if that is 0), cell_group,
        time_point, activation, time_step; sorted by time step, group and column.

    Raises:
        ArgumentError: one of model_input and sensory_indices without the other, a group without
            neurons.
    """
    if (model_input is None) != (sensory_indices is None):
        raise ArgumentError(
            "model_input and sensory_indices belong together; give both, or none of them"
        )
    sensors = [] if sensory_indices is None else as_list(sensory_indices)
    check_indices(list(idx_to_group), len(as_array(activity)), "idx_to_group: key")
    parts = []
    for group in [selected_group] if isinstance(selected_group, str) else selected_group:
        members = [idx for idx, name in idx_to_group.items() if name == group]
        if not members:
            raise ArgumentError(f"selected_group {group!r} has no neurons in idx_to_group")
        table = get_neuron_activation(activity, members, idx_to_group=idx_to_column)
        parts.append(_by_column(table, group, first_step=1))
        driven = [idx for idx in sensors if idx in set(members)]
        if driven:
            table = get_input_activation(model_input, sensors, idx_to_column, driven)
            parts.append(_by_column(table[["group", "time_0"]], group, first_step=0))
    whole = pd.concat(parts, ignore_index=True)
    keys = ["time_step", "cell_group", "normalised_column"]
    return whole.sort_values(keys, kind="stable", ignore_index=True)


def _by_column(table: pd.DataFrame, group: Any, first_step: int) -> pd.DataFrame:  # noqa: ANN401
    column = pd.to_numeric(table["group"], errors="coerce").to_numpy(dtype=np.float64)
    if np.isnan(column).any():
        raise ArgumentTypeError(
            f"idx_to_column of group {group!r} has {table['group'].tolist()[:5]}, expected numbers"
        )
    largest = column.max()
    table = table.assign(group=column / largest if largest else column, cell_group=group)
    long = table.rename(columns={"group": "normalised_column"}).melt(
        ["normalised_column", "cell_group"], var_name="time_point", value_name="activation"
    )
    step = long["time_point"].str.removeprefix("time_").astype(int) + first_step
    return long.assign(time_step=step)


def as_array(values: Any) -> np.ndarray:  # noqa: ANN401
    """A tensor or array as a numpy array."""
    return values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)


def as_list(values: Any) -> list:  # noqa: ANN401
    """Indices or names as a list in the order given; a set is sorted."""
    if isinstance(values, Tensor | np.ndarray | pd.Series | pd.Index):
        return values.tolist()
    return sorted(values) if isinstance(values, set | frozenset) else list(values)


def _means(values: np.ndarray, labels: Mapping[str, Any]) -> pd.DataFrame:
    columns = [f"time_{k}" for k in range(values.shape[1])]
    table = pd.DataFrame(values, columns=columns)
    for position, (name, label) in enumerate(labels.items()):
        table.insert(position, name, label)
    return table.groupby(list(labels), sort=True).mean().reset_index()


def _groups(neurons: list, idx_to_group: Mapping[Any, Any] | None, what: str) -> list:
    if idx_to_group is None:
        return neurons
    check_kind(idx_to_group, neurons, f"{what}: the mapping")
    missing = [idx for idx in neurons if idx not in idx_to_group]
    if missing:
        raise ArgumentError(f"{what}: neuron {missing[0]} has no entry in the mapping; add it")
    return [idx_to_group[idx] for idx in neurons]


def sample_names(names: Sequence[Any] | None, n: int) -> list:
    """Names of n samples, by default batch_0, batch_1 ...

    Raises:
        ArgumentError: another number of them.
    """
    names = [f"batch_{k}" for k in range(n)] if names is None else as_list(names)
    if len(names) != n:
        raise ArgumentError(f"batch_names has {len(names)} names for {n} samples; give {n}")
    return names


def _among(chosen: list, sensors: list) -> list:
    missing = [idx for idx in chosen if idx not in set(sensors)]
    if missing:
        raise ArgumentError(
            f"selected_indices has neuron {missing[0]}, which is not among sensory_indices"
        )
    return chosen

"""Parts to build a network from: buffers, parameters of groups, device, dtype, a response of one's
own.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from scipy import sparse
from torch import Tensor, nn

from ngpipe.connectome.drive import sensory_indices
from ngpipe.connectome.groups import Divisive, Groups, cut_divisive
from ngpipe.connectome.rules import Rules
from ngpipe.connectome.weights import csr_buffers, digest
from ngpipe.errors import ArgumentError, DeviceError

PARTS = (
    "w_rows",
    "w_columns",
    "w_values",
    "sensory_indices",
    "indices",
    "divisive_post",
    "divisive_pre",
    "divnorm_weights",
    "divisive_parameter",
)
"""Buffers that make up the connectome, for its digest."""


def connectome_buffers(
    matrix: sparse.csr_array,
    sensors: Any,  # noqa: ANN401
    groups: Groups | None,
    divisive: Divisive | None,
    rules: Rules,
    dtype: torch.dtype,
) -> dict[str, Tensor]:
    """Arrays that are not trained, by name: W, divisive edges, sensors, groups.

    Raises:
        ArgumentError: sensory neurons or divisive edges that do not fit W.
    """
    neurons, last = sensory_indices(sensors, matrix.shape[0], rules)
    arrays = {"sensory_indices": neurons, "last_sensory": last}
    if divisive is not None:
        matrix, edges = cut_divisive(matrix, groups, divisive)
        arrays["divisive_post"], arrays["divisive_pre"] = edges.post, edges.pre
        arrays["divnorm_weights"] = edges.weight
        arrays["divisive_parameter"] = edges.parameter
    if groups is not None:
        arrays["indices"] = groups.of_neuron
    buffers = csr_buffers(matrix, dtype)
    for name, array in arrays.items():
        tensor = torch.from_numpy(np.ascontiguousarray(array))
        buffers[name] = tensor.to(dtype) if tensor.is_floating_point() else tensor
    return buffers


def connectome_digest(buffers: Mapping[str, Tensor], groups: Groups | None) -> Tensor:
    """Digest of the connectome in the buffers of a network, 32 bytes."""
    names = [] if groups is None else [repr(name) for name in groups.names]
    return digest({name: buffers[name] for name in PARTS if name in buffers}, names)


def group_parameter(
    groups: Groups | None,
    values: Mapping | None,
    default: float,
    name: str,
    *,
    rules: Rules,
    like: Tensor,
) -> nn.Parameter | None:
    """One value a group as a parameter that is not trained yet; None without groups.

    Raises:
        ArgumentError: values without groups, or of a group that does not exist, if the rules are
            strict.
    """
    if groups is None:
        if values:
            problem = f"{name} gives values by group, but idx_to_group was not given"
            rules.doubt(problem, "they are ignored", "give it")
        return None
    filled = groups.fill(values or {}, default, name, rules)
    if name == "bias_dict" and not rules.signed_biases and (filled < 0).any():
        least = int(filled.argmin())
        rules.doubt(
            f"the bias of group {groups.names[least]!r} is {filled[least]:g}",
            f"it is taken for {-filled[least]:g}",
            "preset='mended' keeps signs",
        )
    return parameter(filled, like)


def parameter(values: np.ndarray, like: Tensor) -> nn.Parameter:
    """A parameter that is not trained yet, in the dtype and on the device of another tensor."""
    return nn.Parameter(torch.as_tensor(values).to(like), requires_grad=False)


def custom_response(network: Any) -> Callable | None:  # noqa: ANN401 (of Parts, which imports this)
    """A response of one's own as a function of W x and x."""
    function = network.custom_activation_function
    if function is None:
        return None
    if takes_network(function):
        return lambda incoming, x: function(network, incoming, x)
    return lambda incoming, x: function(incoming)


def check_constants(network: Any, names: Sequence[str]) -> None:  # noqa: ANN401
    """Refuse constants that are not finite, and a leak faster than a step.

    A response of one's own may take tau for something else.

    Raises:
        ArgumentError: naming the constant.
    """
    for name in names:
        if not np.isfinite(getattr(network, name)):
            raise ArgumentError(f"{name} is {getattr(network, name)}, expected a finite number")
    if network.tau < 1 and network.custom_activation_function is None:
        raise ArgumentError(f"tau is {network.tau}, expected at least 1 step; 1 is no leak")


def takes_network(function: Callable) -> bool:
    """True if a response is a function of (network, W x, x), False if of W x alone."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except ValueError:
        return False
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    required = [p for p in parameters if p.kind in positional and p.default is p.empty]
    return len(required) >= 2


def dtype_of(weights: Any) -> torch.dtype:  # noqa: ANN401
    """Precision of floating tensors; float32 of all else."""
    floating = isinstance(weights, Tensor) and weights.is_floating_point()
    return weights.dtype if floating else torch.float32


def device_of(device: torch.device | str | None) -> torch.device:
    """The device asked for; by default CUDA if there is one.

    Raises:
        DeviceError: CUDA was asked for and is absent.
    """
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    device = torch.device(device)
    if device.type == "cuda" and not torch.cuda.is_available():
        raise DeviceError(f"device {device} was requested, but torch finds no CUDA; use 'cpu'")
    return device

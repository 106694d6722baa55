"""What a network is built from: its device, its dtype, a response of the user's own."""

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ngpipe.errors import DeviceError


def takes_network(function: Callable) -> bool:
    """Whether a response is a function of (network, W x, x) or of W x alone."""
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
        raise DeviceError(f"device {device} was asked for, but torch finds no CUDA; use 'cpu'")
    return device

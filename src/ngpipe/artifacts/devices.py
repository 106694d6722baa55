"""Devices to compute on, by name."""

import torch

from ngpipe.errors import DeviceError


def device_called(name: str | torch.device, option: str = "--device") -> torch.device:
    """The device asked for.

    Args:
        name: ``auto`` (a GPU if there is one), ``cpu``, ``cuda`` or ``cuda:N``.
        option: where it was asked for, for errors.

    Raises:
        DeviceError: the device is unknown or absent.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise DeviceError(f"{option} {name}: expected auto, cpu, cuda or cuda:N") from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise DeviceError(
            f"{option} {name}: this machine has {torch.cuda.device_count()} CUDA devices that "
            f"torch can use; use {option} cpu, or install a CUDA build of torch"
        )
    if device.type not in ("cpu", "cuda"):
        raise DeviceError(f"{option} {name}: expected auto, cpu, cuda or cuda:N")
    return device

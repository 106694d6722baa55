"""Open what training may see of a simulation or recording; nothing of the truth is touched."""

from pathlib import Path

import torch

from ngpipe import store
from ngpipe.assembly.recording import Recording
from ngpipe.config.training import Training
from ngpipe.errors import DeviceError, StoreError


def load(simulation: Path, cfg: Training, device: torch.device) -> Recording:
    """Read activity and, if it is the target, the exact drift into memory.

    Raises:
        StoreError: no drift is stored though ``training.target`` asks for it, or no interval.
        DeviceError: the recording does not fit the device.
    """
    dataset = store.read(simulation, store.SIMULATION)
    if "dt" not in dataset.attrs:
        raise StoreError(
            f"{simulation} does not say its sampling interval; set the store's attribute `dt` [tau]"
        )
    names = ["activity"]
    if cfg.target == "drift":
        if "drift" not in dataset:
            raise StoreError(
                f"{simulation} holds no exact drift, as is usual for recordings; set "
                "training.target: finite_difference"
            )
        names.append("drift")
    try:
        arrays = {
            n: torch.from_numpy(dataset[n].values.astype("float32", copy=False)).to(device)
            for n in names
        }
    except torch.OutOfMemoryError as error:
        gigabytes = sum(dataset[n].nbytes for n in names) / 1e9
        raise DeviceError(
            f"{simulation} needs {gigabytes:.1f} GB on {device}, which has less free; use "
            "--device cpu, or a recording of fewer frames"
        ) from error
    return Recording(
        arrays["activity"], arrays.get("drift"), dt=dataset.attrs["dt"], held_out=cfg.held_out
    )

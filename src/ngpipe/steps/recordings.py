"""Open what training may see of a simulation or recording; nothing of the truth is touched."""

from pathlib import Path

import numpy as np
import torch
import xarray as xr
from jaxtyping import Int
from torch import Tensor

from ngpipe import schemas, store
from ngpipe.arrays import Trajectory
from ngpipe.assembly.field import Sites
from ngpipe.assembly.recording import KnownInput, Recording
from ngpipe.config.training import Training
from ngpipe.errors import DeviceError, StoreError


class Stored:
    """A variable over time that stays on disk; frames are read when they are asked for.

    Reading holds one chunk of the store beside the frames asked for.

    Args:
        variable: over time and neurons.
        device: where frames go.
    """

    def __init__(self, variable: xr.DataArray, device: torch.device) -> None:
        self._variable = variable
        self._length = variable.encoding["chunks"][0]
        self.shape, self.device = variable.shape, device

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, frames: slice | Int[Tensor, " frame"]) -> Trajectory:
        """Some frames."""
        if isinstance(frames, slice):
            return self._on_device(self._variable[frames].values)
        wanted = frames.cpu().numpy()
        found = np.empty((len(wanted), self.shape[1]), dtype=np.float32)
        chunk = wanted // self._length
        for k in np.unique(chunk):
            mine = chunk == k
            start = k * self._length
            block = self._variable[start : start + self._length].values
            found[mine] = block[wanted[mine] - start]
        return self._on_device(found)

    def _on_device(self, values: np.ndarray) -> Tensor:
        return torch.from_numpy(values.astype("float32", copy=False)).to(self.device)


def load(
    simulation: Path, cfg: Training, device: torch.device, *, in_memory: bool = False
) -> Recording:
    """Open activity and, if it is the target, the exact drift.

    Args:
        simulation: the store.
        cfg: the training section of the config.
        device: where frames go.
        in_memory: read all frames now, for a reader that wants them over and over at random.

    Raises:
        StoreError: no drift is stored though ``training.target`` asks for it, or no interval.
        DeviceError: the recording does not fit the device.
    """
    dataset = store.read(simulation, schemas.SIMULATION)
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
    arrays = {name: Stored(dataset[name], device) for name in names}
    try:
        if in_memory:
            arrays = {name: array[:] for name, array in arrays.items()}
    except torch.OutOfMemoryError as error:
        gigabytes = sum(dataset[n].nbytes for n in names) / 1e9
        raise DeviceError(
            f"{simulation} needs {gigabytes:.1f} GB on {device}, which has less free; use "
            "--device cpu, or a recording of fewer frames"
        ) from error
    return Recording(
        arrays["activity"],
        arrays.get("drift"),
        dt=dataset.attrs["dt"],
        held_out=cfg.held_out,
        in_blocks=cfg.held_out_as == "blocks",
        sites=_sites(dataset, simulation, device) if cfg.input == "field" else None,
        known_input=_known(dataset, simulation, cfg, device) if cfg.input == "known" else None,
    )


def _sites(dataset: xr.Dataset, path: Path, device: torch.device) -> Sites:
    """Who is driven, and where they sit."""
    missing = [name for name in ("driven", "position") if name not in dataset]
    if missing:
        raise StoreError(
            f"{path} does not hold {' and '.join(missing)}, without which there is no field "
            "to learn; add them, or set training.input: none"
        )
    driven = np.flatnonzero(store.values(dataset, "driven", schemas.SIMULATION, where=path))
    position = dataset["position"].values[driven]
    outside = driven[~((position >= 0) & (position <= 1)).all(axis=1)]
    if len(driven) == 0:
        raise StoreError(f"{path}: `driven` names no neuron; set training.input: none")
    if len(outside):
        raise StoreError(
            f"{path} puts {len(outside)} driven neurons outside the unit square, the first of them "
            f"number {outside[0]}; rescale `position` so that driven neurons lie in [0, 1] x [0, 1]"
        )
    return Sites(
        torch.from_numpy(driven),
        torch.from_numpy(position.astype("float32")),
        dataset.sizes["neuron"],
    ).to(device)


def _known(dataset: xr.Dataset, path: Path, cfg: Training, device: torch.device) -> KnownInput:
    """The input that is given to the model."""
    missing = [name for name in ("external_input", "input_frame") if name not in dataset]
    if missing:
        raise StoreError(
            f"{path} does not hold {' and '.join(missing)}, so the input cannot be given to the "
            "model; add them, or set training.input to field or none"
        )
    table, shown = (
        store.values(dataset, name, schemas.SIMULATION, where=path)
        for name in ("external_input", "input_frame")
    )
    return KnownInput(
        torch.from_numpy(table.astype("float32")).to(device),
        torch.from_numpy(shown.astype("float64")).to(device),
        dt=dataset.attrs["dt"],
        mode=cfg.input_mode,
    )

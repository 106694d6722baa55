"""``model.safetensors`` and ``simulation.zarr`` (activity alone) -> ``recovery.zarr``."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch
import xarray as xr

from ngpipe import schemas, store
from ngpipe.assembly.readout import read_out
from ngpipe.config.recovery import Recovery
from ngpipe.config.training import Training
from ngpipe.steps import model_file
from ngpipe.steps.progress import say


def run(
    cfg: Recovery,
    training: Training,
    directory: Path,
    *,
    key: str,
    device: torch.device,
) -> None:
    """Read a trained model out, without the truth.

    Args:
        cfg: what is read out, and how.
        training: how the model was trained.
        directory: holds recording and model; the store goes there.
        key: chain key.
        device: where to compute.
    """
    provenance = store.Provenance("recover", key, cfg.model_dump(), str(device))
    model, found = model_file.read_beside(directory, training, device)
    dataset = found.labelled(read_out(model, found.recording, cfg))
    told = _types(dataset, store.read_csv(directory / "training.csv"))
    say(f"recovery: {told}")
    notes = {**found.notes(), "types": told}
    store.write(
        dataset, directory / "recovery.zarr", schemas.RECOVERY, replace(provenance, notes=notes)
    )


def _types(recovery: xr.Dataset, training: pd.DataFrame) -> str:
    """What is to be said of the types: their number, or why it cannot be told."""
    n, told = recovery.attrs["n_types"], recovery.attrs["types_told"]
    if told != "yes":
        return f"{n} groups of neurons by their phi*; whether they are types cannot be told: {told}"
    found = training.get("types", pd.Series(dtype=float)).dropna()
    if found.empty or int(found.iloc[-1]) == n:
        return f"{n} types" if n > 1 else "one type"
    return (
        f"{f'{n} types' if n > 1 else 'one type'} by the phi* of the trained networks, but the "
        f"closed form told {int(found.iloc[-1])} apart before the networks were fitted to it; the "
        "number of types cannot be told for certain: compare both with recovery.n_types"
    )

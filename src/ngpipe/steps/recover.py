"""``model.safetensors`` and ``simulation.zarr`` (activity alone) -> ``recovery.zarr``."""

from dataclasses import replace
from pathlib import Path

import pandas as pd
import torch
import xarray as xr

from ngpipe import store
from ngpipe.artifacts import model_file
from ngpipe.artifacts.progress import say
from ngpipe.assembly.readout import read_out
from ngpipe.config.assembly.recovery import Recovery
from ngpipe.config.assembly.training import Training
from ngpipe.schemas import assembly as schemas


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
    training_log = store.read_csv(directory / "training.csv")
    dataset.attrs["types_told"] = _told(dataset, training_log)
    told = _types(dataset)
    say(f"recovery: {told}")
    notes = {**found.notes(), "types": told}
    store.write(
        dataset, directory / "recovery.zarr", schemas.RECOVERY, replace(provenance, notes=notes)
    )


def _told(recovery: xr.Dataset, training: pd.DataFrame) -> str:
    """Verdict on the groups of neurons as types: not if the closed form found another number."""
    told = recovery.attrs["types_told"]
    found = training.get("types", pd.Series(dtype=float)).dropna()
    if told != "yes" or found.empty or int(found.iloc[-1]) == recovery.attrs["n_types"]:
        return told
    return (
        f"no: the closed form distinguished {int(found.iloc[-1])} types before the networks were "
        "fitted to it; compare both with recovery.n_types"
    )


def _types(recovery: xr.Dataset) -> str:
    """Message about types: their number, or why it is unknown."""
    n, told = recovery.attrs["n_types"], recovery.attrs["types_told"]
    if told != "yes":
        why = told.removeprefix("no: ")
        return f"{n} groups of neurons by their phi*; whether they are types is unknown: {why}"
    return f"{n} types" if n > 1 else "one type"

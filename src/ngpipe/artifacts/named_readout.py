"""Read-out of a model with the names of its neurons, and the verdict on their types."""

import pandas as pd
import torch
import xarray as xr

from ngpipe.artifacts.progress import say
from ngpipe.artifacts.recordings import Opened
from ngpipe.assembly.closed_form.halves import halves
from ngpipe.assembly.closed_form.trained import RIDGE
from ngpipe.assembly.gnn import AssemblyGNN
from ngpipe.assembly.readout import agreed_on, read_out
from ngpipe.assembly.recording import Recording
from ngpipe.config.assembly.recovery import Recovery
from ngpipe.errors import DivergenceError


def named_readout(
    model: AssemblyGNN, found: Opened, training_log: pd.DataFrame, cfg: Recovery
) -> xr.Dataset:
    """All that was recovered, as ``schemas.RECOVERY`` describes it.

    Args:
        model: the trained model.
        found: what it was trained on.
        training_log: losses during training, as in training.csv.
        cfg: the recovery section of the config.
    """
    of_halves = _halves(model, found.recording, training_log)
    dataset = found.labelled(read_out(model, found.recording, cfg, of_halves))
    of_solver = training_log.get("types", pd.Series(dtype=float)).dropna()
    solver = None if of_solver.empty else int(of_solver.iloc[-1])
    told, n_types = dataset.attrs["types_told"], dataset.attrs["n_types"]
    dataset.attrs["types_told"] = agreed_on(told, n_types, solver)
    return dataset


def _halves(
    model: AssemblyGNN, recording: Recording, training_log: pd.DataFrame
) -> torch.Tensor | None:
    """W from either half of the training frames; None of exact rates, and of too few frames.

    What is left of an exact rate is misfit, the same in both halves: that they agree says nothing.
    """
    if recording.exact:
        return None
    of_solver = training_log.get("ridge", pd.Series(dtype=float)).dropna()
    ridge = RIDGE if of_solver.empty else float(of_solver.iloc[-1])
    try:
        return halves(model, recording, ridge)
    except DivergenceError as error:
        say(f"W is not compared between halves of the recording: {error}")
        return None

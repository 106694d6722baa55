"""Read-out of a model with the names of its neurons, and the verdict on their types."""

import pandas as pd
import xarray as xr

from ngpipe.artifacts.recordings import Opened
from ngpipe.assembly.gnn import AssemblyGNN
from ngpipe.assembly.readout import agreed_on, read_out
from ngpipe.config.assembly.recovery import Recovery


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
    dataset = found.labelled(read_out(model, found.recording, cfg))
    of_solver = training_log.get("types", pd.Series(dtype=float)).dropna()
    solver = None if of_solver.empty else int(of_solver.iloc[-1])
    told, n_types = dataset.attrs["types_told"], dataset.attrs["n_types"]
    dataset.attrs["types_told"] = agreed_on(told, n_types, solver)
    return dataset

"""Material of the panels of the assembly system."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
import xarray as xr

from ngpipe.errors import StoreError
from ngpipe.figures.drawing.material import Material, Result
from ngpipe.schemas.assembly import RECOVERY, ROLLOUT, SIMULATION, TRAINING


@dataclass(frozen=True)
class AssemblyMaterial(Material):
    """The results of one experiment, and how to draw them."""

    simulation: ClassVar[xr.Dataset] = Result("simulation.zarr", SIMULATION)
    recovery: ClassVar[xr.Dataset] = Result("recovery.zarr", RECOVERY)
    rollout: ClassVar[xr.Dataset] = Result("rollout.zarr", ROLLOUT)
    metrics: ClassVar[pd.DataFrame] = Result("metrics.csv")
    learning_curve: ClassVar[pd.DataFrame] = Result("learning_curve.csv")
    training: ClassVar[pd.DataFrame] = Result("training.csv")
    agreement: ClassVar[pd.DataFrame] = Result("agreement.csv", text=("null", "measure"))
    history: ClassVar[xr.Dataset] = Result("training.zarr", TRAINING)

    def metric(self, quantity: str, metric: str) -> float:
        """One number of metrics.csv."""
        table = self.metrics
        found = table.loc[(table["quantity"] == quantity) & (table["metric"] == metric), "value"]
        if found.empty:
            raise StoreError(f"metrics.csv has no {metric} of {quantity}")
        return float(found.iloc[0])

    @property
    def recorded(self) -> bool:
        """True of a recording: it was imported, or its truth is not known."""
        return "rate_hz" in self.simulation.attrs or "connectivity" not in self.simulation

    def time_unit(self, dataset: xr.Dataset) -> tuple[float, str]:
        """Unit in which time is drawn, as a multiple of that of the store, and its name.

        Seconds where the store says how long tau is, else the unit of its times.
        """
        if "tau_seconds" in dataset.attrs:
            return float(dataset.attrs["tau_seconds"]), "s"
        time = dataset.get("time")
        if time is not None and time.dtype.kind in "mM":
            return 1.0, "s"
        return 1.0, "tau" if time is None else str(time.attrs.get("units", "tau"))

    def truth(self, name: str) -> xr.DataArray:
        """A true quantity of the simulation.

        Raises:
            StoreError: the experiment is a recording, whose truth is not known.
        """
        if name not in self.simulation:
            raise StoreError(
                f"panel kind '{self.spec.kind}' draws the true {name}, which this experiment does "
                "not know; leave the panel out of the figure"
            )
        return self.simulation[name]

    def shown_types(self) -> np.ndarray:
        """Type of every neuron for colouring: the true one where known, else the recovered one."""
        known = self.simulation if "neuron_type" in self.simulation else self.recovery
        return known["neuron_type"].values

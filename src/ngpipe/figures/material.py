"""What the panels of an experiment may draw from."""

from dataclasses import dataclass

import numpy as np
import pandas as pd
import xarray as xr

from ngpipe.config.figures import Panel, Style
from ngpipe.errors import StoreError


@dataclass(frozen=True)
class Material:
    """The opened results of one experiment, and how to draw them."""

    simulation: xr.Dataset
    recovery: xr.Dataset
    rollout: xr.Dataset
    metrics: pd.DataFrame
    learning_curve: pd.DataFrame
    training: pd.DataFrame
    spec: Panel
    style: Style

    def metric(self, quantity: str, metric: str) -> float:
        """One number of metrics.csv."""
        table = self.metrics
        found = table.loc[(table["quantity"] == quantity) & (table["metric"] == metric), "value"]
        if found.empty:
            raise StoreError(f"metrics.csv has no {metric} of {quantity}")
        return float(found.iloc[0])

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


def label(array: xr.DataArray) -> str:
    """Axis label from the store: a unit is written once in the whole project."""
    units = array.attrs.get("units", "1")
    name = array.attrs.get("long_name", str(array.name))
    return name if units == "1" else f"{name} [{pretty(units)}]"


def pretty(units: str) -> str:
    """Units as drawn: 1/tau becomes a Greek letter."""
    return units.replace("tau", "τ")

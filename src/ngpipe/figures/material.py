"""What the panels of an experiment may draw from."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
import xarray as xr

from ngpipe.config.figures import Panel, Style
from ngpipe.errors import StoreError


class Results(Mapping[str, object]):
    """Results by name, each opened when it is first asked for: a panel needs only what it draws.

    Args:
        openers: what opens each result.
    """

    def __init__(self, openers: Mapping[str, Callable[[], object]]) -> None:
        self._openers, self._opened = openers, {}

    def __getitem__(self, name: str) -> object:
        if name not in self._opened:
            self._opened[name] = self._openers[name]()
        return self._opened[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._openers)

    def __len__(self) -> int:
        return len(self._openers)


class Result:
    """A result of a material, looked up among its ``results`` under the name of the attribute."""

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, material: object, owner: type) -> object:
        return self if material is None else material.results[self._name]


@dataclass(frozen=True)
class Material:
    """The results of one experiment, and how to draw them."""

    results: Mapping[str, object]
    spec: Panel
    style: Style
    simulation: ClassVar[xr.Dataset] = Result()
    recovery: ClassVar[xr.Dataset] = Result()
    rollout: ClassVar[xr.Dataset] = Result()
    metrics: ClassVar[pd.DataFrame] = Result()
    learning_curve: ClassVar[pd.DataFrame] = Result()
    training: ClassVar[pd.DataFrame] = Result()

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
    return labelled(array.attrs.get("long_name", str(array.name)), array)


def labelled(name: str, array: xr.DataArray) -> str:
    """A name with the unit of an array behind it; a store of elsewhere may give none."""
    units = array.attrs.get("units", "1")
    return name if units == "1" else f"{name} [{pretty(units)}]"


def pretty(units: str) -> str:
    """Units as drawn: 1/tau becomes a Greek letter."""
    return units.replace("tau", "τ")

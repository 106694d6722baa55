"""Material of panels of any system."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import xarray as xr

from ngpipe.config.figures import Panel, Style
from ngpipe.errors import ArgumentError
from ngpipe.schemas.variable import Schema


class Results(Mapping[str, object]):
    """Results by name, each opened when it is first asked for: a panel needs only what it draws.

    Args:
        openers: what opens each result.
    """

    def __init__(self, openers: Mapping[str, Callable[[], object]]) -> None:
        self._openers = openers
        self._opened: dict[str, object] = {}

    def __getitem__(self, name: str) -> object:
        if name not in self._opened:
            self._opened[name] = self._openers[name]()
        return self._opened[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._openers)

    def __len__(self) -> int:
        return len(self._openers)


class Result:
    """A result of a material, looked up among its ``results`` under the name of the attribute.

    Args:
        file: its name in ``results/runs/<experiment>/``.
        schema: what a store holds.
        text: columns of a table that stay as they are written.
        load: what opens the file, where it is not :mod:`ngpipe.store`.
    """

    def __init__(
        self,
        file: str,
        schema: Schema | None = None,
        *,
        text: Sequence[str] = (),
        load: Callable[[Path], object] | None = None,
    ) -> None:
        self.file, self.schema, self.text, self.load = file, schema, text, load

    def __set_name__(self, owner: type, name: str) -> None:
        self._name = name

    def __get__(self, material: Any, owner: type) -> Any:  # noqa: ANN401
        if material is None:
            return self
        if self._name not in material.results:
            raise ArgumentError(
                f"panel kind '{material.spec.kind}' draws from {self.file}, which its record in "
                "PANELS does not name; add it there to `reads`"
            )
        return material.results[self._name]


def results_of(material: type) -> dict[str, Result]:
    """The results that a class of material knows, by attribute."""
    return {name: one for name, one in vars(material).items() if isinstance(one, Result)}


@dataclass(frozen=True)
class Material:
    """Material of a panel: results of its experiment, its options, and the style.

    Each system has a class of its own, with a :class:`Result` for all that its panels may read.
    """

    results: Mapping[str, object]
    spec: Panel
    style: Style


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

"""The form of a schema: variables of a store, and the coordinates that may label them."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True)
class Variable:
    """Schema of one variable of a store."""

    dims: tuple[str, ...]
    units: str
    long_name: str
    required: bool = True
    or_dims: tuple[str, ...] | None = None
    """Dimensions that it may have instead."""
    holds: Literal["mask", "finite"] | None = None
    """Constraint on its values: true or false (0 or 1), or finite numbers."""
    coordinate: bool = False
    """True if it labels a dimension, to select and to group by."""


@dataclass(frozen=True)
class Schema(Mapping[str, Variable]):
    """Variables of a store by name.

    Args:
        variables: those it has or may have.
        coordinates: units and meaning of the coordinates of its dimensions.
    """

    variables: Mapping[str, Variable]
    coordinates: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    def __getitem__(self, name: str) -> Variable:
        return self.variables[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.variables)

    def __len__(self) -> int:
        return len(self.variables)

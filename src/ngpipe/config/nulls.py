"""The nulls there are. Each stands as a record beside the function that draws it.

A module of ``wiring/nulls/`` lists its nulls in ``KINDS``, a tuple of :class:`NullKind` whose
arguments are literals (:mod:`ngpipe.config.listed`). Experiments of every system name them alike.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BeforeValidator

from ngpipe.config.listed import records

NULLS = Path(__file__).parents[1] / "wiring" / "nulls"


@dataclass(frozen=True)
class NullKind:
    """A null connectome by name."""

    name: str
    keeps: str
    """Properties that a sample shares with the connectome."""
    renews: str
    """Properties that are drawn anew."""
    draws: str
    """Function of its module that draws it, ``(connectome, rng, ...) -> connectome``."""
    options: Mapping[str, object] = field(default_factory=dict)
    """Further arguments of this function."""
    takes: tuple[str, ...] = ()
    """Arguments that a config may set: ``sweeps``, ``certainty``."""
    needs: tuple[str, ...] = ()
    """Requirements on the connectome: ``types``, ``positions``, ``signs``."""
    exchanges: str = ""
    """Property kept by exchanges of partners, for nulls made by these."""
    earlier: tuple[str, ...] = ()
    """Names of before, which configs may still use."""
    changes_signs: bool = False
    """True if senders of a sample may have other signs."""
    module: str = ""
    """Module that draws it; filled in from the place of the record."""


@cache
def null_kinds() -> Mapping[str, NullKind]:
    """All nulls by name.

    Raises:
        ConfigError: two records of one name.
    """
    return records(NULLS, "ngpipe.wiring.nulls", "KINDS", NullKind, "null")


def exchanging() -> list[str]:
    """Names of the nulls that are made by exchanges of partners."""
    return [name for name, kind in null_kinds().items() if kind.exchanges]


def _of_today(name: object) -> object:
    """The name that a null has now."""
    for kind in null_kinds().values():
        if name in kind.earlier:
            return kind.name
    return name


if TYPE_CHECKING:
    NullName = str
else:
    NullName = Annotated[Literal[tuple(null_kinds())], BeforeValidator(_of_today)]
"""A null that a config names."""

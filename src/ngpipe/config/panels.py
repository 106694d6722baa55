"""The kinds of panels. Each is a record next to the function that draws it.

A module of ``figures/`` lists its kinds in ``PANELS`` and says in ``MATERIAL`` what they draw from.
``PANELS`` is a tuple of :class:`PanelKind` whose arguments are literals
(:mod:`ngpipe.config.listed`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ngpipe.config.listed import records

FIGURES = Path(__file__).parents[1] / "figures"
SWEPT = "sweep.csv"
"""Among what a kind reads: the table of the sweep of its experiment."""


@dataclass(frozen=True)
class PanelKind:
    """A kind of panel."""

    name: str
    system: str | None
    """System of the experiments it shows; None: any system whose points are experiments."""
    shows: str
    """Description of the panel for the reference, captions and the report."""
    reads: tuple[str, ...]
    """Results it draws from, by the names of their files; it waits for these alone."""
    needs: tuple[str, ...] = ()
    """Options, keys of a panel in config.yaml, without which it cannot be drawn."""
    takes: tuple[str, ...] = ()
    """Further options that it heeds."""
    columns: int = 1
    """Columns that it takes on a page without a mosaic, 1 to 3."""
    truth: bool = False
    """True if it cannot be drawn of a recording whose truth is not known."""
    movie: bool = False
    """True if it also becomes a movie."""
    draws: str = ""
    """Function of its module that draws it, ``(material, ax) -> ax``; without a word, its name."""
    module: str = ""
    """Module that draws it; filled in from the place of the record."""

    @property
    def function(self) -> str:
        """Name of the function that draws it."""
        return self.draws or self.name

    @property
    def roots(self) -> tuple[str, str]:
        """Code of its module that draws it: its function, and the class of its material."""
        return f"{self.module}:{self.function}", f"{self.module}:MATERIAL"


@cache
def panel_kinds() -> Mapping[str, PanelKind]:
    """All kinds of panels by name, those of one system together.

    Raises:
        ConfigError: two records of one name.
    """
    found = records(FIGURES, "ngpipe.figures", "PANELS", PanelKind, "panel kind")
    return dict(sorted(found.items(), key=lambda item: item[1].system or "~"))

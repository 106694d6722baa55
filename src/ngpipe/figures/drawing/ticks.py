"""Ticks of logarithmic axes: few, and none of their numbers over another."""

import math

from matplotlib.axes import Axes
from matplotlib.ticker import (
    FuncFormatter,
    LogFormatterMathtext,
    LogLocator,
    MaxNLocator,
    NullFormatter,
)

FEW = 1.6
"""Decades below which 2 and 5 are labelled as well, and as plain numbers."""
LEAST = 5.0
"""Largest over smallest value below which ticks are evenly spaced."""


def log_axis(ax: Axes, which: str) -> None:
    """Make an axis logarithmic; to be called when its limits are final.

    Args:
        ax: where to draw.
        which: ``x`` or ``y``.
    """
    axis = ax.xaxis if which == "x" else ax.yaxis
    (ax.set_xscale if which == "x" else ax.set_yscale)("log")
    low, high = sorted(axis.get_view_interval())
    short = math.log10(high / low) < FEW
    decades = LogLocator(10, subs=(1, 2, 5) if short else (1,), numticks=8)
    axis.set_major_locator(MaxNLocator(3) if high < LEAST * low else decades)
    axis.set_minor_formatter(NullFormatter())
    plain = short or 1e-3 <= low < high <= 1e4
    axis.set_major_formatter(
        FuncFormatter(lambda value, _: f"{value:g}") if plain else LogFormatterMathtext(10)
    )

"""From values to colours: one scale for all that a panel shows, and its bar."""

from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import Colormap, Normalize
from matplotlib.ticker import MaxNLocator

from ngpipe.config.figures import Style
from ngpipe.errors import ArgumentError

MISSING = "0.82"
"""Colour of what has no value."""

Limits = tuple[float, float] | None


@dataclass(frozen=True)
class ColorScale:
    """Mapping of values to colours."""

    norm: Normalize
    colormap: Colormap
    extend: str
    """Ends of the scale that some values exceed: neither, min, max or both."""

    def mappable(self) -> ScalarMappable:
        """A mappable for a colour bar."""
        return ScalarMappable(self.norm, self.colormap)


def color_scale(
    values: np.ndarray, style: Style, *, symmetric: bool, limits: Limits = None
) -> ColorScale:
    """The scale of some values: all of them, unless limits are given.

    Args:
        values: of any shape; NaN has the colour ``MISSING``.
        style: its weight colormap where symmetric, else its activity colormap.
        symmetric: about 0, so that the middle colour is 0.
        limits: least and largest colour.

    Raises:
        ArgumentError: no finite value, or limits that are not in order or not symmetric.
    """
    finite = np.asarray(values, dtype=np.float64)
    finite = finite[np.isfinite(finite)]
    if not finite.size:
        raise ArgumentError(f"none of {np.size(values)} values is finite; there is nothing to draw")
    low, high = limits or _reach(finite, symmetric)
    if not low < high or (symmetric and low != -high):
        raise ArgumentError(
            f"limits of the colours are {(low, high)}, expected the smaller first"
            + (" and as far below 0 as above" if symmetric else "")
        )
    name = style.weight_colormap if symmetric else style.activity_colormap
    below, above = bool((finite < low).any()), bool((finite > high).any())
    extend = {(True, True): "both", (True, False): "min", (False, True): "max"}
    colormap = mpl.colormaps[name].with_extremes(bad=MISSING)
    return ColorScale(Normalize(low, high), colormap, extend.get((below, above), "neither"))


def color_bar(ax: Axes, shown: ScalarMappable, label: str, extend: str = "neither") -> None:
    """A small bar to the right of pictures, as wide as a 16th of their height."""
    (left, right), (bottom, top) = ax.get_xlim(), ax.get_ylim()
    unit = (top - bottom) / (right - left)
    place = ax.inset_axes((1 + 0.06 * unit, 0.1, 0.06 * unit, 0.8))
    ticks = MaxNLocator(4)  # whatever the height: bars of one scale are labelled alike
    ax.figure.colorbar(shown, cax=place, extend=extend, ticks=ticks).set_label(label)


def _reach(finite: np.ndarray, symmetric: bool) -> tuple[float, float]:
    if symmetric:
        high = float(np.abs(finite).max()) or 1.0
        return -high, high
    low, high = float(finite.min()), float(finite.max())
    return (low, high) if low < high else (low - 0.5, high + 0.5)

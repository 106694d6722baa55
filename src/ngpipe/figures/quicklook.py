"""A quick look at any store: one small picture per variable."""

from collections.abc import Hashable, Mapping

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ngpipe.config.figures import Style
from ngpipe.figures.drawing.material import pretty
from ngpipe.figures.drawing.style import new_figure, styled

LARGEST = 400
"""Points a side that are drawn."""
FEW = 8
"""Up to this many rows are drawn as lines, more as an image."""
GAP = 1.5
"""Typical intervals after a frame beyond which there is none."""
NUMBERS = "biuf"
"""Kinds of array that are drawn; names are not."""
FLOWING = ("time", "step", "sample", "frame")
"""Dimensions that run from left to right; of any other two, the last one does, as in W."""


def drawable(dataset: xr.Dataset) -> list[str]:
    """Names of all variables that hold numbers, but for the axes themselves."""
    shown = {n: v for n, v in dataset.variables.items() if v.size and v.ndim}
    return [
        str(n) for n, v in shown.items() if v.dtype.kind in NUMBERS and n not in dataset.indexes
    ]


def quick_look(dataset: xr.Dataset) -> Figure:
    """Every variable that is :func:`drawable`: lines, or an image where there are many."""
    style, names = Style(), drawable(dataset)
    columns = min(3, len(names))
    rows = -(-len(names) // columns)
    with styled(style):
        figure = new_figure(2.6 * columns, 2.1 * rows)
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for ax, name in zip(axes, names, strict=False):
            _draw(dataset.variables[name], _marks(dataset), ax)
            units = dataset.variables[name].attrs.get("units", "1")
            ax.set_title(name if units == "1" else f"{name} [{pretty(units)}]")
        for ax in axes[len(names) :]:
            ax.remove()
        figure.draw_without_rendering()
    return figure


def _marks(dataset: xr.Dataset) -> dict[str, np.ndarray]:
    """Values along every dimension: its coordinate, if of numbers, or plain counting."""
    marks = {str(d): np.arange(n) for d, n in dataset.sizes.items()}
    known = {str(d): index.values for d, index in dataset.indexes.items()}
    return marks | {d: values for d, values in known.items() if values.dtype.kind in NUMBERS}


def _draw(variable: xr.Variable, marks: Mapping[str, np.ndarray], ax: Axes) -> None:
    while variable.ndim > 2:
        variable = variable.isel({variable.dims[0]: -1})
    across = next((str(d) for d in variable.dims if _flows(d)), str(variable.dims[-1]))
    down = [str(d) for d in variable.dims if d != across]
    if down and variable.sizes[across] <= FEW < variable.sizes[down[0]]:
        across, down = down[0], [across]
    shown = {d: np.arange(0, n, -(-n // LARGEST)) for d, n in variable.sizes.items()}
    x, absent = marks[across][shown[across]], np.zeros(len(shown[across]), dtype=bool)
    few = not down or variable.sizes[down[0]] <= FEW
    if _flows(across) and not few:
        shown[across], x, absent = _evenly(marks[across], shown[across])
    values = variable.isel(shown).transpose(*down, across).values
    values = values.astype(np.int8) if values.dtype == bool else values
    ax.set_xlabel(across)
    if few:
        ax.plot(x, np.atleast_2d(values).T, ".", markersize=2)
        return
    y = marks[down[0]][shown[down[0]]]
    finite = np.abs(values[np.isfinite(values)])
    limit = (float(np.quantile(finite, 0.99)) if finite.size else 0.0) or 1.0
    look = {"cmap": "coolwarm", "vmin": -limit, "vmax": limit, "interpolation": "nearest"}
    extent = (x[0], x[-1], y[-1], y[0])
    values = np.where(absent, np.nan, values)
    ax.imshow(values, **look, extent=extent, aspect="auto", rasterized=True)
    ax.set_title(f"\N{PLUS-MINUS SIGN}{limit:.2g}", loc="right", color="0.35")
    ax.set_ylabel(down[0])


def _flows(dim: Hashable) -> bool:
    """Whether a dimension runs from left to right; it may have a unit in its name."""
    return str(dim).split(" ")[0] in FLOWING


def _evenly(times: np.ndarray, thinned: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Frames at even times, these times, and which of them lie in a gap.

    Times that do not rise, as of several sessions, are left as they are.
    """
    steps = np.diff(times)
    if len(steps) == 0 or not (steps > 0).all():
        return thinned, times[thinned], np.zeros(len(thinned), dtype=bool)
    even = np.linspace(times[0], times[-1], len(thinned))
    frames = np.searchsorted(times, even, side="right") - 1
    return frames, even, even - times[frames] > GAP * np.median(steps)

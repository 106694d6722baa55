"""A quick look at any store: one small picture per variable."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ngpipe.config.figures import Style
from ngpipe.figures.material import label
from ngpipe.figures.style import new_figure, styled

LARGEST = 400
"""Points a side that are drawn."""


def quick_look(dataset: xr.Dataset) -> Figure:
    """Every numeric variable: a histogram, a line or bundle of lines, or an image."""
    style = Style()
    names = [str(n) for n, v in dataset.data_vars.items() if v.ndim]
    columns = min(3, len(names))
    rows = -(-len(names) // columns)
    with styled(style):
        figure = new_figure(2.6 * columns, 2.1 * rows)
        axes = figure.subplots(rows, columns, squeeze=False).ravel()
        for ax, name in zip(axes, names, strict=False):
            _draw(dataset[name], ax)
            ax.set_title(label(dataset[name]))
        for ax in axes[len(names) :]:
            ax.remove()
        figure.draw_without_rendering()
    return figure


def _draw(array: xr.DataArray, ax: Axes) -> None:
    while array.ndim > 2:
        array = array.isel({array.dims[0]: -1})
    steps = {d: slice(None, None, max(1, n // LARGEST)) for d, n in array.sizes.items()}
    values = array.isel(steps).values
    if values.ndim == 1:
        ax.plot(values, ".", markersize=2)
        ax.set_xlabel(str(array.dims[0]))
        return
    limit = float(np.nanquantile(np.abs(values), 0.99)) or 1.0
    ax.imshow(values.T, aspect="auto", cmap="coolwarm", vmin=-limit, vmax=limit, rasterized=True)
    ax.set(xlabel=str(array.dims[0]), ylabel=str(array.dims[1]))

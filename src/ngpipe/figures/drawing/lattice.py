r"""Maps of the columns of an eye: values on a hexagonal lattice.

Columns stand where :func:`ngpipe.wiring.sources.unroll.cartesian` puts them. The cell of a column
holds all points nearer to it than to any other: a hexagon of width :math:`2/\sqrt3` and height 1.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection

from ngpipe.config.figures import Style
from ngpipe.errors import ArgumentError
from ngpipe.figures.drawing.scale import Limits, color_bar, color_scale
from ngpipe.wiring.sources.unroll import cartesian, hexagon

ANGLES = np.arange(6) * np.pi / 3
CORNERS = np.stack([np.cos(ANGLES), np.sin(ANGLES)], axis=1) / np.sqrt(3)
"""Corners of a cell around its column, in distances of neighbouring columns."""
GAP = 0.06
"""Gap between neighbouring maps, relative to their width."""
LINE = 1.7
"""Room for a name over a map, relative to the size of text."""
OUTLINE = "0.85"
"""Outline of cells if the middle colour is that of the page."""


class Grid(NamedTuple):
    """Positions of the maps in their Axes; the first is in the upper left corner."""

    across: int
    down: int
    width: float
    height: float
    low: Float[np.ndarray, " axis"]
    """Lower left corner of a map around its origin."""
    headroom: float

    def origin(self, number: int) -> Float[np.ndarray, " axis"]:
        """Position of column (0, 0) of a map."""
        row, place = divmod(number, self.across)
        up = self.down - 1 - row
        corner = place * (1 + GAP) * self.width, up * (self.height + self.headroom)
        return np.array(corner) - self.low

    def size(self) -> tuple[float, float]:
        """Width and height of all."""
        width = (self.across * (1 + GAP) - GAP) * self.width
        return width, self.down * (self.height + self.headroom)


def hexagonal_map(
    ax: Axes,
    table: pd.DataFrame,
    style: Style,
    *,
    label: str,
    symmetric: bool = False,
    radius: int | None = None,
    limits: Limits = None,
) -> Axes:
    """Values of columns on their lattice; several maps side by side, on one colour scale.

    Args:
        ax: where to draw.
        table: columns ``u``, ``v`` (axial coordinates) and ``value``; with a column ``name`` (a
            cell type, a time) one map a name, in the order of their first rows.
        style: how it looks.
        label: of the colour bar, with the unit.
        symmetric: colours about 0, for attributions.
        radius: of the lattice shown; None: all columns of the table. Columns without a value, or
            with NaN, are grey.
        limits: of the colours; None: all values.

    Raises:
        ArgumentError: missing table columns, a column of the lattice twice in a map or beyond the
            radius, coordinates that are not whole, no finite value.
    """
    names, lattice, values = _cells(table, radius)
    scale = color_scale(values, style, symmetric=symmetric, limits=limits)
    x, y = cartesian(*lattice.T)
    centres = np.stack([x, y], axis=1)
    grid = _grid(ax, centres, names, style)
    origins = np.stack([grid.origin(k) for k in range(len(names))])
    cells = (origins[:, None] + centres)[:, :, None] + CORNERS
    shown = PolyCollection(
        cells.reshape(-1, 6, 2),
        array=np.ma.masked_invalid(values.ravel()),
        cmap=scale.colormap,
        norm=scale.norm,
        # without lines of their own colour, white hairs would show between cells
        edgecolors=OUTLINE if symmetric else "face",
        linewidths=0.25 if symmetric else 0.6,
        rasterized=values.size > 4000,
    )
    ax.add_collection(shown, autolim=False)
    _frame(ax, grid, names)
    color_bar(ax, shown, label, scale.extend)
    return ax


def _cells(table: pd.DataFrame, radius: int | None) -> tuple[list[str], np.ndarray, np.ndarray]:
    """Names of maps, columns ``(column, 2)`` of the lattice, values ``(map, column)``."""
    _check(table, radius)
    whole = table if "name" in table else table.assign(name="")
    names = list(pd.unique(whole["name"]))
    lattice = hexagon(radius) if radius is not None else _known(table)
    index = pd.MultiIndex.from_product([names, range(len(lattice))])
    place = {(int(u), int(v)): k for k, (u, v) in enumerate(lattice)}
    column = [place[int(u), int(v)] for u, v in zip(whole["u"], whole["v"], strict=True)]
    values = pd.Series(whole["value"].to_numpy(np.float64), index=[whole["name"], column])
    if values.index.duplicated().any():
        name, k = values.index[values.index.duplicated()][0]
        raise ArgumentError(
            f"column {tuple(lattice[k].tolist())} has more than one value in map {name!r}; give "
            "each map a name in the table's column 'name', or take their mean"
        )
    wide = values.reindex(index).to_numpy().reshape(len(names), len(lattice))
    return [str(name) for name in names], lattice, wide


def _known(table: pd.DataFrame) -> np.ndarray:
    return np.unique(table[["u", "v"]].to_numpy(), axis=0).astype(np.int64)


def _check(table: pd.DataFrame, radius: int | None) -> None:
    missing = [c for c in ("u", "v", "value") if c not in table]
    if missing or table.empty:
        raise ArgumentError(
            f"the table of a hexagonal map has {len(table)} rows with columns {list(table)}, "
            "expected rows with 'u', 'v' and 'value'"
        )
    axial = table[["u", "v"]].to_numpy(np.float64)
    if not np.array_equal(axial, np.floor(axial)):
        raise ArgumentError(
            "axial coordinates u, v must be whole numbers, got "
            f"{axial[(axial != np.floor(axial)).any(axis=1)][0].tolist()}; x, y are not axial"
        )
    reach = np.abs(np.column_stack([axial, axial.sum(axis=1)])).max()
    if radius is not None and reach > radius:
        raise ArgumentError(
            f"a column lies {reach:.0f} columns from the centre, beyond the radius {radius}"
        )


def _grid(ax: Axes, centres: np.ndarray, names: list[str], style: Style) -> Grid:
    """The grid in which the maps become largest."""
    corners = (centres[:, None] + CORNERS).reshape(-1, 2)
    low = corners.min(axis=0)
    width, height = corners.max(axis=0) - low
    room = ax.get_window_extent()

    def grid(across: int, headroom: float = 0.0) -> Grid:
        return Grid(across, -(-len(names) // across), width, height, low, headroom)

    def zoom(across: int) -> float:
        wide, high = grid(across).size()
        return min(room.width / wide, room.height / high)

    across = max(range(1, len(names) + 1), key=zoom)
    text = LINE * style.font_size * ax.figure.dpi / 72 if any(names) else 0.0
    return grid(across, text / zoom(across))


def _frame(ax: Axes, grid: Grid, names: list[str]) -> None:
    width, height = grid.size()
    ax.set(xlim=(0, width), ylim=(0, height), aspect="equal", xticks=[], yticks=[])
    ax.set_anchor("NW")
    ax.spines[:].set_visible(False)
    for k, name in enumerate(names):
        x, y = grid.origin(k) + grid.low + [grid.width / 2, grid.height]
        ax.text(x, y + 0.02 * grid.height, name, ha="center", va="bottom", fontsize="small")
    if len(names) == 1:
        _compass(ax, grid)


def _compass(ax: Axes, grid: Grid) -> None:
    """The directions in which u and v grow, in the empty lower left corner."""
    length = 0.14 * grid.height
    steps = np.stack(cartesian(np.array([1, 0]), np.array([0, 1])), axis=1)
    for name, (x, y) in zip("uv", steps, strict=True):
        arrow = {"arrowstyle": "<|-", "lw": 0.6, "color": "0.3", "shrinkA": 0, "shrinkB": 0}
        ax.annotate(
            f"${name}$",
            (0, 0),
            (length * x, length * y),
            arrowprops={**arrow, "mutation_scale": 5},
            ha="center" if x == 0 else "left",
            va="bottom" if x == 0 else "center",
            fontsize="small",
            color="0.3",
        )

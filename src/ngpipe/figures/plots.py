"""Small pictures, one a time step, sample, group or path length: figures on their own, no panels.

Lines in each, or values between groups as colours.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.colors import is_color_like
from matplotlib.figure import Figure

from ngpipe.config.figures import Style
from ngpipe.errors import ArgumentError
from ngpipe.figures.drawing.scale import color_scale
from ngpipe.figures.drawing.style import new_figure, styled, type_colors

PIXELS = 100
"""A figure's size in pixels is taken at this resolution [1/inch]."""
ACROSS = 4
"""Pictures in a row, at most."""
LUMINANCE = (0.299, 0.587, 0.114)
"""Share of red, green and blue in how bright a colour looks (ITU-R BT.601)."""


@dataclass(frozen=True)
class Look:
    """Style of lines, and the text around them.

    Attributes:
        x_label: below.
        y_label: at the left.
        limits: of the y axis.
        size: of the figure, width and height [pixels].
        lines: whether points are joined.
        markers: whether points are marked.
        title: of the figure.
        font: family of all text; None: that of all figures.
        text, title_text: sizes of text [pt]; None: that of the style.
        line_width: of lines and axes [pt].
        marker_size: [pt].
        axis_color: colour of axes.
        paper: colour of the ground.
    """

    x_label: str
    y_label: str
    limits: tuple[float, float]
    size: tuple[float, float]
    lines: bool = True
    markers: bool = False
    title: str | None = None
    font: str | None = None
    text: float | None = None
    title_text: float | None = None
    line_width: float = 1.0
    marker_size: float = 3.0
    axis_color: str = "black"
    paper: str = "white"

    def __post_init__(self) -> None:
        for color in (self.axis_color, self.paper):
            if not is_color_like(color):
                raise ArgumentError(
                    f"{color!r} is not a colour of Matplotlib; give a name or '#rrggbb'"
                )


def small_multiples(table: pd.DataFrame, look: Look) -> Figure:
    """A picture for each value of ``panel``, in it a line for each ``line``, coloured by ``hue``.

    Args:
        table: columns ``panel`` (the title of a picture), ``line``, ``hue`` (a name), ``x`` and
            ``y``; pictures, lines and points come in the order of their rows.
        look: what they look like.
    """
    style = Style()
    hues = [str(name) for name in pd.unique(table["hue"])]
    colors = dict(zip(hues, type_colors(np.array(hues), style), strict=True))
    panels = pd.unique(table["panel"])
    across = min(ACROSS, len(panels))
    down = -(-len(panels) // across)
    with styled(style), mpl.rc_context(_settings(look)):
        figure = new_figure(look.size[0] / PIXELS, look.size[1] / PIXELS)
        figure.set_facecolor(look.paper)
        axes = figure.subplots(down, across, squeeze=False, sharex=True, sharey=True)
        for panel, ax in zip(panels, axes.ravel(), strict=False):
            _lines(ax, table[table["panel"] == panel], colors, look)
            ax.set_title(str(panel))
        for k, ax in enumerate(axes.ravel()):
            ax.set_visible(k < len(panels))
            ax.tick_params(labelbottom=k + across >= len(panels))
        axes[0, 0].set_ylim(*look.limits)
        _words(figure, colors, look)
        figure.draw_without_rendering()
    return figure


def limits_of(values: pd.Series, low: float | None, high: float | None) -> tuple[float, float]:
    """Limits asked for; else all values, with room for markers at their ends."""
    least, largest = float(values.min()), float(values.max())
    margin = 0.03 * (largest - least) or 0.5
    return least - margin if low is None else low, largest + margin if high is None else high


def heatmaps(
    tables: Mapping[str, pd.DataFrame], size: tuple[float, float], *, colormap: str, written: bool
) -> Figure:
    """A picture for each table, a colour for each value, one scale for all of them.

    Args:
        tables: values by title, rows downwards; one without values has an empty picture.
        size: of the figure, width and height [inch].
        colormap: of Matplotlib.
        written: write values, two digits behind the point.

    Raises:
        ArgumentError: no such colormap, or no finite value in any table.
    """
    if colormap not in mpl.colormaps:
        raise ArgumentError(f"cmap is {colormap!r}, expected a colormap of Matplotlib, as viridis")
    everything = np.concatenate([table.to_numpy(float).ravel() for table in tables.values()])
    scale = color_scale(everything, Style(), symmetric=False)
    across = min(ACROSS, len(tables))
    down = -(-len(tables) // across)
    with styled(Style()):
        figure = new_figure(*size)
        axes = figure.subplots(down, across, squeeze=False).ravel()
        shown = ScalarMappable(scale.norm, mpl.colormaps[colormap])
        for ax in axes[len(tables) :]:
            ax.set_visible(False)
        for ax, (title, table) in zip(axes, tables.items(), strict=False):
            ax.set_title(title)
            _values(ax, table, shown, written)
        figure.colorbar(shown, ax=list(axes[: len(tables)]), label="weight")
        figure.draw_without_rendering()
    return figure


def _values(ax: Axes, table: pd.DataFrame, shown: ScalarMappable, written: bool) -> None:
    ax.set_yticks(range(len(table)), [str(name) for name in table.index])
    ax.set_xticks(range(table.shape[1]), [str(name) for name in table.columns], rotation="vertical")
    ax.set_xlabel(table.columns.name)
    ax.set_ylabel(table.index.name)
    if table.empty:
        return
    values = table.to_numpy(float)
    ax.imshow(values, norm=shown.norm, cmap=shown.cmap, aspect="auto", interpolation="nearest")
    for (row, column), value in np.ndenumerate(values) if written else ():
        dark = np.dot(shown.to_rgba(value)[:3], LUMINANCE) < 0.5
        color = "white" if dark else "black"
        ax.text(column, row, f"{value:.2f}", ha="center", va="center", color=color)


def _settings(look: Look) -> dict[str, object]:
    """Settings of Matplotlib that differ from the style's."""
    settings = {
        "lines.linewidth": look.line_width,
        "lines.markersize": look.marker_size,
        "axes.edgecolor": look.axis_color,
        "axes.facecolor": look.paper,
        "xtick.color": look.axis_color,
        "ytick.color": look.axis_color,
    }
    if look.font is not None:
        settings["font.family"] = look.font
    if look.text is not None:
        sizes = ("font.size", "axes.titlesize", "xtick.labelsize", "ytick.labelsize")
        settings.update(dict.fromkeys((*sizes, "legend.fontsize"), look.text))
    return settings


def _lines(ax: Axes, table: pd.DataFrame, colors: dict[str, np.ndarray], look: Look) -> None:
    for _, rows in table.groupby("line", sort=False):
        hue = str(rows["hue"].iloc[0])
        ax.plot(
            rows["x"],
            rows["y"],
            linestyle="-" if look.lines else "none",
            marker="o" if look.markers else "none",
            color=colors[hue],
            label=hue,
        )


def _words(figure: Figure, colors: dict[str, np.ndarray], look: Look) -> None:
    figure.supxlabel(look.x_label, fontsize=look.text)
    figure.supylabel(look.y_label, fontsize=look.text)
    if look.title is not None:
        figure.suptitle(look.title, fontsize=look.title_text)
    known = {line.get_label(): line for ax in figure.axes for line in ax.lines}
    figure.legend([known[hue] for hue in colors], list(colors), loc="outside right upper")

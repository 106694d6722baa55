"""Lines in small pictures, one a time step, sample or group: figures on their own, no panels."""

from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import is_color_like
from matplotlib.figure import Figure

from ngpipe.config.figures import Style
from ngpipe.errors import ArgumentError
from ngpipe.figures.drawing.style import new_figure, styled, type_colors

PIXELS = 100
"""A figure's size in pixels is taken at this resolution [1/inch]."""
ACROSS = 4
"""Pictures in a row, at most."""


@dataclass(frozen=True)
class Look:
    """What lines look like, and the text around them.

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
                    f"{color!r} is no colour of Matplotlib; give a name or '#rrggbb'"
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

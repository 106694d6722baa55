"""Names of rows, legible however close the rows stand, and a row of keys."""

from collections.abc import Mapping, Sequence

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.legend_handler import HandlerBase
from matplotlib.transforms import ScaledTranslation

from ngpipe.config.figures import Style
from ngpipe.figures.drawing.style import small_text, text_width

LINE = 1.0
"""Least distance of lines of text, relative to its size."""
_WIDER = 1.1
"""A legend may be so much wider than its axes."""
_HANDLE, _PAD, _SPACE = 1.4, 0.5, 1.0
"""Legend below: widths of a handle and of the spaces after it and its text, in text sizes."""


def row_names(ax: Axes, names: Sequence[str], style: Style) -> float:
    """Write names to the left of rows 0, 1, ... of the y axis, all of the smallest text size.

    Where a row is lower than the text, names stand in two or more columns in turn, each with a thin
    line to its row.

    Returns:
        How far the names reach to the left of the axes [pt].
    """
    size = small_text(style)
    stand = int(-(-LINE * size * len(names) // height_of(ax)))
    widest = max(text_width(name, size) for name in names)
    ax.set_yticks([])
    for row, name in enumerate(names):
        aside = (row % stand) * (widest + 5)
        line = {"arrowstyle": "-", "lw": 0.3, "color": "0.6", "shrinkA": 0, "shrinkB": 1}
        ax.annotate(
            name,
            (0, row),
            (-3 - aside, 0),
            xycoords=ax.get_yaxis_transform(),
            textcoords="offset points",
            ha="right",
            va="center",
            fontsize=size,
            arrowprops={**line, "relpos": (1, 0.5)} if aside else None,
            annotation_clip=False,
        )
    return widest + 3 + (min(stand, len(names)) - 1) * (widest + 5)


def key_room(ax: Axes, style: Style) -> float:
    """Height of a row of keys, relative to the axes."""
    return 2.0 * small_text(style) / height_of(ax)


def row_of_keys(
    ax: Axes,
    handles: Sequence[Artist],
    style: Style,
    *,
    upper: bool,
    start: float,
    handlers: Mapping[type, HandlerBase] | None = None,
) -> None:
    """A legend in one line at the upper or lower edge of the axes, for which there must be room.

    It begins some points to the left of the axes, and is not laid out: where axes are narrow, it
    may reach farther right than they do.

    Args:
        ax: where to draw.
        handles: artists with labels.
        style: how it looks.
        upper: at which edge.
        start: how far to the left of the axes it begins [pt].
        handlers: how handles become keys, by type.
    """
    left = ScaledTranslation(-start / 72, 0, ax.figure.dpi_scale_trans)
    legend = ax.legend(
        handles=handles,
        handler_map=handlers,
        loc="upper left" if upper else "lower left",
        bbox_to_anchor=(0, 1 if upper else 0),
        bbox_transform=ax.transAxes + left,
        ncols=len(handles),
        fontsize=small_text(style),
        handlelength=1.7,
        handletextpad=0.7,
        columnspacing=1.0,
        borderaxespad=0,
        borderpad=0,
    )
    legend.set_in_layout(False)


def legend_below(
    ax: Axes,
    handles: Sequence[Artist],
    style: Style,
    *,
    under: float = 0.0,
    title: str | None = None,
) -> None:
    """A legend below the label of the x axis, for which the layout leaves room.

    It has as few lines as there is room for.

    Args:
        ax: where to draw.
        handles: artists with labels.
        style: how it looks.
        under: how much farther down than where ticks are numbers [pt].
        title: over it.
    """
    size = small_text(style)
    widest = max(text_width(str(handle.get_label()), size) for handle in handles)
    fitting = int(_WIDER * width_of(ax) // (widest + (_HANDLE + _PAD + _SPACE) * size))
    lines = -(-len(handles) // max(1, fitting))
    down = ScaledTranslation(0, -(under + 3.7 * style.font_size) / 72, ax.figure.dpi_scale_trans)
    ax.legend(
        handles=handles,
        loc="upper center",
        bbox_to_anchor=(0.5, 0),
        bbox_transform=ax.transAxes + down,
        ncols=-(-len(handles) // lines),
        fontsize=size,
        title=title,
        title_fontsize=size,
        handlelength=_HANDLE,
        handletextpad=_PAD,
        columnspacing=_SPACE,
        labelspacing=0.25,
        borderaxespad=0,
        borderpad=0,
    )


def say_nothing(ax: Axes, text: str) -> None:
    """Axes without anything to draw, and in their middle the words that say why."""
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
    ax.text(0.5, 0.5, text, transform=ax.transAxes, ha="center", va="center", color="0.4")


def height_of(ax: Axes) -> float:
    """Height of axes [pt], before they are laid out about what it will be."""
    return 72 * ax.get_window_extent().height / ax.figure.dpi


def width_of(ax: Axes) -> float:
    """Width of axes [pt], before they are laid out about what it will be."""
    return 72 * ax.get_window_extent().width / ax.figure.dpi

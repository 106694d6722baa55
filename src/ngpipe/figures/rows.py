"""Names of rows, legible however close the rows stand."""

from collections.abc import Sequence

from matplotlib.axes import Axes

from ngpipe.config.figures import Style
from ngpipe.figures.style import small_text, text_width

LINE = 1.0
"""Least distance of lines of text, relative to its size."""


def row_names(ax: Axes, names: Sequence[str], style: Style) -> None:
    """Write names to the left of rows 0, 1, ... of the y axis, all of the smallest text size.

    Where a row is lower than the text, names stand in two or more columns in turn, each with a thin
    line to its row.
    """
    size = small_text(style)
    height = 72 * ax.get_window_extent().height / ax.figure.dpi
    stand = int(-(-LINE * size * len(names) // height))
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

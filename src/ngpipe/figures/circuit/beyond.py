"""Values without a place on an axis: marked beyond its end and counted, not left out."""

import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from ngpipe.config.figures import Style
from ngpipe.figures.circuit.material import Color, spoken
from ngpipe.figures.drawing.row_names import height_of
from ngpipe.figures.drawing.style import small_text

MARKS = {
    "censored": {"marker": "^", "markersize": 3.6},
    "diverging": {"marker": "x", "markersize": 3.6, "markeredgewidth": 1.0},
    "no_response": {"marker": "s", "markersize": 3.2, "markerfacecolor": "white"},
}
"""Markers of runs without a time to baseline."""
BEYOND = "0.94"
"""Colour of the ground beyond an axis."""
LINE = 1.5
"""Height of a line of marks, relative to that of the text."""


def without_time(runs: pd.DataFrame) -> list[str]:
    """Statuses, other than ok, that some runs have."""
    return [status for status in MARKS if (runs["status"] == status).any()]


def mark(
    ax: Axes, where: tuple[float, float], status: str, count: int, color: Color | str, style: Style
) -> None:
    """Mark runs of a status, with their number beside."""
    ax.plot(*where, color=color, linestyle="none", zorder=4, clip_on=False, **MARKS[status])
    ax.annotate(
        str(count),
        where,
        (3.5, -0.3),
        textcoords="offset points",
        va="center",
        color=color,
        fontsize=small_text(style) - 0.5,
        zorder=4,
        annotation_clip=False,
    )


def mark_keys(runs: pd.DataFrame) -> list[Artist]:
    """Keys of the marks that some runs have."""
    look = {"color": "0.3", "linestyle": "none"}
    return [
        Line2D([], [], label=f"{spoken(status)} (count)", **look, **MARKS[status])
        for status in without_time(runs)
    ]


def line_height(ax: Axes, span: float, n: int, style: Style) -> float:
    """Height on the y axis of each of n lines of marks beyond it, where the axis spans so much."""
    share = min(0.15, LINE * small_text(style) / height_of(ax))
    return span * share / max(0.25, 1 - n * share)

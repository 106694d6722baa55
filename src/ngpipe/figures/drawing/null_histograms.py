"""Agreement with a connectome: a value beside the histograms of its nulls, a row a null."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from ngpipe.config.base import OBSERVED
from ngpipe.config.figures import Style
from ngpipe.errors import StoreError
from ngpipe.figures.drawing.row_names import legend_below, row_names
from ngpipe.figures.drawing.style import small_text
from ngpipe.wiring.nulls.significance import p_value

BINS = 40
HIGH = 0.8
"""Height of a histogram, relative to the distance of rows."""


LABELS = {
    "rank": "rank correlation, signed",
    "rank_size": "rank correlation of sizes",
    "presence": "area under the ROC curve",
    "sign": "share with the sign of the connection",
}
TITLES = {
    "rank": "ranked as the connections are",
    "rank_size": "sizes ranked as the connections are",
    "presence": "connected pairs against others",
    "sign": "signs of connected pairs",
}


@dataclass(frozen=True)
class Compared:
    """A block of rows: a value, and its draws of each null.

    Attributes:
        name: stands above the rows; empty: nothing.
        value: the one observed.
        nulls: draws by the name of the null.
    """

    name: str
    value: float
    nulls: dict[str, Float[np.ndarray, " draw"]]


def null_histograms(ax: Axes, blocks: Sequence[Compared], style: Style, *, label: str) -> Axes:
    """Blocks from top to bottom; a line for the value goes through the rows of its nulls.

    At the right of each row stands p (:func:`ngpipe.wiring.nulls.significance.p_value`).
    """
    names: list[str] = []
    every = np.concatenate([draws for b in blocks for draws in (*b.nulls.values(), [b.value])])
    low, high = float(every.min()), float(every.max())
    margin = 0.06 * (high - low) or 0.5
    edges = np.linspace(low - margin, high + margin, BINS + 1)
    for block in blocks:
        if block.name:
            ax.text(
                *(0.0, len(names) + 0.3, block.name),
                transform=ax.get_yaxis_transform(),
                va="bottom",
                fontsize=small_text(style),
            )
            names.append("")
        first = len(names)
        for name, draws in block.nulls.items():
            _row(ax, len(names), draws, edges, style)
            _told(ax, len(names), p_value(block.value, draws), style)
            names.append(name)
        look = {"color": style.learned_color, "linewidth": 1.4, "zorder": 4}
        ax.plot([block.value] * 2, [first - 0.45, len(names) - 0.55], solid_capstyle="butt", **look)
    ax.set(xlim=(edges[0], edges[-1]), ylim=(len(names) - 0.4, -0.6), xlabel=label)
    ax.spines["left"].set_visible(False)
    row_names(ax, names, style)
    n = max(len(draws) for block in blocks for draws in block.nulls.values())
    keys = [
        Line2D([], [], color=style.learned_color, linewidth=1.4, label="observed"),
        Patch(color="0.6", label=f"null, n = {n}"),
    ]
    legend_below(ax, keys, style)
    return ax


def draw_agreement(ax: Axes, table: pd.DataFrame, measure: str, style: Style) -> Axes:
    """One measure of agreement.csv, a block for each number of hops.

    Raises:
        StoreError: a measure that was not taken, or no nulls.
    """
    null_histograms(ax, agreement_blocks(table, measure), style, label=LABELS[measure])
    ax.set_title(TITLES[measure])
    return ax


def agreement_blocks(table: pd.DataFrame, measure: str) -> list[Compared]:
    """Rows of agreement.csv of one measure as blocks, one for each number of hops.

    Raises:
        StoreError: a measure that was not taken, or no nulls.
    """
    mine, known = table[table["measure"] == measure], table["measure"].unique().tolist()
    if mine.empty or not (mine["null"] != OBSERVED).any():
        raise StoreError(
            f"agreement.csv has no nulls of '{measure}', only of {known}; correct `metric` of the "
            "panel, or name nulls in the config"
        )
    blocks = []
    for hops, rows in mine.groupby("hops"):
        name = "single connections" if hops == 1 else f"paths of up to {hops} synapses"
        drawn = rows[rows["null"] != OBSERVED].groupby("null", sort=False)["value"]
        nulls = {str(null).replace("_", " "): draws.to_numpy() for null, draws in drawn}
        value = float(rows.loc[rows["null"] == OBSERVED, "value"].iloc[0])
        blocks.append(Compared(name, value, nulls))
    return blocks


def _row(ax: Axes, row: int, draws: np.ndarray, edges: np.ndarray, style: Style) -> None:
    counts = np.histogram(draws, edges)[0]
    heights = row + HIGH / 2 - HIGH * counts / max(1, counts.max())
    ax.stairs(heights, edges, baseline=row + HIGH / 2, fill=True, color="0.6", linewidth=0)
    ax.axhline(row + HIGH / 2, color="0.85", linewidth=0.4, zorder=0)


def _told(ax: Axes, row: int, p: float, style: Style) -> None:
    text = "p unknown" if np.isnan(p) else f"p = {p:.2g}"
    look = {"fontsize": small_text(style), "color": "0.3", "ha": "left", "va": "center"}
    ax.annotate(
        *(text, (1, row), (3, 0)),
        xycoords=ax.get_yaxis_transform(),
        textcoords="offset points",
        annotation_clip=False,
        **look,
    )

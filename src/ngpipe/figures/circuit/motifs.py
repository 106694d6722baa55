"""Panels of the motifs of a circuit, and of the nulls they are compared with."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from ngpipe.config.figures import Style
from ngpipe.config.panels import PanelKind
from ngpipe.errors import StoreError
from ngpipe.figures.circuit.beyond import BEYOND, line_height
from ngpipe.figures.circuit.material import CircuitMaterial, Color, spoken
from ngpipe.figures.drawing.row_names import legend_below
from ngpipe.figures.drawing.style import text_width
from ngpipe.wiring.nulls.motifs import PAIRS

SIGNIFICANT = 0.05
LINEAR = 3.0
"""Up to about this z the axis is linear, beyond logarithmic."""
TICKS = (0, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000)
"""Numbers that an axis of z may show, and their negatives."""
APART = 0.45
"""Least distance of them on the axis."""
WIDTH = 0.75
"""All nulls of a motif lie within it, relative to the distance of motifs."""
MARKS = {"kept": "_", "more": "^", "fewer": "v"}
"""Markers of motifs without z."""
DOT = {"marker": "o", "markersize": 3.4, "linestyle": "none"}
LINES = {"kept": ("kept",), "z infinite": ("more", "fewer")}
"""Lines for them below the axis."""


PANELS = (
    PanelKind(
        "motif_scores",
        system="circuit",
        shows="z of pairs of connections and of triads against each null of `motifs`",
        reads=("connectome.zarr", "measures.csv", "motifs.csv"),
        columns=2,
    ),
    PanelKind(
        "mixing",
        system="circuit",
        shows="overlap with the connectome against sweeps of exchanges, for nulls that "
        "exchange partners",
        reads=("connectome.zarr", "measures.csv", "motifs.csv", "mixing.csv"),
    ),
)
MATERIAL = CircuitMaterial
"""Material of these panels."""


def motif_scores(material: CircuitMaterial, ax: Axes) -> Axes:
    r"""Scores z of motifs against each null, on an axis :math:`\sinh^{-1}(z / 3)`.

    Filled where p is at most 0.05. Below are motifs that all samples have equally often, so that
    there is no z: as often as the connectome where the null keeps them, else less or more often.

    Raises:
        StoreError: no nulls were drawn.
    """
    table, colors = material.motifs.dropna(subset="null"), material.null_colors()
    if table.empty:
        raise StoreError(
            f"motifs.csv of {material.spec.of} compares with no null; name some in motifs.nulls"
        )
    nulls, motifs = table["null"].unique().tolist(), table["motif"].unique().tolist()
    aside = WIDTH * ((table["null"].map(nulls.index) + 0.5) / len(nulls) - 0.5)
    table = table.assign(at=table["motif"].map(motifs.index) + aside)
    low = min(-1.0, _height(table["z"].min())) - 0.25
    high = max(1.0, _height(table["z"].max())) + 0.25
    kinds = _without_z(table)
    lines = {line: held for line, held in LINES.items() if kinds.isin(held).any()}
    lane = line_height(ax, high - low, len(lines), material.style)
    heights = {
        kind: low - (k + 0.5) * lane for k, held in enumerate(lines.values()) for kind in held
    }
    for null in nulls:
        mine = table["null"] == null
        _scores(ax, table[mine & kinds.isna()], colors[null])
        for kind, height in heights.items():
            at = table["at"][mine & (kinds == kind)]
            ax.scatter(at, np.full(len(at), height), color=[colors[null]], marker=MARKS[kind], s=14)
    below = _across(ax, motifs, material.style)
    _up(ax, (low, high), list(lines), lane)
    keys = [Line2D([], [], label=spoken(null), color=colors[null], **DOT) for null in nulls]
    keys.append(Line2D([], [], label="p > 0.05", color="0.3", markerfacecolor="white", **DOT))
    legend_below(ax, keys, material.style, under=below)
    samples = " or ".join(f"{n:g}" for n in table["samples"].unique())
    material.title(ax, f"motifs, {samples} samples of nulls")
    return ax


def mixing(material: CircuitMaterial, ax: Axes) -> Axes:
    """Overlap with the connectome of nulls that exchange partners, sweep by sweep.

    Raises:
        StoreError: there are no such nulls.
    """
    table, colors = material.mixing, material.null_colors()
    if table.empty:
        raise StoreError(
            f"mixing.csv of {material.spec.of} is empty: motifs.nulls has none that exchanges "
            "partners; add 'degree' there, or leave the panel out"
        )
    for null, rows in table.groupby("null", sort=False):
        left = rows["overlap"].iloc[-1]
        told = "no connection can move" if left == 1 else f"{left:.3f} left"
        label = f"{spoken(str(null))}, {told}"
        ax.plot(
            rows["sweep"], rows["overlap"], "o-", color=colors[null], markersize=2.5, label=label
        )
    ax.axhline(0, color="0.8", linewidth=0.6, zorder=0)
    ax.set(xlabel="sweep", ylabel="overlap with the connectome", ylim=(-0.02, 1.03))
    ax.xaxis.get_major_locator().set_params(integer=True)
    legend_below(ax, ax.get_legend_handles_labels()[0], material.style)
    material.title(ax, "mixing of nulls")
    return ax


def _height(z: float | int | pd.Series) -> float | pd.Series:
    """Position of z on its axis."""
    return np.arcsinh(z / LINEAR)


def _without_z(table: pd.DataFrame) -> pd.Series:
    """Kind of motifs without z; missing for the others."""
    kinds = np.select(
        [table["count"] == table["mean"], table["count"] > table["mean"]],
        ["kept", "more"],
        default="fewer",
    )
    return pd.Series(kinds, table.index).where(table["z"].isna())


def _scores(ax: Axes, table: pd.DataFrame, color: Color) -> None:
    fill = [color if p <= SIGNIFICANT else "white" for p in table["p"]]
    look = {"s": 11, "c": fill, "edgecolors": [color], "linewidths": 0.7}
    ax.scatter(table["at"], _height(table["z"]), zorder=3, **look)


def _across(ax: Axes, motifs: list[str], style: Style) -> float:
    """Names of motifs, those of pairs apart from the triads; returns how far they reach [pt]."""
    for k in range(1, len(motifs)):
        ends = motifs[k - 1] in PAIRS and motifs[k] not in PAIRS
        look = {"color": "0.4", "linewidth": 0.8} if ends else {"color": "0.9", "linewidth": 0.5}
        ax.axvline(k - 0.5, zorder=0, **look)
    ax.set_xticks(range(len(motifs)), motifs, rotation=90)
    ax.tick_params(axis="x", length=0, pad=2)
    ax.set_xlim(-0.5, len(motifs) - 0.5)
    ax.set_xlabel("triads by mutual, single, absent pairs")
    size = style.font_size - 1
    return max(text_width(name, size) for name in motifs) - size - 5


def _up(ax: Axes, limits: tuple[float, float], lines: list[str], lane: float) -> None:
    """The axis of z, and below its end the lines of what has none."""
    low, high = limits
    end = low - lane * len(lines)
    ticks: dict[float, str] = {}
    for z in TICKS:
        if all(_height(z) - abs(tick) >= APART for tick in ticks):
            ticks |= {_height(z): f"{z}", -_height(z): f"−{z}" if z else "0"}
    least = low + 0.5 * lane if lines else low  # below, a tick would meet the name of a line
    ticks = {height: text for height, text in ticks.items() if least <= height <= high}
    ax.axhline(0, color="0.3", linewidth=0.6, zorder=1)
    if lines:
        ax.axhspan(end, low, color=BEYOND, linewidth=0, zorder=-1)
        ax.spines["left"].set_bounds(low, high)
    ticks |= {low - (k + 0.5) * lane: line for k, line in enumerate(lines)}
    ax.set_yticks(list(ticks), list(ticks.values()))
    ax.set(ylim=(end, high), ylabel="$z$ of the number of motifs")

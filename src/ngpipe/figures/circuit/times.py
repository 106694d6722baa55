"""Panels of the times to baseline of a circuit, a row a condition.

Runs that have no time are not left out: they are marked beyond the axis, and counted.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Float
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from ngpipe.config.base import OBSERVED
from ngpipe.config.figures import Style
from ngpipe.config.panels import PanelKind
from ngpipe.figures.circuit.beyond import BEYOND, mark, mark_keys, without_time
from ngpipe.figures.circuit.material import CircuitMaterial, Color, spoken
from ngpipe.figures.drawing.row_names import legend_below, row_names
from ngpipe.figures.drawing.style import small_text, text_width

STEPS = (1, 2, 5, 10)
"""Steps between ticks, times a power of ten."""
SLOT = 0.14
"""Room there for one kind of runs, relative to the axis."""
SPREAD = 0.5
"""Dots of a row lie within it, relative to the distance of rows."""
GOLDEN = 0.618034
HEAD = 0.9
"""Room above the first row for the headings of columns, in rows."""
PREDICTED = {"color": "black", "linewidth": 1.1}
DASH = "–"
"""Stands for a missing number."""
TICK = {"color": "black", "markeredgewidth": 1.1}


PANELS = (
    PanelKind(
        "response_times",
        system="circuit",
        shows="times to baseline of all seeds and conditions, with mean-field prediction, "
        "difference from `observed` and p; runs without a time are set apart",
        reads=("connectome.zarr", "responses.zarr", "measures.csv", "comparison.csv"),
        takes=("conditions",),
        columns=2,
    ),
    PanelKind(
        "effects",
        system="circuit",
        shows="differences of time to baseline, `observed` - condition, of all seeds, with "
        "effect size and number of pairs",
        reads=("connectome.zarr", "measures.csv", "comparison.csv"),
        takes=("conditions",),
        columns=2,
    ),
)
MATERIAL = CircuitMaterial
"""Material of these panels."""


def response_times(material: CircuitMaterial, ax: Axes) -> Axes:
    """Times to baseline of all seeds, a row a condition, and the mean of what mean field predicts.

    There is no such mean where a prediction is that activity does not come back in time. Beside
    them, mean and standard deviation of the differences of pairs, observed - condition, and
    the rank p in pairs, of comparison.csv.
    """
    names, runs = material.conditions(), material.runs()
    runs = runs[runs["condition"].isin(names)]
    for row, name in enumerate(names):
        mine = runs[runs["condition"] == name]
        _dots(ax, row, mine["time_to_baseline"].dropna().to_numpy(), material.colors()[name])
        time = mine["predicted_time"].mean(skipna=False)
        ax.plot([time, time], [row - 0.38, row + 0.38], zorder=4, **PREDICTED)
    high = ceiling(material, runs)
    low = np.nanmin([0.9 * high, *runs["time_to_baseline"], *runs["predicted_time"]])
    _slots(ax, runs, names, (max(0.0, low - 0.06 * (high - low)), high), material.style)
    told = [_differences(material, name) for name in names]
    _labelled(ax, [spoken(n) for n in names], ("difference [s]", "p"), told, material.style)
    ax.set_xlabel("time to baseline [s]")
    legend_below(ax, _keys(runs, no_p=any(p == DASH for _, p in told)), material.style)
    material.title(ax, f"time to baseline, {seeds_of(runs)}")
    return ax


def effects(material: CircuitMaterial, ax: Axes) -> Axes:
    """Differences of time to baseline of pairs, observed - condition, a row a condition.

    Below them, ablation - control. Beside them, the effect (mean over standard deviation) of
    comparison.csv, and how many pairs have a difference: of the others, a run does not come back
    in time.
    """
    names = material.conditions([name for name in material.known if name != OBSERVED])
    shown = [(OBSERVED, name) for name in names] + material.controls(names)
    runs = material.runs()
    times = runs.pivot(index="seed", columns="condition", values="time_to_baseline")
    ax.axvline(0, color="0.3", linewidth=0.6, zorder=0)
    told = []
    for row, (of, name) in enumerate(shown):
        difference = (times[of] - times[name]).dropna().to_numpy()
        _dots(ax, row, difference, material.colors()[name])
        effect = number(float(material.compared(name, of)["effect"]), "+.2f")
        told.append((effect, f"{len(difference)}/{len(times)}"))
    labels = [spoken(name) if of == OBSERVED else _less(of, name) for of, name in shown]
    _labelled(ax, labels, ("effect", "pairs"), told, material.style)
    named = ",\nor as named" if len(shown) > len(names) else ""
    ax.set_xlabel(f"time to baseline [s],\nobserved $-$ condition{named}")
    material.title(ax, f"effects, {seeds_of(runs)}")
    return ax


def _less(of: str, name: str) -> str:
    return f"{spoken(of)} − {spoken(name)}"


def ceiling(material: CircuitMaterial, runs: pd.DataFrame) -> float:
    """Upper end of an axis of times [s]; where runs have none, the longest that is measurable."""
    if not (runs["status"] == "ok").all():
        return material.impulse.duration - material.impulse.end
    return 1.05 * float(np.nanmax(runs[["time_to_baseline", "predicted_time"]].to_numpy()))


def seeds_of(runs: pd.DataFrame) -> str:
    """Number of seeds, in words."""
    n = runs["seed"].nunique()
    return f"{n} seed{'s' if n > 1 else ''}"


def number(value: float, form: str) -> str:
    """A number as written, or a dash where there is none."""
    return format(value, form).replace("-", "−") if np.isfinite(value) else DASH


def _dots(ax: Axes, row: int, values: Float[np.ndarray, " run"], color: Color) -> None:
    """A dot a run, and mean and standard deviation."""
    aside = SPREAD * (np.arange(len(values)) * GOLDEN % 1 - 0.5)
    ax.scatter(values, row + aside, s=6, color=[color], alpha=0.55, linewidths=0, zorder=2)
    if len(values):
        spread = values.std(ddof=1) if len(values) > 1 else 0.0
        look = {"markersize": 3.6, "markeredgecolor": "white", "markeredgewidth": 0.5}
        bar = {"ecolor": "black", "elinewidth": 0.8, "zorder": 3}
        ax.errorbar(values.mean(), row, xerr=spread, fmt="D", color=color, **look, **bar)


def _slots(
    ax: Axes, runs: pd.DataFrame, names: Sequence[str], limits: tuple[float, float], style: Style
) -> None:
    """The axis of times, and beyond its right end the runs without one."""
    (low, high), statuses = limits, without_time(runs)
    slot = SLOT * (high - low)
    end = high + slot * len(statuses)
    ax.set_xticks(
        [tick for tick in MaxNLocator(6, steps=STEPS).tick_values(low, high) if low <= tick <= high]
    )
    ax.set_xlim(low, end)
    if statuses:
        ax.axvspan(high, end, color=BEYOND, linewidth=0, zorder=0)
        ax.spines["bottom"].set_bounds(low, high)
    counts = runs.groupby(["condition", "status"]).size()
    for k, status in enumerate(statuses):
        for row, name in enumerate(names):
            if (name, status) in counts.index:
                where = high + (k + 0.25) * slot, float(row)
                mark(ax, where, status, int(counts[name, status]), "0.2", style)


def _differences(material: CircuitMaterial, name: str) -> tuple[str, str]:
    """Mean and standard deviation of the differences, with their number where pairs lack one; p."""
    if name == OBSERVED:
        return "", ""
    row, seeds = material.compared(name), material.runs()["seed"].nunique()
    mean, spread = (float(row[name]) for name in ("difference", "difference_std"))
    told = f"{number(mean, '+.2f')} ± {number(spread, '.2f')}"
    some = f" ({row['pairs']}/{seeds})" if row["pairs"] < seeds else ""
    return told + some, number(float(row["p"]), ".3f")


def _labelled(
    ax: Axes,
    names: Sequence[str],
    headings: Sequence[str],
    told: Sequence[Sequence[str]],
    style: Style,
) -> None:
    """Names at the left of the rows, and columns of text at their right."""
    ax.set_ylim(len(names) - 0.4, -0.5 - HEAD)
    ax.spines["left"].set_visible(False)
    row_names(ax, names, style)
    size, aside = small_text(style), 4.0
    for heading, column in zip(headings, zip(*told, strict=True), strict=True):
        aside += max(text_width(text, size) for text in (heading, *column))
        for row, text in enumerate((heading, *column), start=-1):
            ax.annotate(
                text,
                (1, row),
                (aside, 0),
                xycoords=ax.get_yaxis_transform(),
                textcoords="offset points",
                ha="right",
                va="center",
                fontsize=size,
                color="0.4" if row < 0 else "black",
                annotation_clip=False,
            )
        aside += 7.0


def _keys(runs: pd.DataFrame, *, no_p: bool) -> list[Artist]:
    look = {"linestyle": "none", "color": "0.3"}
    return [
        Line2D([], [], marker="o", markersize=2.4, label="seed", **look),
        Line2D([], [], marker="D", markersize=3.6, label="mean ± sd", **look),
        Line2D([], [], marker="|", markersize=7, label="mean field", linestyle="none", **TICK),
        *mark_keys(runs),
        *([Line2D([], [], linestyle="none", label=f"p {DASH}: not a null")] if no_p else []),
    ]

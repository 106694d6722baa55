"""The panel of impulse responses of a circuit over time."""

import numpy as np
import pandas as pd
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.lines import Line2D
from matplotlib.patches import Patch

from ngpipe.config.panels import PanelKind
from ngpipe.figures.circuit.material import CircuitMaterial, spoken
from ngpipe.figures.drawing.row_names import legend_below
from ngpipe.figures.drawing.style import small_text

SINGLE = 30
"""Single neurons of a panel that does not say how many."""
GAP = 0.1
"""Gap between pictures, relative to the size of one."""
AFTER = 1.2
"""Time shown after the pulse, relative to the longest time to baseline."""
BELOW = 30
"""Threshold over the least activity shown."""
PULSE, NEURON = "0.9", "0.6"
"""Colours of the pulse and of single neurons."""
INHIBITORY = {"color": "0.15", "linestyle": (0, (3, 1.2)), "linewidth": 0.9}
THRESHOLD = {"color": "0.3", "linestyle": ":", "linewidth": 0.8}


PANELS = (
    PanelKind(
        "impulse_response",
        system="circuit",
        shows="activity of the first seed over time, means and single neurons, with the "
        "time to baseline; for `observed` and the first other condition",
        reads=("connectome.zarr", "responses.zarr", "measures.csv", "metrics.json"),
        takes=("conditions", "neurons"),
        columns=2,
    ),
)
MATERIAL = CircuitMaterial
"""Material of these panels."""


def impulse_response(material: CircuitMaterial, ax: Axes) -> Axes:
    """Activity of the first seed of some conditions, side by side, on a log axis.

    There the decay is a line whose crossing of the threshold can be seen; rest, at 0, cannot.
    """
    names = material.conditions(material.known[:2])
    first = material.runs().drop_duplicates("condition").set_index("condition").loc[names]
    cells = _beside(ax, len(names))
    highest = max(_course(material, cell, name) for cell, name in zip(cells, names, strict=True))
    for cell, name in zip(cells, names, strict=True):
        cell.set(yscale="log", xlim=(0, _end(material, first["time_to_baseline"])))
        cell.set_ylim(material.threshold / BELOW, 3 * max(highest, material.threshold))
        _return(material, cell, first.loc[name])
        cell.set_title(spoken(name), fontsize=small_text(material.style), pad=2)
    ax.set(xlabel="time [s]", ylabel="activity")
    legend_below(ax, _keys(material, names), material.style)
    material.title(ax, f"response to a pulse, seed {first['seed'].iloc[0]}")
    return ax


def _beside(ax: Axes, n: int) -> list[Axes]:
    """Small axes in a row inside ``ax``, whose own axes disappear."""
    width = 1 / (n + (n - 1) * GAP)
    size = float(ax.xaxis.label.get_size())
    cells = [ax.inset_axes((k * width * (1 + GAP), 0, width, 0.92)) for k in range(n)]
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
    for cell in cells[1:]:
        cell.tick_params(labelleft=False)
    ax.xaxis.labelpad, ax.yaxis.labelpad = 1.8 * size, 3.2 * size  # beyond the ticks of the cells
    return cells


def _course(material: CircuitMaterial, cell: Axes, name: str) -> float:
    """Draw the activity of one condition; returns its highest finite value."""
    run, sample = material.first(name), material.responses["sample"].values
    excitatory = material.shown("activity", name)[:, : material.n_exc]
    count = min(material.spec.neurons or SINGLE, material.n_exc)
    chosen = np.linspace(0, material.n_exc - 1, count).astype(int)
    single = [np.column_stack([sample, excitatory[:, k]]) for k in chosen]
    look = {"colors": NEURON, "linewidths": 0.3, "rasterized": True, "zorder": 1}
    cell.axvspan(material.impulse.start, material.impulse.end, color=PULSE, linewidth=0, zorder=0)
    cell.add_collection(LineCollection(single, **look))
    color = material.colors()[name]
    cell.plot(run["time"], run["excitatory"], color=color, linewidth=1.6, zorder=2)
    cell.plot(run["time"], run["inhibitory"], zorder=3, **INHIBITORY)
    every = np.concatenate([run["excitatory"].values, excitatory[:, chosen].ravel()])
    return float(every[np.isfinite(every)].max())


def _end(material: CircuitMaterial, times: pd.Series) -> float:
    """End of the time axis: somewhat after the last return, or the whole run."""
    if times.isna().any():
        return material.impulse.duration
    return min(material.impulse.end + AFTER * times.max(), material.impulse.duration)


def _return(material: CircuitMaterial, cell: Axes, run: pd.Series) -> None:
    """The threshold, and an arrow from the end of the pulse to the return, with its length."""
    start, level = material.impulse.end, material.threshold
    cell.axhline(level, zorder=1, **THRESHOLD)
    if run["status"] == "ok":
        end, text = start + run["time_to_baseline"], f"{run['time_to_baseline']:.2f} s"
    else:
        end, text = material.impulse.duration, spoken(run["status"])
    heads = "<|-|>" if run["status"] == "ok" else "<|-"
    look = {"arrowstyle": heads, "lw": 0.8, "mutation_scale": 5, "shrinkA": 0, "shrinkB": 0}
    cell.annotate("", (end, level), (start, level), arrowprops={**look, "color": "black"}, zorder=5)
    where = {"ha": "center", "va": "top", "textcoords": "offset points"}
    cell.annotate(text, ((start + end) / 2, level), (0, -3), zorder=5, **where)


def _keys(material: CircuitMaterial, names: list[str]) -> list[Artist]:
    colors = material.colors()
    means = [
        Line2D([], [], color=colors[name], linewidth=1.6, label=f"mean of E, {spoken(name)}")
        for name in names
    ]
    return [
        *means,
        Line2D([], [], color=NEURON, linewidth=0.6, label="single E"),
        Line2D([], [], label="mean of I", **INHIBITORY),
        Line2D([], [], label=f"threshold {material.threshold:g}", **THRESHOLD),
        Patch(color=PULSE, label="pulse"),
    ]

"""The panel of times to baseline of a circuit against a swept parameter."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from ngpipe.config.panels import PanelKind
from ngpipe.figures.circuit.beyond import BEYOND, line_height, mark, mark_keys, without_time
from ngpipe.figures.circuit.material import CircuitMaterial, Color, spoken
from ngpipe.figures.circuit.times import STEPS, ceiling, seeds_of
from ngpipe.figures.drawing.row_names import legend_below

Dashes = tuple[float, tuple[float, float]]

LABELS = {
    "network.ee_scale": "scale of measured weights",
    "network.gain": "gain of random weights",
    "network.probability": "connection probability",
    "network.inhibitory": "share of inhibitory neurons",
    "network.balance": "inhibition over excitation",
    "neurons.tau": "time constant [s]",
}
"""Axis labels of swept keys; for others, the key itself."""
KEY = (0, (2.5, 1.2))
"""Dashes of the key of what mean field predicts."""
ASIDE = 0.16
"""Distance of conditions at one value, relative to the smallest step."""


PANELS = (
    PanelKind(
        "response_sweep",
        system="circuit",
        shows="times to baseline against a swept parameter for all conditions, with "
        "mean-field prediction; runs without a time are set apart",
        reads=("connectome.zarr", "responses.zarr", "measures.csv"),
        needs=("parameter",),
        takes=("conditions",),
    ),
)
MATERIAL = CircuitMaterial
"""Material of these panels."""


def response_sweep(material: CircuitMaterial, ax: Axes) -> Axes:
    """Times to baseline of all seeds at each value, conditions side by side.

    Lines join the means of values at which all runs come back. Where some do not, the mean of the
    others is hollow, as it is too small; above, all that do not are marked and counted.
    """
    names, key = material.conditions(), str(material.spec.parameter)
    runs = material.runs(key)
    runs = runs[runs["condition"].isin(names)]
    places, labels = _places(runs["value"])
    step = float(np.diff(np.unique(places)).min()) if len(np.unique(places)) > 1 else 1.0
    shift = {name: ASIDE * step * (k - (len(names) - 1) / 2) for k, name in enumerate(names)}
    runs = runs.assign(place=places, at=places + runs["condition"].map(shift).to_numpy(float))
    for name in names:
        mine = runs[runs["condition"] == name]
        _course(ax, mine, material.colors()[name], None if labels else _dashes(name, names))
    _lanes(material, ax, runs, names)
    if labels:
        ax.set_xticks(range(len(labels)), labels)
    ax.set_xlim(places.min() - 0.5 * step, places.max() + 0.6 * step)
    ax.set(xlabel=LABELS.get(key, key), ylabel="time to baseline [s]")
    legend_below(ax, _keys(material, runs, names), material.style)
    material.title(ax, seeds_of(runs))
    return ax


def _places(values: pd.Series) -> tuple[np.ndarray, list[str]]:
    """Position of each value on the x axis, and names if some values are not numbers."""
    text = pd.Series(["none" if pd.isna(value) else str(value) for value in values])  # null
    numbers = pd.to_numeric(text, errors="coerce")
    if numbers.notna().all():
        return numbers.to_numpy(float), []
    codes, names = pd.factorize(text)
    return codes.astype(float), [str(name) for name in names]


def _dashes(name: str, names: Sequence[str]) -> Dashes:
    """Dashes of the mean-field prediction; they alternate if conditions share a prediction."""
    return 4.0 * names.index(name), (3.0, 4.0 * len(names) - 3.0)


def _partly(runs: pd.DataFrame) -> bool:
    """True if, at some value, some runs of a condition have a time and others have none."""
    share = runs["time_to_baseline"].notna().groupby(runs["at"]).mean()
    return bool(((share > 0) & (share < 1)).any())


def _course(ax: Axes, runs: pd.DataFrame, color: Color, dashes: Dashes | None) -> None:
    """Dots, means and, dashed, predictions of one condition; without dashes nothing is joined."""
    ax.scatter(
        runs["at"], runs["time_to_baseline"], s=5, color=[color], alpha=0.4, linewidths=0, zorder=2
    )
    places = runs.groupby(["place", "at"])[["time_to_baseline", "predicted_time"]]
    whole = places.agg(lambda times: times.mean(skipna=False)).reset_index()
    look = {"color": color, "markersize": 3, "marker": "o", "zorder": 3}
    ax.plot(
        whole["at"],
        whole["time_to_baseline"],
        linewidth=1.0,
        linestyle="-" if dashes else "none",
        **look,
    )
    some = places.mean().reset_index()[whole["time_to_baseline"].isna()]
    ax.plot(some["at"], some["time_to_baseline"], linestyle="none", markerfacecolor="white", **look)
    predicted = {"color": color, "linewidth": 0.9, "linestyle": dashes or "none", "marker": "_"}
    ax.plot(whole["place"], whole["predicted_time"], markersize=4, **predicted)


def _lanes(material: CircuitMaterial, ax: Axes, runs: pd.DataFrame, names: Sequence[str]) -> None:
    """The axis of times, and above its end a line of marks a status and condition."""
    style, high = material.style, ceiling(material, runs)
    lines = [
        (status, name)
        for status in without_time(runs)
        for name in names
        if ((runs["status"] == status) & (runs["condition"] == name)).any()
    ]
    lane = line_height(ax, high, len(lines), style)
    heights = {line: high + (k + 0.5) * lane for k, line in enumerate(lines)}
    end = high + len(lines) * lane
    ax.set_ylim(0, end)
    if lines:
        ax.axhspan(high, end, color=BEYOND, linewidth=0, zorder=0)
        ax.spines["left"].set_bounds(0, high)
    ticks = MaxNLocator(5, steps=STEPS).tick_values(0, high)
    ax.set_yticks([tick for tick in ticks if 0 <= tick <= high])
    counts = runs.groupby(["status", "condition", "at"]).size()
    for (status, name, at), count in counts.items():
        if (status, name) in heights:
            color = material.colors()[name]
            mark(ax, (at, heights[status, name]), status, int(count), color, style)


def _keys(material: CircuitMaterial, runs: pd.DataFrame, names: Sequence[str]) -> list[Line2D]:
    colors = material.colors()
    look = {"color": "0.3", "marker": "o", "markersize": 3}
    keys = [
        Line2D([], [], color=colors[name], marker="o", markersize=3, label=spoken(name))
        for name in names
    ]
    keys.append(Line2D([], [], color="0.3", linestyle=KEY, label="mean field"))
    if _partly(runs):
        label = "mean of those back"
        keys.append(Line2D([], [], linestyle="none", markerfacecolor="white", label=label, **look))
    return [*keys, *mark_keys(runs)]

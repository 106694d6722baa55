"""Panels of activity over time."""

import matplotlib as mpl
import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.lines import Line2D

from ngpipe.config.panels import PanelKind
from ngpipe.figures.assembly.material import AssemblyMaterial
from ngpipe.figures.assembly.stretches import mark_cuts, stretches
from ngpipe.figures.assembly.structure import annotate
from ngpipe.figures.drawing.material import pretty

MOST_POINTS = 1_500
"""Points a trace is drawn with: more would not be seen."""


PANELS = (
    PanelKind(
        "activity",
        system="assembly",
        shows="activity of some neurons, offset; gaps stay empty, and strokes mark where the axis "
        "is cut",
        reads=("simulation.zarr",),
        takes=("frames", "neurons"),
    ),
    PanelKind(
        "rollout",
        system="assembly",
        shows="predicted over held-out activity of some neurons",
        reads=("rollout.zarr",),
        takes=("frames", "neurons"),
    ),
    PanelKind(
        "rollout_scatter",
        system="assembly",
        shows="predicted against held-out activity, all neurons, at one frame",
        reads=("rollout.zarr", "metrics.csv"),
        needs=("frame",),
    ),
)
MATERIAL = AssemblyMaterial
"""Material of these panels."""


def activity(material: AssemblyMaterial, ax: Axes) -> Axes:
    """Activity of evenly spaced neurons over the first frames, offset from one another.

    Gaps of a recording stay empty. The axis is cut, visibly, at long gaps and where a session
    starts time again.
    """
    source = material.simulation["activity"]
    frames = min(material.spec.frames or 10_000, source.sizes["time"])
    chosen = _spread(source.sizes["neuron"], material.spec.neurons or 40)
    step = max(1, frames // MOST_POINTS)
    unit, of_time = material.time_unit(material.simulation)
    parts = stretches(material.simulation, frames, unit)
    shown = source.isel(time=slice(0, frames)).load().isel(neuron=chosen)
    if material.recorded:  # every cell has its own baseline
        shown = shown - shown.median("time").fillna(0)
    gap = 2.0 * float(shown[::step].std())
    colors = mpl.colormaps[material.style.activity_colormap](np.linspace(0, 0.92, len(chosen)))
    for part in parts:
        values = shown[part.frames].values[::step]
        for k, color in enumerate(colors):
            look = {"color": color, "linewidth": 0.5, "rasterized": True}
            ax.plot(part.time[::step], values[:, k] + k * gap, **look)
    mark_cuts(ax, parts)
    _finish(ax, (parts[0].time[0], parts[-1].time[-1]), gap, len(chosen))
    cut = ", breaks cut short" if any(part.cut for part in parts) else ""
    ax.set_xlabel(f"time [{pretty(of_time)}]{cut}")
    _scale_bar(ax, source, gap)
    ax.set_title(f"activity of {len(chosen)} of {source.sizes['neuron']} neurons")
    return ax


def rollout(material: AssemblyMaterial, ax: Axes) -> Axes:
    """Predicted over held-out activity of some neurons, from one frame on."""
    frames = material.spec.frames or material.rollout.sizes["time"]
    data = material.rollout.isel(time=slice(0, frames))
    chosen = _spread(data.sizes["neuron"], material.spec.neurons or 10)
    truth, estimate = (data[n].isel(neuron=chosen).load() for n in ("activity", "activity_hat"))
    gap = 3.0 * float(truth.std())
    color = material.style.learned_color
    unit, of_time = material.time_unit(material.rollout)
    time = unit * truth["time"].values
    for k in range(len(chosen)):
        ax.plot(time, truth[:, k] + k * gap, color=material.style.truth_color, lw=2.2)
        ax.plot(time, estimate[:, k] + k * gap, color=color, lw=0.8)
    _finish(ax, (time[0], time[-1]), gap, len(chosen))
    ax.set_xlabel(f"time [{pretty(of_time)}]")
    _scale_bar(ax, truth, gap)
    handles = [
        Line2D([], [], color=material.style.truth_color, lw=2.2, label="held out"),
        Line2D([], [], color=color, lw=0.8, label="rollout"),
    ]
    ax.legend(handles=handles, ncols=2, loc="upper right", borderaxespad=0.0)
    ax.set_ylim(-1.5 * gap, (len(chosen) + 1.2) * gap)
    ax.set_title("rollout from a held-out frame")
    return ax


def rollout_scatter(material: AssemblyMaterial, ax: Axes) -> Axes:
    """Predicted against held-out activity of all neurons, one frame after the start."""
    frame = material.spec.frame
    truth, estimate = (
        material.rollout[name].isel(time=frame).values for name in ("activity", "activity_hat")
    )
    reach = 1.05 * float(np.abs(truth).max())
    ax.plot([-reach, reach], [-reach, reach], color="0.7", linewidth=0.8, zorder=0)
    ax.scatter(truth, estimate, s=3, color="0.1", alpha=0.5, linewidths=0)
    ax.set(xlim=(-reach, reach), ylim=(-reach, reach), aspect="equal")
    ax.set(xlabel="held-out activity $x_i$", ylabel="predicted activity")
    r2, slope = (material.metric(f"rollout_{frame}", m) for m in ("r2", "slope"))
    scores = f"$R^2$ = {r2:.4f}\nslope = {slope:.3f}"
    annotate(ax, "the model has diverged" if np.isnan(estimate).any() else scores)
    ax.set_title(f"rollout after {frame} frames")
    return ax


def _finish(ax: Axes, ends: tuple[float, float], gap: float, n: int) -> None:
    ax.set(yticks=[], ylim=(-1.5 * gap, (n + 0.5) * gap), xlim=ends)
    ax.spines["left"].set_visible(False)


def _scale_bar(ax: Axes, source: xr.DataArray, gap: float) -> None:
    """A vertical bar with its length in units of activity, in place of an axis."""
    height = float(f"{2 * gap:.0e}")
    units = source.attrs.get("units", "1")
    ax.plot(
        [-0.015, -0.015],
        [0, height],
        color="k",
        lw=1.2,
        clip_on=False,
        transform=ax.get_yaxis_transform(),
    )
    ax.text(
        -0.03,
        0,
        f"{height:g}" if units == "1" else f"{height:g} {pretty(units)}",
        rotation=90,
        ha="right",
        va="bottom",
        fontsize="small",
        transform=ax.get_yaxis_transform(),
    )


def _spread(n: int, wanted: int) -> np.ndarray:
    """Up to ``wanted`` indices, evenly spaced over 0 .. n - 1.

    Every type has about its share, be types in order or shuffled.
    """
    return np.unique(np.linspace(0, n - 1, min(n, wanted)).astype(int))

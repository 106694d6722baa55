"""Panels of the neurons: latents, update functions, transfer function."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgba
from matplotlib.lines import Line2D

from ngpipe.figures.material import Material, pretty
from ngpipe.figures.structure import annotate
from ngpipe.figures.style import type_colors


def latents(material: Material, ax: Axes) -> Axes:
    """The first two latent dimensions of every neuron, coloured by true type."""
    points, types = material.recovery["latent"].values, material.shown_types()
    x, y = points[:, 0], points[:, 1] if points.shape[1] > 1 else np.zeros(len(points))
    colors = type_colors(types, material.style)
    ax.scatter(x, y, s=9, c=colors, alpha=0.5, linewidths=0, rasterized=len(x) > 3000)
    ax.set(xlabel="latent $a_{i1}$", ylabel="latent $a_{i2}$")
    found = material.recovery.attrs["n_types"]
    ax.set_title(f"latents, {found} type{'s' if found > 1 else ''} found")
    ax.margins(0.12)
    return ax


def phi(material: Material, ax: Axes) -> Axes:
    """phi*(a_i, x) of all neurons on their visited range, over the true functions."""
    learned = material.recovery["phi"]
    types = material.shown_types()
    inside = _inside(material.recovery)
    if "phi" in material.simulation:
        for curve in material.simulation["phi"]:
            _truth(ax, curve, material)
    curves = np.where(inside, learned.values, np.nan)
    _lines(ax, learned["x"].values, curves, type_colors(types, material.style), alpha=0.15)
    low, high = _range(material.recovery)
    shown = curves[:, (learned["x"] >= low) & (learned["x"] <= high)]
    bottom, top = np.nanmin(shown), np.nanmax(shown)
    margin = 0.05 * (top - bottom)
    ax.set(xlim=(low, high), ylim=(bottom - margin, top + margin))
    ax.set(xlabel="activity $x_i$", ylabel=f"$\\phi^*(a_i, x_i)$ [{_units(learned)}]")
    ax.set_title("update functions")
    _legend(ax, material, "phi", loc="upper right")
    return ax


def psi(material: Material, ax: Axes) -> Axes:
    """psi* over the true function, on the inner part of the visited range, where it bends."""
    learned = material.recovery["psi"]
    if "psi" in material.simulation:
        for curve in material.simulation["psi"]:
            _truth(ax, curve, material)
    x = learned["x"].values
    color = np.array([to_rgba(material.style.learned_color)])
    _lines(ax, x, np.unique(learned.values, axis=0), color, alpha=1.0)
    reach = min(12.0, float(np.abs(x).max()))
    ax.set(xlim=(-reach, reach), ylim=(-1.25, 1.25))
    ax.set(xlabel="activity $x_j$", ylabel="$\\psi^*(x_j)$")
    ax.set_title("transfer function")
    _legend(ax, material, "psi", loc="lower right")
    return ax


def _truth(ax: Axes, curve: xr.DataArray, material: Material) -> None:
    ax.plot(
        curve["x"],
        curve,
        color=material.style.truth_color,
        linewidth=4,
        solid_capstyle="butt",
        zorder=1,
    )


def _lines(ax: Axes, x: np.ndarray, curves: np.ndarray, colors: np.ndarray, alpha: float) -> None:
    segments = [np.column_stack([x, y])[np.isfinite(y)] for y in curves]
    lines = LineCollection(
        segments, colors=colors, alpha=alpha, linewidths=0.9, zorder=2, rasterized=len(curves) > 20
    )
    ax.add_collection(lines)


def _legend(ax: Axes, material: Material, name: str, loc: str) -> None:
    handles = [Line2D([], [], color=material.style.learned_color, label="learned")]
    if name == "phi":
        handles[0].set_color("0.2")
    if name in material.simulation:
        truth = Line2D([], [], color=material.style.truth_color, linewidth=4, label="true")
        handles.append(truth)
    ax.legend(handles=handles, handlelength=1.4, loc=loc)
    if name in set(material.metrics["quantity"]):
        bottom = loc == "upper right"
        annotate(ax, f"NRMSE {material.metric(name, 'nrmse'):.4f}", bottom=bottom)


def _inside(recovery: xr.Dataset) -> np.ndarray:
    x, bounds = recovery["x"].values, recovery["visited"].values
    return (x >= bounds[:, :1]) & (x <= bounds[:, 1:])


def _range(recovery: xr.Dataset) -> tuple[float, float]:
    """The range that the typical neuron visits, symmetric."""
    reach = float(np.median(np.abs(recovery["visited"].values)))
    return -reach, reach


def _units(array: xr.DataArray) -> str:
    return pretty(array.attrs["units"])

"""Panels of the neurons: latents, update functions, transfer functions."""

from collections.abc import Mapping

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import to_rgba
from matplotlib.lines import Line2D

from ngpipe.config.panels import PanelKind
from ngpipe.figures.assembly.material import AssemblyMaterial
from ngpipe.figures.assembly.structure import annotate
from ngpipe.figures.drawing.material import labelled
from ngpipe.figures.drawing.row_names import legend_below
from ngpipe.figures.drawing.style import type_colors

MOST_NAMED = 10
"""Types whose colours are named."""
FAINT = 15.0
"""Opacity of the curves of all neurons together, of which each has a share."""
MOST_RECEIVERS = 4
"""Types of receivers whose transfer functions are drawn."""


PANELS = (
    PanelKind(
        "latents",
        system="assembly",
        shows="latent vectors a_i, coloured by true type, or by the type found if the true one is "
        "unknown",
        reads=("simulation.zarr", "recovery.zarr"),
    ),
    PanelKind(
        "phi",
        system="assembly",
        shows="phi*(a_i, x) of all neurons where they were visited, over the true functions if "
        "they are known",
        reads=("simulation.zarr", "recovery.zarr", "metrics.csv"),
        takes=("reach",),
    ),
    PanelKind(
        "psi",
        system="assembly",
        shows="psi* over the true function if it is known; if psi* depends on neurons or pairs of "
        "types, all of them, coloured by type",
        reads=("simulation.zarr", "recovery.zarr", "metrics.csv"),
        takes=("reach",),
    ),
)
MATERIAL = AssemblyMaterial
"""Material of these panels."""


def latents(material: AssemblyMaterial, ax: Axes) -> Axes:
    """The first two latent dimensions of every neuron, coloured by true type."""
    points, types = material.recovery["latent"].values, material.shown_types()
    x, y = points[:, 0], points[:, 1] if points.shape[1] > 1 else np.zeros(len(points))
    colors = type_colors(types, material.style)
    ax.scatter(x, y, s=9, c=colors, alpha=0.5, linewidths=0, rasterized=len(x) > 3000)
    ax.set(xlabel="latent $a_{i1}$", ylabel="latent $a_{i2}$")
    found = material.recovery.attrs["n_types"]
    told = f"{found} type{'s' if found > 1 else ''} found"
    known = material.recovery.attrs.get("types_told", "yes") == "yes"
    ax.set_title(f"latents, {told if known else 'types unknown'}")
    ax.margins(0.12)
    _type_legend(ax, material, types)
    return ax


def phi(material: AssemblyMaterial, ax: Axes) -> Axes:
    """phi*(a_i, x) of all neurons on their visited range, over the true functions."""
    learned = material.recovery["phi"]
    types = material.shown_types()
    inside = _inside(material.recovery)
    if "phi" in material.simulation:
        for curve in material.simulation["phi"]:
            _truth(ax, curve, material)
    curves = np.where(inside, learned.values, np.nan)
    alpha = max(0.15, min(0.8, FAINT / len(curves)))
    _lines(ax, learned["x"].values, curves, type_colors(types, material.style), alpha=alpha)
    _limit(ax, learned, curves, material)
    ax.set(xlabel=_across("i", learned), ylabel=labelled("$\\phi^*(a_i, x_i)$", learned))
    ax.set_title("update functions")
    _legend(ax, material, "phi", loc="upper right")
    return ax


def psi(material: AssemblyMaterial, ax: Axes) -> Axes:
    """psi* over the true functions: one curve, or one a neuron or pair of types if they differ."""
    draw = {"activity": _one_psi, "pair": _psi_of_pairs}
    return draw.get(_psi_of(material.recovery), _psi_of_neurons)(material, ax)


def _one_psi(material: AssemblyMaterial, ax: Axes) -> Axes:
    """The one psi*, on the inner part of the visited range, where it bends."""
    learned = material.recovery["psi"]
    if "psi" in material.simulation:
        for curve in material.simulation["psi"]:
            _truth(ax, curve, material)
    x = learned["x"].values
    color = np.array([to_rgba(material.style.learned_color)])
    _lines(ax, x, np.unique(learned.values, axis=0), color, alpha=1.0)
    if "psi" in material.simulation or material.spec.reach is not None:
        reach = material.spec.reach or min(12.0, float(np.abs(x).max()))
        ax.set(xlim=(-reach, reach), ylim=(-1.25, 1.25))
    else:
        _limit(ax, learned, learned.values, material)
    ax.set(xlabel=_across("j", learned), ylabel="$\\psi^*(x_j)$")
    ax.set_title("transfer function")
    _legend(ax, material, "psi", loc="lower right")
    return ax


def _psi_of_neurons(material: AssemblyMaterial, ax: Axes) -> Axes:
    """psi* of every neuron, coloured by true type, where it was visited."""
    learned, side = material.recovery["psi"], _psi_of(material.recovery)
    inside = _inside(material.recovery)
    if side == "receiver":  # what it receives is other neurons' activity: where most of them go
        inside = np.broadcast_to(inside.mean(axis=0) > 0.5, inside.shape)
    if "psi" in material.simulation:
        for curve in material.simulation["psi"]:
            _truth(ax, curve, material)
    curves = np.where(inside, learned.values, np.nan)
    colors = type_colors(material.shown_types(), material.style)
    _lines(ax, learned["x"].values, curves, colors, alpha=0.15)
    _limit(ax, learned, curves, material)
    index = {"sender": "j", "receiver": "i"}[side]
    ax.set(xlabel=_across("j", learned), ylabel=f"$\\psi^*(a_{index}, x_j)$")
    ax.set_title(f"transfer functions of {side}s")
    _legend(ax, material, "psi", loc="lower right")
    return ax


def _psi_of_pairs(material: AssemblyMaterial, ax: Axes) -> Axes:
    """psi* of all pairs of found types: a small picture a receiver, a colour a sender."""
    learned, types = material.recovery["psi"], material.shown_types()
    found = material.recovery["neuron_type"].values
    types = np.unique(types, return_inverse=True)[1]
    known_as = [int(np.bincount(types[found == k]).argmax()) for k in range(found.max() + 1)]
    first = [int(np.flatnonzero(found == k)[0]) for k in learned["sender_type"].values]
    curves = np.where(_inside(material.recovery)[first], learned.values, np.nan)
    color = dict(zip(types.tolist(), type_colors(types, material.style), strict=True))
    receivers = np.unique(learned["receiver_type"])[:MOST_RECEIVERS]
    for receiver, cell in zip(receivers, _cells(ax, len(receivers)), strict=True):
        for curve in _true_psi_of(known_as[receiver], material.simulation):
            _truth(cell, curve, material)
        mine = learned["receiver_type"].values == receiver
        senders = [known_as[k] for k in learned["sender_type"].values[mine]]
        colors = np.array([color[k] for k in senders])
        _lines(cell, learned["x"].values, curves[mine], colors, alpha=1.0)
        _limit(cell, learned, curves, material)
        cell.set_title(f"to type {known_as[receiver] + 1}", fontsize="small", pad=2)
    _legend_of_pairs(ax, material, color)
    ax.set(xlabel=_across("j", learned), ylabel="$\\psi^*(a_i, a_j, x_j)$")
    ax.set_title("transfer functions of pairs of types")
    return ax


def _true_psi_of(receiver: int, simulation: xr.Dataset) -> xr.DataArray | tuple[()]:
    """The true functions of what a type receives."""
    if "psi" not in simulation:
        return ()
    psi = simulation["psi"]
    if psi.dims[0] == "pair":
        n = round(len(psi) ** 0.5)
        return psi[receiver * n : (receiver + 1) * n]
    return psi[receiver : receiver + 1] if _psi_of(simulation) == "receiver" else psi


def _cells(ax: Axes, n: int) -> list[Axes]:
    """Small axes inside ``ax``, whose own axes disappear; ticks are labelled at the rim only."""
    columns, rows = min(n, 2), -(-n // 2)
    width, height = 1 / columns, 1 / rows
    corners = [(k % columns * width, 1 - (k // columns + 1) * height) for k in range(n)]
    cells = [ax.inset_axes((*corner, 0.9 * width, 0.8 * height)) for corner in corners]
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
    for k, cell in enumerate(cells):
        cell.locator_params(nbins=4)
        cell.tick_params(labelleft=k % columns == 0, labelbottom=k + columns >= n)
    size = float(ax.xaxis.label.get_size())
    ax.xaxis.labelpad, ax.yaxis.labelpad = 2 * size, 3.5 * size  # beyond the ticks of the cells
    return cells


def _across(index: str, learned: xr.DataArray) -> str:
    """Label of the axis of activity, with the unit of the recording."""
    return labelled(f"activity $x_{index}$", learned["x"])


def _psi_of(dataset: xr.Dataset) -> str:
    """Arguments of psi besides activity; none in stores that do not say."""
    return dataset["psi"].attrs.get("of", "activity")


def _limit(ax: Axes, learned: xr.DataArray, curves: np.ndarray, material: AssemblyMaterial) -> None:
    """Show what lies in the typical visited range, or as far as the panel asks.

    Of a recording that is the range that its neurons visit, which need not be symmetric.
    """
    low, high = _range(material.recovery)
    if "phi" not in material.simulation:
        ends = material.recovery["visited"].values
        low, high = float(np.quantile(ends[:, 0], 0.02)), float(np.quantile(ends[:, 1], 0.98))
    if material.spec.reach is not None:
        low, high = -material.spec.reach, material.spec.reach
    shown = curves[:, (learned["x"] >= low) & (learned["x"] <= high)]
    bottom, top = np.nanmin(shown), np.nanmax(shown)
    margin = 0.05 * (top - bottom)
    ax.set(xlim=(low, high), ylim=(bottom - margin, top + margin))


def _truth(ax: Axes, curve: xr.DataArray, material: AssemblyMaterial) -> None:
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


def _type_legend(ax: Axes, material: AssemblyMaterial, types: np.ndarray) -> None:
    """The colours of types, which are the same in all panels; more than ten are not named."""
    kinds, first = np.unique(types, return_index=True)
    if not 1 < len(kinds) <= MOST_NAMED:
        return
    known = "true type" if "neuron_type" in material.simulation else "type found"
    if known == "type found" and material.recovery.attrs.get("types_told", "yes") != "yes":
        known = "group by phi*"
    names = [k + 1 if isinstance(k, int) else k for k in kinds.tolist()]
    colors = type_colors(types, material.style)[first]
    look = {"marker": "o", "linestyle": "none", "markersize": 3.5}
    handles = [
        Line2D([], [], color=c, label=f"{n}", **look) for n, c in zip(names, colors, strict=True)
    ]
    legend_below(ax, handles, material.style, title=known)


def _legend(ax: Axes, material: AssemblyMaterial, name: str, loc: str) -> None:
    handles = [Line2D([], [], color=material.style.learned_color, label="learned")]
    if name == "phi" or _psi_of(material.recovery) != "activity":  # lines in many colours
        handles[0].set_color("0.2")
    if name in material.simulation:
        truth = Line2D([], [], color=material.style.truth_color, linewidth=4, label="true")
        handles.append(truth)
    ax.legend(handles=handles, handlelength=1.4, loc=loc)
    if name in set(material.metrics["quantity"]):
        bottom = loc == "upper right"
        annotate(ax, f"NRMSE {material.metric(name, 'nrmse'):.4f}", bottom=bottom)


def _legend_of_pairs(ax: Axes, material: AssemblyMaterial, color: Mapping[int, np.ndarray]) -> None:
    """The senders' colours beside the cells, and the error."""
    handles = [Line2D([], [], color=color[k], label=f"from {k + 1}") for k in sorted(color)]
    if "psi" in material.simulation:
        truth = Line2D([], [], color=material.style.truth_color, linewidth=4, label="true")
        handles.append(truth)
    ax.legend(handles=handles, handlelength=1.4, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    if "psi" in set(material.metrics["quantity"]):
        text = f"NRMSE\n{material.metric('psi', 'nrmse'):.4f}"
        ax.text(1.03, 0.04, text, transform=ax.transAxes, fontsize="small")


def _inside(recovery: xr.Dataset) -> np.ndarray:
    x, bounds = recovery["x"].values, recovery["visited"].values
    return (x >= bounds[:, :1]) & (x <= bounds[:, 1:])


def _range(recovery: xr.Dataset) -> tuple[float, float]:
    """The range that the typical neuron visits, symmetric."""
    reach = float(np.median(np.abs(recovery["visited"].values)))
    return -reach, reach

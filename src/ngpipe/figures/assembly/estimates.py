"""Panels of the estimated connectivity: W, its standard errors, and the connections called."""

import numpy as np
from jaxtyping import Bool, Float, Int
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from ngpipe.config.panels import PanelKind
from ngpipe.errors import StoreError
from ngpipe.figures.assembly.material import AssemblyMaterial
from ngpipe.figures.assembly.structure import annotate
from ngpipe.figures.drawing.material import labelled
from ngpipe.figures.drawing.row_names import height_of, width_of

PALE = 0.25
"""Opacity of weights that are not called present."""
LEAST = 0.1
"""Smallest |W| / error shown."""
ROOM = 12.0
"""Largest |W| / error on the axis, over the largest there is: room for the legend."""
SHOWN, LEVEL = 240, 1.96
"""Most intervals that are drawn, and their half-width in standard errors: 95 %."""


PANELS = (
    PanelKind(
        "connectivity_estimates",
        system="assembly",
        shows="learned W by type, pale where no connection is called present; beside it |W| / "
        "standard error of every weight against W, with the number of connections called at the "
        "false-discovery rate aimed at",
        reads=("recovery.zarr",),
        columns=2,
    ),
    PanelKind(
        "connectivity_errors",
        system="assembly",
        shows="learned W in order of size, each with its 95 % interval, coloured where a "
        "connection is called present, with the share of intervals that exclude 0; 240 weights, "
        "evenly spaced in this order, if there are more",
        reads=("recovery.zarr",),
    ),
)
MATERIAL = AssemblyMaterial
"""Material of these panels."""


def connectivity_estimates(material: AssemblyMaterial, ax: Axes) -> Axes:
    """W as a heat map by type, and |W| / error of every weight; no truth is read.

    Raises:
        StoreError: W has no standard errors.
    """
    recovery = material.recovery
    _check_errors(material)
    left, right = _sides(ax)
    _map(material, left)
    _significance(material, right)
    off = ~np.eye(len(recovery["connected"]), dtype=bool)
    called, level = recovery["connected"].values[off] != 0, recovery["connected"].attrs
    told = f"{called.sum():,} of {len(called):,} connections called"
    ax.set_title(f"W: {told}, false discoveries ≤ {100 * level['false_discovery']:g} %")
    return ax


def connectivity_errors(material: AssemblyMaterial, ax: Axes) -> Axes:
    """W in order of size, with the intervals that hold the true weight in 95 % of cases.

    Raises:
        StoreError: W has no standard errors.
    """
    _check_errors(material)
    weights, error, called = _tested(material)
    order = np.argsort(weights, kind="stable")
    shown = order[np.linspace(0, len(order) - 1, min(SHOWN, len(order))).round().astype(int)]
    place = np.linspace(1, len(weights), len(shown))
    colors = np.where(called[shown], material.style.learned_color, "0.6")
    ends = weights[shown] + LEVEL * error[shown] * np.array([[-1.0], [1.0]])
    ax.vlines(place, *ends, color=colors, linewidth=0.7, rasterized=True)
    ax.scatter(place, weights[shown], s=3, color=colors, linewidths=0, zorder=3)
    ax.axhline(0, color="k", linewidth=0.6, linestyle=":")
    room = 0.3 * np.ptp(ends)
    ax.set(xlim=(0, len(weights) + 1), ylim=(ends.min() - 0.05 * room, ends.max() + room))
    told = f"{100 * np.mean(np.abs(weights) > LEVEL * error):.0f} % exclude 0"
    some = f"\n{len(shown)} of {len(weights):,} shown" if len(shown) < len(weights) else ""
    annotate(ax, f"{told}\nmedian error {np.median(error):.2g}{some}")
    ax.set_xlabel("weights in order of size")
    ax.set_ylabel(labelled("learned $W_{ij}$", material.recovery["connectivity"]))
    ax.set_title("W with 95 % intervals")
    return ax


def _check_errors(material: AssemblyMaterial) -> None:
    recovery = material.recovery
    if "connectivity_error" not in recovery or "connected" not in recovery:
        raise StoreError(
            f"panel kind '{material.spec.kind}' draws standard errors of W, which recovery.zarr "
            f"of experiment '{material.spec.of}' does not hold: its recording is too short for "
            "them, or an older ngpipe made it; leave the panel out of the figure, or run the step "
            "recover again"
        )


def _sides(ax: Axes) -> tuple[Axes, Axes]:
    """A square cell at the left, another at the right; the panel's own axes disappear."""
    ax.set(xticks=[], yticks=[])
    ax.spines[:].set_visible(False)
    side = min(0.42, height_of(ax) / width_of(ax))
    return ax.inset_axes((0, 0, side, 1)), ax.inset_axes((side + 0.31, 0, 0.69 - side, 1))


def _map(material: AssemblyMaterial, ax: Axes) -> None:
    """W with rows and columns by type, in the order of the recording within a type."""
    recovery = material.recovery
    types = recovery["neuron_type"].values
    order = np.argsort(types, kind="stable")
    weights = recovery["connectivity"].values[np.ix_(order, order)]
    called = recovery["connected"].values[np.ix_(order, order)] != 0
    shown = np.abs(weights[called]) if called.any() else np.abs(weights)
    limit = float(np.nanquantile(shown, 0.98)) or 1.0
    image = ax.imshow(
        weights,
        cmap=material.style.weight_colormap,
        vmin=-limit,
        vmax=limit,
        alpha=np.where(called, 1.0, PALE),
        interpolation="nearest",
        rasterized=True,
    )
    _by_type(ax, np.sort(types))
    by = ", by type" if types.max() > types.min() else ""
    ax.set(xlabel=f"pre $j${by}", ylabel=f"post $i${by}")
    for spine in ax.spines.values():
        spine.set_visible(True)
    bar = ax.figure.colorbar(image, cax=ax.inset_axes((1.05, 0.1, 0.05, 0.8)), extend="both")
    bar.solids.set_alpha(1)
    bar.locator = MaxNLocator(4)
    bar.set_label(labelled("$W_{ij}$", recovery["connectivity"]))


def _by_type(ax: Axes, types: Int[np.ndarray, " neuron"]) -> None:
    """Lines between types, and their numbers; the numbers of neurons if there is one type."""
    n, ends = len(types), np.flatnonzero(np.diff(types)) + 1
    if not len(ends):
        for axis in (ax.xaxis, ax.yaxis):
            axis.set_ticks([0, n - 1], ["1", str(n)])
        return
    for end in ends - 0.5:
        ax.axhline(end, color="0.3", linewidth=0.4)
        ax.axvline(end, color="0.3", linewidth=0.4)
    edges = np.array([0, *ends, n])
    middle, names = (edges[1:] + edges[:-1] - 1) / 2, [f"{k + 1}" for k in np.unique(types)]
    # Names of types too small to be told apart are left out.
    named = np.diff(edges) > 0.05 * n
    for axis in (ax.xaxis, ax.yaxis):
        axis.set_ticks(middle[named], [name for name, k in zip(names, named, strict=True) if k])
        axis.set_tick_params(length=0)


def _significance(material: AssemblyMaterial, ax: Axes) -> None:
    """|W| / error against W, off the diagonal."""
    weights, error, called = _tested(material)
    ratio = np.abs(weights) / error
    color = material.style.learned_color
    for mine, look in ((~called, "0.55"), (called, color)):
        size = 4 if len(weights) < 10_000 else 1
        dots = {"s": size, "color": look, "alpha": 0.5, "linewidths": 0, "rasterized": True}
        ax.scatter(weights[mine], np.maximum(ratio[mine], LEAST), **dots)
    if called.any():
        ax.axhline(ratio[called].min(), color="k", linewidth=0.6, linestyle=":")
    ax.set(yscale="log", ylim=(LEAST, ROOM * float(ratio.max())))
    ax.set_xlabel(labelled("learned $W_{ij}$", material.recovery["connectivity"]))
    ax.set_ylabel("$|W_{ij}|$ / standard error")
    dot = {"marker": "o", "linestyle": "none", "markersize": 3}
    handles = [
        Line2D([], [], color=color, label="called present", **dot),
        Line2D([], [], color="0.55", label="not called (pale)", **dot),
    ]
    ax.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(0, 1.0),
        handletextpad=0.2,
        fontsize="small",
    )


def _tested(
    material: AssemblyMaterial,
) -> tuple[Float[np.ndarray, " pair"], Float[np.ndarray, " pair"], Bool[np.ndarray, " pair"]]:
    """W, its error and calls of all pairs whose error is known."""
    recovery = material.recovery
    weights, error = (recovery[n].values for n in ("connectivity", "connectivity_error"))
    known = ~np.eye(len(weights), dtype=bool) & (error > 0)
    weights, error = weights[known], error[known]
    return weights, error, recovery["connected"].values[known] != 0

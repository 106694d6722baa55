"""Panels of the connectivity."""

import numpy as np
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.colors import LogNorm
from scipy.special import ndtri

from ngpipe.config.panels import PanelKind
from ngpipe.errors import StoreError
from ngpipe.figures.assembly.material import AssemblyMaterial
from ngpipe.figures.drawing.material import labelled
from ngpipe.figures.drawing.null_histograms import draw_agreement
from ngpipe.figures.drawing.row_names import legend_below

INSET = 20
"""Neurons a side of the enlarged corner."""
LEVELS = np.append(np.arange(5, 100, 5), 99) / 100
"""Nominal coverage at which intervals of W are drawn."""
LINE = 0.14
"""Room for a line of text above a coverage of 1."""
PROBLEMS = {"psi, some rows": "x", "W": "s", "networks": "D", "gradient": "s"}
"""Markers of held-out losses, by what they are the loss of."""


PANELS = (
    PanelKind(
        "true_connectivity",
        system="assembly",
        truth=True,
        shows="true W, with its first 20 x 20 entries enlarged",
        reads=("simulation.zarr",),
    ),
    PanelKind(
        "learned_connectivity",
        system="assembly",
        shows="learned W, on the colour scale of the true one",
        reads=("simulation.zarr", "recovery.zarr"),
    ),
    PanelKind(
        "connectivity_scatter",
        system="assembly",
        truth=True,
        shows="learned against true W, as a density, with R2 and slope",
        reads=("simulation.zarr", "recovery.zarr", "metrics.csv"),
    ),
    PanelKind(
        "calibration",
        system="assembly",
        truth=True,
        shows="coverage of the intervals of W against their nominal level; inset: z = "
        "(learned - true) / standard error over the standard normal distribution; with false "
        "discoveries and power if some true W are zero",
        reads=("simulation.zarr", "recovery.zarr", "metrics.csv"),
    ),
    PanelKind(
        "learning_curve",
        system="assembly",
        shows="R2 of W and held-out loss during training",
        reads=("training.csv", "learning_curve.csv"),
    ),
    PanelKind(
        "wiring_agreement",
        system="assembly",
        shows="one measure of the agreement of W with a known connectome (`metric`: rank, "
        "rank_size, presence, sign) beside histograms of its nulls",
        reads=("agreement.csv",),
        needs=("metric",),
    ),
)
MATERIAL = AssemblyMaterial
"""Material of these panels."""


def wiring_agreement(material: AssemblyMaterial, ax: Axes) -> Axes:
    """One measure of the agreement of W with the connectome of `compare_with`, and its nulls.

    Raises:
        StoreError: a measure that was not taken, or no nulls.
    """
    return draw_agreement(ax, material.agreement, str(material.spec.metric), material.style)


def true_connectivity(material: AssemblyMaterial, ax: Axes) -> Axes:
    """The true W as a heat map."""
    return _heatmap(material.truth("connectivity"), material, ax, "true W")


def learned_connectivity(material: AssemblyMaterial, ax: Axes) -> Axes:
    """The learned W as a heat map, on the colour scale of the true one where it is known."""
    return _heatmap(material.recovery["connectivity"], material, ax, "learned W")


def connectivity_scatter(material: AssemblyMaterial, ax: Axes) -> Axes:
    """Learned against true W: density of all off-diagonal entries, with R2 and slope."""
    truth = material.truth("connectivity").values
    learned = material.recovery["connectivity"].values
    off = ~np.eye(len(truth), dtype=bool)
    density_scatter(truth[off], learned[off], ax)
    units = material.truth("connectivity")
    ax.set_xlabel(labelled("true $W_{ij}$", units))
    ax.set_ylabel(labelled("learned $W_{ij}$", units))
    r2, slope = (material.metric("connectivity", m) for m in ("r2", "slope"))
    annotate(ax, f"$R^2$ = {r2:.5f}\nslope = {slope:.4f}" + _reached_by_oracle(material))
    ax.set_title("learned against true W")
    return ax


def _reached_by_oracle(material: AssemblyMaterial) -> str:
    """R2 of least squares with the true functions, where it was computed."""
    table = material.metrics
    found = table.loc[(table["quantity"] == "oracle") & (table["metric"] == "r2"), "value"]
    return "" if found.empty else f"\noracle $R^2$ = {found.iloc[0]:.5f}"


def learning_curve(material: AssemblyMaterial, ax: Axes) -> Axes:
    """R2 of W during training and, on its own axis, losses on held-out frames.

    Across are steps of gradient training, or the time that a closed form takes. Its losses are of
    several problems (psi on some rows, all rows of W, the networks), so only those of one problem
    are joined.
    """
    table, training = material.learning_curve, material.training
    by_step = set(training["stage"]) == {"gradient"}
    across = "step" if by_step else "seconds"
    color = material.style.learned_color
    if "r2" in table:
        reached = table.merge(training[["step", "seconds"]], on="step")
        ax.plot(reached[across], reached["r2"], "o-", color=color, markersize=2.5)
        ax.axhline(1, color=material.style.truth_color, linewidth=0.6, zorder=0)
    ax.set(xlabel="step" if by_step else "time of training [s]", ylim=(0, 1.03), xlim=(0, None))
    ax.set_ylabel("$R^2$ of W", color=color)
    twin = ax.twinx()
    twin.spines["right"].set_visible(True)
    twin.set_yscale("log")
    twin.set_ylabel("held-out loss", color="0.45")
    held_out = training[training["stage"] != "recording"].dropna(subset="held_out")
    for name, rows in held_out.groupby(held_out["stage"].map(_problem), sort=False):
        look = {"marker": PROBLEMS.get(name, "s"), "markersize": 3, "markeredgewidth": 0.6}
        twin.plot(rows[across], rows["held_out"], color="0.45", label=name, **look)
    if not by_step:
        legend_below(ax, twin.get_lines(), material.style, title="held-out loss of")
    ax.set_title("training")
    return ax


def _problem(stage: str) -> str:
    """Part of the problem whose loss is in a row of training.csv."""
    return "psi, some rows" if stage.startswith("psi") else {"model": "networks"}.get(stage, stage)


def calibration(material: AssemblyMaterial, ax: Axes) -> Axes:
    """Share of the true W inside its intervals against their nominal share, and z in an inset.

    z = (learned - true) / standard error, over all off-diagonal entries; an interval of level p
    holds the truth where abs(z) <= the (1 + p) / 2 quantile of the standard normal distribution.

    Raises:
        StoreError: the experiment is a recording, or its W has no standard errors.
    """
    z = _standardised_error(material)
    held = np.searchsorted(np.sort(np.abs(z)), ndtri((1 + LEVELS) / 2), side="right") / len(z)
    ax.plot([0, 1], [0, 1], color=material.style.truth_color)
    ax.plot(LEVELS, held, "o-", color=material.style.learned_color, markersize=2)
    lines = _calibration_numbers(material)
    annotate(ax, "\n".join(lines))
    ax.set(xlabel="nominal coverage", ylabel="actual coverage", xlim=(0, 1.01))
    ax.set(ylim=(0, 1.04 + LINE * len(lines)), xticks=[0, 0.5, 1], yticks=[0, 0.5, 1])
    ax.spines["left"].set_bounds(0, 1)
    # The inset goes where the curve does not: too narrow intervals lie below the diagonal.
    corner = (0.07, 0.68) if held.mean() < LEVELS.mean() else (0.62, 0.2)
    _distribution(z, material, ax.inset_axes((*corner, 0.36, 0.3), transform=ax.transData))
    ax.set_title("intervals of W")
    return ax


def density_scatter(
    truth: np.ndarray, estimate: np.ndarray, ax: Axes, limits: tuple[float, float] | None = None
) -> None:
    """A scatter of many points as a log density, with the identity line, on equal axes.

    Args:
        truth: across.
        estimate: up.
        ax: where to draw.
        limits: of both axes; by default those of the truth, symmetric.
    """
    reach = 1.02 * float(np.abs(truth).max())
    limits = limits or (-reach, reach)
    counts, edges, _ = np.histogram2d(truth, estimate, bins=150, range=[limits, limits])
    ax.plot(limits, limits, color="0.7", linewidth=0.8, zorder=0)
    ax.pcolormesh(
        edges,
        edges,
        np.ma.masked_equal(counts.T, 0),
        norm=LogNorm(vmin=1, vmax=max(2.0, counts.max())),
        cmap="Greys_r",
        rasterized=True,
    )
    # The palest points must still be seen on white.
    ax.collections[0].set_clim(1, 30 * max(2.0, counts.max()))
    ax.set(xlim=limits, ylim=limits, aspect="equal")


def annotate(ax: Axes, text: str, *, bottom: bool = False) -> None:
    """Numbers in the upper, or lower, left corner."""
    y, alignment = (0.04, "bottom") if bottom else (0.97, "top")
    ground = {"facecolor": "white", "alpha": 0.7, "edgecolor": "none", "pad": 1}
    where = {"transform": ax.transAxes, "va": alignment, "bbox": ground}
    ax.text(0.04, y, text, fontsize="small", **where)


def _heatmap(weights: xr.DataArray, material: AssemblyMaterial, ax: Axes, title: str) -> Axes:
    known = material.simulation.get("connectivity", weights).values
    limit = 1.1 * float(np.quantile(np.abs(known), 0.99)) or float(np.abs(known).max()) or 1.0
    look = {"cmap": material.style.weight_colormap, "vmin": -limit, "vmax": limit}
    image = ax.imshow(weights.values, **look, interpolation="nearest", rasterized=True)
    ax.set(xlabel="pre $j$", ylabel="post $i$")
    n = len(weights)
    ax.set_xticks([0, n - 1], ["1", str(n)])
    ax.set_yticks([0, n - 1], ["1", str(n)])
    if n > 3 * INSET:
        corner = ax.inset_axes((0.52, 0.52, 0.46, 0.46))
        corner.imshow(weights.values[:INSET, :INSET], **look, interpolation="nearest")
        corner.set(xticks=[], yticks=[])
        for spine in corner.spines.values():
            spine.set_visible(True)
    bar = ax.figure.colorbar(image, ax=ax, shrink=0.75, aspect=18, extend="both")
    bar.set_label(labelled("$W_{ij}$", weights))
    ax.set_title(title)
    return ax


def _standardised_error(material: AssemblyMaterial) -> np.ndarray:
    """(learned - true) / standard error of all off-diagonal entries of W."""
    recovery, truth = material.recovery, material.truth("connectivity").values
    if "connectivity_error" not in recovery:
        raise StoreError(
            f"panel kind '{material.spec.kind}' draws intervals of W from its standard error, "
            f"connectivity_error, which recovery.zarr of experiment '{material.spec.of}' does not "
            "hold; run its steps train and recover again if an older ngpipe made them, or leave "
            "the panel out of the figure"
        )
    off = ~np.eye(len(truth), dtype=bool)
    difference = recovery["connectivity"].values[off].astype(np.float64) - truth[off]
    z = difference / recovery["connectivity_error"].values[off]
    return z[~np.isnan(z)]  # of pairs that no session sees together, there is none


def _calibration_numbers(material: AssemblyMaterial) -> list[str]:
    """Coverage, and where connections can be absent, what is said of their presence."""
    lines = [f"coverage of 95 % intervals {material.metric('interval', 'coverage_95'):.3f}"]
    truth = material.truth("connectivity").values
    absent = (truth == 0) & ~np.eye(len(truth), dtype=bool)
    if "connected" in material.recovery and absent.any():
        level = material.recovery["connected"].attrs["false_discovery"]
        false, power = (material.metric("connected", m) for m in ("false_discovery", "power"))
        lines += [f"false discoveries {false:.3f} (aim ≤ {level:g})", f"power {power:.3f}"]
    return lines


def _distribution(z: np.ndarray, material: AssemblyMaterial, ax: Axes) -> None:
    """Histogram of z over the standard normal density."""
    edges = np.linspace(-4, 4, 41)
    counts, _ = np.histogram(z, edges)
    density = counts / (len(z) * np.diff(edges))  # of all z, also of those beyond the edges
    grid = np.linspace(-4, 4, 101)
    normal = np.exp(-(grid**2) / 2) / np.sqrt(2 * np.pi)
    ax.fill_between(grid, normal, color=material.style.truth_color, linewidth=0)
    ax.stairs(density, edges, color=material.style.learned_color, linewidth=0.8)
    ax.set(xlim=(-4, 4), ylim=(0, None), yticks=[], xticks=[-3, 0, 3])
    ax.tick_params(axis="x", length=2, pad=1, labelsize="x-small")
    ax.set_title("$z$", fontsize="small", loc="right", y=0.6)
    ax.spines["left"].set_visible(False)
    ax.patch.set_visible(False)

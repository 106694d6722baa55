"""Responses of groups: as a map, against what was wanted, and what silencing does to them."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import xarray as xr
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator

from ngpipe.config.figures import Style
from ngpipe.errors import ArgumentError
from ngpipe.figures.drawing.material import label as labelled
from ngpipe.figures.drawing.row_names import legend_below, row_names
from ngpipe.figures.drawing.scale import Limits, color_scale
from ngpipe.figures.drawing.style import small_text
from ngpipe.wiring.nulls.significance import p_value

INTERVAL = (0.025, 0.975)
"""Quantiles of a null distribution that are marked."""
SIGNIFICANT = 0.05
CENTRE = "0.6"
"""Colour of that part of a null distribution."""
FEW_DRAWS = 20
"""Fewer draws of a null have no shape: they are shown one by one."""
FEW_POINTS = 10
"""R2 of fewer points says little, and is left out."""
FEW_TICKS = 6
"""Across a response map, at most."""


def response_map(
    ax: Axes,
    data: xr.DataArray,
    style: Style,
    *,
    symmetric: bool = False,
    limits: Limits = None,
    blocks: Sequence[str] | None = None,
) -> Axes:
    """A heat map: a row a group, and across columns of the eye, time steps or stimuli.

    Args:
        ax: where to draw.
        data: two dimensions, rows and across; rows are drawn from top to bottom under the names of
            their coordinate. Its ``long_name`` and ``units`` label the colours; NaN is grey.
        style: how it looks.
        symmetric: colours about 0.
        limits: of the colours; None: all values.
        blocks: block of every row (for example its role); rows of a block stand together, with a
            line between blocks and their names at the right.

    Raises:
        ArgumentError: not two dimensions, another number of blocks than rows, a block whose rows do
            not stand together, no finite value.
    """
    if data.ndim != 2:
        raise ArgumentError(f"a response map has two dimensions, rows and across, got {data.dims}")
    rows, across = data.dims
    scale = color_scale(data.values, style, symmetric=symmetric, limits=limits)
    image = ax.imshow(
        np.ma.masked_invalid(data.values),
        cmap=scale.colormap,
        norm=scale.norm,
        aspect="auto",
        interpolation="nearest",
        rasterized=True,
    )
    ax.yaxis.labelpad = 4 + row_names(ax, [str(name) for name in _marks(data, rows)], style)
    _across(ax, data, across)
    bar = ax.figure.colorbar(image, ax=ax, aspect=20, pad=0.04, extend=scale.extend)
    bar.set_label(labelled(data))
    if blocks is not None:
        _blocks(ax, _runs(blocks, len(data)), style)
    return ax


def effect_bars(
    ax: Axes,
    table: pd.DataFrame,
    style: Style,
    *,
    label: str,
    null: pd.DataFrame | None = None,
) -> Axes:
    """The effect on each group as a bar from 0, over what a null model gives.

    A filled dot ends the bar of an effect that is unusual among the draws of the null
    (:func:`ngpipe.wiring.nulls.significance.p_value` at most 0.05), a hollow one that of any other.

    Args:
        ax: where to draw.
        table: columns ``group`` and ``effect``, a row a group, drawn from top to bottom.
        style: how it looks.
        label: of the effect, with its unit.
        null: columns ``group`` and ``effect``, a row a group and draw of the null model.

    Raises:
        ArgumentError: missing columns, a group twice, a value that is not finite, a group without
            draws.
    """
    _check_effects(table, "effects")
    if table["group"].duplicated().any():
        twice = table["group"][table["group"].duplicated()].iloc[0]
        raise ArgumentError(
            f"group {twice!r} has more than one effect; give one per group, null draws separately"
        )
    groups, effects = table["group"].tolist(), table["effect"].to_numpy(np.float64)
    draws = _draws(groups, null) if null is not None else []
    outside = np.ones(len(groups), dtype=bool)
    for row, values in enumerate(draws):
        outside[row] = p_value(effects[row], values) <= SIGNIFICANT
        _null(ax, row, values, style)
    ends = (len(groups) - 0.4, -0.6)
    ax.plot([0, 0], ends, color="0.3", linewidth=0.6, zorder=1)
    where = np.arange(len(groups))
    ax.hlines(where, 0, effects, color=style.learned_color, linewidth=1.6, zorder=3)
    fill = np.where(outside, style.learned_color, "white")
    look = {"s": 16, "edgecolors": style.learned_color, "linewidths": 0.9, "zorder": 4}
    ax.scatter(effects, where, c=fill.tolist(), **look)
    ax.set(ylim=ends, xlabel=label)
    ax.spines["left"].set_visible(False)
    row_names(ax, [str(group) for group in groups], style)
    if draws:
        _null_legend(ax, [len(values) for values in draws], style)
    return ax


def fit_scatter(
    ax: Axes,
    wanted: np.ndarray,
    got: np.ndarray,
    style: Style,
    *,
    held_out: np.ndarray | None = None,
    label: str = "response",
) -> Axes:
    r"""Fitted against target responses, with the identity line.

    Numbers below: :math:`R^2 = 1 - \sum (got - wanted)^2 / \sum (wanted - mean)^2` (not a
    squared correlation) and the root mean square error.

    Args:
        ax: where to draw.
        wanted: target responses, across.
        got: fitted responses, up; of the same shape.
        style: how it looks.
        held_out: true where a target was not fitted; of the same shape.
        label: what the responses are, with their unit.

    Raises:
        ArgumentError: shapes that differ, no values, values that are not finite.
    """
    wanted, got = np.asarray(wanted, np.float64), np.asarray(got, np.float64)
    apart = np.zeros(wanted.shape, dtype=bool) if held_out is None else np.asarray(held_out, bool)
    if not wanted.shape == got.shape == apart.shape or not wanted.size:
        raise ArgumentError(
            f"wanted has shape {wanted.shape}, got {got.shape}, held_out {apart.shape}; expected "
            "one shape with at least one value"
        )
    bad = int((~np.isfinite(wanted) | ~np.isfinite(got)).sum())
    if bad:
        raise ArgumentError(f"{bad} of {wanted.size} pairs of responses are not finite; drop them")
    limits = _padded(np.concatenate([wanted.ravel(), got.ravel()]))
    ax.plot(limits, limits, color="0.6", linewidth=0.8, zorder=0)
    color = style.learned_color
    looks = {
        "fitted": (~apart, {"marker": "o", "s": 9, "color": "0.35", "alpha": 0.6}),
        "held out": (apart, {"marker": "^", "s": 14, "facecolors": "none", "edgecolors": color}),
    }
    for name, (which, look) in looks.items():
        if which.any():
            told = _agreement(name, wanted[which], got[which])
            ax.scatter(wanted[which], got[which], linewidths=0.7, label=told, **look)
    ax.set(xlim=limits, ylim=limits, aspect="equal")
    ax.set(xlabel=f"target {label}", ylabel=f"fitted {label}")
    legend_below(ax, ax.get_legend_handles_labels()[0], style)
    return ax


def _marks(data: xr.DataArray, dim: object) -> np.ndarray:
    """Values along a dimension: its coordinate, or plain counting."""
    return data.indexes[dim].to_numpy() if dim in data.indexes else np.arange(data.sizes[dim])


def _across(ax: Axes, data: xr.DataArray, dim: object) -> None:
    """A few marks below; names, which cannot be left out, all of them, upright where crowded."""
    marks = _marks(data, dim)
    if marks.dtype.kind in "iuf":
        even = MaxNLocator(FEW_TICKS, integer=True).tick_values(0, len(marks) - 1).astype(int)
        chosen = even[(even >= 0) & (even < len(marks))]
        ax.set_xticks(chosen, [f"{mark:g}" for mark in marks[chosen]])
    else:
        crowded = len("".join(map(str, marks))) + 2 * len(marks) > 30
        ax.set_xticks(range(len(marks)), map(str, marks), rotation=90 if crowded else 0)
    ax.tick_params(length=2)
    ax.set_xlabel(labelled(data[dim]) if dim in data.coords else str(dim))


def _runs(blocks: Sequence[str], n: int) -> list[tuple[str, int, int]]:
    """Name, first row and end of each block."""
    if len(blocks) != n:
        raise ArgumentError(f"blocks names {len(blocks)} rows, the data have {n}")
    starts = [k for k in range(n) if k == 0 or blocks[k] != blocks[k - 1]]
    names = [blocks[k] for k in starts]
    if len(set(names)) < len(names):
        again = next(name for k, name in enumerate(names) if name in names[:k])
        raise ArgumentError(f"rows of block {again!r} are not contiguous; sort rows by block")
    return list(zip(names, starts, [*starts[1:], n], strict=True))


def _blocks(ax: Axes, runs: list[tuple[str, int, int]], style: Style) -> None:
    for name, start, stop in runs:
        if start:
            ax.axhline(start - 0.5, color="white", linewidth=1.5)
        ax.annotate(
            name,
            (1, (start + stop - 1) / 2),
            (3, 0),
            xycoords=ax.get_yaxis_transform(),
            textcoords="offset points",
            va="center",
            fontsize=small_text(style),
            annotation_clip=False,
        )


def _check_effects(table: pd.DataFrame, what: str) -> None:
    missing = [c for c in ("group", "effect") if c not in table]
    if missing or table.empty:
        raise ArgumentError(
            f"the table of {what} has {len(table)} rows with columns {list(table)}, expected rows "
            "with 'group' and 'effect'"
        )
    bad = ~np.isfinite(table["effect"].to_numpy(np.float64))
    if bad.any():
        raise ArgumentError(
            f"the table of {what} has {table['effect'][bad].iloc[0]} for group "
            f"{table['group'][bad].iloc[0]!r}; drop or repair it"
        )


def _draws(groups: Sequence[object], null: pd.DataFrame) -> list[np.ndarray]:
    """Draws of the null model, group by group."""
    _check_effects(null, "null effects")
    draws = {name: rows.to_numpy(np.float64) for name, rows in null.groupby("group")["effect"]}
    missing = [group for group in groups if group not in draws]
    if missing:
        raise ArgumentError(f"the null model has no draws of group {missing[0]!r}; give some")
    return [draws[group] for group in groups]


def _null(ax: Axes, row: int, values: np.ndarray, style: Style) -> None:
    """The shape of the null distribution and the line over its central 95 %; few draws as dots."""
    if len(values) < FEW_DRAWS:
        ax.scatter(values, np.full(len(values), row), s=12, marker="|", color=CENTRE, zorder=2)
        return
    low, high = np.quantile(values, INTERVAL)
    if values.std() > 1e-9 * max(1e-300, np.abs(values).max()):  # else it has no shape
        parts = ax.violinplot(
            values, [row], orientation="horizontal", widths=0.85, showextrema=False
        )
        parts["bodies"][0].set(facecolor=style.truth_color, alpha=0.7, linewidth=0, zorder=0)
    ax.hlines(row, low, high, color=CENTRE, linewidth=3.6, zorder=2)


def _null_legend(ax: Axes, counts: Sequence[int], style: Style) -> None:
    n = f"{min(counts)}" if min(counts) == max(counts) else f"{min(counts)} to {max(counts)}"
    dot = {"marker": "o", "markersize": 4, "linewidth": 1.6, "color": style.learned_color}
    handles = [
        Line2D([], [], label="p ≤ 0.05", **dot),
        Line2D([], [], label="p > 0.05", markerfacecolor="white", **dot),
        Patch(color=CENTRE, label=f"null, n = {n}")
        if max(counts) >= FEW_DRAWS
        else Line2D([], [], color=CENTRE, marker="|", linestyle="none", label=f"null, n = {n}"),
    ]
    legend_below(ax, handles, style)


def _padded(values: np.ndarray) -> tuple[float, float]:
    low, high = float(values.min()), float(values.max())
    margin = 0.05 * (high - low) or 0.5
    return low - margin, high + margin


def _agreement(name: str, wanted: np.ndarray, got: np.ndarray) -> str:
    """Number of responses and their agreement; without R2 if they are few, or all alike."""
    residual = got - wanted
    told = f"{name}, n = {len(wanted)}: RMSE {np.sqrt((residual**2).mean()):.3f}"
    spread = float(((wanted - wanted.mean()) ** 2).sum())
    if spread == 0 or len(wanted) < FEW_POINTS:
        return told
    return f"{told}, $R^2$ {1 - float((residual**2).sum()) / spread:.3f}"

"""Panel `sweep`: a metric of all points of a sweep, of any system whose points are experiments."""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from ngpipe.config.panels import SWEPT, PanelKind
from ngpipe.errors import StoreError
from ngpipe.figures.drawing.material import Material, Result, pretty

METRICS = {"r2": "$R^2$", "ari": "adjusted Rand index", "nrmse": "normalised RMSE"}
"""Labels of metrics; others have their name in metrics.csv."""
QUANTITIES = {"connectivity": "W", "input": "Ω", "phi": "φ", "psi": "ψ"}
"""Labels of quantities; others have their name in metrics.csv."""
DECADES = 2
"""Positive settings that span more are shown on a logarithmic axis."""


@dataclass(frozen=True)
class SweepMaterial(Material):
    """The table of a sweep with its labels as text, and how to draw it."""

    table: ClassVar[pd.DataFrame] = Result(SWEPT, text=("parameter", "setting", "unit"))

    def shown(self) -> pd.DataFrame:
        """Rows of the metric at the points of the parameter, in their order.

        Raises:
            StoreError: there are none; says which metrics there are.
        """
        spec, table = self.spec, self.table[self.table["parameter"] == self.spec.parameter]
        asked = (table["quantity"] == spec.quantity) & (table["metric"] == spec.metric)
        if not asked.any():
            known = sorted(set(table["quantity"] + "." + table["metric"]))
            raise StoreError(
                f"panel kind '{spec.kind}' should show {spec.quantity}.{spec.metric} of {spec.of} "
                f"against {spec.parameter}, but its metrics there are {known[:20]}; correct "
                "`quantity` and `metric`"
            )
        return table[asked]


PANELS = (
    PanelKind(
        "sweep",
        system=None,
        shows="a metric at every value of one swept key, with the published value; for "
        "systems assembly and connectome",
        reads=("sweep.csv",),
        needs=("parameter", "quantity", "metric"),
    ),
)
MATERIAL = SweepMaterial
"""Material of these panels."""


def sweep(material: SweepMaterial, ax: Axes) -> Axes:
    """A metric against the swept parameter, one dot a point, with published values.

    A published value of all points is a line; where points have their own, each has a ring.

    Settings that are all numbers stand at their values, logarithmic where they are positive and
    span more than :data:`DECADES` decades; others stand side by side.
    """
    spec, style, rows = material.spec, material.style, material.shown()
    settings = pd.to_numeric(rows["setting"], errors="coerce").to_numpy(np.float64)
    named = bool(np.isnan(settings).any())
    x = np.arange(len(rows)) if named else settings
    order = np.argsort(x, kind="stable")
    values = rows["value"].to_numpy(np.float64)
    look = {"color": style.learned_color, "linewidth": 0 if named else 0.6, "markersize": 4}
    ax.plot(x[order], values[order], marker="o", clip_on=False, **look)
    _draw_published(ax, x[order], rows["reference"].to_numpy(np.float64)[order], style.truth_color)
    if named:
        ax.set_xticks(x, rows["setting"], rotation=30, ha="right", rotation_mode="anchor")
        ax.set_xlim(-0.5, len(rows) - 0.5)
    elif x.min() > 0 and x.max() > 10**DECADES * x.min():
        ax.set_xscale("log")
    unit = rows["unit"].iloc[0]
    name = spec.parameter if unit in ("", "1") else f"{spec.parameter} [{pretty(unit)}]"
    metric, quantity = str(spec.metric), str(spec.quantity)
    ax.set(xlabel=name, ylabel=METRICS.get(metric, metric))
    ax.set_title(f"{QUANTITIES.get(quantity, quantity)}, one run a point")
    return ax


def _draw_published(ax: Axes, x: np.ndarray, published: np.ndarray, color: str) -> None:
    """Published values, in the order of x; not a number where there is none."""
    known = np.flatnonzero(~np.isnan(published))
    if not len(known):
        return
    last, place = published[known[-1]], (1, published[known[-1]])
    if (published == last).all():
        ax.axhline(last, color=color, linewidth=1, zorder=0)
        options = {"xycoords": ax.get_yaxis_transform(), "ha": "right", "va": "bottom"}
    else:
        look = {"marker": "o", "markersize": 6, "markerfacecolor": "none", "linewidth": 0}
        ax.plot(x[known], published[known], color=color, zorder=0, clip_on=False, **look)
        place = (x[known[-1]], last)
        options = {"xytext": (0, -5), "textcoords": "offset points", "ha": "right", "va": "top"}
    ax.annotate("published", place, fontsize="small", **options)

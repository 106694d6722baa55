"""Panels of measured responses, and of the connectome beside them."""

from dataclasses import dataclass
from itertools import pairwise
from typing import ClassVar

import matplotlib as mpl
import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colors import to_hex
from matplotlib.lines import Line2D
from scipy.sparse.csgraph import shortest_path
from scipy.stats import binom

from ngpipe.config.panels import PanelKind
from ngpipe.figures.drawing.material import Material, Result, label
from ngpipe.figures.drawing.null_histograms import draw_agreement
from ngpipe.figures.drawing.row_names import legend_below, width_of
from ngpipe.figures.drawing.scale import color_scale
from ngpipe.figures.drawing.style import small_text, text_width
from ngpipe.schemas.atlas import MEASURED
from ngpipe.wiring.container import Connectome
from ngpipe.wiring.shared_pairs import SharedPairs

STRONG = 0.98
"""Share of the values that the colours of a matrix tell apart."""
FEWEST = 30
"""Pairs of a class below which no median is drawn."""
SPREAD = 0.95
"""Coverage of the intervals of medians."""
WEIGHTS = (1, 3, 6, 11, np.inf)
"""Classes of weights: from each to below the next."""
FARTHEST = 4
"""Paths of as many synapses and longer ones are one class."""


@dataclass(frozen=True)
class AtlasMaterial(Material):
    """The results of one experiment, and how to draw them."""

    connectome: ClassVar[Connectome] = Result("connectome.zarr", load=Connectome.load)
    measured: ClassVar[xr.Dataset] = Result("measured.zarr", MEASURED)
    agreement: ClassVar[pd.DataFrame] = Result("agreement.csv", text=("null", "measure"))

    def ordered(self) -> tuple[xr.DataArray, np.ndarray, np.ndarray]:
        """Responses of neurons with a measurement, by role and name; roles of rows and columns."""
        whole = self.measured["response"].load()
        known = np.isfinite(whole.values)
        whole = whole.isel(post=known.any(axis=1), pre=known.any(axis=0))
        role = self._roles()
        order, roles = {}, []
        for dim in ("post", "pre"):
            names = whole[dim].values.astype(str)
            own = np.array([role.get(name, "not in the connectome") for name in names])
            order[dim] = np.lexsort((names, own))
            roles.append(own[order[dim]])
        return whole.isel(order), roles[0], roles[1]

    def _roles(self) -> dict[str, str]:
        table = self.connectome.neurons
        column = table["role"] if "role" in table else pd.Series([""] * len(table))
        return dict(zip(table["id"].astype(str), column.fillna("").astype(str), strict=True))


PANELS = (
    PanelKind(
        "response_matrix",
        system="atlas",
        shows="measured responses, rows respond, columns were stimulated, sorted by role; "
        "grey where nothing was measured",
        reads=("connectome.zarr", "measured.zarr"),
    ),
    PanelKind(
        "response_wiring",
        system="atlas",
        shows="connections among the same neurons, in the same order",
        reads=("connectome.zarr", "measured.zarr"),
    ),
    PanelKind(
        "response_by_weight",
        system="atlas",
        shows="median response against the weight of the connection, with its 95 % interval",
        reads=("connectome.zarr", "measured.zarr"),
    ),
    PanelKind(
        "response_by_path",
        system="atlas",
        shows="median response against the synapses on the shortest path, with its 95 % interval",
        reads=("connectome.zarr", "measured.zarr"),
    ),
    PanelKind(
        "response_agreement",
        system="atlas",
        shows="one measure of agreement (`metric`: rank, rank_size, presence, sign) beside "
        "histograms of its nulls, for each number of hops",
        reads=("agreement.csv",),
        needs=("metric",),
    ),
)
MATERIAL = AtlasMaterial
"""Material of these panels."""


def response_matrix(material: AtlasMaterial, ax: Axes) -> Axes:
    """Measured responses, sorted by role."""
    response, *roles = material.ordered()
    _matrix(material, ax, response.values, roles, label(response))
    ax.set(xlabel="stimulated neuron $j$", ylabel="responding neuron $i$")
    n, every = np.isfinite(response.values).sum(), response.size
    ax.set_title(f"responses, {n:,} of {every:,} pairs measured")
    return ax


def response_wiring(material: AtlasMaterial, ax: Axes) -> Axes:
    """Connections among the neurons of the response matrix, in its order."""
    response, *roles = material.ordered()
    connectome = material.connectome
    at = [pd.Index(connectome.ids).get_indexer(response[dim].values) for dim in ("post", "pre")]
    weights = connectome.weights.toarray().astype(np.float64)[np.ix_(*at)]
    weights[(at[0] < 0)[:, None] | (at[1] < 0)] = np.nan
    _matrix(material, ax, weights, roles, f"weight $W_{{ij}}$ [{connectome.unit}]")
    ax.set(xlabel="pre $j$", ylabel="post $i$")
    ax.set_title("connectome, the same neurons")
    return ax


def response_by_weight(material: AtlasMaterial, ax: Axes) -> Axes:
    """Median response of pairs by the weight of their connection; those that inhibit together."""
    pairs, weight = _weights(material)
    excite = []
    for low, high in pairwise(WEIGHTS):
        name = f"≥ {low}" if np.isinf(high) else f"{low}–{high - 1}"
        excite.append((name, (weight >= low) & (weight < high)))
    none, inhibit = [("none", weight == 0)], [("any", weight < 0)]
    colormap = mpl.colormaps[material.style.weight_colormap]
    warm, cold = to_hex(colormap(0.95)), to_hex(colormap(0.05))
    handles = [
        _medians(ax, pairs.value, none, 0, "not connected", "0.4"),
        _medians(ax, pairs.value, excite, 1, "excites", warm),
        _medians(ax, pairs.value, inhibit, 1 + len(excite), "inhibits", cold),
    ]
    _classes(ax, material, none + excite + inhibit)
    ax.set_xlabel(f"weight of the connection [{material.connectome.unit}]")
    legend_below(ax, handles, material.style, under=1.3 * small_text(material.style))
    ax.set_title("median response by weight")
    return ax


def response_by_path(material: AtlasMaterial, ax: Axes) -> Axes:
    """Median response of pairs by the synapses on the shortest path from one to the other."""
    pairs, _ = _weights(material)
    links = material.connectome.weights != 0
    far = shortest_path(links.T.tocsr(), unweighted=True)[pairs.pre, pairs.post]
    classes = [(f"{n}", far == n) for n in range(1, FARTHEST)]
    classes.append((f"≥ {FARTHEST}", far >= FARTHEST))
    _medians(ax, pairs.value, classes, 0, "", material.style.learned_color)
    _classes(ax, material, classes)
    ax.set_xlabel("synapses on the shortest path")
    ax.set_title("median response by path length")
    return ax


def response_agreement(material: AtlasMaterial, ax: Axes) -> Axes:
    """One measure beside its nulls, for each number of hops.

    Raises:
        StoreError: a measure that was not taken, or no nulls.
    """
    draw_agreement(ax, material.agreement, str(material.spec.metric), material.style)
    return ax


def _matrix(
    material: AtlasMaterial,
    ax: Axes,
    values: Float[np.ndarray, "post pre"],
    roles: list[np.ndarray],
    named: str,
) -> None:
    """A heat map with lines between roles, and their names along both axes."""
    sizes = np.abs(values[np.isfinite(values) & (values != 0)])
    reach = float(np.quantile(sizes, STRONG)) if sizes.size else 1.0
    scale = color_scale(values, material.style, symmetric=True, limits=(-reach, reach))
    look = {"cmap": scale.colormap, "norm": scale.norm, "rasterized": True, "aspect": "auto"}
    image = ax.imshow(np.ma.masked_invalid(values), interpolation="nearest", **look)
    for axis, own, line in ((ax.yaxis, roles[0], ax.axhline), (ax.xaxis, roles[1], ax.axvline)):
        kinds, first, n = np.unique(own, return_index=True, return_counts=True)
        axis.set_ticks(first + (n - 1) / 2, kinds)
        for border in first[1:]:
            line(border - 0.5, color="black", linewidth=0.4)
    ax.tick_params(length=0)
    ax.tick_params(axis="x", labelrotation=20)
    ax.spines[:].set_visible(True)
    bar = ax.figure.colorbar(image, ax=ax, aspect=20, extend=scale.extend)
    bar.set_label(named)


def _weights(material: AtlasMaterial) -> tuple[SharedPairs, Float[np.ndarray, " pair"]]:
    """Pairs that both know, and the weights between them."""
    pairs = SharedPairs.of(material.measured["response"].load(), material.connectome)
    dense = material.connectome.weights.toarray().astype(np.float64)
    return pairs, dense[pairs.post, pairs.pre]


def _medians(
    ax: Axes,
    values: np.ndarray,
    classes: list[tuple[str, np.ndarray]],
    start: int,
    named: str,
    color: str,
) -> Line2D:
    """Median of each class and its interval, from order statistics."""
    rows = [
        (start + k, *_median(values[chosen]))
        for k, (_, chosen) in enumerate(classes)
        if chosen.sum() >= FEWEST
    ]
    x, middle, low, high = np.array(rows).reshape(-1, 4).T
    spread = np.array([middle - low, high - middle])
    look = {"color": color, "markersize": 4, "linewidth": 0.9, "capsize": 0}
    line: Line2D = ax.errorbar(x, middle, spread, fmt="o", **look).lines[0]
    line.set_label(named)
    return line


def _median(values: np.ndarray) -> tuple[float, float, float]:
    """Median, and the order statistics between which it lies with a probability of SPREAD."""
    n = len(values)
    k = int(binom.ppf((1 - SPREAD) / 2, n, 0.5))
    ordered = np.sort(values)
    low, high = ordered[max(0, k - 1)], ordered[min(n - 1, n - k)]
    return float(np.median(values)), float(low), float(high)


def _classes(ax: Axes, material: AtlasMaterial, classes: list[tuple[str, np.ndarray]]) -> None:
    names = [f"{name}\n{int(chosen.sum()):,}" for name, chosen in classes]
    name_ticks(ax, names, small_text(material.style))
    ax.axhline(0, color="0.7", linewidth=0.6, zorder=0)
    ax.set_ylabel(label(material.measured["response"]))


def name_ticks(ax: Axes, names: list[str], size: float) -> None:
    """Names of ticks at 0, 1, ..., in text of this size [pt] or so much smaller that none meet."""
    widths = [max(text_width(line, 1.0) for line in name.splitlines()) for name in names]
    tightest = max((a + b) / 2 for a, b in pairwise(widths)) + 0.6
    fitting = width_of(ax) / len(names) / tightest
    ax.set_xticks(range(len(names)), names, fontsize=min(size, fitting))
    ax.set_xlim(-0.5, len(names) - 0.5)

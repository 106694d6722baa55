"""Panels of the circuit system: what they draw from, and those of its network."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import matplotlib as mpl
import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Float
from matplotlib.axes import Axes
from matplotlib.colors import to_rgba

from ngpipe.config.base import OBSERVED
from ngpipe.config.circuit.impulse import Impulse
from ngpipe.config.circuit.measures import Measures
from ngpipe.config.panels import PanelKind
from ngpipe.errors import StoreError
from ngpipe.figures.drawing.material import Material, Result
from ngpipe.figures.drawing.row_names import legend_below
from ngpipe.figures.drawing.scale import color_scale
from ngpipe.figures.drawing.style import small_text
from ngpipe.schemas.circuit import RESPONSES
from ngpipe.wiring.container import Connectome

Color = tuple[float, float, float, float]

LONGEST = 24
"""Characters of the name of a source, at most."""
ALIKE = 0.35
"""Distance of two colours (red, green, blue) that are taken for the same."""
NAMES = {"erdos_renyi": "Erdős-Rényi"}
"""Names that are written otherwise than in configs."""
BINS_PER_DECADE = 12
STRONG = 0.9
"""Quantile of the sizes of weights that has the strongest colour."""


@dataclass(frozen=True)
class CircuitMaterial(Material):
    """The results of one experiment, and how to draw them."""

    connectome: ClassVar[Connectome] = Result("connectome.zarr", load=Connectome.load)
    responses: ClassVar[xr.Dataset] = Result("responses.zarr", RESPONSES)
    measures: ClassVar[pd.DataFrame] = Result("measures.csv")
    comparison: ClassVar[pd.DataFrame] = Result("comparison.csv")
    motifs: ClassVar[pd.DataFrame] = Result("motifs.csv")
    mixing: ClassVar[pd.DataFrame] = Result("mixing.csv")
    manifest: ClassVar[dict] = Result("metrics.json")
    """Manifest of the measures."""

    @property
    def source(self) -> str:
        """Source of the connectome, short enough for a title: of a file, its name."""
        name = Path(self.connectome.origin.source.split(", in the columns of")[0]).name
        return name if len(name) <= LONGEST else f"{name[: LONGEST - 1]}…"

    @property
    def impulse(self) -> Impulse:
        """The pulse that was run."""
        return Impulse(**json.loads(self.responses.attrs["config"])["impulse"])

    @property
    def threshold(self) -> float:
        """Activity of excitatory neurons below which they are back at baseline, which is 0."""
        measured = Measures(**self.manifest["config"]["measures"])
        return measured.threshold_ratio * self.impulse.strength

    @property
    def n_exc(self) -> int:
        """Excitatory neurons, which come first."""
        return int(self.responses.attrs["n_exc"])

    @property
    def known(self) -> list[str]:
        """Conditions of the experiment, the observed one first."""
        return [str(name) for name in pd.unique(self.measures["condition"])]

    def conditions(self, default: list[str] | None = None) -> list[str]:
        """Conditions of the panel in its order; else some, or all.

        Raises:
            StoreError: one that was not run.
        """
        if self.spec.conditions is None:
            return self.known if default is None else default
        absent = [name for name in self.spec.conditions if name not in self.known]
        if absent:
            raise StoreError(
                f"panel kind '{self.spec.kind}' should show the conditions {absent}, which are "
                f"none of {self.known}; correct `conditions`"
            )
        return list(self.spec.conditions)

    def runs(self, parameter: str = "") -> pd.DataFrame:
        """Measures of the runs without a sweep, or of those that sweep a parameter.

        Raises:
            StoreError: there are none.
        """
        found = self.measures[self.measures["parameter"].fillna("") == parameter]
        if found.empty:
            swept = sorted(self.measures["parameter"].dropna().unique())
            raise StoreError(
                f"measures.csv of {self.spec.of} has no runs with parameter '{parameter}', only of "
                f"{swept}; correct `parameter`"
            )
        return found

    def compared(self, condition: str, of: str = OBSERVED) -> pd.Series:
        """The row of comparison.csv of a condition beside another, without a sweep."""
        table = self.comparison
        chosen = (table["condition"] == condition) & (table["of"] == of)
        return table[table["parameter"].isna() & chosen].iloc[0]

    def controls(self, names: list[str]) -> list[tuple[str, str]]:
        """Ablations and their controls among some conditions."""
        rows = self.comparison[self.comparison["parameter"].isna()]
        pairs = zip(rows["of"], rows["condition"], strict=True)
        return [pair for pair in pairs if set(pair) <= set(names)]

    def first(self, condition: str) -> xr.Dataset:
        """Means of the first seed of a condition, without a sweep."""
        every = self.responses
        mine = (every["parameter"].values == "") & (every["condition"].values == condition)
        return every.isel(run=int(np.flatnonzero(mine)[0]))

    def shown(self, variable: str, condition: str) -> np.ndarray:
        """Stored variable of the first seed of a condition."""
        names = self.responses["shown"].values.astype(str).tolist()
        return self.responses[variable][names.index(condition)].values

    def colors(self) -> dict[str, Color]:
        """Colour of every condition."""
        return self._colored(self.known)

    def null_colors(self) -> dict[str, Color]:
        """Colour of every condition and null, which have one colour where they have one name."""
        return self._colored([*self.known, *self.motifs["null"].dropna().unique()])

    def _colored(self, names: Sequence[str]) -> dict[str, Color]:
        observed = to_rgba(self.style.learned_color)
        colormap = mpl.colormaps[self.style.type_colormap]
        steps = np.arange(colormap.N) if colormap.N <= 20 else np.linspace(0, 0.95, 8)
        palette = [tuple(map(float, color)) for color in colormap(steps)]
        palette = [c for c in palette if np.linalg.norm(np.subtract(c, observed)) > ALIKE]
        different = (name for name in dict.fromkeys(names) if name != OBSERVED)
        others = {str(name): palette[k % len(palette)] for k, name in enumerate(different)}
        return {OBSERVED: observed, **others}

    def title(self, ax: Axes, text: str) -> None:
        """Every panel says where its connectome is from."""
        ax.set_title(f"{text} ({self.source})")


def spoken(name: str) -> str:
    """A name as it is written in panels."""
    return NAMES.get(name, name.replace("_", " "))


PANELS = (
    PanelKind(
        "circuit_matrix",
        system="circuit",
        shows="W of one condition (`observed`) for the first seed, excitatory neurons "
        "first, with the source of the connectome",
        reads=("connectome.zarr", "responses.zarr", "measures.csv"),
        takes=("conditions",),
    ),
    PanelKind(
        "weight_distribution",
        system="circuit",
        shows="densities of the measured and of the random weights",
        reads=("connectome.zarr", "responses.zarr"),
    ),
    PanelKind(
        "spectra",
        system="circuit",
        shows="eigenvalues of W of the first seed for all conditions, with the limit beyond "
        "which activity grows",
        reads=("connectome.zarr", "responses.zarr", "measures.csv"),
        takes=("conditions",),
    ),
)
MATERIAL = CircuitMaterial
"""Material of these panels."""


def circuit_matrix(material: CircuitMaterial, ax: Axes) -> Axes:
    """W of the first seed of one condition, with the borders of its blocks."""
    (name,) = material.conditions([OBSERVED])
    weights, n_exc = material.shown("weights", name), material.n_exc
    reach = float(np.quantile(np.abs(weights[weights != 0]), STRONG)) if weights.any() else 1.0
    scale = color_scale(weights, material.style, symmetric=True, limits=(-reach, reach))
    look = {"cmap": scale.colormap, "norm": scale.norm, "rasterized": True}
    image = ax.imshow(weights, interpolation="antialiased", **look)
    n = len(weights)
    parts = [part for part in (("E", 0, n_exc), ("I", n_exc, n)) if part[2] > part[1]]
    middles = [(low + high - 1) / 2 for _, low, high in parts]
    ax.set_xticks(middles, [f"{high - low} {kind}" for kind, low, high in parts])
    ax.set_yticks(middles, [kind for kind, *_ in parts])
    ax.tick_params(length=0)
    for line in (ax.axhline, ax.axvline):
        line(n_exc - 0.5, color="black", linewidth=0.5)
    ax.spines[:].set_visible(True)
    ax.set(xlabel="pre $j$", ylabel="post $i$")
    bar = ax.figure.colorbar(image, ax=ax, shrink=0.8, aspect=18, extend=scale.extend)
    bar.set_label("weight $W_{ij}$")
    material.title(ax, f"W, {spoken(name)}")
    return ax


def weight_distribution(material: CircuitMaterial, ax: Axes) -> Axes:
    """Sizes of the measured weights, and of the random ones, as densities over decades."""
    weights, n = material.shown("weights", OBSERVED).astype(np.float64), material.n_exc
    classes = {
        "measured, E → E": (weights[:n, :n], material.style.learned_color),
        "random, E → I": (weights[n:, :n], "0.25"),
        "random, I → all": (-weights[:, n:], mpl.colormaps[material.style.weight_colormap](0.0)),
    }
    sizes = {name: np.log10(block[block > 0]) for name, (block, _) in classes.items()}
    every = np.concatenate(list(sizes.values()))
    low, high = np.floor(every.min() * 4) / 4, np.ceil(every.max() * 4) / 4
    edges = np.arange(low, high + 1e-9, 1 / BINS_PER_DECADE)
    for name, values in sizes.items():
        if len(values):
            density = np.histogram(values, edges)[0] * BINS_PER_DECADE / len(values)
            color = classes[name][1]
            ax.stairs(density, 10**edges, color=color, label=name, linewidth=1.0)
            ax.stairs(density, 10**edges, color=color, alpha=0.15, fill=True, linewidth=0)
    ax.set(xscale="log", xlabel="size of weight $|W_{ij}|$", ylabel="density per decade")
    ax.set(xlim=(10**low, 10**high), ylim=(0, None))
    legend_below(ax, ax.get_legend_handles_labels()[0], material.style)
    material.title(ax, "weights")
    return ax


def spectra(material: CircuitMaterial, ax: Axes) -> Axes:
    """Eigenvalues of W in the complex plane, the leading ones large, and the limit of growth."""
    colors, names = material.colors(), material.conditions()
    handles = []
    for name in sorted(names, key=lambda name: name == OBSERVED):  # the observed on top
        modes = material.shown("spectrum", name)
        look = {"color": colors[name], "linewidths": 0, "rasterized": len(modes) > 3000}
        ax.scatter(*modes.T, s=3 if name == OBSERVED else 2, alpha=0.5, **look)
    for name in names:
        leading = _leading(material.shown("spectrum", name))
        ring = {"s": 22, "color": [colors[name]], "edgecolors": "white", "linewidths": 0.5}
        label = f"{spoken(name)} {leading[0]:.3f}"
        handles.append(ax.scatter(*leading, zorder=4, label=label, **ring))
    left, right = ax.get_xlim()
    right = max(right, 1 + 0.1 * (1 - left))
    ax.axvline(1, color="0.3", linewidth=0.8, linestyle="--", zorder=0)
    ax.axvspan(1, right, color="0.93", linewidth=0, zorder=-1)
    ax.set(xlim=(left, right), xlabel="real part of eigenvalues", ylabel="imaginary part")
    ax.set_aspect("equal", anchor="N")
    look = {"rotation": 90, "fontsize": small_text(material.style), "color": "0.3"}
    ax.text(1, 0.98, " grows", transform=ax.get_xaxis_transform(), va="top", **look)
    legend_below(ax, handles, material.style, title="largest real part")
    material.title(ax, "eigenvalues")
    return ax


def _leading(modes: Float[np.ndarray, "mode 2"]) -> Float[np.ndarray, " 2"]:
    """Real and imaginary part of the eigenvalue with the largest real part, of a pair the upper."""
    return modes[np.lexsort((modes[:, 1], modes[:, 0]))[-1]]

"""Panels of the external input Omega, and of activity over the plane."""

from collections.abc import Sequence
from dataclasses import dataclass

import matplotlib as mpl
import numpy as np
import xarray as xr
from jaxtyping import Float, Int
from matplotlib.axes import Axes
from matplotlib.cm import ScalarMappable
from matplotlib.collections import EllipseCollection

from ngpipe.config.panels import PanelKind
from ngpipe.errors import StoreError
from ngpipe.figures.assembly.material import AssemblyMaterial
from ngpipe.figures.assembly.structure import annotate, density_scatter
from ngpipe.figures.drawing.material import labelled, pretty
from ngpipe.figures.drawing.raster import Raster, raster, spacing
from ngpipe.figures.drawing.scale import MISSING, color_bar

GAP = 0.08
"""Gap between neighbouring images, relative to their width."""
INTERVAL = 1.96
"""Standard errors on either side of a 95 % interval."""
DOT = 1.42
"""Diameter of a neuron in a map, in units of their spacing: large enough to leave no gaps."""

Values = Float[np.ndarray, "frame neuron"]
FrameIndices = Int[np.ndarray, " frame"]


PANELS = (
    PanelKind(
        "input_map",
        system="assembly",
        truth=True,
        shows="true Omega of all neurons at their positions, at one frame",
        reads=("simulation.zarr",),
        takes=("frame",),
    ),
    PanelKind(
        "activity_map",
        system="assembly",
        shows="activity of all neurons at their positions, at some frames",
        reads=("simulation.zarr",),
        takes=("at",),
    ),
    PanelKind(
        "input_scatter",
        system="assembly",
        truth=True,
        shows="learned against true Omega of the driven neurons, as a density, with R2 and "
        "slope of Omega and of its square root",
        reads=("simulation.zarr", "recovery.zarr", "metrics.csv"),
    ),
    PanelKind(
        "true_input",
        system="assembly",
        truth=True,
        shows="the true field Omega(x, y, t) of the driven neurons at some frames",
        reads=("simulation.zarr",),
        takes=("at",),
        columns=3,
    ),
    PanelKind(
        "learned_input",
        system="assembly",
        truth=True,
        shows="the learned field at the sampled frames nearest to them, on the colour scale "
        "of the true one",
        reads=("simulation.zarr", "recovery.zarr"),
        takes=("at",),
        columns=3,
    ),
    PanelKind(
        "input_coefficients",
        system="assembly",
        shows="effect of each recorded input on every neuron, per standard deviation of the input, "
        "neurons in falling order, with 95 % intervals",
        reads=("simulation.zarr", "recovery.zarr"),
    ),
    PanelKind(
        "input_movie",
        system="assembly",
        truth=True,
        shows="true and learned field side by side at one frame, and `<name>.gif`, a movie of "
        "all samples",
        reads=("simulation.zarr", "recovery.zarr"),
        takes=("frame",),
        movie=True,
    ),
)
MATERIAL = AssemblyMaterial
"""Material of these panels."""


def input_coefficients(material: AssemblyMaterial, ax: Axes) -> Axes:
    """Effects of recorded inputs on all neurons, each input in an order of its own."""
    recovery = material.recovery
    if "input_coefficient" not in recovery:
        raise StoreError(
            "panel kind 'input_coefficients' draws the effects of recorded inputs, but none were "
            "fitted; set training.input: fitted, or leave the panel out of the figure"
        )
    spread = material.simulation["inputs"].std("time").values
    effect = recovery["input_coefficient"] * spread
    error = recovery["input_error"] * spread
    colors = mpl.colormaps["tab10"]
    for k, name in enumerate(map(str, recovery["input"].values)):
        order = np.argsort(-effect.values[:, k], kind="stable")
        y, half = effect.values[order, k], INTERVAL * error.values[order, k]
        rank = np.arange(len(order))
        ax.fill_between(rank, y - half, y + half, color=colors(k % 10), alpha=0.25, linewidth=0)
        ax.plot(rank, y, color=colors(k % 10), marker=".", markersize=3, label=pretty(name))
    ax.axhline(0, color="0.8", linewidth=0.8, zorder=0)
    scales = recovery["input_coefficient"].attrs.get("mode") == "multiplicative"
    unit = "" if scales else " [1/$\\tau$]"
    ax.set_title("gain by inputs" if scales else "drive by inputs")
    ax.set_xlabel("neuron, in falling order")
    ax.set_ylabel(f"effect of one standard deviation{unit}")
    ax.legend(loc="best")
    return ax


def input_map(material: AssemblyMaterial, ax: Axes) -> Axes:
    """True Omega at one frame, where neurons sit, from its least to its largest; others grey."""
    truth, driven = _true_input(material), _driven(material)
    frames = np.array([material.spec.frame or 0])
    values = np.ma.masked_all((1, truth.sizes["neuron"]))
    values[:, driven] = _omega(material.simulation, frames)[:, driven]
    dots = _maps(material, ax, values, frames, _scale(truth, driven))
    color_bar(ax, dots, labelled(_symbol(material, "$\\Omega_i$"), truth))
    rest = truth.sizes["neuron"] > len(driven)
    ax.set_title("true input (grey: none)" if rest else "true input")
    return ax


def activity_map(material: AssemblyMaterial, ax: Axes) -> Axes:
    """Activity of all neurons at some frames, where they sit, on one symmetric scale."""
    frames = np.array(material.spec.at or (0,))
    shown = material.simulation["activity"].isel(time=frames).values
    reach = float(np.quantile(np.abs(shown), 0.98)) or 1.0
    dots = _maps(material, ax, shown, frames, (-reach, reach))
    color_bar(ax, dots, "activity $x_i$", extend="both")
    ax.set_title("activity")
    return ax


def input_scatter(material: AssemblyMaterial, ax: Axes) -> Axes:
    """Learned against true Omega of driven neurons at the sampled times, as a density."""
    inputs = side_by_side(material)
    low, high = inputs.scale
    margin = 0.1 * (high - low)
    limits = (low - margin, high + margin)
    density_scatter(inputs.true.ravel(), inputs.learned.ravel(), ax, limits)
    truth = _true_input(material)
    ax.set_xlabel(labelled("true $\\Omega_i(t)$", truth))
    ax.set_ylabel(labelled("learned $\\Omega_i(t)$", truth))
    names = {"input": "\\Omega", "input_sqrt": "\\sqrt{\\Omega}"}
    known = [name for name in names if name in set(material.metrics["quantity"])]
    lines = [
        f"${names[q]}$: $R^2$ = {material.metric(q, 'r2'):.4f}\n"
        f"slope = {material.metric(q, 'slope'):.3f}"
        for q in known
    ]
    annotate(ax, "\n".join(lines))
    ax.set_title("learned against true input")
    return ax


def true_input(material: AssemblyMaterial, ax: Axes) -> Axes:
    """The true field at some frames, in grey from its least to its largest value."""
    frames = _frames(material)
    truth, driven = _true_input(material), _driven(material)
    fields = _omega(material.simulation, frames)[:, driven]
    _fields(material, ax, fields, _numbers(frames), _scale(truth, driven))
    ax.set_title("true field $\\Omega(x, y, t)$")
    return ax


def learned_input(material: AssemblyMaterial, ax: Axes) -> Axes:
    """The learned field at the sampled frames nearest to some frames, on the scale of the truth."""
    inputs = side_by_side(material)
    nearest = [int(np.abs(inputs.frames - k).argmin()) for k in _frames(material)]
    frames = inputs.frames[nearest]
    fields = inputs.learned[nearest]
    _fields(material, ax, fields, _numbers(frames), inputs.scale, extend="both")
    ax.set_title("learned field $\\Omega^*(x, y, t)$")
    return ax


def input_movie(material: AssemblyMaterial, ax: Axes) -> Axes:
    """A still of the movie: true and learned field beside one another, on the true scale."""
    inputs = side_by_side(material)
    k = int(np.abs(inputs.frames - (material.spec.frame or 0)).argmin())
    both = np.stack([inputs.true[k], inputs.learned[k]])
    _fields(material, ax, both, ["true", "learned"], inputs.scale, extend="both")
    ax.set_xlabel(clock(material, inputs.times[k]))
    ax.set_title("true and learned field")
    return ax


@dataclass(frozen=True)
class SideBySide:
    """True and learned input of the driven neurons at the sampled times."""

    times: Float[np.ndarray, " sample"]
    frames: FrameIndices
    """Numbers of these frames in the recording."""
    true: Float[np.ndarray, "sample neuron"]
    learned: Float[np.ndarray, "sample neuron"]
    scale: tuple[float, float]
    """Least and largest true input over the whole recording."""
    raster: Raster


def side_by_side(material: AssemblyMaterial) -> SideBySide:
    """True and learned input, ready to be compared.

    Raises:
        StoreError: the experiment has no input, or none was learned.
    """
    truth, driven = _true_input(material), _driven(material)
    if "external_input" not in material.recovery:
        raise StoreError(
            f"panel kind '{material.spec.kind}' draws the learned external_input, which the model "
            f"of experiment '{material.spec.of}' does not have; set training.input to 'field', or "
            "leave the panel out of the figure"
        )
    learned = material.recovery["external_input"]
    times = learned["sample"].values.astype(np.float64)
    frames = _sampled(learned, material.simulation)
    true = _omega(material.simulation, frames)
    return SideBySide(
        times=times,
        frames=frames,
        true=true[:, driven],
        learned=learned.values[:, driven],
        scale=_scale(truth, driven),
        raster=raster(_positions(material)[driven]),
    )


def clock(material: AssemblyMaterial, time: float) -> str:
    """A time as written under a picture."""
    return f"time {time:.0f} {pretty(material.simulation['time'].attrs.get('units', ''))}"


def _fields(
    material: AssemblyMaterial,
    ax: Axes,
    fields: Values,
    names: Sequence[str],
    scale: tuple[float, float],
    extend: str = "neither",
) -> None:
    """Grey images of the driven neurons, left to right, under their names."""
    sites = raster(_positions(material)[_driven(material)])
    pitch = (1 + GAP) * sites.width
    for k, field in enumerate(fields):
        ax.imshow(
            sites.image(field),
            extent=(k * pitch, k * pitch + sites.width, 0, sites.height),
            origin="lower",
            cmap="gray",
            vmin=scale[0],
            vmax=scale[1],
            interpolation="nearest",
            rasterized=True,
        )
    _strip(ax, sites.width, sites.height, names)
    label = labelled(_symbol(material, "$\\Omega$"), _true_input(material))
    color_bar(ax, ax.images[-1], label, extend=extend)


def _maps(
    material: AssemblyMaterial,
    ax: Axes,
    values: Values,
    frames: FrameIndices,
    scale: tuple[float, float],
) -> ScalarMappable:
    """One coloured dot a neuron for every frame, left to right, under the frame numbers."""
    positions = _positions(material)
    step = spacing(positions)
    low, high = positions.min(axis=0) - step, positions.max(axis=0) + step
    width, height = high - low
    shifts = (1 + GAP) * width * np.arange(len(values))
    offsets = np.concatenate([positions - low + [shift, 0] for shift in shifts])
    sizes = np.full(len(offsets), DOT * step)
    dots = EllipseCollection(
        sizes,
        sizes,
        np.zeros(len(offsets)),
        units="xy",
        offsets=offsets,
        offset_transform=ax.transData,
        array=values.ravel(),
        cmap=mpl.colormaps[material.style.activity_colormap].with_extremes(bad=MISSING),
        clim=scale,
        linewidths=0,
        rasterized=True,
    )
    ax.add_collection(dots)
    _strip(ax, width, height, _numbers(frames))
    return dots


def _strip(ax: Axes, width: float, height: float, names: Sequence[str]) -> None:
    """Axes of pictures side by side: no frame, and a name over each."""
    starts = (1 + GAP) * width * np.arange(len(names))
    ax.set(xlim=(0, starts[-1] + width), ylim=(0, height), aspect="equal", yticks=[])
    ax.set_xticks(starts + width / 2, names)
    ax.xaxis.tick_top()
    ax.set_anchor("NW")
    ax.tick_params(axis="x", length=0, pad=1)
    for spine in ax.spines.values():
        spine.set_visible(False)


def _numbers(frames: FrameIndices) -> list[str]:
    """Frame numbers as names of pictures: frame 0, 100, 200."""
    first, *others = (str(k) for k in frames)
    return [f"frame {first}", *others]


def _frames(material: AssemblyMaterial) -> FrameIndices:
    """The frames asked for: by default five, spread evenly over the recording."""
    n = material.simulation.sizes["time"]
    return np.array(material.spec.at or n * np.arange(5) // 5)


def _sampled(learned: xr.DataArray, simulation: xr.Dataset) -> FrameIndices:
    """Frames at which an input was sampled; an older store says their times alone."""
    if "sample_frame" in learned.coords:
        return learned["sample_frame"].values
    return simulation.indexes["time"].get_indexer(learned["sample"].values, method="nearest")


def _omega(simulation: xr.Dataset, frames: FrameIndices) -> Values:
    """True Omega of all neurons at some frames; a fractional index mixes two images."""
    table = simulation["external_input"]
    shown = simulation["input_frame"].values[frames]
    left = np.floor(shown).astype(int)
    right = np.minimum(left + 1, len(table) - 1)
    share = (shown - left)[:, None]
    return (1 - share) * table.isel(frame=left).values + share * table.isel(frame=right).values


def _symbol(material: AssemblyMaterial, symbol: str) -> str:
    """Omega as a factor has no unit, which is said; one that adds to the rate has its own."""
    return f"{symbol}, a factor" if _true_input(material).attrs.get("units", "1") == "1" else symbol


def _true_input(material: AssemblyMaterial) -> xr.DataArray:
    for name in ("driven", "input_frame"):
        material.truth(name)
    return material.truth("external_input")


def _driven(material: AssemblyMaterial) -> np.ndarray:
    return np.flatnonzero(material.truth("driven").values)


def _positions(material: AssemblyMaterial) -> np.ndarray:
    return material.truth("position").values.astype(np.float64)


def _scale(truth: xr.DataArray, driven: np.ndarray) -> tuple[float, float]:
    table = truth.values[:, driven]
    return float(table.min()), float(table.max())

"""Panels of how fast activity changes."""

import numpy as np
import xarray as xr
from jaxtyping import Float
from matplotlib.axes import Axes
from scipy.signal import welch

from ngpipe.config.panels import PanelKind
from ngpipe.errors import StoreError
from ngpipe.figures.assembly.material import AssemblyMaterial
from ngpipe.figures.assembly.stretches import stretches
from ngpipe.figures.drawing.material import pretty
from ngpipe.figures.drawing.ticks import log_axis

SEGMENTS = 8
"""Windows that the longest stretch is divided into, so that its spectrum is averaged."""
FEWEST, MOST = 16, 4096
"""Frames of a window."""
LEAST = 0.01
"""Smallest density that is drawn, over that of noise or of the median frequency."""
MOST_FRAMES, MOST_NEURONS = 200_000, 500
"""Frames and neurons looked at."""


PANELS = (
    PanelKind(
        "spectrum",
        system="assembly",
        shows="power spectrum of activity: median and quartiles of the neurons, with the level of "
        "measurement noise if the store tells it",
        reads=("simulation.zarr",),
    ),
)
MATERIAL = AssemblyMaterial
"""Material of these panels."""


def spectrum(material: AssemblyMaterial, ax: Axes) -> Axes:
    r"""Power spectral density of the neurons, by Welch's method within stretches.

    .. math:: P_i(f), \qquad \int_0^{f_N} P_i\,df = \mathrm{var}(x_i)

    Measurement noise of standard deviation s has a mean density of :math:`2 s^2 dt`, which is its
    density at every frequency if it is white.

    Raises:
        StoreError: no stretch is long enough.
    """
    data = material.simulation
    unit, of_time = material.time_unit(data)
    dt = unit * float(data.attrs["dt"])
    frequency, power = _welch(data, dt)
    low, middle, high = np.nanquantile(power, [0.25, 0.5, 0.75], axis=1)
    color = "0.15"
    ax.fill_between(frequency, low, high, color=color, alpha=0.2, linewidth=0)
    ax.plot(frequency, middle, color=color, label="median, quartiles")
    ax.set(xscale="log", yscale="log", xlim=(frequency[0], frequency[-1]))
    level = 2 * dt * _noise(data) ** 2
    if level > 0:
        name = "measurement noise, mean"
        ax.axhline(level, color=material.style.learned_color, lw=0.8, ls="--", label=name)
    # A filter that makes the state lets nothing of some frequencies pass.
    bottom = LEAST * float(min(np.nanmedian(low), level if level > 0 else np.inf))
    ax.set_ylim(bottom=max(ax.get_ylim()[0], bottom))
    log_axis(ax, "x")
    log_axis(ax, "y")
    hertz = of_time == "s"
    ax.set_xlabel("frequency [Hz]" if hertz else f"frequency [1/{pretty(of_time)}]")
    ax.set_ylabel(f"power density [{_density(data['activity'], 'Hz' if hertz else of_time)}]")
    ax.legend(loc="best", handlelength=1.4)
    made = "estimated " if "rate" in data else ""
    ax.set_title(f"spectrum of {made}activity")
    return ax


def _welch(
    data: xr.Dataset, dt: float
) -> tuple[Float[np.ndarray, " f"], Float[np.ndarray, "f neuron"]]:
    """Frequencies above 0 and the mean density of the longest stretches."""
    source = data["activity"]
    n = min(source.sizes["time"], MOST_FRAMES)
    neurons = np.unique(np.linspace(0, source.sizes["neuron"] - 1, MOST_NEURONS).astype(int))
    values = source.isel(time=slice(0, n)).load().isel(neuron=neurons).values
    runs = [run for part in stretches(data, n) for run in _whole(values, part.frames)]
    longest = max((run.stop - run.start for run, _ in runs), default=0)
    window = min(MOST, max(FEWEST, longest // SEGMENTS))
    runs = [(run, seen) for run, seen in runs if run.stop - run.start >= window]
    if not runs:
        raise StoreError(
            f"the longest stretch of the recording without a gap or a missing value has {longest} "
            f"frames, fewer than the {FEWEST} that a spectrum needs; leave the panel out of the "
            "figure"
        )
    total, frames = np.zeros((window // 2 + 1, values.shape[1])), np.zeros(values.shape[1])
    for run, seen in runs:
        frequency, power = welch(values[run][:, seen], fs=1 / dt, nperseg=window, axis=0)
        total[:, seen] += power * (run.stop - run.start)
        frames[seen] += run.stop - run.start
    total[:, frames == 0] = np.nan
    # The mean is taken away, and the density at the last frequency is half of its neighbours'.
    return frequency[1:-1], total[1:-1] / np.maximum(frames, 1)


def _whole(values: np.ndarray, frames: slice) -> list[tuple[slice, np.ndarray]]:
    """Runs of frames of a stretch in which no neuron that it has lacks a value; these neurons."""
    finite = np.isfinite(values[frames])
    seen = finite.any(axis=0)
    if not seen.any():
        return []
    whole = finite[:, seen].all(axis=1).astype(int)
    edges = np.diff(whole, prepend=0, append=0)
    starts, stops = (frames.start + np.flatnonzero(edges == sign) for sign in (1, -1))
    return [(slice(a, b), seen) for a, b in zip(starts.tolist(), stops.tolist(), strict=True)]


def _noise(data: xr.Dataset) -> float:
    """Standard deviation of the measurement noise of the typical neuron; NaN if it is not known."""
    if "activity_noise" not in data:
        return float("nan")
    return float(data["activity_noise"].median())


def _density(activity: xr.DataArray, of: str) -> str:
    """Unit of a power density."""
    units = activity.attrs.get("units", "1")
    square = "1" if units == "1" else f"({units})²"
    return f"{square}/Hz" if of == "Hz" else f"{square}·{pretty(of)}"

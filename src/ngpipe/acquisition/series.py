"""One recorded series: activity of some neurons over time, read block by block."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Shaped


@dataclass(frozen=True)
class Series:
    """Activity in a file, with the values, units and times that its writer meant.

    Values stay in the file; :attr:`block` reads some frames of them.
    """

    path: Path
    name: str
    """Name inside the file; empty if the file holds nothing else."""
    n_frames: int
    n_neurons: int
    block: Callable[[int, int], Float[np.ndarray, "frame neuron"]]
    """Frames ``start`` to ``stop`` (excluded), in :attr:`units`; NaN where there is no value."""
    units: str | None = None
    rate: float | None = None
    """Frames per second [Hz], if frames are evenly spaced and the file says so."""
    start: float = 0.0
    """Time of the first frame [s], if there is a rate and no times."""
    times: Float[np.ndarray, " frame"] | None = None
    """Time of each frame [s], if the file says it."""
    labels: tuple[str, ...] | None = None
    """Names of the neurons."""
    numbered: bool = False
    """True if the labels are numbers of this file alone, which mean other neurons in another."""
    positions: Float[np.ndarray, "neuron axis"] | None = None
    segments: Shaped[np.ndarray, " frame"] | None = None
    """Trial of each frame, a number or a word."""
    oriented: bool = True
    """True if the file or the config says which axis is time."""
    notes: tuple[str, ...] = ()
    """Sentences on what was done to the values: a conversion, a correction, cells left out."""

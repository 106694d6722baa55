"""Losses between an assembly and a file: indicator, noise, lost frames, lost cells.

The reverse of what the stage `import` undoes, for recordings whose truth is known.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int
from scipy.signal import lfilter

from ngpipe.config.assembly.source import RecordedAs

Signal = Float[np.ndarray, "frame neuron"]


@dataclass(frozen=True)
class Session:
    """Signals of some cells at some frames."""

    frames: Int[np.ndarray, " kept"]
    """Frames that were not lost, by their numbers in the simulation."""
    cells: Int[np.ndarray, " found"]
    """Cells that were found."""


def indicated(activity: Signal, frame: float, decay: float | None) -> Signal:
    """Signal of an indicator of unit gain that follows activity.

    c_{t+1} = gamma c_t + (1 - gamma) x_t with gamma = exp(-frame / decay), from c_0 = x_0 on.

    Args:
        activity: x, of all frames without a gap.
        frame: time from frame to frame [s].
        decay: decay time [s]; None: the signal is the activity.
    """
    if decay is None:
        return activity
    kept = np.exp(-frame / decay)
    first = activity[:1]
    rest = lfilter([1 - kept], [1, -kept], activity[:-1], axis=0, zi=kept * first)[0]
    return np.concatenate([first, rest])


def measured(signal: Signal, noise: float, generator: np.random.Generator) -> Signal:
    """Signal with white measurement noise, relative to its standard deviation over everything."""
    if noise == 0:
        return signal
    return signal + noise * signal.std() * generator.standard_normal(signal.shape)


def sessions(
    n_frames: int, n_cells: int, losses: RecordedAs, generator: np.random.Generator
) -> Sequence[Session]:
    """Frames and cells of each session; the last one lacks some cells, each loses some frames."""
    kept = generator.random(n_frames) >= losses.dropped
    found = []
    for k, frames in enumerate(np.array_split(np.arange(n_frames), losses.sessions)):
        lost = round(losses.lacking * n_cells) if k == losses.sessions - 1 else 0
        cells = np.sort(generator.permutation(n_cells)[lost:])
        found.append(Session(frames[kept[frames]], cells))
    return found

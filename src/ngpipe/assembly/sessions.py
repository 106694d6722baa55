"""Sessions of a recording that each see some of its neurons."""

from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ngpipe.arrays import Series, Trajectory


@dataclass(frozen=True)
class Sessions:
    """Sessions of a recording, and which neurons each of them sees.

    A neuron that a session does not see is NaN at all of its frames.
    """

    of_frame: Int[Tensor, " frame"]
    """Number of the session of every frame."""
    seen: Bool[Tensor, "session neuron"]

    @property
    def n_sessions(self) -> int:
        """Number of sessions."""
        return len(self.seen)

    def n_frames(self, frames: Int[Tensor, " frame"]) -> Int[Tensor, " session"]:
        """Number of the given frames in every session."""
        return torch.bincount(self.of_frame[frames], minlength=self.n_sessions)

    def pairs_seen(self, frames: Int[Tensor, " frame"]) -> Int[Tensor, "post pre"]:
        """Number of the given frames at which both neurons of a pair are seen."""
        seen = self.seen.double()
        counted = seen * self.n_frames(frames).double()[:, None]
        return (seen.T @ counted).round().long()

    def members(self, session: int) -> Int[Tensor, " some"]:
        """Neurons that a session sees."""
        return torch.nonzero(self.seen[session])[:, 0]

    @property
    def fullest(self) -> Int[Tensor, " session"]:
        """Sessions that see most neurons: as many as any other does."""
        n = self.seen.sum(1)
        return torch.nonzero(n == n.max())[:, 0]

    def richest(self, frames: Int[Tensor, " frame"]) -> list[int]:
        """Sessions by their number of values at the given frames, most first; none without any."""
        values = self.seen.sum(1) * self.n_frames(frames)
        order = values.sort(descending=True, stable=True).indices
        return [int(k) for k in order if values[k] > 0]

    def here(self, frames: Int[Tensor, " frame"]) -> Bool[Tensor, "frame neuron"]:
        """Neurons that are seen at the given frames."""
        return self.seen[self.of_frame[frames.cpu()]]


class SomeNeurons:
    """Some neurons of a trajectory, read when frames are asked for.

    Args:
        series: all of them.
        neurons: which.
    """

    def __init__(self, series: Trajectory | Series, neurons: Int[Tensor, " some"]) -> None:
        self._series, self.neurons = series, neurons
        self.shape, self.device = (len(series), len(neurons)), series.device

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, frames: slice | Int[Tensor, " frame"]) -> Float[Tensor, "frame some"]:
        """Some frames."""
        return self._series[frames][:, self.neurons]

"""What training may see: activity, the target rate, who is driven, and what is held out."""

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from ngpipe.arrays import Activity, Rate, Series, Trajectory
from ngpipe.assembly.field import Sites
from ngpipe.assembly.gnn import Scales
from ngpipe.config.inputs import Mode
from ngpipe.errors import DivergenceError

BLOCK = 20
"""Frames of a held-out block: short, so that a hidden input hardly changes within."""

STRETCH = 4_096
"""Frames read at once where all are looked at."""

Frames = Int[Tensor, " frame"]


@dataclass(frozen=True)
class Recording:
    """Activity of an assembly and the rate that the model is to predict.

    A share of the frames is never trained on: the end of the recording, or blocks of 20 frames
    spread evenly over it. Half of them (the first half; every other block) serve scoring, the
    others the choice of the model, so that the scores are not those of the selection.
    """

    activity: Trajectory | Series
    rate: Trajectory | Series | None
    """Exact rate [1/tau]; None: finite differences of activity take its place."""
    dt: float
    held_out: float
    in_blocks: bool = False
    sites: Sites | None = None
    """The driven neurons, if any."""
    known_input: "KnownInput | None" = None

    @property
    def n_neurons(self) -> int:
        """Number of neurons."""
        return self.activity.shape[1]

    @property
    def duration(self) -> float:
        """Time from the first frame to the end of the last one [tau]."""
        return len(self.activity) * self.dt

    @property
    def n_usable(self) -> int:
        """Frames that have a target: all but the last one for finite differences."""
        return len(self.activity) - (self.rate is None)

    @cached_property
    def blocks(self) -> list[range]:
        """The held-out stretches, in time."""
        if not self.in_blocks:
            start = int(len(self.activity) * (1 - self.held_out))
            middle = (start + self.n_usable) // 2
            return [range(start, middle), range(middle, self.n_usable)]
        n = max(1, round(self.n_usable * self.held_out / (2 * BLOCK)))
        starts = [int((k + 0.5) * self.n_usable / (2 * n)) for k in range(2 * n)]
        return [range(s, min(s + BLOCK, self.n_usable)) for s in starts]

    @cached_property
    def training_frames(self) -> Frames:
        """Frames to train on: neither they nor their targets are held out."""
        free = torch.ones(self.n_usable, dtype=torch.bool)
        for block in self.blocks:
            # A finite difference reaches one frame ahead.
            free[max(0, block.start - (self.rate is None)) : block.stop] = False
        return torch.nonzero(free)[:, 0]

    @property
    def first_held_out(self) -> int:
        """First frame of the first held-out stretch."""
        return self.blocks[0].start

    def times(self, frames: Frames) -> Float[Tensor, " frame"]:
        """When frames were taken [tau]."""
        return self.dt * frames

    def batch(self, frames: Frames) -> tuple[Activity, Rate]:
        """Activity and target rate at the given frames, each ``(frame, neuron)``."""
        x = self.activity[frames]
        if self.rate is not None:
            return x, self.rate[frames]
        return x, (self.activity[frames + 1] - x) / self.dt

    def scoring_frames(self, n: int) -> Frames:
        """About ``n`` evenly spaced frames of every other held-out stretch."""
        return _spread(torch.tensor([f for b in self.blocks[0::2] for f in b]), n)

    def selection_frames(self, n: int) -> Frames:
        """About ``n`` evenly spaced frames of the other held-out stretches."""
        return _spread(torch.tensor([f for b in self.blocks[1::2] for f in b]), n)

    def training_sample(self, n: int) -> Frames:
        """About ``n`` evenly spaced training frames."""
        return _spread(self.training_frames, n)

    def scales(self) -> Scales:
        """Units of activity and rate, from a sample of the training frames.

        Raises:
            DivergenceError: activity is not finite at a training frame.
        """
        return self._scales

    @cached_property
    def _scales(self) -> Scales:
        x, rate = self.batch(self.training_sample(2_000))
        largest = max(self._largest(part) for part in self.training_frames.split(STRETCH))
        return Scales(
            activity=float(x.std()),
            reach=1.1 * largest,
            rate=float(rate.square().mean().sqrt()),
        )

    def _largest(self, frames: Frames) -> float:
        x = self.activity[frames]
        broken = ~x.isfinite()
        if broken.any():
            frame, neuron = torch.nonzero(broken)[0].tolist()
            raise DivergenceError(
                f"activity or rate of neuron {neuron} at frame {int(frames[frame])} is not finite; "
                "leave out or interpolate such frames before training"
            )
        return float(x.abs().max())

    def visited(self, share: float, n: int = 5_000) -> Float[Tensor, "neuron 2"]:
        """Ends of the central ``share`` of each neuron's activity during training."""
        x = self.activity[self.training_sample(n)]
        tails = torch.tensor([(1 - share) / 2, (1 + share) / 2], dtype=x.dtype, device=x.device)
        return torch.quantile(x, tails, dim=0).T


class KnownInput(nn.Module):
    """An input given to the model: a table of images and the image shown at every frame."""

    def __init__(
        self,
        table: Float[Tensor, "image neuron"],
        image: Float[Tensor, " time"],
        dt: float,
        mode: Mode,
    ) -> None:
        super().__init__()
        self.table, self.image, self.dt, self.mode = table, image, dt, mode

    def of_all(self, times: Float[Tensor, " time"]) -> Float[Tensor, "time neuron"]:
        """Input of all neurons at the given times [tau]; linear between two images."""
        frame = (times / self.dt).round().long().clamp(0, len(self.image) - 1)
        index = self.image[frame]
        left = index.long()
        right = (left + 1).clamp_max(len(self.table) - 1)
        share = (index - left).to(self.table.dtype)
        return torch.lerp(self.table[left], self.table[right], share[:, None])


def _spread(frames: Frames, n: int) -> Int[Tensor, " sample"]:
    return frames[:: max(1, len(frames) // n)]

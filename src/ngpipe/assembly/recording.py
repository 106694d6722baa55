"""What training may see: activity, the target rate, and which frames are held out."""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from ngpipe.arrays import Trajectory
from ngpipe.assembly.gnn import Scales


@dataclass(frozen=True)
class Recording:
    """Activity of an assembly and the rate that the model is to predict.

    The last ``held_out`` share of the frames is never trained on. Its first half serves scoring
    (rollout, held-out drift), its second half the choice of the model, so that the scores are not
    those of the selection.
    """

    activity: Trajectory
    rate: Trajectory | None
    """Exact rate [1/tau]; None: finite differences of activity take its place."""
    dt: float
    held_out: float

    @property
    def n_neurons(self) -> int:
        """Number of neurons."""
        return self.activity.shape[1]

    @property
    def n_usable(self) -> int:
        """Frames that have a target: all but the last one for finite differences."""
        return len(self.activity) - (self.rate is None)

    @property
    def n_training(self) -> int:
        """Frames to train on, from the start of the recording."""
        return int(len(self.activity) * (1 - self.held_out)) - (self.rate is None)

    @property
    def first_held_out(self) -> int:
        """First frame after the training frames and their targets."""
        return self.n_training + (self.rate is None)

    def batch(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """Activity and target rate at the given frames, each ``(frame, neuron)``."""
        x = self.activity[frames]
        if self.rate is not None:
            return x, self.rate[frames]
        return x, (self.activity[frames + 1] - x) / self.dt

    def scoring_frames(self, n: int) -> Tensor:
        """About ``n`` evenly spaced frames of the first half of the held-out part."""
        middle = (self.first_held_out + self.n_usable) // 2
        return _spread(self.first_held_out, middle, n)

    def selection_frames(self, n: int) -> Tensor:
        """About ``n`` evenly spaced frames of the second half of the held-out part."""
        middle = (self.first_held_out + self.n_usable) // 2
        return _spread(middle, self.n_usable, n)

    def training_sample(self, n: int) -> Tensor:
        """About ``n`` evenly spaced training frames."""
        return _spread(0, self.n_training, n)

    def scales(self) -> Scales:
        """Units of activity and rate, from a sample of the training frames."""
        x, rate = self.batch(self.training_sample(2_000))
        return Scales(
            activity=float(x.std()),
            reach=1.1 * float(self.activity[: self.n_training].abs().max()),
            rate=float(rate.square().mean().sqrt()),
        )

    def visited(self, share: float, n: int = 5_000) -> Float[Tensor, "neuron 2"]:
        """Ends of the central ``share`` of each neuron's activity during training."""
        x = self.activity[self.training_sample(n)]
        tails = torch.tensor([(1 - share) / 2, (1 + share) / 2], dtype=x.dtype, device=x.device)
        return torch.quantile(x, tails, dim=0).T


def _spread(first: int, end: int, n: int) -> Tensor:
    return torch.arange(first, end, max(1, (end - first) // n))

r"""Baselines of a prediction, fitted to the same rates at the same training frames as the model.

=================  =====================================================================
persistence        :math:`\dot x = 0`: activity stays as it is
autoregression     :math:`\dot x = A (x - \bar x) + b`: all neurons, linear (ridge)
alone              :math:`\dot x_i = f_i(x_i)`: every neuron for itself, any function
=================  =====================================================================

Each takes the same steps of `dt` as the model, :math:`x(t + dt) = x(t) + dt\,\dot x(t)`, from the
same held-out frames. No baseline knows an external input.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor

from ngpipe.arrays import Activity, Rate
from ngpipe.assembly.closed_form.chosen_frames import STIFF, TINY
from ngpipe.assembly.closed_form.spline import Spline
from ngpipe.assembly.recording import STRETCH, FrameIndices, Recording

FRAMES = 30_000
"""Most training frames that a baseline is fitted to."""
RIDGES = (1e-6, 1e-4, 1e-2, 1e-1, 1.0, 10.0)
"""Ridges of the autoregression, relative to the mean variance of a neuron."""
CHOOSES = 5
"""The last of so many parts of the training frames chooses the ridge."""
BASIS = 12
"""Functions of activity that f_i is made of."""

Baseline = Callable[[Activity], Rate]
"""From activity ``(start, neuron)`` to the rate there [1/tau]."""


def baselines(recording: Recording) -> dict[str, Baseline]:
    """The three baselines by name, fitted to training frames."""
    frames = recording.training_sample(FRAMES)
    return {
        "persistence": torch.zeros_like,
        "autoregression": _autoregression(recording, frames),
        "alone": _alone(recording, frames),
    }


def _autoregression(recording: Recording, frames: FrameIndices) -> Baseline:
    """A and b by ridge regression; the last training frames choose the ridge, then all count."""
    cut = len(frames) - len(frames) // CHOOSES
    early, late = (_Products.of(recording, part) for part in (frames[:cut], frames[cut:]))
    ridge = min(RIDGES, key=lambda ridge: late.missed(early.solve(ridge)))
    every = early.with_more(late)
    mean, solution = every.mean.float(), every.solve(ridge).float()

    def rate(x: Activity) -> Rate:
        return (x - mean) @ solution[:-1] + solution[-1]

    return rate


class _Products:
    """Means over frames of products of z = (x - mean, 1) and the rate, in float64."""

    def __init__(self, mean: Tensor, z_z: Tensor, z_rate: Tensor, square: float, n: int) -> None:
        self.mean, self.z_z, self.z_rate, self.square, self.n = mean, z_z, z_rate, square, n

    @classmethod
    def of(cls, recording: Recording, frames: FrameIndices) -> "_Products":
        """Products over some frames; the mean is a constant that all parts share."""
        mean = typical_activity(recording)
        size = recording.n_neurons + 1
        z_z = mean.new_zeros(size, size)
        z_rate, square = z_z[:, :-1].clone(), 0.0
        for part in frames.split(STRETCH):
            x, rate = (values.double() for values in recording.batch(part))
            # A neuron that a session lacks stands at its mean, with no change.
            z = torch.cat([(x - mean).nan_to_num(0.0), x.new_ones(len(x), 1)], 1)
            rate = rate.nan_to_num(0.0)
            z_z += z.T @ z
            z_rate += z.T @ rate
            square += float(rate.square().sum())
        n = len(frames)
        return cls(mean, z_z / n, z_rate / n, square / n, n)

    def with_more(self, other: "_Products") -> "_Products":
        """Products over the frames of both."""
        share = other.n / (self.n + other.n)
        return _Products(
            self.mean,
            torch.lerp(self.z_z, other.z_z, share),
            torch.lerp(self.z_rate, other.z_rate, share),
            (1 - share) * self.square + share * other.square,
            self.n + other.n,
        )

    def solve(self, ridge: float) -> Float[Tensor, "term neuron"]:
        """A transposed, with b as its last row; b is not shrunk."""
        padded = self.z_z.clone()
        level = padded.diagonal()[:-1].mean().clamp_min(torch.finfo(padded.dtype).tiny)
        padded.diagonal()[:-1].add_(ridge * level)
        return torch.linalg.solve(padded, self.z_rate)

    def missed(self, solution: Float[Tensor, "term neuron"]) -> float:
        """Mean squared error of a solution at these frames, summed over neurons."""
        inner = (solution * (self.z_z @ solution - 2 * self.z_rate)).sum()
        return self.square + float(inner)


def typical_activity(recording: Recording) -> Float[Tensor, " neuron"]:
    """Mean activity of every neuron over training frames, in float64."""
    return recording.activity[recording.training_sample(20_000)].double().nanmean(0)


def _alone(recording: Recording, frames: FrameIndices) -> Baseline:
    """Every f_i by least squares on splines, smooth where the neuron has no data."""
    scales = recording.scales()
    spline = Spline(BASIS, unit=scales.bend, reach=scales.reach)
    square = torch.zeros(recording.n_neurons, BASIS, BASIS, dtype=torch.float64)
    square = square.to(recording.activity.device)
    right = square[..., 0].clone()
    for part in frames.split(STRETCH // 8):
        x, rate = (values.double() for values in recording.batch(part))
        seen = x.isfinite() & rate.isfinite()
        x, rate = x.where(seen, 0.0), rate.where(seen, 0.0)
        basis = (spline.basis(x) * seen[..., None]).transpose(0, 1)
        square += basis.mT @ basis
        right += (basis.mT @ rate.T[..., None])[..., 0]
    level = square.diagonal(dim1=1, dim2=2).mean(1)
    smooth = TINY * torch.eye(BASIS).to(square) + STIFF * spline.roughness(square)
    padded = square + level[:, None, None] * smooth
    coefficients = torch.linalg.solve(padded, right).float()
    return lambda x: spline.read(coefficients, x)

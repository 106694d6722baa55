"""Frames in which activity moves, where it rests in part of a recording."""

import torch
from jaxtyping import Float
from torch import Tensor

from ngpipe.assembly.recording import STRETCH, FrameIndices, Recording

STRETCHES, REST = 50, 0.1
"""Activity rests where a fiftieth of the recording moves less than a tenth of the mean."""
HALVINGS = 60


def informative_sample(recording: Recording, n: int) -> FrameIndices:
    """About ``n`` training frames, evenly spaced unless activity rests in part of them.

    At rest, frames say nearly the same; those of the rest are then taken first. Every frame is
    drawn with a chance proportional to how fast activity moves, and a little.
    """
    motion = _motion(recording)
    stretches = torch.stack([part.mean() for part in motion.tensor_split(STRETCHES)])
    if n >= len(motion) or not bool((stretches < REST * stretches.mean()).any()):
        return recording.training_sample(n)
    weight = motion + REST * motion.mean()
    low, high = 0.0, n / float(weight.min())
    for _ in range(HALVINGS):
        middle = (low + high) / 2
        few = float((middle * weight).clamp_max(1).sum()) < n
        low, high = (middle, high) if few else (low, middle)
    counted = (high * weight).clamp_max(1).cumsum(0)
    # Systematic sampling: a frame wherever the count passes a whole number.
    return recording.training_frames[torch.diff(counted.floor(), prepend=counted.new_zeros(1)) > 0]


def _motion(recording: Recording) -> Float[Tensor, " frame"]:
    """Speed of activity at every training frame, root mean square [1/tau]."""
    parts = recording.training_frames.split(STRETCH)
    return torch.cat([recording.batch(p)[1].double().square().mean(1).sqrt().cpu() for p in parts])

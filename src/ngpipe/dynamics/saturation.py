"""Saturation: the fraction of simulated activity where the transfer function is flat."""

import torch
from torch import Tensor

from ngpipe.arrays import PerNeuron

ALWAYS = 0.99
"""Share of the frames on one flat side from which a neuron sends a constant."""
NAMED = 10
"""Most neurons that are named."""


class Saturation:
    """Frames at which every neuron is beyond the range of its transfer function.

    Args:
        flat: activity beyond which what a neuron sends is flat [1].
    """

    def __init__(self, flat: PerNeuron) -> None:
        self._flat = flat.cpu()
        self._below, self._above = (torch.zeros(len(flat), dtype=torch.long) for _ in range(2))
        self._frames = 0

    def add(self, x: Tensor) -> None:
        """Count more frames, ``(frame, neuron)``."""
        x = x.cpu()
        self._below += (x < -self._flat).sum(0)
        self._above += (x > self._flat).sum(0)
        self._frames += len(x)

    @property
    def share(self) -> float:
        """Share of all activity that is beyond."""
        return float((self._below + self._above).sum()) / max(1, self._frames * len(self._flat))

    @property
    def constant(self) -> list[int]:
        """Neurons that hardly ever leave one flat side: what they send does not change."""
        often = torch.maximum(self._below, self._above) >= ALWAYS * max(1, self._frames)
        return torch.nonzero(often)[:, 0].tolist()

    @property
    def warning(self) -> str | None:
        """Warning about constant signals; None if every neuron's signal changes."""
        stuck = self.constant
        if not stuck:
            return None
        named = ", ".join(map(str, stuck[:NAMED])) + (", ..." if len(stuck) > NAMED else "")
        return (
            f"activity is saturated: {self.share:.1%} of it lies where the transfer function is "
            f"flat, and {len(stuck)} of {len(self._flat)} neurons ({named}) stay there on one side "
            "at least 99 % of the time. Their output does not change, so no recording can "
            "determine their columns of W. Lower the gain or the self-excitation of the types, or "
            "their excess of excitation, or add noise or an input that moves them"
        )

"""An input of the neurons that is known, and given to the model."""

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ngpipe.config.assembly.inputs import Mode


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

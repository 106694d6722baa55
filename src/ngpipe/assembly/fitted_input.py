r"""Inputs that were recorded, with a coefficient of every neuron that is fitted with its row of W.

.. math::
    \text{additive:} \quad \dot x_i = \phi_i(x_i) + \sum_j W_{ij} \psi(x_j) + \sum_k b_{ik} u_k(t)

.. math::
    \text{multiplicative:} \quad
    \dot x_i = \phi_i(x_i) + \Big(1 + \sum_k g_{ik} u_k(t)\Big) \sum_j W_{ij} \psi(x_j)

Inside, inputs are relative to their mean, in units of their standard deviation, so that neither
phi nor W has to make up for it; :mod:`.readout` gives phi and W at u = 0.
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor, nn

from ngpipe.config.assembly.inputs import Mode
from ngpipe.errors import StoreError


@dataclass(frozen=True)
class InputSeries:
    """Recorded inputs at every frame."""

    values: Float[Tensor, "frame input"]
    """(u - mean) / sd; 0 at frames without a value, which are not trained on."""
    mean: Float[Tensor, " input"]
    sd: Float[Tensor, " input"]
    mode: Mode

    @classmethod
    def of(
        cls, raw: Float[Tensor, "frame input"], names: tuple[str, ...], mode: Mode
    ) -> "InputSeries":
        """Inputs in their own units; NaN where there is no value.

        Raises:
            StoreError: an input never changes, so that phi or W could stand for it.
        """
        raw = raw.double()
        mean = raw.nanmean(0)
        sd = (raw - mean).square().nanmean(0).sqrt()
        still = [name for name, s, m in zip(names, sd, mean, strict=True) if not s > 1e-9 * abs(m)]
        if still:
            raise StoreError(
                f"inputs: {still} never change, so nothing can be learned of their effect; leave "
                "them out of source.inputs"
            )
        values = ((raw - mean) / sd).nan_to_num(0.0)
        return cls(values.float(), mean.float(), sd.float(), mode)

    def to(self, device: torch.device) -> "InputSeries":
        """The same on another device."""
        moved = {name: getattr(self, name).to(device) for name in ("values", "mean", "sd")}
        return replace(self, **moved)


class FittedInput(nn.Module):
    """The input of every neuron: recorded series times its coefficients.

    Shapes:
        ``coefficients``, ``error``: ``(neuron, input)``, per standard deviation of the input.

    Args:
        series: the inputs at every frame.
        n_neurons: number of neurons.
        dt: time from frame to frame [tau].
    """

    coefficients: Tensor
    error: Tensor

    def __init__(self, series: InputSeries, n_neurons: int, dt: float) -> None:
        super().__init__()
        self.series, self.dt = series, dt
        shape = n_neurons, series.values.shape[1]
        self.register_buffer("coefficients", torch.zeros(shape))
        self.register_buffer("error", torch.zeros(shape))

    @property
    def mode(self) -> Mode:
        """How the input acts."""
        return self.series.mode

    def of_all(self, times: Float[Tensor, " time"]) -> Float[Tensor, "time neuron"]:
        """Input of all neurons at the given times [tau]: that of the nearest frame."""
        values = self.series.values
        frame = (times.double() / self.dt).round().long().clamp(0, len(values) - 1)
        rest = 1.0 if self.mode == "multiplicative" else 0.0
        return rest + values[frame.to(values.device)].to(times.device) @ self.coefficients.T

    @property
    def at_zero(self) -> Float[Tensor, " neuron"]:
        """Input of all neurons where every series is 0."""
        rest = 1.0 if self.mode == "multiplicative" else 0.0
        return rest - self.coefficients @ (self.series.mean / self.series.sd).to(self.coefficients)

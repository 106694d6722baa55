r"""Slopes of chords in place of derivatives, along a path of inputs.

A network with a threshold jumps, and a derivative does not see a jump: the integral of derivatives
along a path misses what the jumps contribute. Between two neighbouring points a and b of a path,

.. math:: f(x_b) - f(x_a) = s\,(x_b - x_a), \qquad s = \frac{f(x_b) - f(x_a)}{x_b - x_a}

holds for every function of one variable, and W x is its own chord. Backward passes that multiply
slopes of chords where others multiply derivatives therefore share out the difference of the
outputs among the inputs without a remainder, jumps included, and tend to the derivatives where
the points are close and nothing jumps.

Source: the rescale rule of DeepLIFT (Shrikumar et al. 2017, ICML, PMLR 70:3145), which knows one
chord from the baseline to the input; here one for each piece of the path.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor


class Sloped(torch.autograd.Function):
    """Given values y of x, with given slopes for derivatives."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor, slope: Tensor) -> Tensor:  # noqa: ANN401
        """The values y."""
        ctx.save_for_backward(slope)
        return y.view_as(y)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None]:  # noqa: ANN401
        """The gradient times the slope."""
        (slope,) = ctx.saved_tensors
        return gradient * slope, None, None


@dataclass(frozen=True)
class Chords:
    """Slopes along a path whose points are columns, ``(..., point x sample)``, samples innermost.

    Column k of the gradient belongs to the chord from point k to point k + 1; the last point has
    none.
    """

    samples: int

    def held(self, x: Tensor, y: Tensor, passes: Tensor) -> Tensor:
        """Values y of x held at a bound: y is x where it ``passes``, constant elsewhere."""
        start, end = self.ends(passes)
        slope = torch.where(start & end, 1.0, torch.where(start | end, self._quotient(x, y), 0.0))
        return self._sloped(x, y, slope)

    def smooth(self, x: Tensor, y: Tensor, derivative: Callable[[Tensor], Tensor]) -> Tensor:
        """Values y of x; the derivative is a function of y."""
        near = torch.finfo(x.dtype).eps ** (1 / 3)  # where rounding and curvature err alike
        start, end = self.ends(x.detach())
        close = (end - start).abs() < near
        between = self.mean(derivative(y.detach()))
        return self._sloped(x, y, torch.where(close, between, self._quotient(x, y)))

    def product(self, x: Tensor, y: Tensor) -> Tensor:
        """The product; its difference is that of x by the mean y, and that of y by the mean x."""
        value = (x * y).detach()
        by_x = self._sloped(x, value, self.mean(y.detach()))
        return by_x + self._sloped(y, torch.zeros_like(value), self.mean(x.detach()))

    def ends(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Start and end of every chord."""
        return x[..., : -self.samples], x[..., self.samples :]

    def mean(self, x: Tensor) -> Tensor:
        """Mean of start and end."""
        start, end = self.ends(x)
        return (start + end) / 2

    def padded(self, of_chords: Tensor) -> Tensor:
        """One value a point from one a chord; 0 at the last."""
        return torch.nn.functional.pad(of_chords, (0, self.samples))

    def _quotient(self, x: Tensor, y: Tensor) -> Tensor:
        (x_start, x_end), (y_start, y_end) = self.ends(x.detach()), self.ends(y.detach())
        return (y_end - y_start) / (x_end - x_start)

    def _sloped(self, x: Tensor, y: Tensor, slope: Tensor) -> Tensor:
        return Sloped.apply(x, y.detach(), self.padded(slope))


Surrogate = bool | Chords
"""Substitute for the derivative at bounds: False, nothing; True, see
:class:`ngpipe.connectome.step.Held`; or the slopes of chords, there and of tanh."""

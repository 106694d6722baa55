r"""Smooth functions of activity, linear in their coefficients.

Cubic B-splines (de Boor, "A practical guide to splines", 1978, chapter IX) in
:math:`u = \mathrm{asinh}(x / \mathrm{unit})`: knots are dense near zero, where functions bend, and
sparse in the tails. The error falls with the fourth power of the spacing.
"""

import math
from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

Coefficients = Float[Tensor, "*batch basis"]


class Spline:
    """``n`` basis functions over [-reach, reach]; beyond, functions keep their end values.

    Args:
        n: number of basis functions, at least 4.
        unit: activity below which functions may bend.
        reach: largest magnitude of activity.
    """

    def __init__(self, n: int, *, unit: float, reach: float) -> None:
        self.n, self.unit, self.reach = n, unit, reach
        self.half = math.asinh(reach / unit)
        self.spacing = 2 * self.half / (n - 3)

    def locate(self, x: Tensor) -> tuple[Int[Tensor, "*shape 4"], Float[Tensor, "*shape 4"]]:
        """The four basis functions that differ from zero at ``x``: their numbers and values."""
        q = ((torch.asinh(x / self.unit) + self.half) / self.spacing).clamp(0, self.n - 3)
        left = q.floor().clamp_max(self.n - 4)
        t = q - left
        t2, t3 = t * t, t * t * t
        values = torch.stack(
            [1 - 3 * t + 3 * t2 - t3, 4 - 6 * t2 + 3 * t3, 1 + 3 * t + 3 * t2 - 3 * t3, t3], dim=-1
        )
        return left.long()[..., None] + torch.arange(4, device=x.device), values / 6

    def basis(self, x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape basis"]:
        """Values of all basis functions."""
        index, values = self.locate(x)
        return x.new_zeros(*x.shape, self.n).scatter_(-1, index, values)

    def read(self, coefficients: Coefficients, x: Tensor) -> Tensor:
        """Values of functions at their own activities.

        Shapes: ``(n,)`` and any ``x``: one function; ``(m, n)`` and ``(..., m)``: function k at
        column k.
        """
        index, values = self.locate(x)
        if coefficients.dim() == 1:
            return (coefficients[index] * values).sum(-1)
        offset = self.n * torch.arange(len(coefficients), device=x.device)
        return (coefficients.flatten()[index + offset[:, None]] * values).sum(-1)

    def fit(self, function: Callable[[Tensor], Tensor], like: Tensor) -> Coefficients:
        """Coefficients of given functions, by least squares on a dense grid.

        Args:
            function: values ``(..., x)`` at activities ``(x,)``.
            like: says precision and device.
        """
        u = torch.linspace(-self.half, self.half, 8 * self.n, dtype=like.dtype, device=like.device)
        x = torch.sinh(u) * self.unit
        values = function(x)
        flat = values.reshape(-1, len(x)).T
        return torch.linalg.lstsq(self.basis(x), flat, driver="gels").solution.T.reshape(
            *values.shape[:-1], self.n
        )

    def refit(
        self, other: "Spline", coefficients: Coefficients
    ) -> Float[Tensor, "*batch refitted"]:
        """Coefficients here of functions on another spline, one a row."""
        return self.fit(lambda x: coefficients @ other.basis(x).T, like=coefficients)

    def roughness(self, like: Tensor) -> Float[Tensor, "basis basis"]:
        """Quadratic form of the summed squared second differences of coefficients."""
        second = torch.eye(self.n, dtype=like.dtype, device=like.device).diff(n=2, dim=0)
        return second.T @ second

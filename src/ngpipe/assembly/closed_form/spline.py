r"""Smooth functions of activity, linear in their coefficients.

Cubic B-splines (de Boor, "A practical guide to splines", 1978, chapter IX) in
:math:`u = \mathrm{asinh}(x / \mathrm{unit})`: knots are dense near zero, where functions bend, and
sparse in the tails. The error falls with the fourth power of the spacing.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from torch import Tensor

Coefficients = Float[Tensor, "*batch basis"]

_PIECES = tuple(
    tuple(power / 6 for power in piece)
    for piece in ((1, -3, 3, -1), (4, 0, -6, 3), (1, 3, 3, -3), (0, 0, 0, 1))
)
"""The four basis functions that differ from zero in an interval: their coefficients of t^0 to t^3,
t from 0 to 1."""


@runtime_checkable
class Basis(Protocol):
    """Functions of activity in which the phi of a row is linear."""

    @property
    def n(self) -> int:
        """Number of functions."""

    @property
    def unit(self) -> float:
        """Activity below which functions may bend."""

    def basis(self, x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape basis"]:
        """Values of all functions."""

    def roughness(self, like: Tensor) -> Float[Tensor, "basis basis"]:
        """Quadratic form of the summed squared second differences of a spline's coefficients."""


class Spline:
    """``n`` basis functions over [-reach, reach]; beyond, functions keep their end values.

    Args:
        n: number of basis functions, at least 4.
        unit: activity below which functions may bend.
        reach: largest magnitude of activity.
    """

    def __init__(self, n: int, *, unit: float, reach: float) -> None:
        self.n: int = n
        self.unit: float = unit
        self.reach = reach
        self.half = math.asinh(reach / unit)
        self.spacing = 2 * self.half / (n - 3)

    def place(self, x: Tensor) -> tuple[Int[Tensor, "*shape"], Float[Tensor, "*shape"]]:
        """Interval between knots that holds every ``x``, and how far it lies in it, in [0, 1]."""
        q = torch.asinh(x / self.unit).add_(self.half).div_(self.spacing).clamp_(0, self.n - 3)
        left = q.floor().clamp_max_(self.n - 4)
        return left.long(), q.sub_(left)

    def basis(self, x: Float[Tensor, "*shape"]) -> Float[Tensor, "*shape basis"]:
        """Values of all basis functions."""
        left, t = self.place(x)
        out = x.new_zeros(*x.shape, self.n)
        first = left + self.n * torch.arange(x.numel(), device=x.device).view(x.shape)
        for k, piece in enumerate(_PIECES):
            out.view(-1)[first + k] = _polynomial(piece, t)
        return out

    def read(self, coefficients: Coefficients, x: Tensor) -> Tensor:
        """Values of functions at their own activities.

        Shapes: ``(n,)`` and any ``x``: one function; ``(m, n)`` and ``(..., m)``: function k at
        column k.
        """
        place, t = self.place(x)
        if coefficients.dim() > 1:
            columns = torch.arange(len(coefficients), device=x.device)
            place += (self.n - 3) * columns
        return _polynomial(self._pieces(coefficients), t, place)

    def _pieces(self, coefficients: Coefficients) -> Float[Tensor, "power piece"]:
        """Polynomials on all intervals of one function after the other, the constant first."""
        windows = coefficients.unfold(-1, 4, 1).reshape(-1, 4)
        return windows.new_tensor(_PIECES).T @ windows.T

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


def _polynomial(
    powers: Sequence[Any] | Tensor, t: Tensor, place: Int[Tensor, "*shape"] | None = None
) -> Tensor:
    """Cubic polynomials at t by Horner's rule: one, or for every t that of its place."""
    constant, linear, square, cube = powers if place is None else (p.take(place) for p in powers)
    return t.mul(cube).add_(square).mul_(t).add_(linear).mul_(t).add_(constant)

"""Krylov spaces of many networks at once, and orbits of small matrices in them."""

import torch
from jaxtyping import Float
from torch import Tensor

Networks = Float[Tensor, "run post pre"]

GROWTH = 40
"""Directions added to a basis at a time."""


def enlarged(
    weights: Networks, start: Float[Tensor, " neuron"], known: tuple[Tensor, Tensor] | None = None
) -> tuple[Float[Tensor, "run m1 neuron"], Float[Tensor, "run m1 m"]]:
    """Up to :data:`GROWTH` further directions of the space of W and ``start`` (Arnoldi).

    After Saad 2003, section 6.3.

    Args:
        weights: W[post, pre] of each run.
        start: the vector that the space begins with.
        known: what the last call gave.

    Returns:
        m + 1 orthonormal rows, of which the last is where W leads out of the m others; W in them.
    """
    basis, inner = known or _first(weights, start)
    old = inner.shape[2]
    m = min(old + GROWTH, weights.shape[-1])
    basis = torch.cat([basis, basis.new_zeros(len(basis), m - old, basis.shape[2])], dim=1)
    inner = torch.nn.functional.pad(inner, (0, m - old, 0, m - old))
    for j in range(old, m):
        so_far = basis[:, : j + 1]
        # Rows, of which torch multiplies a batch faster than of columns.
        new = so_far[:, j:] @ weights.mT
        length = torch.linalg.vector_norm(new, dim=2)
        for _ in range(2):  # twice is enough (Giraud et al. 2005)
            overlap = new @ so_far.mT
            new = new - overlap @ so_far
            inner[:, : j + 1, j] += overlap[:, 0]
        left = torch.linalg.vector_norm(new, dim=2)
        # Of a space that is complete rounding is left, which may lie in it: no direction at all.
        left = torch.where(left > torch.finfo(left.dtype).eps * length, left, 0)
        inner[:, j + 1, j] = left[:, 0]
        basis[:, j + 1] = torch.where(left > 0, new[:, 0] / left, 0)
    return basis, inner


def _first(weights: Networks, start: Tensor) -> tuple[Tensor, Tensor]:
    basis = (start / start.norm()).expand(len(weights), 1, -1)
    return basis, weights.new_zeros(len(weights), 1, 0)


def stepping(
    inner: Float[Tensor, "run m m"], h: float | Float[Tensor, ""]
) -> Float[Tensor, "run m m"]:
    """A = (1 - h) + h W: one step of Euler's scheme without input."""
    one = torch.eye(inner.shape[-1], dtype=inner.dtype, device=inner.device)
    return (1 - h) * one + h * inner


def orbit(
    matrix: Float[Tensor, "run m m"], start: Float[Tensor, "run m"], n: int, stride: int
) -> Float[Tensor, "run m {n}"]:
    """start, A start, A^2 start, ...: n of them.

    Args:
        matrix: A.
        start: where it begins.
        n: how many.
        stride: how many are made at a time, a power of 2. Their power of A errs by its own size,
            not by that of what it is applied to: the more, the faster and the less exact.
    """
    known = start[..., None]
    while known.shape[2] < min(n, stride):
        known = torch.cat([known, matrix @ known], dim=2)
        matrix = matrix @ matrix
    parts = [known]
    for _ in range(stride, n, stride):
        parts.append(matrix @ parts[-1])
    return torch.cat(parts, dim=2)[..., :n]

"""Normal equations accumulated over stretches of frames, and rows of W from them, in blocks.

Memory does not depend on the number of frames: the Gram matrix, the moments of one block of rows
(:data:`BLOCK_BYTES`), and one stretch of frames (``frames.STRETCH_BYTES``).
"""

from collections.abc import Iterator
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ngpipe.assembly.closed_form.chosen_frames import Equations, Frames, Transfer, smoothness
from ngpipe.assembly.closed_form.rows import Gram, Moments, RowFit, Rows

BLOCK_BYTES = 512 * 2**20
"""Memory for the moments of a block of rows."""
PANEL = 256
"""Rows of a Gram matrix that are summed at once, from the diagonal on: half of it is enough."""


def solve_rows(
    equations: Equations,
    transfer: Transfer,
    rows: Int[Tensor, " row"],
    gram: Gram,
) -> Iterator[tuple[Int[Tensor, " block"], Rows]]:
    """Normal equations of many rows with one Gram matrix, block by block.

    Args:
        equations: frames to solve for.
        transfer: what senders send.
        rows: whose rows.
        gram: of what is sent.
    """
    padding = smoothness(equations, gram.moment.device)
    for block in rows.split(block_length(equations)):
        found = moments(equations, transfer, block)
        yield block, Rows(gram, block, found, padding)


def block_length(equations: Equations) -> int:
    """Rows of a block."""
    return max(1, BLOCK_BYTES // (3 * 8 * equations.n_neurons * equations.n_own))


def gram_moment(equations: Equations, transfer: Transfer) -> Float[Tensor, "pre pre"]:
    """Mean over all frames of what is sent times itself, one stretch of frames at a time."""
    total: Any = None
    for part in equations.stretches(equations.n_neurons):
        total = with_products(total, transfer.sent(part.x))
    return mean_products(total, len(equations))


def moments(equations: Equations, transfer: Transfer, rows: Int[Tensor, " row"]) -> Moments:
    """Moments of some rows over all frames, one stretch of frames at a time."""
    total: Any = None
    seen = 0
    for part in equations.stretches(equations.n_neurons + len(rows) * equations.n_own):
        seen += len(part)
        now = moments_at(part, transfer.sent(part.x), rows)
        total = now.joined(total, len(part) / seen)
    return total


def gram_and_moments(
    equations: Equations, transfer: Transfer, rows: Int[Tensor, " row"]
) -> tuple[Float[Tensor, "pre pre"], Moments]:
    """Both of the above in one go, for a few rows."""
    total: Any = None
    found: Any = None
    seen = 0
    for part in equations.stretches(equations.n_neurons + len(rows) * equations.n_own):
        sent = transfer.sent(part.x)
        seen += len(part)
        total = with_products(total, sent)
        found = moments_at(part, sent, rows).joined(found, len(part) / seen)
    return mean_products(total, len(equations)), found


def moments_at(
    frames: Frames, sent: Float[Tensor, "frame pre"], rows: Int[Tensor, " row"]
) -> Moments:
    """Moments of some rows at frames in memory."""
    return Moments.of(sent, frames.own(rows), frames.target(rows), frames.own_noise(rows))


def with_products(
    total: Float[Tensor, "pre pre"] | None, sent: Float[Tensor, "frame pre"]
) -> Float[Tensor, "pre pre"]:
    """Sum of products of what is sent, with those of some frames added to its upper blocks."""
    n = sent.shape[1]
    total = sent.new_zeros(n, n) if total is None else total
    for start in range(0, n, PANEL):
        add_panel(total[start : start + PANEL, start:], sent, start)
    return total


def add_panel(
    total: Float[Tensor, "panel right"], sent: Float[Tensor, "frame pre"], start: int
) -> None:
    """Products of some frames added to the rows of one panel, from its diagonal on."""
    total.addmm_(sent[:, start : start + len(total)].T, sent[:, start:])


def mean_products(upper: Float[Tensor, "pre pre"], n_frames: int) -> Float[Tensor, "pre pre"]:
    """Mean over frames of all products, from the sum of those in the upper blocks."""
    return mirrored(upper) / n_frames


def mirrored(upper: Float[Tensor, "pre pre"]) -> Float[Tensor, "pre pre"]:
    """A symmetric matrix from its upper triangle."""
    return upper.triu() + upper.triu(1).T


def residual(
    frames: Frames, transfer: Transfer, fit: RowFit, rows: Int[Tensor, " row"]
) -> Float[Tensor, "frame row"]:
    """Residual of the target of some rows after their solution."""
    return frames.target(rows) - fit.predict(transfer.sent(frames.x), frames.own(rows))


def missed(
    frames: Frames, transfer: Transfer, fit: RowFit, rows: Int[Tensor, " row"]
) -> Float[Tensor, " row"]:
    r"""Mean squared residual of some rows at frames they were not fitted to, fit to choose by.

    Noise that the state shares with the rate rewards a phi that is too shallow; free of it,

    .. math:: \langle r_i^2 \rangle + 2 \kappa_i \langle \phi_i' \rangle
    """
    square = residual(frames, transfer, fit, rows).square().mean(0)
    return square + 2 * (frames.own_noise(rows) * fit.own).sum(1)


def shared_phi(
    equations: Equations, transfer: Transfer, rows: Int[Tensor, " row"], gram: Gram
) -> Float[Tensor, " basis"]:
    """Coefficients of the one phi that suits all of the rows best.

    Rows count equally: each is weighed by its mean squared target.
    """
    matrix: Any = 0
    right: Any = 0
    for _, normal in solve_rows(equations, transfer, rows, gram):
        weight = 1 / normal.moments.target
        matrix = matrix + torch.einsum("r,rkl->kl", weight, normal.reduced)
        right = right + weight @ normal.right
    return torch.linalg.solve(matrix, right)

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
    size = max(1, BLOCK_BYTES // (3 * 8 * equations.n_neurons * equations.n_own))
    padding = smoothness(equations, gram.moment.device)
    for block in rows.split(size):
        found = moments(equations, transfer, block)
        yield block, Rows(gram, block, found, padding)


def gram_moment(equations: Equations, transfer: Transfer) -> Float[Tensor, "pre pre"]:
    """Mean over all frames of what is sent times itself, one stretch of frames at a time."""
    total: Any = 0
    n = len(equations)
    for part in equations.stretches(equations.n_neurons):
        sent = transfer.sent(part.x)
        total = total + sent.T @ sent / n
    return total


def moments(equations: Equations, transfer: Transfer, rows: Int[Tensor, " row"]) -> Moments:
    """Moments of some rows over all frames, one stretch of frames at a time."""
    total: Any = None
    seen = 0
    for part in equations.stretches(equations.n_neurons + len(rows) * equations.n_own):
        now = Moments.of(transfer.sent(part.x), part.own(rows), part.target(rows))
        seen += len(part)
        if total is None:
            total = now
        else:
            total.accumulate(now, len(part) / seen)
    return total


def residual(
    frames: Frames, transfer: Transfer, fit: RowFit, rows: Int[Tensor, " row"]
) -> Float[Tensor, "frame row"]:
    """Residual of the target of some rows after their solution."""
    return frames.target(rows) - fit.predict(transfer.sent(frames.x), frames.own(rows))


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

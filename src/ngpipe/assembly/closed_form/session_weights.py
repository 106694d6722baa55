r"""How much every session counts, chosen on held-out frames.

What the senders that a session k does not see do to a neuron is noise to its row, but slow noise:
it hangs together in time as long as activity does, while noise of a rate changes from frame to
frame. Frame for frame such a session tells less. Its variances count q_k times,

.. math:: q_k = 1 + c\, v_k

v_k being the share of what is sent that it cannot tell. Held-out frames choose c, and the share a
that shrinks weights of senders which are not seen (:mod:`.session_rows`): the least a with which
rows are predicted as well as with the best, but for a standard error (Breiman et al.,
"Classification and regression trees", 1984, section 3.4).
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ngpipe.assembly.closed_form.chosen_frames import Frames
from ngpipe.assembly.closed_form.rows import RowFit
from ngpipe.assembly.closed_form.session_rows import Block, Parts

SHRINKAGES = (0.0, 0.03, 0.3, 1.0)
"""a that are tried."""
PERSISTENCES = (0.0, 10.0, 30.0, 100.0, 300.0)
"""c that are tried."""


def weighed(
    parts: Parts, rows: Int[Tensor, " row"], held_out: Sequence[tuple[int, Frames]]
) -> Parts:
    """The same sessions with a and c as held-out frames choose them.

    Args:
        parts: all sessions.
        rows: whose prediction is looked at.
        held_out: frames of some sessions that rows are not solved from.
    """
    if not bool((parts.unknown > 0).any()) or not held_out:
        return parts
    blocks = list(parts.blocks(rows))
    best, missed = [], []
    for shrinkage in SHRINKAGES:
        choices = [(shrinkage, persistence) for persistence in PERSISTENCES]
        tried = [_missed(parts, blocks, held_out, *choice) for choice in choices]
        least = min(range(len(choices)), key=lambda k: float(tried[k].mean()))
        best.append(choices[least])
        missed.append(tried[least])
    return parts.under(*best[_simplest(torch.stack(missed))])


def _simplest(missed: Float[Tensor, "choice row"]) -> int:
    """The first choice that is as good as the best one, but for a standard error over rows."""
    beyond = missed - missed[missed.mean(1).argmin()]
    error = beyond.std(1) / missed.shape[1] ** 0.5
    return int((beyond.mean(1) <= error).nonzero()[0])


def _missed(
    parts: Parts,
    blocks: Sequence[Block],
    held_out: Sequence[tuple[int, Frames]],
    shrinkage: float,
    persistence: float,
) -> Float[Tensor, " row"]:
    """Mean squared residual of rows on held-out frames, over their mean squared rate.

    It is free of the noise that states share with rates, as :func:`.accumulate.missed` is.
    """
    found = []
    for block in blocks:
        fit, rows = block.under(shrinkage, persistence).solve().fit, block.rows
        total = torch.zeros_like(block.level)
        n = torch.zeros_like(total)
        for k, frames in held_out:
            here = torch.isin(rows, parts.parts[k].members)
            total[here] += len(frames) * _square(parts, k, frames, fit.some(here), rows[here])
            n[here] += len(frames)
        found.append((total / n / block.level)[n > 0])
    return torch.cat(found)


def _square(
    parts: Parts, session: int, frames: Frames, fit: RowFit, rows: Int[Tensor, " row"]
) -> Float[Tensor, " row"]:
    local = torch.searchsorted(parts.parts[session].members, rows.contiguous())
    square = parts.residual(session, frames, fit, rows).square().mean(0)
    return square + 2 * (frames.own_noise(local) * fit.own).sum(1)

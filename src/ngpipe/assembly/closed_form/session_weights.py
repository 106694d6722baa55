r"""How much every session counts, chosen on held-out frames.

What the senders that a session k does not see do to a neuron is noise to its row, but slow noise:
it hangs together in time as long as activity does, while noise of a rate changes from frame to
frame. Frame for frame such a session tells less. Its variances count q_k times,

.. math:: q_k = 1 + c\, v_k

v_k being the share of what is sent that it cannot tell. Held-out frames choose c, and the share a
that shrinks weights of senders which are not seen (:mod:`.session_rows`): the least a with which
rows are predicted nearly as well as with the best, as any shrinkage helps to predict a little.
"""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ngpipe.assembly.closed_form.chosen_frames import Frames
from ngpipe.assembly.closed_form.problem import HELD_OUT_FRAMES
from ngpipe.assembly.closed_form.rows import RowFit
from ngpipe.assembly.closed_form.session_parts import frames_of
from ngpipe.assembly.closed_form.session_rows import Block, Parts
from ngpipe.assembly.recording import Recording

ROWS = 32
"""Rows whose prediction is looked at."""
SHRINKAGES = (0.0, 0.03, 0.3, 1.0)
"""a that are tried."""
PERSISTENCES = (0.0, 10.0, 30.0, 100.0, 300.0)
"""c that are tried."""
NEARLY = 1.01
"""Times the least error on held-out frames that is as good."""


def weighed(parts: Parts, recording: Recording) -> Parts:
    """The same sessions with a and c as held-out frames choose them.

    Args:
        parts: all sessions.
        recording: the same, with what is held out.
    """
    held_out = frames_of(recording, parts.parts, recording.selection_frames(HELD_OUT_FRAMES))
    if not bool((parts.unknown > 0).any()) or not held_out:
        return parts
    everyone = torch.arange(parts.n_neurons, device=parts.unknown.device)
    rows = everyone[:: -(-len(everyone) // ROWS)]
    blocks = list(parts.blocks(rows))
    missed = {
        (a, c): _missed(parts, blocks, held_out, a, c) for a in SHRINKAGES for c in PERSISTENCES
    }
    enough = NEARLY * min(missed.values())
    shrinkage = min(a for (a, _), square in missed.items() if square <= enough)
    best = min(PERSISTENCES, key=lambda c: missed[shrinkage, c])
    return parts.under(shrinkage, best)


def _missed(
    parts: Parts,
    blocks: Sequence[Block],
    held_out: Sequence[tuple[int, Frames]],
    shrinkage: float,
    persistence: float,
) -> float:
    """Mean squared residual of rows on held-out frames, over their mean squared rate.

    It is free of the noise that states share with rates, as :func:`.accumulate.missed` is, and of
    what measurement noise of senders adds, as far as that was taken out of W.
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
    return float(torch.cat(found).mean())


def _square(
    parts: Parts, session: int, frames: Frames, fit: RowFit, rows: Int[Tensor, " row"]
) -> Float[Tensor, " row"]:
    local = torch.searchsorted(parts.parts[session].members, rows.contiguous())
    square = parts.residual(session, frames, fit, rows).square().mean(0)
    square = square - parts.noise_in(session, fit.weights)
    return square + 2 * (frames.own_noise(local) * fit.own).sum(1)

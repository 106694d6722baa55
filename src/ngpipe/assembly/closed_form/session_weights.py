r"""How much every session counts, and how far weights of unseen senders are shrunk.

What the senders that a session k does not see do to a neuron is noise to its row, but slow noise:
it hangs together in time as long as activity does, while noise of a rate changes from frame to
frame. Frame for frame such a session tells less. Its variances count q_k times,

.. math:: q_k = 1 + c\, v_k

v_k being the share of what is sent that it cannot tell. Held-out frames choose c. They cannot
choose a, which shrinks weights of senders that are not seen (:mod:`.session_rows`): a pair that no
session sees together is not seen by held-out frames either. It follows from the number of frames.
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
from ngpipe.assembly.sessions import Sessions

ROWS = 32
"""Rows whose prediction is looked at."""
SHRINKAGE = 50.0
"""a, in unknowns of a row over frames that see its neuron: measured, see docs/benchmarks.md."""
COMPLETE = 3
"""Frames of sessions that see all neurons, in unknowns of a row, with which a is 0."""
PERSISTENCES = (0.0, 10.0, 30.0, 100.0, 300.0)
"""c that are tried."""


def weighed(parts: Parts, recording: Recording) -> Parts:
    """The same sessions with a, and with c as held-out frames choose it.

    Args:
        parts: all sessions.
        recording: the same, with what is held out.
    """
    if not bool((parts.unknown > 0).any()):
        return parts
    shrinkage = shrinkage_of(recording, parts.parts[0].equations.phi.n)
    held_out = frames_of(recording, parts.parts, recording.selection_frames(HELD_OUT_FRAMES))
    if not held_out:
        return parts.under(shrinkage, parts.persistence)
    everyone = torch.arange(parts.n_neurons, device=parts.unknown.device)
    blocks = list(parts.blocks(everyone[:: -(-len(everyone) // ROWS)]))
    tried = {c: _missed(parts, blocks, held_out, shrinkage, c) for c in PERSISTENCES}
    return parts.under(shrinkage, min(tried, key=tried.__getitem__))


def shrinkage_of(recording: Recording, basis: int) -> float:
    """a: the unknowns of a row for its frames, so that it vanishes in long recordings.

    It is 0 if sessions that see all neurons would do without the others.

    Args:
        recording: all sessions.
        basis: number of functions of phi.
    """
    unknowns, sessions = recording.n_neurons + basis, recording.sessions
    frames = recording.pairs_seen().diagonal().double().mean()
    complete = 0 if sessions is None else _complete(sessions, recording.training_frames)
    if complete > COMPLETE * unknowns:
        return 0.0
    return min(1.0, SHRINKAGE * unknowns / max(1.0, float(frames)))


def _complete(sessions: Sessions, frames: Int[Tensor, " frame"]) -> int:
    """Frames of sessions that see all neurons."""
    return int(sessions.n_frames(frames)[sessions.seen.all(1)].sum())


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

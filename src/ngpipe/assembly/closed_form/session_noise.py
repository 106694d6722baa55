r"""Measurement noise of the senders, taken out where sessions each see some of the neurons.

It is on the diagonal of what every session knows (:mod:`.regressor_noise`), so it is taken out of
the moments of the seen senders, C_k - a D_k, and all else follows: what unseen senders are expected
to send, given what the seen ones send themselves, and the products of both. A session of few
frames, which would not stay positive, loses less of it.

One share a serves all sessions. Held-out frames choose it, which lie in those that see most.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Float
from torch import Tensor

from ngpipe.assembly.closed_form.chosen_frames import Frames
from ngpipe.assembly.closed_form.regressor_noise import SHARES, SenderNoise, sent_noise
from ngpipe.assembly.closed_form.session_parts import frames_of
from ngpipe.assembly.closed_form.session_rows import Block, Parts
from ngpipe.assembly.recording import Recording
from ngpipe.errors import DivergenceError

ROWS = 32
"""Rows of W that choose a."""


def without_sender_noise(parts: Parts, recording: Recording) -> tuple[Parts, SenderNoise]:
    """The same sessions, freed of as much noise as held-out frames suggest.

    Args:
        parts: all sessions, none of their noise taken out.
        recording: the same, with what is known of its noise.
    """
    sd = recording.state_noise
    if sd is None or not bool((sd > 0).any()):
        return parts, SenderNoise()
    pairs = [frames_of(recording, parts.parts, frames) for frames in recording.judging_pairs()]
    sd = sd.to(parts.completion.moment)
    noise = [sent_noise(p.equations, p.transfer, sd[p.members]) for p in parts.parts]
    everyone = torch.arange(parts.n_neurons, device=sd.device)
    blocks = list(parts.blocks(everyone[:: -(-len(everyone) // ROWS)]))

    def missed(share: float) -> float:
        try:
            return _in_common(_freed(parts, noise, share), blocks, pairs)
        except DivergenceError:
            if share == 0:
                raise
            return float("inf")  # so much that rows have no solution

    best = min(SHARES, key=missed) if pairs[0] else 0.0
    freed = _freed(parts, noise, best)
    return freed, _told(freed, noise)


def _freed(parts: Parts, noise: Sequence[Float[Tensor, " seen"]], share: float) -> Parts:
    """All sessions without a share of the noise."""
    if share == 0:
        return parts
    each = [replace(p, noise=share * d) for p, d in zip(parts.parts, noise, strict=True)]
    known = parts.n_neurons, parts.ridge, None, parts.shrinkage, parts.persistence
    return Parts(each, *known)


def _in_common(
    parts: Parts, blocks: Sequence[Block], pairs: Sequence[Sequence[tuple[int, Frames]]]
) -> float:
    """Mean product of residuals of rows at frames that share no measured frame."""
    total, n = 0.0, 0
    for block in blocks:
        fit, rows = block.on(parts).solve().fit, block.rows
        # The frames of a pair are of one session.
        for (k, early), (_, late) in zip(*pairs, strict=True):
            here = torch.isin(rows, parts.parts[k].members)
            mine, fitted = rows[here], fit.some(here)
            products = parts.residual(k, early, fitted, mine) * parts.residual(
                k, late, fitted, mine
            )
            total, n = total + float(products.sum()), n + products.numel()
    return total / n


def _told(parts: Parts, noise: Sequence[Float[Tensor, " seen"]]) -> SenderNoise:
    """Size of the noise in the sessions, and the part of it that was taken out."""
    size, removed, whole, total = 0.0, 0.0, 0.0, 0
    for seen, own in zip(parts.seen, noise, strict=True):
        total += seen.n_frames
        whole += seen.n_frames * float(own.sum())
        senders = slice(1, 1 + len(own))
        square = seen.moment.diagonal()[senders]
        if seen.noise is not None:
            taken = seen.noise[senders]
            square = square + taken
            removed += seen.n_frames * float(taken.sum())
        size += seen.n_frames * float((own / square).mean())
    return SenderNoise(size / total, removed / whole)

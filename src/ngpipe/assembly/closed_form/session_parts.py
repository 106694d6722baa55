"""Equations of every session of a recording whose sessions each see some of the neurons."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ngpipe.assembly.closed_form.chosen_frames import Equations, Frames, Source, Transfer
from ngpipe.assembly.closed_form.completion import Seen
from ngpipe.assembly.closed_form.regressor_noise import positive_until
from ngpipe.assembly.closed_form.rows import SAFE
from ngpipe.assembly.closed_form.spline import Spline
from ngpipe.assembly.recording import Recording


@dataclass(frozen=True)
class Part:
    """Equations of one session, for the neurons it sees, in their order."""

    members: Int[Tensor, " seen"]
    equations: Equations
    transfer: Transfer
    """Of the seen senders."""
    noise: Float[Tensor, " seen"] | None = None
    """a D: mean square of what they send that is to be taken out as measurement noise, if any."""

    @property
    def n_inputs(self) -> int:
        """Recorded inputs that are columns of every row."""
        return self.equations.n_own - self.equations.phi.n

    def seen(self, n_neurons: int) -> Seen:
        """Moments of what it knows: what its senders send, and recorded inputs.

        Measurement noise is taken out as far as it leaves them positive.

        Args:
            n_neurons: number of all neurons, after which inputs are counted.
        """
        total: Tensor | float = 0.0
        n = len(self.equations)
        for frames in self.equations.stretches(len(self.members) + self.n_inputs):
            known = self.known(frames)
            total = total + known.T @ known / n
        assert isinstance(total, Tensor)
        inputs = n_neurons + torch.arange(self.n_inputs, device=self.members.device)
        found = Seen(torch.cat([self.members, inputs]), n, total)
        if self.noise is None or not bool(self.noise.any()):
            return found
        noise = torch.cat([total.new_zeros(1), self.noise, total.new_zeros(self.n_inputs)])
        return _without(found, noise)

    def known(self, frames: Frames) -> Float[Tensor, "frame one_and_seen"]:
        """1, what its senders send, and recorded inputs, at some frames."""
        columns = [with_one(self.transfer.sent(frames.x))]
        if frames.inputs is not None:
            columns.append(frames.inputs.double())
        return torch.cat(columns, 1)


def session_parts(
    recording: Recording, chosen: Int[Tensor, " frame"], phi: Spline, transfer: Transfer
) -> list[Part]:
    """Equations of every session that has some of the chosen frames.

    Args:
        recording: all sessions.
        chosen: frames to solve for.
        phi: basis of each neuron's own function.
        transfer: psi of all neurons.
    """
    sessions: Any = recording.sessions  # of a recording that has them
    parts, session = [], sessions.of_frame[chosen]
    for k in torch.unique(session).tolist():
        alone = recording.alone(k)
        known = alone.known_input
        source = Source(alone, chosen[session == k], phi)
        if known is not None:
            source = replace(source, omega_at=known.of_all, mode=known.mode)
        members = sessions.members(k).to(transfer.group.device)
        parts.append(Part(members, source, replace(transfer, group=transfer.group[members])))
    return parts


def frames_of(
    recording: Recording, parts: Sequence[Part], chosen: Int[Tensor, " frame"]
) -> list[tuple[int, Frames]]:
    """Given frames in memory, session by session: its number among the parts, and its frames."""
    sessions: Any = recording.sessions  # of a recording that has them
    session, found = sessions.of_frame[chosen], []
    for k in torch.unique(session).tolist():
        source = parts[k].equations
        assert isinstance(source, Source)
        found.append((k, replace(source, chosen=chosen[session == k]).read()))
    return found


def halves_of(parts: Sequence[Part]) -> tuple[list[Part], list[Part]]:
    """The first and the second half of the frames of every session, but those of one frame."""
    first, second = [], []
    for part in parts:
        middle = len(part.equations) // 2
        if middle:
            first.append(replace(part, equations=part.equations.part(slice(0, middle))))
            second.append(replace(part, equations=part.equations.part(slice(middle, None))))
    return first, second


def _without(seen: Seen, noise: Float[Tensor, " one_and_seen"]) -> Seen:
    """The same without noise; of a session of few frames, without a part of it, or with all."""
    factor, failed = torch.linalg.cholesky_ex(seen.moment)
    if failed:
        return seen
    taken = min(1.0, SAFE * positive_until(factor, noise)) * noise
    return replace(seen, moment=seen.moment - torch.diag(taken), noise=taken)


def with_one(sent: Float[Tensor, "frame pre"]) -> Float[Tensor, "frame one_and_pre"]:
    """What is sent, with a first column of 1."""
    return torch.cat([sent.new_ones(len(sent), 1), sent], 1)

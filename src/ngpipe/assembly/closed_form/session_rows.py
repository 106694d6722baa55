r"""Rows of W from sessions that each see some of the neurons, given psi.

In session k, row i reads

.. math:: y_i(t) = \sum_j W_{ij}\, \hat f_j(t) + \phi_i(x_i(t)) + \epsilon_i(t), \qquad
    \langle\epsilon_i^2\rangle = s_{ik}^2

with what a sender sends where it is seen, and what it is expected to send, given the others and
recorded inputs, where it is not (:mod:`.completion`). What it does beyond that is not correlated
with any regressor: it is noise of this session, and biases nothing (regression calibration; Carroll
et al., "Measurement error in nonlinear models", chapter 4). One session cannot tell the weight of a
sender that it does not see; sessions that see others can. A row is solved from all sessions that
see its neuron, each weighed by n_k / (q_k s_ik^2), so that sessions that lack much of its input
count less (:mod:`.session_weights`).

Where few sessions see a pair, its weight hangs on small differences between predictions. A share a
of what these miss, V_k, may then be added to the products of unseen senders, which shrinks their
weights: 0 leaves least squares as it is, 1 is what a sender would get that was seen and did as
little.
"""

from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ngpipe.assembly.closed_form.accumulate import BLOCK_BYTES, moments
from ngpipe.assembly.closed_form.chosen_frames import Frames, smoothness
from ngpipe.assembly.closed_form.completion import (
    Completion,
    Seen,
    chance_in_covariances,
    completion,
)
from ngpipe.assembly.closed_form.rows import Moments, RowFit, level_of
from ngpipe.assembly.closed_form.session_fit import BlockFit
from ngpipe.assembly.closed_form.session_parts import Part, halves_of
from ngpipe.errors import DivergenceError

ROUNDS = 6
"""Times that residuals and rows are worked out from one another."""
FREE = 0.05
"""Least share of a session's frames that is left free by the unknowns."""
OWN_RESIDUAL = 2.0
"""Frames of a session, in unknowns of a row, from which it has a residual of its own."""
TINY = 1e-12
"""Least residual, relative to the mean squared rate."""


class Parts:
    """All sessions, and what their unseen senders are expected to send.

    Args:
        parts: equations of every session.
        n_neurons: number of all neurons.
        ridge: relative to the mean diagonal of the Gram matrix.
        known: what unseen senders are expected to send, if that is known already.
        shrinkage: a.
        persistence: c.
    """

    def __init__(
        self,
        parts: Sequence[Part],
        n_neurons: int,
        ridge: float,
        known: Completion | None = None,
        shrinkage: float = 0.0,
        persistence: float = 0.0,
    ) -> None:
        self.parts, self.n_neurons, self.ridge = parts, n_neurons, ridge
        self.seen = seen = [part.seen(n_neurons) for part in parts]
        self.completion = known or _completion_of(parts, seen, n_neurons, ridge)
        senders = slice(1, 1 + n_neurons)
        both = [self.completion.prediction(s.members) for s in seen]
        self.predictions = [matrix[senders] for matrix, _ in both]
        self._missed = [missed[senders, senders] for _, missed in both]
        pairs = zip(self.predictions, seen, strict=True)
        self.plain = [matrix @ s.moment @ matrix.T for matrix, s in pairs]
        """Mean of products of what is expected to be sent, in every session."""
        pairs = zip(self.predictions, seen, strict=True)
        self.noise = [
            None if s.noise is None else (matrix * s.noise) @ matrix.T for matrix, s in pairs
        ]
        """What was taken out of these as measurement noise, if any was."""
        self.shrinkage, self.persistence = shrinkage, persistence

    @property
    def unknown(self) -> Float[Tensor, " session"]:
        """v_k: share of what all senders send that a session cannot tell."""
        sent = self.completion.moment.diagonal() - self.completion.moment[0].square()
        total = sent[1 : 1 + self.n_neurons].sum()
        return torch.stack([missed.diagonal().sum() for missed in self._missed]) / total

    @property
    def correlated(self) -> Float[Tensor, " session"]:
        """q_k."""
        return 1 + self.persistence * self.unknown

    @property
    def grams(self) -> list[Float[Tensor, "pre pre"]]:
        """Products of what is expected to be sent, with the share a of what that misses."""
        pairs = zip(self.plain, self._missed, strict=True)
        return [plain + self.shrinkage * missed for plain, missed in pairs]

    def of(self, parts: Sequence[Part]) -> "Parts":
        """Some of the frames, with the same expectations."""
        known = self.n_neurons, self.ridge, self.completion, self.shrinkage, self.persistence
        return Parts(parts, *known)

    def under(self, shrinkage: float, persistence: float) -> "Parts":
        """The same with another a and c."""
        other = copy(self)
        other.shrinkage, other.persistence = shrinkage, persistence
        return other

    def blocks(self, rows: Int[Tensor, " row"]) -> Iterator["Block"]:
        """Normal equations of rows, as many at a time as memory holds."""
        basis = self.parts[0].equations.n_own
        n = self.n_neurons
        each = 8 * (2 * len(self.parts) * n * basis + 6 * (n + basis) ** 2)
        for block in rows.split(max(1, BLOCK_BYTES // each)):
            yield Block(self, block)

    def noise_in(
        self, session: int, weights: Float[Tensor, "row pre"]
    ) -> Float[Tensor, " row"] | float:
        """Mean square that measurement noise of senders adds to residuals of rows in a session."""
        noise = self.noise[session]
        return 0.0 if noise is None else ((weights @ noise) * weights).sum(1)

    def residual(
        self, session: int, frames: Frames, fit: RowFit, rows: Int[Tensor, " row"]
    ) -> Float[Tensor, "frame row"]:
        """Residual of rows that a session sees, at frames of it."""
        local = torch.searchsorted(self.parts[session].members, rows.contiguous())
        return frames.target(local) - self.predicted(session, frames, fit, rows)

    def predicted(
        self, session: int, frames: Frames, fit: RowFit, rows: Int[Tensor, " row"]
    ) -> Float[Tensor, "frame row"]:
        """What W and phi predict of rows that a session sees, at frames of it."""
        part = self.parts[session]
        local = torch.searchsorted(part.members, rows.contiguous())
        return fit.predict(part.known(frames) @ self.predictions[session].T, frames.own(local))


class Block:
    """Normal equations of some rows, session by session.

    Args:
        parts: all sessions.
        rows: which neurons.
    """

    def __init__(self, parts: Parts, rows: Int[Tensor, " row"]) -> None:
        self.parts, self.rows = parts, rows
        shape = len(rows), len(parts.parts)
        self.n_frames = parts.plain[0].new_zeros(shape)
        self.squares = torch.zeros_like(self.n_frames)
        """Mean squared target of every row in every session."""
        self.places: list[Int[Tensor, " here"]] = []
        self.moments: list[Moments | None] = []
        for k, part in enumerate(parts.parts):
            here = torch.nonzero(torch.isin(rows, part.members))[:, 0]
            found = None
            self.places.append(here)
            if len(here):
                local = torch.searchsorted(part.members, rows[here])
                found = moments(part.equations, part.transfer, local)
                found = _completed(part, found, parts.predictions[k])
            self.moments.append(found)
            if found is not None:
                self.n_frames[here, k] = float(len(part.equations))
                self.squares[here, k] = found.target
        self.n = self.n_frames.sum(1)
        self.level = (self.n_frames * self.squares).sum(1) / self.n

    def solve(self) -> BlockFit:
        """W and phi, and the residual of every row in every session.

        Raises:
            DivergenceError: the equations of a row are not independent.
        """
        noise = self.level[:, None].expand_as(self.n_frames)
        for _ in range(ROUNDS):
            fit = self._solved(noise)
            noise = self._noise(fit, noise)
        return self._solved(noise)

    def aimed(self, own: Sequence[Float[Tensor, "here column"]], fit: BlockFit) -> RowFit:
        """Rows that have no product with what is sent, but given ones with their own columns.

        Args:
            own: of the rows that every session sees, none where it sees none.
            fit: the solution, whose sessions count the same.
        """
        other = copy(self)
        other.moments = [
            None
            if now is None
            else replace(
                now,
                sent_target=torch.zeros_like(now.sent_target),
                own_target=aim,
                own_noise=torch.zeros_like(aim),
            )
            for now, aim in zip(self.moments, own, strict=True)
        ]
        return other._solved(fit.session_noise).fit

    def under(self, shrinkage: float, persistence: float) -> "Block":
        """The same with another a and c."""
        other = copy(self)
        other.parts = self.parts.under(shrinkage, persistence)
        return other

    def on(self, parts: Parts) -> "Block":
        """The same rows with other expectations, of the same frames."""
        other = copy(self)
        other.parts, other.moments = parts, []
        each = zip(self.moments, parts.parts, parts.predictions, strict=True)
        for now, part, prediction in each:
            if now is not None:
                # What is seen is its own prediction.
                own, target = now.sent_own[part.members], now.sent_target[part.members]
                now = replace(now, sent_own=own, sent_target=target)
                now = _completed(part, now, prediction)
            other.moments.append(now)
        return other

    def _solved(self, noise: Float[Tensor, "row session"]) -> BlockFit:
        """Rows with sessions weighed by their residuals."""
        weight = self.n_frames / (noise * self.parts.correlated)
        certainty = weight.sum(1)
        matrix, right = self._combined(weight / certainty[:, None])
        n = self.parts.n_neurons
        sent, own = matrix[:, :n, :n], matrix[:, n:, n:]
        padding = self.parts.ridge * sent.diagonal(dim1=1, dim2=2).mean(1)
        plain = matrix.clone()
        sent.diagonal(dim1=1, dim2=2).add_(padding[:, None])
        first = self.parts.parts[0].equations
        rough = smoothness(first, matrix.device)
        own.add_(level_of(own, rough)[:, None, None] * rough)
        _forbid(matrix, right, self.rows)
        factor, failed = torch.linalg.cholesky_ex(matrix)
        if failed.any():
            raise DivergenceError(
                f"the functions of neuron {int(self.rows[failed > 0][0])} cannot be separated from "
                f"its input with ridge {self.parts.ridge:.1e}; leave the smallest out of "
                "training.closed_form.ridges, or record more frames"
            )
        found = torch.cholesky_solve(right[..., None], factor)[..., 0]
        square = self._mean_squares(found)
        total = (self.n_frames * square).sum(1) / self.n
        fit = RowFit(found[:, :n], found[:, n:], total)
        sent_noise = self._sent_noise(weight / certainty[:, None])
        return BlockFit(
            self.rows, fit, square, noise, certainty, self.n, plain, factor, padding, sent_noise
        )

    def _sent_noise(
        self, share: Float[Tensor, "row session"]
    ) -> Float[Tensor, "row pre pre"] | None:
        """What was taken out of the products of what is sent; None if nothing was."""
        total = None
        for k, noise in enumerate(self.parts.noise):
            if noise is not None:
                part = share[:, k, None, None] * noise
                total = part if total is None else total.add_(part)
        return total

    def _combined(
        self, share: Float[Tensor, "row session"]
    ) -> tuple[Float[Tensor, "row unknown unknown"], Float[Tensor, "row unknown"]]:
        """Means over all frames of a row, sessions weighed."""
        n, size = self.parts.n_neurons, self.parts.n_neurons + self.parts.parts[0].equations.n_own
        matrix, grams = share.new_zeros(len(self.rows), size, size), self.parts.grams
        right = share.new_zeros(len(self.rows), size)
        for k, (here, found) in enumerate(zip(self.places, self.moments, strict=True)):
            if found is None:
                continue
            w = share[here, k]
            crossed = w[:, None, None] * found.sent_own.transpose(0, 1)
            matrix[here, :n, :n] += w[:, None, None] * grams[k]
            matrix[here, :n, n:] += crossed
            matrix[here, n:, :n] += crossed.mT
            matrix[here, n:, n:] += w[:, None, None] * found.own_own
            right[here, :n] += w[:, None] * found.sent_target.T
            right[here, n:] += w[:, None] * found.own_aim
        return matrix, right

    def _mean_squares(self, found: Float[Tensor, "row unknown"]) -> Float[Tensor, "row session"]:
        """Mean squared residual of every row in every session that sees it."""
        square = torch.zeros_like(self.n_frames)
        n = self.parts.n_neurons
        for k, (here, now) in enumerate(zip(self.places, self.moments, strict=True)):
            if now is None:
                continue
            w, d = found[here, :n], found[here, n:]
            crossed = torch.einsum("nrk,rk->rn", now.sent_own, d)
            products = w @ self.parts.plain[k] + 2 * crossed - 2 * now.sent_target.T
            square[here, k] = (
                now.target
                + self.parts.noise_in(k, w)  # residuals are of activity as it was measured
                + (w * products).sum(1)
                + torch.einsum("rk,rkl,rl->r", d, now.own_own, d)
                - 2 * (d * now.own_target).sum(1)
            ).clamp_min(0)
        return square

    def _noise(
        self, fit: BlockFit, before: Float[Tensor, "row session"]
    ) -> Float[Tensor, "row session"]:
        """s_ik^2: residuals of sessions over the frames that the unknowns leave free.

        Each session takes up unknowns in proportion to its weight. Sessions that are too short for
        a residual of their own have one together.
        """
        unknowns = fit.factor.shape[1] - 1
        weight = self.n_frames / before
        taken = unknowns * weight / weight.sum(1, keepdim=True)
        free = torch.maximum(self.n_frames - taken, FREE * self.n_frames)
        missed = self.n_frames * fit.square
        short = self.n_frames < OWN_RESIDUAL * unknowns
        together = torch.where(short, missed, 0.0).sum(1) / torch.where(short, free, 0.0).sum(
            1
        ).clamp_min(1e-300)
        own = missed / free.clamp_min(1e-300)
        found = torch.where(short, together[:, None], own)
        return torch.maximum(found, TINY * self.level[:, None])


def _completion_of(
    parts: Sequence[Part], seen: Sequence[Seen], n_neurons: int, ridge: float
) -> Completion:
    """What unseen senders are expected to send, as far as frames are not alike by chance."""
    n = n_neurons + parts[0].n_inputs
    found = completion(seen, n, ridge)
    if all(len(part.members) == n_neurons for part in parts):
        return found
    first, second = ([half.seen(n_neurons) for half in each] for each in halves_of(parts))
    return replace(found, independent=chance_in_covariances((first, second), n, ridge))


def solved(parts: Parts, rows: Int[Tensor, " row"]) -> tuple[Tensor, Tensor]:
    """W of rows and its standard errors, were all residuals independent."""
    weights, errors = [], []
    for block in parts.blocks(rows):
        found = block.solve()
        weights.append(found.fit.weights)
        errors.append(found.standard_errors(1.0))
    return torch.cat(weights), torch.cat(errors)


def _completed(
    part: Part, found: Moments, prediction: Float[Tensor, "pre one_and_seen"]
) -> Moments:
    """Moments of rows of one session, as if it saw all senders."""
    # The basis of phi sums to 1, so that it holds the means of own columns and of the target.
    n = part.equations.phi.n
    with_inputs = found.own_own[:, :, n:].permute(2, 0, 1)
    own = torch.cat([found.own_own[:, :, :n].sum(2)[None], found.sent_own, with_inputs])
    inputs_target = found.own_target[:, n:].T
    target = torch.cat([found.own_target[:, :n].sum(1)[None], found.sent_target, inputs_target])
    return replace(
        found,
        sent_own=torch.einsum("ps,src->prc", prediction, own),
        sent_target=prediction @ target,
    )


def _forbid(
    matrix: Float[Tensor, "row unknown unknown"],
    right: Float[Tensor, "row unknown"],
    rows: Int[Tensor, " row"],
) -> None:
    """W_ii = 0."""
    each = torch.arange(len(rows), device=rows.device)
    matrix[each, rows, :] = 0
    matrix[each, :, rows] = 0
    matrix[each, rows, rows] = 1
    right[each, rows] = 0

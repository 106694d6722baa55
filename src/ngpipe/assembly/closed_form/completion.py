r"""What unseen senders are expected to send, given those that a session sees.

With z = (1, f), f what all senders send and, behind them, recorded inputs, and M the mean of z z^T
over all frames,

.. math:: E[z_u | z_s] = B z_s, \quad B = M_{us} M_{ss}^{-1}, \qquad
    V = M_{uu} - B M_{su}

for the seen s and the unseen u of a session: the best linear prediction, and the mean square that
it misses. M is first accumulated pair by pair over the sessions that see both, and made positive by
shrinkage. Then every session's own moment, completed by B and V, gives the next M: the maximum
likelihood of Gaussian z with missing values (Little & Rubin, "Statistical analysis with missing
data", section 11.2). Only moments are kept, no frames.

Activity hangs together in time, so that a recording of many frames may hold few independent ones.
B then predicts its own frames well and others badly. Covariances of different senders are therefore
taken times :math:`1 - \lambda` (Ledoit & Wolf 2004, J. Multivariate Analysis 88:365), with the
:math:`\lambda` that predicts either half of the sessions best from the other.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

FLOOR = 1e-6
"""Least eigenvalue of the correlations of what is sent."""
SHRINKAGE = (0.0, 1e-4, 1e-3, 3e-3, 1e-2, 3e-2, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
"""Shrinkage tried, in shares of the largest number of frames of a pair."""
INDEPENDENT = (0.0, 0.01, 0.03, 0.06, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)
"""Shrinkage lambda that is tried."""
FOLDS = 5
"""Parts of the senders, each predicted from the others, that choose it."""
ROUNDS = 50
CLOSE = 1e-5
"""Relative change of M at which it is found."""


@dataclass(frozen=True)
class Seen:
    """What one session knows: mean of z z^T, z = 1, what its senders send, and recorded inputs."""

    members: Int[Tensor, " neuron"]
    n_frames: int
    moment: Float[Tensor, "one_and_seen one_and_seen"]
    noise: Float[Tensor, " one_and_seen"] | None = None
    """Measurement noise that was taken out of the diagonal of the moment, if any was."""


@dataclass(frozen=True)
class Completion:
    """M of all senders."""

    moment: Float[Tensor, "one_and_pre one_and_pre"]
    ridge: float
    """Added to M_ss, relative to its diagonal."""
    independent: float = 0.0
    """Lambda: share of the covariances of different senders that is taken for chance."""

    @property
    def trusted(self) -> Float[Tensor, "one_and_pre one_and_pre"]:
        """M with covariances shrunk."""
        mean = self.moment[0]
        apart = torch.outer(mean, mean)
        shrunk = self.moment.lerp(apart, self.independent)
        shrunk.diagonal().copy_(self.moment.diagonal())
        return shrunk

    def prediction(
        self, members: Int[Tensor, " seen"]
    ) -> tuple[Float[Tensor, "one_and_pre one_and_seen"], Float[Tensor, "one_and_pre one_and_pre"]]:
        """B for all senders, the seen ones themselves among them, and V, zero for the seen ones."""
        n = len(self.moment)
        unseen = torch.ones(n, dtype=torch.bool, device=self.moment.device)
        mine = _with_one(members)
        unseen[mine] = False
        matrix = self.moment.new_zeros(n, len(mine))
        matrix[mine, torch.arange(len(mine), device=mine.device)] = 1
        missed = torch.zeros_like(self.moment)
        if unseen.any():
            moment = self.trusted
            inside = moment[mine][:, mine].clone()
            inside.diagonal().mul_(1 + self.ridge)
            crossed = moment[unseen][:, mine]
            matrix[unseen] = torch.linalg.solve(inside, crossed.T).T
            left = moment[unseen][:, unseen] - matrix[unseen] @ crossed.T
            both = torch.nonzero(unseen)[:, 0]
            missed[both[:, None], both] = (left + left.T) / 2
        return matrix, missed

    def completed(self, seen: Seen) -> Float[Tensor, "one_and_pre one_and_pre"]:
        """Expected mean of z z^T of all senders in one session."""
        matrix, missed = self.prediction(seen.members)
        return matrix @ seen.moment @ matrix.T + missed


def completion(sessions: Sequence[Seen], n_neurons: int, ridge: float) -> Completion:
    """M of all senders from sessions that each see some of them.

    Args:
        sessions: what the seen senders of each send.
        n_neurons: number of all neurons, and of inputs, which count as senders that all see.
        ridge: relative to the diagonal of M_ss.
    """
    found = Completion(pairwise(sessions, n_neurons), ridge)
    total = sum(seen.n_frames for seen in sessions)
    for _ in range(ROUNDS):
        parts = [found.completed(seen) * (seen.n_frames / total) for seen in sessions]
        before, found = found.moment, replace(found, moment=torch.stack(parts).sum(0))
        size = before.diagonal().sqrt()
        unit = torch.outer(size, size)  # of inputs, which may have any
        if float(((found.moment - before) / unit).norm()) < CLOSE * float((before / unit).norm()):
            break
    return found


def chance_in_covariances(
    halves: tuple[Sequence[Seen], Sequence[Seen]], n_neurons: int, ridge: float
) -> float:
    """Lambda with which either half of the sessions predicts the other best.

    A whole has twice the frames, and half the odds of chance.

    Args:
        halves: first and second halves of the sessions.
        n_neurons: as above.
        ridge: as above.
    """
    missed = torch.zeros(len(INDEPENDENT), dtype=torch.float64)
    for known, other in (halves, halves[::-1]):
        found = completion(known, n_neurons, ridge)
        for k, share in enumerate(INDEPENDENT):
            missed[k] += _missed(replace(found, independent=share), other)
    share = INDEPENDENT[int(missed.argmin())]
    return share / (2 - share)


def _missed(found: Completion, sessions: Sequence[Seen]) -> float:
    """Mean square of what is missed of every fifth sender given the others, in units of each."""
    total = 0.0
    size = (found.moment.diagonal() - found.moment[0].square()).clamp_min(1e-300)
    for k, seen in enumerate(sessions):
        fold = torch.arange(len(seen.members), device=seen.members.device) % FOLDS == k % FOLDS
        matrix, _ = found.prediction(seen.members[~fold])
        mine = _with_one(seen.members)
        keep = torch.cat([fold.new_ones(1), ~fold])
        matrix, inside = matrix[mine][~keep], seen.moment[keep][:, keep]
        crossed = matrix @ seen.moment[keep][:, ~keep]
        square = seen.moment.diagonal()[~keep] - 2 * crossed.diagonal()
        square = square + ((matrix @ inside) * matrix).sum(1)
        total += seen.n_frames * float((square / size[mine][~keep]).sum())
    return total


def pairwise(sessions: Sequence[Seen], n_neurons: int) -> Float[Tensor, "one_and_pre one_and_pre"]:
    r"""M pair by pair over the frames that see both, shrunk until it is positive.

    Covariances c_jk, means taken from the frames of either, shrink by the fewer frames they have,

    .. math:: c_{jk} \to c_{jk} \frac{n_{jk}}{n_{jk} + a\, n_{\max}}, \quad j \ne k

    with the least a that makes the matrix positive; that of a pair that no session sees is 0.
    """
    like = sessions[0].moment
    total, count = like.new_zeros(n_neurons + 1, n_neurons + 1), like.new_zeros(1)
    count = torch.zeros_like(total)
    for seen in sessions:
        mine = _with_one(seen.members)
        total[mine[:, None], mine] += seen.n_frames * seen.moment
        count[mine[:, None], mine] += seen.n_frames
    moment = total / count.clamp_min(1)
    mean = moment[0, 1:]
    covariance = moment[1:, 1:] - torch.outer(mean, mean)
    n = count[1:, 1:]
    covariance[n == 0] = 0
    size = covariance.diagonal().clamp_min(1e-300).sqrt()
    covariance = _positive(covariance / size / size[:, None], n) * size * size[:, None]
    moment[1:, 1:] = covariance + torch.outer(mean, mean)
    return moment


def _positive(
    correlation: Float[Tensor, "pre pre"], count: Float[Tensor, "pre pre"]
) -> Float[Tensor, "pre pre"]:
    most = count.max()
    eye = torch.eye(len(count), dtype=torch.bool, device=count.device)
    found = correlation
    for share in SHRINKAGE:
        factor = torch.where(eye, 1.0, count / (count + share * most).clamp_min(1e-300))
        found = correlation * factor
        if float(torch.linalg.eigvalsh(found)[0]) > FLOOR:
            break
    return found


def _with_one(members: Int[Tensor, " seen"]) -> Int[Tensor, " one_and_seen"]:
    """Places of 1 and of the seen senders in z."""
    return torch.cat([members.new_zeros(1), members + 1])

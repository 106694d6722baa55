r"""Noise that the state of a neuron shares with its own rate, taken out with the neuron's own past.

A rate estimated from frames around t holds noise of the same frames as the state: measurement
noise, and with smoothing also the drive noise that has just moved the neuron. With

.. math:: y_i = \sum_j W_{ij} \psi(x_j) + \phi_i(x_i) + \epsilon_i, \qquad
    \langle\epsilon_i g(x_i)\rangle = \kappa_i \langle g'(x_i)\rangle, \quad
    \langle\epsilon_i g(x_j)\rangle = 0

(the first for any g, if that noise is small and Gaussian: Stein's lemma), least squares finds phi
too shallow, and W with it: input and leak of a neuron nearly cancel. Subtracting
:math:`\kappa_i s_i` from the rate helps, where s_i is the score of x_i given the others,

.. math:: s_i = \sum_j b_{ij}(x_j), \qquad
    \langle s_i g(x_i)\rangle = \langle g'(x_i)\rangle, \quad \langle s_i g(x_j)\rangle = 0

(Hyvarinen 2005, J. Mach. Learn. Res. 6:695). What is left has nothing in common with the state, and
kappa follows from an instrument: activity of the neuron so long ago that it shares no frame with
the estimate has nothing in common with epsilon (Bowden & Turkington, "Instrumental
variables", 1984).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ngpipe.assembly.closed_form.accumulate import gram_moment, solve_rows
from ngpipe.assembly.closed_form.chosen_frames import Equations, Source, Transfer
from ngpipe.assembly.closed_form.rows import Gram, RowFit, Rows
from ngpipe.assembly.closed_form.spline import Spline
from ngpipe.assembly.closed_form.transfer import Fit

STEP = 0.02
"""Change of activity over which derivatives are taken, in units of splines."""
FEWEST, MOST, COLUMNS = 4, 8, 2_000
"""Functions of each neuron's activity in a score, and of all neurons together."""
FRAMES = 3
"""Frames for each of them, at least."""
RIDGE = 1e-8
"""Added to their mean products, relative to the diagonal."""


@dataclass(frozen=True)
class SharedNoise:
    """kappa s of all neurons, as a function of activity."""

    spline: Spline
    score: Float[Tensor, "pre_and_basis neuron"]
    missed: Float[Tensor, " neuron"]
    """Sum over frames of residual times the neuron's own past."""
    along: Float[Tensor, " neuron"]
    """The same of s as W and phi see it."""

    @property
    def kappa(self) -> Float[Tensor, " neuron"]:
        """Covariance of the noise of state and rate [1/tau, activity squared].

        0 where all stretches are too short to hold a past that shares no frame with the estimate.
        """
        return torch.where(self.along == 0, 0.0, -self.missed / self.along)

    def at(self, x: Float[Tensor, "frame neuron"]) -> Float[Tensor, "frame neuron"]:
        """What to subtract from the rate."""
        return self.kappa * (self.spline.basis(x.double()).flatten(1) @ self.score)


def shared_noise(source: Source, fit: Fit) -> SharedNoise:
    """Noise that states share with rates, of all neurons.

    Args:
        source: training frames, their rates as they were estimated.
        fit: psi, as far as it is known.
    """
    parts = []
    everyone = torch.arange(source.n_neurons, device=fit.transfer.group.device)
    gram = Gram(gram_moment(source, fit.transfer), fit.ridge)
    for rows, normal in solve_rows(source, fit.transfer, everyone, gram):
        both = normal.solve(), _fitted_score(source, normal)
        parts.append(_with_own_past(source, fit.transfer, rows, *both))
    missed, along = (torch.cat(sums) for sums in zip(*parts, strict=True))
    columns = min(COLUMNS, len(source) // FRAMES)
    n = max(FEWEST, min(MOST, columns // source.n_neurons))
    phi: Any = source.phi  # before any span is known
    spline = Spline(n, unit=phi.unit, reach=phi.reach)
    return SharedNoise(spline, _score(source, spline), missed, along)


def pooled(
    parts: Sequence[SharedNoise], members: Sequence[Int[Tensor, " seen"]], n: int
) -> list[SharedNoise]:
    """The same with one kappa of each neuron, from all sessions that see it.

    Args:
        parts: of every session.
        members: neurons that it sees.
        n: number of all neurons.
    """
    both = parts[0].missed.new_zeros(2, n)
    for part, mine in zip(parts, members, strict=True):
        both[:, mine] += torch.stack([part.missed, part.along])
    return [
        replace(part, missed=both[0, mine], along=both[1, mine])
        for part, mine in zip(parts, members, strict=True)
    ]


def _score(source: Source, spline: Spline) -> Float[Tensor, "pre_and_basis neuron"]:
    """Coefficients of s_i on the basis functions of all neurons."""
    n, step = source.n_neurons, STEP * spline.unit
    moment: Any = 0
    slope: Any = 0
    for part in source.stretches(3 * n * spline.n):
        x = part.x.double()
        columns = spline.basis(x).flatten(1)
        moment = moment + columns.T @ columns / len(source)
        rise = (spline.basis(x + step) - spline.basis(x - step)) / (2 * step)
        slope = slope + rise.sum(0) / len(source)
    moment.diagonal().add_(RIDGE * moment.diagonal().mean())
    right = torch.block_diag(*slope[:, :, None])
    return torch.cholesky_solve(right, torch.linalg.cholesky(moment))


def _fitted_score(equations: Equations, normal: Rows) -> RowFit:
    """Score of some rows: what has the product 0 with all that is sent, and with b that of b'."""
    phi: Any = equations.phi  # before any span is known
    step = STEP * phi.unit
    slope: Any = 0
    for part in equations.stretches(3 * len(normal.rows) * equations.n_own):
        ahead, behind = (part.own(normal.rows, sign * step) for sign in (1.0, -1.0))
        slope = slope + (ahead - behind).sum(0) / (2 * step * len(equations))
    nothing = torch.zeros_like(normal.moments.sent_target)
    return normal.aimed(nothing, slope).solve()


def _with_own_past(
    source: Source,
    transfer: Transfer,
    rows: Int[Tensor, " row"],
    fit: RowFit,
    score: RowFit,
) -> tuple[Float[Tensor, " row"], Float[Tensor, " row"]]:
    """Sums over frames of own past times what W and phi miss, and times s as they see it."""
    now, before = source.recording.with_past(source.chosen)
    missed = along = fit.mean_square.new_zeros(len(rows))
    width = source.n_neurons + len(rows) * (source.n_own + 4)
    for part, past in source.beside(now, before, width):
        sent, own = transfer.sent(part.x), part.own(rows)
        early = past[:, rows].double()
        early = early - early.mean(0)
        missed = missed + (early * (part.target(rows) - fit.predict(sent, own))).sum(0)
        along = along + (early * score.predict(sent, own)).sum(0)
    return missed, along

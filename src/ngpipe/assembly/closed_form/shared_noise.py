r"""Noise that the state of a neuron shares with its own rate, taken out with the neuron's own past.

A rate estimated from frames around t holds noise of the same frames as the state: measurement
noise, and with smoothing also the drive noise that has just moved the neuron. With

.. math:: y_i = \sum_j W_{ij} \psi(x_j) + \phi_i(x_i) + \epsilon_i, \qquad
    \langle\epsilon_i g(x_i)\rangle = \kappa_i \langle g'(x_i)\rangle, \quad
    \langle\epsilon_i g(x_j)\rangle = 0

(the first for any g, if that noise is small and Gaussian: Stein's lemma), least squares finds phi
too shallow, and W with it: input and leak of a neuron nearly cancel. The first is therefore taken
out of the normal equations of phi_i. What kappa_i is follows from an instrument: activity of the
neuron so long ago that it shares no frame with the estimate has nothing in common with epsilon
(Bowden & Turkington, "Instrumental variables", 1984). Least squares misses y_i by
:math:`\epsilon_i - \kappa_i s_i` in the mean, s_i the function of the form of the equations with

.. math:: \langle s_i g(x_i)\rangle = \langle g'(x_i)\rangle, \quad \langle s_i g(x_j)\rangle = 0

Parts of the recording say how well kappa_i is known. Where it is not, as in a recording of many
short pieces, it is drawn to the mean of all neurons (DerSimonian & Laird 1986, Controlled Clinical
Trials 7:177).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ngpipe.assembly.closed_form.accumulate import gram_moment, solve_rows
from ngpipe.assembly.closed_form.chosen_frames import Source, Transfer
from ngpipe.assembly.closed_form.rows import Gram, RowFit, Rows
from ngpipe.assembly.closed_form.transfer import Fit

PARTS = 20
"""Parts of the recording that are compared."""
SIGNIFICANT = 2.0
"""Standard errors from 0 at which there is noise to take out."""
TINY = 1e-30
"""Next to nothing."""


@dataclass(frozen=True)
class SharedNoise:
    """What tells kappa of all neurons."""

    missed: Float[Tensor, "neuron part"]
    """Sums over frames of residual times the neuron's own past, in parts of the recording."""
    along: Float[Tensor, "neuron part"]
    """The same of s as W and phi see it."""

    @cached_property
    def kappa(self) -> Float[Tensor, " neuron"]:
        """Covariance of the noise of state and rate [1/tau, activity squared].

        0 where the recording is too short to hold a past that shares no frame with the estimate.
        """
        missed, along, n = self.missed.sum(1), self.along.sum(1), self.missed.shape[1]
        known = along != 0
        if not known.any():
            return torch.zeros_like(along)
        own = -missed[known] / along[known]
        left = self.missed[known] + own[:, None] * self.along[known]
        variance = n / (n - 1) * left.square().sum(1) / along[known].square()
        variance = variance.clamp_min(TINY * own.square().mean().clamp_min(TINY))
        mean, between = _shared(own, variance)
        kappa = mean.expand_as(along).clone()
        kappa[known] += (own - mean) * between / (between + variance)
        return kappa


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
    return SharedNoise(missed, along)


def pooled(
    parts: Sequence[SharedNoise], members: Sequence[Int[Tensor, " seen"]], n: int
) -> SharedNoise:
    """The same of each neuron from all sessions that see it.

    Args:
        parts: of every session.
        members: neurons that it sees.
        n: number of all neurons.
    """
    both = parts[0].missed.new_zeros(2, n, parts[0].missed.shape[1])
    for part, mine in zip(parts, members, strict=True):
        both[:, mine] += torch.stack([part.missed, part.along])
    return SharedNoise(*both)


def _shared(
    values: Float[Tensor, " neuron"], variances: Float[Tensor, " neuron"]
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Mean of all neurons' kappa, and its variance between neurons, from estimates with errors.

    Both are 0 if the estimates are no more than their errors.
    """
    weight = 1 / variances
    total = weight.sum()
    mean = (weight @ values) / total
    spread = weight @ (values - mean).square() - (len(values) - 1)
    between = (spread / (total - weight.square().sum() / total).clamp_min(TINY)).clamp_min(0)
    weight = 1 / (1 / weight + between)
    mean = (weight @ values) / weight.sum()
    nothing = (between == 0) & (mean.square() * weight.sum() < SIGNIFICANT**2)
    return torch.where(nothing, 0.0, mean), between


def _fitted_score(source: Source, normal: Rows) -> RowFit:
    """The function s of some rows: its product with what is sent is 0, with b that of b'."""
    rows, one = normal.rows, torch.ones(source.n_neurons).to(normal.moments.target)
    slope: Any = 0
    for part in replace(source, kappa=one).stretches(3 * len(rows) * source.n_own):
        slope = slope + part.own_noise(rows) * (len(part) / len(source))
    return normal.aimed(torch.zeros_like(normal.moments.sent_target), slope).solve()


def _with_own_past(
    source: Source,
    transfer: Transfer,
    rows: Int[Tensor, " row"],
    fit: RowFit,
    score: RowFit,
) -> tuple[Float[Tensor, "row part"], Float[Tensor, "row part"]]:
    """Sums over frames of own past times what W and phi miss, and times s as they see it."""
    now, before = source.recording.with_past(source.chosen)
    missed, along = fit.mean_square.new_zeros(2, PARTS, len(rows))
    width, done = source.n_neurons + len(rows) * (source.n_own + 4), 0
    for part, past in source.beside(now, before, width):
        sent, own = transfer.sent(part.x), part.own(rows)
        early = past[:, rows].double()
        early = early - early.mean(0)
        belongs = torch.arange(done, done + len(part), device=early.device) * PARTS // len(now)
        missed.index_add_(0, belongs, early * (part.target(rows) - fit.predict(sent, own)))
        along.index_add_(0, belongs, early * score.predict(sent, own))
        done += len(part)
    return missed.T, along.T

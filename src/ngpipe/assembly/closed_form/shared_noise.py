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

An input that nobody knows and that lasts is no such noise: activity then goes with residuals that
come later. Residuals of frames that share no measured frame are alike for such a neuron, and its
past is no instrument.

Parts of the recording say how well kappa_i is known. Where it is not, as in a recording of many
short pieces, it is drawn to the mean of all neurons (DerSimonian & Laird 1986, Controlled Clinical
Trials 7:177).
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ngpipe.assembly.closed_form.accumulate import gram_moment, solve_rows
from ngpipe.assembly.closed_form.chosen_frames import Frames, Source, Transfer
from ngpipe.assembly.closed_form.rows import Gram, RowFit
from ngpipe.assembly.closed_form.transfer import Fit

PARTS = 20
"""Parts of the recording that are compared."""
SIGNIFICANT = 2.0
"""Standard errors from 0 at which there is noise to take out."""
ALIKE = 3.0
"""Times the median of all neurons that kappa of one may be: they were recorded in the same way."""
MAD = 0.6745
"""Median absolute deviation of a normal distribution, in standard deviations."""
LASTING = 2.0
"""Standard errors from 0 at which residuals hang together beyond the frames of an estimate."""
TINY = 1e-30
"""Next to nothing."""


@dataclass(frozen=True)
class SharedNoise:
    """What tells kappa of all neurons."""

    missed: Float[Tensor, "neuron part"]
    """Sums over frames of residual times the neuron's own past, in parts of the recording."""
    along: Float[Tensor, "neuron part"]
    """The same of s as W and phi see it."""
    again: Float[Tensor, "neuron part"]
    """The same of residual times the neuron's own residual then."""

    @property
    def lasts(self) -> Bool[Tensor, " neuron"]:
        """Neurons whose residuals hang together for longer than estimates share frames."""
        n = self.again.shape[1]
        error = (self.again - self.again.mean(1, keepdim=True)).square().sum(1) * n / (n - 1)
        return self.again.sum(1) > LASTING * error.sqrt()

    @cached_property
    def kappa(self) -> Float[Tensor, " neuron"]:
        """Covariance of the noise of state and rate [1/tau, activity squared].

        That of the others where the own past is no instrument, as the recording is too short to
        hold one that shares no frame with the estimate, or as an unknown input lasts.
        """
        missed, along, n = self.missed.sum(1), self.along.sum(1), self.missed.shape[1]
        known = (along != 0) & ~self.lasts
        if not known.any():
            return torch.zeros_like(along)
        own = -missed[known] / along[known]
        left = self.missed[known] + own[:, None] * self.along[known]
        variance = n / (n - 1) * left.square().sum(1) / along[known].square()
        variance = variance.clamp_min(TINY * own.square().mean().clamp_min(TINY))
        most = ALIKE * _median(own, variance)
        if most == 0:
            return torch.zeros_like(along)
        alike = (own * most > 0) & (own.abs() < most.abs())
        mean, between = _mean(own[alike], variance[alike])
        kappa = mean.expand_as(along).clone()
        kappa[known] += (own - mean) * between / (between + variance)
        return kappa.clamp(most.clamp_max(0), most.clamp_min(0))


def shared_noise(source: Source, fit: Fit) -> SharedNoise:
    """Noise that states share with rates, of all neurons.

    Args:
        source: training frames, their rates as they were estimated.
        fit: psi, as far as it is known.
    """
    transfer, sums = fit.transfer, []
    everyone = torch.arange(source.n_neurons, device=transfer.group.device)
    gram = Gram(gram_moment(source, transfer), fit.ridge)
    for rows, normal in solve_rows(source, transfer, everyone, gram):
        found = normal.solve()
        score = normal.aimed(torch.zeros_like(normal.moments.sent_target), slopes(source, rows))
        sums.append(with_own_past(source, rows, _of_rows(transfer, rows, found, score.solve())))
    return SharedNoise(*torch.cat(sums, 1))


Both = Callable[[Frames], tuple[Float[Tensor, "frame row"], Float[Tensor, "frame row"]]]
"""Residuals of some rows at some frames, and s as W and phi see it."""


def _of_rows(transfer: Transfer, rows: Int[Tensor, " row"], fit: RowFit, score: RowFit) -> Both:
    def both(frames: Frames) -> tuple[Tensor, Tensor]:
        sent, own = transfer.sent(frames.x), frames.own(rows)
        return frames.target(rows) - fit.predict(sent, own), score.predict(sent, own)

    return both


def slopes(source: Source, rows: Int[Tensor, " row"]) -> Float[Tensor, "row column"]:
    """Mean derivatives of the own columns of some rows."""
    one = torch.ones(source.n_neurons, dtype=torch.float64, device=rows.device)
    total = one.new_zeros(len(rows), source.n_own)
    for part in replace(source, kappa=one).stretches(3 * len(rows) * source.n_own):
        total += part.own_noise(rows) * (len(part) / len(source))
    return total


def with_own_past(
    source: Source, rows: Int[Tensor, " row"], both: Both
) -> Float[Tensor, "three row part"]:
    """Sums that :class:`SharedNoise` has of some rows; frames whose past is held out count not.

    Args:
        source: training frames.
        rows: of neurons of this source.
        both: what is missed of them, and s.
    """
    now, before = source.recording.with_past(source.chosen)
    known = torch.isin(before, source.recording.training_frames)
    now, before, done = now[known], before[known], 0
    sums = torch.zeros(3, PARTS, len(rows), dtype=torch.float64, device=rows.device)
    for part, past in source.beside(
        now, before, 2 * (source.n_neurons + len(rows) * (source.n_own + 4))
    ):
        early = past.x[:, rows].double()
        early = early - early.mean(0)
        (left, score), (earlier, _) = both(part), both(past)
        belongs = torch.arange(done, done + len(part), device=rows.device) * PARTS // len(now)
        for total, values in zip(sums, (early * left, early * score, earlier * left), strict=True):
            total.index_add_(0, belongs, values)
        done += len(part)
    return sums.mT


def _median(
    values: Float[Tensor, " neuron"], variances: Float[Tensor, " neuron"]
) -> Float[Tensor, ""]:
    """Median of all neurons' kappa, 0 if it is no more than its error.

    It stays what it is if the past of some is no instrument though nothing tells.
    """
    centre = values.median()
    spread = torch.maximum((values - centre).abs().median() / MAD, variances.median().sqrt())
    nothing = centre.abs() < SIGNIFICANT * (math.pi / 2 / len(values)) ** 0.5 * spread
    return torch.where(nothing, 0.0, centre)


def _mean(
    values: Float[Tensor, " neuron"], variances: Float[Tensor, " neuron"]
) -> tuple[Float[Tensor, ""], Float[Tensor, ""]]:
    """Mean of kappa, and its variance between neurons, from estimates with errors."""
    weight = 1 / variances
    total = weight.sum()
    mean = (weight @ values) / total
    spread = weight @ (values - mean).square() - (len(values) - 1)
    between = (spread / (total - weight.square().sum() / total).clamp_min(TINY)).clamp_min(0)
    weight = 1 / (variances + between)
    return (weight @ values) / weight.sum(), between

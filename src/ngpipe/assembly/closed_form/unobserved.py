r"""Neurons that were not recorded: what they leave in the residuals, and what they do to W.

With h the activity of unobserved neurons, the rate of neuron i holds :math:`\sum_m B_{im} h_m`. The
part of h that follows the recorded activity, :math:`\Gamma \psi`, passes for weights
:math:`(B \Gamma)_{ij}`: omitted-variable bias. The rest, :math:`\eta`, stays in the residuals, of
all rows that it reaches at once: their covariance is

.. math:: B \langle\eta\eta^\top\rangle B^\top + \mathrm{diag}(s_i^2)

**Rank.** Noise of different neurons is independent. Parallel analysis (Horn 1965, Psychometrika
30:179): directions count whose variance exceeds that of residuals shifted against one another in
time, each on its circle, which keeps their spectra and parts what they have in common. Measurement
noise of the senders reaches all rows as well; as much of it is added to the shifted residuals.

**Bias.** The residuals know :math:`\eta` and B, not :math:`\Gamma`. It is estimated as if neurons
were recorded at random: each recorded neuron is predicted from the others, which gives what
:math:`\Gamma` and :math:`\eta` of an unrecorded one would be. With P the inverse covariance of psi
these are :math:`\Gamma_{jk} = -P_{jk} / P_{jj}` and :math:`\langle\eta_j^2\rangle = 1 / P_{jj}`.
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float
from torch import Tensor

from ngpipe.assembly.closed_form.accumulate import residual
from ngpipe.assembly.closed_form.chosen_frames import Frames
from ngpipe.assembly.closed_form.problem import Problem
from ngpipe.assembly.closed_form.regressor_noise import sent_noise
from ngpipe.assembly.closed_form.solution import Solution

FRAMES, ELEMENTS = 20_000, 2e7
"""Most frames, and most residuals, that are looked at."""
DRAWS, BEYOND = 19, 4.0
"""Times that residuals are shifted, and standard deviations of what these give by which a direction
must exceed their mean."""
LEAST = 1e-3
"""Share of what the model explains that the common part of residuals must exceed: a little misfit
of psi is common to rows, too."""
ENOUGH = 3
"""Frames, in neurons, from which on the covariance of residuals is looked at."""


@dataclass(frozen=True)
class Unobserved:
    """What neurons that were not recorded leave behind."""

    rank: int
    """Directions of the residuals that rows have in common."""
    share: float
    """Mean square of this part over that of what the model explains of the rate."""
    bias: Float[Tensor, " post"]
    """Root mean square error that it may give the weights of a row, in the unit of W as solved."""


def unobserved(problem: Problem, solution: Solution) -> Unobserved | None:
    """Rank and effect of neurons that were not recorded; None where too few frames tell.

    Args:
        problem: all training frames.
        solution: psi and rows that are final.
    """
    n = problem.recording.n_neurons
    explained = float((solution.level - solution.mean_square).mean())
    if float(solution.mean_square.mean()) < LEAST * explained:
        return Unobserved(0, 0.0, torch.zeros_like(solution.level))
    every = max(1, len(problem.everything) // int(min(FRAMES, ELEMENTS // n)))
    frames = problem.everything.part(slice(None, None, every))
    if len(frames) < ENOUGH * n:
        return None
    first = solution.transfers[0]
    left, sent = [], []
    for part in frames.stretches(2 * n * frames.n_own):
        left.append(_residuals(solution, part))
        sent.append(first.sent(part.x))
    noise = torch.zeros_like(solution.weights)
    if (sd := problem.recording.state_noise) is not None:
        noise = solution.weights * sent_noise(frames, first, sd.to(noise)).sqrt()
    generator = torch.Generator().manual_seed(problem.cfg.seed)
    return of_residuals(torch.cat(left), torch.cat(sent), noise, explained, generator)


def of_residuals(
    left: Float[Tensor, "frame row"],
    sent: Float[Tensor, "frame pre"],
    noise: Float[Tensor, "row pre"],
    explained: float,
    generator: torch.Generator,
) -> Unobserved:
    """The same from residuals.

    Args:
        left: residuals of all rows.
        sent: psi of all neurons at the same frames.
        noise: what measurement noise of the senders, of unit variance, gives every row.
        explained: mean square of what the model explains of the rate.
        generator: draws shifts.
    """
    left = left - left.mean(0)
    size = left.square().mean(0).sqrt().clamp_min(1e-300)
    values, vectors = torch.linalg.eigh(_correlation(left / size))
    drawn = torch.stack([_shifted(left, size, noise, generator) for _ in range(DRAWS)])
    chance = drawn.mean(0) + BEYOND * drawn.std(0)
    above = (values.flip(0) > chance.flip(0)).long()
    rank = int(above.cumprod(0).sum())
    nothing = Unobserved(0, 0.0, torch.zeros_like(size))
    if rank == 0:
        return nothing
    beyond = values[-rank:] - values[:-rank].mean()
    common = size.square() * (vectors[:, -rank:].square() @ beyond)
    share = float(common.mean()) / max(explained, 1e-300)
    if share < LEAST:
        return nothing
    return Unobserved(rank, share, (common * _bias(sent)).sqrt())


def _residuals(solution: Solution, part: Frames) -> Float[Tensor, "frame row"]:
    frames = replace(part, phi=solution.phi)
    out = solution.weights.new_empty(len(part), len(solution.weights))
    for k, transfer in enumerate(solution.transfers):
        rows = torch.nonzero(solution.receiver_group == k)[:, 0]
        out[:, rows] = residual(frames, transfer, solution.of(rows), rows)
    return out


def _correlation(standard: Float[Tensor, "frame row"]) -> Float[Tensor, "row row"]:
    return standard.T @ standard / len(standard)


def _shifted(
    left: Float[Tensor, "frame row"],
    size: Float[Tensor, " row"],
    noise: Float[Tensor, "row pre"],
    generator: torch.Generator,
) -> Float[Tensor, " direction"]:
    """Variances along directions, rising, of residuals that have nothing but noise in common."""
    n, rows = left.shape
    by = torch.randint(n, (rows,), generator=generator).to(left.device)
    frame = (torch.arange(n, device=left.device)[:, None] + by) % n
    apart = left.gather(0, frame)
    of_senders = noise.square().sum(1)
    if bool((of_senders > 0).any()):
        drawn = torch.randn(n, rows, generator=generator, dtype=left.dtype).to(left.device)
        own = (1 - of_senders / size.square()).clamp_min(0).sqrt()
        apart = own * apart + drawn @ noise.T
    apart = apart / apart.square().mean(0).sqrt().clamp_min(1e-300)
    return torch.linalg.eigvalsh(_correlation(apart))


def _bias(sent: Float[Tensor, "frame pre"]) -> float:
    """Mean squared weight that passes for a unit of what an unrecorded neuron leaves over.

    The mean over recorded neurons, each predicted from the others.
    """
    centred = sent - sent.mean(0)
    covariance = centred.T @ centred / len(centred)
    covariance.diagonal().add_(1e-9 * covariance.diagonal().mean())
    inverse = torch.linalg.inv(covariance)
    alone = 1 / inverse.diagonal()
    off = ~torch.eye(len(inverse), dtype=torch.bool, device=inverse.device)
    prediction = (inverse * alone[:, None]).square()[off]
    return float(prediction.mean() / alone.mean())

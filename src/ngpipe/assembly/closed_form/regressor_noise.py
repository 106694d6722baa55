r"""Measurement noise of the senders, taken out of the normal equations.

Activity x + e with measurement noise e sends psi(x + e). Noise of different neurons is independent,
so it adds to the diagonal of the Gram matrix alone,

.. math:: C = C_0 + \mathrm{diag}(D), \qquad
    D_j = \overline{\mathrm{Var}(\psi(x_j + e_j) \mid x_j)} \approx
    \overline{\big(\psi(x_j + \sigma_j) - \psi(x_j - \sigma_j)\big)^2} / 4

and least squares finds :math:`C^{-1} C_0 W`, weights that are too small, most of all along
directions in which activity moves little. With C - a D in the place of C (Fuller 1987, "Measurement
error models", section 2.2) they are not. D is known as well as sigma is, and a difference of two
matrices can be nearly singular, so the share a is chosen on held-out frames: residuals that share
no measured frame have nothing in common but what W still lacks, and the mean of their products
is least where W is best. Residuals of the same frame would not do: noisy activity is best predicted
from noisy activity by weights that are too small.
"""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ngpipe.assembly.closed_form.accumulate import gram_moment, moments, residual
from ngpipe.assembly.closed_form.chosen_frames import Equations, Transfer, smoothness
from ngpipe.assembly.closed_form.problem import Problem
from ngpipe.assembly.closed_form.rows import SAFE, Gram, Rows
from ngpipe.assembly.closed_form.transfer import Fit
from ngpipe.errors import DivergenceError

SHARES = (0.0, 0.25, 0.5, 0.75, 0.9, 1.0)
"""Shares a that are tried."""
ROWS = 128
"""Most rows of W that choose a."""


@dataclass(frozen=True)
class SenderNoise:
    """Measurement noise in what senders send, and how much of it was taken out."""

    size: float = 0.0
    """Mean share of it in the mean square of what a neuron sends."""
    removed: float = 0.0
    """a."""


def sent_noise(
    equations: Equations, transfer: Transfer, sd: Float[Tensor, " pre"]
) -> Float[Tensor, " pre"]:
    """D: mean variance that measurement noise gives to what each neuron sends.

    Args:
        equations: frames.
        transfer: psi.
        sd: sigma, standard deviation of the noise of activity.
    """
    total = torch.zeros_like(sd)
    for part in equations.stretches(2 * equations.n_neurons):
        x = part.x.double()
        half = (transfer.sent(x + sd) - transfer.sent(x - sd)) / 2
        total += half.square().sum(0)
    return total / len(equations)


def without_noise(
    problem: Problem,
    fit: Fit,
    members: Int[Tensor, " row"],
    equations: Equations,
    moment: Float[Tensor, "pre pre"] | None = None,
) -> tuple[Gram, SenderNoise]:
    """Gram matrix of the rows with one psi, freed of as much noise as held-out frames suggest.

    Args:
        problem: the recording, with what is known of its noise.
        fit: psi.
        members: rows that see it.
        equations: frames that they are solved from.
        moment: their Gram matrix, if it is summed already.
    """
    moment = gram_moment(equations, fit.transfer) if moment is None else moment
    plain = Gram(moment, fit.ridge)
    sd = problem.recording.state_noise
    if sd is None or not bool((sd > 0).any()):
        return plain, SenderNoise()
    noise = sent_noise(equations, fit.transfer, sd.to(plain.moment))
    most = SAFE * positive_until(plain.factor, noise)
    rows = members[:: -(-len(members) // ROWS)]
    both = problem.recording.judging_pairs()
    pair = [replace(problem.everything, chosen=frames, phi=fit.phi).read() for frames in both]
    found = moments(equations, fit.transfer, rows)
    padding = smoothness(equations, problem.device)

    def missed(share: float) -> float:
        try:
            fitted = Rows(grams[share], rows, found, padding).solve()
        except DivergenceError:
            if share == 0:
                raise
            return float("inf")  # so much that no function of the neuron itself is left
        early, late = (residual(frames, fit.transfer, fitted, rows) for frames in pair)
        return float((early * late).mean())

    shares = sorted({min(share, most) for share in SHARES}) if len(both[0]) else [0.0]
    grams = {share: Gram(plain.moment, fit.ridge, share * noise) for share in shares}
    best = min(shares, key=missed)
    size = float((noise / plain.moment.diagonal()).mean())
    return grams[best], SenderNoise(size, best)


def positive_until(factor: Float[Tensor, "pre pre"], noise: Float[Tensor, " pre"]) -> float:
    """Largest a for which C - a D is positive in all directions.

    Args:
        factor: L of C = L L^T.
        noise: D, not all of it zero.
    """
    half = torch.linalg.solve_triangular(factor, torch.diag(noise.sqrt()), upper=False)
    return 1 / float(torch.linalg.eigvalsh(half.T @ half)[-1])

r"""Standard errors of W of a model that an optimiser has trained.

Least squares for the psi* and Omega* that the model has learned say how well W could be known
(:mod:`.uncertainty`); how far the model's W is from theirs is what the optimiser has left undone:

.. math:: \mathrm{error}_{ij}^2 = \mathrm{error}_{\mathrm{LS},ij}^2
    + (W_{ij} - W_{\mathrm{LS},ij})^2
"""

from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ngpipe.assembly.closed_form import uncertainty
from ngpipe.assembly.closed_form.accumulate import gram_moment, solve_rows
from ngpipe.assembly.closed_form.chosen_frames import Equations, Source, Transfer
from ngpipe.assembly.closed_form.diagnosis import (
    Diagnosis,
    Evidence,
    coherence,
    diagnosis,
)
from ngpipe.assembly.closed_form.rows import Gram, Spectrum
from ngpipe.assembly.closed_form.spline import Spline
from ngpipe.assembly.fitted_input import FittedInput
from ngpipe.assembly.gnn import AssemblyGNN
from ngpipe.assembly.recording import Recording
from ngpipe.assembly.types import cluster
from ngpipe.config.assembly.recovery import Recovery
from ngpipe.errors import DivergenceError

FRAMES = 10
"""Frames read, in multiples of the neurons; differences of activity are all read."""
FEWEST = 1.5
"""The same, below which there is nothing to be said."""
PAIRS = 300
"""Frames, and their neighbours, at which the model itself is looked at."""
TIMES = 32
"""Times at which a field is evaluated at once."""
PSI_BASIS, PHI_BASIS = 48, 12
RIDGE = 1e-12
"""Keeps the factor of the Gram matrix real; an optimiser has no ridge."""


@torch.no_grad()
def certainty(
    model: AssemblyGNN, recording: Recording
) -> tuple[Float[Tensor, "post pre"], Diagnosis]:
    """Standard error of every weight [1/tau], and what the recording can tell about W.

    Args:
        model: the trained model.
        recording: what it was trained on.

    Raises:
        DivergenceError: the recording has too few frames, or directions, to tell.
    """
    axis = {"unit": model.scales.bend, "reach": model.scales.reach}
    equations = frames_of(model, recording, Spline(PHI_BASIS, **axis))
    n = len(equations)
    if n < FEWEST * (model.n_neurons + PHI_BASIS):
        raise DivergenceError(
            f"{n} training frames are too few to tell how well {model.n_neurons} weights of a row "
            "are known"
        )
    errors = torch.zeros_like(model.V, dtype=torch.float64)
    weights, seen, told = model.connectivity.double(), _evidence(model, recording), []
    groups = receiver_groups(model)
    for k in range(int(groups.max()) + 1):
        members = torch.nonzero(groups == k)[:, 0]
        transfer = transfer_of(model, members, Spline(PSI_BASIS, **axis))
        gram = Gram(gram_moment(equations, transfer), RIDGE)
        q = uncertainty.inflation(equations, transfer, members, RIDGE)
        typical, spectra = uncertainty.typical(members, model.n_neurons), []
        noise, level, far = (torch.zeros_like(errors[0]) for _ in range(3))
        for rows, normal in solve_rows(equations, transfer, members, gram):
            fit = normal.solve()
            noise[rows] = uncertainty.noise_variance(gram, fit, n, fit.mean_square)
            error = uncertainty.standard_errors(normal, fit.weights, q * noise[rows] / n)
            away = (weights[rows] - fit.weights).square()
            errors[rows] = (error.square() + away).sqrt()
            level[rows], far[rows] = normal.moments.target, away.mean(1)
            spectra.append(normal.spectrum(typical))
        spread = float(weights[members].square().mean())
        left = float(noise[members].mean())
        found = diagnosis(
            Spectrum.joined(spectra),
            q * left / n,
            spread,
            n,
            residual=left,
            level=float(level[members].mean()),
            evidence=seen,
        )
        found = found.less(float(far[members].mean()) / max(spread, 1e-300))
        told.append(found)
    return errors.fill_diagonal_(0), min(told, key=lambda found: found.at_most)


def _evidence(model: AssemblyGNN, recording: Recording) -> Evidence:
    """Error of the model on held-out frames, and the part shared by neighbouring frames."""

    def missed(frames: Int[Tensor, " frame"]) -> tuple[Tensor, Tensor]:
        frames = frames.to(model.latent.device)
        x, target = recording.batch(frames)
        return (model(recording.times(frames), x) - target).double(), target.double()

    first = recording.pairs(PAIRS)
    error, target = missed(recording.selection_frames(PAIRS))
    level = target.square().mean()
    return Evidence(
        coherent=coherence(missed(first)[0], missed(first + recording.memory)[0])
        if len(first)
        else 0.0,
        held_out=float(error.square().mean() / level.clamp_min(1e-300)),
        motion=float(level) / model.scales.rate**2,
        exact=recording.exact,
        blocks=recording.in_blocks,
    )


def frames_of(model: AssemblyGNN, recording: Recording, phi: Spline) -> Equations:
    """Frames to solve for, with the input as the model has it."""
    if isinstance(model.external, FittedInput):
        # Its coefficients are columns of the equations.
        scales = model.mode == "multiplicative"
        drive_of = (lambda x: model.received(x).double()) if scales else None
        chosen = recording.training_frames
        return Source(recording, chosen, phi, drive_of=drive_of)
    if model.external is None and not recording.exact:
        return Source(recording, recording.training_frames, phi)
    chosen = recording.training_sample(FRAMES * recording.n_neurons)

    def omega_at(times: Float[Tensor, " time"]) -> Float[Tensor, "time neuron"]:
        parts: list[Any] = [model.omega(part) for part in times.split(TIMES)]
        return torch.cat(parts)

    known = None if model.external is None else omega_at
    return Source(recording, chosen, phi, known, model.mode).read()


def receiver_groups(model: AssemblyGNN) -> Int[Tensor, " neuron"]:
    """Receivers that see the same psi."""
    if model.gates is None:
        return torch.zeros(model.n_neurons, dtype=torch.long, device=model.latent.device)
    gates = model.gates(model.latent).cpu().double().numpy()
    return torch.from_numpy(cluster(gates, Recovery())).to(model.latent.device)


def transfer_of(model: AssemblyGNN, receivers: Int[Tensor, " row"], spline: Spline) -> Transfer:
    """psi* as some receivers see it, of every sender that has one of its own."""
    everyone = torch.arange(model.n_neurons, device=model.latent.device)
    of_senders = model.sees in ("sender", "pair")
    senders = model.latent if of_senders else model.latent[:1]
    typical = model.latent[receivers].mean(0).expand(len(senders), -1)

    def curves(x: Float[Tensor, " x"]) -> Float[Tensor, "sender x"]:
        grid = x.float().expand(len(senders), -1)
        return model.psi_curves(typical, senders, grid).double()

    like = torch.zeros((), dtype=torch.float64, device=model.latent.device)
    group = everyone if of_senders else torch.zeros_like(everyone)
    return Transfer(spline, spline.fit(curves, like=like), group)

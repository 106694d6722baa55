"""Standard errors of W of a model that an optimiser has trained.

As in :mod:`.uncertainty`, for the psi* and Omega* that the model has learned, with the model's own
residuals: what the optimiser left unexplained counts as noise.
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ngpipe.assembly.closed_form import uncertainty
from ngpipe.assembly.closed_form.accumulate import gram_moment, solve_rows
from ngpipe.assembly.closed_form.frames import Source, Transfer
from ngpipe.assembly.closed_form.rows import Gram
from ngpipe.assembly.closed_form.spline import Spline
from ngpipe.assembly.gnn import AssemblyGNN
from ngpipe.assembly.recording import Recording
from ngpipe.assembly.types import cluster
from ngpipe.config.recovery import Recovery

FRAMES = 10
"""Frames read, in multiples of the neurons."""
PSI_BASIS, PHI_BASIS = 48, 12
RIDGE = 1e-12
"""Keeps the factor of the Gram matrix real; an optimiser has no ridge."""


@torch.no_grad()
def standard_errors(model: AssemblyGNN, recording: Recording) -> Float[Tensor, "post pre"]:
    """Standard error of every weight [1/tau].

    Args:
        model: the trained model.
        recording: what it was trained on.
    """
    axis = {"unit": model.scales.bend, "reach": model.scales.reach}
    n, chosen = model.n_neurons, recording.training_sample(FRAMES * recording.n_neurons)
    given = None if model.external is None else model.omega
    source = Source(recording, chosen, Spline(PHI_BASIS, **axis), given, model.mode)
    residual = _residual(model, source)
    errors = torch.zeros(n, n, dtype=torch.float64, device=model.latent.device)
    groups = _receivers(model)
    # A Gram matrix of few frames has too large an inverse.
    design = (len(chosen) - n) / len(chosen) * len(recording.training_frames)
    for k in range(int(groups.max()) + 1):
        members = torch.nonzero(groups == k)[:, 0]
        transfer = _transfer(model, members, Spline(PSI_BASIS, **axis))
        gram = Gram(gram_moment(source, transfer), RIDGE)
        inflation = uncertainty.inflation(source, transfer, members, RIDGE)
        for rows, normal in solve_rows(source, transfer, members, gram):
            noise = residual[:, rows].square().mean(0)
            variances = normal.variances().clamp_min(0)
            errors[rows] = (variances * (inflation * noise / design)[:, None]).sqrt()
    errors.fill_diagonal_(0)
    return errors


def _residual(model: AssemblyGNN, source: Source) -> Float[Tensor, "frame neuron"]:
    """What the model misses, divided by a multiplicative input like the equations of the rows."""
    everyone = torch.arange(model.n_neurons, device=model.latent.device)
    missed = []
    for part in source.stretches(4 * model.n_neurons):
        residual = (part.rate - model(part.times, part.x)).double()
        missed.append(residual / part.divisor(everyone))
    return torch.cat(missed)


def _receivers(model: AssemblyGNN) -> Int[Tensor, " neuron"]:
    """Receivers that see the same psi."""
    if model.gates is None:
        return torch.zeros(model.n_neurons, dtype=torch.long, device=model.latent.device)
    gates = model.gates(model.latent).cpu().double().numpy()
    return torch.from_numpy(cluster(gates, Recovery())).to(model.latent.device)


def _transfer(model: AssemblyGNN, receivers: Int[Tensor, " row"], spline: Spline) -> Transfer:
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

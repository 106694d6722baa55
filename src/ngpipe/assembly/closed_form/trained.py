r"""Standard errors of W of a model that an optimiser has trained.

Least squares for the psi* and Omega* that the model has learned say how well W could be known
(:mod:`.uncertainty`); how far the model's W is from theirs is what the optimiser has left undone:

.. math:: \mathrm{error}_{ij}^2 = \mathrm{error}_{\mathrm{LS},ij}^2
    + (W_{ij} - W_{\mathrm{LS},ij})^2
"""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ngpipe.assembly.closed_form import uncertainty
from ngpipe.assembly.closed_form.accumulate import gram_moment, solve_rows
from ngpipe.assembly.closed_form.frames import Equations, Source, Transfer
from ngpipe.assembly.closed_form.rows import Gram
from ngpipe.assembly.closed_form.spline import Spline
from ngpipe.assembly.gnn import AssemblyGNN
from ngpipe.assembly.recording import Recording
from ngpipe.assembly.types import cluster
from ngpipe.config.recovery import Recovery
from ngpipe.errors import DivergenceError

FRAMES = 10
"""Frames read, in multiples of the neurons; differences of activity are all read."""
FEWEST = 1.5
"""The same, below which there is nothing to be said."""
TIMES = 32
"""Times at which a field is evaluated at once."""
PSI_BASIS, PHI_BASIS = 48, 12
RIDGE = 1e-12
"""Keeps the factor of the Gram matrix real; an optimiser has no ridge."""


@torch.no_grad()
def standard_errors(model: AssemblyGNN, recording: Recording) -> Float[Tensor, "post pre"]:
    """Standard error of every weight [1/tau].

    Args:
        model: the trained model.
        recording: what it was trained on.

    Raises:
        DivergenceError: the recording has too few frames, or directions, to tell.
    """
    axis = {"unit": model.scales.bend, "reach": model.scales.reach}
    equations = _equations(model, recording, Spline(PHI_BASIS, **axis))
    n = len(equations)
    if n < FEWEST * (model.n_neurons + PHI_BASIS):
        raise DivergenceError(
            f"{n} training frames cannot tell how well {model.n_neurons} weights of a row are known"
        )
    errors = torch.zeros_like(model.V, dtype=torch.float64)
    weights = model.connectivity.double()
    groups = _receivers(model)
    for k in range(int(groups.max()) + 1):
        members = torch.nonzero(groups == k)[:, 0]
        transfer = _transfer(model, members, Spline(PSI_BASIS, **axis))
        gram = Gram(gram_moment(equations, transfer), RIDGE)
        q = uncertainty.inflation(equations, transfer, members, RIDGE)
        for rows, normal in solve_rows(equations, transfer, members, gram):
            fit = normal.solve()
            noise = uncertainty.noise_variance(gram, fit, n, fit.mean_square)
            error = uncertainty.standard_errors(normal, fit.weights, q * noise / n)
            errors[rows] = (error.square() + (weights[rows] - fit.weights).square()).sqrt()
    return errors.fill_diagonal_(0)


def _equations(model: AssemblyGNN, recording: Recording, phi: Spline) -> Equations:
    """Frames to solve for, with the input as the model has it."""
    if model.external is None and recording.rate is None:
        return Source(recording, recording.training_frames, phi)
    chosen = recording.training_sample(FRAMES * recording.n_neurons)

    def given(times: Float[Tensor, " time"]) -> Float[Tensor, "time neuron"]:
        return torch.cat([model.omega(part) for part in times.split(TIMES)])

    known = None if model.external is None else given
    return Source(recording, chosen, phi, known, model.mode).read()


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

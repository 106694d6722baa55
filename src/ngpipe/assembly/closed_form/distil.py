"""A closed-form solution as a trained model: latents and networks fitted to its functions."""

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ngpipe.arrays import Curves
from ngpipe.assembly.closed_form.field_fit import fit_field
from ngpipe.assembly.closed_form.solution import Solution
from ngpipe.assembly.closed_form.step_size import fall
from ngpipe.assembly.closed_form.transfer import Report
from ngpipe.assembly.fitted_input import FittedInput
from ngpipe.assembly.gnn import AssemblyGNN, FunctionNetwork
from ngpipe.assembly.recording import Recording
from ngpipe.assembly.types import common_range
from ngpipe.config.assembly.training import ClosedForm

POINTS = 4
"""Activities per neuron and step at which the functions are compared."""
BATCH = 192
"""Neurons, or pairs of neurons, per step."""
MOST, DENSE = 1_000, 32
"""Neurons, or pairs of neurons, and activities of each, that the last layers are solved from."""
KEPT = 1e-7
"""Weight of what the last layers were, relative to the mean square of their columns."""
VISITED = 0.999
"""Central share of a neuron's activity on which its functions count."""
PEAK_RATE = 1e-2
LATENT_RATE = 1e-2


def distil(
    model: AssemblyGNN,
    solution: Solution,
    recording: Recording,
    cfg: ClosedForm,
    *,
    generator: torch.Generator,
    report: Report,
) -> None:
    """Fit the model to the solution: W exactly, the functions within a small error.

    Latents start from the principal components of the neurons' phi; latents and networks are then
    fitted together by Adam to the curves on the activities that each neuron visits. In the end the
    last layer of each network, in which it is linear, is solved by least squares.

    Args:
        model: an untrained model; changed in place.
        solution: what to say.
        recording: source of the visited ranges.
        cfg: how many steps the fits take.
        generator: draws neurons and activities.
        report: told how far the fits are, and the last loss.
    """
    weights, error = _with_field(model, solution, cfg, generator=generator, report=report)
    visited = recording.visited(VISITED)
    with torch.no_grad():
        model.V.copy_(weights / model.scales.rate)
        model.error.copy_(error)
        if solution.unobserved_bias is not None:
            model.unobserved_bias.copy_(solution.unobserved_bias)
        model.basis.copy_(torch.eye(model.n_neurons, device=model.basis.device))
        if isinstance(model.external, FittedInput):
            model.external.coefficients.copy_(solution.inputs)
            model.external.error.copy_(solution.input_error)
        if model.latent.requires_grad:
            model.latent.copy_(_latents(solution, recording, model.latent.shape[1]))
    functions = [model.phi, model.psi, *([model.gates] if model.gates is not None else [])]
    optimizer = torch.optim.Adam(
        [
            {"params": [p for f in functions for p in f.parameters()], "peak": PEAK_RATE},
            {"params": [model.latent], "peak": LATENT_RATE},
        ],
        betas=(0.9, 0.99),
    )
    steps = cfg.distil_steps
    for step in range(steps):
        for group in optimizer.param_groups:
            group["lr"] = group["peak"] * fall(step / steps)
        one, other = _draw(model.n_neurons, generator, visited.device)
        loss = _loss(model, solution, _points(visited, one, generator), one)
        loss = loss + _psi_loss(model, solution, _points(visited, other, generator), one, other)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        report("networks", done=step + 1, of=steps)
    report("networks", loss=_solve_last(model, solution, visited, generator))


def _with_field(
    model: AssemblyGNN,
    solution: Solution,
    cfg: ClosedForm,
    *,
    generator: torch.Generator,
    report: Report,
) -> tuple[Float[Tensor, "post pre"], Float[Tensor, "post pre"]]:
    """W and its errors in the units that the field network gives Omega, fitted if there is one."""
    if solution.omega is None:
        return solution.weights, solution.error
    factor = fit_field(
        model.external,
        solution.weights,
        solution.omega,
        steps=cfg.field_steps,
        generator=generator,
        report=report,
    )
    return solution.weights * factor, solution.error * factor


def _loss(model: AssemblyGNN, solution: Solution, x: Curves, one: Int[Tensor, " neuron"]) -> Tensor:
    """Mean squared error of phi*, relative to phi's mean square."""
    with torch.no_grad():
        wanted = solution.phi.read(solution.phi_coefficients[one], x.T.double()).T.float()
        wanted = wanted / model.scales.rate
    learned = model.phi(x, model.latent[one][:, None, :])[..., 0]
    return (learned - wanted).square().mean() / wanted.square().mean()


def _psi_loss(
    model: AssemblyGNN,
    solution: Solution,
    x: Curves,
    receivers: Int[Tensor, " neuron"],
    senders: Int[Tensor, " neuron"],
) -> Tensor:
    """Mean squared error of psi* of pairs, at activities of the senders."""
    with torch.no_grad():
        wanted = solution.psi(receivers, senders, x).float()
    learned = model.psi_curves(model.latent[receivers], model.latent[senders], x)
    return (learned - wanted).square().mean() / wanted.square().mean()


@torch.no_grad()
def _solve_last(
    model: AssemblyGNN,
    solution: Solution,
    visited: Float[Tensor, "neuron 2"],
    generator: torch.Generator,
) -> float:
    """Last layers of phi* and psi* by least squares; returns the sum of their losses."""
    n = model.n_neurons
    one, other = (
        torch.randperm(n, generator=generator)[:MOST].to(visited.device) for _ in range(2)
    )
    share = torch.linspace(0, 1, DENSE, device=visited.device)
    low, high = visited.T[..., None]
    x, sent = (torch.lerp(low[who], high[who], share) for who in (one, other))
    columns = model.phi.columns(x, model.latent[one][:, None, :])
    wanted = solution.phi.read(solution.phi_coefficients[one], x.T.double()).T / model.scales.rate
    _solve(model.phi, columns.flatten(0, 1), wanted.flatten())
    seen = model.latent[other][:, None, :] if model.sees in ("sender", "pair") else None
    columns = model.psi.columns(sent, seen)
    if model.gates is not None:
        gates = model.gates(model.latent[one])[:, None, None, :]
        columns = (columns[..., None] * gates).flatten(2)
    columns = columns.expand(*sent.shape, -1)
    _solve(model.psi, columns.flatten(0, 1), solution.psi(one, other, sent).flatten())
    loss = _loss(model, solution, x, one) + _psi_loss(model, solution, sent, one, other)
    return float(loss)


def _solve(
    network: FunctionNetwork,
    columns: Float[Tensor, "point column"],
    wanted: Float[Tensor, " point"],
) -> None:
    """Coefficients of the columns by least squares, near to what they are where nothing tells."""
    columns, before = columns.double(), network.coefficients.double()
    gram = columns.T @ columns
    gram.diagonal().add_(KEPT * gram.diagonal().mean())
    change = torch.linalg.solve(gram, columns.T @ (wanted - columns @ before.flatten()))
    network.set_coefficients(before + change.view_as(before))


def _latents(
    solution: Solution, recording: Recording, dimension: int
) -> Float[Tensor, "neuron latent"]:
    """Leading principal components of the neurons' phi where all have data, of unit size."""
    low, high = common_range(recording.visited(VISITED).cpu().numpy())
    x = torch.linspace(low, high, DENSE, device=recording.activity.device)
    curves = solution.phi_curves(x.expand(recording.n_neurons, -1))
    centred = curves - curves.mean(0)
    _, size, direction = torch.linalg.svd(centred, full_matrices=False)
    components = centred @ direction[:dimension].T / size[0] * math.sqrt(len(curves))
    return components.float()


def _draw(
    n: int, generator: torch.Generator, device: torch.device
) -> tuple[Int[Tensor, " neuron"], Int[Tensor, " neuron"]]:
    drawn = torch.randint(n, (2, min(n, BATCH)), generator=generator).to(device)
    return drawn[0], drawn[1]


def _points(
    visited: Float[Tensor, "neuron 2"], who: Int[Tensor, " drawn"], generator: torch.Generator
) -> Float[Tensor, "drawn x"]:
    """Random activities all over the visited range of the drawn neurons."""
    low, high = visited[who].unbind(1)
    share = torch.rand(len(who), POINTS, generator=generator).to(visited.device)
    return torch.lerp(low[:, None], high[:, None], share)

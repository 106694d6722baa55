"""W and phi of all rows for a given psi, with standard errors and a diagnosis in the end."""

from collections.abc import Iterator
from dataclasses import replace

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ngpipe.assembly.closed_form import diagnosis, uncertainty
from ngpipe.assembly.closed_form.accumulate import gram_moment, residual, shared_phi, solve_rows
from ngpipe.assembly.closed_form.chosen_frames import Equations
from ngpipe.assembly.closed_form.evidence import diagnosed, evidence
from ngpipe.assembly.closed_form.phi_span import (
    SAMPLE,
    WORTH,
    Sampled,
    Span,
    poorly_spanned,
    span_of,
)
from ngpipe.assembly.closed_form.problem import Problem
from ngpipe.assembly.closed_form.regressor_noise import without_noise
from ngpipe.assembly.closed_form.rows import Gram, RowFit, Rows, Spectrum
from ngpipe.assembly.closed_form.solution import Solution
from ngpipe.assembly.closed_form.transfer import Fit

SPANS = 3
"""Kinds of phi, each spanned by functions of its own, before the rest gets a whole basis."""


def all_rows(
    problem: Problem,
    fits: list[Fit],
    group: Int[Tensor, " neuron"],
    equations: Equations | None = None,
    *,
    wanted: Bool[Tensor, " neuron"] | None = None,
    before: Solution | None = None,
    final: bool = False,
) -> Solution:
    """W and phi of every neuron for given psi.

    Args:
        problem: its frames and settings.
        fits: psi of every group of receivers.
        group: everyone's.
        equations: frames to solve for; those of the search by default.
        wanted: neurons to solve for; all by default.
        before: what the rows of the others stay at.
        final: with standard errors and a diagnosis.
    """
    wanted = torch.ones_like(group, dtype=torch.bool) if wanted is None else wanted
    equations = replace(problem.few if equations is None else equations, phi=fits[0].phi)
    solution = _blank(problem, fits, group, before)
    missed = torch.zeros_like(solution.mean_square)
    for k, fit in enumerate(fits):
        members = torch.nonzero(wanted & (group == k))[:, 0]
        if len(members):
            solve = _solve_with_errors if final else _solve
            missed[members] = solve(problem, solution, fit, members, equations)
    if wanted.any():
        mean = solution.level[wanted].mean()
        solution.held_out = float(missed[wanted].mean() / mean)
        loss = float(solution.mean_square[wanted].mean() / mean)
        weights = solution.scaled()
        problem.report("W", loss=loss, held_out=solution.held_out, connectivity=weights)
    return solution


def _solve(
    problem: Problem,
    solution: Solution,
    fit: Fit,
    members: Int[Tensor, " row"],
    equations: Equations,
) -> Float[Tensor, " row"]:
    """Rows that see one psi, into the solution; returns their held-out mean squares."""
    gram = Gram(gram_moment(equations, fit.transfer), fit.ridge)
    missed = torch.zeros_like(solution.mean_square)
    for normal, _, left in _blocks(problem, solution, fit, members, equations, gram):
        missed[normal.rows] = left
    return missed[members]


def _solve_with_errors(
    problem: Problem,
    solution: Solution,
    fit: Fit,
    members: Int[Tensor, " row"],
    equations: Equations,
) -> Float[Tensor, " row"]:
    """The same, with the rows' standard errors and their part in the diagnosis."""
    n, spectra, missed = len(equations), [], torch.zeros_like(solution.mean_square)
    q = uncertainty.inflation(equations, fit.transfer, members, fit.ridge)
    solution.inflation = max(solution.inflation, q)
    typical = uncertainty.typical(members, problem.recording.n_neurons)
    gram, sender_noise = without_noise(problem, fit, members, equations)
    for normal, found, left in _blocks(problem, solution, fit, members, equations, gram):
        noise = uncertainty.noise_variance(normal.gram, found, n, left)
        solution.noise[normal.rows] = noise
        solution.error[normal.rows] = uncertainty.standard_errors(
            normal, found.weights, q * noise / n
        )
        solution.input_error[normal.rows] = uncertainty.input_errors(
            normal, q * noise / n, problem.n_inputs
        )
        missed[normal.rows] = left
        spectra.append(normal.spectrum(typical))
        # Rows of which nothing but phi is found anew.
        typical = typical[~torch.isin(typical, normal.rows)]
    seen = evidence(problem, solution, members)
    told = diagnosed(Spectrum.joined(spectra), solution, members, n, seen)
    told = replace(
        told,
        sender_noise=sender_noise.size,
        removed=sender_noise.removed,
        shared_noise=problem.shared_noise,
    )
    solution.told(told)
    error, weights = solution.error[members], solution.weights[members]
    solution.error[members] = diagnosis.widened(error, weights, told, q)
    return missed[members]


def _blocks(
    problem: Problem,
    solution: Solution,
    fit: Fit,
    members: Int[Tensor, " row"],
    equations: Equations,
    gram: Gram,
) -> Iterator[tuple[Rows, RowFit, Float[Tensor, " block"]]]:
    """Rows that see one psi, into the solution block by block; with their held-out mean squares.

    Rows whose phi turns out to be of another kind than that of most come once more.
    """
    if problem.cfg.network.one_type:
        own = shared_phi(equations, fit.transfer, members, gram)
        yield from _with_basis(problem, solution, fit, members, equations, gram, own)
        return
    left = members
    for _ in range(SPANS):
        if len(left) < WORTH * SAMPLE:
            break
        held_out = replace(problem.held_out, phi=fit.phi)
        sampled = Sampled.of(equations, held_out, fit.transfer, gram, left)
        span = span_of(sampled, fit.phi)
        if span is None:
            break
        yield from _with_basis(problem, solution, fit, left, replace(equations, phi=span), gram)
        left = left[poorly_spanned(sampled, left, solution.of(left))]
    if len(left):
        yield from _with_basis(problem, solution, fit, left, equations, gram)


def _with_basis(
    problem: Problem,
    solution: Solution,
    fit: Fit,
    members: Int[Tensor, " row"],
    equations: Equations,
    gram: Gram,
    own: Float[Tensor, " column"] | None = None,
) -> Iterator[tuple[Rows, RowFit, Float[Tensor, " block"]]]:
    """The same with phi on the basis of the equations, or ``own`` as its coefficients."""
    held_out, done = replace(problem.held_out, phi=equations.phi), 0
    span = equations.phi if isinstance(equations.phi, Span) else None
    for rows, normal in solve_rows(equations, fit.transfer, members, gram):
        found = normal.solve(None if own is None else own.expand(len(rows), -1))
        solution.enter(rows, found if span is None else span.whole(found))
        solution.level[rows] = normal.moments.target
        left = residual(held_out, fit.transfer, found, rows).square().mean(0)
        done += len(rows)
        problem.report("W", done=done, of=len(members))
        yield normal, found, left


def _blank(
    problem: Problem, fits: list[Fit], group: Int[Tensor, " neuron"], before: Solution | None
) -> Solution:
    """No rows yet, or those of ``before``, under the given psi."""
    n, spline = problem.recording.n_neurons, fits[0].phi
    weights = torch.zeros(n, n, dtype=torch.float64, device=problem.device)
    phi, square = weights.new_zeros(n, spline.n), weights.new_zeros(n)
    inputs = weights.new_zeros(n, problem.n_inputs)
    level = torch.ones_like(square)
    if before is not None:
        weights, square, level = (
            value.clone() for value in (before.weights, before.mean_square, before.level)
        )
        phi = spline.refit(before.phi, before.phi_coefficients)
        if before.inputs.shape == inputs.shape:
            inputs = before.inputs.clone()
    return Solution(
        weights=weights,
        phi=spline,
        phi_coefficients=phi,
        transfers=[fit.transfer for fit in fits],
        receiver_group=group,
        types=problem.one_group,
        mean_square=square,
        level=level,
        noise=torch.zeros_like(square),
        held_out=float("nan"),
        ridge=fits[0].ridge,
        error=torch.zeros_like(weights),
        inputs=inputs,
        input_error=torch.zeros_like(inputs),
    )

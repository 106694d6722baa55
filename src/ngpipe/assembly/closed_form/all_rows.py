"""W and phi of all rows for a given psi, with standard errors and a diagnosis in the end."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace

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
from ngpipe.assembly.closed_form.regressor_noise import SenderNoise, without_noise
from ngpipe.assembly.closed_form.rows import Gram, RowFit, Rows, Spectrum
from ngpipe.assembly.closed_form.solution import Solution
from ngpipe.assembly.closed_form.transfer import Fit

SPANS = 3
"""Kinds of phi, each spanned by functions of its own, before the rest gets a whole basis."""
WHOLE, HALVES = "all", ("first", "second")
"""Frames that the Gram matrices of final rows are of."""


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
    solution = blank(problem, fits, group, before)
    missed = torch.zeros_like(solution.mean_square)
    for k, fit in enumerate(fits):
        members = torch.nonzero(wanted & (group == k))[:, 0]
        if len(members):
            solve = _solve_with_errors if final else _solve
            missed[members] = solve(problem, solution, fit, members, equations)
    if wanted.any():
        tell(problem, solution, wanted, missed)
    return solution


def tell(
    problem: Problem,
    solution: Solution,
    wanted: Bool[Tensor, " neuron"],
    missed: Float[Tensor, " neuron"],
) -> None:
    """Report the rows that were solved, with the mean squares that held-out frames miss."""
    mean = solution.level[wanted].mean()
    solution.held_out = float(missed[wanted].mean() / mean)
    loss = float(solution.mean_square[wanted].mean() / mean)
    weights = solution.scaled()
    problem.report("W", loss=loss, held_out=solution.held_out, connectivity=weights)


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
    for normal, _, left in blocks_of(problem, solution, fit, members, equations, gram):
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
    n, missed = len(equations), torch.zeros_like(solution.mean_square)
    gram, common = prepare(problem, fit, members, equations)
    blocks = blocks_of(problem, solution, fit, members, equations, gram)
    typical = uncertainty.typical(members, problem.recording.n_neurons)
    spectra = enter_errors(solution, common, n, typical, blocks, missed)
    diagnose(problem, solution, common, n, members, Spectrum.joined(spectra))
    return missed[members]


@dataclass(frozen=True)
class Common:
    """What the errors of all final rows that see one psi have in common."""

    inflation: float
    """q."""
    sender_noise: SenderNoise


def prepare(
    problem: Problem,
    fit: Fit,
    members: Int[Tensor, " row"],
    equations: Equations,
    moment_of: Callable[[str], Float[Tensor, "pre pre"]] | None = None,
) -> tuple[Gram, Common]:
    """What final rows that see one psi are solved with.

    Args:
        problem: the recording, with what is known of its noise.
        fit: psi.
        members: rows that see it.
        equations: frames that they are solved from.
        moment_of: Gram matrices of :func:`summed` by name, if they are summed already.
    """
    halves = None if moment_of is None else (lambda k: moment_of(HALVES[k]))
    q = uncertainty.inflation(equations, fit.transfer, members, fit.ridge, halves)
    moment = None if moment_of is None else moment_of(WHOLE)
    gram, sender_noise = without_noise(problem, fit, members, equations, moment)
    return gram, Common(q, sender_noise)


def summed(equations: Equations) -> dict[str, Equations]:
    """The frames whose Gram matrices :func:`prepare` takes, by name."""
    return {WHOLE: equations, **dict(zip(HALVES, uncertainty.halves_of(equations), strict=False))}


Block = tuple[Rows, RowFit, Float[Tensor, " block"]]
"""Some rows' equations, their solution, and the mean squares that held-out frames miss."""


def enter_errors(
    solution: Solution,
    common: Common,
    n: int,
    typical: Int[Tensor, " typical"],
    blocks: Iterable[Block],
    missed: Float[Tensor, " neuron"],
) -> list[Spectrum]:
    """Standard errors of blocks of rows, into the solution; and the mean squares that they miss.

    Args:
        solution: gets noise and errors.
        common: what the rows share.
        n: number of frames.
        typical: the rows that stand for all.
        blocks: some rows.
        missed: gets the held-out mean squares.

    Returns:
        Spectra of those of the typical rows that are among them.
    """
    q, spectra = common.inflation, []
    for normal, found, left in blocks:
        noise = uncertainty.noise_variance(normal.gram, found, n, left)
        solution.noise[normal.rows] = noise
        solution.error[normal.rows] = uncertainty.standard_errors(
            normal, found.weights, q * noise / n
        )
        solution.input_error[normal.rows] = uncertainty.input_errors(
            normal, q * noise / n, solution.inputs.shape[1]
        )
        missed[normal.rows] = left
        spectra.append(normal.spectrum(typical))
        # Rows of which nothing but phi is found anew.
        typical = typical[~torch.isin(typical, normal.rows)]
    return spectra


def diagnose(
    problem: Problem,
    solution: Solution,
    common: Common,
    n: int,
    members: Int[Tensor, " row"],
    spectrum: Spectrum,
) -> None:
    """Diagnosis of the rows with one psi, into the solution; their errors as it widens them."""
    solution.inflation = max(solution.inflation, common.inflation)
    seen = evidence(problem, solution, members)
    told = diagnosed(spectrum, solution, members, n, seen)
    told = replace(
        told,
        sender_noise=common.sender_noise.size,
        removed=common.sender_noise.removed,
        shared_noise=problem.shared_noise,
    )
    solution.told(told)
    error, weights = solution.error[members], solution.weights[members]
    solution.error[members] = diagnosis.widened(error, weights, told, common.inflation)


def blocks_of(
    problem: Problem,
    solution: Solution,
    fit: Fit,
    members: Int[Tensor, " row"],
    equations: Equations,
    gram: Gram,
) -> Iterator[Block]:
    """Rows that see one psi, into the solution block by block.

    Rows whose phi turns out to be of another kind than that of most come once more.
    """
    own, span = None, None
    if problem.cfg.network.one_type:
        own = shared_phi(equations, fit.transfer, members, gram)
    else:
        span = common_span(problem, fit, members, equations, lambda: gram)
    of = equations if span is None else replace(equations, phi=span)
    solved = solve_rows(of, fit.transfer, members, gram)
    yield from with_basis(problem, solution, fit, of, solved, len(members), own)
    if span is not None:
        yield from other_kinds(problem, solution, fit, members, equations, lambda: gram)


def other_kinds(
    problem: Problem,
    solution: Solution,
    fit: Fit,
    members: Int[Tensor, " row"],
    equations: Equations,
    gram_of: Callable[[], Gram],
) -> Iterator[Block]:
    """Rows whose phi is not among the functions that span that of most, once more.

    Args:
        problem: its frames and settings.
        solution: of all rows with those functions.
        fit: psi.
        members: all rows that see it.
        equations: frames to solve for.
        gram_of: their Gram matrix, asked for only if there are such rows.
    """
    left = members[poorly_spanned(equations, fit.transfer, members, solution.of(members))]
    for _ in range(SPANS - 1):
        span = common_span(problem, fit, left, equations, gram_of)
        if span is None:
            break
        of = replace(equations, phi=span)
        solved = solve_rows(of, fit.transfer, left, gram_of())
        yield from with_basis(problem, solution, fit, of, solved, len(left))
        left = left[poorly_spanned(equations, fit.transfer, left, solution.of(left))]
    if len(left):
        solved = solve_rows(equations, fit.transfer, left, gram_of())
        yield from with_basis(problem, solution, fit, equations, solved, len(left))


def common_span(
    problem: Problem,
    fit: Fit,
    rows: Int[Tensor, " row"],
    equations: Equations,
    gram_of: Callable[[], Gram],
) -> Span | None:
    """The functions that span phi of most rows; None if they are few, or a whole basis it takes."""
    if len(rows) < WORTH * SAMPLE:
        return None
    held_out = replace(problem.held_out, phi=fit.phi)
    return span_of(Sampled.of(equations, held_out, fit.transfer, gram_of(), rows), fit.phi)


def with_basis(
    problem: Problem,
    solution: Solution,
    fit: Fit,
    equations: Equations,
    solved: Iterable[tuple[Int[Tensor, " block"], Rows]],
    n: int,
    own: Float[Tensor, " column"] | None = None,
) -> Iterator[Block]:
    """Rows with phi on the basis of the equations, or ``own`` as its coefficients.

    Args:
        problem: its held-out frames.
        solution: gets the rows.
        fit: psi.
        equations: frames to solve for.
        solved: normal equations of the rows, block by block.
        n: number of rows.
        own: coefficients of phi, if all rows have the same.
    """
    held_out, done = replace(problem.held_out, phi=equations.phi), 0
    span = equations.phi if isinstance(equations.phi, Span) else None
    for rows, normal in solved:
        found = normal.solve(None if own is None else own.expand(len(rows), -1))
        solution.enter(rows, found if span is None else span.whole(found))
        solution.level[rows] = normal.moments.target
        left = residual(held_out, fit.transfer, found, rows).square().mean(0)
        done += len(rows)
        problem.report("W", done=done, of=n)
        yield normal, found, left


def blank(
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

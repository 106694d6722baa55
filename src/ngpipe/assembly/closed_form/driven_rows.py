"""Rows of driven neurons together with their hidden input, which is known from then on."""

from dataclasses import replace
from typing import Any

from jaxtyping import Int
from torch import Tensor

from ngpipe.assembly.closed_form.chosen_frames import Transfer
from ngpipe.assembly.closed_form.evidence import diagnosed, evidence
from ngpipe.assembly.closed_form.hidden import Driven, Hidden, KnottedInput
from ngpipe.assembly.closed_form.knot_columns import Hats
from ngpipe.assembly.closed_form.problem import Problem
from ngpipe.assembly.closed_form.rows import Spectrum
from ngpipe.assembly.closed_form.solution import Solution

COARSER, FEWEST = 4, 3
"""Times fewer knots for an input that is only a beginning, and the fewest."""


def driven_rows(
    problem: Problem, solution: Solution, *, final: bool = False
) -> tuple[Problem, Solution]:
    """Hidden input of the driven neurons, and their rows anew.

    Args:
        problem: its frames and settings.
        solution: rows of the other neurons, and those of the driven ones to begin with.
        final: with standard errors and a diagnosis.

    Returns:
        The problem that knows this input, and the solution with it.
    """
    knots = problem.settings.input_knots
    hats = Hats(knots if final else max(FEWEST, knots // COARSER + 1), problem.recording.duration)
    sites: Any = problem.recording.sites  # of a recording with a hidden input
    driven, found, spectra = sites.driven, solution.copy(), {}
    values = solution.weights.new_empty(len(driven), hats.n)
    inflation = solution.inflation if final else None
    for k, transfer in enumerate(solution.transfers):
        mine = solution.receiver_group[driven] == k
        some = driven[mine]
        if not len(some):
            continue
        hidden = _hidden(problem, solution, transfer, hats)
        weights = solution.weights[some]
        rows = hidden.solve(some, weights, problem.report, inflation=inflation)
        values[mine] = rows.values
        found.level[some] = hidden.frames.rate[:, some].double().square().mean(0)
        _enter(found, some, rows)
        if final:
            told: Any = rows  # which in the end has them
            spectra[k] = Spectrum(told.directions, hidden.gram.padding)
    found.omega = KnottedInput(hats, driven, values, problem.cfg.input_mode)
    problem = problem.knowing(found.omega)
    for k, spectrum in spectra.items():
        mine = driven[found.receiver_group[driven] == k]
        seen = evidence(problem, found, mine)
        found.told(diagnosed(spectrum, found, mine, len(problem.frames), seen))
    return problem, found


def _hidden(problem: Problem, solution: Solution, transfer: Transfer, hats: Hats) -> Hidden:
    frames: Any = problem.frames  # with a hidden input they are in memory
    return Hidden(
        replace(frames, phi=solution.phi),
        transfer,
        solution.ridge,
        hats,
        problem.cfg.input_mode,
        solution.phi_coefficients,
    )


def _enter(solution: Solution, driven: Int[Tensor, " site"], rows: Driven) -> None:
    """Rows of driven neurons, into the solution."""
    solution.weights[driven], solution.phi_coefficients[driven] = rows.weights, rows.phi
    solution.mean_square[driven] = rows.mean_square
    if rows.error is not None and rows.noise is not None:
        solution.error[driven], solution.noise[driven] = rows.error, rows.noise

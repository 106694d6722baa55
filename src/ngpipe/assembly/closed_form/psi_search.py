"""psi on given rows: from a first guess to a fine basis."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from ngpipe.assembly.closed_form.chosen_frames import Equations, Frames, Transfer
from ngpipe.assembly.closed_form.problem import Problem
from ngpipe.assembly.closed_form.transfer import Fit, Search

START_BEND = 0.43
"""Activity, in standard deviations, at which the first guess of psi bends."""


def first_guess(problem: Problem) -> Transfer:
    """tanh, bending at less than half the standard deviation of activity."""
    spline = problem.spline(problem.settings.psi_basis)
    bend = START_BEND * problem.recording.scales().activity
    like = torch.zeros((), dtype=torch.float64, device=problem.device)
    coefficients = spline.fit(lambda x: torch.tanh(x / bend), like=like)
    return Transfer(spline, coefficients[None], problem.one_group)


def searched(
    problem: Problem, start: Transfer, rows: Int[Tensor, " row"], ridges: Sequence[float]
) -> Fit:
    """Psi on some rows, from the frames of the search.

    Args:
        problem: its frames and settings.
        start: first guess of psi.
        rows: neurons whose rows of W are used.
        ridges: in turn, the largest first.
    """
    search = _search(problem, problem.few, problem.held_out, rows)
    return search.run(start, ridges, problem.settings.iterations)


def finer(problem: Problem, fit: Fit, receivers: Bool[Tensor, " neuron"]) -> Fit:
    """The same psi on a finer basis, from as many frames as there are in memory or searched.

    Args:
        problem: its frames and settings.
        fit: psi as found on the basis of the search.
        receivers: neurons that see this psi.
    """
    basis = problem.spline(problem.settings.fine_basis)
    frames = replace(max(problem.frames, problem.few, key=len), phi=basis)
    held_out = replace(problem.held_out, phi=basis)
    search = _search(problem, frames, held_out, problem.draw(receivers))
    ridges = [ridge for ridge in problem.settings.ridges if ridge <= fit.ridge]
    return search.run(fit.transfer.on(basis), ridges, problem.settings.iterations)


def _search(
    problem: Problem, frames: Equations, held_out: Frames, rows: Int[Tensor, " row"]
) -> Search:
    return Search(
        frames,
        held_out,
        rows,
        roughness=problem.settings.roughness,
        report=problem.report,
        noisy=not problem.recording.exact,
        one_phi=problem.cfg.network.one_type,
    )

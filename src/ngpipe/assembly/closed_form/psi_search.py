"""psi on given rows: from a first guess to a fine basis."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from ngpipe.assembly.closed_form.chosen_frames import Equations, Frames, Transfer
from ngpipe.assembly.closed_form.problem import Problem
from ngpipe.assembly.closed_form.transfer import Fit, JointSearch, Search

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


def psi_of_sessions(problems: Sequence[Problem]) -> Fit:
    """One psi from several sessions that see some neurons each.

    Every session is a recording of its own: its rows of W are those from the neurons it sees to
    the neurons it sees, whatever the others do to them. Psi is what they share.

    Args:
        problems: those of the sessions, that of most values first.
    """
    first = problems[0]
    searches = [_search(one, one.few, one.held_out, one.draw()) for one in problems]
    settings = first.settings
    return JointSearch(searches).run(first_guess(first), settings.ridges, settings.iterations)


def finer_of_sessions(problems: Sequence[Problem], fit: Fit) -> Fit:
    """The same psi on a finer basis.

    Args:
        problems: those of the sessions.
        fit: psi as found on the basis of the search.
    """
    settings = problems[0].settings
    basis = problems[0].spline(settings.fine_basis)
    searches = []
    for one in problems:
        frames = replace(max(one.frames, one.few, key=len), phi=basis)
        searches.append(_search(one, frames, replace(one.held_out, phi=basis), one.draw()))
    ridges = [ridge for ridge in settings.ridges if ridge <= fit.ridge]
    return JointSearch(searches).run(fit.transfer.on(basis), ridges, settings.iterations)

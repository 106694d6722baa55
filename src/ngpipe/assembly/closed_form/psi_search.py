"""psi on given rows: from a first guess to a fine basis."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from ngpipe.assembly.closed_form.chosen_frames import Equations, Frames, Transfer
from ngpipe.assembly.closed_form.problem import Problem
from ngpipe.assembly.closed_form.solution import Solution
from ngpipe.assembly.closed_form.transfer import Fit, JointSearch, Search

MILD = 0.1
"""Largest ridge for psi in noise, relative to the one that suits W."""
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


def mild(problems: Sequence[Problem], rough: Solution) -> list[float]:
    r"""Ridges that cost W no more than noise does; the smallest one, if there are none.

    A ridge r shrinks W along directions of little activity, and psi bends to make up for it, which
    held-out frames hardly see in noise. The mean squared error of W is least at

    .. math:: r = s^2 / (n \tau^2)

    with residual variance s^2, n frames and weights of variance tau^2 (Hoerl & Kennard 1970). Psi,
    which many rows tell together, needs less.

    Args:
        problems: those of the sessions, or the one.
        rough: a first solution.
    """
    problem, n = problems[0], sum(len(one.few) for one in problems)
    spread, noise = (float(v.mean()) for v in (rough.weights.square(), rough.noise))
    transfer = rough.transfers[0]
    if len(transfer.group) > problem.recording.n_neurons:  # of which a session sees some
        transfer = replace(transfer, group=problem.one_group)
    sent = float(transfer.sent(problem.held_out.x).square().mean())
    most = MILD * noise / max(n * spread * sent, 1e-300)
    ridges = problem.settings.ridges
    return [ridge for ridge in ridges if ridge <= most] or [ridges[-1]]


def psi_of_sessions(problems: Sequence[Problem], ridges: Sequence[float] | None = None) -> Fit:
    """One psi from several sessions that see some neurons each.

    Every session is a recording of its own: its rows of W are those from the neurons it sees to
    the neurons it sees, whatever the others do to them. Psi is what they share.

    Args:
        problems: those of the sessions, that of most values first.
        ridges: in turn, the largest first; all of the config by default.
    """
    first = problems[0]
    searches = [_search(one, one.few, one.held_out, one.draw()) for one in problems]
    settings = first.settings
    fewer = ridges or settings.ridges
    return JointSearch(searches).run(first_guess(first), fewer, settings.iterations)


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

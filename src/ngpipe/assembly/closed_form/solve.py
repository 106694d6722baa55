"""Recovery of an assembly in closed form: from frames to W, phi_i, psi and types."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ngpipe.assembly.closed_form.all_rows import all_rows
from ngpipe.assembly.closed_form.chosen_frames import Transfer
from ngpipe.assembly.closed_form.driven_rows import driven_rows
from ngpipe.assembly.closed_form.evidence import confirmed
from ngpipe.assembly.closed_form.prior import Prior, column_signs
from ngpipe.assembly.closed_form.problem import Problem
from ngpipe.assembly.closed_form.psi_groups import Groups, grouped, merged
from ngpipe.assembly.closed_form.psi_search import finer, first_guess, mild, searched
from ngpipe.assembly.closed_form.scaled_rows import scaled_rows
from ngpipe.assembly.closed_form.scattered import Found, Prepared, Solved, joined
from ngpipe.assembly.closed_form.session_solve import rows_of_sessions
from ngpipe.assembly.closed_form.solution import Solution
from ngpipe.assembly.closed_form.transfer import Fit, Report
from ngpipe.assembly.closed_form.unobserved import unobserved
from ngpipe.assembly.recording import Recording
from ngpipe.config.assembly.training import Training
from ngpipe.errors import ConfigError

ROUNDS = 2
"""Times that psi, and the noise that states share with rates, are worked out from one another."""
PSI_SESSIONS = 8
"""Most sessions that psi is found on, where each sees some of the neurons."""
SCALINGS, FALLING = 8, 0.9
"""Times that psi and the effect of inputs that scale are worked out from one another, at most, and
the fall of the residual that is worth another time."""
LONG = 3
"""Frames of such a session, in neurons that it sees, at least."""
FINAL = "W from all frames"
"""The part that jobs can share."""


class ClosedForm:
    """Closed-form recovery of one recording.

    Args:
        recording: activity, target rate, and what is held out.
        cfg: the training section of the config.
        report: told what every stage has reached.

    Raises:
        DivergenceError: activity or rate is not finite, or the rate of a neuron is zero at all
            frames.
    """

    def __init__(self, recording: Recording, cfg: Training, report: Report) -> None:
        self.recording = recording
        self.problems = [Problem.of(one, cfg, report) for one in _recordings(recording)]
        self.problem = self.problems[0]

    def solve(self) -> Solution:
        """The whole recovery."""
        if self.recording.sessions is not None:
            return rows_of_sessions(self.recording, self.problems)
        problem, groups = _psi_and_groups(self.problem)
        _begin(problem, FINAL)
        problem, solution = _final_rows(problem, groups)
        if _has_gains(problem):
            _begin(problem, "scaling")
            solution = scaled_rows(problem, solution, problem.final)
        if not problem.plain.all():
            _begin(problem, "input")
            problem, solution = driven_rows(problem, solution, final=True)
        unbiased = solution
        if _has_prior(problem):
            _begin(problem, "prior")
            solution = _with_prior(problem, groups, solution)
        solution = replace(solution, types=groups.types)
        return _judged(problem, solution, unbiased, groups.solution.scaled())


def search(recording: Recording, cfg: Training, report: Report) -> Found:
    """Psi and groups of neurons alone, for jobs that solve the rows (:mod:`.scattered`).

    Args:
        recording: activity, target rate, and what is held out.
        cfg: the training section of the config.
        report: told what every stage has reached.

    Raises:
        ConfigError: the recording is one whose rows are solved by one job.
        DivergenceError: as for :class:`ClosedForm`.
    """
    if recording.sessions is not None:
        raise ConfigError(
            "training.closed_form.jobs: the sessions of this recording see different neurons, so "
            "every row has a Gram matrix of its own, and rows are solved by one job; set it to 1"
        )
    problem, groups = _psi_and_groups(Problem.of(recording, cfg, report, streamed=True))
    if not recording.exact:
        problem = _with_enough_frames(problem, groups)
    return Found(
        fits=groups.fits,
        receivers=groups.receivers,
        types=groups.types,
        earlier=groups.solution.scaled(),
        frames=problem.which(problem.final),
        held_out=problem.which(problem.held_out),
        kappa=problem.final.kappa,
        shared_noise=problem.shared_noise,
        scales=recording.scales(),
    )


def gathered(
    problem: Problem,
    found: Found,
    prepared_of: Callable[[int], Prepared],
    parts: Sequence[Callable[[], Solved]],
) -> Solution:
    """The whole recovery from what jobs have solved; see :func:`.scattered.joined`."""
    _begin(problem, FINAL)
    solution = joined(problem, found, prepared_of, parts)
    solution = replace(solution, types=found.types)
    return _judged(problem, solution, solution, found.earlier)


def _psi_and_groups(problem: Problem) -> tuple[Problem, Groups]:
    """Psi on a finer basis and groups, with the rows that these were found with."""
    plain = problem.plain
    _begin(problem, "psi of all")
    problem, shared = _first(problem)
    _begin(problem, "groups")
    groups = grouped(problem, shared)
    if not plain.all():
        _begin(problem, "first input")
        problem, groups = _first_input(problem, groups, shared)
    if _has_gains(problem):
        _begin(problem, "first scaling")
        problem, groups = _first_scaling(problem, groups)
    _begin(problem, "psi, finer")
    return problem, _polished(problem, groups)


def _judged(
    problem: Problem, solution: Solution, unbiased: Solution, earlier: Float[Tensor, "post pre"]
) -> Solution:
    """The same, knowing how well rounds agree, and what unrecorded neurons leave over."""
    plain = problem.plain
    solution = confirmed(solution, unbiased, earlier, plain)
    return _with_unobserved(problem, solution) if plain.all() else solution


def _recordings(recording: Recording) -> list[Recording]:
    """What psi is found on: the recording, or those of its sessions that have most values."""
    sessions = recording.sessions
    if sessions is None:
        return [recording]
    n_frames = sessions.n_frames(recording.training_frames)
    richest = sessions.richest(recording.training_frames)
    long = [k for k in richest if n_frames[k] > LONG * sessions.seen[k].sum()]
    return [recording.alone(k) for k in (long or richest[:1])[:PSI_SESSIONS]]


def _with_unobserved(problem: Problem, solution: Solution) -> Solution:
    """The same, knowing what neurons that were not recorded leave in the residuals."""
    found = unobserved(problem, solution)
    if found is None:
        return solution
    told: Any = solution.diagnosis
    size = float(found.bias.square().mean() / solution.weights.square().mean()) ** 0.5
    told = told.driven_unseen(found.rank, found.share, size)
    return replace(solution, diagnosis=told, unobserved_bias=found.bias)


def _has_prior(problem: Problem) -> bool:
    return problem.settings.prior == "sparse" or problem.settings.dale


def _has_gains(problem: Problem) -> bool:
    series = problem.recording.inputs
    return series is not None and series.mode == "multiplicative"


def _begin(problem: Problem, part: str) -> None:
    """Report the number of the next part."""
    hidden = not problem.plain.all()
    gains = _has_gains(problem)
    parts = ["psi of all", "groups", *(["first input"] if hidden else [])]
    parts += [*(["first scaling"] if gains else []), "psi, finer"]
    parts += [FINAL, *(["scaling"] if gains else []), *(["input"] if hidden else [])]
    parts += ["prior"] if _has_prior(problem) else []
    problem.report(part, part=parts.index(part) + 1, of=len(parts))


def _first(problem: Problem) -> tuple[Problem, Fit]:
    """One psi for all; for noisy targets from as many frames as it takes to know W."""
    shared = searched(problem, first_guess(problem), problem.draw(), problem.settings.ridges)
    if problem.recording.exact:
        return problem, shared
    # Differences of activity hold its noise; an exact rate has none, whatever it misses.
    rough = all_rows(problem, [shared], problem.one_group, final=True)
    told: Any = rough.diagnosis
    larger = problem.for_noise(told)
    start, ridges = first_guess(larger), mild([larger], rough)
    for _ in range(ROUNDS if problem.recording.shares_noise else int(larger is not problem)):
        problem = larger.freed(shared)
        shared = _searched(problem, start, ridges)
        start = shared.transfer
    return problem, shared


def _searched(problem: Problem, start: Transfer, fewer: list[float]) -> Fit:
    """Psi with the ridge that held-out frames choose, or a mild one, if theirs is none."""
    rows = problem.draw()
    found = searched(problem, start, rows, problem.settings.ridges)
    return found if found.ridge <= fewer[0] else searched(problem, found.transfer, rows, fewer)


def _first_input(problem: Problem, groups: Groups, shared: Fit) -> tuple[Problem, Groups]:
    """Hidden input of the driven neurons for a start, and the groups that then seem to be types."""
    solution = all_rows(
        problem,
        groups.fits,
        groups.receivers,
        problem.frames,
        wanted=~problem.plain,
        before=groups.solution,
    )
    problem, solution = driven_rows(problem, solution)
    return problem, merged(problem, replace(groups, solution=solution), shared)


def _first_scaling(problem: Problem, groups: Groups) -> tuple[Problem, Groups]:
    """Effect of multiplicative inputs, and psi that goes with it, in turn while residuals fall."""
    before = float("inf")
    for _ in range(SCALINGS):
        found = scaled_rows(problem, groups.solution, problem.frames)
        problem, groups = problem.scaling(found.received), replace(groups, solution=found)
        loss = float(found.relative_error.mean())
        if loss > FALLING * before:
            break
        before, groups = loss, _polished(problem, groups)
        rows = all_rows(problem, groups.fits, groups.receivers, problem.frames)
        groups = replace(groups, solution=rows)
    return problem, groups


def _polished(problem: Problem, groups: Groups) -> Groups:
    """Psi on a finer basis and all frames."""
    fits = [finer(problem, fit, groups.receivers == k) for k, fit in enumerate(groups.fits)]
    return replace(groups, fits=fits)


def _final_rows(problem: Problem, groups: Groups) -> tuple[Problem, Solution]:
    """Rows without a hidden input with their errors, from as many frames as it takes."""
    some: dict[str, Any] = {"wanted": problem.plain, "before": groups.solution, "final": True}
    solution = all_rows(problem, groups.fits, groups.receivers, problem.frames, **some)
    if solution.diagnosis is None or problem.recording.exact:
        # What is left of an exact rate is misfit, which more frames do not average out.
        return problem, solution
    larger = problem.for_rows(solution.diagnosis)
    if larger is problem:
        return problem, solution
    return larger, all_rows(larger, groups.fits, groups.receivers, larger.final, **some)


def _with_enough_frames(problem: Problem, groups: Groups) -> Problem:
    """With as many final frames as it takes; reported are rows that are to be solved again."""
    told: list[dict[str, Any]] = []

    def later(stage: str, **reached: Any) -> None:  # noqa: ANN401
        if "connectivity" in reached:
            told.append({"stage": stage, **reached})
        else:
            problem.report(stage, **reached)

    asked = replace(problem, report=later)
    solution = all_rows(asked, groups.fits, groups.receivers, problem.frames, final=True)
    diagnosis: Any = solution.diagnosis  # of final rows there is one
    larger = problem.for_rows(diagnosis)
    for reached in told if larger is not problem else []:
        problem.report(**reached)
    return larger


def _with_prior(problem: Problem, groups: Groups, solution: Solution) -> Solution:
    """Rows of W under what is known of them; their errors stay those without it."""
    found = solution.copy()
    signs = column_signs(solution.scaled().double()) if problem.settings.dale else None
    sparse = problem.settings.prior == "sparse"
    for k, fit in enumerate(groups.fits):
        equations = replace(problem.final, phi=fit.phi)
        held_out = replace(problem.held_out, phi=fit.phi)
        prior = Prior(equations, held_out, fit.transfer, fit.ridge, sparse=sparse, signs=signs)
        members = torch.nonzero(groups.receivers == k)[:, 0]
        few = problem.draw(groups.receivers == k)
        strength = prior.strength(few, solution.noise[few])
        problem.report("sparsity", strength=strength)
        if strength == 0 and signs is None:
            continue
        for rows, fitted in prior.solve(members, solution.noise[members], strength):
            found.enter(rows, fitted)
    loss = float(found.mean_square.mean() / found.level.mean())
    problem.report("W", loss=loss, connectivity=found.scaled())
    return found

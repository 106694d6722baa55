"""Recovery from sessions that each see some of the neurons: psi from one, W and phi from all."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ngpipe.assembly.closed_form import diagnosis, shared_noise, uncertainty
from ngpipe.assembly.closed_form.chosen_frames import Frames, Source, Transfer
from ngpipe.assembly.closed_form.diagnosis import Diagnosis, Evidence, coherence
from ngpipe.assembly.closed_form.evidence import PAIRS, ROWS, confirmed, diagnosed
from ngpipe.assembly.closed_form.problem import (
    HELD_OUT_FRAMES,
    NOISY_FRAMES,
    NOISY_ROWS,
    Problem,
)
from ngpipe.assembly.closed_form.psi_groups import types_of
from ngpipe.assembly.closed_form.psi_search import finer_of_sessions, mild, psi_of_sessions
from ngpipe.assembly.closed_form.regressor_noise import SenderNoise
from ngpipe.assembly.closed_form.rows import RowFit, Spectrum
from ngpipe.assembly.closed_form.session_fit import BlockFit
from ngpipe.assembly.closed_form.session_noise import without_sender_noise
from ngpipe.assembly.closed_form.session_parts import (
    Part,
    frames_of,
    halves_of,
    session_parts,
)
from ngpipe.assembly.closed_form.session_rows import Parts, solved
from ngpipe.assembly.closed_form.session_weights import weighed
from ngpipe.assembly.closed_form.shared_noise import SharedNoise
from ngpipe.assembly.closed_form.solution import Solution
from ngpipe.assembly.closed_form.transfer import Fit
from ngpipe.assembly.recording import Recording
from ngpipe.errors import DivergenceError

NEARLY_ALL = 0.95
"""Neurons, as a share of those of the fullest session, from which a session sees most."""
PARTS = ("psi of all", "psi, finer", "W from all sessions")


def rows_of_sessions(recording: Recording, problems: Sequence[Problem]) -> Solution:
    """W and phi of all neurons from all sessions.

    Args:
        recording: all sessions.
        problems: those of the sessions that psi is found on.
    """
    problem = replace(problems[0], recording=recording)
    if not recording.exact:
        # Rates from activity hold its noise: more frames, and rows, than an exact rate needs.
        problems = [_for_noise(one, len(problems)) for one in problems]
    _begin(problem, 0)
    shared = psi_of_sessions(problems)
    ridges: Sequence[float] = problem.settings.ridges
    parts = _weighed(problem, _sessions(problem, shared))
    if not recording.exact:
        ridges = mild(problems, _rows(problem, shared, parts))
        if shared.ridge > ridges[0]:
            shared = psi_of_sessions(problems, ridges)
    if recording.shares_noise:
        kappa = _kappa(_parts(problem, shared), shared, recording.n_neurons)
        problems = [one.free_of(kappa[_members(one)]) for one in problems]
        shared = psi_of_sessions(problems, ridges)
        problem = replace(problem, shared_noise=problems[0].shared_noise)
    counted = parts.shrinkage, parts.persistence
    earlier = _rows(problem, shared, _sessions(problem, shared).under(*counted))
    _begin(problem, 1)
    fit = finer_of_sessions(problems, shared)
    _begin(problem, 2)
    parts, noise = without_sender_noise(_sessions(problem, fit).under(*counted), recording)
    solution = _rows(problem, fit, _weighed(problem, parts), final=noise)
    types = types_of(problem, solution)
    return confirmed(replace(solution, types=types), solution, earlier.scaled(), problem.plain)


def _for_noise(problem: Problem, n_sessions: int) -> Problem:
    every = max(1, len(problem.everything) * n_sessions // NOISY_FRAMES)
    few = problem.everything.part(slice(None, None, every))
    return replace(problem, few=few, n_rows=problem.n_rows * NOISY_ROWS)


def _members(problem: Problem) -> Int[Tensor, " seen"]:
    """Neurons that the session of a problem sees."""
    activity: Any = problem.recording.activity  # of one session
    return activity.neurons


def _parts(problem: Problem, fit: Fit) -> list[Part]:
    """Equations of all sessions."""
    transfer = replace(fit.transfer, group=problem.one_group)
    return session_parts(problem.recording, _chosen(problem), fit.phi, transfer)


def _begin(problem: Problem, part: int) -> None:
    problem.report(PARTS[part], part=part + 1, of=len(PARTS))


def _sessions(problem: Problem, fit: Fit) -> Parts:
    """All sessions under a psi."""
    n, each = problem.recording.n_neurons, _parts(problem, fit)
    if problem.recording.shares_noise:
        each = _freed(each, _kappa(each, fit, n))
    return Parts(each, n, fit.ridge)


def _weighed(problem: Problem, parts: Parts) -> Parts:
    """The same, each session counting as it predicts."""
    found = weighed(parts, problem.recording)
    problem.report("unseen senders", shrinkage=found.shrinkage, persistence=found.persistence)
    return found


def _rows(
    problem: Problem, fit: Fit, parts: Parts, *, final: SenderNoise | None = None
) -> Solution:
    """All rows for a psi; with standard errors and a diagnosis in the end.

    Args:
        problem: all sessions.
        fit: psi.
        parts: all sessions under it.
        final: in the end, the noise of senders that was taken out.
    """
    everyone = torch.arange(problem.recording.n_neurons, device=problem.device)
    transfer = replace(fit.transfer, group=torch.zeros_like(everyone))
    q = _inflation(parts, everyone) if final is not None else 1.0
    wanted = uncertainty.typical(everyone, len(everyone))
    solution, blocks, spectra = _blank(problem, fit, transfer), [], []
    for block in parts.blocks(everyone):
        found = block.solve()
        _keep(solution, found, block.level)
        if final is not None:
            solution.error[found.rows] = found.standard_errors(q)
            solution.input_error[found.rows] = found.input_errors(q, problem.n_inputs)
            spectra.append(found.spectrum(wanted))
        blocks.append((found.padding.mean(), found.n.sum(), len(found.rows)))
        problem.report("W", done=int(found.rows[-1]) + 1, of=len(everyone))
    solution.inflation = q
    solution.held_out = _held_out(problem, parts, solution)
    if final is not None:
        n_frames = int(sum(float(n) for _, n, _ in blocks) / len(everyone))
        padding = float(torch.stack([r for r, *_ in blocks]).mean())
        spectrum = Spectrum(torch.cat(spectra), padding)
        evidence = _evidence(problem, parts, solution)
        told = diagnosed(spectrum, solution, everyone, n_frames, evidence)
        told = replace(
            told,
            sender_noise=final.size,
            removed=final.removed,
            shared_noise=problem.shared_noise,
        )
        _told(problem, solution, told)
    loss = float(solution.mean_square.mean() / solution.level.mean())
    problem.report("W", loss=loss, held_out=solution.held_out, connectivity=solution.scaled())
    return solution


def _told(problem: Problem, solution: Solution, told: Diagnosis) -> None:
    """Diagnosis and errors; a pair that no session sees together has none."""
    solution.told(told)
    solution.error = diagnosis.widened(solution.error, solution.weights, told, solution.inflation)
    never = problem.recording.pairs_seen().to(problem.device) == 0
    solution.error[never] = torch.nan


def _keep(solution: Solution, found: BlockFit, level: Float[Tensor, " row"]) -> None:
    rows = found.rows
    solution.enter(rows, found.fit)
    solution.level[rows] = level
    solution.noise[rows] = found.noise


def _kappa(parts: Sequence[Part], fit: Fit, n: int) -> Float[Tensor, " neuron"]:
    """Covariance of the noise of every neuron's state and rate, from sessions that see most.

    What a neuron gets from those that a session does not see hangs together with its own past.
    """
    most = max(len(part.members) for part in parts)
    sessions = Parts([p for p in parts if len(p.members) >= NEARLY_ALL * most], n, fit.ridge)
    seen = torch.cat([part.members for part in sessions.parts]).unique()
    sums = torch.zeros(3, n, shared_noise.PARTS, dtype=torch.float64, device=seen.device)
    for block in sessions.blocks(seen):
        found, aims = block.solve(), []
        for part, here in zip(sessions.parts, block.places, strict=True):
            assert isinstance(part.equations, Source)
            local = torch.searchsorted(part.members, block.rows[here])
            aims.append(shared_noise.slopes(part.equations, local))
        score = block.aimed(aims, found)
        for k, here in enumerate(block.places):
            sums[:, block.rows[here]] += _own_past(sessions, k, block.rows, found.fit, score)
    return SharedNoise(*sums).kappa


def _own_past(
    sessions: Parts, k: int, rows: Int[Tensor, " row"], fit: RowFit, score: RowFit
) -> Float[Tensor, "three here part"]:
    """Sums that tell kappa, of those of the rows that a session sees."""
    part = sessions.parts[k]
    here = torch.isin(rows, part.members)
    mine, found, along = rows[here], fit.some(here), score.some(here)

    def both(frames: Frames) -> tuple[Tensor, Tensor]:
        left = sessions.residual(k, frames, found, mine)
        return left, sessions.predicted(k, frames, along, mine)

    local = torch.searchsorted(part.members, mine)
    assert isinstance(part.equations, Source)
    return shared_noise.with_own_past(part.equations, local, both)


def _freed(parts: Sequence[Part], kappa: Float[Tensor, " neuron"]) -> list[Part]:
    """The same without the noise that states share with rates."""
    return [
        replace(part, equations=replace(part.equations, kappa=kappa[part.members]))
        for part in parts
    ]


def _chosen(problem: Problem) -> Int[Tensor, " frame"]:
    """Frames that rows are solved from: of an exact rate, as many as are worth while."""
    frames, recording = problem.recording.training_frames, problem.recording
    if not recording.exact:
        return frames
    unknowns = recording.n_neurons + 4 * problem.settings.fine_basis
    sessions = recording.sessions
    assert sessions is not None
    session = sessions.of_frame[frames]
    found = []
    for k in range(sessions.n_sessions):
        mine = frames[session == k]
        found.append(mine[:: max(1, int(len(mine) / (problem.settings.frames * unknowns)))])
    return torch.cat(found)


def _inflation(parts: Parts, everyone: Int[Tensor, " neuron"]) -> float:
    """Factor on squared errors for residuals that hang together in time, at least 1.

    The first and the second halves of all sessions give W twice.
    """
    rows = everyone[:: -(-len(everyone) // uncertainty.SPLIT_ROWS)]
    try:
        found = [solved(parts.of(half), rows) for half in halves_of(parts.parts)]
    except DivergenceError:
        return 1.0
    (one, first), (other, second) = found
    expected = first.square() + second.square()
    mine = expected > 0
    return max(1.0, float(((one - other).square()[mine] / expected[mine]).mean()))


def _held_out(problem: Problem, parts: Parts, solution: Solution) -> float:
    """Mean squared error on held-out frames over the mean squared rate, in all their sessions."""
    missed, level = [], []
    for k, frames in frames_of(
        problem.recording, parts.parts, problem.recording.selection_frames(HELD_OUT_FRAMES)
    ):
        rows = parts.parts[k].members
        missed.append(parts.residual(k, frames, solution.of(rows), rows).square().mean(1))
        level.append(frames.target(torch.arange(len(rows))).square().mean(1))
    return float(torch.cat(missed).mean() / torch.cat(level).mean())


def _evidence(problem: Problem, parts: Parts, solution: Solution) -> Evidence:
    """Evidence from residuals: of neighbouring frames in the richest session, and held out."""
    recording = problem.recording
    sessions = recording.sessions
    assert sessions is not None
    k = sessions.richest(recording.training_frames)[0]
    # Neighbours of one stretch are of one session.
    first = recording.pairs(PAIRS * sessions.n_sessions)
    first = first[sessions.of_frame[first] == k]
    members = parts.parts[k].members
    rows = members[:: -(-len(members) // ROWS)]
    left = [
        parts.residual(k, frames, solution.of(rows), rows)
        for chosen in (first, first + recording.memory)
        for _, frames in frames_of(problem.recording, parts.parts, chosen)
    ]
    target = recording.batch(recording.selection_frames(HELD_OUT_FRAMES))[1]
    level = float(target.double().square().nanmean())
    return Evidence(
        coherent=coherence(left[0], left[1]) if len(first) else 0.0,
        held_out=solution.held_out,
        motion=level / float(solution.level.mean()),
        exact=recording.exact,
        blocks=recording.in_blocks,
    )


def _blank(problem: Problem, fit: Fit, transfer: Transfer) -> Solution:
    n, spline = problem.recording.n_neurons, fit.phi
    weights = torch.zeros(n, n, dtype=torch.float64, device=problem.device)
    square = weights.new_zeros(n)
    return Solution(
        weights=weights,
        phi=spline,
        phi_coefficients=weights.new_zeros(n, spline.n),
        transfers=[transfer],
        receiver_group=problem.one_group,
        types=problem.one_group,
        mean_square=square,
        level=torch.ones_like(square),
        noise=square.clone(),
        held_out=float("nan"),
        ridge=fit.ridge,
        error=torch.zeros_like(weights),
        inputs=weights.new_zeros(n, problem.n_inputs),
        input_error=weights.new_zeros(n, problem.n_inputs),
    )

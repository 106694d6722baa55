"""Evidence from the residuals of a solution, and the resulting diagnosis."""

from dataclasses import replace
from typing import Any

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ngpipe.assembly.closed_form.accumulate import residual
from ngpipe.assembly.closed_form.chosen_frames import Frames
from ngpipe.assembly.closed_form.diagnosis import Diagnosis, Evidence, coherence, diagnosis
from ngpipe.assembly.closed_form.problem import Problem
from ngpipe.assembly.closed_form.rows import Spectrum
from ngpipe.assembly.closed_form.solution import Solution

ROWS, PAIRS = 16, 300
"""Rows of W, and frames with their neighbours, that are looked at."""


def evidence(problem: Problem, solution: Solution, members: Int[Tensor, " row"]) -> Evidence:
    """Error of rows with one psi on held-out frames, and the part shared by neighbouring frames."""
    transfer = solution.transfers[int(solution.receiver_group[members[0]])]
    rows = members[:: -(-len(members) // ROWS)]
    own = solution.of(rows)

    def left(frames: Frames) -> Float[Tensor, "frame row"]:
        return residual(replace(frames, phi=solution.phi), transfer, own, rows)

    first = problem.recording.pairs(PAIRS)
    both = (first, first + problem.recording.memory)
    pair = (replace(problem.everything, chosen=frames).read() for frames in both)
    target = problem.held_out.target(rows).square().mean()
    return Evidence(
        coherent=coherence(*map(left, pair)) if len(first) else 0.0,
        held_out=float(left(problem.held_out).square().mean() / target.clamp_min(1e-300)),
        motion=float(target / solution.level[rows].mean()),
        exact=problem.recording.exact,
        blocks=problem.recording.in_blocks,
    )


def confirmed(
    solution: Solution,
    last: Solution,
    earlier: Float[Tensor, "post pre"],
    rows: Bool[Tensor, " neuron"],
) -> Solution:
    """The same, knowing how well two rounds of the search agree on W.

    They agree on 2 r - 1 of its variance, r their correlation, at least 0: all of the difference is
    an error. Where misfit may change W, the errors of a row are at least that large.

    Args:
        solution: what is found, under a prior if there is one.
        last: of the last round, without a prior.
        earlier: W of the one before, with every psi scaled alike.
        rows: those without a hidden input; if there are none, all count.
    """
    rows = rows if rows.any() else torch.ones_like(rows)
    now, before = last.scaled().double(), earlier.double()
    together = torch.stack([now[rows].flatten(), before[rows].flatten()])
    share = max(0.0, 2 * float(torch.corrcoef(together)[0, 1].nan_to_num()) - 1)
    diagnosis: Any = solution.diagnosis  # of a solution in the end there is one
    told = diagnosis.agreed(share)
    error = solution.error
    if diagnosis.in_doubt:
        apart = (now - before).square().mean(1, keepdim=True).sqrt() / solution.scale
        error = torch.where(error > 0, error.hypot(apart), error)
    return replace(solution, diagnosis=told, error=error)


def diagnosed(
    spectrum: Spectrum,
    solution: Solution,
    rows: Int[Tensor, " row"],
    n_frames: int,
    seen: Evidence | None = None,
) -> Diagnosis:
    """Diagnosis of the rows with one psi."""
    left = float(solution.noise[rows].mean())
    return diagnosis(
        spectrum,
        solution.inflation * left / n_frames,
        float(solution.weights[rows].square().mean()),
        n_frames,
        residual=left,
        level=float(solution.level[rows].mean()),
        evidence=seen,
    )

"""What the residuals of a solution say of it, and the diagnosis that follows."""

from dataclasses import replace
from typing import TYPE_CHECKING

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from ngpipe.assembly.closed_form.accumulate import residual
from ngpipe.assembly.closed_form.diagnosis import Diagnosis, Evidence, coherence, diagnosis
from ngpipe.assembly.closed_form.frames import Frames
from ngpipe.assembly.closed_form.rows import Gram, RowFit
from ngpipe.assembly.closed_form.solution import Solution
from ngpipe.assembly.closed_form.transfer import Fit

if TYPE_CHECKING:
    from ngpipe.assembly.closed_form.solve import ClosedForm

ROWS, PAIRS = 16, 300
"""Rows of W, and frames with their neighbours, that are looked at."""


def evidence(
    solver: "ClosedForm", solution: Solution, fit: Fit, members: Int[Tensor, " row"]
) -> Evidence:
    """What some rows miss on held-out frames, and have in common on neighbouring ones."""
    rows = members[:: -(-len(members) // ROWS)]
    own = RowFit(
        solution.weights[rows], solution.phi_coefficients[rows], solution.mean_square[rows]
    )

    def left(frames: Frames) -> Float[Tensor, "frame row"]:
        return residual(replace(frames, phi=fit.phi), fit.transfer, own, rows)

    known = solver.everything.chosen
    first = known[:-1][known.diff() == 1]
    first = first[:: max(1, len(first) // PAIRS)]
    pair = (replace(solver.everything, chosen=frames).read() for frames in (first, first + 1))
    target = solver.held_out.target(rows).square().mean()
    return Evidence(
        coherent=coherence(*map(left, pair)) if len(first) else 0.0,
        held_out=float(left(solver.held_out).square().mean() / target.clamp_min(1e-300)),
        motion=float(target / solution.level[rows].mean()),
        exact=solver.cfg.target == "drift",
        blocks=solver.recording.in_blocks,
    )


def agreement(one: Solution, other: Solution, rows: Bool[Tensor, " neuron"]) -> float:
    """Share of the variance of W on which two rounds agree: all of their difference is an error.

    On the rows without a hidden input, or on all; 2 r - 1 of their correlation r, at least 0.
    """
    rows = rows if rows.any() else torch.ones_like(rows)
    pair = torch.stack([solution.scaled()[rows].double().flatten() for solution in (one, other)])
    return max(0.0, 2 * float(torch.corrcoef(pair)[0, 1].nan_to_num()) - 1)


def diagnosed(
    gram: Gram,
    solution: Solution,
    rows: Int[Tensor, " row"],
    n_frames: int,
    seen: Evidence | None = None,
) -> Diagnosis:
    """What the recording tells about the rows that see one psi."""
    left = float(solution.noise[rows].mean())
    return diagnosis(
        gram,
        solution.inflation * left / n_frames,
        float(solution.weights[rows].square().mean()),
        n_frames,
        residual=left,
        level=float(solution.level[rows].mean()),
        evidence=seen,
    )

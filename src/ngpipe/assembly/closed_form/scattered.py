"""The final rows of W by many jobs: psi, Gram matrices, what all rows share, rows, and the end.

Each function is the work of one job and takes what the jobs before it have found. Rows are then
what :func:`.all_rows.all_rows` finds on one machine.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ngpipe.assembly.closed_form import uncertainty
from ngpipe.assembly.closed_form.accumulate import PANEL, mean_products
from ngpipe.assembly.closed_form.all_rows import (
    Common,
    blank,
    common_span,
    diagnose,
    enter_errors,
    other_kinds,
    prepare,
    summed,
    tell,
    with_basis,
)
from ngpipe.assembly.closed_form.chosen_frames import Equations
from ngpipe.assembly.closed_form.phi_span import Span
from ngpipe.assembly.closed_form.problem import Problem, source_of
from ngpipe.assembly.closed_form.row_shares import Share, summed_panels
from ngpipe.assembly.closed_form.rows import Gram, Spectrum
from ngpipe.assembly.closed_form.solution import Solution
from ngpipe.assembly.closed_form.transfer import Fit, Report
from ngpipe.assembly.gnn import Scales
from ngpipe.assembly.recording import Recording
from ngpipe.config.assembly.training import Training

OF_ROWS = ("weights", "phi_coefficients", "mean_square", "level", "noise", "error", "inputs")
"""What is found of every row."""

PanelOf = Callable[[int, str, int], Float[Tensor, "panel right"]]
"""Sum of a panel: of which psi, over which frames, and from which row on."""


@dataclass(frozen=True)
class Found:
    """What a search for psi has found, and the frames that final rows are solved from."""

    fits: list[Fit]
    """One for every group of receivers."""
    receivers: Int[Tensor, " neuron"]
    types: Int[Tensor, " neuron"]
    earlier: Float[Tensor, "post pre"]
    """W of the round before, with every psi scaled alike."""
    frames: Int[Tensor, " frame"]
    held_out: Int[Tensor, " held_out"]
    """Frames that choose ridge and basis."""
    kappa: Float[Tensor, " neuron"] | None
    """Covariance of the noise of every state and its rate, if they share some."""
    shared_noise: float
    scales: Scales

    def problem(self, recording: Recording, cfg: Training, report: Report) -> Problem:
        """The problem as the search left it, its frames to be read when they are needed."""
        recording = replace(recording, units=self.scales)

        def source(chosen: Int[Tensor, " frame"]) -> Any:  # noqa: ANN401
            return replace(source_of(recording, cfg, chosen), kappa=self.kappa)

        frames = source(self.frames)
        return Problem(
            recording=recording,
            cfg=cfg,
            report=report,
            generator=torch.Generator().manual_seed(cfg.seed),
            everything=source(recording.training_frames),
            frames=frames,
            few=frames,
            held_out=source(self.held_out).read(),
            n_rows=cfg.closed_form.rows,
            shared_noise=self.shared_noise,
        )

    def members(self, k: int) -> Int[Tensor, " row"]:
        """Receivers that see the k-th psi."""
        return torch.nonzero(self.receivers == k)[:, 0]


@dataclass(frozen=True)
class Prepared:
    """What all rows that see one psi are solved with."""

    gram_of: Callable[[], Gram]
    """Their Gram matrix, read when it is asked for."""
    padding: float
    """Of this matrix."""
    common: Common
    functions: Float[Tensor, "function basis"] | None
    """Functions that span phi of most rows; None: the whole basis."""

    def basis(self, problem: Problem, fit: Fit) -> Equations:
        """Frames of the rows, phi on these functions."""
        phi = fit.phi if self.functions is None else Span(fit.phi, self.functions)
        return replace(problem.frames, phi=phi)


@dataclass(frozen=True)
class Solved:
    """Rows that one job has solved."""

    rows: Int[Tensor, " row"]
    values: Mapping[str, Tensor]
    """By the names of ``OF_ROWS``, and ``input_error`` and ``missed``."""
    spectra: Sequence[Float[Tensor, "spectrum direction"]]
    """Spectra of rows that stand for all, of every psi."""


def gram_share(problem: Problem, found: Found, share: Share) -> dict[tuple[int, str, int], Tensor]:
    """Sums of some panels of all Gram matrices, by psi, frames and first row."""
    panels = {}
    for k, fit in enumerate(found.fits):
        sums = summed(replace(problem.frames, phi=fit.phi))
        places = share.panels(sums)
        for (name, start), panel in summed_panels(sums, fit.transfer, places).items():
            panels[k, name, start] = panel
    return panels


def prepared(problem: Problem, found: Found, k: int, panel_of: PanelOf) -> Prepared:
    """What all rows that see the k-th psi share.

    Args:
        problem: as the search left it.
        found: by the search.
        k: which psi.
        panel_of: the sums of :func:`gram_share`, of all jobs.
    """
    fit, members = found.fits[k], found.members(k)
    equations = replace(problem.frames, phi=fit.phi)
    sums, n = summed(equations), problem.recording.n_neurons

    def moment_of(name: str) -> Float[Tensor, "pre pre"]:
        upper = torch.zeros(n, n, dtype=torch.float64, device=problem.device)
        for start in range(0, n, PANEL):
            upper[start : start + PANEL, start:] = panel_of(k, name, start)
        return mean_products(upper, len(sums[name]))

    gram, common = prepare(problem, fit, members, equations, moment_of)
    span = common_span(problem, fit, members, equations, lambda: gram)
    functions = None if span is None else span.functions
    return Prepared(lambda: gram, gram.padding, common, functions)


def rows_share(
    problem: Problem, found: Found, prepared_of: Callable[[int], Prepared], share: Share
) -> Solved:
    """Rows of one job, with their errors.

    Args:
        problem: as the search left it.
        found: by the search.
        prepared_of: what rows with the k-th psi share.
        share: which rows.
    """
    # Of the matrices only the rows that are solved here ever take memory on a CPU.
    solution = blank(problem, found.fits, found.receivers, None)
    missed, mine, spectra = torch.zeros_like(solution.level), [], []
    for k, fit in enumerate(found.fits):
        members, ready = found.members(k), prepared_of(k)
        equations, gram = ready.basis(problem, fit), ready.gram_of()
        here = [unit for _, units in share.units(members, equations) for unit in units]
        solved = share.solve_rows(equations, fit.transfer, members, gram)
        n = sum(map(len, here))
        blocks = with_basis(problem, solution, fit, equations, solved, n)
        typical, n_frames = uncertainty.typical(members, len(missed)), len(equations)
        parts = enter_errors(solution, ready.common, n_frames, typical, blocks, missed)
        nothing = gram.moment.new_zeros(0, len(gram.moment) - 1)
        spectra.append(torch.cat([nothing, *(part.values for part in parts)]))
        mine += here
    rows = torch.cat(mine) if mine else found.receivers[:0]
    values = {name: getattr(solution, name)[rows] for name in (*OF_ROWS, "input_error")}
    return Solved(rows, {**values, "missed": missed[rows]}, spectra)


def joined(
    problem: Problem,
    found: Found,
    prepared_of: Callable[[int], Prepared],
    parts: Sequence[Callable[[], Solved]],
) -> Solution:
    """All rows, with their errors and a diagnosis.

    Args:
        problem: as the search left it.
        found: by the search.
        prepared_of: what rows with the k-th psi share.
        parts: the rows of every job, each read when it is its turn.
    """
    solution = blank(problem, found.fits, found.receivers, None)
    missed = torch.zeros_like(solution.level)
    spectra: list[list[Tensor]] = [[] for _ in found.fits]
    for part in parts:
        one = part()
        for name, values in one.values.items():
            (missed if name == "missed" else getattr(solution, name))[one.rows] = values
        for k, values in enumerate(one.spectra):
            spectra[k].append(values)
    for k, fit in enumerate(found.fits):
        members, ready = found.members(k), prepared_of(k)
        equations = replace(problem.frames, phi=fit.phi)
        n = len(equations)
        if ready.functions is not None:
            blocks = other_kinds(problem, solution, fit, members, equations, ready.gram_of)
            # The spectra of those that stand for all are there.
            enter_errors(solution, ready.common, n, members[:0], blocks, missed)
        spectrum = Spectrum(torch.cat(spectra[k]), ready.padding)
        diagnose(problem, solution, ready.common, n, members, spectrum)
    tell(problem, solution, torch.ones_like(problem.plain), missed)
    return solution

"""Receivers that share a psi, found from the fit of each row, not from phi."""

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ngpipe.assembly.closed_form.all_rows import all_rows
from ngpipe.assembly.closed_form.chosen_frames import Transfer
from ngpipe.assembly.closed_form.problem import Problem
from ngpipe.assembly.closed_form.psi_search import searched
from ngpipe.assembly.closed_form.transfer import Fit

MOST_FAILURES = 5
"""Searches without a psi better than the shared one after which the rest is divided up."""
BETTER = 0.3
"""Residual of a row's own psi, relative to that of the shared one, that counts as better."""


def receiver_groups(
    problem: Problem, start: Transfer, shared: Float[Tensor, " neuron"]
) -> tuple[list[Fit], Int[Tensor, " neuron"]]:
    """Psi of every group of receivers, and everyone's group.

    Rows are independent given psi, so a single row tells its psi. A row nobody has explained yet
    is drawn, its psi found, and all rows that this psi explains far better than the shared one
    belong to it. In the end every row goes to the psi that explains it best.

    Args:
        problem: its frames and settings.
        start: first guess of psi.
        shared: relative error of every row under the psi that all rows share.
    """
    fits: list[Fit] = []
    errors: list[Tensor] = []
    unclaimed, failures = torch.ones_like(shared, dtype=torch.bool), 0
    while unclaimed.any() and failures < MOST_FAILURES and len(fits) < problem.settings.max_types:
        seed = problem.draw(unclaimed, 1)
        fit = searched(problem, start, seed, problem.settings.ridges)
        if fits and fit.loss > BETTER * float(shared[seed]):
            failures += 1
            continue
        error = all_rows(problem, [fit], problem.one_group).relative_error
        claimed = error < (error[seed] * shared).sqrt()
        claimed[seed] = True
        fits.append(fit)
        errors.append(error)
        unclaimed &= ~claimed
    return _shared_out(problem, fits, torch.stack(errors).argmin(0))


def _shared_out(
    problem: Problem, fits: list[Fit], group: Int[Tensor, " neuron"]
) -> tuple[list[Fit], Int[Tensor, " neuron"]]:
    """Psi of every group from several of its rows, and every row to the best of them."""
    better = [
        searched(problem, fit.transfer, problem.draw(group == k), [fit.ridge])
        for k, fit in enumerate(fits)
        if (group == k).any()
    ]
    errors = [all_rows(problem, [fit], problem.one_group).relative_error for fit in better]
    group = torch.stack(errors).argmin(0)
    used = torch.unique(group)
    return [better[k] for k in used], torch.searchsorted(used, group)

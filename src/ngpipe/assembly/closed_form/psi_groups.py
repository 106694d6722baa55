"""Groups of neurons with one psi; groups and psi are found in turn until they agree."""

from dataclasses import dataclass, replace

import torch
from jaxtyping import Int
from torch import Tensor

from ngpipe.assembly.closed_form.all_rows import all_rows
from ngpipe.assembly.closed_form.problem import Problem
from ngpipe.assembly.closed_form.psi_search import searched
from ngpipe.assembly.closed_form.receivers import receiver_groups
from ngpipe.assembly.closed_form.solution import Solution
from ngpipe.assembly.closed_form.transfer import Fit
from ngpipe.assembly.types import cluster, common_range
from ngpipe.config.assembly.recovery import Recovery

VISITED = 0.99
"""Central share of a neuron's activity at which phi is compared."""
SPLITS, MERGES = 2, 3
"""Times that groups of senders are worked out from phi, and phi from them."""
SOLVED = 1e-4
"""Fall of the loss that says that no group mixes types."""
WORSE = 3.0
"""Rise of the loss that says that neurons of different types were taken for one."""
GRID = 64
"""Activities at which phi is compared between neurons."""


@dataclass
class Groups:
    """Groups of neurons that share a psi."""

    fits: list[Fit]
    """One for every group of receivers."""
    receivers: Int[Tensor, " neuron"]
    types: Int[Tensor, " neuron"]
    """Groups of senders that share a psi, or types."""
    solution: Solution
    """Rows of W under these psi, from the frames of the search."""

    @property
    def loss(self) -> float:
        """Largest loss of any group."""
        return max(fit.loss for fit in self.fits)


def grouped(problem: Problem, shared: Fit) -> Groups:
    """Psi of every group of neurons, and the groups, in turn until they agree.

    While psi is wrong, so are the phi_i: senders are first split into more groups than there
    seem to be types, which costs parameters but mixes no types.

    Args:
        problem: its frames and settings.
        shared: one psi for all, to begin with.
    """
    solution = all_rows(problem, [shared], problem.one_group)
    groups = Groups([shared], problem.one_group, types_of(problem, solution), solution)
    sees = problem.cfg.network.psi_sees
    if sees == "activity":
        return groups
    if sees == "receiver":
        groups = _regrouped(problem, solution, shared, problem.one_group)
        return replace(groups, types=types_of(problem, groups.solution))
    for _ in range(SPLITS):
        senders = types_of(problem, groups.solution, problem.settings.first_groups)
        groups = _regrouped(problem, groups.solution, shared, senders)
        if groups.loss < SOLVED * shared.loss:
            break
    # phi of neurons with a hidden input has yet to become right.
    return merged(problem, groups, shared) if problem.plain.all() else groups


def merged(problem: Problem, groups: Groups, shared: Fit) -> Groups:
    """The groups that seem to be types, unless that explains the recording less well."""
    if problem.cfg.network.psi_sees in ("activity", "receiver"):
        return replace(groups, types=types_of(problem, groups.solution))
    for _ in range(MERGES):
        types = types_of(problem, groups.solution)
        if torch.equal(types, groups.types):
            break
        fewer = _regrouped(problem, groups.solution, shared, types)
        if fewer.loss > WORSE * groups.loss:
            break
        groups = fewer
    return groups


def _regrouped(
    problem: Problem, solution: Solution, shared: Fit, senders: Int[Tensor, " neuron"]
) -> Groups:
    """Psi anew for given groups of senders, and all rows."""
    start = shared.transfer.split(senders)
    ridges = problem.settings.ridges[1:] or problem.settings.ridges
    fits, receivers = [], problem.one_group
    if problem.cfg.network.psi_sees == "sender":
        fits = [searched(problem, start, problem.draw(), ridges)]
    else:
        fits, receivers = receiver_groups(problem, start, solution.relative_error)
    return Groups(fits, receivers, senders, all_rows(problem, fits, receivers))


def types_of(problem: Problem, solution: Solution, at_least: int = 1) -> Int[Tensor, " neuron"]:
    """Types, or at least so many groups, from the phi_i where all neurons have data."""
    if problem.cfg.network.one_type:
        return problem.one_group
    low, high = common_range(problem.recording.visited(VISITED).cpu().numpy())
    x = torch.linspace(low, high, GRID, device=problem.device)
    everyone = torch.arange(problem.recording.n_neurons, device=problem.device)
    grid = x.expand(len(everyone), -1)
    curves = solution.phi_curves(grid)
    if problem.cfg.network.psi_sees in ("receiver", "pair"):
        own = solution.psi(everyone, everyone, grid)
        curves = torch.cat([curves / curves.square().mean().sqrt(), own], 1)
    cfg = Recovery(n_types=problem.settings.n_types, max_types=problem.settings.max_types)
    labels = cluster(curves.cpu().numpy(), cfg)
    if labels.max() + 1 < at_least:
        labels = cluster(curves.cpu().numpy(), Recovery(n_types=at_least))
    found = torch.from_numpy(labels).to(problem.device)
    problem.report("types", types=int(found.max()) + 1)
    return found

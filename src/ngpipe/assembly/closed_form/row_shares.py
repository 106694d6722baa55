"""Shares of the work on final rows, each for a job of its own.

What is summed and solved at once does not depend on the number of jobs: panels of a Gram matrix
(:data:`.accumulate.PANEL`), and units of rows. A job has some panels, or some units, whole. Panels
are summed over the same stretches of frames as on one machine, and so are moments of rows: results
have the same bytes, or differ by the rounding of products of another shape.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ngpipe.assembly.closed_form.accumulate import PANEL, add_panel, block_length, moments_at
from ngpipe.assembly.closed_form.chosen_frames import Equations, Transfer, smoothness
from ngpipe.assembly.closed_form.rows import Gram, Moments, Rows

UNIT = 48
"""Rows that are solved at once: a multiple of the 6, 8, 12, 16 or 24 columns at which libraries of
matrix products work, so that no column is rounded in another way than among all."""

Item = TypeVar("Item")
Place = tuple[str, int]
"""A panel: which frames it is summed over, and its first row."""


@dataclass(frozen=True)
class Share:
    """The share of one of several jobs."""

    job: int
    """From 1."""
    jobs: int

    def of(self, items: Sequence[Item], costs: Sequence[int]) -> list[Item]:
        """Those of some items that follow one another which are this job's.

        Every item is of one job; all jobs have about the same costs.
        """
        total, before, mine = sum(costs), 0, []
        for item, cost in zip(items, costs, strict=True):
            middle = (before + cost / 2) / total
            if int(middle * self.jobs) == self.job - 1:
                mine.append(item)
            before += cost
        return mine

    def panels(self, sums: Mapping[str, Equations]) -> list[Place]:
        """Panels of the Gram matrices of some frames, by name, that this job sums."""
        places, costs = [], []
        for name, equations in sums.items():
            n = equations.n_neurons
            for start in range(0, n, PANEL):
                places.append((name, start))
                costs.append(len(equations) * min(PANEL, n - start) * (n - start))
        return self.of(places, costs)

    def units(
        self, rows: Int[Tensor, " row"], equations: Equations
    ) -> list[tuple[int, list[Int[Tensor, " unit"]]]]:
        """Units of rows that this job solves: those of a block, with the rows of that block."""
        blocks = rows.split(block_length(equations))
        every = [(k, unit) for k, block in enumerate(blocks) for unit in block.split(UNIT)]
        mine = self.of(every, [len(unit) for _, unit in every])
        return [
            (len(block), found)
            for k, block in enumerate(blocks)
            if (found := [unit for of, unit in mine if of == k])
        ]

    def solve_rows(
        self,
        equations: Equations,
        transfer: Transfer,
        rows: Int[Tensor, " row"],
        gram: Gram,
    ) -> Iterator[tuple[Int[Tensor, " unit"], Rows]]:
        """As :func:`.accumulate.solve_rows`, the units of this job alone."""
        padding = smoothness(equations, gram.moment.device)
        for n_rows, units in self.units(rows, equations):
            width = equations.n_neurons + n_rows * equations.n_own
            for unit, found in zip(units, _moments(equations, transfer, units, width), strict=True):
                yield unit, Rows(gram, unit, found, padding)


def summed_panels(
    sums: Mapping[str, Equations], transfer: Transfer, places: Sequence[Place]
) -> dict[Place, Float[Tensor, "panel right"]]:
    """Sums over frames of what is sent times itself, of some panels, from the diagonal on.

    Args:
        sums: frames by name.
        transfer: what senders send.
        places: the panels.
    """
    found: dict[Place, Tensor] = {}
    for name, equations in sums.items():
        starts = [start for of, start in places if of == name]
        if not starts:
            continue
        n = equations.n_neurons
        for start in starts:
            panel = torch.zeros(min(PANEL, n - start), n - start, dtype=torch.float64)
            found[name, start] = panel.to(transfer.coefficients.device)
        for part in equations.stretches(n):
            sent = transfer.sent(part.x)
            for start in starts:
                add_panel(found[name, start], sent, start)
    return found


def _moments(
    equations: Equations, transfer: Transfer, units: Sequence[Int[Tensor, " unit"]], width: int
) -> list[Moments]:
    """Moments of several units, over stretches of frames of a given width."""
    total: list[Any] = [None] * len(units)
    seen = 0
    for part in equations.stretches(width):
        seen += len(part)
        sent = transfer.sent(part.x)
        for k, unit in enumerate(units):
            total[k] = moments_at(part, sent, unit).joined(total[k], len(part) / seen)
    return total

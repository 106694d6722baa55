"""Projected Adam on many stimuli at once, each with a loss of its own.

After each step a stimulus is put back into its box, so that a step is in units of activity and a
bound is reached, not approached. Stimuli whose losses have settled stay where they are. The best
iterate is kept.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from ngpipe.errors import ArgumentError, DivergenceError

Stimuli = Float[Tensor, "row sensor time"]
Terms = Mapping[str, Tensor]
"""Terms of the loss by name, each ``(row,)``; the loss is their sum."""
Loss = Callable[[Tensor], Terms]


@dataclass(frozen=True)
class Options:
    """Options of the descent."""

    iterations: int
    rate: float
    """Learning rate of Adam [1]."""
    bounds: tuple[float, float]
    """Box of a stimulus [1]."""
    window: int | None
    """Iterations whose losses must agree to stop; None: never stop early."""
    tolerance: float
    normalize: bool = False
    """Divide the gradient at each time by its norm."""
    coupled: bool = False
    """The stimuli of a sample have one loss, their mean, because each depends on the others."""
    rate_name: str = "learning_rate"
    """Name of ``rate`` in the caller."""

    def __post_init__(self) -> None:
        """Refuse an empty box."""
        low, high = self.bounds
        if not low < high:
            raise ArgumentError(
                f"bounds are {self.bounds}, expected (low, high) with low below high"
            )


class Descent:
    """A descent that can be watched: ``for iteration, terms in descent.over(range(n))``."""

    def __init__(self, loss: Loss, start: Stimuli, samples: int, options: Options) -> None:
        """Rows are stimuli of all samples, then again of all samples, and so on."""
        self.loss, self.samples, self.options = loss, samples, options
        self.stimuli = start.detach().clone()
        self.best = self.stimuli.clone()
        self.least = torch.full_like(start[:, 0, 0], torch.inf)
        """Loss of the best iterates, ``(row,)``."""
        self.moving = torch.ones_like(self.least, dtype=torch.bool)
        self.losses: list[Tensor] = []
        """Losses by iteration, ``(row,)``."""

    def over(self, iterations: Iterable[int]) -> Iterator[tuple[int, Terms]]:
        """Number and terms of each iteration, before its step; ``best`` is final at the end."""
        u = self.stimuli.requires_grad_(True)
        optimizer = torch.optim.Adam([u], lr=self.options.rate)
        iteration = -1
        for iteration in iterations:
            terms = self.loss(u)
            total = self._judged(terms, iteration)
            self.moving &= ~settled(self.losses, self.options)
            yield iteration, terms
            if not self.moving.any():
                return
            self._move(u, total, optimizer)
        with torch.no_grad():
            self._judged(self.loss(u), iteration + 1)

    def _judged(self, terms: Terms, iteration: int) -> Tensor:
        """The loss; the best iterates so far are kept."""
        total = self._total(terms, iteration)
        loss = total.detach()
        if self.options.coupled:
            copies = loss.reshape(-1, self.samples)
            loss = copies.mean(dim=0).expand_as(copies).flatten()
        better = loss < self.least
        self.best = torch.where(better[:, None, None], self.stimuli.detach(), self.best)
        self.least = torch.where(better, loss, self.least)
        self.losses.append(loss)
        return total

    def _total(self, terms: Terms, iteration: int) -> Tensor:
        total = torch.stack(list(terms.values())).sum(dim=0)
        if not torch.isfinite(total).all():
            row = int((~torch.isfinite(total)).nonzero()[0])
            raise DivergenceError(
                f"the loss of sample {row % self.samples} is {total[row].item()} at iteration "
                f"{iteration}: lower {self.options.rate_name} or look for slopes and biases that "
                "are too large"
            )
        return total

    def _move(self, u: Stimuli, total: Tensor, optimizer: torch.optim.Optimizer) -> None:
        """One step of the stimuli that still move, back into the box."""
        if not total.requires_grad:
            return
        before = u.detach().clone()
        optimizer.zero_grad(set_to_none=True)
        total.sum().backward()
        if self.options.normalize:
            normalise_in_time(u)
        optimizer.step()
        with torch.no_grad():
            u.clamp_(*self.options.bounds)
            u[~self.moving] = before[~self.moving]


def settled(losses: Sequence[Tensor], options: Options) -> Tensor:
    """Rows whose last losses agree."""
    if options.window is None or len(losses) <= options.window + 1:
        return torch.zeros_like(losses[-1], dtype=torch.bool)
    last = torch.stack(list(losses[-options.window :]))
    return last.amax(dim=0) - last.amin(dim=0) < options.tolerance


def normalise_in_time(u: Stimuli) -> None:
    """Divide the gradient at each time by its norm."""
    gradient: Any = u.grad  # there is one after backward()
    norm = torch.linalg.vector_norm(gradient, dim=1, keepdim=True)
    u.grad = torch.where(norm > 0, gradient / norm.clamp(min=torch.finfo(u.dtype).tiny), gradient)

r"""Rows of W together with recorded inputs that scale what a neuron receives, given psi.

.. math:: y_i = \phi_i + \Omega_i \sum_j W_{ij} \psi_j + \epsilon_i, \qquad
    \Omega_i = \sum_{a=0}^{K} g_{ia} u_a, \quad u_0 = g_{i0} = 1

For given g, W and phi are linear least squares; g is found by variable projection (Golub & Pereyra
2003, Inverse Problems 19:R1). Omega differs from row to row, but the Gram matrix of Omega psi is a
sum over pairs of inputs of the means of :math:`u_a u_b \psi \psi^\top`, the same for all rows: one
pass over the frames serves the search. Each row then costs a few factors of an N x N matrix.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ngpipe.assembly.closed_form import diagnosis, uncertainty
from ngpipe.assembly.closed_form.accumulate import BLOCK_BYTES
from ngpipe.assembly.closed_form.chosen_frames import Equations, Frames, Transfer, smoothness
from ngpipe.assembly.closed_form.problem import Problem
from ngpipe.assembly.closed_form.rows import Moments, RowFit, level_of
from ngpipe.assembly.closed_form.session_fit import BlockFit
from ngpipe.assembly.closed_form.solution import Solution
from ngpipe.errors import DivergenceError

ITERATIONS = 20
HALVINGS = 6
START, DESCENTS = 0.5, 3
"""Effect of one standard deviation of an input that a search begins with, and searches of a row."""
CLOSE = 1e-5
"""Change of g, in standard deviations of the inputs, after which a row is solved."""


def scaled_rows(problem: Problem, solution: Solution, equations: Equations) -> Solution:
    """The same with all rows anew, each together with the coefficients of its inputs.

    Args:
        problem: its settings and inputs.
        solution: psi; where its rows are final, so are the new ones, with their standard errors.
        equations: frames to solve for.
    """
    found = solution.copy()
    found.inputs = found.weights.new_zeros(len(found.weights), problem.n_series)
    found.input_error = torch.zeros_like(found.inputs)
    plain = replace(_without_columns(equations), phi=solution.phi)
    for k, transfer in enumerate(solution.transfers):
        members = torch.nonzero(solution.receiver_group == k)[:, 0]
        if not len(members):
            continue
        grams = _grams(problem, plain, transfer)
        for rows, moments in _blocks(problem, plain, transfer, members):
            for one, row in enumerate(rows.tolist()):
                _enter(found, _Row(grams, moments, one, row, plain, solution.ridge), len(plain))
            problem.report("scaling", done=int(rows[-1]) + 1, of=len(found.weights))
    problem.report("scaling", loss=float(found.relative_error.mean()))
    return found


def _enter(solution: Solution, row: "_Row", n_frames: int) -> None:
    """One row, and its errors if those of the others are known."""
    fitted = row.solve(n_frames)
    one = fitted.rows
    solution.enter(one, fitted.fit)
    told, q = solution.diagnosis, solution.inflation
    if told is None:
        return
    free = n_frames - fitted.factor.shape[1]
    if free > uncertainty.FREE * n_frames:  # else its residual says nothing
        solution.noise[one] = fitted.fit.mean_square * n_frames / free
    noise = solution.noise[one]
    fitted = replace(fitted, certainty=n_frames / noise)
    error, weights = fitted.standard_errors(q), fitted.fit.weights
    solution.error[one] = diagnosis.widened(error, weights, told, q)
    solution.input_error[one] = fitted.input_errors(q, solution.inputs.shape[1])


def _without_columns(equations: Equations) -> Equations:
    if isinstance(equations, Frames):
        return replace(equations, inputs=None, drive=None)
    return replace(equations, drive_of=None)


def _series(problem: Problem, part: Frames) -> Float[Tensor, "one_and_input frame"]:
    """u, with u_0 = 1."""
    u = problem.inputs_at(part.times).double()
    return torch.cat([u.new_ones(1, len(u)), u.T])


def _grams(
    problem: Problem, equations: Equations, transfer: Transfer
) -> Float[Tensor, "a b pre pre"]:
    """Means over frames of u_a u_b psi psi^T."""
    size = problem.n_series + 1
    total = torch.zeros(size, size, equations.n_neurons, equations.n_neurons, dtype=torch.float64)
    total = total.to(problem.device)
    for part in equations.stretches(3 * equations.n_neurons):
        sent, u = transfer.sent(part.x), _series(problem, part)
        for a in range(size):
            for b in range(a + 1):
                total[a, b] += (sent * (u[a] * u[b])[:, None]).T @ sent / len(equations)
    for a in range(size):
        for b in range(a):
            total[b, a] = total[a, b]
    return total


def _blocks(
    problem: Problem, equations: Equations, transfer: Transfer, members: Int[Tensor, " row"]
) -> Iterator[tuple[Int[Tensor, " block"], list[Moments]]]:
    """Moments of some rows with u_a psi in the place of psi, for every a."""
    size = problem.n_series + 1
    each = 3 * 8 * size * equations.n_neurons * equations.phi.n
    for rows in members.split(max(1, BLOCK_BYTES // each)):
        total: list[Moments] = []
        seen = 0
        for part in equations.stretches(equations.n_neurons + len(rows) * equations.phi.n):
            sent, own, target = transfer.sent(part.x), part.own(rows), part.target(rows)
            series, noise = _series(problem, part), part.own_noise(rows)
            now = [Moments.of(sent * u[:, None], own, target, noise) for u in series]
            seen += len(part)
            if not total:
                total = now
            else:
                share = len(part) / seen
                total = [n.joined(before, share) for before, n in zip(total, now, strict=True)]
        yield rows, total


@dataclass
class _Point:
    g: Float[Tensor, " one_and_input"]
    found: Float[Tensor, " unknown"]
    """W, and the coefficients of phi."""
    square: float
    """Mean squared residual, with what the ridge adds."""


class _Row:
    """One row: W, phi and g from its moments.

    Args:
        grams: means of u_a u_b psi psi^T.
        moments: of a block of rows, for every a.
        one: place of the row in the block.
        row: which neuron.
        equations: say how phi is padded.
        ridge: relative to the mean diagonal of the Gram matrix.
    """

    def __init__(
        self,
        grams: Float[Tensor, "a b pre pre"],
        moments: list[Moments],
        one: int,
        row: int,
        equations: Equations,
        ridge: float,
    ) -> None:
        self.grams, self.row = grams, row
        self.crossed = torch.stack([m.sent_own[:, one] for m in moments])
        self.aim = torch.stack([m.sent_target[:, one] for m in moments])
        first = moments[0]
        padding = smoothness(equations, grams.device)
        own = first.own_own[one]
        self.own = own + level_of(own, padding) * padding
        self.own_aim, self.target = first.own_aim[one], float(first.target[one])
        self.padding = ridge * float(grams[0, 0].diagonal().mean())
        self.n = grams.shape[-1]

    def solve(self, n_frames: int) -> BlockFit:
        """The best of several minima; the square is no convex function of g."""
        starts = [self.at(g) for g in self._starts()]
        promising = sorted(starts, key=lambda point: point.square)[:DESCENTS]
        best = min((self._descend(start) for start in promising), key=lambda point: point.square)
        return self._fitted(best, n_frames)

    def _starts(self) -> Iterator[Float[Tensor, " one_and_input"]]:
        """No effect of any input, or some effect of one alone."""
        none = torch.zeros_like(self.grams[:, 0, 0, 0])
        none[0] = 1
        yield none
        for k in range(1, len(none)):
            for effect in (-START, START):
                one = none.clone()
                one[k] = effect
                yield one

    def _descend(self, here: _Point) -> _Point:
        """Gauss-Newton on g, a step halved as long as it does not help."""
        for _ in range(ITERATIONS):
            try:
                step = self._step(here)
            except DivergenceError:  # no minimum lies there
                break
            for _ in range(HALVINGS):
                there = self.at(torch.cat([here.g[:1], here.g[1:] + step]))
                if there.square <= here.square:
                    break
                step = step / 2
            else:
                break
            here = there
            if float(step.abs().max()) < CLOSE:
                break
        return here

    def at(self, g: Float[Tensor, " one_and_input"]) -> _Point:
        """Best W and phi for given g."""
        matrix, right = self._equations(g)
        found = torch.cholesky_solve(right[:, None], self._factor(matrix))[:, 0]
        return _Point(g, found, self.target - float(right @ found))

    def _step(self, here: _Point) -> Float[Tensor, " input"]:
        """Change of g, as if the equations were linear in it."""
        matrix, right = self._with_inputs(here)
        found = torch.cholesky_solve(right[:, None], self._factor(matrix))[:, 0]
        return found[-(len(self.grams) - 1) :] - here.g[1:]

    def _equations(self, g: Tensor) -> tuple[Tensor, Tensor]:
        """Normal equations of W and phi; W_ii = 0."""
        gram = torch.einsum("a,b,abjk->jk", g, g, self.grams)
        gram.diagonal().add_(self.padding)
        crossed = torch.einsum("a,ajp->jp", g, self.crossed)
        crossed[self.row] = 0
        gram[self.row], gram[:, self.row] = 0, 0
        gram[self.row, self.row] = 1
        aim = g @ self.aim
        aim[self.row] = 0
        upper = torch.cat([gram, crossed], 1)
        lower = torch.cat([crossed.T, self.own], 1)
        return torch.cat([upper, lower]), torch.cat([aim, self.own_aim])

    def _with_inputs(self, here: _Point) -> tuple[Tensor, Tensor]:
        """The same with the columns u_k m, whose coefficients are g, to first order in it."""
        matrix, right = self._equations(here.g)
        w, rest = here.found[: self.n], slice(1, None)
        by_input = self.grams[rest] @ w
        to_sent = torch.einsum("b,kbj->kj", here.g, by_input)
        to_sent[:, self.row] = 0
        to_phi = torch.einsum("j,kjp->kp", w, self.crossed[rest])
        each = by_input[:, rest] @ w
        more = torch.cat([to_sent, to_phi], 1)
        # What W sends through Omega holds g u m as well, at the g that is.
        aim = self.aim[rest] @ w + each @ here.g[1:]
        right = torch.cat([right + more.T @ here.g[1:], aim])
        return torch.cat([torch.cat([matrix, more.T], 1), torch.cat([more, each], 1)]), right

    def _factor(self, matrix: Tensor) -> Tensor:
        factor, failed = torch.linalg.cholesky_ex(matrix)
        if failed:
            raise DivergenceError(
                f"what neuron {self.row} receives cannot be separated from its inputs and its own "
                "functions; leave out inputs that hang together, or record more frames"
            )
        return factor

    def _fitted(self, here: _Point, n_frames: int) -> BlockFit:
        matrix, _ = self._with_inputs(here)
        own = torch.cat([here.found[self.n :], here.g[1:]])
        square = here.found.new_tensor([max(here.square, 0.0)])
        fit = RowFit(here.found[None, : self.n], own[None], square)
        one = torch.tensor([self.row], device=matrix.device)
        n, padding = square.new_tensor([float(n_frames)]), square.new_tensor([self.padding])
        nothing = square[:, None]
        factor = self._factor(matrix)
        return BlockFit(one, fit, nothing, nothing, n, n, matrix[None], factor[None], padding)

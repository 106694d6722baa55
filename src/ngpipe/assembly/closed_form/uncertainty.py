r"""Standard errors of all weights, and the diagnosis of a recording.

Given psi, a row of W is linear least squares with a ridge r over n frames. With C the mean of
f f^T, f what is sent freed of what the row's own functions explain, the expected squared error is

.. math:: E (\hat W_{ij} - W_{ij})^2 = \frac{q s_i^2}{n} [(C + r)^{-1} C (C + r)^{-1}]_{jj}
    + \tau_i^2\, r^2 [(C + r)^{-2}]_{jj}

First what noise does: s_i^2 is the residual variance, and q says by how much residuals that hang
together in time raise the error. The first and the second half of the recording tell: q is the
mean square of the difference of their W over what independent residuals would give.
Second what the ridge takes away, or rather the data do not hold: weights of
variance tau_i^2 along directions that activity does not visit (Hoerl & Kennard 1970,
Technometrics 12:55). Errors of psi, and so of what rows share, are not in it.
"""

from collections.abc import Callable

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ngpipe.assembly.closed_form.accumulate import gram_moment, solve_rows
from ngpipe.assembly.closed_form.chosen_frames import Equations, Transfer
from ngpipe.assembly.closed_form.rows import Gram, RowFit, Rows
from ngpipe.errors import DivergenceError

SPLIT_ROWS = 16
"""Rows of W that are worked out from either half of the recording."""
FREE = 0.05
"""Share of the frames that unknowns must leave for the residual to tell the noise."""
SPECTRUM_ROWS = 8
"""Most rows of W whose directions are looked at; each costs an eigenvalue problem."""
SPECTRUM_NEURONS = 4_000
"""Neurons beyond which, and rows together, no further row is looked at, but one."""
HALF = 1.3
"""Least frames of half a recording, in multiples of the unknowns of a row."""


def noise_variance(
    gram: Gram, fit: RowFit, n_frames: int, held_out: Float[Tensor, " row"]
) -> Float[Tensor, " row"]:
    """s_i^2 [1/tau^2]: from the residual, or on held-out frames if it has no freedom left.

    Args:
        gram: C and r.
        fit: the solution.
        n_frames: n.
        held_out: mean squared error of the rows on frames they were not fitted to.
    """
    free = n_frames - fit.own.shape[1] - float(gram.shares.sum())
    if free < FREE * n_frames:
        return held_out
    return fit.mean_square * n_frames / free


def standard_errors(
    rows: Rows,
    weights: Float[Tensor, "row pre"],
    noise: Float[Tensor, " row"],
    inverted: Float[Tensor, "row column pre"] | None = None,
) -> Float[Tensor, "row pre"]:
    """Standard error of every weight of some rows.

    Args:
        rows: their normal equations.
        weights: the solution.
        noise: q s_i^2 / n.
        inverted: see :meth:`.rows.Rows.variances`.
    """
    gram = rows.gram
    variances = (rows.variances(inverted) - gram.shrunk / gram.padding).clamp_min(0)
    variances = variances + gram.noise_spread
    sampling = noise[:, None] * variances
    seen = (weights.square().mean(1) - sampling.mean(1)).clamp_min(0)
    missing = (seen / gram.shares.square().mean())[:, None] * gram.shrunk
    errors = (sampling + missing).sqrt()
    # W_ii = 0 is certain.
    errors[torch.arange(len(errors), device=errors.device), rows.rows] = 0
    return errors


def input_errors(
    rows: Rows, noise: Float[Tensor, " row"], n_inputs: int
) -> Float[Tensor, "row input"]:
    """Standard error of the coefficients of recorded inputs, the last of each row's own columns.

    Args:
        rows: their normal equations.
        noise: q s_i^2 / n.
        n_inputs: number of inputs.
    """
    inverse = torch.cholesky_inverse(rows.schur).diagonal(dim1=1, dim2=2)
    return (noise[:, None] * inverse[:, inverse.shape[1] - n_inputs :]).sqrt()


def typical(members: Int[Tensor, " row"], n_neurons: int) -> Int[Tensor, " typical"]:
    """The rows whose directions stand for those of all."""
    n = max(1, min(SPECTRUM_ROWS, SPECTRUM_NEURONS // n_neurons))
    return members[:: -(-len(members) // n)]


def halves_of(equations: Equations) -> tuple[Equations, ...]:
    """The first and the second half of the frames; none if they are too few to tell errors."""
    middle = len(equations) // 2
    if middle < HALF * (equations.n_neurons + equations.n_own):
        return ()
    return equations.part(slice(0, middle)), equations.part(slice(middle, None))


def inflation(
    equations: Equations,
    transfer: Transfer,
    members: Int[Tensor, " neuron"],
    ridge: float,
    moment_of: Callable[[int], Float[Tensor, "pre pre"]] | None = None,
) -> float:
    """Factor q on squared errors for residuals correlated in time, at least 1.

    Args:
        equations: all frames.
        transfer: what senders send.
        members: who; some of them are looked at.
        ridge: relative to the mean diagonal of the Gram matrix.
        moment_of: Gram matrix of the first (0) or second half, if they are summed already.

    Returns:
        q; 1 if half of the frames are too few to tell.
    """
    halves = halves_of(equations)
    if not halves:
        return 1.0
    rows = members[:: -(-len(members) // SPLIT_ROWS)]
    solved = []
    try:
        for k, half in enumerate(halves):
            moment = gram_moment(half, transfer) if moment_of is None else moment_of(k)
            solved.append(_solved(half, transfer, rows, Gram(moment, ridge)))
    except DivergenceError:
        return 1.0
    (one, first), (other, second) = solved
    expected = first.square() + second.square()
    mine = expected > 0
    return max(1.0, float(((one - other).square()[mine] / expected[mine]).mean()))


def _solved(
    equations: Equations, transfer: Transfer, rows: Int[Tensor, " row"], gram: Gram
) -> tuple[Float[Tensor, "row pre"], Float[Tensor, "row pre"]]:
    """W and its standard errors, were all residuals independent."""
    n = len(equations)
    weights, errors = [], []
    for _, normal in solve_rows(equations, transfer, rows, gram):
        fit = normal.solve()
        noise = noise_variance(gram, fit, n, fit.mean_square) / n
        weights.append(fit.weights)
        errors.append(standard_errors(normal, fit.weights, noise))
    return torch.cat(weights), torch.cat(errors)

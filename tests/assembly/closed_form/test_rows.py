"""Rows of W by one factor for all, against least squares written out row by row."""

import numpy as np
import pytest
import torch
from systems import numbers

from ngpipe.assembly.closed_form.rows import Gram, Moments, RowFit, Rows
from ngpipe.errors import DivergenceError

N, FRAMES, COLUMNS = 14, 300, 5
ROWS = torch.tensor([9, 0, 4, 13])
EYE = torch.eye(N, dtype=torch.float64)
SENT = numbers(1, FRAMES, N) @ (EYE + 0.3 * numbers(2, N, N)) + 0.5
OWN = numbers(3, FRAMES, len(ROWS), COLUMNS) + 0.4 * SENT[:, ROWS, None]
TARGET = (
    SENT @ numbers(4, N, len(ROWS))
    + (OWN * numbers(5, len(ROWS), COLUMNS)).sum(-1)
    + numbers(6, FRAMES, len(ROWS))
)
ROUGH = numbers(7, COLUMNS, COLUMNS)
PADDINGS = {1e-15: 1e-15 * EYE[:COLUMNS, :COLUMNS], 0.05: 0.02 * (ROUGH @ ROUGH.T)}
"""Ridge -> quadratic form on the own columns: next to nothing, and enough to matter."""
both_ridges = pytest.mark.parametrize("ridge", list(PADDINGS))


def rows_of(ridge: float) -> Rows:
    gram = Gram(SENT.T @ SENT / FRAMES, ridge)
    return Rows(gram, ROWS, Moments.of(SENT, OWN, TARGET), PADDINGS[ridge])


def design(k: int) -> tuple[torch.Tensor, torch.Tensor]:
    """All columns of the equation of row k, the sender itself left out; who the others are."""
    others = torch.tensor([j for j in range(N) if j != ROWS[k]])
    return torch.cat([SENT[:, others], OWN[:, k]], 1), others


def normal(k: int, ridge: float) -> torch.Tensor:
    """The dense normal matrix of row k, per frame, with what is added to it."""
    x, others = design(k)
    matrix = x.T @ x / FRAMES
    m = len(others)
    matrix[:m, :m] += ridge * SENT.square().mean() * EYE[:m, :m]
    matrix[m:, m:] += OWN[:, k].square().mean() * PADDINGS[ridge]
    return matrix


def dense(k: int, ridge: float) -> torch.Tensor:
    """W and d of row k from the dense normal equations: ``(sender or column)``."""
    x, others = design(k)
    solution = torch.linalg.solve(normal(k, ridge), x.T @ TARGET[:, k] / FRAMES)
    out = torch.zeros(N + COLUMNS, dtype=torch.float64)
    out[others], out[N:] = solution[: N - 1], solution[N - 1 :]
    return out


def joined(fit: RowFit) -> torch.Tensor:
    return torch.cat([fit.weights, fit.own], 1)


def test_rows_are_those_of_least_squares():
    found = joined(rows_of(1e-15).solve())
    for k in range(len(ROWS)):
        x, others = design(k)
        expected = np.linalg.lstsq(x.numpy(), TARGET[:, k].numpy(), rcond=None)[0]
        own = found[k, torch.cat([others, torch.arange(N, N + COLUMNS)])]
        np.testing.assert_allclose(own.numpy(), expected, rtol=0, atol=1e-10)


@both_ridges
def test_what_is_added_is_what_the_docstrings_say(ridge):
    found = joined(rows_of(ridge).solve())
    expected = torch.stack([dense(k, ridge) for k in range(len(ROWS))])
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-11)
    if ridge > 0.01:
        assert (expected - joined(rows_of(1e-15).solve())).abs().max() > 0.05


@both_ridges
def test_no_neuron_sends_to_itself(ridge):
    """Though phi can hardly be told from it."""
    weights = rows_of(ridge).solve().weights
    own = weights[torch.arange(len(ROWS)), ROWS]
    assert own.abs().max() < 1e-13 * weights.abs().max()


@both_ridges
def test_the_mean_square_is_that_of_the_residual(ridge):
    """Of the data alone, whatever was added to the equations."""
    fit = rows_of(ridge).solve()
    residual = TARGET - fit.predict(SENT, OWN)
    torch.testing.assert_close(fit.mean_square, residual.square().mean(0), rtol=1e-10, atol=0)


def test_a_prediction_is_the_sum_of_all_columns():
    fit = rows_of(0.05).solve()
    sent, own = numbers(8, 3, N), numbers(9, 3, len(ROWS), COLUMNS)
    expected = torch.zeros(3, len(ROWS), dtype=torch.float64)
    for t in range(3):
        for r in range(len(ROWS)):
            expected[t, r] = fit.weights[r] @ sent[t] + fit.own[r] @ own[t, r]
    torch.testing.assert_close(fit.predict(sent, own), expected)


def test_moments_are_means_over_frames():
    found = Moments.of(SENT, OWN, TARGET)
    for name, expected in {
        "sent_own": np.einsum("tn,trk->nrk", SENT, OWN),
        "sent_target": np.einsum("tn,tr->nr", SENT, TARGET),
        "own_own": np.einsum("trk,trl->rkl", OWN, OWN),
        "own_target": np.einsum("trk,tr->rk", OWN, TARGET),
        "target": np.einsum("tr,tr->r", TARGET, TARGET),
    }.items():
        np.testing.assert_allclose(
            getattr(found, name).numpy(), expected / FRAMES, rtol=0, atol=1e-12, err_msg=name
        )


def test_moments_add_up_over_stretches_of_any_length():
    total, seen = None, 0
    for part in torch.arange(FRAMES).split([7, 200, 92, 1]):
        now = Moments.of(SENT[part], OWN[part], TARGET[part])
        seen += len(part)
        total = now.joined(total, len(part) / seen)
    whole = Moments.of(SENT, OWN, TARGET)
    for name, value in vars(whole).items():
        torch.testing.assert_close(getattr(total, name), value, rtol=0, atol=1e-12)


@both_ridges
def test_variances_are_the_diagonal_of_the_inverse(ridge):
    found = rows_of(ridge).variances()
    for k in range(len(ROWS)):
        _, others = design(k)
        expected = torch.linalg.inv(normal(k, ridge)).diagonal()[: N - 1]
        torch.testing.assert_close(found[k, others], expected, rtol=1e-10, atol=0)
        assert abs(float(found[k, ROWS[k]])) < 1e-12 * float(expected.max())


@both_ridges
def test_rows_of_whitened_activity_are_the_same(ridge):
    plain = rows_of(ridge)
    fit, variances = plain.solve(), plain.variances()
    white = plain.gram.white(SENT.clone())
    torch.testing.assert_close(
        white.T @ white / FRAMES + plain.gram.padding * unit_ridge(plain), EYE
    )
    rows = Rows(plain.gram.of_white(), ROWS, Moments.of(white, OWN, TARGET), PADDINGS[ridge])
    for name, value in vars(rows.solve()).items():
        torch.testing.assert_close(value, getattr(fit, name), rtol=1e-9, atol=1e-11, msg=name)
    inverted = Moments.of(plain.gram.white_twice(white), OWN, TARGET).sent_own.permute(1, 2, 0)
    torch.testing.assert_close(rows.variances(inverted.clone()), variances)
    torch.testing.assert_close(rows.variances(), variances)
    everyone = torch.arange(N)
    torch.testing.assert_close(rows.spectrum(everyone).values, plain.spectrum(everyone).values)


def unit_ridge(rows: Rows) -> torch.Tensor:
    """L^-1 L^-T: what the ridge becomes where activity is white."""
    return rows.gram.half_solve(rows.gram.half_solve(EYE).T)


@both_ridges
def test_further_columns_are_projected_by_the_schur_complement(ridge):
    columns = numbers(8, FRAMES, len(ROWS), 3) + 0.5 * SENT[:, :3, None].mT
    mixed = torch.einsum("trk,trm->rkm", OWN, columns) / FRAMES
    more = Moments.of(SENT, columns, TARGET)
    moment = rows_of(ridge).project(more.sent_own, more.own_own, mixed)
    for k in range(len(ROWS)):
        x, _ = design(k)
        g = columns[:, k]
        crossed = x.T @ g / FRAMES
        solved = torch.linalg.solve(normal(k, ridge), crossed)
        expected = g.T @ g / FRAMES - crossed.T @ solved
        torch.testing.assert_close(moment[k], expected, rtol=0, atol=1e-11)


def test_activity_of_too_few_directions_asks_for_a_ridge():
    """20 frames of 60 neurons: the factor does not exist unless something is added."""
    sent = numbers(1, 20, 60)
    with pytest.raises(DivergenceError, match=r"60 neurons with ridge 1\.0e-18 is not positive"):
        Gram(sent.T @ sent / 20, 1e-18)
    gram = Gram(sent.T @ sent / 20, 1e-6)
    padded = sent.T @ sent / 20 + 1e-6 * sent.square().mean() * torch.eye(60, dtype=torch.float64)
    torch.testing.assert_close(gram.factor @ gram.factor.T, padded)


def test_the_spread_of_weights_is_that_of_repeated_recordings():
    """sigma^2 / n_frames times the variances, against 200 draws of the noise of the target.

    One draw tells a standard deviation to 5 %, all weights together to better than 1 %.
    """
    sigma, draws, rows, ridge = 0.7, 200, torch.arange(N), 1e-15
    own = numbers(3, FRAMES, N, COLUMNS) + 0.4 * SENT[:, :, None]
    known = SENT @ numbers(4, N, N).fill_diagonal_(0) + own.sum(-1)
    gram = Gram(SENT.T @ SENT / FRAMES, ridge)
    padding = PADDINGS[ridge]
    found, square = [], []
    for k in range(draws):
        target = known + sigma * numbers(100 + k, FRAMES, N)
        equations = Rows(gram, rows, Moments.of(SENT, own, target), padding)
        fit = equations.solve()
        found.append(fit.weights)
        square.append(fit.mean_square)
    predicted = sigma * (equations.variances().clamp_min(0) / FRAMES).sqrt()
    off = ~torch.eye(N, dtype=torch.bool)
    ratio = torch.stack(found).std(0)[off] / predicted[off]
    assert float(ratio.mean()) == pytest.approx(1, abs=0.02)
    assert float(ratio.std()) == pytest.approx((2 * draws) ** -0.5, rel=0.3)
    free = FRAMES - (N - 1) - COLUMNS
    assert float(torch.stack(square).mean()) * FRAMES / free == pytest.approx(sigma**2, rel=0.01)


def shared_dense(weights: torch.Tensor, ridge: float) -> tuple[torch.Tensor, torch.Tensor]:
    """All rows in one system: W of each, and d of all; and its normal matrix."""
    blocks = [N - 1] * len(ROWS)
    size = sum(blocks) + COLUMNS
    matrix = torch.zeros(size, size, dtype=torch.float64)
    right = torch.zeros(size, dtype=torch.float64)
    for k in range(len(ROWS)):
        mine = torch.arange((N - 1) * k, (N - 1) * (k + 1))
        index = torch.cat([mine, torch.arange(size - COLUMNS, size)])
        x, _ = design(k)
        matrix[index[:, None], index] += weights[k] * normal(k, ridge)
        right[index] += weights[k] * (x.T @ TARGET[:, k]) / FRAMES
    return torch.linalg.solve(matrix, right), matrix


@both_ridges
def test_rows_may_share_the_coefficients_of_their_own_columns(ridge):
    weights = torch.tensor([1.0, 0.5, 2.0, 3.0]).double()
    gram = Gram(SENT.T @ SENT / FRAMES, ridge)
    rows = Rows(gram, ROWS, Moments.of(SENT, OWN, TARGET), PADDINGS[ridge], weights)
    found, (expected, _) = rows.solve(), shared_dense(weights, ridge)
    for k in range(len(ROWS)):
        torch.testing.assert_close(found.own[k], expected[-COLUMNS:], rtol=0, atol=1e-10)
        others = design(k)[1]
        mine = expected[(N - 1) * k : (N - 1) * (k + 1)]
        torch.testing.assert_close(found.weights[k, others], mine, rtol=0, atol=1e-10)
    given = rows_of(ridge).solve(found.own)
    torch.testing.assert_close(joined(given), joined(found), rtol=0, atol=1e-10)


def test_further_columns_are_projected_from_shared_ones_too():
    """The weighted sum over rows is the Schur complement of the whole system."""
    ridge, weights = 1e-15, torch.tensor([1.0, 0.5, 2.0, 3.0]).double()
    columns = numbers(8, FRAMES, len(ROWS), 3) + 0.5 * SENT[:, :3, None].mT
    mixed = torch.einsum("trk,trm->rkm", OWN, columns) / FRAMES
    gram = Gram(SENT.T @ SENT / FRAMES, ridge)
    rows = Rows(gram, ROWS, Moments.of(SENT, OWN, TARGET), PADDINGS[ridge], weights)
    more = Moments.of(SENT, columns, TARGET)
    moment = rows.project(more.sent_own, more.own_own, mixed)
    _, matrix = shared_dense(weights, ridge)
    crossed = torch.zeros(len(matrix), 3, dtype=torch.float64)
    own = 0
    for k in range(len(ROWS)):
        index = torch.cat(
            [
                torch.arange((N - 1) * k, (N - 1) * (k + 1)),
                torch.arange(len(matrix) - COLUMNS, len(matrix)),
            ]
        )
        x, g = design(k)[0], columns[:, k]
        crossed[index] += weights[k] * (x.T @ g) / FRAMES
        own = own + weights[k] * (g.T @ g) / FRAMES
    expected = own - crossed.T @ torch.linalg.solve(matrix, crossed)
    whole = (weights[:, None, None] * moment).sum(0)
    torch.testing.assert_close(whole, expected, rtol=0, atol=1e-9)

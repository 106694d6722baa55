"""Measurement noise of activity: W is too small with it, and is not once it is taken out."""

from dataclasses import replace

import pytest
import torch
from systems import System, numbers, silent, simulated, training
from torch import Tensor

from ngpipe.assembly.closed_form.accumulate import gram_moment, moments
from ngpipe.assembly.closed_form.chosen_frames import Transfer, smoothness
from ngpipe.assembly.closed_form.problem import Problem
from ngpipe.assembly.closed_form.regressor_noise import sent_noise, without_noise
from ngpipe.assembly.closed_form.rows import Gram, RowFit, Rows
from ngpipe.assembly.closed_form.transfer import Fit
from ngpipe.assembly.closed_form.uncertainty import inflation, noise_variance, standard_errors

N, FRAMES, SIGMA = 24, 4_000, 1.5


def system() -> System:
    return simulated("activity", N, FRAMES)


def measured(sigma: float, stated: float | None, seed: int = 1) -> Problem:
    """The problem when activity is measured with noise, and some noise is said to be there."""
    clean = system().recording
    noisy = clean.activity + sigma * numbers(seed, *clean.activity.shape).float()
    said = None if stated is None else torch.full((N,), stated, dtype=torch.float64)
    recording = replace(clean, activity=noisy, reach=(0, 0), state_noise=said)
    cfg = training("activity").model_copy(update={"target": "estimated"})
    return Problem.of(recording, cfg, silent)


def true_psi(problem: Problem) -> Fit:
    spline = problem.spline(48)
    like = torch.zeros((), dtype=torch.float64)
    transfer = Transfer(spline, spline.fit(torch.tanh, like=like)[None], problem.one_group)
    return Fit(transfer, problem.frames.phi, 0.0, 0.0, 1e-9)


def rows_of(problem: Problem, gram: Gram) -> tuple[Rows, RowFit]:
    fit, members = true_psi(problem), torch.arange(N)
    found = moments(problem.everything, fit.transfer, members)
    rows = Rows(
        gram,
        members,
        found,
        smoothness(problem.everything, problem.device),
    )
    return rows, rows.solve()


def slope(found: Tensor) -> float:
    """Least-squares slope of the found on the true weights."""
    off = ~torch.eye(N, dtype=torch.bool)
    e, t = found[off], system().weights[off]
    return float(((e - e.mean()) * (t - t.mean())).sum() / (t - t.mean()).square().sum())


@pytest.mark.slow
def test_attenuation_is_removed() -> None:
    problem = measured(SIGMA, SIGMA)
    fit = true_psi(problem)
    plain = Gram(gram_moment(problem.everything, fit.transfer), fit.ridge)
    gram, told = without_noise(problem, fit, torch.arange(N), problem.everything)
    before, after = (slope(rows_of(problem, g)[1].weights) for g in (plain, gram))
    assert before < 0.93
    assert after == pytest.approx(1, abs=0.08)
    assert told.removed > 0.7
    assert 0.01 < told.size < 0.2


def test_variance_that_noise_gives_to_what_is_sent() -> None:
    problem, clean = measured(0.3, 0.3), measured(0.0, None).everything.read().x.double()[::40]
    transfer = true_psi(problem).transfer
    drawn = [transfer.sent(clean + 0.3 * numbers(k, *clean.shape)) for k in range(40)]
    expected = torch.stack(drawn).var(0).mean()
    found = sent_noise(problem.everything, transfer, torch.full((N,), 0.3).double())
    assert float(found.mean()) == pytest.approx(float(expected), rel=0.15)


@pytest.mark.parametrize("stated", [None, 0.0])
def test_without_known_noise_nothing_is_taken_out(stated: float | None) -> None:
    problem = measured(SIGMA, stated)
    fit = true_psi(problem)
    gram, told = without_noise(problem, fit, torch.arange(N), problem.everything)
    assert torch.equal(gram.moment, gram_moment(problem.everything, fit.transfer))
    assert (told.size, told.removed) == (0.0, 0.0)


def test_held_out_frames_refuse_noise_that_is_not_there() -> None:
    problem = measured(0.0, SIGMA)
    gram, told = without_noise(problem, true_psi(problem), torch.arange(N), problem.everything)
    assert told.removed == 0
    assert slope(rows_of(problem, gram)[1].weights) == pytest.approx(1, abs=0.001)


def test_standard_errors_hold_with_noise_in_both() -> None:
    problem = measured(SIGMA, SIGMA)
    fit = true_psi(problem)
    gram, _ = without_noise(problem, fit, torch.arange(N), problem.everything)
    rows, found = rows_of(problem, gram)
    n = len(problem.everything)
    noise = noise_variance(gram, found, n, found.mean_square)
    noise = noise * inflation(problem.everything, fit.transfer, torch.arange(N), fit.ridge)
    errors = standard_errors(rows, found.weights, noise / n)
    off = ~torch.eye(N, dtype=torch.bool)
    z = ((found.weights - system().weights) / errors)[off]
    assert float(z.square().mean().sqrt()) == pytest.approx(1, abs=0.35)


def test_frames_within_reach_of_held_out_ones_are_not_trained_on() -> None:
    whole = system().recording
    estimated = replace(whole, reach=(3, 4))
    held_out = torch.cat([whole.usable[b.start : b.stop] for b in estimated.blocks])
    apart = (estimated.training_frames[:, None] - held_out).abs().min()
    assert apart == 3 + 4 + 1 == estimated.memory
    assert (whole.training_frames[:, None] - held_out).abs().min() == 1


def test_pairs_share_no_measured_frame_and_no_gap_lies_between() -> None:
    stretches = (range(0, 100), range(100, 350))
    estimated = replace(system().recording, reach=(2, 2), stretches=stretches)
    first = estimated.pairs(1_000)
    chosen = [(first, first + estimated.memory), estimated.judging_pairs()]
    for early, late in chosen:
        assert len(early)
        assert ((early - late).abs() >= estimated.memory).all()
        assert ((early < 100) == (late < 100)).all()
        assert max(int(early.max()), int(late.max())) < 350
    training = set(estimated.training_frames.tolist())
    assert set(torch.cat(chosen[0]).tolist()) <= training
    assert not set(chosen[1][0].tolist()) & training

"""Neurons that were not recorded: seen in residuals, and what they do to W is told in advance."""

from dataclasses import replace
from functools import cache

import pytest
import torch
from systems import COARSE, numbers, silent
from torch import Tensor

from ngpipe.assembly.closed_form.all_rows import all_rows
from ngpipe.assembly.closed_form.chosen_frames import Transfer
from ngpipe.assembly.closed_form.diagnosis import Evidence, diagnosis
from ngpipe.assembly.closed_form.problem import Problem
from ngpipe.assembly.closed_form.rows import Spectrum
from ngpipe.assembly.closed_form.solve import ClosedForm
from ngpipe.assembly.closed_form.transfer import Fit
from ngpipe.assembly.closed_form.unobserved import Unobserved, of_residuals, unobserved
from ngpipe.assembly.recording import Recording
from ngpipe.config.assembly.training import Training

N, FRAMES, DT = 30, 12_000, 0.05
NOISE = torch.zeros(N, N, dtype=torch.float64)


@cache
def simulated() -> tuple[Tensor, Tensor]:
    """Activity of a network with process noise, and W."""
    weights = 2 * numbers(1, N, N) / N**0.5
    weights.fill_diagonal_(0)
    x, noise, rows = numbers(2, N), 0.05 * numbers(3, FRAMES, N), []
    for k in range(FRAMES):
        rows.append(x)
        x = x + DT * (weights @ torch.tanh(x) - x) + noise[k]
    return torch.stack(rows).float(), weights


def looked_at(recorded: int) -> tuple[Unobserved, Tensor]:
    """What residuals of the first neurons tell, and the error of their weights; psi is known."""
    activity, weights = simulated()
    recording = Recording(activity[:, :recorded], None, dt=DT, held_out=0.1, in_blocks=True)
    cfg = Training(solver="closed_form", target="finite_difference")
    problem = Problem.of(recording, cfg, silent)
    spline = problem.spline(48)
    like = torch.zeros((), dtype=torch.float64)
    transfer = Transfer(spline, spline.fit(torch.tanh, like=like)[None], problem.one_group)
    fit = Fit(transfer, problem.spline(16), 0.0, 0.0, 1e-9)
    solution = all_rows(problem, [fit], problem.one_group, problem.everything, final=True)
    found = unobserved(problem, solution)
    assert found is not None
    missed = (solution.weights - weights[:recorded, :recorded]).square()
    # Beyond what noise does.
    return found, (missed - solution.error.square()).sum(1) / (recorded - 1)


@pytest.mark.slow
def test_all_neurons_recorded_leave_nothing_in_common():
    found, _ = looked_at(N)
    assert (found.rank, found.share, float(found.bias.sum())) == (0, 0.0, 0.0)


@pytest.mark.slow
def test_unrecorded_neurons_are_seen_and_the_bias_they_cause_is_foretold():
    recorded = N - N // 5
    found, missed = looked_at(recorded)
    assert 1 <= found.rank <= N // 5
    assert found.share > 0.01
    foretold, true = float(found.bias.square().mean()), float(missed.mean())
    assert 0.4 < foretold / true < 2.5
    together = torch.stack([found.bias.square(), missed])
    assert float(torch.corrcoef(together)[0, 1]) > 0.2  # which rows


def residuals(seed: int, frames: int = 1_000, n: int = 20) -> Tensor:
    """Residuals of independent neurons that hang together in time."""
    noise = numbers(seed, frames, n)
    for k in range(1, frames):
        noise[k] += 0.8 * noise[k - 1]
    return noise


def rank_of(left: Tensor, noise: Tensor | None = None) -> int:
    n = left.shape[1]
    noise = torch.zeros(n, n, dtype=torch.float64) if noise is None else noise
    draws = torch.Generator().manual_seed(0)
    return of_residuals(left, numbers(99, *left.shape), noise, 1e-3, draws).rank


def test_slow_residuals_of_independent_neurons_have_rank_0():
    assert [rank_of(residuals(seed)) for seed in range(10)] == [0] * 10


@pytest.mark.parametrize("rank", [1, 3])
def test_the_rank_is_that_of_what_is_in_common(rank):
    left = residuals(0) + residuals(50, n=rank) @ numbers(51, rank, 20)
    assert rank_of(left) == rank


def test_measurement_noise_of_the_senders_is_not_taken_for_neurons():
    weights = 0.3 * numbers(60, 20, 20)
    left = numbers(61, 1_000, 20) + numbers(62, 1_000, 20) @ weights.T
    assert rank_of(left) > 0
    assert rank_of(left, weights) == 0


def test_common_residuals_of_no_size_are_misfit():
    left = residuals(0) + residuals(50, n=1) @ numbers(51, 1, 20)
    draws = torch.Generator().manual_seed(0)
    noise = torch.zeros(20, 20, dtype=torch.float64)
    huge = 1e4 * float(left.square().mean())
    assert of_residuals(left, numbers(9, *left.shape), noise, huge, draws).rank == 0


def test_the_diagnosis_says_it_in_words():
    spectrum = Spectrum(torch.full((1, 9), 1.0, dtype=torch.float64), 1e-9)
    exact = diagnosis(spectrum, 1e-6, 1.0, 1_000, evidence=Evidence(exact=True))
    assert "not recorded" not in exact.sentence
    told = diagnosis(spectrum, 1e-6, 1.0, 1_000)
    assert told.sentence.endswith("make weights wrong was not looked at")
    assert "not recorded" not in told.driven_unseen(0, 0.0, 0.0).sentence
    driven = told.driven_unseen(2, 0.1, 0.5)
    assert "2 directions of their residuals in common" in driven.sentence
    assert "weights wrong by 50% of their size" in driven.sentence
    assert driven.at_most == pytest.approx(0.75 * told.at_most)
    assert driven.identified == "no"
    assert told.driven_unseen(0, 0.0, 0.0) == replace(told, unobserved_rank=0)


@pytest.mark.slow
def test_the_solver_tells_it_without_knowing_psi():
    activity, _ = simulated()
    cfg = Training(solver="closed_form", target="finite_difference", closed_form=COARSE)
    ranks = []
    for recorded in (N, N - N // 5):
        recording = Recording(activity[:, :recorded], None, dt=DT, held_out=0.1, in_blocks=True)
        found = ClosedForm(recording, cfg, silent).solve()
        ranks.append(found.diagnosis.unobserved_rank)
        assert found.unobserved_bias.shape == (recorded,)
    assert ranks[0] == 0
    assert ranks[1] > 0

"""Noise that a neuron's state shares with its estimated rate: W has its size once it is out."""

from functools import cache

import numpy as np
import pytest
import torch
from systems import COARSE, numbers, silent
from torch import Tensor

from ngpipe.acquisition import rate_estimates
from ngpipe.assembly.closed_form.chosen_frames import Source, Transfer
from ngpipe.assembly.closed_form.problem import Problem
from ngpipe.assembly.closed_form.shared_noise import SharedNoise, pooled, shared_noise
from ngpipe.assembly.closed_form.solve import ClosedForm
from ngpipe.assembly.closed_form.transfer import Fit
from ngpipe.assembly.recording import Recording
from ngpipe.config.assembly.training import Training

N, FRAMES, DT, FINE = 16, 12_000, 0.1, 5
SIGMA, DRIVE = 0.15, 0.5
"""Measurement noise, and that of the drive per square root of time."""


@cache
def activity() -> tuple[Tensor, Tensor]:
    """Activity of dx/dt = -x + W tanh(x) + noise, and W."""
    weights = 2.5 * numbers(0, N, N) / N**0.5
    weights.fill_diagonal_(0)
    generator = torch.Generator().manual_seed(1)
    x, frames = numbers(2, N), []
    step = DT / FINE
    for k in range(FRAMES * FINE):
        if k % FINE == 0:
            frames.append(x)
        kick = torch.randn(N, generator=generator, dtype=torch.float64)
        x = x + step * (-x + weights @ torch.tanh(x)) + DRIVE * step**0.5 * kick
    return torch.stack(frames), weights


@cache
def recorded(window: int = 7) -> Recording:
    """State and rate from noisy activity by local polynomials."""
    noisy = (activity()[0] + SIGMA * numbers(3, FRAMES, N)).float().numpy()
    estimator = rate_estimates.savitzky_golay(DT, window, 2)
    state, rate = estimator.applied(noisy, (range(FRAMES),))
    there = np.flatnonzero(np.isfinite(state).all(1))
    return Recording(
        torch.from_numpy(state[there]).float(),
        torch.from_numpy(rate[there]).float(),
        dt=DT,
        held_out=0.1,
        in_blocks=True,
        reach=estimator.reach,
        state_noise=torch.full((N,), SIGMA * estimator.state.variance**0.5).double(),
    )


def true_psi(problem: Problem) -> Fit:
    spline = problem.spline(48)
    like = torch.zeros((), dtype=torch.float64)
    transfer = Transfer(spline, spline.fit(torch.tanh, like=like)[None], problem.one_group)
    return Fit(transfer, problem.frames.phi, 0.0, 0.0, 1e-8)


@cache
def found() -> tuple[Source, SharedNoise]:
    problem = Problem.of(recorded(), Training(target="estimated"), silent)
    return problem.everything, shared_noise(problem.everything, true_psi(problem))


@pytest.mark.slow
def test_the_score_knows_the_own_activity_alone() -> None:
    """<s_i g(x_i)> = <g'(x_i)>, and 0 for any function of another neuron's activity."""
    source, noise = found()
    x = source.read().x.double()
    s = noise.at(x) / noise.kappa
    square = s.square().mean(0).sqrt()
    for g, slope in ((torch.tanh, 1 - torch.tanh(x) ** 2), (lambda v: v, torch.ones_like(x))):
        products = s.T @ (g(x) - g(x).mean(0)) / len(x)
        size = square[:, None] * g(x).std(0)
        own = products.diagonal()
        assert own.tolist() == pytest.approx(slope.mean(0).tolist(), rel=0.05)
        others = (products - torch.diag(own)) / size
        assert float(others.abs().max()) < 0.02


@pytest.mark.slow
def test_kappa_is_the_covariance_of_the_noise() -> None:
    """Half of the drive noise, as filters are symmetric, and what phi makes of measurement noise.

    State and rate have no measurement noise in common: one filter is even, the other odd.
    """
    estimator = rate_estimates.savitzky_golay(DT, 7, 2)
    expected = DRIVE**2 / 2 + SIGMA**2 * estimator.state.variance
    assert float(found()[1].kappa.mean()) == pytest.approx(expected, rel=0.1)


@pytest.mark.slow
def test_sessions_have_one_kappa_of_each_neuron() -> None:
    spline = found()[0].phi
    one = SharedNoise(spline, torch.zeros(1, 2), torch.tensor([1.0, 4.0]), torch.tensor([-2.0, 2]))
    two = SharedNoise(spline, torch.zeros(1, 1), torch.tensor([5.0]), torch.tensor([-1.0]))
    first, second = pooled([one, two], [torch.tensor([0, 2]), torch.tensor([0])], 3)
    assert first.kappa.tolist() == [2.0, -2.0]
    assert second.kappa.tolist() == [2.0]


@pytest.mark.slow
def test_a_neuron_without_a_past_is_left_alone() -> None:
    noise = SharedNoise(found()[0].phi, torch.zeros(1, 1), torch.zeros(1), torch.zeros(1))
    assert noise.kappa.tolist() == [0.0]


@pytest.mark.slow
def test_an_exact_rate_is_left_alone() -> None:
    x, weights = activity()
    rate = -x + torch.tanh(x) @ weights.T
    exact = Recording(x.float(), rate.float(), dt=DT, held_out=0.1)
    problem = Problem.of(exact, Training(), silent)
    assert problem.freed(true_psi(problem)) is problem


def size_of_weights(recording: Recording, **more: object) -> float:
    """Least-squares slope of the found on the true weights."""
    target = "finite_difference" if recording.rate is None else "estimated"
    cfg = Training(target=target, held_out_as="blocks", closed_form=COARSE | more)
    solution = ClosedForm(recording, cfg, silent).solve()
    off = ~torch.eye(N, dtype=torch.bool)
    found, true = solution.scaled().double()[off], activity()[1][off]
    return float(found @ true / true.square().sum())


@pytest.mark.slow
def test_weights_have_their_true_size(monkeypatch: pytest.MonkeyPatch) -> None:
    assert size_of_weights(recorded()) == pytest.approx(1, abs=0.06)
    monkeypatch.setattr(Problem, "freed", lambda self, _fit: self)
    assert size_of_weights(recorded()) < 0.9


def differences() -> Recording:
    """The same activity with its noise, without any filter."""
    noisy = activity()[0] + SIGMA * numbers(3, FRAMES, N)
    return Recording(noisy.float(), None, dt=DT, held_out=0.1, in_blocks=True)


@pytest.mark.slow
def test_weights_from_noisy_differences_are_not_shrunk_by_the_ridge() -> None:
    """Held-out frames in noise would have the largest ridge, and W at 0.62 of its size."""
    fine = {"psi_basis": 32, "phi_basis": 32, "fine_basis": 48, "ridges": [1e-2, 1e-4]}
    assert size_of_weights(differences(), **fine) > 0.75

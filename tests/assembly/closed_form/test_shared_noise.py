"""Noise that a neuron's state shares with its estimated rate: W has its size once it is out."""

from collections.abc import Sequence
from dataclasses import replace
from functools import cache

import numpy as np
import pytest
import torch
from systems import COARSE, numbers, silent
from torch import Tensor

from ngpipe.acquisition.rate_estimates import at_one_interval
from ngpipe.assembly.closed_form.chosen_frames import Source, Transfer
from ngpipe.assembly.closed_form.problem import Problem
from ngpipe.assembly.closed_form.shared_noise import SharedNoise, shared_noise
from ngpipe.assembly.closed_form.solve import ClosedForm
from ngpipe.assembly.closed_form.transfer import Fit
from ngpipe.assembly.recording import Recording
from ngpipe.config.assembly.observation import SavitzkyGolay
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
def recorded(window: int = 7, piece: int = FRAMES) -> Recording:
    """State and rate from noisy activity by local polynomials, one frame lost in every piece."""
    noisy = (activity()[0] + SIGMA * numbers(3, FRAMES, N)).float().numpy()
    estimator = at_one_interval(DT, SavitzkyGolay(window=window, order=2))
    pieces = [range(start, start + piece - 1) for start in range(0, FRAMES, piece)]
    state, rate = estimator.applied(noisy, pieces)
    known = np.isfinite(state).all(1) & np.isfinite(rate).all(1)
    edge = int(known.argmax())
    return Recording(
        torch.from_numpy(state).float(),
        torch.from_numpy(rate).float(),
        dt=DT,
        held_out=0.1,
        in_blocks=True,
        reach=estimator.reach,
        stretches=tuple(range(p.start + edge, p.stop - edge) for p in pieces),
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
def test_what_is_taken_out_is_what_the_noise_has_in_common_with_functions_of_the_state() -> None:
    """<e_i b(x_i)>, with e what the rate has beyond the true function of the states."""
    source, noise = found()
    frames, rows = replace(source, kappa=noise.kappa).read(), torch.arange(N)
    x = frames.x.double()
    beyond = frames.rate.double() + x - torch.tanh(x) @ activity()[1].T
    for g in (torch.tanh, lambda v: v):
        coefficients = frames.phi.fit(g, like=x[0, 0])
        products = (beyond * g(x)).mean()
        taken = (frames.own_noise(rows) @ coefficients).mean()
        assert float(taken) == pytest.approx(float(products), rel=0.15)


@pytest.mark.slow
def test_kappa_is_the_covariance_of_the_noise() -> None:
    """Half of the drive noise, as filters are symmetric, and what phi makes of measurement noise.

    State and rate have no measurement noise in common: one filter is even, the other odd.
    """
    estimator = at_one_interval(DT, SavitzkyGolay(window=7, order=2))
    expected = DRIVE**2 / 2 + SIGMA**2 * estimator.state.variance
    assert float(found()[1].kappa.mean()) == pytest.approx(expected, rel=0.1)


def summed(
    missed: Sequence[Sequence[float]],
    along: Sequence[Sequence[float]],
    again: Sequence[Sequence[float]] | None = None,
) -> SharedNoise:
    """Sums of some neurons over parts of a recording, of which kappa follows."""
    again = [[1.0, -1.0]] * len(missed) if again is None else again
    return SharedNoise(*(torch.tensor(v, dtype=torch.float64) for v in (missed, along, again)))


def test_a_recording_without_a_past_is_left_alone() -> None:
    assert summed([[0.0, 0.0]], [[0.0, 0.0]]).kappa.tolist() == [0.0]


def test_a_kappa_that_is_hardly_known_is_that_of_the_others() -> None:
    """Three are the same in both parts of the recording; one is not; one has no past at all."""
    known = [[-1.0, -1.1], [-2.0, -1.9], [-3.0, -3.1]]
    noise = summed([*known, [-90.0, 10.0], [0.0, 0.0]], [[1.0, 1.0]] * 4 + [[0.0, 0.0]])
    assert noise.kappa[:3].tolist() == pytest.approx([1.05, 1.95, 3.05], abs=0.05)
    assert noise.kappa[3:].tolist() == pytest.approx([2.0, 2.0], abs=0.1)


def test_a_kappa_is_like_those_of_the_others() -> None:
    """At most three times their median, of the same sign: whatever past tells else is no noise."""
    known = [[-1.0, -1.1], [-1.2, -1.1], [-0.9, -1.0], [-9.0, -9.1], [5.0, 5.1]]
    found = summed(known, [[1.0, 1.0]] * 5).kappa
    assert found[3:].tolist() == pytest.approx([3 * 1.05, 0.0], abs=0.02)


def test_past_residuals_that_are_alike_make_the_past_no_instrument() -> None:
    known = [[-1.0, -1.1]] * 4 + [[-2.0, -2.1]]
    alone, lasts = [[0.1, -0.1]] * 5, [[0.1, -0.1]] * 4 + [[3.0, 2.9]]
    of_noise, of_drive = (summed(known, [[1.0, 1.0]] * 5, again).kappa for again in (alone, lasts))
    assert of_noise[4] == pytest.approx(2.05, abs=0.05)
    assert of_drive[4] == pytest.approx(1.05, abs=0.01)
    assert not summed(known, [[1.0, 1.0]] * 5, [[3.0, 2.9]] * 5).kappa.any()


def test_what_the_parts_of_a_recording_do_not_agree_on_is_no_noise() -> None:
    sums, none = numbers(5, 30, 20), numbers(6, 30, 20)
    assert not SharedNoise(sums, torch.ones_like(sums), none).kappa.any()
    assert SharedNoise(sums - 0.5, torch.ones_like(sums), none).kappa.mean() == pytest.approx(
        0.5, rel=0.2
    )


@pytest.mark.slow
def test_an_input_that_lasts_is_not_taken_for_noise() -> None:
    """Four neurons get a slow input that nobody knows; there is no measurement noise."""
    x, weights = activity()
    slow, drive = torch.zeros(4, dtype=torch.float64), []
    for kick in numbers(9, FRAMES, 4):
        slow = 0.98 * slow + 0.2 * kick
        drive.append(slow)
    rate = -x + torch.tanh(x) @ weights.T
    rate[:, :4] += torch.stack(drive)
    moved = x.clone()
    moved[1:, :4] += 0.5 * torch.stack(drive)[:-1]  # what it did to the neurons
    recording = Recording(
        moved.float(), rate.float(), dt=DT, held_out=0.1, in_blocks=True, reach=(0, 0)
    )
    problem = Problem.of(recording, Training(target="estimated"), silent)
    noise = shared_noise(problem.everything, true_psi(problem))
    assert noise.lasts[:4].all()
    own = -noise.missed.sum(1) / noise.along.sum(1)
    assert own[:4].abs().min() > 10 * noise.kappa[:4].abs().max()


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


@pytest.mark.slow
def test_a_past_lies_across_a_gap() -> None:
    """In pieces of 15 frames no frame has a past that shares none with it, but in another."""
    broken = recorded(piece=16)
    now, past = broken.with_past(broken.training_frames)
    assert len(now) > 0.9 * len(broken.training_frames)
    assert bool((now - past >= broken.memory).all())
    assert size_of_weights(broken) == pytest.approx(1, abs=0.1)


def differences() -> Recording:
    """The same activity with its noise, without any filter."""
    noisy = activity()[0] + SIGMA * numbers(3, FRAMES, N)
    return Recording(noisy.float(), None, dt=DT, held_out=0.1, in_blocks=True)


@pytest.mark.slow
def test_weights_from_noisy_differences_are_not_shrunk_by_the_ridge() -> None:
    """Held-out frames in noise would have the largest ridge, and W at 0.62 of its size."""
    fine = {"psi_basis": 32, "phi_basis": 32, "fine_basis": 48, "ridges": [1e-2, 1e-4]}
    assert size_of_weights(differences(), **fine) > 0.75

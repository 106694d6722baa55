"""Standard errors are those of repeated recordings; poor recordings are called so."""

from dataclasses import replace

import pytest
import systems
import torch
from systems import COARSE, exact, numbers, r2, silent, simulated, training
from torch import Tensor

from ngpipe.assembly.closed_form import diagnosis, uncertainty
from ngpipe.assembly.closed_form.accumulate import gram_moment, solve_rows
from ngpipe.assembly.closed_form.chosen_frames import Frames, Transfer
from ngpipe.assembly.closed_form.rows import Gram
from ngpipe.assembly.closed_form.solve import ClosedForm
from ngpipe.assembly.recording import Recording

OFF = ~torch.eye(16, dtype=torch.bool)
EVERYONE = torch.arange(16)


def solved(frames: Frames, transfer: Transfer, ridge: float) -> tuple[Tensor, Tensor, float]:
    """W, its standard errors, and q."""
    gram = Gram(gram_moment(frames, transfer), ridge)
    q = uncertainty.inflation(frames, transfer, EVERYONE, ridge)
    ((_, normal),) = solve_rows(frames, transfer, EVERYONE, gram)
    fit = normal.solve()
    noise = uncertainty.noise_variance(gram, fit, len(frames), fit.mean_square) / len(frames)
    return fit.weights, uncertainty.standard_errors(normal, fit.weights, q * noise), q


@pytest.mark.slow
def test_errors_are_those_of_repeated_recordings():
    """40 recordings of one system with noise: the spread of W_ij is what each of them says."""
    system = exact(2)
    found = [
        solved(system.other(50 + 2 * k, 1500, noise=0.7), system.transfer, 1e-12) for k in range(40)
    ]
    weights, errors, q = zip(*found, strict=True)
    spread = (torch.stack(weights) - system.weights).square().mean(0).sqrt()[OFF]
    said = torch.stack(errors).square().mean(0).sqrt()[OFF]
    assert float((spread / said).mean()) == pytest.approx(1, abs=0.03)
    # Noise that does not hang together.
    assert sum(q) / len(q) == pytest.approx(1, abs=0.05)
    assert torch.equal(errors[0].diagonal(), torch.zeros(16).double())


def test_a_ridge_counts_as_error():
    """Over systems with normal weights: what the ridge takes away is in the error."""
    system, ridge, squares = exact(1), 0.3, []
    for k in range(20):
        w = numbers(300 + k, 16, 16).fill_diagonal_(0)
        frames = replace(system, weights=w).other(7, 1500, noise=0.3)
        gram = Gram(gram_moment(frames, system.transfer), ridge)
        ((_, normal),) = solve_rows(frames, system.transfer, EVERYONE, gram)
        fit = normal.solve()
        noise = uncertainty.noise_variance(gram, fit, len(frames), fit.mean_square) / len(frames)
        errors = uncertainty.standard_errors(normal, fit.weights, noise)
        squares.append(((fit.weights - w) / errors).square()[OFF])
        noise_alone = uncertainty.standard_errors(normal, 0 * fit.weights, noise)
        assert (errors[OFF] > 2 * noise_alone[OFF]).all()
    assert float(torch.cat(squares).mean()) == pytest.approx(1, abs=0.15)


@pytest.mark.slow
def test_residuals_that_hang_together_widen_the_errors():
    """Noise and activity with a memory of ten frames: independent frames are ten times fewer."""
    n, memory = 6000, 0.9
    system = exact(1)
    ratios, qs = [], []
    for k in range(6):
        x = 2 * _with_memory(numbers(900 + k, n, 16), memory)
        phi = system.frames.phi
        rate = phi.read(system.phi, x) + system.transfer.sent(x) @ system.weights.T
        rate = rate + 0.5 * _with_memory(numbers(950 + k, n, 16), memory)
        frames = Frames(x, rate, phi, torch.arange(float(n)))
        weights, errors, q = solved(frames, system.transfer, 1e-12)
        ratios.append(((weights - system.weights) / errors)[OFF].square().mean())
        qs.append(q)
    assert min(qs) > 3
    assert float(torch.stack(ratios).mean().sqrt()) == pytest.approx(1, abs=0.15)


def _with_memory(noise: Tensor, memory: float) -> Tensor:
    """Autoregressive series of unit variance."""
    out = noise.clone()
    for t in range(1, len(noise)):
        out[t] = memory * out[t - 1] + (1 - memory**2) ** 0.5 * noise[t]
    return out


def test_identical_senders_are_each_unknown_by_their_spread():
    """Only their sum is known: the ridge halves it, and neither noise nor 1 / r comes in."""
    system = exact(1)
    x = 2 * numbers(77, 1500, 16)
    x[:, 5] = x[:, 9]
    phi = system.frames.phi
    rate = phi.read(system.phi, x) + system.transfer.sent(x) @ system.weights.T
    rate = rate + 0.1 * numbers(78, 1500, 16)
    frames = Frames(x, rate, phi, torch.arange(1500.0))
    weights, errors, _ = solved(frames, system.transfer, 1e-9)
    spread = (weights - system.weights)[:, [5, 9]].square().mean().sqrt()
    others = [k for k in range(16) if k not in (5, 9)]
    mine = errors[others][:, [5, 9]].square().mean().sqrt()
    assert 0.5 < float(mine / spread) < 2
    assert errors[others][:, others].max() < 0.05


@pytest.mark.slow
@pytest.mark.parametrize("n_frames", [45, 66])
def test_frames_fewer_than_unknowns_are_no_knowledge(n_frames):
    """The residual of what interpolates is zero; held-out frames tell."""
    recording = simulated("activity").recording
    noise = 5 * torch.randn(recording.rate.shape, generator=_generator(4))
    short = Recording(
        recording.activity[:n_frames],
        recording.rate[:n_frames] + noise[:n_frames],
        recording.dt,
        held_out=0.1,
    )
    found = ClosedForm(short, training("activity"), silent).solve()
    reached = r2(found.weights, simulated("activity").weights)
    assert reached < 0.3
    assert found.diagnosis.expected_r2 < 0.5
    assert "do not identify" in found.diagnosis.sentence
    off = ~torch.eye(50, dtype=torch.bool)
    scale = found.transfers[0].height
    z = ((found.weights - simulated("activity").weights / scale) / found.error)[off]
    assert float(z.abs().median()) < 3


def test_too_few_frames_to_halve_leave_q_at_one():
    system = exact(1)
    frames = system.other(3, 45)
    assert uncertainty.inflation(frames, system.transfer, EVERYONE, 1e-3) == 1.0


def few_directions(n: int, directions: int, n_frames: int = 3000) -> tuple[Recording, Tensor]:
    """Activity along a few directions, smooth in time; psi(x) = x; and the true W."""
    t = torch.linspace(0, 60, n_frames)[:, None].double()
    waves = torch.sin(t * (0.3 + torch.rand(directions, generator=_generator(1)).double()) * 2)
    x = waves @ numbers(2, directions, n)
    w = numbers(3, n, n).fill_diagonal_(0) / n**0.5
    rate = -x + torch.tanh(x / 2) @ w.T
    return Recording(x.float(), rate.float(), 0.02, 0.1, in_blocks=True), w


def _generator(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.slow
def test_a_recording_that_excites_few_directions_is_told_apart():
    """No wrong answer without a warning: few directions, little R2, and wide intervals."""
    recording, w = few_directions(40, 3)
    cfg = training("activity", ridges=(1e-2, 1e-4))
    found = ClosedForm(recording, cfg, silent).solve()
    told = found.diagnosis
    assert told.directions < 25
    assert told.expected_r2 < diagnosis.POOR
    assert told.condition_number > 1e3
    assert "of the 39 directions" in told.sentence
    assert "do not identify W" in told.sentence
    assert r2(found.weights, w) < diagnosis.POOR
    rich = systems.solved("activity")
    assert rich.diagnosis.expected_r2 > 0.9999
    assert rich.diagnosis.directions > 48.9  # of 49: W_ii is known
    assert "not identify" not in rich.diagnosis.sentence


def test_directions_and_r2_by_hand():
    """Two eigenvalues far above ridge and noise, two far below."""
    gram = Gram(torch.diag(torch.tensor([4.0, 4.0, 1e-9, 1e-9]).double()), 1e-4)
    told = diagnosis.diagnosis(gram.spectrum, noise=1e-3, weight_variance=0.5, n_frames=100)
    assert told.directions == pytest.approx(2, abs=0.01)
    assert told.expected_r2 == pytest.approx(0.5, abs=0.01)
    padding = 1e-4 * 2.0
    assert told.condition_number == pytest.approx((4 + padding) / padding, rel=1e-4)
    noisy = diagnosis.diagnosis(
        Gram(torch.eye(4).double(), 1e-12).spectrum, noise=1.0, weight_variance=2.0, n_frames=100
    )
    assert noisy.expected_r2 == pytest.approx(0.5)
    assert noisy.frames_for(0.1) == pytest.approx(900)


@pytest.mark.slow
def test_differences_of_a_noisy_recording_have_honest_errors():
    """White noise a hundred times the rate: W is badly known, and said to be."""
    system = simulated("activity", 40, 8000)
    recording = replace(system.recording, rate=None)
    cfg = training("activity", **COARSE).model_copy(update={"target": "finite_difference"})
    found = ClosedForm(recording, cfg, silent).solve()
    assert found.diagnosis.n_frames > 0.8 * len(recording.training_frames)
    scale = found.transfers[0].height
    off = ~torch.eye(40, dtype=torch.bool)
    z = ((found.weights - system.weights / scale) / found.error)[off]
    assert 0.93 < float((z.abs() < 1.96).double().mean()) < 0.97
    reached = r2(found.weights, system.weights)
    assert found.diagnosis.expected_r2 == pytest.approx(reached, abs=0.05)

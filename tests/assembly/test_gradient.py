"""Training: named terms, held-out choice, bit-identical resume, and a miniature of the idea."""

import math

import numpy as np
import pytest
import torch

from ngpipe.assembly.gradient import Trainer, step_size, whitening
from ngpipe.assembly.objective import penalties
from ngpipe.assembly.readout import read_out
from ngpipe.assembly.recording import Recording
from ngpipe.assembly.rollout import roll_out
from ngpipe.config.recovery import Recovery
from ngpipe.config.training import LearningRate, Network, Penalties, Training
from ngpipe.dynamics.assembly import Constants, assembly_drift
from ngpipe.dynamics.integrate import blocks, euler_maruyama
from ngpipe.errors import DivergenceError

QUICK = Training(
    steps=40, batch_frames=16, evaluations=4, log_every=5, held_out=0.2, network=Network(hidden=8)
)


def simulated(n: int, n_frames: int, *, noise: float = 5.0, exact: bool = True) -> Recording:
    """Half the neurons leak twice as fast; weights are normal."""
    generator = torch.Generator().manual_seed(n)
    weights = 10 * torch.randn(n, n, generator=generator) / n**0.5
    weights.fill_diagonal_(0)
    leak = 1.0 + (torch.arange(n) >= n // 2)
    drift = assembly_drift(weights, Constants(leak, torch.ones(n)))
    x0 = torch.randn(n, generator=generator)
    frames = euler_maruyama(drift, x0, dt=0.01, noise=noise, generator=generator)
    ((_, x, rate),) = blocks(frames, n_frames, length=n_frames)
    recording = Recording(x, rate if exact else None, dt=0.01, held_out=0.2)
    object.__setattr__(recording, "true_weights", weights)
    return recording


@pytest.fixture(scope="module")
def small():
    return simulated(6, 400)


def exhaust(trainer: Trainer) -> list:
    return list(trainer.run())


def same_state(first: Trainer, second: Trainer) -> bool:
    a, b = first.model.state_dict(), second.model.state_dict()
    return all(torch.equal(a[name], b[name]) for name in a)


def test_same_seed_same_bits(small):
    first, second, other = (
        Trainer(small, QUICK),
        Trainer(small, QUICK),
        Trainer(small, QUICK.model_copy(update={"seed": 99})),
    )
    for trainer in (first, second, other):
        exhaust(trainer)
    assert same_state(first, second)
    assert not same_state(first, other)


def test_global_randomness_is_neither_read_nor_touched(small):
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first = Trainer(small, QUICK)
    exhaust(first)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(1)
    second = Trainer(small, QUICK)
    exhaust(second)
    assert same_state(first, second)


@pytest.mark.parametrize("stop", [1, 17, 25])
def test_resuming_gives_the_bits_of_an_unbroken_run(small, stop):
    unbroken = Trainer(small, QUICK)
    records = exhaust(unbroken)
    broken = Trainer(small, QUICK)
    while broken.step < stop:
        broken.advance()
        if broken.evaluation_due():
            broken._evaluate()
    resumed = Trainer(small, QUICK)
    resumed.load_state_dict(broken.state_dict())
    tail = exhaust(resumed)
    assert same_state(unbroken, resumed)
    assert resumed.best.step == unbroken.best.step
    assert [r.terms for r in tail] == [r.terms for r in records if r.step > stop]


def test_the_model_with_the_lowest_held_out_loss_is_the_result(small):
    trainer = Trainer(small, QUICK)
    losses = {r.step: r.held_out_loss for r in trainer.run() if r.held_out_loss is not None}
    assert trainer.best.step == min(losses, key=losses.get)
    trainer.finish()
    x, target = small.batch(small.selection_frames(200))
    with torch.no_grad():
        loss = (trainer.model(0.0, x) - target).square().mean() / trainer.model.scales.rate**2
    assert float(loss) == pytest.approx(trainer.best.loss, rel=1e-4)


def test_evaluations_are_evenly_spread(small):
    steps = [r.step for r in Trainer(small, QUICK).run() if r.held_out_loss is not None]
    assert steps == [10, 20, 30, 40]


def test_held_out_frames_are_never_trained_on(small):
    poisoned = small.activity.clone(), small.rate.clone()
    for array in poisoned:
        array[small.first_held_out :] = float("nan")
    trainer = Trainer(Recording(*poisoned, small.dt, small.held_out), QUICK)
    for _ in range(20):
        trainer.advance()
    assert all(torch.isfinite(p).all() for p in trainer.model.parameters())


def test_a_loss_that_is_not_finite_stops_at_once(small):
    rate = small.rate.clone()
    rate[: small.n_training] = float("nan")
    scales = small.scales()
    trainer = Trainer(small, QUICK)
    trainer.recording = Recording(small.activity, rate, small.dt, small.held_out)
    assert scales == trainer.model.scales
    with pytest.raises(DivergenceError, match=r"step 0.*learning_rate"):
        trainer.advance()


def test_step_size_rises_then_falls():
    cfg = Training(steps=1000, warm_up=0.1, final_rate=1e-3)
    sizes = np.array([step_size(k, cfg) for k in range(1000)])
    assert np.argmax(sizes) == pytest.approx(99, abs=2)
    assert np.all(np.diff(sizes[:99]) > 0)
    assert np.all(np.diff(sizes[100:]) <= 0)
    assert sizes[-1] == pytest.approx(1e-3)
    half_way = 0.5 * (1 + math.cos(math.pi * 0.5))
    assert sizes[500] == pytest.approx(half_way)


def test_whitened_senders_are_white():
    recording = simulated(8, 4000)
    whitener = whitening(recording, bend=1.0, ridge=1e-9)
    firing = torch.tanh(recording.activity[: recording.n_training])
    white = firing @ whitener.T
    covariance = white.T @ white / len(white)
    covariance = covariance / covariance.diagonal().mean()
    torch.testing.assert_close(covariance, torch.eye(8), rtol=0, atol=0.02)


@pytest.mark.parametrize("name", Penalties.model_fields)
def test_a_penalty_is_one_named_term_and_acts(small, name):
    """Following a term's gradient lowers it; a weight of zero leaves no term."""
    trainer = Trainer(small, QUICK)
    with torch.no_grad():
        for parameter in trainer.model.parameters():
            parameter.add_(
                0.3 * torch.randn(parameter.shape, generator=torch.Generator().manual_seed(4))
            )
    weight = Penalties(**{name: 1.0})

    def term() -> torch.Tensor:
        terms = penalties(trainer.model, trainer.model.psi(trainer.psi_knots.x), weight)
        assert list(terms) == [name]
        return terms[name]

    before = term()
    parameters = list(trainer.model.parameters())
    gradients = torch.autograd.grad(before, parameters, allow_unused=True)
    assert any(g is not None and g.abs().max() > 0 for g in gradients)
    with torch.no_grad():
        size = sum(float(g.square().sum()) for g in gradients if g is not None)
        for parameter, gradient in zip(parameters, gradients, strict=True):
            if gradient is not None:
                parameter.sub_(1e-3 * float(before.detach()) / size * gradient)
    assert 0 < float(term().detach()) < float(before.detach())
    assert penalties(trainer.model, trainer.model.psi(trainer.psi_knots.x), Penalties()) == {}


def test_penalties_are_columns_of_the_record(small):
    cfg = QUICK.model_copy(update={"penalties": Penalties(phi_zero=0.1, latent_l2=0.2)})
    record = exhaust(Trainer(small, cfg))[0]
    assert list(record.terms) == ["fit", "phi_zero", "latent_l2"]


@pytest.mark.parametrize("exact", [True, False], ids=["drift", "finite_difference"])
def test_a_miniature_of_the_whole_idea(exact):
    """10 neurons of 2 types: W, types, psi and phi come back from activity alone.

    The finite differences are those of a noisy recording, so that W is known less well.
    """
    recording = simulated(10, 6000, noise=5.0 if exact else 0.5, exact=exact)
    cfg = Training(
        steps=500,
        batch_frames=64,
        evaluations=10,
        held_out=0.2,
        network=Network(hidden=32),
        learning_rate=LearningRate(connectivity=4e-3, functions=8e-3),
    )
    trainer = Trainer(recording, cfg)
    exhaust(trainer)
    recovery = read_out(trainer.finish(), recording, Recovery())
    off = ~np.eye(10, dtype=bool)
    true = recording.true_weights.numpy()[off]
    learned = recovery["connectivity"].values[off]
    assert np.corrcoef(true, learned)[0, 1] ** 2 > (0.99 if exact else 0.9)
    if exact:
        assert np.polyfit(true, learned, 1)[0] == pytest.approx(1, abs=0.03)
        assert recovery["neuron_type"].values.tolist() == [0] * 5 + [1] * 5
        x = recovery["x"].values
        inner = np.abs(x) < 5
        np.testing.assert_allclose(
            recovery["psi"].values[0, inner], np.tanh(x[inner]), rtol=0, atol=0.1
        )


def test_a_rollout_starts_at_a_held_out_frame_and_predicts_from_it_alone(small):
    trainer = Trainer(small, QUICK)
    exhaust(trainer)
    rollout = roll_out(trainer.finish(), small, 30)
    start = small.first_held_out
    assert rollout.attrs["start_frame"] == start
    truth = small.activity[start : start + 31].numpy()
    np.testing.assert_array_equal(rollout["activity"].values, truth)
    np.testing.assert_array_equal(rollout["activity_hat"].values[0], truth[0])
    with torch.no_grad():
        x = small.activity[start]
        for _ in range(30):
            x = x + small.dt * trainer.model(0.0, x)
    np.testing.assert_allclose(rollout["activity_hat"].values[30], x.numpy(), rtol=1e-5)

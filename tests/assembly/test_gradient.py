"""Training: named terms, held-out choice, bit-identical resume, and a miniature of the idea."""

import copy
import io
import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from assemblies import grid_sites, numbers

from ngpipe.assembly.gradient import Trainer, build, roots, step_size
from ngpipe.assembly.known_input import KnownInput
from ngpipe.assembly.objective import penalties
from ngpipe.assembly.readout import read_out
from ngpipe.assembly.recording import Recording
from ngpipe.assembly.rollout import roll_out
from ngpipe.config.assembly.recovery import Recovery
from ngpipe.config.assembly.simulation import NeuronType
from ngpipe.config.assembly.training import HiddenInput, LearningRate, Network, Penalties, Training
from ngpipe.dynamics.assembly import assembly_drift, constants_of
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
    types = NeuronType(leak=1), NeuronType(leak=2)
    drift = assembly_drift(weights, constants_of(types, np.arange(n) * 2 // n))
    x0 = torch.randn(n, generator=generator)
    frames = euler_maruyama(drift, x0, dt=0.01, noise=noise, generator=generator)
    ((_, x, rate),) = blocks(frames, n_frames, length=n_frames)
    recording = Recording(x, rate if exact else None, dt=0.01, held_out=0.2)
    object.__setattr__(recording, "true_weights", weights)
    return recording


HIDDEN = QUICK.model_copy(
    update={
        "held_out_as": "blocks",
        "input": "field",
        "field": HiddenInput(hidden=8, hidden_layers=2, windows=4, window_frames=10),
    }
)


@pytest.fixture(scope="module")
def small():
    return simulated(6, 400)


@pytest.fixture(scope="module")
def driven(small):
    """The same with four driven neurons, and held-out blocks."""
    return replace(small, in_blocks=True, sites=grid_sites(2, 6))


@pytest.fixture(
    scope="module",
    params=[
        "without input",
        "pair",
        *(
            pytest.param(sees, marks=pytest.mark.slow)
            for sees in ("activity", "sender", "receiver")
        ),
    ],
)
def case(request, small, driven):
    """A recording and a config: no input, and a hidden one with each kind of psi*."""
    if request.param == "without input":
        return small, QUICK
    network = Network(hidden=8, psi_sees=request.param, receiver_rank=2)
    return driven, HIDDEN.model_copy(update={"network": network})


@pytest.fixture(scope="module")
def unbroken(case):
    """A training from beginning to end, and its records; shared, so only to be read."""
    torch.manual_seed(0)
    trainer = Trainer(*case)
    return trainer, exhaust(trainer)


@pytest.fixture
def trained(case, unbroken):
    """The same, with the test to itself."""
    trainer = Trainer(*case)
    trainer.load_state_dict(copy.deepcopy(unbroken[0].state_dict()))
    return trainer


def exhaust(trainer: Trainer) -> list:
    return list(trainer.run())


def same_state(first: Trainer, second: Trainer) -> bool:
    return same_bits(first.model.state_dict(), second.model.state_dict())


def same_bits(a: dict, b: dict) -> bool:
    """Whether all arrays are equal, NaN being equal to NaN."""
    options = {"rtol": 0, "atol": 0, "equal_nan": True}
    return a.keys() == b.keys() and all(torch.allclose(a[name], b[name], **options) for name in a)


@pytest.mark.quick(1)
def test_same_seed_same_bits(case, unbroken):
    recording, cfg = case
    second, other = Trainer(recording, cfg), Trainer(recording, cfg.model_copy(update={"seed": 99}))
    for trainer in (second, other):
        exhaust(trainer)
    assert same_state(unbroken[0], second)
    assert not same_state(unbroken[0], other)


@pytest.mark.quick(1)
def test_global_randomness_is_neither_read_nor_touched(case, unbroken):
    """The other training began with another global seed."""
    torch.manual_seed(1)
    before = torch.get_rng_state()
    second = Trainer(*case)
    exhaust(second)
    assert torch.equal(torch.get_rng_state(), before)
    assert same_state(unbroken[0], second)


@pytest.mark.quick(1)
@pytest.mark.parametrize("stop", [1, 17, 25])
def test_resuming_gives_the_bits_of_an_unbroken_run(case, unbroken, stop):
    """The state passes through a file, as after a kill."""
    recording, cfg = case
    unbroken, records = unbroken
    broken = Trainer(recording, cfg)
    while broken.step < stop:
        broken.advance()
        if broken.evaluation_due():
            broken.evaluate()
    saved = io.BytesIO()
    torch.save(broken.state_dict(), saved)
    saved.seek(0)
    resumed = Trainer(recording, cfg)
    resumed.load_state_dict(torch.load(saved, weights_only=True))
    tail = exhaust(resumed)
    assert same_state(unbroken, resumed)
    assert resumed.best.step == unbroken.best.step
    assert same_bits(unbroken.best.state, resumed.best.state)
    assert [r.terms for r in tail] == [r.terms for r in records if r.step > stop]


@pytest.mark.quick(1)
def test_the_model_with_the_lowest_held_out_loss_is_the_result(case, unbroken, trained):
    """Its loss is that of the exact model at the selection frames, each at its own time."""
    recording, _ = case
    trainer = trained
    losses = {r.step: r.held_out_loss for r in unbroken[1] if r.held_out_loss is not None}
    assert trainer.best.step == min(losses, key=losses.get)
    model, squares = trainer.finish(), []
    with torch.no_grad():
        for frame in recording.selection_frames(200).tolist():
            predicted = model(frame * recording.dt, recording.activity[frame])
            squares.append((predicted - recording.rate[frame]).square())
    loss = torch.stack(squares).mean() / model.scales.rate**2
    assert float(loss) == pytest.approx(trainer.best.loss, rel=1e-3)


def test_evaluations_are_evenly_spread(unbroken):
    steps = [r.step for r in unbroken[1] if r.held_out_loss is not None]
    assert steps == [10, 20, 30, 40]


@pytest.mark.quick(1)
def test_held_out_frames_are_never_trained_on(case):
    recording, cfg = case
    poisoned = recording.activity.clone(), recording.rate.clone()
    for array in poisoned:
        for block in recording.blocks:
            array[block.start : block.stop] = float("nan")
    other = replace(recording, activity=poisoned[0], rate=poisoned[1])
    trainer = Trainer(other, cfg)
    for _ in range(20):
        trainer.advance()
    assert all(torch.isfinite(p).all() for p in trainer.model.parameters())


@pytest.mark.quick(1)
def test_all_training_frames_are_drawn_and_no_other(case):
    recording, cfg = case
    trainer, seen = Trainer(recording, cfg), set()
    for _ in range(400):
        frames, _ = trainer.draw()
        assert len(frames) == cfg.batch_frames
        seen |= set(frames.tolist())
    training = set(recording.training_frames.tolist())
    assert seen <= training
    assert len(seen) > 0.98 * len(training)


@pytest.mark.parametrize("mode", ["multiplicative", "additive"])
def test_the_field_of_a_batch_is_linear_between_the_ends_of_its_windows(driven, mode):
    """In windows of two frames each is an end, and there the field is exact."""
    field = HIDDEN.field.model_copy(update={"windows": 4, "window_frames": 2})
    cfg = HIDDEN.model_copy(update={"field": field, "input_mode": mode})
    trainer = Trainer(driven, cfg)
    strengthen(trainer)
    frames, omega = trainer.draw()
    exact = trainer.model.omega(driven.times(frames))
    torch.testing.assert_close(omega, exact, rtol=1e-4, atol=1e-4)
    assert exact.std(0)[:4].min() > 1e-2


def test_within_a_window_the_field_is_mixed_by_distance_in_time(driven):
    """Against the line through both ends, for windows that jump over held-out blocks too."""
    field = HIDDEN.field.model_copy(update={"windows": 2, "window_frames": 60})
    trainer = Trainer(driven, HIDDEN.model_copy(update={"field": field, "batch_frames": 400}))
    strengthen(trainer)
    known = driven.training_frames.tolist()
    for _ in range(4):
        state = trainer.generator.get_state()
        start = torch.randint(len(known) - 59, (2, 1), generator=trainer.generator).tolist()
        trainer.generator.set_state(state)
        frames, omega = trainer.draw()
        for k, (first,) in enumerate(start):
            low, high = known[first], known[first + 59]
            frame = frames[200 * k : 200 * (k + 1), None]
            assert ((low <= frame) & (frame <= high)).all()
            ends = trainer.model.omega(driven.times(torch.tensor([low, high]))).detach()
            by_hand = ((high - frame) * ends[0] + (frame - low) * ends[1]) / (high - low)
            found = omega[200 * k : 200 * (k + 1)].detach()
            torch.testing.assert_close(found, by_hand, rtol=1e-4, atol=1e-4)


def strengthen(trainer: Trainer) -> None:
    """Make the field strong and fast."""
    with torch.no_grad():
        last = trainer.model.external.siren.layers[-1]
        last.weight.copy_(0.5 * numbers(5, *last.weight.shape))


def test_the_loss_of_a_batch_is_that_of_the_exact_model(case, trained):
    """Tables and windows are short cuts, no other model."""
    recording, trainer = case[0], trained
    state = trainer.generator.get_state()
    fast = float(trainer.terms()["fit"].detach())
    trainer.generator.set_state(state)
    frames, omega = trainer.draw()
    x, target = recording.batch(frames)
    with torch.no_grad():
        exact = trainer.model(recording.times(frames), x)
        if omega is not None:
            exact = trainer.model.combine(trainer.model.phi_of(x), trainer.model.sent(x), omega)
        loss = (exact - target).square().mean() / trainer.model.scales.rate**2
    assert fast == pytest.approx(float(loss), rel=5e-3)


def test_a_known_input_is_used_and_not_trained(driven):
    known = KnownInput(
        1 + 0.3 * numbers(3, 5, 6), torch.linspace(0, 4, 400), driven.dt, "multiplicative"
    )
    recording = replace(driven, known_input=known)
    cfg = QUICK.model_copy(update={"input": "known", "held_out_as": "blocks"})
    trainer, before = Trainer(recording, cfg), known.table.clone()
    _, omega = trainer.draw()
    assert omega.std(0).min() > 0.01
    exhaust(trainer)
    assert torch.equal(known.table, before)
    assert not any("external" in name for name in trainer.finish().state_dict())


def test_what_the_config_says_is_built(driven):
    generator, scales = torch.Generator(), driven.scales()
    for kind, mode in (("none", None), ("field", "additive"), ("field", "multiplicative")):
        cfg = HIDDEN.model_copy(update={"input": kind, "input_mode": mode})
        assert build(driven, cfg, generator, scales).mode == mode


def test_a_loss_that_is_not_finite_stops_at_once(small):
    rate = small.rate.clone()
    rate[small.training_frames] = float("nan")
    scales = small.scales()
    trainer = Trainer(small, QUICK)
    trainer.recording = replace(small, rate=rate)
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
    """What psi* sends, in the coordinates of V, over the training frames."""
    recording = simulated(8, 4000)
    trainer = Trainer(recording, QUICK.model_copy(update={"whitening_ridge": 1e-9}))
    with torch.no_grad():
        sent = trainer.model.sent(recording.activity[recording.training_frames])[..., 0]
    white = sent @ trainer.model.basis.T
    second_moment = white.T @ white / len(white)
    second_moment = second_moment / second_moment.diagonal().mean()
    torch.testing.assert_close(second_moment, torch.eye(8), rtol=0, atol=0.02)


@pytest.mark.parametrize("sees", ["receiver", "pair"])
def test_receivers_are_averaged_over_in_whitening(driven, sees):
    """The second moment of psi_ij(x_j), edge by edge, over receivers and frames."""
    network = Network(hidden=8, psi_sees=sees, receiver_rank=3)
    trainer = Trainer(driven, HIDDEN.model_copy(update={"network": network}))
    model = trainer.model
    with torch.no_grad():
        model.latent.copy_(numbers(6, *model.latent.shape))
        for k, parameter in enumerate([*model.psi.parameters(), *model.gates.parameters()]):
            parameter.copy_(0.5 * numbers(k, *parameter.shape))
        trainer.whiten()
        x = driven.activity[driven.training_frames]
        expected = torch.zeros(6, 6)
        for i in range(6):
            each = [
                model.psi_curves(model.latent[i : i + 1], model.latent[j : j + 1], x[None, :, j])[0]
                for j in range(6)
            ]
            psi = torch.stack(each, -1)
            expected += psi.T @ psi / len(psi) / 6
    _, basis = roots(expected.double(), trainer.cfg.whitening_ridge)
    torch.testing.assert_close(model.basis, basis, rtol=1e-2, atol=1e-2 * float(basis.abs().max()))


def test_whitening_anew_changes_coordinates_and_no_weight(case):
    recording, cfg = case
    trainer = Trainer(recording, cfg)
    while trainer.step < 12:
        trainer.advance()
    before, basis = trainer.model.connectivity.detach(), trainer.model.basis.clone()
    trainer.whiten()
    assert not torch.allclose(trainer.model.basis, basis)
    torch.testing.assert_close(
        trainer.model.connectivity.detach(), before, rtol=1e-3, atol=1e-3 * float(before.std())
    )


def test_roots_are_roots(generator):
    """R R = C + ridge for C of mean diagonal 1, P R = 1; both are symmetric."""
    half = torch.randn(7, 20, generator=generator, dtype=torch.float64)
    c = half @ half.T
    root, inverse = (m.double() for m in roots(c, 0.1))
    ridged = c / c.diagonal().mean() + 0.1 * torch.eye(7)
    torch.testing.assert_close(root @ root, ridged, rtol=1e-5, atol=1e-5)
    torch.testing.assert_close(inverse @ root, torch.eye(7).double(), rtol=1e-5, atol=1e-5)
    for m in (root, inverse):
        torch.testing.assert_close(m, m.T, rtol=1e-6, atol=1e-6)


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

    def psi_table() -> torch.Tensor:
        return trainer.model.psi(trainer.psi_knots.x)[None, :, 0]

    def term() -> torch.Tensor:
        terms = penalties(trainer.model, psi_table(), weight)
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
    assert penalties(trainer.model, psi_table(), Penalties()) == {}


def test_penalties_are_columns_of_the_record(small):
    cfg = QUICK.model_copy(update={"penalties": Penalties(phi_zero=0.1, latent_l2=0.2)})
    record = exhaust(Trainer(small, cfg))[0]
    assert list(record.terms) == ["fit", "phi_zero", "latent_l2"]


@pytest.mark.slow
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


def test_a_rollout_starts_at_a_held_out_frame_and_predicts_from_it_alone(case, trained):
    """Step by step, the input being that of the time it has become."""
    recording, _ = case
    model = trained.finish()
    if model.external is not None:
        strengthen(trained)
    rollout = roll_out(model, recording, 30)
    start = recording.first_held_out
    assert rollout.attrs["start_frame"] == start > 0
    truth = recording.activity[start : start + 31].numpy()
    np.testing.assert_array_equal(rollout["activity"].values, truth)
    np.testing.assert_array_equal(rollout["activity_hat"].values[0], truth[0])
    with torch.no_grad():
        x = recording.activity[start]
        for k in range(30):
            x = x + recording.dt * model((start + k) * recording.dt, x)
    np.testing.assert_allclose(rollout["activity_hat"].values[30], x.numpy(), rtol=1e-4, atol=1e-4)


def test_held_out_rates_are_predicted_at_their_own_times(case, trained):
    recording, model = case[0], trained.finish()
    rollout = roll_out(model, recording, 5)
    frames = recording.scoring_frames(200).tolist()
    np.testing.assert_allclose(rollout["sample"], recording.dt * np.array(frames), rtol=1e-6)
    for k, frame in list(enumerate(frames))[::7]:
        with torch.no_grad():
            rate = model(frame * recording.dt, recording.activity[frame]).numpy()
        np.testing.assert_allclose(rollout["drift_hat"].values[k], rate, rtol=1e-3, atol=1e-3)
        np.testing.assert_array_equal(rollout["drift"].values[k], recording.rate[frame])

"""The same code on CUDA: results agree with the CPU within the documented tolerance."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch

from ngpipe.assembly.field import Sites
from ngpipe.assembly.gradient import Trainer
from ngpipe.assembly.known_input import KnownInput
from ngpipe.assembly.readout import read_out
from ngpipe.assembly.recording import Recording
from ngpipe.assembly.rollout import roll_out
from ngpipe.config.assembly.recovery import Recovery
from ngpipe.config.assembly.simulation import NeuronType
from ngpipe.config.assembly.training import HiddenInput, Network, Training
from ngpipe.dynamics.assembly import assembly_drift, constants_of
from ngpipe.dynamics.integrate import euler_maruyama

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]
DEVICES = (torch.device("cpu"), torch.device("cuda"))
N = 20


def config(sees: str, given: str, mode: str) -> Training:
    return Training(
        steps=100,
        batch_frames=32,
        evaluations=2,
        held_out=0.2,
        held_out_as="blocks",
        input=given,
        input_mode=mode,
        field=HiddenInput(hidden=16, hidden_layers=2, windows=4),
        network=Network(hidden=16, psi_sees=sees, receiver_rank=3),
    )


def recorded(device: torch.device, mode: str) -> Recording:
    """9 driven neurons on a grid, and a known input; the numbers are the same on every device."""
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(500, N, generator=generator).cumsum(0) / 5
    rate = torch.randn(500, N, generator=generator)
    table = 1 + 0.2 * torch.randn(5, N, generator=generator)
    centres = (torch.arange(3) + 0.5) / 3
    sites = Sites(torch.arange(9), torch.cartesian_prod(centres, centres), N)
    return Recording(
        x.to(device),
        rate.to(device),
        dt=0.01,
        held_out=0.2,
        in_blocks=True,
        sites=sites.to(device),
        known_input=KnownInput(table.to(device), torch.linspace(0, 4, 500).to(device), 0.01, mode),
    )


CASES = [
    ("activity", "none", "multiplicative"),
    ("sender", "field", "multiplicative"),
    ("receiver", "field", "additive"),
    ("pair", "field", "multiplicative"),
    ("pair", "known", "multiplicative"),
]


@pytest.mark.parametrize(("sees", "given", "mode"), CASES)
def test_training_starts_the_same_on_both_devices(sees, given, mode):
    """Same batches, same initial parameters: 20 steps agree to 1e-3 of the loss."""
    cfg = config(sees, given, mode)
    trainers = [Trainer(recorded(device, mode), cfg) for device in DEVICES]
    for _ in range(20):
        cpu, cuda = (float(t.advance()["fit"].detach()) for t in trainers)
        assert cuda == pytest.approx(cpu, rel=1e-3)


@pytest.mark.parametrize(("sees", "given", "mode"), CASES)
def test_a_model_is_evaluated_and_read_out_alike(sees, given, mode):
    """One trained model on both devices: held-out loss, read-out, rollout, W in training."""
    cfg = config(sees, given, mode)
    recordings = [recorded(device, mode) for device in DEVICES]
    trainers = [Trainer(recording, cfg) for recording in recordings]
    for _ in range(30):
        trainers[0].advance()
    trainers[1].load_state_dict(trainers[0].state_dict())
    losses = [trainer.evaluate() for trainer in trainers]
    assert losses[1] == pytest.approx(losses[0], rel=1e-4)
    weights = [trainer.connectivity().cpu() for trainer in trainers]
    torch.testing.assert_close(*weights, rtol=1e-3, atol=1e-3 * float(weights[0].std()))
    found, predicted = [], []
    for trainer, recording in zip(trainers, recordings, strict=True):
        model = trainer.finish()
        found.append(read_out(model, recording, Recovery(n_types=2, grid=101)))
        predicted.append(roll_out(model, recording, 10))
    for one, other in (found, predicted):
        assert set(one) == set(other)
        for name in one.data_vars:
            a, b = one[name].values, other[name].values
            np.testing.assert_allclose(b, a, rtol=0, atol=2e-3 * np.abs(a).max(), err_msg=name)


@pytest.fixture
def deterministic() -> Iterator[None]:
    """On CUDA the order of some sums is left to chance unless torch is told otherwise."""
    torch.use_deterministic_algorithms(True)
    yield
    torch.use_deterministic_algorithms(False)


@pytest.mark.usefixtures("deterministic")
def test_resuming_on_the_device_gives_the_bits_of_an_unbroken_run():
    cfg = config("pair", "field", "multiplicative")
    unbroken, broken, resumed = (Trainer(recorded(DEVICES[1], cfg.input_mode), cfg) for _ in "123")
    for _ in range(20):
        unbroken.advance()
    for _ in range(11):
        broken.advance()
    resumed.load_state_dict(broken.state_dict())
    while resumed.step < 20:
        resumed.advance()
    first, second = unbroken.model.state_dict(), resumed.model.state_dict()
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_finite_differences_are_taken_on_the_device():
    recordings = [replace(recorded(device, "additive"), rate=None) for device in DEVICES]
    batches = [r.batch(r.training_sample(50)) for r in recordings]
    for cpu, cuda in zip(*batches, strict=True):
        torch.testing.assert_close(cuda.cpu(), cpu, rtol=1e-4, atol=1e-4)


def test_the_noise_is_the_same_on_both_devices(generator):
    weights = torch.randn(8, 8, generator=generator)
    constants = constants_of((NeuronType(),), np.zeros(8, dtype=int))
    x0 = torch.randn(8, generator=generator)
    ends = []
    for device in DEVICES:
        frames = euler_maruyama(
            assembly_drift(weights.to(device), constants.to(device)),
            x0.to(device),
            dt=0.01,
            noise=1.0,
            generator=torch.Generator().manual_seed(5),
        )
        for _ in range(50):
            x, _ = next(frames)
        ends.append(x.cpu())
    torch.testing.assert_close(*ends, rtol=1e-3, atol=1e-3)

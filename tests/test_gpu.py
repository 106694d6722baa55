"""The same code on CUDA: results agree with the CPU within the documented tolerance."""

import pytest
import torch

from ngpipe.assembly.gradient import Trainer
from ngpipe.assembly.recording import Recording
from ngpipe.config.training import Network, Training
from ngpipe.dynamics.assembly import Constants, assembly_drift
from ngpipe.dynamics.integrate import euler_maruyama

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
]
CUDA = torch.device("cuda")


def test_training_starts_the_same_on_both_devices(generator):
    """Same batches, same initial parameters: 20 steps agree to 1e-3 of the loss."""
    x = torch.randn(500, 20, generator=generator).cumsum(0) / 5
    rate = torch.randn(500, 20, generator=generator)
    cfg = Training(steps=100, batch_frames=32, held_out=0.2, network=Network(hidden=16))
    trainers = [
        Trainer(Recording(x.to(device), rate.to(device), dt=0.01, held_out=0.2), cfg)
        for device in (torch.device("cpu"), CUDA)
    ]
    for _ in range(20):
        cpu, cuda = (float(t.advance()["fit"].detach()) for t in trainers)
        assert cuda == pytest.approx(cpu, rel=1e-3)


def test_the_noise_is_the_same_on_both_devices(generator):
    weights = torch.randn(8, 8, generator=generator)
    constants = Constants(torch.ones(8), torch.ones(8))
    x0 = torch.randn(8, generator=generator)
    ends = []
    for device in (torch.device("cpu"), CUDA):
        moved = Constants(constants.leak.to(device), constants.self_excitation.to(device))
        frames = euler_maruyama(
            assembly_drift(weights.to(device), moved),
            x0.to(device),
            dt=0.01,
            noise=1.0,
            generator=torch.Generator().manual_seed(5),
        )
        for _ in range(50):
            x, _ = next(frames)
        ends.append(x.cpu())
    torch.testing.assert_close(*ends, rtol=1e-3, atol=1e-3)

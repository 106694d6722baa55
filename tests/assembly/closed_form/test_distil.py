"""A solution as a model: W exactly, phi and psi within about a percent where neurons have been."""

from functools import cache

import pytest
import torch
from systems import simulated, solved, training

from ngpipe.assembly import gradient
from ngpipe.assembly.closed_form import distil as distil_module
from ngpipe.assembly.closed_form.distil import distil
from ngpipe.assembly.closed_form.solution import Solution
from ngpipe.assembly.gnn import AssemblyGNN
from ngpipe.assembly.recording import Recording

pytestmark = pytest.mark.slow

STEPS = 600
Distilled = tuple[AssemblyGNN, Solution, Recording]
every_psi = pytest.mark.parametrize("sees", ["activity", "sender", "receiver"])


@cache
def distilled(
    sees: str, steps: int = STEPS, again: int = 0
) -> tuple[AssemblyGNN, Solution, Recording]:
    """A model told what was found; shared, so not to be changed."""
    recording, cfg = simulated(sees).recording, training(sees, hidden=32, distil_steps=steps)
    generator = torch.Generator().manual_seed(cfg.seed)
    model = gradient.build(recording, cfg, generator, recording.scales())
    solution, told = solved(sees), []

    def report(stage: str, **reached: float) -> None:
        if "of" not in reached:
            told.append((stage, reached["loss"]))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(distil_module, "POINTS", 20)
        distil(model, solution, recording, cfg.closed_form, generator=generator, report=report)
    assert [stage for stage, _ in told] == ["networks"]
    assert told[0][1] > 0
    return model, solution, recording


def rms(found: torch.Tensor, true: torch.Tensor) -> float:
    """Error of all curves together, relative to all of them."""
    return float(((found - true).square().mean() / true.square().mean()).sqrt())


@every_psi
def test_a_model_says_what_the_solution_says(sees):
    model, solution, recording = distilled(sees)
    low, high = recording.visited(0.999).T
    x = torch.lerp(low[:, None], high[:, None], torch.linspace(0, 1, 60))
    n = recording.n_neurons
    with torch.no_grad():
        torch.testing.assert_close(
            model.connectivity.double(), solution.weights, rtol=1e-5, atol=1e-5
        )
        assert torch.equal(model.connectivity.diagonal(), torch.zeros(n))
        phi = model.scales.rate * model.phi(x, model.latent[:, None, :])[..., 0]
        assert rms(phi, solution.phi_curves(x)) < 0.01
        receivers, senders = torch.cartesian_prod(torch.arange(n), torch.arange(n)).T
        psi = model.psi_curves(model.latent[receivers], model.latent[senders], x[senders])
        assert rms(psi, solution.psi(receivers, senders, x[senders])) < 0.01
        frames = recording.scoring_frames(100)
        activity, rate = recording.batch(frames)
        assert rms(model(recording.times(frames), activity), rate) < 0.015


def test_latents_keep_types_apart():
    """Far more than they spread within a type."""
    model, solution, _ = distilled("activity")
    one, other = (model.latent.detach()[solution.types == k] for k in (0, 1))
    between = float((one.mean(0) - other.mean(0)).norm())
    within = max(float((a - a.mean(0)).norm(dim=1).max()) for a in (one, other))
    assert between > 5 * within


def test_the_same_generator_gives_the_same_model():
    one, other = (distilled("receiver", 20, again)[0].state_dict() for again in (0, 1))
    for name, value in one.items():
        assert torch.equal(value, other[name]), name


def test_the_global_generator_is_left_alone():
    before = torch.get_rng_state()
    distilled("activity", 2)
    assert torch.equal(torch.get_rng_state(), before)

"""Baselines recover the system that is theirs; forecasts stay inside held-out stretches."""

import numpy as np
import pytest
import torch
from assemblies import numbers, random_model

from ngpipe.assembly.baselines import RIDGES, baselines
from ngpipe.assembly.forecasts import forecasts
from ngpipe.assembly.recording import Recording
from ngpipe.dynamics.integrate import euler_maruyama, trajectory

N, DT = 6, 0.05
MIXED = -torch.eye(N) + 0.8 * torch.linalg.qr(numbers(4, N, N)).Q.float()
"""Linear couplings whose activity neither grows nor dies at once."""


def linear(t, x):
    return (x - 1.0) @ MIXED.T + 0.3


def alone(t, x):
    return -x + 2 * torch.tanh(x)


def recording(drift, n: int, *, noise: float, exact: bool = False, **how) -> Recording:
    """Noise excites all directions; exact rates do not contain it."""
    generator = torch.Generator().manual_seed(1)
    frames = euler_maruyama(
        drift, 2 * numbers(3, N).float(), dt=DT, noise=noise, generator=generator
    )
    x, rate = map(torch.stack, zip(*(next(frames) for _ in range(n)), strict=True))
    return Recording(x, rate if exact else None, DT, held_out=0.2, **how)


def grown(found, name: str) -> np.ndarray:
    """Error over variance by lead."""
    error = found["forecast_error"].sel(predictor=name).mean("start", skipna=False)
    return (error / found["forecast_variance"].mean("start")).values


def test_the_autoregression_finds_linear_dynamics_and_the_others_do_not():
    made = recording(linear, 1000, noise=0.5, exact=True)
    rate = baselines(made)["autoregression"]
    x = 2 * numbers(8, 50, N).float()
    torch.testing.assert_close(rate(x), linear(0, x), atol=1e-3, rtol=1e-3)
    found = forecasts(random_model(N), made, 20)
    lost = {name: grown(found, name)[9] for name in ("persistence", "autoregression", "alone")}
    assert lost["autoregression"] < 0.9 * min(lost["persistence"], lost["alone"])


def test_each_neuron_alone_finds_its_own_function():
    made = recording(alone, 2000, noise=1.0, exact=True)
    rate = baselines(made)["alone"]
    x = torch.linspace(-1.5, 1.5, 20)[:, None].expand(-1, N)
    torch.testing.assert_close(rate(x), alone(0, x), atol=0.02, rtol=0.0)


def test_persistence_stays():
    x = numbers(3, 4, N)
    assert not baselines(recording(linear, 300, noise=0.5))["persistence"](x).any()


def test_noise_makes_the_ridge_large():
    """Rates of nothing but noise are best predicted by none."""
    x = numbers(1, 400, N).float()
    made = Recording(x, numbers(2, 400, N).float(), DT, held_out=0.2)
    at = made.activity[made.training_frames]
    assert float(baselines(made)["autoregression"](at).square().mean()) < 0.05
    assert max(RIDGES) >= 10


def test_held_out_frames_change_no_baseline():
    made = recording(linear, 1000, noise=0.5)
    other = made.activity.clone()
    # The last training frame's difference reaches the first that is held out.
    other[made.first_held_out + 1 :] = 100.0
    changed = Recording(other, None, DT, held_out=0.2)
    x = numbers(5, 10, N).float()
    for name, rate in baselines(made).items():
        torch.testing.assert_close(rate(x), baselines(changed)[name](x))


def test_the_true_model_forecasts_what_follows():
    """Errors of the model are those of its own free run."""
    made = recording(linear, 1000, noise=0.2)
    model = random_model(N)
    found = forecasts(model, made, 15)
    start = int(found["start"][0])
    run = trajectory(model.as_drift(), made.activity[start], dt=DT, n_frames=16)
    error = (run - made.activity[start : start + 16]).square().mean(-1)[1:]
    np.testing.assert_allclose(found["forecast_error"][0, 0], error.detach(), rtol=1e-4)
    np.testing.assert_allclose(found["lead"], DT * np.arange(1, 16))


@pytest.mark.quick(1)
@pytest.mark.parametrize("blocks", [False, True])
def test_forecasts_stay_in_held_out_frames_of_one_stretch(blocks):
    parts = (range(0, 380), range(390, 930), range(940, 1400))
    made = recording(linear, 1400, noise=0.5, in_blocks=blocks, stretches=parts)
    found = forecasts(random_model(N), made, 30)
    lead = found.sizes["lead"]
    assert lead == (19 if blocks else 30)
    scored = {
        k for block in made.blocks[0::2] for k in made.usable[block.start : block.stop].tolist()
    }
    for start in found["start"].values.tolist():
        reached = set(range(start, start + lead + 1))
        assert reached <= scored
        assert any(reached <= set(part) for part in parts)


def test_a_start_that_diverges_is_nan_from_there_on_and_the_others_are_not():
    made = recording(linear, 600, noise=0.5)
    model = random_model(N)
    with torch.no_grad():
        model.V.mul_(30.0)
    errors = forecasts(model, made, 60)["forecast_error"]
    lost = np.isnan(errors.sel(predictor="model").values)
    assert lost[:, -1].all()
    assert not lost[:, 0].any()
    assert (np.diff(lost.astype(int), axis=1) >= 0).all()
    assert np.isfinite(errors.sel(predictor="alone")).all()


def test_no_two_held_out_frames_in_a_row_give_nothing():
    x = numbers(1, 40, N).float()
    parts = tuple(range(k, k + 2) for k in range(0, 40, 2))
    made = Recording(x, None, DT, held_out=0.2, stretches=parts)
    assert not forecasts(random_model(N), made, 5)


def test_forecasts_step_by_the_intervals_of_their_frames():
    """Euler steps of uneven size of a rotation, forecast by the drift itself."""
    turning = MIXED - MIXED.T
    steps = DT * (1 + 0.8 * torch.rand(1000, generator=torch.Generator().manual_seed(2)))
    x, frames = 2 * numbers(3, N).float(), []
    for step in steps:
        frames.append(x)
        x = x + step * x @ turning.T
    made = Recording(torch.stack(frames), None, DT, held_out=0.2, intervals=steps.double())
    model = random_model(N)
    model.as_drift = lambda: lambda t, x: x @ turning.T
    assert grown(forecasts(model, made, 20), "model").max() < 1e-6
    even = Recording(torch.stack(frames), None, DT, held_out=0.2)
    assert grown(forecasts(model, even, 20), "model").max() > 1e-4

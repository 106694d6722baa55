"""Mean gradients over noisy inputs."""

from functools import partial

import numpy as np
import pytest
import torch
from networks import dale

from ngpipe.connectome import LinearNetwork, MultilayeredNetwork, saliency, smoothgrad
from ngpipe.errors import ArgumentError

LinearNetwork = partial(LinearNetwork, preset="current")
MultilayeredNetwork = partial(MultilayeredNetwork, preset="current")

SENSORY = [4, 0, 9]


def objective(layers):
    return layers[-1][6] + layers[2][7]


@pytest.fixture
def u(rng):
    return rng.uniform(0.2, 0.8, size=(3, 3, 5))


@pytest.fixture
def model(rng):
    return MultilayeredNetwork(dale(rng), SENSORY, 5, dtype=torch.float64, tau=2.0)


def seeded(seed=3):
    return torch.Generator().manual_seed(seed)


def test_without_noise_it_is_the_gradient(model, u):
    found = smoothgrad(model, u, objective, noise=0.0, samples=3, generator=seeded())
    expected = saliency(model, u, {4: [6], 2: [7]})
    np.testing.assert_allclose(found["gradient"], expected, atol=1e-12)
    np.testing.assert_allclose(found["spread"], 0, atol=1e-7)
    assert abs(found["gradient"]).max() > 0.01
    assert found["gradient"].dims == ("sample", "sensor", "time")


def test_mean_and_spread_are_those_of_single_gradients(model, u):
    single = []
    generator = seeded()
    for _ in range(6):
        noise = torch.randn(3, 5, generator=generator).double().numpy()
        single.append(saliency(model, u + 0.2 * noise, {4: [6], 2: [7]}).numpy())
    options = {"noise": 0.2, "samples": 6}
    found = smoothgrad(model, u, objective, **options, generator=seeded(), chunk=4)
    np.testing.assert_allclose(found["gradient"], np.mean(single, 0), atol=1e-12)
    np.testing.assert_allclose(found["spread"], np.std(single, 0), atol=1e-7)
    assert abs(found["spread"]).max() > 0.01
    squares = smoothgrad(model, u, objective, **options, generator=seeded(), squared=True)
    np.testing.assert_allclose(squares["gradient"], np.mean(np.square(single), 0), atol=1e-12)


def test_a_curvature_is_averaged():
    """F = x^2 of a linear neuron: the mean gradient is that at u, its spread 2 w^2 sigma."""
    model = LinearNetwork(np.array([[0.0, 0.0], [0.5, 0.0]]), [0], 1, tau=1.0, tanh_steepness=1.0)
    found = smoothgrad(
        model, np.full((1, 1), 0.6), lambda layers: layers[0][1].square(),
        noise=0.1, samples=4000, generator=seeded(),
    )  # fmt: skip
    assert found["gradient"].item() == pytest.approx(2 * 0.25 * 0.6, abs=4 * 0.05 / 4000**0.5)
    assert found["spread"].item() == pytest.approx(2 * 0.25 * 0.1, rel=0.05)


def test_samples_chunks_and_global_seeds_do_not_matter(model, u):
    before = torch.get_rng_state()
    every = smoothgrad(model, u, objective, noise=0.3, samples=5, generator=seeded())
    alone = smoothgrad(model, u[1], objective, noise=0.3, samples=5, generator=seeded(), chunk=2)
    np.testing.assert_allclose(every["gradient"][1], alone["gradient"][0], atol=1e-12)
    assert torch.equal(before, torch.get_rng_state())
    other = smoothgrad(model, u, objective, noise=0.3, samples=5, generator=seeded(4))
    assert abs(other["gradient"] - every["gradient"]).max() > 1e-4


def test_a_surrogate_passes_what_is_held(model):
    u = np.full((3, 3, 5), 1.5)
    plain = smoothgrad(model, u, objective, noise=0.01, samples=3, generator=seeded())
    assert not plain["gradient"].any()
    passed = smoothgrad(
        model, u, objective, noise=0.01, samples=3, generator=seeded(), surrogate=True
    )
    assert passed["gradient"].any()


def test_errors(model, u):
    with pytest.raises(ArgumentError, match=r"noise is -1.0, expected a standard deviation"):
        smoothgrad(model, u, objective, noise=-1.0, samples=2, generator=seeded())
    with pytest.raises(ArgumentError, match=r"samples is 0, expected at least 1"):
        smoothgrad(model, u, objective, noise=1.0, samples=0, generator=seeded())

"""The learned model: its graph is really the graph, and its fast paths compute the same."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ngpipe.assembly.gnn import AssemblyGNN, FunctionNetwork, Scales
from ngpipe.assembly.knots import Knots
from ngpipe.config.training import Network

SCALES = Scales(activity=4.0, reach=20.0, rate=3.0)
SMALL = Network(hidden=16)


def random_model(n: int, seed: int = 0) -> AssemblyGNN:
    generator = torch.Generator().manual_seed(seed)
    model = AssemblyGNN(n, SMALL, SCALES, generator)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(0.5 * torch.randn(parameter.shape, generator=generator))
        basis = torch.randn(n, n, generator=generator)
        model.basis.copy_(basis @ basis.T / n + torch.eye(n))
    return model


def edgewise(model: AssemblyGNN, x: torch.Tensor) -> torch.Tensor:
    """The published formula, edge by edge."""
    weights, rate = model.connectivity, torch.zeros_like(x)
    for i in range(len(x)):
        rate[i] = model.scales.rate * model.phi(x[i], model.latent[i])
        for j in range(len(x)):
            if i != j:
                rate[i] = rate[i] + weights[i, j] * model.psi(x[j])
    return rate


def test_the_dense_rate_is_the_sum_over_edges():
    model, x = random_model(7), 5 * torch.randn(7, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(model(0.0, x), edgewise(model, x), rtol=1e-5, atol=1e-5)


def test_the_drift_of_a_rollout_is_the_model():
    model, x = random_model(6), torch.randn(6, generator=torch.Generator().manual_seed(12))
    torch.testing.assert_close(model.as_drift()(0.0, x), model(0.0, x), rtol=1e-4, atol=1e-5)


def test_an_arrow_points_from_pre_to_post():
    """With the one connection 0 -> 1, activity of neuron 0 drives neuron 1 and only it."""
    model = random_model(4)
    with torch.no_grad():
        model.basis.copy_(torch.eye(4))
        model.V.zero_()
        model.V[1, 0] = 2.0
    jacobian = torch.autograd.functional.jacobian(
        lambda x: model(0.0, x), torch.randn(4, generator=torch.Generator().manual_seed(2))
    )
    others = ~torch.eye(4, dtype=torch.bool)
    others[1, 0] = False
    assert jacobian[1, 0] != 0
    assert torch.all(jacobian[others] == 0)


def test_the_diagonal_is_zero_by_construction():
    """A neuron's own psi never enters its rate, whatever V and the basis are."""
    model = random_model(6)
    assert torch.all(model.connectivity.diagonal() == 0)
    with torch.no_grad():
        model.phi.layers[-1].weight.zero_()
        model.phi.direct.zero_()
    x = torch.randn(6, generator=torch.Generator().manual_seed(3))
    jacobian = torch.autograd.functional.jacobian(lambda x: model(0.0, x), x)
    assert jacobian.diagonal().abs().max() < 1e-5 * jacobian.abs().max()


def test_batches_are_frames_one_by_one():
    model = random_model(5)
    x = torch.randn(3, 5, generator=torch.Generator().manual_seed(4))
    torch.testing.assert_close(model(0.0, x), torch.stack([model(0.0, f) for f in x]))


def test_folding_the_basis_changes_nothing():
    model = random_model(6)
    x = torch.randn(9, 6, generator=torch.Generator().manual_seed(5))
    before, weights = model(0.0, x).detach(), model.connectivity.detach()
    model.fold()
    torch.testing.assert_close(model(0.0, x), before, rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(model.connectivity, weights)
    assert torch.equal(model.basis, torch.eye(6))


@given(n=st.integers(2, 6), seed=st.integers(0, 2**16))
def test_relabelling_neurons_relabels_the_rate(n, seed):
    model = random_model(n, seed)
    model.fold()
    generator = torch.Generator().manual_seed(seed + 1)
    x, order = torch.randn(n, generator=generator), torch.randperm(n, generator=generator)
    rate = model(0.0, x).detach()
    with torch.no_grad():
        model.latent.copy_(model.latent[order])
        model.V.copy_(model.V[order][:, order])
    torch.testing.assert_close(model(0.0, x[order]), rate[order], rtol=1e-4, atol=1e-5)


def test_a_new_psi_increases_and_a_new_phi_is_silent():
    """W knows its sign from the first step, and phi starts at nothing."""
    model = AssemblyGNN(3, Network(), SCALES, torch.Generator().manual_seed(6))
    x = torch.linspace(-20, 20, 101)
    assert torch.all(model.psi(x).diff() > 0)
    assert torch.all(model.phi_curves(x) == 0)


@pytest.mark.parametrize("knots", [32, 64, 128])
def test_interpolation_is_third_order(knots):
    """Reading a table instead of its function errs as the cube of the spacing."""

    def error(n: int) -> float:
        grid = Knots(n, unit=0.5, reach=20.0, device=torch.device("cpu"))
        x = 30 * (torch.rand(400, 3, generator=torch.Generator().manual_seed(7)) - 0.5)
        table = torch.stack([torch.tanh(grid.x), torch.sin(grid.x / 4), grid.x / 10])
        exact = torch.stack([torch.tanh(x[:, 0]), torch.sin(x[:, 1] / 4), x[:, 2] / 10], dim=1)
        return float((grid.locate(x).read(table) - exact).abs().max())

    assert error(knots) < 2.5 * (2 * np.arcsinh(40) / knots) ** 3
    assert error(2 * knots) < error(knots) / 4


def test_gradients_reach_the_table():
    grid = Knots(16, unit=1.0, reach=5.0, device=torch.device("cpu"))
    table = torch.randn(2, 16, generator=torch.Generator().manual_seed(8)).double()
    x = torch.randn(4, 2, generator=torch.Generator().manual_seed(9)).double()
    located = grid.locate(x)
    assert torch.autograd.gradcheck(located.read, table.requires_grad_())


def test_a_function_network_broadcasts_latents_over_activity():
    network = FunctionNetwork(2, SMALL, SCALES, torch.Generator().manual_seed(10), slope=0.1)
    generator = torch.Generator().manual_seed(11)
    with torch.no_grad():
        network.layers[-1].weight.copy_(torch.randn(1, 16, generator=generator))
    a, x = torch.randn(3, 2, generator=generator), torch.randn(5, generator=generator)
    curves = network(x[None, :], a[:, None, :])
    assert curves.shape == (3, 5)
    torch.testing.assert_close(curves[1, 4], network(x[4], a[1]))
    assert curves.std(0).min() > 0

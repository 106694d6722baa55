"""The learned model: its graph is really the graph, and its fast paths compute the same."""

import numpy as np
import pytest
import torch
from assemblies import (
    DURATION,
    INPUTS,
    SCALES,
    SEES,
    edgewise,
    numbers,
    random_field,
    random_input,
    random_model,
    sites_of,
)
from hypothesis import given
from hypothesis import strategies as st

from ngpipe.assembly.gnn import AssemblyGNN, FunctionNetwork
from ngpipe.assembly.knots import Knots
from ngpipe.assembly.known_input import KnownInput
from ngpipe.config.assembly.training import Network

SMALL = Network(hidden=16)
every_psi = pytest.mark.parametrize("sees", SEES)
every_input = pytest.mark.parametrize("kind", INPUTS)


def jacobian(model: AssemblyGNN, x: torch.Tensor, t: float = 1.0) -> torch.Tensor:
    return torch.autograd.functional.jacobian(lambda v: model(t, v), x)


@pytest.mark.quick(2)
@every_psi
@every_input
def test_the_rate_is_the_sum_over_edges(sees, kind):
    """Frames at different times, each neuron and each edge by itself."""
    model = random_model(7, sees, random_input(kind, 7))
    times, x = torch.tensor([0.3, 1.9, 3.6]), 5 * numbers(1, 3, 7)
    expected = torch.stack([edgewise(model, float(t), f) for t, f in zip(times, x, strict=True)])
    torch.testing.assert_close(model(times, x), expected, rtol=1e-4, atol=1e-4)


@pytest.mark.quick
@every_psi
@every_input
def test_the_drift_of_a_rollout_is_the_model(sees, kind):
    model, x = random_model(6, sees, random_input(kind, 6)), numbers(12, 6)
    for t in (0.0, 2.5):
        torch.testing.assert_close(model.as_drift()(t, x), model(t, x), rtol=1e-4, atol=1e-4)


@every_psi
def test_an_arrow_points_from_pre_to_post(sees):
    """The rate depends on exactly the activities that W names, and on one's own."""
    model = random_model(6, sees, random_field("multiplicative", sites_of(6)))
    with torch.no_grad():
        model.basis.copy_(torch.eye(6))
        kept = numbers(4, 6, 6) > 0.3
        model.V.copy_(torch.where(kept, model.V, 0.0))
    found = jacobian(model, numbers(2, 6))
    off = ~torch.eye(6, dtype=torch.bool)
    assert kept[off].any()
    assert (kept != kept.T).any()
    assert torch.equal((found != 0)[off], kept[off])


@every_psi
def test_the_diagonal_is_zero_by_construction(sees):
    """A neuron's own psi never enters its rate, whatever V and the basis are."""
    model = random_model(6, sees)
    assert torch.all(model.connectivity.diagonal() == 0)
    with torch.no_grad():
        model.phi.layers[-1].weight.zero_()
        model.phi.direct.zero_()
    found = jacobian(model, numbers(3, 6))
    assert found.diagonal().abs().max() < 1e-5 * found.abs().max()


@pytest.mark.parametrize("mode", ["multiplicative", "additive"])
def test_an_input_acts_on_the_message_or_on_the_rate_of_driven_neurons_alone(mode):
    """Multiplicative: own rate and message are weighed apart. Additive: no slope changes."""
    field = random_field(mode, sites_of(8))
    model, x = random_model(8, external=field), 3 * numbers(6, 8)
    bare = random_model(8)
    bare.load_state_dict({k: v for k, v in model.state_dict().items() if "external" not in k})
    omega = field.of_all(torch.tensor([1.0]))[0].detach()
    driven = torch.zeros(8, dtype=torch.bool)
    driven[field.driven] = True
    change = (model(1.0, x) - bare(1.0, x)).detach()
    assert torch.all(change[~driven] == 0)
    assert torch.all(change[driven] != 0)
    with_input, without = jacobian(model, x), jacobian(bare, x)
    off = ~torch.eye(8, dtype=torch.bool)
    factor = omega[:, None].expand(8, 8) if mode == "multiplicative" else torch.ones(8, 8)
    torch.testing.assert_close(with_input[off], (factor * without)[off], rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(with_input.diagonal(), without.diagonal(), rtol=1e-3, atol=1e-3)


def test_a_known_additive_input_is_given_in_units_of_the_rate_itself():
    """Omega [1/tau] is added to dx/dt [1/tau]; the networks' units are not the user's."""
    table = numbers(7, 1, 5)
    known = KnownInput(table, torch.zeros(3), 0.1, "additive")
    model, x = random_model(5, external=known), numbers(8, 5)
    torch.testing.assert_close(
        model(0.0, x) - random_model(5)(0.0, x), table[0], rtol=1e-4, atol=1e-4
    )


@every_psi
def test_tables_read_in_training_agree_with_exact_evaluation(sees):
    """phi* and v_k on knots, at the default number of knots: one part in a thousand."""
    model, defaults = random_model(6, sees), Network()
    x = 4 * numbers(9, 200, 6).clamp(-4, 4)
    knots = {"unit": SCALES.bend, "reach": SCALES.reach, "device": torch.device("cpu")}
    phi, psi = Knots(defaults.phi_knots, **knots), Knots(defaults.psi_knots, **knots)
    latent = model.latent[:, None, :]
    phi_table = model.phi(phi.x[None, :], latent)[..., 0]
    seen = latent if sees in ("sender", "pair") else None
    psi_table = model.psi(psi.x[None, :].expand(6, -1), seen)
    sent = [psi.locate(x).read(table) for table in psi_table.unbind(-1)]
    fast = model.combine(phi.locate(x).read(phi_table), torch.stack(sent, -1), None)
    fast, exact = fast.detach(), model(0.0, x).detach()
    assert float((fast - exact).square().mean().sqrt()) < 1e-3 * float(exact.std())


@every_psi
def test_batches_are_frames_one_by_one(sees):
    model = random_model(5, sees, random_field("additive", sites_of(5)))
    times, x = torch.linspace(0, DURATION, 3), numbers(4, 3, 5)
    one_by_one = [model(float(t), f) for t, f in zip(times, x, strict=True)]
    torch.testing.assert_close(model(times, x), torch.stack(one_by_one), rtol=1e-4, atol=1e-4)


@every_psi
def test_folding_the_basis_changes_nothing(sees):
    model, x = random_model(6, sees), numbers(5, 9, 6)
    before, weights = model(0.0, x).detach(), model.connectivity.detach()
    model.fold()
    torch.testing.assert_close(model(0.0, x), before, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(model.connectivity, weights)
    assert torch.equal(model.basis, torch.eye(6))


@given(n=st.integers(2, 6), seed=st.integers(0, 2**16), sees=st.sampled_from(SEES))
def test_relabelling_neurons_relabels_the_rate(n, seed, sees):
    model = random_model(n, sees, seed=seed)
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
    model = AssemblyGNN(3, Network(), SCALES, None, torch.Generator().manual_seed(6))
    x = torch.linspace(-20, 20, 101)
    assert torch.all(model.psi(x)[:, 0].diff() > 0)
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
    network = FunctionNetwork(2, SMALL, SCALES, torch.Generator().manual_seed(10), height=0.1)
    generator = torch.Generator().manual_seed(11)
    with torch.no_grad():
        network.layers[-1].weight.copy_(torch.randn(1, 16, generator=generator))
    a, x = torch.randn(3, 2, generator=generator), torch.randn(5, generator=generator)
    curves = network(x[None, :], a[:, None, :])
    assert curves.shape == (3, 5, 1)
    torch.testing.assert_close(curves[1, 4], network(x[4], a[1]))
    assert curves.std(0).min() > 0

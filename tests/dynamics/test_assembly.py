"""The published equation, written here again with loops, and what follows from it."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ngpipe.config.simulation import NeuronType, Simulation
from ngpipe.dynamics.assembly import (
    Constants,
    assembly_drift,
    constants_of,
    phi,
    psi,
    sunflower,
    true_curves,
    type_of_neuron,
)

N = 7


def random_assembly(n: int, generator: torch.Generator) -> tuple[torch.Tensor, Constants]:
    """A sparse random coupling without self-connections, and random constants."""
    coupling = torch.randn(n, n, generator=generator)
    coupling[torch.rand(n, n, generator=generator) < 0.4] = 0
    coupling.fill_diagonal_(0)
    leak, drive = 0.5 + torch.rand(2, n, generator=generator)
    return coupling, Constants(leak, 2 * drive)


@pytest.fixture
def assembly(generator):
    return random_assembly(N, generator)


@pytest.fixture
def x(generator):
    return 2 * torch.randn(N, generator=generator)


def by_hand(x, coupling, constants):
    """dx_i/dt = -c_i x_i + s_i tanh x_i + sum over j != i of g_i W_ij tanh x_j."""
    rates = []
    for i in range(len(x)):
        rate = -float(constants.leak[i]) * float(x[i])
        rate += float(constants.self_excitation[i]) * math.tanh(float(x[i]))
        for j in range(len(x)):
            if j != i:
                rate += float(coupling[i, j]) * math.tanh(float(x[j]))
        rates.append(rate)
    return rates


class TestDrift:
    def test_is_the_published_equation(self, assembly, x):
        rate = assembly_drift(*assembly)(0.0, x)
        assert rate.tolist() == pytest.approx(by_hand(x, *assembly), rel=1e-5, abs=1e-5)

    def test_does_not_depend_on_time(self, assembly, x):
        drift = assembly_drift(*assembly)
        assert torch.equal(drift(0.0, x), drift(123.0, x))

    def test_an_arrow_points_from_pre_to_post(self, x):
        """With the one connection 0 -> 1, activity of neuron 0 drives neuron 1 and only it."""
        coupling = torch.zeros(N, N)
        coupling[1, 0] = 0.8
        constants = Constants(torch.ones(N), torch.ones(N))
        drift = assembly_drift(coupling, constants)
        received = drift(0.0, x) - phi(x, constants)
        assert torch.nonzero(received).tolist() == [[1]]
        assert float(received[1]) == pytest.approx(0.8 * math.tanh(float(x[0])), rel=1e-5)
        pushed = x.clone()
        pushed[0] += 1.0
        change = drift(0.0, pushed) - drift(0.0, x)
        assert torch.nonzero(change)[:, 0].tolist() == [0, 1]

    def test_no_connection_no_influence(self, assembly, x):
        """d(dx_i/dt)/dx_j is W_ij / cosh(x_j)^2, and exactly zero where W_ij is zero."""
        coupling, _ = assembly
        drift = assembly_drift(*assembly)
        jacobian = torch.autograd.functional.jacobian(lambda x: drift(0.0, x), x)
        between = ~torch.eye(N, dtype=torch.bool)
        unconnected = between & (coupling == 0)
        assert unconnected.sum() > 10
        assert torch.all(jacobian[unconnected] == 0)
        expected = coupling / torch.cosh(x) ** 2
        torch.testing.assert_close(jacobian[between], expected[between])

    def test_self_excitation_and_leak_belong_to_the_neuron(self, assembly, x):
        _, constants = assembly
        drift = assembly_drift(torch.zeros(N, N), constants)
        torch.testing.assert_close(
            drift(0.0, x), constants.self_excitation * torch.tanh(x) - constants.leak * x
        )
        small = torch.full((N,), 1e-3)
        slope = drift(0.0, small) / small
        torch.testing.assert_close(
            slope, constants.self_excitation - constants.leak, rtol=1e-3, atol=1e-3
        )

    def test_at_rest_nothing_moves(self, assembly):
        assert torch.equal(assembly_drift(*assembly)(0.0, torch.zeros(N)), torch.zeros(N))

    def test_is_odd(self, assembly, x):
        """phi and psi are odd functions, so -x moves as x does, mirrored."""
        drift = assembly_drift(*assembly)
        torch.testing.assert_close(drift(0.0, -x), -drift(0.0, x))

    def test_frames_are_treated_one_by_one(self, assembly, generator):
        drift = assembly_drift(*assembly)
        many = torch.randn(4, 3, N, generator=generator)
        together = drift(0.0, many)
        assert together.shape == (4, 3, N)
        torch.testing.assert_close(together[2, 1], drift(0.0, many[2, 1]))

    @given(n=st.integers(2, 8), seed=st.integers(0, 2**16))
    def test_relabelling_the_neurons_relabels_the_rates(self, n, seed):
        generator = torch.Generator().manual_seed(seed)
        coupling, constants = random_assembly(n, generator)
        x = torch.randn(n, generator=generator)
        order = torch.randperm(n, generator=generator)
        relabelled = assembly_drift(
            coupling[order][:, order],
            Constants(constants.leak[order], constants.self_excitation[order]),
        )
        torch.testing.assert_close(
            relabelled(0.0, x[order]),
            assembly_drift(coupling, constants)(0.0, x)[order],
            rtol=1e-4,
            atol=1e-5,
        )


class TestTypes:
    @given(n_types=st.integers(1, 9), more=st.integers(0, 60))
    def test_shares_are_equal_and_contiguous(self, n_types, more):
        cfg = Simulation(n_neurons=n_types + more, types=[NeuronType()] * n_types)
        types = type_of_neuron(cfg)
        counts = np.bincount(types, minlength=n_types)
        assert len(types) == n_types + more
        assert len(counts) == n_types
        assert counts.max() - counts.min() <= 1
        assert (np.diff(types) >= 0).all()

    def test_the_papers_assembly_has_250_of_each(self):
        types = type_of_neuron(Simulation(n_neurons=1000, types=[NeuronType()] * 4))
        assert types.tolist() == [0] * 250 + [1] * 250 + [2] * 250 + [3] * 250

    def test_every_neuron_has_the_constants_of_its_type(self):
        types = [
            NeuronType(leak=1, self_excitation=2),
            NeuronType(leak=3, self_excitation=-4),
        ]
        constants = constants_of(types, np.array([1, 0, 0, 1]))
        assert constants.leak.tolist() == [3, 1, 1, 3]
        assert constants.self_excitation.tolist() == [-4, 2, 2, -4]
        assert constants.leak.dtype == torch.float32

    def test_true_curves_are_those_of_the_equation(self):
        types = [
            NeuronType(leak=1, self_excitation=2),
            NeuronType(leak=3, self_excitation=0),
            NeuronType(leak=0, self_excitation=1),
        ]
        x = torch.linspace(-5, 5, 101)
        phis, psis = true_curves(types, x)
        assert phis.shape == psis.shape == (3, 101)
        for k, (leak, drive) in enumerate([(1, 2), (3, 0), (0, 1)]):
            torch.testing.assert_close(phis[k], -leak * x + drive * torch.tanh(x))
            torch.testing.assert_close(psis[k], torch.tanh(x))

    def test_curves_and_drift_are_the_same_functions(self, x):
        """A lone neuron's rate is read from phi; what it sends is read from psi."""
        types = [NeuronType(leak=1.5, self_excitation=2.5)]
        constants = constants_of(types, np.zeros(N, int))
        phis, psis = true_curves(types, x)
        torch.testing.assert_close(assembly_drift(torch.zeros(N, N), constants)(0.0, x), phis[0])
        torch.testing.assert_close(psi(x), psis[0])


class TestSunflower:
    def test_fills_a_disc_of_radius_one_half_evenly(self):
        """The share of neurons within radius r is (2 r)^2, in every quarter of the disc."""
        position = sunflower(2000)
        radius = np.hypot(*position.T)
        assert position.shape == (2000, 2)
        assert 0.49 < radius.max() <= 0.5
        for r in (0.1, 0.25, 0.4):
            assert np.mean(radius < r) == pytest.approx((2 * r) ** 2, abs=0.002)
        quarter = np.mean((position > 0).all(axis=1))
        assert quarter == pytest.approx(0.25, abs=0.01)

    def test_no_two_neurons_are_close(self):
        position = sunflower(200)
        distance = np.linalg.norm(position[:, None] - position[None], axis=2)
        np.fill_diagonal(distance, np.inf)
        assert distance.min() > 0.5 * (np.pi / 4 / 200) ** 0.5

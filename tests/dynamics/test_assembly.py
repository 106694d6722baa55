"""The published equation, written here again with loops, and what follows from it."""

import math
from dataclasses import fields, replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ngpipe.config.assembly.simulation import NeuronType, Simulation
from ngpipe.dynamics.assembly import (
    Constants,
    assembly_drift,
    constants_of,
    phi,
    psi,
    sunflower,
    true_phi,
    true_psi,
    type_of_neuron,
)
from ngpipe.dynamics.inputs import ExternalInput

N = 7


def random_assembly(n: int, generator: torch.Generator) -> tuple[torch.Tensor, Constants]:
    """A sparse random coupling without self-connections, and random constants."""
    coupling = torch.randn(n, n, generator=generator)
    coupling[torch.rand(n, n, generator=generator) < 0.4] = 0
    coupling.fill_diagonal_(0)
    return coupling, constants_for(n, generator)


def constants_for(n: int, generator: torch.Generator, *vary: str) -> Constants:
    """Random leak and self-excitation; of the rest what is named is random, too."""
    leak, drive, send, receive, linear = 0.5 + torch.rand(5, n, generator=generator)
    plain = {
        "sender_width": torch.ones(n),
        "receiver_width": torch.ones(n),
        "linear": torch.zeros(n),
    }
    drawn = {"sender_width": 2 * send, "receiver_width": 3 * receive, "linear": linear - 1}
    return Constants(leak, 2 * drive, **plain | {name: drawn[name] for name in vary})


def random_input(n: int, mode: str, generator: torch.Generator) -> ExternalInput:
    """Six images of all neurons, one every 0.5 tau."""
    table = 0.2 + torch.rand(6, n, generator=generator)
    return ExternalInput(table, 0.5, "held", mode, before=torch.rand(n, generator=generator))


@pytest.fixture
def assembly(generator):
    return random_assembly(N, generator)


@pytest.fixture
def x(generator):
    return 2 * torch.randn(N, generator=generator)


def by_hand(x, coupling, constants, omega=None, mode=None):
    """The equation at the head of dynamics/assembly.py, in plain Python.

    dx_i/dt = -c_i x_i + s_i tanh x_i
              + Omega_i sum over j != i of g_i W_ij (tanh(x_j / gamma_j gamma'_i) - theta_j x_j)
    or Omega_i added.
    """
    x, coupling = x.tolist(), coupling.tolist()
    c, s, gamma, gamma2, theta = (getattr(constants, f.name).tolist() for f in fields(Constants))
    rates = []
    for i in range(len(x)):
        received = 0.0
        for j in range(len(x)):
            if j != i:
                sent = math.tanh(x[j] / (gamma[j] * gamma2[i])) - theta[j] * x[j]
                received += coupling[i][j] * sent
        if mode == "multiplicative":
            received *= float(omega[i])
        elif mode == "additive":
            received += float(omega[i])
        rates.append(-c[i] * x[i] + s[i] * math.tanh(x[i]) + received)
    return rates


ALL = ("sender_width", "receiver_width", "linear")
VARIED = [(), *((name,) for name in ALL), ALL[:2], ALL]


class TestDrift:
    def test_is_the_published_equation(self, assembly, x):
        rate = assembly_drift(*assembly)(0.0, x)
        assert rate.tolist() == pytest.approx(by_hand(x, *assembly), rel=1e-5, abs=1e-5)

    @pytest.mark.parametrize("mode", [None, "multiplicative", "additive"])
    @pytest.mark.parametrize("vary", VARIED, ids=lambda v: "+".join(v) or "plain")
    def test_is_the_equation_for_every_kind_of_neuron_and_input(self, vary, mode, generator):
        coupling, _ = random_assembly(N, generator)
        constants = constants_for(N, generator, *vary)
        external = mode and random_input(N, mode, generator)
        drift = assembly_drift(coupling, constants, external)
        for t in (-0.3, 0.0, 0.6, 2.9):
            x = 2 * torch.randn(N, generator=generator)
            omega = (
                None if mode is None else external.before if t < 0 else external.table[int(2 * t)]
            )
            expected = by_hand(x, coupling, constants, omega, mode)
            assert drift(t, x).tolist() == pytest.approx(expected, rel=1e-5, abs=1e-5)

    @pytest.mark.parametrize("mode", ["multiplicative", "additive"])
    def test_a_neutral_input_changes_nothing(self, mode, x, generator):
        coupling, constants = random_assembly(N, generator)
        neutral = torch.full((2, N), 1.0 if mode == "multiplicative" else 0.0)
        external = ExternalInput(neutral, 1.0, "linear", mode, before=neutral[0])
        driven, free = (assembly_drift(coupling, constants, e) for e in (external, None))
        for t in (-1.0, 0.0, 0.7):
            assert torch.equal(driven(t, x), free(t, x))

    @given(n_widths=st.integers(1, 5), seed=st.integers(0, 2**16))
    def test_neurons_of_the_same_width_may_lie_anywhere(self, n_widths, seed):
        """Receivers are handled width by width; each must get its own sum back."""
        generator = torch.Generator().manual_seed(seed)
        coupling, _ = random_assembly(9, generator)
        widths = 0.5 + torch.rand(n_widths, generator=generator)
        which = torch.randint(n_widths, (9,), generator=generator)
        constants = replace(
            constants_for(9, generator, "sender_width"), receiver_width=widths[which]
        )
        x = torch.randn(2, 3, 9, generator=generator)
        rate = assembly_drift(coupling, constants)(0.0, x)
        assert rate.shape == x.shape
        assert rate[1, 2].tolist() == pytest.approx(
            by_hand(x[1, 2], coupling, constants), rel=1e-4, abs=1e-4
        )

    def test_a_width_belongs_to_one_end_of_the_arrow(self, x):
        """0 -> 1 alone: the width of sender 0 and of receiver 1 count, all others do not."""
        coupling = torch.zeros(N, N)
        coupling[1, 0] = 0.8
        send, receive = torch.arange(2.0, 2 + N), torch.arange(20.0, 20 + N)
        constants = Constants(
            torch.zeros(N), torch.zeros(N), send, receive, torch.linspace(1, 2, N)
        )
        rate = assembly_drift(coupling, constants)(0.0, x)
        x0 = float(x[0])
        assert torch.nonzero(rate).tolist() == [[1]]
        assert float(rate[1]) == pytest.approx(0.8 * (math.tanh(x0 / (2 * 21)) - 1 * x0), rel=1e-5)

    def test_an_input_acts_on_its_receiver(self, x):
        """Omega of neuron 1 scales what 1 receives; that of the sender 0 does not."""
        coupling = torch.zeros(N, N)
        coupling[1, 0] = 0.8
        zero, one = torch.zeros(N), torch.ones(N)
        omega = torch.arange(3.0, 3 + N)[None]
        external = ExternalInput(omega, 1.0, "held", "multiplicative", before=one)
        rate = assembly_drift(coupling, Constants(zero, zero, one, one, zero), external)(0.0, x)
        assert torch.nonzero(rate).tolist() == [[1]]
        assert float(rate[1]) == pytest.approx(4 * 0.8 * math.tanh(float(x[0])), rel=1e-5)

    def test_does_not_depend_on_time(self, assembly, x):
        drift = assembly_drift(*assembly)
        assert torch.equal(drift(0.0, x), drift(123.0, x))

    def test_an_arrow_points_from_pre_to_post(self, x):
        """With the one connection 0 -> 1, activity of neuron 0 drives neuron 1 and only it."""
        coupling = torch.zeros(N, N)
        coupling[1, 0] = 0.8
        zero, one = torch.zeros(N), torch.ones(N)
        constants = Constants(one, one, one, one, zero)
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
        coupling, _ = random_assembly(n, generator)
        constants = constants_for(n, generator, *ALL)
        x = torch.randn(n, generator=generator)
        order = torch.randperm(n, generator=generator)
        relabelled = assembly_drift(
            coupling[order][:, order],
            Constants(*(getattr(constants, f.name)[order] for f in fields(Constants))),
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

    @given(n=st.integers(1, 400), shares=st.lists(st.floats(0.01, 100), min_size=1, max_size=9))
    def test_shares_are_rounded_by_largest_remainder(self, n, shares):
        cfg = Simulation(n_neurons=n, types=[NeuronType(share=share) for share in shares])
        counts = np.bincount(type_of_neuron(cfg), minlength=len(shares))
        left = n * np.array(shares) / sum(shares) - counts
        assert counts.sum() == n
        assert np.abs(left).max() < 1 + 1e-9
        assert left.max() - left.min() <= 1 + 1e-6, "no type is rounded up before a larger rest"

    @given(n=st.integers(1, 300), n_types=st.integers(1, 12), share=st.floats(0.01, 100))
    def test_equal_shares_are_those_without_shares(self, n, n_types, share):
        cfg = Simulation(n_neurons=n, types=[NeuronType(share=share)] * n_types)
        assert type_of_neuron(cfg).tolist() == [i * n_types // n for i in range(n)]

    def test_larger_shares_have_more_neurons(self):
        counts = {(42, 58): [2, 3], (4, 1): [4, 1], (0.1, 0.2, 0.7): [1, 1, 3]}
        for shares, expected in counts.items():
            types = [NeuronType(share=share) for share in shares]
            assert Simulation(n_neurons=5, types=types).neurons_of_types() == expected

    def test_shuffled_types_go_with_no_number(self):
        types = [NeuronType(share=share) for share in (2, 1, 1)]
        cfg = Simulation(n_neurons=4000, types=types, shuffle_types=True)
        found = type_of_neuron(cfg)
        assert np.bincount(found).tolist() == [2000, 1000, 1000]
        for tail in (found[-800:], found[:800]):  # inhibitory at 80 % excitatory; driven ones
            np.testing.assert_allclose(np.bincount(tail) / 800, [0.5, 0.25, 0.25], atol=0.06)
        assert (found == type_of_neuron(cfg)).all()
        other = type_of_neuron(cfg.model_copy(update={"seed": 43}))
        assert 0.2 < (found == other).mean() < 0.6

    def test_every_neuron_has_the_constants_of_its_type(self):
        types = [
            NeuronType(leak=1, self_excitation=2, sender_width=5, linear=0.5),
            NeuronType(leak=3, self_excitation=-4, receiver_width=6),
        ]
        constants = constants_of(types, np.array([1, 0, 0, 1]))
        assert constants.leak.tolist() == [3, 1, 1, 3]
        assert constants.self_excitation.tolist() == [-4, 2, 2, -4]
        assert constants.sender_width.tolist() == [1, 5, 5, 1]
        assert constants.receiver_width.tolist() == [6, 1, 1, 6]
        assert constants.linear.tolist() == [0, 0.5, 0.5, 0]
        assert constants.leak.dtype == torch.float32

    def test_true_curves_are_those_of_the_equation(self):
        types = [
            NeuronType(leak=1, self_excitation=2),
            NeuronType(leak=3, self_excitation=0),
            NeuronType(leak=0, self_excitation=1),
        ]
        x = torch.linspace(-5, 5, 101)
        phis = true_phi(types, x)
        assert phis.shape == (3, 101)
        for k, (leak, drive) in enumerate([(1, 2), (3, 0), (0, 1)]):
            torch.testing.assert_close(phis[k], -leak * x + drive * torch.tanh(x))

    def test_true_psi_has_a_curve_for_every_receiver_and_sender(self):
        types = [
            NeuronType(sender_width=2, receiver_width=3, linear=0.1),
            NeuronType(sender_width=5, receiver_width=7, linear=-0.2),
            NeuronType(),
        ]
        x = torch.linspace(-5, 5, 101)
        psis = true_psi(types, x)
        assert psis.shape == (3, 3, 101)
        for i, receiver in enumerate(types):
            for j, sender in enumerate(types):
                width = sender.sender_width * receiver.receiver_width
                torch.testing.assert_close(psis[i, j], torch.tanh(x / width) - sender.linear * x)

    def test_curves_and_drift_are_the_same_functions(self, x):
        """A lone neuron's rate is read from phi; what it sends is read from psi."""
        types = [NeuronType(leak=1.5, self_excitation=2.5, sender_width=2, linear=0.3)]
        constants = constants_of(types, np.zeros(N, int))
        alone = assembly_drift(torch.zeros(N, N), constants)(0.0, x)
        torch.testing.assert_close(alone, true_phi(types, x)[0])
        torch.testing.assert_close(psi(x, constants), true_psi(types, x)[0, 0])


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

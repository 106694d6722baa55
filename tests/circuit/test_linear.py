"""Exact propagation against steps, powers of the matrix, and where it must give way to steps."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from notebook_loops import notebook_rates, notebook_time, small_circuit

from ngpipe.circuit.blocks import NOTEBOOK, Circuit
from ngpipe.circuit.impulse import Impulse
from ngpipe.circuit.krylov import GROWTH
from ngpipe.circuit.linear import Timing, propagate
from ngpipe.circuit.rates import Neurons
from ngpipe.circuit.respond import respond
from ngpipe.errors import ArgumentError

SHORT = Impulse(start=0.2, end=1.0, duration=3.0)
LONG = Impulse(start=0.5, end=4.0, duration=20.0)


def both(circuits, impulse=SHORT, neurons=None, **options):
    """Propagated and stepped."""
    neurons = neurons or Neurons()
    return [respond(circuits, impulse, neurons, engine=e, **options) for e in ("linear", "step")]


def random_linear(rng, n, radius):
    """A network of excitatory neurons whose W has this spectral radius and no gap below it."""
    weights = rng.random((n, n)) * (rng.random((n, n)) < 4 / n)
    return Circuit(weights * radius / np.abs(np.linalg.eigvals(weights)).max(), n)


class TestWhereNothingRectifies:
    def test_it_is_the_same_as_stepping(self, rng):
        circuits = [small_circuit(rng, seed, n=n) for seed, n in enumerate((40, 40, 120))]
        linear, step = both(circuits, LONG)
        assert np.isnan(linear.stepped_from).all()
        assert not step.stepped_from.any()
        for kind in ("excitatory", "inhibitory"):
            np.testing.assert_allclose(linear[kind], step[kind], rtol=0, atol=1e-10)

    def test_of_every_neuron_at_every_step(self, rng):
        linear, step = both([small_circuit(rng, s) for s in range(3)], LONG, activity=True)
        assert np.isnan(linear.stepped_from).all()
        np.testing.assert_allclose(linear.activity, step.activity, rtol=0, atol=1e-10)

    def test_times_are_those_of_powers_of_the_matrix(self, rng):
        """From rest x_k = A^k b-sums with A = (1 - h) + h W: the decay by matrix_power alone."""
        made = small_circuit(rng)
        found = respond(made, LONG, Neurons(), activity=True).activity[0].values
        h = LONG.dt / 0.25
        A = (1 - h) * np.eye(len(made)) + h * made.weights
        for k in (1, 10, 500):
            expected = np.linalg.matrix_power(A, k) @ found[LONG.last + 1]
            np.testing.assert_allclose(found[LONG.last + 1 + k], expected, rtol=1e-9, atol=1e-11)
        u = np.where(np.arange(len(made)) < made.n_exc, LONG.strength * h, 0)
        sums = np.linalg.solve(np.eye(len(made)) - A, u - np.linalg.matrix_power(A, 100) @ u)
        np.testing.assert_allclose(found[LONG.first + 100], sums, rtol=1e-9)

    @pytest.mark.quick
    @pytest.mark.parametrize("n", [1, 2, 3, 41, 150])
    @pytest.mark.parametrize("radius", [0.3, 0.97, 1.2])
    def test_of_any_size_and_spectrum(self, rng, n, radius):
        """Spaces smaller than a batch of directions, ones that need several, growth."""
        made = random_linear(rng, max(n, 20), radius) if n > 3 else small_dense(rng, n, radius)
        linear, step = both(made, activity=True)
        assert np.isnan(linear.stepped_from).all()
        scale = step.activity.values.max()
        np.testing.assert_allclose(linear.activity, step.activity, rtol=0, atol=1e-12 * scale)

    @pytest.mark.slow
    def test_a_wide_spectrum_needs_more_directions_and_gets_them(self, rng):
        """A ring sends the pulse round: powers of W do not become parallel."""
        n = 130
        weights = np.zeros((n, n))
        weights[np.arange(n), np.arange(n) - 1] = rng.uniform(1.0, 3.0, n)
        made = Circuit(weights, n)
        timing = Timing(SHORT.dt / 0.25, SHORT.n_steps, SHORT.first, SHORT.last)
        driven = torch.full((n,), SHORT.strength, dtype=torch.float64)
        found = propagate(torch.from_numpy(weights)[None], driven, timing, rectify=True)
        assert GROWTH < found.basis.shape[1] < n
        linear, step = both(made, activity=True)
        assert np.isnan(linear.stepped_from).all()
        scale = step.activity.values.max()
        np.testing.assert_allclose(linear.activity, step.activity, rtol=0, atol=1e-12 * scale)

    def test_directions_are_orthonormal(self, rng):
        """Also where W all but repeats a direction: sizes of coordinates are sizes of activity."""
        weights = torch.from_numpy(0.008 + 1e-9 * rng.random((1, 100, 100)))
        timing = Timing(0.04, LONG.n_steps, LONG.first, LONG.last)
        driven = torch.ones(100, dtype=torch.float64)
        basis = propagate(weights, driven, timing, rectify=True).basis[0]
        off = (basis @ basis.T - torch.eye(len(basis))).abs().max()
        assert off < 1e-14

    @pytest.mark.quick(2)
    @pytest.mark.parametrize("response", ["threshold_linear", "linear"])
    @pytest.mark.parametrize("kind", ["alike", "regular", "modules", "inhibited"])
    def test_of_neurons_so_alike_that_few_directions_are_all(self, rng, kind, response):
        """What is left of a complete space is rounding, often of the same direction again."""
        n = 100
        regular = sum(np.eye(n)[rng.permutation(n)] for _ in range(5))
        weights = {
            "alike": np.full((n, n), 0.8 / (n - 1)) - np.eye(n) * 0.8 / (n - 1),
            "regular": 0.17 * regular,
            "modules": np.kron(np.diag([0.2, 0.4, 0.6, 0.8]), np.full((25, 25), 1 / 25)),
            "inhibited": np.kron(np.array([[0.9, -0.6], [2.0, 0.0]]), np.full((50, 50), 1 / 50)),
        }[kind]
        made = Circuit(weights, 50 if kind == "inhibited" else n)
        linear, step = both(made, LONG, Neurons(response=response), activity=True)
        rectifies = kind == "inhibited" and response == "threshold_linear"
        assert np.isfinite(linear.stepped_from).all() == rectifies
        scale = step.activity.values.max()
        np.testing.assert_allclose(linear.activity, step.activity, rtol=0, atol=1e-12 * scale)

    def test_a_pulse_on_from_the_start(self, rng):
        linear, step = both(small_circuit(rng), replace(SHORT, start=0.0))
        np.testing.assert_allclose(linear.excitatory, step.excitatory, rtol=0, atol=1e-10)

    def test_float32_gives_the_same_time(self, rng):
        made = small_circuit(rng)
        single, double = (
            respond(made, LONG, Neurons(), dtype=d) for d in (torch.float32, torch.float64)
        )
        assert single.excitatory.dtype == np.float32
        assert np.isnan(single.stepped_from).all()
        assert notebook_time(single.excitatory[0].values, LONG) == pytest.approx(
            notebook_time(double.excitatory[0].values, LONG), abs=1e-9
        )
        scale = double.excitatory.values.max()
        np.testing.assert_allclose(single.excitatory, double.excitatory, rtol=0, atol=1e-5 * scale)


def small_dense(rng, n, radius):
    weights = rng.random((n, n))
    return Circuit(weights * radius / np.abs(np.linalg.eigvals(weights)).max(), n)


class TestGuard:
    @pytest.mark.quick(1)
    @pytest.mark.parametrize("balance", [2.0, 4.0])
    def test_it_steps_from_where_a_unit_first_rectifies(self, rng, balance):
        made = small_circuit(rng, parameters=replace(NOTEBOOK, balance=balance))
        expected, lowest = notebook_rates(made.weights, made.n_exc, LONG)
        first = np.flatnonzero(lowest < -1e-9)[0]
        linear, step = both(made, LONG, activity=True)
        assert float(linear.stepped_from[0]) == pytest.approx(first * LONG.dt)
        np.testing.assert_allclose(linear.activity, step.activity, rtol=0, atol=1e-10)
        np.testing.assert_allclose(linear.activity[0].T, expected, rtol=0, atol=1e-10)

    def test_without_it_the_answer_would_be_another(self, rng):
        made = small_circuit(rng, parameters=replace(NOTEBOOK, balance=3.0))
        rectified, _ = both(made, LONG)
        free = respond(made, LONG, Neurons(response="linear"))
        assert np.abs(free.excitatory - rectified.excitatory).max() > 1e-3

    def test_each_run_of_a_batch_for_itself(self, rng):
        strong = replace(NOTEBOOK, balance=3.0)
        circuits = [small_circuit(rng, s, p) for s, p in enumerate([NOTEBOOK, strong] * 3)]
        linear, step = both(circuits, LONG)
        assert np.isnan(linear.stepped_from[::2]).all()
        assert np.isfinite(linear.stepped_from[1::2]).all()
        np.testing.assert_allclose(linear.excitatory, step.excitatory, rtol=0, atol=1e-10)

    @pytest.mark.slow
    @given(seed=st.integers(0, 2**16), balance=st.floats(0, 4), probability=st.floats(0.02, 1))
    def test_it_never_misses_one(self, seed, balance, probability):
        rng = np.random.default_rng(seed)
        parameters = replace(NOTEBOOK, balance=balance, probability=probability)
        linear, step = both(small_circuit(rng, seed % 99, parameters, n=12), activity=True)
        scale = max(1.0, step.activity.values.max())
        np.testing.assert_allclose(linear.activity, step.activity, rtol=0, atol=1e-10 * scale)

    def test_linear_neurons_need_none(self, rng):
        made = small_circuit(rng, parameters=replace(NOTEBOOK, balance=3.0))
        linear, step = both(made, LONG, Neurons(response="linear"), activity=True)
        assert step.activity.min() < 0
        assert np.isnan(linear.stepped_from).all()
        np.testing.assert_allclose(linear.activity, step.activity, rtol=0, atol=1e-10)

    @pytest.mark.parametrize("response", ["linear", "threshold_linear"])
    def test_an_explosion_is_one_in_either_engine(self, response):
        made = Circuit(np.full((3, 3), 1e4), 3)
        linear, step = both(made, neurons=Neurons(response=response))
        for found in (linear, step):
            assert not np.isfinite(found.excitatory[0, -1])
        finite = np.isfinite(linear.excitatory.values) & np.isfinite(step.excitatory.values)
        assert finite.sum() > SHORT.first + 5
        np.testing.assert_allclose(
            linear.excitatory.values[finite], step.excitatory.values[finite], rtol=1e-9
        )


class TestExactProperties:
    def test_homogeneity(self, rng):
        """A pulse c times as strong: activity c times as large, the same time to baseline."""
        made = small_circuit(rng)
        strong = replace(LONG, strength=37.0)
        one, two = (respond(made, i, Neurons()).excitatory[0].values for i in (LONG, strong))
        np.testing.assert_allclose(two, 3.7 * one, rtol=1e-11, atol=1e-13)
        assert notebook_time(two, strong) == notebook_time(one, LONG)

    @pytest.mark.quick
    @pytest.mark.parametrize("engine", ["linear", "step"])
    @pytest.mark.parametrize("c", [0.25, 3.0])
    def test_gain_and_balance_act_through_their_product(self, rng, c, engine):
        """(g, b) -> (c g, b / c) leaves the mean of excitatory neurons as it is."""
        sizes = {"n": 60}
        other = replace(NOTEBOOK, gain=c * NOTEBOOK.gain, balance=NOTEBOOK.balance / c)
        state = rng.bit_generator.state
        one = small_circuit(rng, parameters=NOTEBOOK, **sizes)
        rng.bit_generator.state = state
        two = small_circuit(rng, parameters=other, **sizes)
        assert not np.allclose(one.weights, two.weights)
        found = respond([one, two], LONG, Neurons(), engine=engine)
        np.testing.assert_allclose(found.excitatory[0], found.excitatory[1], rtol=0, atol=1e-11)

    def test_relabelling_neurons_changes_no_mean(self, rng):
        made = small_circuit(rng)
        order = np.r_[rng.permutation(made.n_exc), made.n_exc + rng.permutation(made.n_inh)]
        again = Circuit(made.weights[order][:, order], made.n_exc)
        found = respond([made, again], LONG, Neurons())
        np.testing.assert_allclose(found.excitatory[0], found.excitatory[1], rtol=0, atol=1e-11)


class TestRuns:
    def test_sizes_may_differ_and_order_stays(self, rng):
        circuits = [small_circuit(rng, s, n=n) for s, n in enumerate((30, 40, 40, 30))]
        together = respond(iter(circuits), SHORT, Neurons())
        for i, one in enumerate(circuits):
            alone = respond(one, SHORT, Neurons())
            np.testing.assert_allclose(together.excitatory[i], alone.excitatory[0], atol=1e-11)
            assert float(together.eigenvalue[i]) == float(alone.eigenvalue[0])

    def test_it_says_what_it_holds(self, rng):
        found = respond(small_circuit(rng), SHORT, Neurons(), activity=True)
        assert found.activity.dims == ("run", "time", "neuron")
        assert found.excitatory.dims == ("run", "time")
        assert np.array_equal(found.time, SHORT.times)
        assert found.time.attrs["units"] == found.stepped_from.attrs["units"] == "s"
        for name in found.data_vars:
            assert {"units", "long_name"} <= set(found[name].attrs)

    def test_networks_are_taken_as_they_are_run(self, rng, monkeypatch):
        """An iterator makes no more of them than are run together: a sweep fits in memory."""
        from ngpipe.circuit import respond as module

        made, most = small_circuit(rng), []
        monkeypatch.setattr(module, "CACHE", 2 * made.weights.nbytes)
        ran = 0

        def count(weights):
            nonlocal ran
            ran += 1
            return leading(weights)

        leading = module.leading_eigenvalue
        monkeypatch.setattr(module, "leading_eigenvalue", count)

        def several():
            for i in range(7):
                most.append(i - ran)
                yield made

        assert respond(several(), SHORT, Neurons()).sizes["run"] == 7
        assert max(most) <= 2

    def test_mistakes(self, rng):
        made = small_circuit(rng)
        with pytest.raises(ArgumentError, match="engine is 'exact', expected one of linear, step"):
            respond(made, SHORT, Neurons(), engine="exact")
        with pytest.raises(ArgumentError, match="not saturating ones; use engine='step'"):
            respond(made, SHORT, Neurons(response="saturating"))
        with pytest.raises(ArgumentError, match="there is no circuit to run"):
            respond([], SHORT, Neurons())
        with pytest.raises(ArgumentError, match=r"circuits have \[35, 47\] neurons, expected one"):
            respond([made, small_circuit(rng, n=30)], SHORT, Neurons(), activity=True)

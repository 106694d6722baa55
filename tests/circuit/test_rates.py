"""Rate neurons and their pulse: the notebook's Euler scheme in loops, and closed forms."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from notebook_loops import notebook_rates, notebook_time, small_circuit

from ngpipe.circuit.blocks import NOTEBOOK, Circuit
from ngpipe.circuit.impulse import Impulse
from ngpipe.circuit.rates import Neurons, pulse, rate_drift, step
from ngpipe.circuit.respond import respond
from ngpipe.errors import ArgumentError

SHORT = Impulse(start=0.2, end=1.0, duration=3.0)


def stepped(circuits, impulse=SHORT, neurons=None, **options):
    return respond(circuits, impulse, neurons or Neurons(), engine="step", **options)


class TestImpulse:
    def test_the_notebooks_pulse_is_on_for_1401_steps(self):
        impulse = Impulse()
        assert (impulse.n_steps, impulse.first, impulse.last) == (5000, 100, 1500)
        assert impulse.is_on(impulse.times).sum() == 1401

    def test_steps_follow_the_clock_of_the_integrator(self):
        """A step is driven if k * dt lies in the pulse, bounds included, as numpy rounds it."""
        impulse = Impulse(start=0.3, end=0.7, duration=1.0, dt=0.1)
        t = np.arange(10) * 0.1
        expected = np.flatnonzero((t >= 0.3) & (t <= 0.7))
        assert (impulse.first, impulse.last) == (expected[0], expected[-1])
        assert [impulse.is_on(k * 0.1) for k in range(10)] == impulse.is_on(t).tolist()

    def test_start_and_end_are_those_given(self):
        impulse = Impulse(start=2.0, end=3.5)
        assert (impulse.first, impulse.last) == (200, 350)

    @pytest.mark.parametrize("n_exc", [50, 51, 64])
    def test_it_reaches_every_excitatory_neuron_and_no_other(self, n_exc):
        """Also the last one, which an n_E computed back from n would leave out."""
        weights = torch.zeros(int(n_exc / 0.85), int(n_exc / 0.85))
        given = pulse(Impulse(), n_exc, weights)
        assert given(1.0).tolist() == [10.0] * n_exc + [0.0] * (len(weights) - n_exc)
        assert not given(0.99).any()

    @pytest.mark.parametrize(
        ("options", "words"),
        [
            ({"strength": -10.0}, "strength of Impulse is -10.0, expected a number greater than 0"),
            ({"strength": 0.0}, "strength of Impulse is 0.0"),
            ({"dt": np.nan}, "dt of Impulse is nan, expected a finite number"),
            ({"start": 60.0, "end": 70.0}, "from 60 to 70 s is on at none of the 5000 steps"),
            ({"start": 3.0, "end": 2.0}, "from 3 to 2 s is on at none"),
            ({"end": 50.0}, "ends at 50 s and the run at 50 s, which leaves nothing"),
        ],
    )
    def test_a_pulse_that_gives_no_response_to_measure_is_refused(self, options, words):
        with pytest.raises(ArgumentError, match=words):
            Impulse(**options)


class TestNeurons:
    def test_the_three_responses(self):
        v = torch.tensor([-2.0, -0.5, 0.0, 0.5, 3.0], dtype=torch.float64)
        positive = [0.0, 0.0, 0.0, 0.5, 3.0]
        assert Neurons()(v).tolist() == positive
        assert Neurons(response="linear")(v).tolist() == v.tolist()
        saturating = Neurons(response="saturating", maximum=2.0)
        assert saturating(v).tolist() == pytest.approx([2 * np.tanh(p / 2) for p in positive])
        assert saturating(100 * v).max() <= 2.0

    def test_an_unknown_response_is_refused_at_once(self):
        with pytest.raises(ArgumentError, match="response of Neurons is 'relu', expected 'thresho"):
            Neurons(response="relu")

    @pytest.mark.parametrize("name", ["tau", "maximum"])
    def test_constants_are_positive(self, name):
        with pytest.raises(ArgumentError, match=f"{name} of Neurons is 0.0, expected a number gre"):
            Neurons(**{name: 0.0})


class TestSteps:
    @pytest.mark.quick
    @pytest.mark.parametrize("balance", [0.15, 3.0])
    @pytest.mark.parametrize("row_sum", [0.9, 2.0])
    def test_activity_is_that_of_the_notebook(self, rng, row_sum, balance):
        """Also where units rectify, and where the network diverges."""
        made = small_circuit(rng, parameters=replace(NOTEBOOK, balance=balance), row_sum=row_sum)
        expected, _ = notebook_rates(made.weights, made.n_exc, SHORT)
        found = stepped(made, activity=True)
        np.testing.assert_allclose(found.activity[0].T, expected, rtol=1e-10, atol=1e-12)
        np.testing.assert_allclose(found.excitatory[0], expected[: made.n_exc].mean(0), rtol=1e-10)
        np.testing.assert_allclose(found.inhibitory[0], expected[made.n_exc :].mean(0), rtol=1e-10)

    def test_saturating_neurons_obey_their_equation(self, rng):
        made = small_circuit(rng, row_sum=2.0)
        found = stepped(made, neurons=Neurons(response="saturating", maximum=7.0), activity=True)
        expected, _ = notebook_rates(
            made.weights, made.n_exc, SHORT, f=lambda v: 7 * np.tanh(np.maximum(0, v) / 7)
        )
        np.testing.assert_allclose(found.activity[0].T, expected, rtol=1e-10, atol=1e-12)
        assert expected.max() > 6

    def test_a_lone_neuron_relaxes_geometrically(self):
        """Euler, h = dt / tau: u (1 - (1 - h)^k) while driven, then times (1 - h) a step."""
        found = stepped(Circuit(np.zeros((1, 1)), 1), neurons=Neurons(tau=0.5)).excitatory[0].values
        k = np.arange(SHORT.last - SHORT.first + 2)
        during = 10 * (1 - 0.98**k)
        np.testing.assert_allclose(found[SHORT.first : SHORT.last + 2], during, rtol=1e-12)
        after = found[SHORT.last + 1 :]
        np.testing.assert_allclose(after, after[0] * 0.98 ** np.arange(len(after)), rtol=1e-12)
        assert not found[: SHORT.first + 1].any()

    def test_an_arrow_points_from_pre_to_post(self):
        """With the one connection 0 -> 1, neuron 1 has more than what drives it, and 0 not."""
        weights = np.zeros((2, 2))
        weights[1, 0] = 0.7
        found = stepped(Circuit(weights, 2), activity=True).activity[0, -1].values
        alone = stepped(Circuit(np.zeros((2, 2)), 2), activity=True).activity[0, -1].values
        assert found[1] > 1.1 * alone[1]
        assert found[0] == alone[0]

    def test_runs_of_a_batch_are_those_alone(self, rng):
        circuits = [small_circuit(rng, seed) for seed in range(5)]
        together = stepped(circuits)
        for i, one in enumerate(circuits):
            alone = stepped(one)
            for kind in ("excitatory", "inhibitory"):
                np.testing.assert_allclose(together[kind][i], alone[kind][0], rtol=1e-12)

    def test_one_network_for_all_rows_or_one_for_each(self, generator):
        weights = torch.randn(4, 4, generator=generator, dtype=torch.float64)
        x = torch.randn(3, 4, generator=generator, dtype=torch.float64)
        given = pulse(SHORT, 2, weights)
        shared = rate_drift(weights, given, Neurons())(0.5, x)
        each = rate_drift(weights.expand(3, 4, 4), given, Neurons())(0.5, x)
        torch.testing.assert_close(shared, each)
        u = torch.tensor([10.0, 10, 0, 0], dtype=torch.float64)
        by_hand = (torch.relu(weights @ x[1] + u) - x[1]) / 0.25
        torch.testing.assert_close(shared[1], by_hand)

    def test_going_on_from_a_step_is_the_same_as_from_the_start(self, rng):
        made = small_circuit(rng)
        weights = torch.from_numpy(made.weights)[None]
        drift = rate_drift(weights, pulse(SHORT, made.n_exc, weights), Neurons())
        every = torch.eye(len(made), dtype=torch.float64)
        options = {"dt": SHORT.dt, "n_steps": SHORT.n_steps, "readout": every}
        whole = step(drift, weights.new_zeros(1, len(made)), first=0, **options)
        rest = step(drift, whole[:, 90], first=90, **options)
        torch.testing.assert_close(rest, whole[:, 90:], rtol=0, atol=0)

    def test_an_exploding_network_is_a_result_and_no_error(self):
        found = stepped(Circuit(np.full((3, 3), 1e4), 3))
        assert not np.isfinite(found.excitatory[0, -1])
        assert np.isfinite(found.excitatory[0, SHORT.first])

    def test_a_diverging_run_leaves_the_others_of_its_batch_alone(self, rng):
        fine = small_circuit(rng)
        wild = Circuit(np.abs(rng.normal(size=fine.weights.shape)) * 1e3, len(fine))
        wild = Circuit(wild.weights * np.where(np.arange(len(fine)) < 40, 1, -1e-9), 40)
        together = stepped([fine, wild, fine])
        assert not np.isfinite(together.excitatory[1]).all()
        np.testing.assert_allclose(together.excitatory[2], stepped(fine).excitatory[0], rtol=1e-12)


class TestTimeStep:
    def test_results_converge_with_dt(self, rng):
        """Order one: a fifth of the step, about a fifth of the error. Times shift by below 1 %."""
        made = small_circuit(rng)
        times, means = [], []
        for dt in (0.05, 0.01, 0.002):
            impulse = Impulse(start=0.5, end=3.0, duration=10.0, dt=dt)
            mean = stepped(made, impulse).excitatory[0].values
            times.append(notebook_time(mean, impulse))
            means.append(mean[round(4.0 / dt)])
        coarse, fine = abs(means[0] - means[1]), abs(means[1] - means[2])
        assert coarse / fine == pytest.approx(5, rel=0.25)
        assert times == pytest.approx([times[2]] * 3, rel=0.02)

    def test_a_step_beyond_tau_is_refused(self, rng):
        with pytest.raises(ArgumentError, match=r"dt is 0.01 s, expected at most tau, 0.005 s"):
            stepped(small_circuit(rng), neurons=Neurons(tau=0.005))

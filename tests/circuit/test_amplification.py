"""Networks that amplify for a while what they damp in the end, held to a loop of numpy."""

import numpy as np
import pytest
import torch
from examples import at_most
from hypothesis import given
from hypothesis import strategies as st
from notebook_loops import notebook_rates, small_circuit

from ngpipe.circuit.amplification import FLOOR, TOLERANCE
from ngpipe.circuit.blocks import Circuit
from ngpipe.circuit.impulse import Impulse
from ngpipe.circuit.measures import measure
from ngpipe.circuit.rates import Neurons
from ngpipe.circuit.respond import respond

LONG = Impulse(end=5.0, duration=60.0)
COARSE = Impulse(end=5.0, duration=60.0, dt=0.1)
SHORT = Impulse(start=0.2, end=1.0, duration=3.0, dt=0.02)


def chain(n, weight):
    """Each neuron sends to the next."""
    return np.diag(np.full(n - 1, float(weight)), -1)


def layers(rng, strength, n_layers=20, size=10):
    """Each layer sends to the next, with random weights of this mean sum."""
    n = n_layers * size
    weights = np.zeros((n, n))
    for end in range(size, n, size):
        block = rng.random((size, size))
        weights[end : end + size, end - size : end] = 2 * strength / size * block
    return weights


def largest_error(made, impulse, dtype=torch.float64, response="linear", engine="linear"):
    """Of the vector of all activities, over its length at that time, see `respond`."""
    options = {"activity": True, "dtype": dtype, "engine": engine}
    found = respond(made, impulse, Neurons(response=response), **options)
    f = {"linear": lambda v: v, "threshold_linear": lambda v: np.maximum(0, v)}[response]
    with np.errstate(over="ignore", invalid="ignore"):
        expected = notebook_rates(made.weights, made.n_exc, impulse, f=f)[0].T
    # Beyond it activity counts as infinite, or leaves single precision.
    finite = np.abs(expected).max(axis=1) < (1e100 if dtype == torch.float64 else 1e30)
    off = np.linalg.norm(found.activity[0].values[finite] - expected[finite], axis=1)
    least = FLOOR * impulse.strength * np.sqrt(made.n_exc)
    return (off / np.maximum(np.linalg.norm(expected[finite], axis=1), least)).max(), found


class TestFeedforward:
    @pytest.mark.quick(1)
    @pytest.mark.parametrize(
        ("n", "weight", "dtype", "seconds"),
        [
            (20, 1.5, torch.float32, 10.49),
            (20, 1.5, torch.float64, 10.49),
            (20, 3, torch.float64, 15.34),
            (60, 1.5, torch.float64, 31.43),
        ],
    )
    def test_chains_come_back_when_stepped_ones_do(self, n, weight, dtype, seconds):
        made = Circuit(chain(n, weight), n)
        found = measure(respond(made, LONG, Neurons(), dtype=dtype), LONG).iloc[0]
        assert found["status"] == "ok"
        assert found["time_to_baseline"] == pytest.approx(seconds, abs=1e-6)

    @pytest.mark.slow
    def test_a_peak_of_many_orders(self):
        made = Circuit(chain(100, 5), 100)
        mean = notebook_rates(made.weights, 100, LONG)[0].mean(axis=0)
        found = respond(made, LONG, Neurons())
        assert mean.max() == pytest.approx(1.45e68, rel=0.01)
        np.testing.assert_allclose(found.excitatory[0], mean, rtol=1e-9)
        assert float(found.stepped_from[0]) == 0

    @pytest.mark.quick(1)
    @pytest.mark.parametrize("strength", [0.5, 1.0, 1.5, 2.0])
    @pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
    def test_layers_of_random_weights_in_any_order(self, rng, strength, dtype):
        order = rng.permutation(200)
        made = Circuit(layers(rng, strength)[order][:, order], 200)
        mean = notebook_rates(made.weights, 200, COARSE)[0].mean(axis=0)
        found = respond(made, COARSE, Neurons(), dtype=dtype)
        visible = mean > 1e-6 * mean.max()
        rtol = {torch.float32: 1e-4, torch.float64: 1e-8}[dtype]
        np.testing.assert_allclose(found.excitatory[0][visible], mean[visible], rtol=rtol)

    def test_a_weak_chain_is_propagated(self):
        found = respond(Circuit(chain(20, 0.5), 20), COARSE, Neurons())
        assert np.isnan(found.stepped_from).all()

    def test_the_circuit_of_the_notebook_is_propagated(self, rng):
        found = respond([small_circuit(rng, s, n=60) for s in range(5)], COARSE, Neurons())
        assert np.isnan(found.stepped_from).all()

    def test_one_lost_run_leaves_the_others_as_they_are(self, rng):
        circuits = [Circuit(layers(rng, s, 5, 4), 20) for s in (0.2, 6.0, 0.3)]
        found = respond(circuits, COARSE, Neurons())
        assert np.isnan(found.stepped_from).values.tolist() == [True, False, True]


def drawn(kind, n, scale, rng):
    """Weights that make rounding grow, or that nearly have too few eigenvectors."""
    turned = np.linalg.qr(rng.normal(size=(n, n)))[0]
    signs = rng.choice([-1, 1], n)
    heavy = rng.lognormal(0, 3, (n, n)) * (rng.random((n, n)) < 2 / n)
    return {
        "feedforward": lambda: np.tril(rng.random((n, n)), -1) * scale,
        "chain": lambda: chain(n, scale),
        "to and fro": lambda: chain(n, scale) + chain(n, scale).T / (1 + scale**2),
        "heavy": lambda: np.abs(heavy) * scale,
        "inhibition": lambda: heavy * signs * scale,
        "near-defective": lambda: turned @ (np.eye(n) * 0.9 + chain(n, scale)) @ turned.T,
        "unstable": lambda: rng.random((n, n)) * 4 * scale / n,
    }[kind]()


def as_circuit(weights):
    """Neurons that send positive weights first; where signs are mixed, each as its sum says."""
    sign = np.where(weights.sum(axis=0) >= 0, 1, -1)
    order = np.argsort(-sign, kind="stable")
    lawful = np.abs(weights) * sign
    n_exc = max(1, int((sign > 0).sum()))
    lawful = lawful[order][:, order]
    lawful[:, :n_exc] = np.abs(lawful[:, :n_exc])
    return Circuit(lawful, n_exc)


KINDS = (
    "feedforward",
    "chain",
    "to and fro",
    "heavy",
    "inhibition",
    "near-defective",
    "unstable",
)
cases = given(
    kind=st.sampled_from(KINDS),
    n=st.sampled_from([1, 2, 3, 8, 25, 60]),
    scale=st.floats(0.1, 10),
    seed=st.integers(0, 2**16),
)


class TestAnyWeights:
    @at_most(25)
    @cases
    def test_linear_neurons(self, kind, n, scale, seed):
        made = as_circuit(drawn(kind, n, scale, np.random.default_rng(seed)))
        error, found = largest_error(made, SHORT)
        if float(found.stepped_from[0]) == 0:
            # Sums of torch and numpy come in another order, which such networks amplify.
            options = {"engine": "step", "activity": True}
            stepped = respond(made, SHORT, Neurons(response="linear"), **options)
            np.testing.assert_array_equal(found.activity, stepped.activity)
        else:
            assert error <= TOLERANCE

    @at_most(25)
    @cases
    def test_units_that_rectify(self, kind, n, scale, seed):
        made = as_circuit(drawn(kind, n, scale, np.random.default_rng(seed)))
        error, found = largest_error(made, SHORT, response="threshold_linear")
        # Some of these networks are chaotic: in steps, too, the order of sums shows in the end.
        stepped, _ = largest_error(made, SHORT, response="threshold_linear", engine="step")
        least = max(TOLERANCE, 10 * stepped)
        assert error <= least or float(found.stepped_from[0]) == 0

    @at_most(20)
    @cases
    def test_single_precision(self, kind, n, scale, seed):
        """Propagated in float64, so as near to the truth as float32 can say."""
        made = as_circuit(drawn(kind, n, scale, np.random.default_rng(seed)))
        single = Circuit(made.weights.astype(np.float32).astype(np.float64), made.n_exc)
        error, found = largest_error(single, SHORT, torch.float32)
        assert error <= 1e-6 or float(found.stepped_from[0]) == 0

"""The network: the notebook's numbers, blocks, signs, balance."""

from dataclasses import replace

import networkx as nx
import numpy as np
import pytest
from notebook_loops import measured, notebook_weights, small_circuit
from scipy import sparse

from ngpipe.circuit.blocks import NOTEBOOK, Circuit, CircuitParameters, circuit, draw, notebook_draw
from ngpipe.errors import ArgumentError


class TestNotebook:
    @pytest.mark.parametrize("seed", [0, 1, 9, 123_456, 2**32 - 1])
    def test_connections_are_those_of_networkx(self, seed):
        part = notebook_draw(50, NOTEBOOK, seed)
        graph = nx.erdos_renyi_graph(len(part.connected), 0.25, seed=seed, directed=True)
        assert np.array_equal(part.connected, nx.to_numpy_array(graph))

    @pytest.mark.parametrize(
        "options",
        [{}, {"g": 0.003}, {"p": 0.02}, {"p": 1.0}, {"r": 0.3}, {"b": 0.6}, {"b": None}],
        ids=str,
    )
    def test_weights_are_bit_for_bit_the_same(self, rng, options):
        names = {"g": "gain", "p": "probability", "r": "inhibitory", "b": "balance"}
        parameters = replace(NOTEBOOK, **{names[k]: v for k, v in options.items()})
        sizes = measured(rng)
        for seed in range(3):
            made = circuit(sizes, notebook_draw(len(sizes), parameters, seed), parameters)
            expected = notebook_weights(sizes.T / 150_000, seed, **options)
            assert np.array_equal(made.weights, expected)

    def test_a_connectome_in_float32_loses_nothing(self, rng):
        """Sums of sizes are whole numbers, exact up to 16 million."""
        sizes = measured(rng)
        part = notebook_draw(len(sizes), NOTEBOOK, 0)
        stored = sparse.csr_array(sizes.astype(np.float32)).toarray()
        assert np.array_equal(
            circuit(stored, part, NOTEBOOK).weights, circuit(sizes, part, NOTEBOOK).weights
        )

    def test_the_seed_alone_decides(self):
        np.random.seed(3)  # noqa: NPY002
        first = notebook_draw(20, NOTEBOOK, 5)
        second = notebook_draw(20, NOTEBOOK, 5)
        assert np.array_equal(first.strength, second.strength)
        assert not np.array_equal(first.strength, notebook_draw(20, NOTEBOOK, 6).strength)

    @pytest.mark.parametrize("seed", [-1, 2**32])
    def test_a_seed_that_randomstate_has_not_is_refused(self, seed):
        with pytest.raises(ArgumentError, match=f"seed is {seed}, expected 0 to"):
            notebook_draw(20, NOTEBOOK, seed)


class TestDraw:
    def test_has_the_distribution_asked_for(self, rng):
        part = draw(400, NOTEBOOK, rng)
        n = NOTEBOOK.n_neurons(400)
        assert part.connected.sum() / (n * (n - 1)) == pytest.approx(0.25, abs=0.005)
        assert not part.connected.diagonal().any()
        log = np.log10(part.strength)
        assert (log.mean(), log.std()) == pytest.approx((1, 0.2), abs=0.002)
        drawn = NOTEBOOK.gain * part.strength.mean()
        assert NOTEBOOK.mean_weight == pytest.approx(drawn, rel=0.005)
        assert NOTEBOOK.mean_weight == pytest.approx(0.02224, abs=1e-5)

    def test_the_generator_alone_decides(self):
        parts = [draw(20, NOTEBOOK, np.random.default_rng(s)) for s in (1, 1, 2)]
        assert np.array_equal(parts[0].strength, parts[1].strength)
        assert np.array_equal(parts[0].connected, parts[1].connected)
        assert not np.array_equal(parts[0].connected, parts[2].connected)

    def test_sweeping_a_scale_needs_no_new_draw(self, rng):
        """Gain, balance and scale of the measured block do not enter the draws: pairs stay."""
        scaled = replace(NOTEBOOK, gain=1.0, balance=0.9, ee_scale=2.0)
        one, other = notebook_draw(20, NOTEBOOK, 1), notebook_draw(20, scaled, 1)
        assert np.array_equal(one.strength, other.strength)
        assert np.array_equal(one.connected, other.connected)


class TestBlocks:
    def test_the_measured_block_is_post_by_pre(self):
        """With the one connection 0 -> 2, neuron 2 receives from 0 and 0 nothing from 2."""
        sizes = np.zeros((10, 10))
        sizes[2, 0] = 300_000
        made = circuit(sizes, notebook_draw(10, NOTEBOOK, 0), NOTEBOOK)
        assert made.weights[2, 0] == 2.0
        assert np.count_nonzero(made.weights[:10, :10]) == 1

    def test_senders_have_one_sign(self, rng):
        made = small_circuit(rng)
        assert (made.weights[:, : made.n_exc] >= 0).all()
        assert (made.weights[:, made.n_exc :] <= 0).all()
        assert (made.weights[:, made.n_exc :] < 0).any(axis=0).all()

    @pytest.mark.parametrize("balance", [0.15, 1.0, 2.5])
    def test_inhibition_balances_excitation_in_every_row(self, rng, balance):
        made = small_circuit(rng, parameters=replace(NOTEBOOK, balance=balance))
        excitation = made.weights[:, : made.n_exc].sum(axis=1)
        inhibition = -made.weights[:, made.n_exc :].sum(axis=1)
        reached = inhibition > 0
        assert reached.sum() > 0.8 * len(made)
        assert inhibition[reached] == pytest.approx(balance * excitation[reached], rel=1e-12)

    def test_rows_without_inhibition_stay_without(self, rng):
        sparse_part = replace(NOTEBOOK, probability=0.05)
        made = small_circuit(rng, parameters=sparse_part)
        none = ~made.weights[:, made.n_exc :].any(axis=1)
        excited = made.weights[:, : made.n_exc].sum(axis=1) > 0
        assert (none & excited).any()
        assert np.isfinite(made.weights).all()

    def test_rows_without_excitation_lose_their_inhibition(self, rng):
        sizes = measured(rng)
        sizes[3] = 0
        made = circuit(sizes, notebook_draw(len(sizes), NOTEBOOK, 0), NOTEBOOK)
        assert not made.weights[3].any()

    def test_gain_scales_what_reaches_inhibitory_neurons_and_nothing_else(self, rng):
        """The notebook's g: it cancels in what is balanced. (Scale of E to E: ee_scale.)"""
        sizes = measured(rng)
        part = notebook_draw(len(sizes), NOTEBOOK, 0)
        one = circuit(sizes, part, NOTEBOOK)
        two = circuit(sizes, part, replace(NOTEBOOK, gain=2 * NOTEBOOK.gain))
        ratio = np.divide(
            two.weights, one.weights, where=one.weights != 0, out=np.ones_like(one.weights)
        )
        e, i = slice(0, one.n_exc), slice(one.n_exc, None)
        for post, pre, factor in [(e, e, 1), (e, i, 1), (i, e, 2), (i, i, 2)]:
            there = one.weights[post, pre] != 0
            assert ratio[post, pre][there] == pytest.approx(factor, rel=1e-12)

    def test_ee_scale_scales_the_measured_block_and_its_inhibition(self, rng):
        sizes = measured(rng)
        part = notebook_draw(len(sizes), NOTEBOOK, 0)
        one = circuit(sizes, part, NOTEBOOK).weights
        two = circuit(sizes, part, replace(NOTEBOOK, ee_scale=1.5)).weights
        n = len(sizes)
        np.testing.assert_allclose(two[:n], 1.5 * one[:n], rtol=1e-12)
        np.testing.assert_allclose(two[n:], one[n:], rtol=1e-12)

    def test_the_number_of_excitatory_neurons_is_never_computed_back(self):
        """int(int(n_E / 0.85) * 0.85) is one too few for most sizes; n_exc is what was given."""
        lost = 0
        for n_exc in range(50, 1000):
            lost += int(NOTEBOOK.n_neurons(n_exc) * (1 - NOTEBOOK.inhibitory)) != n_exc
        assert lost == 894
        for n_exc in (50, 51, 64):
            made = circuit(np.eye(n_exc), notebook_draw(n_exc, NOTEBOOK, 0), NOTEBOOK)
            assert (made.n_exc, made.n_inh) == (n_exc, int(n_exc / 0.85) - n_exc)

    def test_without_inhibitory_neurons_the_measured_block_is_all(self, rng):
        sizes = measured(rng)
        alone = replace(NOTEBOOK, inhibitory=0.0)
        made = circuit(sizes, notebook_draw(len(sizes), alone, 0), alone)
        assert made.n_inh == 0
        assert np.array_equal(made.weights, sizes / 150_000)

    def test_nothing_given_is_changed(self, rng):
        sizes = measured(rng)
        part = notebook_draw(len(sizes), NOTEBOOK, 0)
        kept = sizes.copy(), part.strength.copy(), part.connected.copy()
        circuit(sizes, part, NOTEBOOK)
        for array, copy in zip((sizes, part.strength, part.connected), kept, strict=True):
            assert np.array_equal(array, copy)


class TestMistakes:
    @pytest.mark.parametrize(
        ("name", "value"),
        [
            ("probability", 1.1),
            ("inhibitory", 1.0),
            ("inhibitory", -0.1),
            ("gain", -0.002),
            ("balance", np.nan),
            ("ee_unit", 0.0),
            ("ee_scale", np.inf),
        ],
    )
    def test_a_value_out_of_its_range_is_named(self, name, value):
        with pytest.raises(ArgumentError, match=f"{name} of CircuitParameters is {value}, exp"):
            CircuitParameters(**{name: value})

    def test_sizes_below_zero_are_refused(self, rng):
        sizes = measured(rng)
        sizes[1, 0] = -5
        with pytest.raises(ArgumentError, match="1 measured weights are below 0"):
            circuit(sizes, notebook_draw(len(sizes), NOTEBOOK, 0), NOTEBOOK)

    def test_a_matrix_that_is_not_square_is_refused(self, rng):
        with pytest.raises(ArgumentError, match=r"measured has shape \(4, 5\), expected"):
            circuit(np.ones((4, 5)), notebook_draw(4, NOTEBOOK, 0), NOTEBOOK)

    def test_sizes_that_are_not_finite_are_refused(self, rng):
        sizes = measured(rng)
        sizes[1, 0] = np.nan
        with pytest.raises(ArgumentError, match=r"1 values that are not finite.*neuron 0 to 1"):
            circuit(sizes, notebook_draw(len(sizes), NOTEBOOK, 0), NOTEBOOK)

    def test_a_random_part_of_another_size_is_refused(self, rng):
        sizes = measured(rng)
        with pytest.raises(ArgumentError, match="random part is of 58 neurons, expected 47"):
            circuit(sizes, notebook_draw(50, NOTEBOOK, 0), NOTEBOOK)

    def test_a_circuit_that_breaks_dales_law_is_refused(self, rng):
        weights = small_circuit(rng).weights.copy()
        weights[4, 1] = -1.0
        with pytest.raises(ArgumentError, match=r"neuron 1 to 4 is -1: of 47 .*Dale's law"):
            Circuit(weights, 40)

    @pytest.mark.parametrize("n_exc", [0, 48])
    def test_a_number_of_excitatory_neurons_beyond_all_is_refused(self, rng, n_exc):
        with pytest.raises(ArgumentError, match=f"n_exc is {n_exc}, expected 1 to 47"):
            Circuit(small_circuit(rng).weights, n_exc)

"""Null connectomes: what each says it preserves, and that it changes the rest."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from ngpipe.errors import ConnectomeError
from ngpipe.wiring.container import Connectome
from ngpipe.wiring.nulls import mixing, permuted_weights, rewired
from ngpipe.wiring.sources.generated import generated
from ngpipe.wiring.sources.named import celegans


def random_connectome(seed: int, n: int = 40, p: float = 0.2) -> Connectome:
    """Signed, with self-connections, all weights different, four types."""
    rng = np.random.default_rng(seed)
    present = rng.random((n, n)) < p
    sizes = np.arange(1, n * n + 1).reshape(n, n)
    sign = np.where(rng.random(n) < 0.3, -1.0, 1.0)
    kinds = rng.choice(["A", "B", "C", "D"], n)
    neurons = pd.DataFrame({"id": np.arange(n), "sign": sign, "cell_type": kinds})
    return Connectome(sparse.csr_array(present * sizes), neurons).signed()


sizes = st.tuples(st.integers(0, 2**31), st.integers(2, 25), st.floats(0.0, 0.7))


def dense(connectome: Connectome) -> np.ndarray:
    return connectome.weights.toarray()


def sent(connectome: Connectome) -> list[list[float]]:
    """The set of weights of each sender."""
    return [sorted(column[column != 0].tolist()) for column in dense(connectome).T]


def degrees_by(connectome: Connectome, labels: np.ndarray) -> list[list[int]]:
    """Number of senders of each label of each neuron."""
    present = dense(connectome) != 0
    return [present[:, labels == label].sum(axis=1).tolist() for label in np.unique(labels)]


class TestRewired:
    @given(sizes, st.sampled_from(["degree", "sign", "type"]), st.integers(0, 99))
    def test_degrees_of_every_neuron_are_kept(self, size, keep, seed):
        given_one = random_connectome(*size)
        found = rewired(given_one, np.random.default_rng(seed), keep=keep, sweeps=3)
        for axis in (0, 1):
            np.testing.assert_array_equal(
                (dense(found) != 0).sum(axis), (dense(given_one) != 0).sum(axis)
            )

    @given(sizes, st.sampled_from(["degree", "sign", "type"]), st.integers(0, 99))
    def test_weights_travel_with_their_sender(self, size, keep, seed):
        """So each column holds the same weights: out-strength and Dale's law are kept."""
        given_one = random_connectome(*size)
        found = rewired(given_one, np.random.default_rng(seed), keep=keep, sweeps=3)
        assert sent(found) == sent(given_one)
        assert found.signed().digest() == found.digest()

    @pytest.mark.slow
    @given(sizes, st.sampled_from(["degree", "sign", "type"]))
    def test_self_connections_stay(self, size, keep):
        given_one = random_connectome(*size)
        found = rewired(given_one, np.random.default_rng(0), keep=keep)
        np.testing.assert_array_equal(found.weights.diagonal(), given_one.weights.diagonal())

    @pytest.mark.parametrize("keep", ["degree", "sign", "type"])
    def test_who_is_connected_to_whom_is_not(self, keep):
        given_one = random_connectome(1)
        found = rewired(given_one, np.random.default_rng(0), keep=keep)
        moved = (dense(found) != 0) & (dense(given_one) == 0)
        assert moved.sum() > 0.4 * given_one.n_edges

    def test_strength_of_inputs_is_not_kept(self):
        given_one = random_connectome(1)
        found = rewired(given_one, np.random.default_rng(0))
        assert (dense(found).sum(axis=1) != dense(given_one).sum(axis=1)).mean() > 0.9

    def test_excitatory_and_inhibitory_in_degree_can_be_kept(self):
        given_one = random_connectome(2)
        signs = given_one.neurons["sign"].to_numpy()
        found = rewired(given_one, np.random.default_rng(0), keep="sign")
        assert degrees_by(found, signs) == degrees_by(given_one, signs)
        free = rewired(given_one, np.random.default_rng(0), keep="degree")
        assert degrees_by(free, signs) != degrees_by(given_one, signs)

    def test_degrees_by_type_can_be_kept(self):
        given_one = random_connectome(2)
        kinds = given_one.neurons["cell_type"].to_numpy()
        found = rewired(given_one, np.random.default_rng(0), keep="type")
        assert degrees_by(found, kinds) == degrees_by(given_one, kinds)
        flipped = [Connectome(c.weights.T, c.neurons) for c in (found, given_one)]
        assert degrees_by(flipped[0], kinds) == degrees_by(flipped[1], kinds)

    def test_the_same_seed_gives_the_same_null(self):
        given_one = random_connectome(3)
        digests = {rewired(given_one, np.random.default_rng(s)).digest() for s in (1, 1, 2)}
        assert len(digests) == 2

    @pytest.mark.slow
    def test_every_possible_graph_comes_equally_often(self):
        """Senders 0, 1, 2 with one receiver each of 3, 4, 5: 6 graphs."""
        weights = sparse.csr_array((np.ones(3), ([3, 4, 5], [0, 1, 2])), shape=(6, 6))
        start = Connectome(weights, pd.DataFrame({"id": range(6)}))
        rng = np.random.default_rng(0)
        found = [tuple(rewired(start, rng, sweeps=4).weights.tocsc().indices) for _ in range(1200)]
        counts = pd.Series(found).value_counts()
        assert len(counts) == 6
        assert ((counts - 200) ** 2 / 200).sum() < 20.5  # chi2 of 5 degrees of freedom, p = 0.001

    def test_what_cannot_be_rewired_stays(self):
        full = Connectome(1 - np.eye(5), pd.DataFrame({"id": range(5)}))
        assert rewired(full, np.random.default_rng(0)).digest() == full.digest()

    def test_without_edges(self):
        empty = Connectome(sparse.csr_array((3, 3)), pd.DataFrame({"id": range(3)}))
        assert rewired(empty, np.random.default_rng(0)).n_edges == 0

    def test_the_origin_tells_what_was_done(self):
        found = rewired(random_connectome(1), np.random.default_rng(0), sweeps=5)
        assert found.origin.notes[-1].startswith("rewired, degree kept, 5 sweeps, overlap 0.")

    def test_refusals(self):
        mixed = Connectome(
            np.array([[0, 1, 0], [1, 0, 0], [-1, 0, 0]]), pd.DataFrame({"id": list("abc")})
        )
        with pytest.raises(ConnectomeError, match="send both signs, a; each sender needs one"):
            rewired(mixed, np.random.default_rng(0), keep="sign")
        with pytest.raises(ConnectomeError, match="no column 'cell_type'"):
            rewired(mixed, np.random.default_rng(0), keep="type")
        with pytest.raises(ConnectomeError, match="keep='motifs', expected one of"):
            rewired(mixed, np.random.default_rng(0), keep="motifs")


class TestMixing:
    def test_overlap_falls_to_what_degrees_enforce(self):
        """i receives from j with chance k_i k_j / E: so E shared edges times the mean of that."""
        given_one = random_connectome(4, n=80, p=0.15)
        found = mixing(given_one, np.random.default_rng(0), sweeps=15)
        present = (dense(given_one) != 0) & ~np.eye(80, dtype=bool)
        receives, sends = (np.sum(present.sum(axis).astype(float) ** 2) for axis in (1, 0))
        overlap = found["overlap"].to_numpy()
        assert overlap[0] == 1
        assert (np.diff(overlap[:4]) < 0).all()
        expected = receives * sends / present.sum() ** 3
        assert overlap[-4:].mean() == pytest.approx(expected, rel=0.1)

    def test_it_is_that_of_the_null_itself(self):
        given_one = random_connectome(5)
        last = mixing(given_one, np.random.default_rng(7), sweeps=4)["overlap"].iloc[-1]
        found = rewired(given_one, np.random.default_rng(7), sweeps=4)
        off = ~np.eye(len(given_one), dtype=bool)
        kept = ((dense(found) != 0) & (dense(given_one) != 0))[off].sum()
        assert last == pytest.approx(kept / (dense(given_one) != 0)[off].sum())


class TestPermutedWeights:
    @pytest.mark.parametrize("within", ["all", "sign", "sender", "type"])
    def test_edges_stay_and_weights_move(self, within, rng):
        given_one = random_connectome(6)
        found = permuted_weights(given_one, rng, within=within)
        np.testing.assert_array_equal(dense(found) != 0, dense(given_one) != 0)
        assert sorted(found.weights.data) == sorted(given_one.weights.data)
        assert (found.weights.data != given_one.weights.data).mean() > 0.5

    def test_senders_keep_their_weights(self, rng):
        given_one = random_connectome(6)
        assert sent(permuted_weights(given_one, rng)) == sent(given_one)

    def test_signs_stay(self, rng):
        given_one = random_connectome(6)
        found = permuted_weights(given_one, rng, within="sign")
        np.testing.assert_array_equal(np.sign(dense(found)), np.sign(dense(given_one)))

    def test_pairs_of_types_keep_their_weights(self, rng):
        given_one = random_connectome(6)
        found = permuted_weights(given_one, rng, within="type")
        for post in "ABCD":
            for pre in "ABCD":
                blocks = [sorted(c.block(post, pre).data) for c in (found, given_one)]
                assert blocks[0] == blocks[1]

    def test_an_unknown_class(self, rng):
        with pytest.raises(ConnectomeError, match="within='receiver', expected one of"):
            permuted_weights(random_connectome(6), rng, within="receiver")


def test_nulls_of_a_generated_connectome(rng):
    """The columns of a real one are all there, so that every null works on it."""
    given_one = generated(rng).signed()
    for keep in ("degree", "sign", "type"):
        assert rewired(given_one, rng, keep=keep, sweeps=1).n_edges == given_one.n_edges


@pytest.mark.data
def test_the_worm_is_forgotten_in_ten_sweeps(real, rng):
    """Overlap with the real one falls to 0.10, which the degrees alone enforce."""
    worm = celegans(real("celegans")).signed()
    overlap = mixing(worm, rng, sweeps=20)["overlap"].to_numpy()
    assert overlap[10] == pytest.approx(overlap[15:].mean(), abs=0.02)
    assert overlap[15:].mean() == pytest.approx(0.10, abs=0.02)

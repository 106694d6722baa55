"""Nulls of a circuit: what the table of nulls says each keeps, and that the rest changes."""

from functools import cache

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse
from scipy.stats import chi2

from ngpipe.config.nulls import null_kinds
from ngpipe.errors import ConnectomeError
from ngpipe.wiring.container import Connectome
from ngpipe.wiring.nulls import (
    NULLS,
    enough_sweeps,
    erdos_renyi,
    mixing,
    p_value,
    permuted_by_distance,
    permuted_connections,
    permuted_weights,
    permuting,
    rewired,
)
from ngpipe.wiring.nulls.ablations import without_reciprocal
from ngpipe.wiring.nulls.motifs import pair_counts, triad_counts

sizes = st.tuples(st.integers(0, 2**31), st.integers(1, 20), st.floats(0.0, 0.8))


def random_connectome(seed: int, n: int = 40, p: float = 0.2) -> Connectome:
    """With self-connections, types and positions; weights of one sign and all different."""
    rng = np.random.default_rng(seed)
    rate = p * rng.gamma(2, 1 / 2, n) * rng.gamma(2, 1 / 2, (n, 1))
    present = rng.random((n, n)) < rate
    neurons = pd.DataFrame(
        {"id": np.arange(n), **dict(zip("xyz", rng.random((3, n)), strict=True))}
    )
    neurons["cell_type"] = [("a", "b", "c")[i % 3] for i in range(n)]
    return Connectome(present * np.arange(1, n * n + 1).reshape(n, n), neurons)


def signed_connectome(seed: int) -> Connectome:
    """The same with a third of the senders inhibitory."""
    unsigned = random_connectome(seed)
    sign = np.where(np.random.default_rng(seed).random(len(unsigned)) < 1 / 3, -1.0, 1.0)
    return unsigned.described(sign=sign).signed()


def dense(connectome: Connectome) -> np.ndarray:
    return connectome.weights.toarray()


def ids(connectome: Connectome) -> pd.DataFrame:
    """A neuron table of ids alone."""
    return connectome.neurons[["id"]]


def present(connectome: Connectome) -> np.ndarray:
    """Who is connected, self-connections aside."""
    found = dense(connectome) != 0
    np.fill_diagonal(found, False)
    return found


def of_types(connectome: Connectome) -> np.ndarray:
    """One column for each type."""
    return pd.get_dummies(connectome.neurons["cell_type"]).to_numpy(np.int64)


def by_bin(connectome: Connectome, bins: int = 20) -> list[list[float]]:
    """Weights at each distance, bins as in the null: as many ordered pairs in each."""
    place = connectome.neurons[["x", "y", "z"]].to_numpy()
    off = ~np.eye(len(place), dtype=bool)
    distance = np.linalg.norm(place[:, None] - place[None], axis=2)[off]
    rank = np.argsort(np.argsort(distance, kind="stable"), kind="stable")
    label = rank * bins // len(rank)
    weights = dense(connectome)[off]
    return [sorted(weights[label == i].tolist()) for i in range(bins)]


MEASURES = {
    "edges": lambda c: c.n_edges,
    "weights": lambda c: sorted(c.weights.data.tolist()),
    "diagonal": lambda c: c.weights.diagonal().tolist(),
    "topology": lambda c: (dense(c) != 0).tolist(),
    "in_degree": lambda c: present(c).sum(axis=1).tolist(),
    "out_degree": lambda c: present(c).sum(axis=0).tolist(),
    "sent": lambda c: [sorted(column[column != 0].tolist()) for column in dense(c).T],
    "in_strength": lambda c: dense(c).sum(axis=1).tolist(),
    "mutual": lambda c: (present(c) & present(c).T).sum(axis=0).tolist(),
    "signs_received": lambda c: [
        ((dense(c) * ~np.eye(len(c), dtype=bool)) > 0).sum(axis=1).tolist(),
        ((dense(c) * ~np.eye(len(c), dtype=bool)) < 0).sum(axis=1).tolist(),
    ],
    "types_received": lambda c: (present(c) @ of_types(c)).tolist(),
    "types_sent_to": lambda c: (present(c).T @ of_types(c)).tolist(),
    "sizes": lambda c: sorted(np.abs(c.weights.data).tolist()),
    "reciprocal": lambda c: pair_counts(c)["reciprocal"],
    "triads": lambda c: triad_counts(c).tolist(),
    "by_distance": by_bin,
    "pairs_at_distance": lambda c: [len(weights) - weights.count(0.0) for weights in by_bin(c)],
}
WEIGHTS = {"edges", "weights", "sizes"}
TOPOLOGY = {"edges", "topology", "in_degree", "out_degree", "mutual", "reciprocal", "triads"}
TOPOLOGY |= {"types_received", "types_sent_to", "pairs_at_distance"}
DEGREE = WEIGHTS | {"diagonal", "in_degree", "out_degree", "sent"}
KEEPS = {
    "permuted_connections": WEIGHTS,
    "permuted_without_autapses": WEIGHTS | {"diagonal"},
    "permuted_weights": WEIGHTS | TOPOLOGY,
    "permuted_weights_of_senders": WEIGHTS | TOPOLOGY | {"sent", "signs_received"},
    "distance": WEIGHTS | {"diagonal", "by_distance", "pairs_at_distance"},
    "erdos_renyi": {"diagonal"},
    "degree": DEGREE,
    "degree_and_reciprocity": DEGREE | {"mutual", "reciprocal"},
    "degree_and_sign": DEGREE | {"signs_received"},
    "degree_and_type": DEGREE | {"types_received", "types_sent_to"},
    "degree_and_distance": DEGREE | {"pairs_at_distance"},
    "signs": TOPOLOGY | {"sizes"},
}
LACKING = {"signs": "sign", "types": "cell_type", "positions": "'x'"}
"""What a message names where a connectome lacks what a null needs."""


@cache
def five_samples(name: str) -> tuple[Connectome, list[Connectome]]:
    """A connectome and five samples of a null, the same for all that is measured."""
    given_one = signed_connectome(1)
    children = np.random.default_rng(0).spawn(5)
    return given_one, [NULLS[name].draw(given_one, child) for child in children]


class TestEveryNull:
    @pytest.mark.quick
    @pytest.mark.parametrize("measure", MEASURES)
    @pytest.mark.parametrize("name", NULLS)
    def test_it_keeps_what_it_says_and_nothing_else(self, name, measure):
        given_one, samples = five_samples(name)
        before = MEASURES[measure](given_one)
        drawn = [MEASURES[measure](sample) for sample in samples]
        if measure in KEEPS[name]:
            assert all(found == before for found in drawn)
        else:
            assert any(found != before for found in drawn)

    @pytest.mark.quick(5)
    @pytest.mark.parametrize("name", NULLS)
    def test_a_seed_gives_one_sample_and_nothing_given_changes(self, name):
        """B12: pairs of runs with one seed compare the same sample."""
        given_one = signed_connectome(2)
        before = given_one.digest()
        draw = NULLS[name].draw
        digests = [draw(given_one, np.random.default_rng(s)).digest() for s in (1, 1, 2)]
        assert digests[0] == digests[1] != digests[2]
        assert given_one.digest() == before

    @pytest.mark.parametrize("name", NULLS)
    def test_neurons_and_unit_stay_and_the_origin_tells(self, name, rng):
        given_one = signed_connectome(2)
        found = NULLS[name].draw(given_one, rng)
        known = given_one.neurons.columns.drop("sign" if null_kinds()[name].changes_signs else [])
        pd.testing.assert_frame_equal(found.neurons[known], given_one.neurons[known])
        assert found.unit == given_one.unit
        assert len(found.origin.notes) == 1

    @pytest.mark.quick
    @pytest.mark.parametrize("name", NULLS)
    @pytest.mark.parametrize("n", [1, 2, 5])
    def test_without_edges(self, name, n, rng):
        empty = Connectome(
            np.zeros((n, n)),
            pd.DataFrame({"id": range(n), "x": 0.0, "y": 0.0, "z": 0.0, "cell_type": "a"}),
        )
        assert NULLS[name].draw(empty, rng).n_edges == 0

    def test_the_table_says_what_every_null_keeps(self):
        assert set(KEEPS) == set(NULLS)
        assert all(kind.keeps and kind.renews for kind in null_kinds().values())

    @pytest.mark.parametrize("name", NULLS)
    def test_a_connectome_without_what_it_needs_is_refused(self, name, rng):
        """And one that lacks all that it does not need is not."""
        needs = null_kinds()[name].needs
        unsigned = random_connectome(1)
        mixed = unsigned.mapped(np.where(np.arange(unsigned.n_edges) % 2, 1.0, -1.0))
        bare = Connectome((mixed if "signs" in needs else unsigned).weights, ids(unsigned))
        if not needs:
            assert NULLS[name].draw(bare, rng).n_edges
            return
        with pytest.raises(ConnectomeError, match=LACKING[needs[0]]):
            NULLS[name].draw(bare, rng)

    def test_options_go_to_the_nulls_that_take_them(self, rng):
        given_one = signed_connectome(3)
        for name, null in NULLS.items():
            sample = null.sample(given_one, rng, sweeps=0, certainty=1.0)
            if null.kind.exchanges or null.kind.changes_signs:
                assert np.array_equal(dense(sample) != 0, dense(given_one) != 0), name


class TestPermutedConnections:
    @given(sizes, st.integers(0, 99))
    def test_the_draws_of_older_code_are_repeated_bit_for_bit(self, size, seed):
        """A RandomState shuffles the flattened matrix whose rows send."""
        given_one = random_connectome(*size)
        flat = dense(given_one).T.flatten()
        np.random.RandomState(seed).shuffle(flat)
        found = permuted_connections(given_one, np.random.RandomState(seed))
        np.testing.assert_array_equal(dense(found).T.flatten(), flat)

    @pytest.mark.slow
    def test_reciprocal_entries_count_autapses_once(self, rng):
        """B9: K^2 + K entries of S * S.T are expected for K connections a neuron, not K^2."""
        given_one = random_connectome(4, 60, 0.15)
        k = given_one.n_edges / 60
        drawn = [dense(permuted_connections(given_one, c)) for c in rng.spawn(300)]
        entries = [((s * s.T) > 0).sum() for s in drawn]
        error = np.std(entries) / np.sqrt(len(entries))
        assert np.mean(entries) == pytest.approx(k**2 + k, abs=4 * error)
        on_diagonal = np.mean([np.count_nonzero(s.diagonal()) for s in drawn])
        assert on_diagonal == pytest.approx(k, rel=0.1)

    @pytest.mark.slow
    def test_every_entry_is_as_likely(self, rng):
        """One connection among three neurons lands on each of 9, or each of 6, places alike."""
        one = Connectome(np.diag([7.0, 8], 1), pd.DataFrame({"id": range(3)}))
        for autapses, places in ((True, 9), (False, 6)):
            drawn = [dense(permuted_connections(one, rng, autapses=autapses)) for _ in range(900)]
            counts = (np.array(drawn) == 7).sum(axis=0)
            hit = counts[counts > 0]
            assert len(hit) == places
            expected = 900 / places
            assert ((hit - expected) ** 2 / expected).sum() < 30  # chi2 of 8, p = 2e-4


class TestPermutedWeights:
    @given(sizes, st.integers(0, 99))
    def test_the_draws_of_older_code_are_repeated_bit_for_bit(self, size, seed):
        given_one = random_connectome(*size)
        matrix = dense(given_one).T.copy()
        weights = matrix[matrix > 0]
        np.random.RandomState(seed).shuffle(weights)
        matrix[matrix > 0] = weights
        found = permuted_weights(given_one, np.random.RandomState(seed), within="all")
        np.testing.assert_array_equal(dense(found).T, matrix)

    def test_inhibitory_weights_take_part(self, rng):
        """B10: also the negative weights are shuffled, and they stay with inhibitory senders."""
        sign = np.where(np.arange(40) < 30, 1.0, -1.0)
        given_one = random_connectome(5).described(sign=sign).signed()
        found = permuted_weights(given_one, rng, within="sign")
        negative = dense(given_one) < 0
        np.testing.assert_array_equal(dense(found) < 0, negative)
        assert (dense(found)[negative] != dense(given_one)[negative]).mean() > 0.5

    def test_an_ablation_can_be_shuffled(self, rng):
        """B7: each of the two takes its own generator."""
        given_one = random_connectome(5)
        ablated = without_reciprocal(given_one, rng)
        found = permuted_weights(ablated, rng, within="all")
        np.testing.assert_array_equal(dense(found) != 0, dense(ablated) != 0)
        assert pair_counts(found)["reciprocal"] == 0


class TestReciprocity:
    @given(sizes, st.integers(0, 99))
    def test_degrees_and_mutual_degrees_are_kept(self, size, seed):
        given_one = random_connectome(*size)
        found = rewired(given_one, np.random.default_rng(seed), keep="reciprocity", sweeps=3)
        for name in KEEPS["degree_and_reciprocity"]:
            assert MEASURES[name](found) == MEASURES[name](given_one), name

    def test_weights_of_a_sender_stay_with_its_kind_of_connection(self):
        """What it sends to mutual partners goes to mutual partners."""
        given_one = random_connectome(6)
        found = rewired(given_one, np.random.default_rng(1), keep="reciprocity")
        for one in range(40):
            sent = [
                sorted(dense(c)[:, one][(present(c) & present(c).T)[:, one]].tolist())
                for c in (given_one, found)
            ]
            assert sent[0] == sent[1]

    @pytest.mark.slow
    @pytest.mark.parametrize(("mutual", "n_graphs"), [(False, 6), (True, 15)])
    def test_every_possible_graph_comes_equally_often(self, mutual, n_graphs, rng):
        """Six neurons: in three mutual pairs, or three that send to one of the others each."""
        weights = np.zeros((6, 6))
        weights[[3, 4, 5], [0, 1, 2]] = 1
        if mutual:
            weights += weights.T
        start = Connectome(weights, pd.DataFrame({"id": range(6)}))
        drawn = [rewired(start, rng, keep="reciprocity", sweeps=5) for _ in range(20 * n_graphs)]
        counts = pd.Series([dense(c).tobytes() for c in drawn]).value_counts()
        assert len(counts) == n_graphs
        # chi2 of as many degrees of freedom as graphs less one, p = 0.001
        assert ((counts - 20) ** 2 / 20).sum() < chi2.isf(0.001, n_graphs - 1)

    def test_the_start_is_forgotten(self):
        """The overlap levels off within ten sweeps, above what no degree would enforce."""
        given_one = random_connectome(7, 100, 0.1)
        overlap = mixing(given_one, np.random.default_rng(0), keep="reciprocity", sweeps=30)
        overlap = overlap["overlap"].to_numpy()
        assert overlap[0] == 1
        assert overlap[1] < 0.6
        assert overlap[10:].std() < 0.02
        assert overlap[10] == pytest.approx(overlap[20:].mean(), abs=0.04)


@pytest.mark.slow
@pytest.mark.parametrize("keep", ["degree", "reciprocity"])
def test_weights_move_where_connections_cannot(keep, rng):
    """All of five send to all: every weight of a sender is at every receiver equally often."""
    full = Connectome(
        np.arange(1.0, 26).reshape(5, 5) * (1 - np.eye(5)), pd.DataFrame({"id": range(5)})
    )
    drawn = np.array([dense(rewired(full, rng, keep=keep, sweeps=1)) for _ in range(400)])
    assert (np.sort(drawn, axis=1) == np.sort(dense(full), axis=0)).all()
    stayed = (drawn == dense(full))[:, ~np.eye(5, dtype=bool)].mean(axis=0)
    assert stayed == pytest.approx(np.full(20, 0.25), abs=4 * np.sqrt(0.25 * 0.75 / 400))


class TestDistance:
    def test_what_is_far_apart_stays_unconnected(self, rng):
        """Two clusters, connected only within: so is every sample, if far pairs are a bin."""
        n = 30
        place = np.where(np.arange(n) < 15, 0.0, 1000.0) + rng.random(n)
        near = np.abs(place[:, None] - place[None]) < 10
        weights = near * (rng.random((n, n)) < 0.3) * rng.random((n, n))
        neurons = pd.DataFrame({"id": range(n), "x": place, "y": 0.0})
        one = Connectome(weights, neurons)
        found = permuted_by_distance(one, rng, bins=29, axes=("x", "y"))  # 14 of them near
        assert not dense(found)[~near].any()
        assert (dense(found) != dense(one)).sum() > 0.5 * one.n_edges
        mixed = permuted_by_distance(one, rng, bins=1, axes=("x", "y"))
        assert dense(mixed)[~near].any()

    def test_axes_choose_the_distance(self, rng):
        """Along an axis on which all are alike no distance matters."""
        one = random_connectome(3)
        flat = one.described(z=np.zeros(40))
        found = permuted_by_distance(flat, rng, axes=("z",))
        assert by_bin(found) != by_bin(one)

    def test_refusals(self, rng):
        one = random_connectome(3)
        lost = one.described(y=np.where(np.arange(40) == 7, np.nan, 1.0))
        with pytest.raises(ConnectomeError, match=r"1 neurons have no position .*, 7; leave them"):
            permuted_by_distance(lost, rng)
        with pytest.raises(ConnectomeError, match="bins=0, expected at least one bin"):
            permuted_by_distance(one, rng, bins=0)
        with pytest.raises(ConnectomeError, match="no column 'u'"):
            permuted_by_distance(one, rng, axes=("u", "v"))


class TestErdosRenyi:
    @pytest.mark.slow
    def test_the_number_of_connections_is_binomial(self, rng):
        given_one = random_connectome(8, 30, 0.2)
        m, pairs = present(given_one).sum(), 30 * 29
        drawn = [present(erdos_renyi(given_one, child)).sum() for child in rng.spawn(400)]
        assert np.mean(drawn) == pytest.approx(m, abs=4 * np.sqrt(m / 400))
        assert np.var(drawn) == pytest.approx(m * (1 - m / pairs), rel=0.3)

    def test_weights_are_those_of_the_connectome(self, rng):
        given_one = random_connectome(8)
        off = dense(given_one)[present(given_one)]
        drawn = [erdos_renyi(given_one, child) for child in rng.spawn(50)]
        found = np.concatenate([dense(c)[present(c)] for c in drawn])
        assert set(found) <= set(off)
        assert found.mean() == pytest.approx(off.mean(), rel=0.05)


def test_a_shuffle_after_an_ablation_undoes_it(rng):
    """B8: reciprocal pairs come back at chance; ablating what was shuffled leaves none."""
    given_one = random_connectome(9)
    again = permuted_connections(without_reciprocal(given_one, rng), rng)
    assert pair_counts(again)["reciprocal"] > 0
    none = without_reciprocal(permuted_connections(given_one, rng), rng)
    assert pair_counts(none)["reciprocal"] == 0


def test_the_rank_of_one_observation_never_has_p_0():
    """B12: (1 + the samples as far out) / (1 + all), for two sides."""
    assert p_value(10.0, np.arange(9.0)) == pytest.approx(0.2)
    assert p_value(4.0, np.arange(9.0)) == 1


@pytest.mark.parametrize(("value", "draws"), [(np.nan, [1.0, 2.0]), (1.0, [np.nan, 2.0])])
def test_what_is_no_number_has_no_rank(value, draws):
    """Nothing compares with it, so that it would seem to be beyond all."""
    assert np.isnan(p_value(value, np.array(draws)))


class TestSweeps:
    def test_ten_are_enough_where_the_overlap_has_fallen(self):
        assert enough_sweeps(random_connectome(7, 100, 0.1)) == 10

    @pytest.mark.slow
    def test_a_dense_graph_with_mutual_pairs_takes_more(self):
        """Swaps are mostly refused there: after ten sweeps the overlap still falls."""
        dense_one = random_connectome(0, 60, 0.9)
        taken = enough_sweeps(dense_one, "reciprocity")
        assert taken > 10
        found = rewired(dense_one, np.random.default_rng(0), keep="reciprocity")
        assert f"{taken} sweeps" in found.origin.notes[-1]

    def test_a_number_given_is_taken(self):
        null = NULLS["degree"]
        given_one = random_connectome(7, 30, 0.1)
        found = null.sample(given_one, np.random.default_rng(0), sweeps=3)
        assert "3 sweeps" in found.origin.notes[-1]
        assert NULLS["erdos_renyi"].sample(given_one, np.random.default_rng(0), sweeps=3).n_edges

    @pytest.mark.parametrize("keep", ["degree", "reciprocity"])
    @pytest.mark.parametrize("weights", [np.eye(4), 1 - np.eye(4)])
    def test_where_no_connection_can_move_all_are_left(self, keep, weights):
        fixed = Connectome(weights, pd.DataFrame({"id": range(4)}))
        found = rewired(fixed, np.random.default_rng(0), keep=keep)
        note = found.origin.notes[-1]
        assert "overlap 1.000: no connection is elsewhere" in note
        assert mixing(fixed, np.random.default_rng(0), keep=keep)["overlap"].iloc[-1] == 1


class TestErdosRenyiOfManyNeurons:
    @pytest.mark.slow
    @pytest.mark.parametrize("tossed", [0, 8192])
    def test_every_graph_comes_as_often_as_its_probability(self, tossed, monkeypatch, rng):
        """Three neurons, 2 of 6 pairs connected: all 64 graphs, from a number a pair or an edge."""
        monkeypatch.setattr(permuting, "TOSSED", tossed)
        weights = np.zeros((3, 3))
        weights[1, 0] = weights[2, 1] = 1
        one = Connectome(weights, pd.DataFrame({"id": range(3)}))
        drawn = [present(erdos_renyi(one, rng)).tobytes() for _ in range(600)]
        counts = pd.Series(drawn).value_counts()
        edges = np.array([np.frombuffer(key, bool).sum() for key in counts.index])
        expected = 600 * (1 / 3) ** edges * (2 / 3) ** (6 - edges)
        often = expected > 5
        assert often.sum() >= 42
        off = ((counts.to_numpy() - expected) ** 2 / expected)[often].sum()
        assert off < chi2.isf(1e-4, often.sum())

    def test_memory_goes_with_connections(self, rng):
        """A number a pair would take 72 GB."""
        n, m = 100_000, 200_000
        ends = rng.integers(0, n, (2, m))
        weights = sparse.csr_array((np.ones(m), tuple(ends)), shape=(n, n))
        found = erdos_renyi(Connectome(weights, pd.DataFrame({"id": range(n)})), rng)
        assert found.n_edges == pytest.approx(m, abs=5 * np.sqrt(m))
        assert found.weights.diagonal().sum() == weights.diagonal().sum()

"""Motifs: against loops and networkx, their symmetries, and scores against nulls."""

from itertools import combinations, permutations

import networkx as nx
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ngpipe.errors import ConnectomeError
from ngpipe.wiring.container import Connectome
from ngpipe.wiring.nulls import erdos_renyi, permuted_weights, rewired
from ngpipe.wiring.nulls.motifs import (
    TRIADS,
    motif_counts,
    motif_scores,
    pair_counts,
    triad_counts,
)
from ngpipe.wiring.sources.synapses import PHASE1, Filters, read_synapses

sizes = st.tuples(st.integers(0, 2**31), st.integers(1, 12), st.floats(0.0, 0.9))


def random_connectome(seed: int, n: int, p: float) -> Connectome:
    """With self-connections and weights of both signs."""
    rng = np.random.default_rng(seed)
    weights = rng.normal(size=(n, n)) * (rng.random((n, n)) < p)
    return Connectome(weights, pd.DataFrame({"id": np.arange(n)}))


def graph(connectome: Connectome) -> nx.DiGraph:
    """Arrows from pre to post."""
    found = nx.DiGraph()
    found.add_nodes_from(range(len(connectome)))
    post, pre = np.nonzero(connectome.weights.toarray())
    found.add_edges_from(zip(pre.tolist(), post.tolist(), strict=True))
    return found


def of_graph(arrows: nx.DiGraph) -> Connectome:
    names = sorted(arrows)
    weights = np.zeros((len(names),) * 2)
    for pre, post in arrows.edges:
        weights[names.index(post), names.index(pre)] = 1
    return Connectome(weights, pd.DataFrame({"id": names}))


def by_loops(connectome: Connectome) -> dict[str, int]:
    sends = connectome.weights.toarray().T != 0
    found = {"autapse": int(sends.diagonal().sum())}
    every = range(len(sends))
    found["reciprocal"] = sum(sends[a, b] and sends[b, a] for a, b in combinations(every, 2))
    threes = list(permutations(every, 3))
    found["chain"] = sum(sends[a, b] and sends[b, c] for a, b, c in threes)
    found["convergent"] = sum(sends[a, b] and sends[c, b] for a, b, c in threes) // 2
    found["divergent"] = sum(sends[b, a] and sends[b, c] for a, b, c in threes) // 2
    return found


class TestCounts:
    @given(sizes)
    def test_patterns_of_two_connections_are_those_of_loops(self, size):
        given_one = random_connectome(*size)
        assert pair_counts(given_one).to_dict() == by_loops(given_one)

    @given(sizes)
    def test_triads_are_those_of_networkx(self, size):
        given_one = random_connectome(*size)
        assert triad_counts(given_one).to_dict() == nx.triadic_census(graph(given_one))

    @pytest.mark.parametrize("name", TRIADS)
    def test_each_triad_is_recognised(self, name):
        found = triad_counts(of_graph(nx.triad_graph(name)))
        assert found[found > 0].to_dict() == {name: 1}

    def test_turning_all_arrows_swaps_in_and_out(self):
        one = random_connectome(3, 30, 0.2)
        turned = Connectome(one.weights.T, one.neurons)
        swaps = {"convergent": "divergent", "divergent": "convergent"}
        swaps |= {f"{k}{a}": f"{k}{b}" for k in ("021", "111", "120") for a, b in ("UD", "DU")}
        found, other = motif_counts(one), motif_counts(turned)
        assert found["convergent"] != found["divergent"], "the test would say nothing"
        assert found.rename(swaps).to_dict() == other.to_dict()

    def test_self_connections_make_no_reciprocal_pairs(self):
        """B9: sum(S * S.T > 0) counts a pair twice and a self-connection once."""
        one = random_connectome(5, 30, 0.3)
        dense = one.weights.toarray()
        entries = int((dense * dense.T != 0).sum())
        found = pair_counts(one)
        assert entries == 2 * found["reciprocal"] + found["autapse"]
        assert found["autapse"] > 0

    @pytest.mark.slow
    def test_expectations_of_a_random_graph(self):
        """p^2 n (n - 1) (n - 2) chains, half as many of the others; 4 standard errors."""
        n, p = 40, 0.1
        drawn = [random_connectome(s, n, p) for s in range(200)]
        counts = pd.DataFrame([pair_counts(c) for c in drawn])
        threes = n * (n - 1) * (n - 2) * p**2
        expected = {"chain": threes, "convergent": threes / 2, "divergent": threes / 2}
        expected["reciprocal"] = n * (n - 1) / 2 * p**2
        for name, value in expected.items():
            error = counts[name].std() / np.sqrt(len(drawn))
            assert counts[name].mean() == pytest.approx(value, abs=4 * error), name


class TestScores:
    @pytest.mark.slow
    def test_mean_sd_z_and_p(self, rng):
        one = random_connectome(8, 25, 0.2)
        samples = [rewired(one, child) for child in rng.spawn(40)]
        table = motif_scores(one, iter(samples))
        row = table.loc["021C"]
        drawn = np.array([triad_counts(s)["021C"] for s in samples])
        assert row["count"] == triad_counts(one)["021C"]
        assert row["mean"] == pytest.approx(drawn.mean())
        assert row["z"] == pytest.approx((row["count"] - drawn.mean()) / drawn.std(ddof=1))
        beyond = min((drawn >= row["count"]).sum(), (drawn <= row["count"]).sum())
        assert row["p"] == pytest.approx(min(1, 2 * (1 + beyond) / 41))
        assert (table["samples"] == 40).all()

    def test_a_motif_that_the_null_keeps_has_no_z(self, rng):
        one = random_connectome(8, 25, 0.2)
        kept = motif_scores(one, [permuted_weights(one, rng) for _ in range(5)])
        assert kept["z"].isna().all()
        assert (kept["p"] == 1).all()
        degrees = motif_scores(one, [rewired(one, rng) for _ in range(20)])
        assert degrees["z"].isna()[["convergent", "divergent", "autapse"]].all()
        assert degrees["z"].notna()[["reciprocal", "021C", "030T"]].all()

    @pytest.mark.slow
    def test_planted_reciprocity_is_found(self, rng):
        """B12: the rank p of one observed connectome among samples of a null."""
        upper = np.triu(rng.random((40, 40)) < 0.1, 1)
        one = Connectome(1.0 * (upper | upper.T), pd.DataFrame({"id": range(40)}))
        table = motif_scores(one, [erdos_renyi(one, child) for child in rng.spawn(99)])
        assert table.loc["reciprocal", "z"] > 10
        assert table.loc["reciprocal", "p"] == 0.02

    def test_refusals(self, rng):
        one = random_connectome(8, 25, 0.2)
        with pytest.raises(ConnectomeError, match="got 1 samples of the null, expected two or mor"):
            motif_scores(one, [rewired(one, rng)])
        with pytest.raises(ConnectomeError, match="a sample has 24 neurons, the connectome 25"):
            motif_scores(one, [random_connectome(1, 24, 0.2)] * 2)


@pytest.mark.data
def test_reciprocity_of_phase_1_against_its_degrees(microns, rng):
    """Turner et al. 2022: 31 pairs, 22.57 +- 4.27 where degrees are kept."""
    folder = microns / "phase1_v185"
    names = "soma_subgraph_synapses_spines_v185.csv", "soma_valence_v185.csv"
    one = read_synapses(*(folder / n for n in names), PHASE1, Filters(autapses="drop"))
    assert triad_counts(one).to_dict() == nx.triadic_census(graph(one))
    drawn = [pair_counts(rewired(one, child))["reciprocal"] for child in rng.spawn(40)]
    assert np.mean(drawn) == pytest.approx(22.57, abs=4 * 4.27 / np.sqrt(40))
    assert np.std(drawn) == pytest.approx(4.27, rel=0.4)

"""What an experiment runs: the notebook's networks, pairs, and what each condition promises."""

import numpy as np
import pandas as pd
import pytest
from notebook_loops import measured, notebook_rates, notebook_time, notebook_weights

from ngpipe.circuit.conditions import circuits, connectomes
from ngpipe.circuit.impulse import Impulse
from ngpipe.circuit.rates import Neurons
from ngpipe.circuit.respond import respond
from ngpipe.config.circuit.experiment import CircuitExperiment
from ngpipe.config.load import validate
from ngpipe.config.nulls import null_kinds
from ngpipe.errors import ArgumentError, ConnectomeError
from ngpipe.wiring.container import Connectome
from ngpipe.wiring.nulls.motifs import pair_counts

SHUFFLED = {
    name: {"shuffle": name} for name, kind in null_kinds().items() if not kind.changes_signs
}
ABLATED = {rule: {"remove": rule} for rule in ("random", "weaker", "stronger", "both")}
MATCHED = {f"{m}_matched": {"remove": "random", "match": m} for m in ("count", "weight", "degree")}
CONDITIONS = {**SHUFFLED, **ABLATED, **MATCHED}
DRAWS = ("notebook", "generator")
N = 40


def experiment(conditions: dict | None = None, **sections: object) -> CircuitExperiment:
    runs = {"seeds": 2, **sections.pop("runs", {})}
    content = {"runs": runs, "conditions": conditions or {}, **sections}
    return validate(content, CircuitExperiment, where="test")


def one_observed() -> Connectome:
    """Whole synapse sizes, positions, two types, and all neurons excitatory."""
    rng = np.random.default_rng(20_260_214)
    place = dict(zip("xyz", rng.random((3, N)), strict=True))
    return Connectome(
        measured(rng, N),
        pd.DataFrame(
            {"id": np.arange(N), **place, "cell_type": ["a", "b"] * (N // 2), "sign": 1.0}
        ),
    )


@pytest.fixture(scope="module")
def observed() -> Connectome:
    """Shared, so only to be read."""
    return one_observed()


@pytest.fixture(scope="module", params=DRAWS)
def draws(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def drawn(observed, draws) -> dict[tuple[str, int], Connectome]:
    """What is measured in two runs of every condition; shared, so only to be read."""
    return connectomes(observed, experiment(CONDITIONS, runs={"draws": draws}))


def dense(connectome: Connectome) -> np.ndarray:
    return connectome.weights.toarray()


def networks(
    drawn: dict[tuple[str, int], Connectome], cfg: CircuitExperiment
) -> dict[tuple[str, int], np.ndarray]:
    return {(n, s): c.weights for n, s, c in circuits(drawn, cfg.network, cfg.runs)}


def all_of(connectome: Connectome, cfg: CircuitExperiment) -> dict[tuple[str, int], np.ndarray]:
    return networks(connectomes(connectome, cfg), cfg)


def shuffled_as_in_the_notebook(sizes: np.ndarray, name: str, seed: int) -> np.ndarray:
    """Sizes [pre, post], shuffled from a RandomState of this seed."""
    stream, found = np.random.RandomState(seed), sizes.copy()
    if name == "permuted_connections":
        stream.shuffle(found.reshape(-1))
    elif name == "permuted_weights":
        weights = found[found > 0]
        stream.shuffle(weights)
        found[found > 0] = weights
    return found


class TestNotebook:
    @pytest.mark.parametrize("name", ["observed", "permuted_connections", "permuted_weights"])
    def test_networks_are_its_own_bit_for_bit(self, observed, name):
        """One number is the seed of graph, weights and shuffle; networkx draws the graph."""
        shuffles = {n: SHUFFLED[n] for n in ("permuted_connections", "permuted_weights")}
        made = all_of(observed, experiment(shuffles, runs={"seed": 3}))
        for seed in (3, 4):
            sizes = shuffled_as_in_the_notebook(dense(observed).T.astype(float), name, seed)
            assert np.array_equal(made[name, seed], notebook_weights(sizes / 150_000, seed))

    def test_so_are_the_times(self, observed):
        impulse = Impulse(start=0.5, end=4.0, duration=20.0)
        cfg = experiment({"permuted": SHUFFLED["permuted_connections"]})
        drawn = connectomes(observed, cfg)
        made = list(circuits(drawn, cfg.network, cfg.runs))
        found = respond([c for *_, c in made], impulse, Neurons()).excitatory.values
        for trace, (name, seed, _) in zip(found, made, strict=True):
            sizes = dense(observed).T.astype(float)
            if name == "permuted":
                sizes = shuffled_as_in_the_notebook(sizes, "permuted_connections", seed)
            rates, _ = notebook_rates(notebook_weights(sizes / 150_000, seed), N, impulse)
            assert notebook_time(trace, impulse) == notebook_time(rates[:N].mean(0), impulse)

    def test_a_generator_draws_something_else(self, observed):
        cfg = {"permuted": SHUFFLED["permuted_connections"]}
        one, other = (all_of(observed, experiment(cfg, runs={"draws": d})) for d in DRAWS)
        for key in one:
            assert not np.array_equal(one[key], other[key])


class TestPairs:
    def test_runs_of_one_seed_share_the_random_blocks(self, drawn, draws):
        """And runs of different seeds do not. Unbalanced, so that blocks are as they were drawn."""
        cfg = experiment(CONDITIONS, runs={"draws": draws}, network={"balance": None})
        made = networks(drawn, cfg)
        assert list(made) == [(name, s) for s in (0, 1) for name in ("observed", *CONDITIONS)]
        for weights in made.values():
            weights[:N, :N] = 0
        for name, seed in made:
            assert np.array_equal(made[name, seed], made["observed", seed])
        assert not np.array_equal(made["observed", 0], made["observed", 1])

    def test_only_the_measured_block_of_a_condition_is_another(self, observed, drawn, draws):
        made = networks(drawn, experiment(CONDITIONS, runs={"draws": draws}))
        for key, connectome in drawn.items():
            assert np.array_equal(made[key][:N, :N], dense(connectome).astype(float) / 150_000)
            same = np.array_equal(dense(connectome), dense(observed))
            assert same == (key[0] == "observed")

    def test_seeds_differ(self, drawn):
        decided = {"observed", "weaker", "stronger", "both"}  # equal sizes aside, by the data
        for name in {name for name, _ in drawn} - decided:
            assert drawn[name, 0].digest() != drawn[name, 1].digest(), name

    def test_a_condition_does_not_depend_on_which_others_there_are(self, observed, drawn, draws):
        for name in ("degree", "random", "count_matched", "permuted_connections"):
            later = {"draws": draws, "seed": 1, "seeds": 1}
            alone = connectomes(observed, experiment({name: CONDITIONS[name]}, runs=later))
            assert alone[name, 1].digest() == drawn[name, 1].digest()

    @pytest.mark.quick(1)
    def test_the_same_done_under_two_names_is_the_same(self, observed, draws):
        twice = {"one": {"shuffle": "degree"}, "two": {"shuffle": "degree", "remove": "weaker"}}
        cfg = experiment({**twice, "three": {"remove": "weaker"}}, runs={"draws": draws})
        drawn = connectomes(observed, cfg)
        kept = dense(drawn["two", 0]) != 0
        assert np.array_equal(dense(drawn["one", 0])[kept], dense(drawn["two", 0])[kept])


class TestPromises:
    """What each condition keeps is tested with the nulls; here that each name leads to it."""

    def of(self, observed, conditions):
        return connectomes(observed, experiment(conditions))

    @pytest.mark.parametrize("name", SHUFFLED)
    def test_nulls_keep_what_they_say(self, observed, name):
        found = self.of(observed, {name: SHUFFLED[name]})[name, 0]
        before, after = dense(observed), dense(found)
        kept = {
            "connections": np.count_nonzero(before) == np.count_nonzero(after),
            "weights": sorted(before[before > 0]) == sorted(after[after > 0]),
            "no_autapses": not after.diagonal().any(),
            "topology": np.array_equal(before > 0, after > 0),
            "degrees": all(np.array_equal((before > 0).sum(a), (after > 0).sum(a)) for a in (0, 1)),
            "reciprocal": pair_counts(observed)["reciprocal"] == pair_counts(found)["reciprocal"],
        }
        expected = {
            "permuted_connections": {"connections", "weights"},
            "permuted_without_autapses": {"connections", "weights", "no_autapses"},
            "permuted_weights": set(kept),
            "permuted_weights_of_senders": set(kept),
            "degree_and_sign": {"connections", "weights", "no_autapses", "degrees"},
            "degree_and_type": {"connections", "weights", "no_autapses", "degrees"},
            "degree": {"connections", "weights", "no_autapses", "degrees"},
            "degree_and_reciprocity": set(kept) - {"topology"},
            "distance": {"connections", "weights", "no_autapses"},
            "degree_and_distance": {"connections", "weights", "no_autapses", "degrees"},
            "erdos_renyi": {"no_autapses"},
        }[name]
        assert {what for what, holds in kept.items() if holds} == expected

    @pytest.mark.slow
    def test_without_reciprocal_pairs_also_after_a_shuffle(self, observed):
        """B8: the ablation comes last, so that the shuffle cannot make pairs anew."""
        both = {n: {**SHUFFLED[n], "remove": "random"} for n in SHUFFLED}
        drawn = self.of(observed, {**both, **ABLATED})
        for (name, _), found in drawn.items():
            pairs = pair_counts(found)["reciprocal"]
            assert (pairs > 0) == (name == "observed"), name

    def test_ablations_follow_their_rule(self, observed):
        drawn = self.of(observed, ABLATED)
        w = dense(observed)
        mutual = np.triu((w > 0) & (w.T > 0), 1)
        pairs = np.c_[w[mutual], w.T[mutual]]
        lost = {name: w.sum() - dense(drawn[name, 0]).sum() for name in ABLATED}
        assert lost["weaker"] == pairs.min(axis=1).sum()
        assert lost["stronger"] == pairs.max(axis=1).sum()
        assert lost["both"] == pairs.sum()
        assert lost["weaker"] < lost["random"] < lost["stronger"]

    def test_controls_take_as_much_and_leave_the_pairs(self, observed):
        drawn = self.of(observed, {"random": ABLATED["random"], **MATCHED})
        ablated = drawn["random", 0]
        for name in MATCHED:
            found = drawn[name, 0]
            assert pair_counts(found)["reciprocal"] == pair_counts(observed)["reciprocal"]
            if name == "weight_matched":
                assert dense(found).sum() == dense(ablated).sum()
            else:
                assert found.n_edges == ablated.n_edges

    def test_a_control_of_a_shuffle_matches_the_ablation_of_that_shuffle(self, observed):
        shuffled = {"shuffle": "degree_and_reciprocity"}
        ablated = {**shuffled, "remove": "stronger"}
        drawn = self.of(
            observed, {"s": shuffled, "a": ablated, "c": {**ablated, "match": "weight"}}
        )
        for seed in (0, 1):
            assert dense(drawn["c", seed]).sum() == dense(drawn["a", seed]).sum()
            pairs = [pair_counts(drawn[name, seed])["reciprocal"] for name in ("s", "c", "a")]
            assert pairs[0] == pairs[1] > pairs[2] == 0

    def test_nothing_given_is_changed(self, observed, drawn):
        before = {key: connectome.digest() for key, connectome in drawn.items()}
        networks(drawn, experiment(CONDITIONS))
        assert observed.digest() == one_observed().digest()
        assert {key: connectome.digest() for key, connectome in drawn.items()} == before


class TestEdges:
    def test_no_reciprocal_pair_is_nothing_to_remove(self, rng):
        one_way = Connectome(np.tril(measured(rng, 12), -1), pd.DataFrame({"id": range(12)}))
        drawn = connectomes(one_way, experiment({**ABLATED, **MATCHED}))
        assert {c.digest() for c in drawn.values()} == {one_way.digest()}

    def test_a_control_that_cannot_be_had_is_named(self):
        full = Connectome(5000.0 * (1 - np.eye(6)), pd.DataFrame({"id": range(6)}))
        words = (
            r"conditions\.count, seed 7: the ablation removed 15 connections .* only 0 of weight 0"
        )
        with pytest.raises(ConnectomeError, match=words):
            connectomes(full, experiment({"count": MATCHED["count_matched"]}, runs={"seed": 7}))
        with pytest.raises(ConnectomeError, match=r"conditions\.far, seed 0: .*no column 'x'"):
            connectomes(full, experiment({"far": SHUFFLED["distance"]}))

    def test_connections_that_inhibit_are_refused(self, observed):
        cfg = experiment()
        signed = observed.described(sign=np.where(np.arange(N) < 30, 1, -1)).signed()
        with pytest.raises(ArgumentError, match=r"measured weights are below 0.*leave inhibitory"):
            all_of(signed, cfg)

    @pytest.mark.parametrize("n", [1, 3, 5])
    def test_a_connectome_too_small_for_an_inhibitory_neuron(self, rng, n):
        """int(5 / 0.85) is 5."""
        small = Connectome(rng.uniform(1, 9, (n, n)) * 1000, pd.DataFrame({"id": range(n)}))
        made = all_of(small, experiment({"p": SHUFFLED["permuted_connections"]}))
        assert {weights.shape for weights in made.values()} == {(n, n)}
        assert np.array_equal(made["observed", 0], dense(small).astype(float) / 150_000)

    @pytest.mark.slow
    @pytest.mark.parametrize("draws", DRAWS)
    def test_the_last_seeds_there_are(self, observed, draws):
        runs = {"seed": 2**31 - 1, "draws": draws}
        made = all_of(observed, experiment(CONDITIONS, runs=runs))
        assert {seed for _, seed in made} == {2**31 - 1, 2**31}

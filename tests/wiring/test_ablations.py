"""Ablations: which connections go, and controls that match what went."""

from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from ngpipe.errors import ConnectomeError
from ngpipe.wiring.container import Connectome
from ngpipe.wiring.nulls.ablations import MATCH, REMOVE, matched_removal, without_reciprocal
from ngpipe.wiring.nulls.motifs import pair_counts

sizes = st.tuples(st.integers(0, 2**31), st.integers(1, 15), st.floats(0.0, 0.7))
rules = pytest.mark.parametrize("remove", REMOVE)
controls = pytest.mark.parametrize("match", MATCH)


def random_connectome(seed: int, n: int = 40, p: float = 0.2) -> Connectome:
    """With self-connections; weights are whole numbers of either sign, some alike."""
    rng = np.random.default_rng(seed)
    weights = rng.integers(1, 50, (n, n)) * (rng.random((n, n)) < p)
    return Connectome(weights * rng.choice([-1, 1], n), pd.DataFrame({"id": np.arange(n)}))


def dense(connectome: Connectome) -> np.ndarray:
    return connectome.weights.toarray()


def mutual(connectome: Connectome) -> np.ndarray:
    found = (dense(connectome) != 0) & (dense(connectome).T != 0)
    np.fill_diagonal(found, False)
    return found


def lost_degrees(before: Connectome, after: Connectome) -> tuple[np.ndarray, np.ndarray]:
    """Connections that each neuron no longer gets and sends."""
    gone = (dense(before) != 0) & (dense(after) == 0)
    return gone.sum(axis=1), gone.sum(axis=0)


def total(connectome: Connectome) -> float:
    return float(np.abs(dense(connectome).astype(np.float64)).sum())


class TestReciprocal:
    @given(sizes, st.sampled_from(REMOVE), st.integers(0, 99))
    def test_none_is_left_and_all_else_stays(self, size, remove, seed):
        before = random_connectome(*size)
        after = without_reciprocal(before, np.random.default_rng(seed), remove=remove)
        assert not mutual(after).any()
        np.testing.assert_array_equal(dense(after)[~mutual(before)], dense(before)[~mutual(before)])
        pairs = pair_counts(before)["reciprocal"]
        assert before.n_edges - after.n_edges == pairs * (2 if remove == "both" else 1)
        assert after.origin.counts["connections_removed"] == before.n_edges - after.n_edges

    @given(sizes, st.sampled_from(["weaker", "stronger"]), st.integers(0, 99))
    def test_rules_go_by_the_size_of_weights(self, size, remove, seed):
        before = random_connectome(*size)
        w = np.abs(dense(before))
        after = np.abs(
            dense(without_reciprocal(before, np.random.default_rng(seed), remove=remove))
        )
        for i, j in zip(*np.nonzero(np.triu(mutual(before))), strict=True):
            pair = w[i, j], w[j, i]
            left = max(pair) if remove == "weaker" else min(pair)
            assert after[i, j] + after[j, i] == left

    @pytest.mark.parametrize("remove", ["random", "weaker"])
    def test_chance_decides_where_nothing_else_does(self, remove, rng):
        """Pairs of equal weights: each direction stays about half the time."""
        pairs = np.kron(np.eye(20), [[0, 5], [5, 0]])
        one = Connectome(pairs, pd.DataFrame({"id": range(40)}))
        drawn = [dense(without_reciprocal(one, rng, remove=remove)) for _ in range(20)]
        stays = [after[::2, 1::2].diagonal() > 0 for after in drawn]
        assert np.mean(stays) == pytest.approx(0.5, abs=0.1)

    def test_both_directions_go(self, rng):
        before = random_connectome(1)
        after = without_reciprocal(before, rng, remove="both")
        assert not dense(after)[mutual(before)].any()

    @rules
    def test_a_seed_gives_one_ablation_and_nothing_given_changes(self, remove):
        before = random_connectome(2)
        digest = before.digest()
        a, b = (without_reciprocal(before, np.random.default_rng(3), remove=remove) for _ in "ab")
        assert a.digest() == b.digest()
        assert before.digest() == digest

    def test_a_rule_that_does_not_exist(self, rng):
        with pytest.raises(ConnectomeError, match="remove='one', expected one of"):
            without_reciprocal(random_connectome(1), rng, remove="one")


class TestControls:
    @given(sizes, st.sampled_from(REMOVE), st.sampled_from(MATCH), st.integers(0, 99))
    def test_reciprocal_connections_stay_as_they_are(self, size, remove, match, seed):
        rng = np.random.default_rng(seed)
        before = random_connectome(*size)
        after = without_reciprocal(before, rng, remove=remove)
        try:
            found = matched_removal(before, after, rng, match=match)
        except ConnectomeError as error:
            assume("are not reciprocal" not in str(error))
            raise
        np.testing.assert_array_equal(dense(found)[mutual(before)], dense(before)[mutual(before)])
        np.testing.assert_array_equal(found.weights.diagonal(), before.weights.diagonal())
        if match == "weight":
            assert total(found) == total(after)  # whole numbers, so exactly
        else:
            assert found.n_edges == after.n_edges
        assert (np.abs(dense(found)) <= np.abs(dense(before))).all()
        assert (np.sign(dense(found)) * np.sign(dense(before)) >= 0).all()

    def test_at_most_one_connection_is_weakened(self, rng):
        before = random_connectome(3)
        after = without_reciprocal(before, rng)
        found = matched_removal(before, after, rng, match="weight")
        changed = (dense(found) != 0) & (dense(found) != dense(before))
        assert changed.sum() == found.origin.counts["connections_weakened"] <= 1

    def test_degrees_are_matched_where_they_can_be(self, rng):
        """A ring whose neurons send to +1, +3, +5, +7, and have mutual partners at +2 and -2."""
        steps = (np.arange(20)[:, None] - np.arange(20)) % 20
        ring = np.isin(steps, [1, 2, 3, 5, 7, 18]) * rng.integers(1, 50, (20, 20))
        before = Connectome(ring, pd.DataFrame({"id": range(20)}))
        after = without_reciprocal(before, rng, remove="both")
        found = matched_removal(before, after, rng, match="degree")
        for ours, theirs in zip(
            lost_degrees(before, found), lost_degrees(before, after), strict=True
        ):
            np.testing.assert_array_equal(ours, theirs)
        other = matched_removal(before, after, rng, match="count")
        assert (lost_degrees(before, other)[0] != lost_degrees(before, after)[0]).any()

    @pytest.mark.slow
    @given(st.integers(0, 2**31))
    def test_no_choice_matches_degrees_better(self, seed):
        """Against all choices of as many connections, in small connectomes."""
        rng = np.random.default_rng(seed)
        before = random_connectome(seed, 6, 0.35)
        after = without_reciprocal(before, rng)
        k = before.n_edges - after.n_edges
        single = (dense(before) != 0) & ~mutual(before) & ~np.eye(6, dtype=bool)
        edges = list(zip(*np.nonzero(single), strict=True))
        assume(0 < k <= len(edges))
        wanted = np.concatenate(lost_degrees(before, after))
        best = np.inf
        for chosen in combinations(edges, k):
            post, pre = np.array(chosen).T
            lost = np.r_[np.bincount(post, minlength=6), np.bincount(pre, minlength=6)]
            best = min(best, np.maximum(lost - wanted, 0).sum())
        found = matched_removal(before, after, rng, match="degree")
        ours = np.concatenate(lost_degrees(before, found))
        counts = found.origin.counts
        beyond = np.maximum(ours - wanted, 0)
        assert beyond.sum() == best
        assert beyond[:6].sum() == counts["removed_at_other_receivers"]
        assert beyond[6:].sum() == counts["removed_at_other_senders"]

    @controls
    def test_chance_chooses_and_a_seed_repeats_it(self, match):
        before = random_connectome(5)
        after = without_reciprocal(before, np.random.default_rng(0))
        digests = [
            matched_removal(before, after, np.random.default_rng(s), match=match).digest()
            for s in (1, 1, 2)
        ]
        assert digests[0] == digests[1] != digests[2]

    def test_nothing_to_match(self, rng):
        before = Connectome(np.triu(np.ones((5, 5)), 1), pd.DataFrame({"id": range(5)}))
        for match in MATCH:
            assert matched_removal(before, before, rng, match=match).digest() == before.digest()

    def test_refusals(self, rng):
        full = Connectome(1 - np.eye(4), pd.DataFrame({"id": range(4)}))
        ablated = without_reciprocal(full, rng)
        with pytest.raises(ConnectomeError, match=r"removed 6 .* but only 0 of weight 0 are"):
            matched_removal(full, ablated, rng)
        with pytest.raises(ConnectomeError, match="6 connections of the ablation are not in the"):
            matched_removal(ablated, full, rng)
        with pytest.raises(ConnectomeError, match="has 3 neurons, which are not the 4"):
            matched_removal(full, full.select([0, 1, 2]), rng)
        with pytest.raises(ConnectomeError, match="match='weights', expected one of"):
            matched_removal(full, ablated, rng, match="weights")

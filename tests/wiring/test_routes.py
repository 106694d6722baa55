"""Paths of n hops: complete, exact, and what pruning leaves of them."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from examples import at_most
from hypothesis import assume, given
from hypothesis import strategies as st

from ngpipe.errors import ConnectomeError
from ngpipe.wiring.container import Connectome
from ngpipe.wiring.paths.effective import effective_connectivity
from ngpipe.wiring.paths.routes import Paths, path_lengths, paths
from ngpipe.wiring.sources.named import celegans, optic_lobe

SOURCES, TARGETS = np.array([0, 3]), np.array([5, 6, 1])
Walks = dict[tuple[int, ...], float]


def random_connectome(seed: int, n: int = 7, density: float = 0.35) -> Connectome:
    """Weights of both signs, also from one sender; three types; self-connections."""
    rng = np.random.default_rng(seed)
    W = rng.normal(size=(n, n)) * (rng.random((n, n)) < density)
    neurons = pd.DataFrame({"id": np.arange(n) + 100, "cell_type": list("AABBCCC")[:n]})
    return Connectome(W, neurons)


def chain(*values: float) -> Connectome:
    """a -> b -> c ..., with these weights."""
    n = len(values) + 1
    W = np.zeros((n, n))
    W[np.arange(1, n), np.arange(n - 1)] = values
    return Connectome(W, pd.DataFrame({"id": list("abcdef")[:n]}))


def walks(connectome: Connectome, hops: int, least: float = 0.0) -> Walks:
    """Every path from SOURCES to TARGETS, with what it carries."""
    W = connectome.weights.toarray().astype(np.float64)
    W[abs(W) < least] = 0
    found = {(source,): 1.0 for source in SOURCES.tolist()}
    for _ in range(hops):
        found = {
            (*walk, post): carried * float(W[post, walk[-1]])
            for walk, carried in found.items()
            for post in np.flatnonzero(W[:, walk[-1]]).tolist()
        }
    return {walk: carried for walk, carried in found.items() if walk[-1] in TARGETS}


def flows(found: Walks) -> dict[tuple[int, int, int], float]:
    """Flow of each edge (layer, pre, post): what the paths through it carry."""
    total = {}
    for walk, carried in found.items():
        for layer, edge in enumerate(pairwise(walk)):
            key = (layer, edge[0] + 100, edge[1] + 100)
            total[key] = total.get(key, 0.0) + abs(carried) / len(TARGETS)
    return total


def between(connectome: Connectome, hops: int, **options) -> Paths:
    return paths(connectome, SOURCES, TARGETS, hops, **options)


def rows(found: Paths) -> dict[tuple[int, int, int], tuple[float, float]]:
    table = found.table("id")
    return {
        (row.layer, row.pre, row.post): (row.weight, row.flow)
        for row in table.itertuples(index=False)
    }


few_examples = at_most(30)
random_cases = given(st.integers(0, 999), st.integers(1, 4))


@few_examples
@random_cases
def test_all_edges_on_paths_are_found_and_no_others(seed, hops):
    given_one = random_connectome(seed)
    expected = flows(walks(given_one, hops))
    assume(expected)
    found = rows(between(given_one, hops))
    assert set(found) == set(expected)
    W = given_one.weights.toarray()
    for (layer, pre, post), (weight, flow) in found.items():
        assert weight == W[post - 100, pre - 100]
        assert flow == pytest.approx(expected[layer, pre, post], rel=1e-9)


@few_examples
@random_cases
def test_flow_is_the_total_effective_connectivity_in_every_layer(seed, hops):
    given_one = random_connectome(seed)
    assume(walks(given_one, hops))
    found = between(given_one, hops)
    total = effective_connectivity(given_one, SOURCES, TARGETS, hops, by="id").total
    expected = total.sel(hop=hops).sum("pre").mean("post").item()
    assert found.flow == pytest.approx(expected, rel=1e-9)
    for by in ("id", "cell_type"):
        by_layer = found.table(by).groupby("layer")["flow"].sum()
        np.testing.assert_allclose(by_layer, [expected] * hops, rtol=1e-9)


def test_an_arrow_points_from_pre_to_post():
    found = paths(chain(0.5, -0.25), "a", "c", 2, by="id").table("id")
    expected = pd.DataFrame(
        {
            "layer": [0, 1],
            "pre": ["a", "b"],
            "post": ["b", "c"],
            "sign": [1, -1],
            "weight": [0.5, -0.25],
            "flow": [0.125, 0.125],
        }
    )
    pd.testing.assert_frame_equal(found, expected, check_dtype=False)
    with pytest.raises(ConnectomeError, match="no path of exactly 2 hops leads from c to a"):
        paths(chain(0.5, -0.25), "c", "a", 2, by="id")


def test_a_path_may_come_back():
    W = np.array([[0, 0.5], [0.5, 0]])
    loop = Connectome(W, pd.DataFrame({"id": ["a", "b"]}))
    found = paths(loop, "a", "b", 3, by="id").table("id")
    assert found["pre"].tolist() == ["a", "b", "a"]


@few_examples
@random_cases
def test_one_hop_between_groups_is_effective_connectivity_of_each_sign(seed, hops):
    """Sums over senders, means over all targets of a group, also those without a path."""
    given_one = random_connectome(seed)
    assume(walks(given_one, 1))
    table = between(given_one, 1).table()
    found = effective_connectivity(given_one, SOURCES, TARGETS, 1).sel(hop=1)
    for part, sign in (("excitatory", 1), ("inhibitory", -1)):
        here = table[table["sign"] == sign]
        assert (np.sign(here["weight"]) == sign).all()
        expected = found[part].to_series().loc[lambda s: s > 0]
        weights = here.set_index(["post", "pre"])["weight"].abs().sort_index()
        pd.testing.assert_series_equal(
            weights, expected.sort_index(), check_names=False, check_dtype=False
        )


def test_groups_in_between_count_all_their_neurons():
    """Of the two neurons of B one receives, so that the mean is half of it."""
    W = np.zeros((4, 4))
    W[1, 0], W[3, 1] = 0.5, 0.5
    neurons = pd.DataFrame({"id": range(4), "cell_type": ["A", "B", "B", "C"]})
    found = paths(Connectome(W, neurons), "A", "C", 2).table()
    assert found["weight"].tolist() == [0.25, 0.5]
    assert found["flow"].tolist() == [0.25, 0.25]


def test_rows_come_by_layer_then_flow():
    table = between(random_connectome(1), 3).table()
    assert list(table) == ["layer", "pre", "post", "sign", "weight", "flow"]
    assert table["layer"].unique().tolist() == [0, 1, 2]
    assert (table.groupby("layer")["flow"].diff().dropna() <= 0).all()


class TestThreshold:
    @few_examples
    @random_cases
    def test_of_neurons(self, seed, hops):
        given_one = random_connectome(seed)
        expected = flows(walks(given_one, hops, 0.6))
        assume(expected)
        assert set(rows(between(given_one, hops, threshold=0.6))) == set(expected)

    @pytest.mark.slow
    @few_examples
    @random_cases
    def test_later_is_the_same(self, seed, hops):
        given_one = random_connectome(seed)
        assume(walks(given_one, hops, 0.6))
        found = between(given_one, hops)
        early = between(given_one, hops, threshold=0.6)
        for by in ("id", "cell_type"):
            pd.testing.assert_frame_equal(
                found.pruned(threshold=0.6, by="id").table(by), early.table(by)
            )

    def test_a_weight_as_large_as_it_is_kept(self):
        found = paths(chain(0.7), "a", "b", 1, by="id", threshold=0.7)
        assert found.pruned(threshold=0.7, by="id").flow == pytest.approx(0.7)


def connects(found: Paths) -> bool:
    """Every edge is on a path from SOURCES to TARGETS over the edges that are left."""
    layers = [group for _, group in found.table("id").groupby("layer")]
    behind = all(set(b["pre"]) <= set(a["post"]) for a, b in pairwise(layers))
    ahead = all(set(a["post"]) <= set(b["pre"]) for a, b in pairwise(layers))
    ends = set(layers[0]["pre"] - 100) <= {*SOURCES} and set(layers[-1]["post"] - 100) <= {*TARGETS}
    return len(layers) == len(found.layers) and behind and ahead and ends


class TestPruned:
    @few_examples
    @given(st.integers(0, 999), st.integers(2, 4), st.sampled_from(["id", "cell_type"]))
    def test_what_is_left_connects_and_stays_when_pruned_again(self, seed, hops, by):
        given_one = random_connectome(seed, density=0.5)
        assume(walks(given_one, hops))
        options = {"threshold": 0.2, "strongest": 2, "by": by}
        try:
            found = between(given_one, hops).pruned(**options)
        except ConnectomeError:
            assume(False)
        assert connects(found)
        again = found.pruned(**{**options, "by": "id", "threshold": 0.0})
        if by == "id":
            pd.testing.assert_frame_equal(again.table(by), found.table(by))
        assert (found.table(by).groupby(["layer", "post"]).size() <= 2).all()

    def test_the_strongest_inputs_of_each_receiver(self):
        """d receives from a, b, c; only the two largest stay, whatever their sign."""
        W = np.zeros((4, 4))
        W[3, :3] = [0.2, -0.4, 0.3]
        given_one = Connectome(W, pd.DataFrame({"id": list("abcd")}))
        found = paths(given_one, list("abc"), "d", 1, by="id").pruned(strongest=2, by="id")
        assert found.table("id")["pre"].tolist() == ["b", "c"]

    def test_what_no_longer_connects_goes_too(self):
        """a -> b -> d is cut at its second hop, so that its first is of no use."""
        W = np.zeros((5, 5))
        W[1, 0], W[2, 0], W[3, 1], W[3, 2] = 0.9, 0.5, 0.1, 0.5
        given_one = Connectome(W, pd.DataFrame({"id": list("abcde")}))
        found = paths(given_one, "a", "d", 2, by="id").pruned(threshold=0.3, by="id")
        assert found.table("id")[["pre", "post"]].values.tolist() == [["a", "c"], ["c", "d"]]

    def test_groups_are_pruned_as_groups(self):
        """Each weight is below the threshold, what a group sends is not."""
        W = np.zeros((3, 3))
        W[2, :2] = 0.2
        neurons = pd.DataFrame({"id": range(3), "cell_type": ["A", "A", "B"]})
        found = paths(Connectome(W, neurons), "A", "B", 1)
        assert found.pruned(threshold=0.3).flow == pytest.approx(0.4)
        with pytest.raises(ConnectomeError, match=r"no path of 1 hops is left .* weight is 0.2"):
            found.pruned(threshold=0.3, by="id")

    def test_nothing_given_stays_as_it_is(self):
        found = between(random_connectome(2), 3)
        pd.testing.assert_frame_equal(found.pruned().table("id"), found.table("id"))

    def test_refusals(self):
        with pytest.raises(ConnectomeError, match="strongest is 0, expected a whole number from 1"):
            between(random_connectome(2), 2).pruned(strongest=0)


class TestCarrying:
    @few_examples
    @given(
        st.integers(0, 999),
        st.integers(1, 4),
        st.floats(0.05, 1.0),
        st.sampled_from(["id", "cell_type"]),
    )
    def test_it_has_the_share_and_one_edge_less_has_not(self, seed, hops, share, by):
        given_one = random_connectome(seed)
        all_walks = walks(given_one, hops)
        assume(all_walks)
        whole = between(given_one, hops)
        found = whole.carrying(share, by)
        assert connects(found)
        assert found.flow >= share * whole.flow * (1 - 1e-9)
        through = dict.fromkeys(rows(found), 0.0)
        kept = {
            walk: c
            for walk, c in all_walks.items()
            if all((k, a + 100, b + 100) in through for k, (a, b) in enumerate(pairwise(walk)))
        }
        expected = sum(map(abs, kept.values())) / len(TARGETS)
        assert found.flow == pytest.approx(expected, rel=1e-9)
        edges = whole.table(by).sort_values("flow", ascending=False)
        keys = ["layer", "pre", "post", "sign"]
        stays = found.table(by)[keys].merge(edges[[*keys, "flow"]])
        weakest = stays["flow"].min()
        left = edges[edges["flow"] > weakest][keys].apply(tuple, axis=1).tolist()
        assert retained(given_one, all_walks, left, by) < share * whole.flow * (1 + 1e-9)

    def test_all_of_it_is_everything(self):
        found = between(random_connectome(3), 3)
        pd.testing.assert_frame_equal(found.carrying(1.0).table("id"), found.table("id"))

    def test_the_larger_of_two_paths(self):
        """a -> b -> d carries 0.9 of what a -> c -> d does not."""
        W = np.zeros((4, 4))
        W[1, 0], W[2, 0], W[3, 1], W[3, 2] = 0.9, 0.1, 1.0, -1.0
        given_one = Connectome(W, pd.DataFrame({"id": list("abcd")}))
        found = paths(given_one, "a", "d", 2, by="id")
        assert found.carrying(0.85, "id").table("id")["pre"].tolist() == ["a", "b"]
        assert found.carrying(0.95, "id").table("id")["pre"].tolist() == ["a", "a", "b", "c"]

    @pytest.mark.parametrize("share", [0.0, 1.5, float("nan")])
    def test_refusals(self, share):
        with pytest.raises(
            ConnectomeError, match=r"share is .*, expected a number above 0 up to 1"
        ):
            between(random_connectome(3), 2).carrying(share)


def retained(connectome: Connectome, found: Walks, edges: list[tuple], by: str) -> float:
    """What the paths carry that use these edges between groups only."""
    label = connectome.neurons[by].tolist()
    W = connectome.weights.toarray()
    kept = set(edges)
    return sum(
        abs(carried)
        for walk, carried in found.items()
        if all(
            (k, label[a], label[b], int(np.sign(W[b, a]))) in kept
            for k, (a, b) in enumerate(pairwise(walk))
        )
    ) / len(TARGETS)


class TestLengths:
    @few_examples
    @given(st.integers(0, 999))
    def test_they_are_those_of_which_there_is_a_path(self, seed):
        given_one = random_connectome(seed, n=7, density=0.2)
        found = path_lengths(given_one, SOURCES, TARGETS, 4)
        assert found == [hops for hops in range(1, 5) if walks(given_one, hops)]

    def test_an_error_names_them(self):
        message = "2 hops leads from a to d .* there are paths of 3; change hops"
        with pytest.raises(ConnectomeError, match=message):
            paths(chain(1.0, 1.0, 1.0), "a", "d", 2, by="id")
        with pytest.raises(ConnectomeError, match=r"from d to a .* nor of 1 to 10; change hops"):
            paths(chain(1.0, 1.0, 1.0), "d", "a", 2, by="id")
        with pytest.raises(ConnectomeError, match=r"size 0.5 or more, nor of 1 to 10"):
            paths(chain(1.0, 0.4), "a", "c", 2, by="id", threshold=0.5)


def test_neurons_without_a_type_are_named():
    given_one = random_connectome(0).described(cell_type=["A", "A", None, None, "C", "C", "C"])
    found = paths(given_one, SOURCES, TARGETS, 3, by="id")
    with pytest.raises(ConnectomeError, match="2 neurons on these paths have no 'cell_type', 102"):
        found.table()


def test_refusals():
    with pytest.raises(ConnectomeError, match="hops is 0, expected a whole number from 1"):
        between(random_connectome(0), 0)
    with pytest.raises(ConnectomeError, match="targets: index 7 is out of range"):
        paths(random_connectome(0), SOURCES, np.array([7]), 1)


def test_what_is_given_stays_as_it_is():
    given_one = random_connectome(0)
    before = given_one.digest()
    found = between(given_one, 3, threshold=0.1)
    table = found.table()
    found.carrying(0.5)
    found.pruned(strongest=1)
    assert given_one.digest() == before
    pd.testing.assert_frame_equal(found.table(), table)


@pytest.mark.data
def test_from_nociceptors_to_backward_command_neurons_of_the_worm(real):
    """ASH -> AVA itself, over AVD (Chalfie et al. 1985), AVB, AVE, and over AIB."""
    worm = celegans(real("celegans")).signed().normalised()
    direct = paths(worm, "ASH", "AVA", 1).table()
    assert direct[["pre", "post", "sign"]].values.tolist() == [["ASH", "AVA", 1]]
    over = paths(worm, "ASH", "AVA", 2).table().query("layer == 1")["pre"].tolist()
    assert over[0] == "AVD"
    assert {"AVB", "AVE", "AIB", "ADL", "RIM"} <= set(over)


@pytest.mark.data
def test_light_reaches_T4_over_lamina_and_medulla(real):
    lobe = optic_lobe(real("flyvis_optic_lobe"), radius=3).normalised()
    found = paths(lobe, [f"R{i}" for i in range(1, 9)], "T4a", 3).carrying(0.5).table()
    edges = set(found[["layer", "pre", "post"]].itertuples(index=False, name=None))
    assert {(1, "L1", "Mi1"), (2, "Mi1", "T4a")} <= edges

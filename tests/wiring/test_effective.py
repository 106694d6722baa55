"""Effective connectivity: sums over all paths, by sign, from sources to targets."""

from itertools import pairwise, product

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from hypothesis import given
from hypothesis import strategies as st

from ngpipe.errors import ConnectomeError
from ngpipe.wiring.container import Connectome
from ngpipe.wiring.nulls import rewired
from ngpipe.wiring.nulls.signs import sampled_signs
from ngpipe.wiring.paths.effective import effective_connectivity
from ngpipe.wiring.sources.named import celegans, optic_lobe

PARTS = ["excitatory", "inhibitory", "net", "total"]


def random_connectome(seed: int, n: int = 9, density: float = 0.4) -> Connectome:
    """Signs by edge, so that both meet in one sender too; three types; self-connections."""
    rng = np.random.default_rng(seed)
    W = rng.normal(size=(n, n)) * (rng.random((n, n)) < density)
    neurons = pd.DataFrame({"id": np.arange(n) + 100, "cell_type": list("AABBBCCCC")[:n]})
    return Connectome(W, neurons, unit="synapses")


def chain(*values: float) -> Connectome:
    """a -> b -> c ..., with these weights."""
    n = len(values) + 1
    W = np.zeros((n, n))
    W[np.arange(1, n), np.arange(n - 1)] = values
    return Connectome(W, pd.DataFrame({"id": list("abcdef")[:n]}))


def everyone(connectome: Connectome) -> np.ndarray:
    return np.arange(len(connectome))


def between_all(connectome: Connectome, hops: int, **options) -> xr.Dataset:
    who = everyone(connectome)
    return effective_connectivity(connectome, who, who, hops, by="id", **options)


def enumerated(W: np.ndarray, hops: int) -> dict[str, np.ndarray]:
    """Every path on its own."""
    n = len(W)
    found = {"excitatory": np.zeros((n, n)), "inhibitory": np.zeros((n, n))}
    for path in product(range(n), repeat=hops + 1):
        carried = np.prod([W[b, a] for a, b in pairwise(path)])
        part = "excitatory" if carried > 0 else "inhibitory"
        found[part][path[-1], path[0]] += abs(carried)
    return found


@pytest.mark.parametrize("hops", [1, 2, 3])
def test_it_is_the_sum_over_all_paths(hops):
    given_one = random_connectome(0, n=6)
    found = between_all(given_one, hops).sel(hop=hops)
    W = given_one.weights.toarray().astype(np.float64)
    for part, expected in enumerated(W, hops).items():
        np.testing.assert_allclose(found[part], expected, rtol=1e-12, atol=1e-15)


@given(st.integers(0, 999), st.integers(1, 6))
def test_net_is_a_power_of_W_and_total_one_of_its_size(seed, hops):
    given_one = random_connectome(seed)
    found = between_all(given_one, hops)
    W = given_one.weights.toarray().astype(np.float64)
    for hop in range(1, hops + 1):
        at = found.sel(hop=hop)
        np.testing.assert_allclose(at.net, np.linalg.matrix_power(W, hop), atol=1e-9)
        np.testing.assert_allclose(at.total, np.linalg.matrix_power(abs(W), hop), atol=1e-9)
        assert (at.excitatory >= 0).all()
        assert (at.inhibitory >= 0).all()


def test_net_is_the_impulse_response_of_a_linear_network():
    """An impulse at time 0 gives W^(l + 1) in layer l."""
    import torch

    from ngpipe.connectome import LinearNetwork

    given_one = random_connectome(1)
    options = {"tau": 1.0, "tanh_steepness": 1.0, "threshold": 0.0, "dtype": torch.float64}
    model = LinearNetwork(given_one.weights, everyone(given_one), 4, **options)
    impulses = np.zeros((9, 9, 4))  # sample, sensor, time
    impulses[:, :, 0] = np.eye(9)
    response = model(impulses).numpy()  # sample = pre, neuron = post, layer
    found = between_all(given_one, 4).net.transpose("pre", "post", "hop")
    np.testing.assert_allclose(found, response, atol=1e-12)


def test_an_arrow_points_from_pre_to_post():
    found = effective_connectivity(chain(0.5), "a", "b", 1, by="id").net
    assert found.sel(hop=1, post="b", pre="a").item() == 0.5
    assert effective_connectivity(chain(0.5), "b", "a", 1, by="id").total.item() == 0


def test_two_inhibitions_excite():
    found = effective_connectivity(chain(-0.5, -0.5, 0.5, -0.5), "a", list("bcde"), 4, by="id")
    strength = [found[part].max("hop").squeeze("pre").values.tolist() for part in PARTS[:2]]
    assert strength == [[0, 0.25, 0.125, 0], [0.5, 0, 0, 0.0625]]


def test_a_sender_that_inhibits_has_no_excitatory_first_hop():
    rng = np.random.default_rng(2)
    sign = np.where(rng.random(9) < 0.5, -1.0, 1.0)
    given_one = random_connectome(2).mapped(np.abs).described(sign=sign).signed()
    first = between_all(given_one, 1).sel(hop=1)
    assert (first.excitatory.sum("post") > 0).values.tolist() == (sign > 0).tolist()
    assert (first.inhibitory.sum("post") > 0).values.tolist() == (sign < 0).tolist()


def test_without_signs_everything_excites():
    found = between_all(random_connectome(3).mapped(np.abs), 3)
    assert (found.inhibitory == 0).all()
    assert (found.excitatory.sel(hop=3) > 0).any()


@given(st.integers(0, 999))
def test_shares_of_input_add_up_to_at_most_one(seed):
    given_one = random_connectome(seed).normalised()
    total = between_all(given_one, 5).total.sum("pre")
    receives = np.asarray(abs(given_one.weights).sum(axis=1)).ravel() > 0
    assert (total <= 1 + 1e-6).all()
    if receives.all():
        np.testing.assert_allclose(total, 1, atol=1e-6)


def test_groups_are_summed_over_senders_and_averaged_over_receivers():
    given_one = random_connectome(4)
    found = effective_connectivity(given_one, ["C", "A"], ["B", "C"], 3)
    single = between_all(given_one, 3)
    assert found.net.dims == ("hop", "post", "pre")
    assert found.pre_size.values.tolist() == [4, 2]
    assert found.post_size.values.tolist() == [3, 4]
    for part in PARTS:
        for post, pre in product("BC", "CA"):
            here = single[part][:, single.post_cell_type == post][..., single.pre_cell_type == pre]
            expected = here.mean("post").sum("pre")
            np.testing.assert_allclose(found[part].sel(post=post, pre=pre), expected, rtol=1e-12)


@pytest.mark.parametrize(("n_pre", "n_post"), [(1, 9), (9, 1), (4, 3)])
def test_it_is_the_same_from_sources_and_from_targets(n_pre, n_post):
    """One column for each source or each target, whatever is fewer."""
    given_one = random_connectome(5)
    pre, post = np.array([7, 2, 5, 0, 1, 8, 3, 4, 6])[:n_pre], np.arange(9)[::-1][:n_post].copy()
    found = effective_connectivity(given_one, pre, post, 4, by="id")
    whole = between_all(given_one, 4).isel(post=post, pre=pre)
    xr.testing.assert_allclose(found, whole)
    assert found.pre_neuron.values.tolist() == pre.tolist()
    assert found.pre.values.tolist() == (pre + 100).tolist()


def test_blocks_change_nothing():
    given_one = random_connectome(6)
    xr.testing.assert_equal(between_all(given_one, 3, max_bytes=1), between_all(given_one, 3))


def test_hops_can_be_added_up():
    given_one = random_connectome(7)
    whole = between_all(given_one, 4)
    found = between_all(given_one, 4, per_hop=False)
    assert found.net.dims == ("post", "pre")
    xr.testing.assert_allclose(found, whole.sum("hop"))


def test_order_is_that_of_the_request():
    given_one = random_connectome(8)
    found = effective_connectivity(given_one, [103, 100], [108, 102, 105], 2, by="id")
    assert found.pre.values.tolist() == [103, 100]
    assert found.pre_neuron.values.tolist() == [3, 0]
    assert found.post_neuron.values.tolist() == [8, 2, 5]
    W = given_one.weights.toarray().astype(np.float64)
    np.testing.assert_allclose(found.net.sel(hop=2), (W @ W)[np.ix_([8, 2, 5], [3, 0])], atol=1e-12)


def test_relabelling_neurons_relabels_the_result():
    given_one = random_connectome(9)
    order = np.random.default_rng(9).permutation(9)
    moved = given_one.select(given_one.ids[order])
    found, expected = between_all(moved, 3).net, between_all(given_one, 3).net
    np.testing.assert_allclose(found.sel(expected.indexes), expected, atol=1e-12)


def test_neurons_without_a_type_have_an_empty_one():
    found = effective_connectivity(MISSING, np.array([1, 0]), np.array([8]), 1, by="id")
    assert found.pre_cell_type.values.tolist() == ["", "A"]


def test_units():
    assert between_all(random_connectome(0), 2).net.attrs["units"] == "(synapses)^hop"
    fractions = random_connectome(0).normalised()
    assert between_all(fractions, 2).net.attrs["units"] == "input fraction"


def test_what_is_given_stays_as_it_is():
    given_one = random_connectome(0)
    before = given_one.digest()
    between_all(given_one, 3)
    assert given_one.digest() == before


MISSING = random_connectome(0).described(cell_type=["A", None, *"BBBCCCC"])


@pytest.mark.parametrize(
    ("arguments", "options", "message"),
    [
        (("A", "B", 0), {}, "hops is 0, expected a whole number from 1"),
        (("A", "B", True), {}, "hops is True, expected a whole number"),
        (("A", "Z", 1), {}, "no neuron has cell_type Z; the values of 'cell_type' are A, B, C"),
        (([], "B", 1), {}, "the sources are empty; name at least one"),
        (("A", np.array([0, 9]), 1), {}, "targets: index 9 is out of range, expected 0 to 8"),
        ((np.array([3, 3]), "B", 1), {}, "sources: 3 are given twice"),
        (("A", "B", 1), {"by": "side"}, "no column 'side'"),
        ((np.array([1, 2]), "B", 1), {}, "1 neurons .* have no 'cell_type', 101; fill that"),
    ],
)
def test_refusals(arguments, options, message):
    with pytest.raises(ConnectomeError, match=message):
        effective_connectivity(MISSING, *arguments, **options)


class TestVariants:
    """Analyses over sampled signs and nulls; one child generator for each variant."""

    @pytest.mark.slow
    def test_the_mean_over_signs_is_that_of_independent_senders(self):
        """Two hops carry s_k s_j |W_ik| |W_kj|, with mean (2p - 1)^2 unless k = j."""
        given_one = random_connectome(10).mapped(np.abs)
        p = 0.8
        found = xr.concat(
            [
                between_all(sampled_signs(given_one, np.full(9, p), rng), 2).net
                for rng in np.random.default_rng(0).spawn(120)
            ],
            "variant",
        )
        W = given_one.weights.toarray().astype(np.float64)
        m = 2 * p - 1
        again = W * np.diag(W)  # paths that stay at j first
        expected = np.stack([m * W, m**2 * (W @ W - again) + again])
        error = found.std("variant") / 120**0.5
        assert (abs(found.mean("variant") - expected) < 4.5 * error + 1e-6).all()

    def test_a_variant_depends_on_its_own_generator_only(self):
        given_one = random_connectome(11).mapped(np.abs).described(sign=np.ones(9))

        def drawn(n: int, used: int) -> list[str]:
            digests = []
            for rng in np.random.default_rng(3).spawn(n):
                digests.append(rewired(given_one, rng).digest())
                rng.random(used)
            return digests

        assert drawn(5, 0)[:3] == drawn(3, 7)
        assert len(set(drawn(5, 0))) > 1


@pytest.mark.data
def test_light_excites_T4_and_inhibits_T5(real):
    """R -| L1 -| Mi1 -> T4 (ON) and R -| L2 -> Tm1 -> T5 (OFF): signs of the motion pathway."""
    lobe = optic_lobe(real("flyvis_optic_lobe"), radius=3).normalised()
    receptors = [f"R{i}" for i in range(1, 9)]
    found = effective_connectivity(lobe, receptors, ["T4a", "T4c", "T5a", "T5c"], 3)
    net = found.net.sum("pre")
    assert (net.sel(hop=3, post=["T4a", "T4c"]) > 0.05).all()
    assert (net.sel(hop=3, post=["T5a", "T5c"]) < -0.05).all()
    assert (found.total.sel(hop=1) == 0).all()


@pytest.mark.data
def test_nociceptors_of_the_worm_drive_its_backward_command_neurons(real):
    worm = celegans(real("celegans")).signed().normalised()
    found = effective_connectivity(worm, ["ASHL", "ASHR"], ["AVAL", "AVAR"], 3, by="id")
    assert (found.net.sum("pre") > 0).all()
    assert found.post_cell_type.values.tolist() == ["AVA", "AVA"]

"""Attribution to edges, against a dense network under autograd and against differences."""

from functools import partial

import numpy as np
import pytest
import torch
from networks import GROUPS, chain, dale

from ngpipe.connectome import (
    LinearNetwork,
    MultilayeredNetwork,
    edge_attribution,
    edges_by_group,
    integrated_edge_attribution,
)
from ngpipe.errors import ArgumentError

LinearNetwork = partial(LinearNetwork, preset="current")
MultilayeredNetwork = partial(MultilayeredNetwork, preset="current")

SENSORY = [4, 0, 9]
DIVIDED = {"divisive_normalization": {"b": ["c", "d"]}}
NETWORKS = {
    "leaky": {},
    "instant": {"tau": 1.0},
    "seed": {"preset": "seed"},
    "divided": {"tau": 2.0, **DIVIDED},
}


@pytest.fixture
def W(rng):
    return dale(rng)


@pytest.fixture
def u(rng):
    return rng.uniform(0, 0.8, size=(3, 3, 5))


def build(W, **options):
    return MultilayeredNetwork(W, SENSORY, 5, dtype=torch.float64, idx_to_group=GROUPS, **options)


def objective(layers):
    return 2 * layers[-1][6] - layers[-2][7] + layers[1][3] * layers[1][2]


def dense(W, u, tau):
    """The network of the current rules, written out, with a dense W."""
    steps = u.shape[2]

    def bounded(x):
        low = torch.where(x < 0.01, 0.0, x)
        held = torch.where(low > 1, 1.0, low)
        sensory = torch.zeros(len(x), 1, dtype=torch.bool)
        sensory[SENSORY] = True
        return torch.where(sensory, held, x)

    def given(t):
        return torch.zeros(12, len(u), dtype=torch.float64).index_add(
            0, torch.tensor(SENSORY), u[:, :, t].T
        )

    x, layers = bounded(given(0)), []
    for layer in range(steps):
        z = 5 * (W @ x)
        x = torch.tanh(torch.where(z < 0.01, 0.0, z)) / tau + (1 - 1 / tau) * x
        if layer < steps - 1:
            x = bounded(x + given(layer + 1))
        layers.append(x)
    return layers


@pytest.mark.parametrize("tau", [1.0, 4.0])
def test_equals_autograd_through_a_dense_matrix(W, u, tau):
    found = edge_attribution(build(W, tau=tau), u, objective)
    assert found["attribution"].dims == ("sample", "edge")
    for sample in range(3):
        matrix = torch.tensor(W, requires_grad=True)
        value = objective(dense(matrix, torch.tensor(u[[sample]]), tau))
        value.sum().backward()
        expected = (matrix.grad * matrix).detach().numpy()
        np.testing.assert_allclose(found["objective"][sample], value.item(), atol=1e-12)
        here = found["attribution"][sample]
        np.testing.assert_allclose(here, expected[found["post"], found["pre"]], atol=1e-12)
        assert abs(here).max() > 0.05
    assert found.sizes["edge"] == np.count_nonzero(W)
    np.testing.assert_allclose(found["weight"], W[found["post"], found["pre"]])


def test_equals_differences_with_division_and_by_layer(W, u):
    options = {"tau": 2.0, "threshold": -9.0, **DIVIDED}
    model = build(W, **options)
    found = edge_attribution(model, u, objective)["attribution"]
    for at in range(0, found.sizes["edge"], 7):
        post, pre = int(found["post"][at]), int(found["pre"][at])
        change = []
        for step in (1e-6, -1e-6):
            other = W.copy()
            other[post, pre] *= 1 + step
            change.append(objective(build(other, **options)(u).permute(2, 1, 0)).numpy())
        expected = (change[0] - change[1]) / 2e-6
        np.testing.assert_allclose(found[:, at], expected, atol=1e-7)
    layers = edge_attribution(model, u, objective, by_layer=True)["attribution"]
    assert layers.dims == ("sample", "layer", "edge")
    np.testing.assert_allclose(layers.sum("layer"), found, atol=1e-12)


def test_an_arrow_and_the_layers_it_acts_in():
    model = LinearNetwork(chain(0.7, 0.5), [0], 3, tau=1.0, tanh_steepness=1.0)
    u = np.zeros((1, 3))
    u[0, 1] = 0.8
    found = edge_attribution(model, u, lambda layers: layers[2][2], by_layer=True)
    assert found["post"].values.tolist() == [1, 2]
    assert found["pre"].values.tolist() == [0, 1]
    expected = [[0, 0], [0.28, 0], [0, 0.28]]
    np.testing.assert_allclose(found["attribution"][0], expected, atol=1e-7)


@pytest.mark.quick(2)
@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("steps", [1, 40])
def test_grown_weights_are_complete(W, u, name, steps):
    model = build(W, **NETWORKS[name])

    def linear(layers):
        return 2 * layers[-1][6] - layers[-2][7] + layers[1][3]

    found = integrated_edge_attribution(model, u, linear, steps=steps)
    np.testing.assert_allclose(found["delta"], 0, atol=1e-12)
    total = found["attribution"].sum("edge")
    np.testing.assert_allclose(total, found["objective"] - found["baseline_objective"], atol=1e-12)
    bare = build(np.zeros_like(W), **{k: v for k, v in NETWORKS[name].items() if k not in DIVIDED})
    alone = linear(bare(u).permute(2, 1, 0)).numpy()
    np.testing.assert_allclose(found["baseline_objective"], alone, atol=1e-12)
    assert abs(total).max() > 0.05


@pytest.mark.slow
def test_grown_weights_tend_to_the_integral(W, u):
    options = {"tau": 1.0, "threshold": -9.0, "tanh_steepness": 0.5}
    model = build(W, **options)
    fine = integrated_edge_attribution(model, u / 2, objective, steps=400)["attribution"]
    nodes, quadrature = np.polynomial.legendre.leggauss(20)
    expected = 0.0
    for node, weight in zip((nodes + 1) / 2, quadrature / 2, strict=True):
        scaled = build(node * W, **options)
        at = edge_attribution(scaled, u / 2, objective)["attribution"]
        expected = expected + weight * at / node
    np.testing.assert_allclose(fine, expected, atol=1e-6)
    assert abs(expected).max() > 0.01


def test_samples_and_chunks_do_not_matter(W, u):
    model = build(W)
    every = integrated_edge_attribution(model, u, objective, steps=7, by_layer=True)
    alone = integrated_edge_attribution(model, u[1], objective, steps=7, by_layer=True, chunk=2)
    np.testing.assert_allclose(every["attribution"][1], alone["attribution"][0], atol=1e-12)
    local = edge_attribution(model, u, objective)["attribution"]
    np.testing.assert_allclose(
        local[1], edge_attribution(model, u[1], objective)["attribution"][0], atol=1e-12
    )


def test_single_precision_of_a_cut_off_objective(W, u):
    model = MultilayeredNetwork(W.astype(np.float32), SENSORY, 5)
    found = edge_attribution(model, u, lambda layers: torch.ones(3))
    assert found["attribution"].dtype == np.float32
    assert not found["attribution"].any()
    found = integrated_edge_attribution(model, u, objective)
    np.testing.assert_allclose(found["delta"], 0, atol=1e-5)


def test_sums_by_groups(W, u):
    found = edge_attribution(build(W), u, objective, by_layer=True)["attribution"]
    sums = edges_by_group(found)
    assert sums.dims == ("sample", "layer", "post", "pre")
    assert sums["post"].values.tolist() == list("abcd")
    np.testing.assert_allclose(sums.sum(("post", "pre")), found.sum("edge"), atol=1e-12)
    inside = (found["post_group"] == "c") & (found["pre_group"] == "b")
    assert inside.any()
    expected = found[..., inside.values].sum("edge")
    np.testing.assert_allclose(sums.sel(post="c", pre="b"), expected, atol=1e-12)
    own = edges_by_group(found[:, 2], {"x": [1, 2, 3], "y": [6]})
    assert own.dims == ("sample", "post", "pre")
    inside = found["post"].isin([1, 2, 3]).values & (found["pre"] == 6).values
    expected = found[:, 2, inside].sum("edge")
    np.testing.assert_allclose(own.sel(post="x", pre="y"), expected, atol=1e-12)


def test_errors(W, u):
    model = MultilayeredNetwork(W, SENSORY, 5, dtype=torch.float64)
    found = edge_attribution(model, u, objective)["attribution"]
    with pytest.raises(ArgumentError, match=r"network of these edges has no groups"):
        edges_by_group(found)
    with pytest.raises(ArgumentError, match=r"neuron 2 is in 'y' and another group"):
        edges_by_group(found, {"x": [1, 2], "y": [2]})
    with pytest.raises(ArgumentError, match=r"steps is 0, expected at least 1"):
        integrated_edge_attribution(model, u, objective, steps=0)


def test_a_network_without_edges_has_no_contributions(generator):
    network = MultilayeredNetwork(
        np.zeros((3, 3)), [0], 2, idx_to_group={0: "a", 1: "b", 2: "b"}, device="cpu"
    )
    u = torch.rand(1, 1, 2, generator=generator)
    found = integrated_edge_attribution(network, u, lambda layers: layers[-1].sum(0), steps=2)
    assert not edges_by_group(found["attribution"]).any()

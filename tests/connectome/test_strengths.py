"""Strengths of pairs of groups: gradients on the pattern, signs, recovery, state."""

import copy
import math
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from networks import GROUPS, divided, weights
from scipy import sparse

from ngpipe.connectome import (
    LinearNetwork,
    MultilayeredNetwork,
    saliency,
    train_model,
    training_mode,
)
from ngpipe.connectome.strengths import pairs_of
from ngpipe.connectome.weights import Edges, turned_order

LinearNetwork = partial(LinearNetwork, preset="current")
MultilayeredNetwork = partial(MultilayeredNetwork, preset="current")


@pytest.fixture
def W(rng):
    return weights(rng)


def edges_of(matrix, values):
    turned = sparse.csr_array(matrix.T)
    parts = (matrix.indptr, matrix.indices, turned.indptr, turned.indices, turned_order(matrix))
    return Edges(values, *(torch.tensor(part, dtype=torch.int32) for part in parts))


def dense_of(matrix, values):
    post = torch.repeat_interleave(
        torch.arange(matrix.shape[0]), torch.tensor(np.diff(matrix.indptr))
    )
    pre = torch.tensor(matrix.indices, dtype=torch.int64)
    return torch.zeros(matrix.shape, dtype=values.dtype).index_put((post, pre), values)


def drawn(network, rng, scale=0.3):
    """Strengths other than 1."""
    network.add_strengths()
    log = scale * rng.normal(size=len(network.log_strengths))
    network.log_strengths.data = torch.as_tensor(log).to(network.w_values)
    return network


def names_of(network):
    """Pairs of groups by name, (post, pre)."""
    names, pairs = network.groups.names, network.pairs
    return [(names[i], names[j]) for i, j in zip(pairs.post, pairs.pre, strict=True)]


def double(W, cls=MultilayeredNetwork, **options):
    options = {"idx_to_group": GROUPS, "tau": 2.0, "dtype": torch.float64} | options
    return cls(W, [0, 1, 2], 4, **options)


def test_the_gradient_of_the_edges_is_that_of_a_dense_matrix(W, rng):
    matrix = sparse.csr_array(W)
    values = torch.tensor(matrix.data, requires_grad=True)
    x = torch.tensor(rng.normal(size=(12, 5)), requires_grad=True)
    upstream = torch.tensor(rng.normal(size=(12, 5)))
    sparse_gradients = torch.autograd.grad(
        (edges_of(matrix, values).product(x).tanh() * upstream).sum(), (values, x)
    )
    dense_gradients = torch.autograd.grad(
        ((dense_of(matrix, values) @ x).tanh() * upstream).sum(), (values, x)
    )
    for found, expected in zip(sparse_gradients, dense_gradients, strict=True):
        torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_gradients_of_gradients(W, rng):
    matrix = sparse.csr_array(W[:5, :5])
    values = torch.tensor(matrix.data, requires_grad=True)
    x = torch.tensor(rng.normal(size=(5, 2)), requires_grad=True)

    def product(values, x):
        return edges_of(matrix, values).product(x).tanh()

    assert torch.autograd.gradcheck(product, (values, x))
    assert torch.autograd.gradgradcheck(product, (values, x))


@pytest.mark.parametrize("cls", [MultilayeredNetwork, LinearNetwork])
def test_the_gradient_of_strengths_is_that_through_a_dense_W(W, rng, cls):
    """The response written again with a dense W, whose entries are multiplied pair by pair."""
    network = drawn(double(W, cls, default_bias=0.1, threshold=-99.0), rng)
    inputs = torch.tensor(rng.random((6, 3, 4)))
    of = torch.as_tensor(network.groups.of_neuron)
    log = torch.zeros(4, 4, dtype=torch.float64)
    log[network.pairs.post, network.pairs.pre] = network.log_strengths.detach()
    log.requires_grad_(True)
    dense = network.all_weights.to_dense() * log.exp()[of][:, of]

    def step(x):
        z = 5.0 * dense @ x + 0.1
        z = z.tanh() if cls is MultilayeredNetwork else z
        return z / 2 + x / 2

    x = torch.zeros(12, 6, dtype=torch.float64).index_add(0, torch.arange(3), inputs[:, :, 0].T)
    for layer in range(4):
        x = step(x)
        if layer < 3:
            x = x.index_add(0, torch.arange(3), inputs[:, :, layer + 1].T)
            x = x.clamp(max=1) if cls is MultilayeredNetwork else x
    upstream = torch.tensor(rng.normal(size=(12, 6)))
    with training_mode(network, train_strengths=True):
        last = network.run(inputs)[-1]
        (found,) = torch.autograd.grad((last * upstream).sum(), network.log_strengths)
    torch.testing.assert_close(last, x)
    (expected,) = torch.autograd.grad((x * upstream).sum(), log)
    connected = network.pairs.post, network.pairs.pre
    torch.testing.assert_close(found, expected[connected])
    assert expected.count_nonzero() == len(found)


def test_an_arrow_is_multiplied_by_the_strength_of_its_pair():
    """0 -> 1 -> 2: the strength from a to b, and no other, scales what 1 receives."""
    W = np.zeros((3, 3))
    W[1, 0], W[2, 1] = 0.2, 0.1
    network = LinearNetwork(
        W, [0], 1, idx_to_group={0: "a", 1: "b", 2: "c"}, tau=1.0, tanh_steepness=1.0
    )
    u = torch.ones(1, 1)
    assert network(u)[1, 0].item() == pytest.approx(0.2)
    network.add_strengths()
    assert names_of(network) == [("b", "a"), ("c", "b")]
    network.log_strengths.data = torch.tensor([math.log(3.0), 5.0])
    assert network(u)[1, 0].item() == pytest.approx(0.6)
    np.testing.assert_allclose(network.strengths[0].item(), 3.0, rtol=1e-6)


def test_strengths_of_one_change_nothing(W, rng):
    network = double(W)
    inputs = rng.random((3, 3, 4))
    before = network(inputs), saliency(network, torch.tensor(inputs), {3: [5, 6]})
    network.add_strengths()
    assert torch.equal(before[0], network(inputs))
    with training_mode(network, train_strengths=True):
        torch.testing.assert_close(before[0], network(inputs))
    drawn(network, rng)
    assert not torch.allclose(before[0], network(inputs))
    after = saliency(network, torch.tensor(inputs), {3: [5, 6]})
    assert not torch.allclose(before[1], after)


def test_no_training_turns_a_sign(W, rng):
    network = double(W)
    inputs = torch.tensor(rng.random((6, 3, 4)))
    with training_mode(network, train_strengths=True):
        optimizer = torch.optim.Adam([network.log_strengths], lr=3.0)
        for _ in range(10):
            optimizer.zero_grad()
            torch.stack(network.run(inputs, surrogate=True)).sum().backward()
            optimizer.step()
    values = network.effective_edges().values
    assert network.log_strengths.abs().max() > 5
    assert torch.equal(values.sign(), network.w_values.sign())
    assert (network.strengths > 0).all()


def test_planted_strengths_are_recovered(rng):
    """From 1 to those planted, in all pairs whose sender is active; the others stay at 1."""
    W = np.abs(weights(rng, density=0.6, scale=0.05))
    W[[3, 7, 11]] = 0  # no one drives group d, so nothing tells its strengths
    options = {"threshold": 1e-6, "tanh_steepness": 1.0, "tau": 2.0}
    truth = drawn(double(W, **options), rng, scale=0.5)
    inputs = torch.tensor(rng.random((20, 3, 4)))
    target = truth(inputs)
    network = double(W, **options)
    with training_mode(network, train_strengths=True):
        optimizer = torch.optim.LBFGS(
            [network.log_strengths], max_iter=300, tolerance_grad=1e-14, tolerance_change=1e-18,
            line_search_fn="strong_wolfe",
        )  # fmt: skip

        def loss():
            optimizer.zero_grad()
            off = torch.stack(network.run(inputs)).permute(2, 1, 0) - target
            total = 1e4 * off.square().mean()
            total.backward()
            return total

        optimizer.step(loss)
    silent = network.pairs.pre == network.groups.names.index("d")
    assert 0 < silent.sum() < len(silent)
    np.testing.assert_allclose(network.strengths[~silent], truth.strengths[~silent], rtol=1e-4)
    assert torch.equal(network.strengths[silent], torch.ones(int(silent.sum())).double())


def test_they_are_off_until_asked_for(W):
    network = double(W)
    assert network.strengths is None
    with training_mode(network):
        assert network.log_strengths is None
    assert "log_strengths" not in network.state_dict()
    with training_mode(network, train_strengths=True):
        assert network.log_strengths.requires_grad
    assert not network.log_strengths.requires_grad
    without = MultilayeredNetwork(W, [0])
    without.set_param_grads(strengths=True)
    assert without.strengths is None


def test_the_state_holds_them_and_the_digest_does_not_change(W, rng):
    network, other = drawn(double(W), rng), double(W)
    assert torch.equal(network.connectome_digest, other.connectome_digest)
    other.load_state_dict(network.state_dict())
    inputs = rng.random((2, 3, 4))
    assert torch.equal(network(inputs), other(inputs))
    assert torch.equal(copy.deepcopy(other)(inputs), other(inputs))
    assert torch.equal(network.all_weights.to_dense(), double(W).all_weights.to_dense())


def test_train_model_trains_them_if_asked(W, rng):
    inputs = torch.tensor(rng.random((5, 3, 4)))
    table = pd.DataFrame({"batch": range(5), "neuron_idx": 7, "value": 0.4})
    network = double(W)
    train_model(network, inputs, table, num_epochs=2)
    assert network.strengths is None
    slope = network.slope.clone()
    train_model(
        network, inputs, table, num_epochs=2, train_slopes=False, train_biases=False,
        train_strengths=True,
    )  # fmt: skip
    assert (network.strengths != 1).any()
    assert torch.equal(network.slope, slope)


def test_edges_that_divide_have_none(rng):
    W, options = divided()
    network = MultilayeredNetwork(W, [0, 1], 1, **options)
    network.add_strengths()
    assert names_of(network) == [("c", "a")]


def test_pairs_are_those_connected(W):
    network = double(W)
    pairs = pairs_of(sparse.csr_array(W), network.groups)
    post, pre = np.nonzero(W)
    of = network.groups.of_neuron
    expected = set(zip(of[post], of[pre], strict=True))
    assert sorted(expected) == list(zip(pairs.post, pairs.pre, strict=True))
    assert np.array_equal(pairs.post[pairs.of_edge], of[post])
    assert np.array_equal(pairs.pre[pairs.of_edge], of[pre])


def test_with_checkpoints_the_gradient_is_the_same(W, rng):
    network = drawn(double(W), rng)
    inputs = torch.tensor(rng.random((3, 3, 4)))
    gradients = []
    for every in (None, 1, 3):
        with training_mode(network, train_strengths=True):
            last = network.run(inputs, checkpoint_steps=every)[-1]
            gradients.append(torch.autograd.grad(last.sum(), network.log_strengths)[0])
    torch.testing.assert_close(gradients[0], gradients[1])
    torch.testing.assert_close(gradients[0], gradients[2])

"""preset="seed" against the seed's formulas written as loops: equal to 1e-6."""

import numpy as np
import pandas as pd
import pytest
import seed_formulas
import torch
from scipy import sparse

from ngpipe.connectome import (
    MultilayeredNetwork,
    TargetActivation,
    activation_maximisation,
    train_model,
)

pytestmark = pytest.mark.filterwarnings("ignore::ngpipe.errors.DoubtfulWarning")
N, LAYERS, BATCH = 12, 5, 3
GROUPS = {i: "abcd"[i % 4] for i in range(N)}
SLOPES = {"a": 3.0, "b": 5.0, "c": 8.0, "d": 4.0}
BIASES = {"a": 0.05, "b": -0.2, "c": 0.0, "d": 0.1}
DIVISIVE = {"d": ["a", "b"], "b": ["c"]}
STRENGTH = {"d": 1.5, "b": 0.7}


@pytest.fixture
def W(rng):
    weights = 0.4 * rng.normal(size=(N, N)) * (rng.random((N, N)) < 0.4)
    for pre in range(N):
        for post in range(N):
            if GROUPS[post] in DIVISIVE.get(GROUPS[pre], []):
                weights[post, pre] = -abs(weights[post, pre])
    return weights


def inputs_of(rng, n_sensory):
    return rng.uniform(-0.5, 1.5, size=(BATCH, n_sensory, LAYERS))


def compare(network, W, sensory, inputs, **options):
    expected = np.stack(
        [seed_formulas.forward(W, sensory, u, network.num_layers, **options) for u in inputs]
    )
    assert np.ptp(expected) > 0.5
    single = network(torch.tensor(inputs[0], dtype=torch.float32))
    np.testing.assert_allclose(network(inputs).detach(), expected, atol=1e-6)
    np.testing.assert_allclose(single.detach(), expected[0], atol=1e-6)


@pytest.mark.parametrize("layers", [1, 2, LAYERS])
def test_plain_network(W, rng, layers):
    network = MultilayeredNetwork(W, [3, 7, 1], layers, default_bias=-0.1, preset="seed")
    compare(network, W, [3, 7, 1], inputs_of(rng, 3), bias=-0.1)


def test_more_times_than_layers_are_ignored(W, rng):
    network = MultilayeredNetwork(W, [3, 7], 3, preset="seed")
    u = inputs_of(rng, 2)
    assert torch.equal(network(u), network(u[:, :, :3]))


def test_groups_with_slopes_and_absolute_biases(W, rng):
    network = MultilayeredNetwork(
        W, [0, 5], LAYERS, 0.05, idx_to_group=GROUPS, slope_dict=SLOPES, bias_dict=BIASES,
        preset="seed",
    )  # fmt: skip
    options = {"groups": GROUPS, "slopes": SLOPES, "biases": BIASES, "threshold": 0.05}
    compare(network, W, [0, 5], inputs_of(rng, 2), **options)


def test_divisive_normalisation_of_a_batch(W, rng):
    network = MultilayeredNetwork(
        W, [2, 9, 3, 7], LAYERS, idx_to_group=GROUPS, slope_dict=SLOPES, bias_dict=BIASES,
        divisive_normalization=DIVISIVE, divisive_strength=STRENGTH, preset="seed",
    )  # fmt: skip
    options = {"groups": GROUPS, "slopes": SLOPES, "biases": BIASES}
    without = MultilayeredNetwork(
        W, [2, 9, 3, 7], LAYERS, idx_to_group=GROUPS, slope_dict=SLOPES, bias_dict=BIASES,
        preset="seed",
    )  # fmt: skip
    u = inputs_of(rng, 4)
    assert (network(u) - without(u)).abs().max() > 0.1
    compare(network, W, [2, 9, 3, 7], u, divisive=DIVISIVE, strength=STRENGTH, **options)


def test_duplicate_sensory_neurons_add_first_and_overwrite_later(W, rng):
    sensory = [4, 6, 4, 8]
    network = MultilayeredNetwork(W, sensory, LAYERS, preset="seed")
    compare(network, W, sensory, inputs_of(rng, 4))


def test_nan_inputs_count_as_zero(W, rng):
    u = inputs_of(rng, 2)
    u[1, 0, 2] = np.nan
    compare(MultilayeredNetwork(W, [2, 9], LAYERS, preset="seed"), W, [2, 9], u)


def test_custom_activation_of_the_drive_alone(W, rng):
    network = MultilayeredNetwork(W, [2, 9], 1, activation_function=torch.relu, preset="seed")
    u = np.abs(inputs_of(rng, 2))
    state = np.zeros((BATCH, N))
    state[:, [2, 9]] = np.clip(np.where(u >= 0.01, u, 0), 0, 1)[:, :, 0]
    np.testing.assert_allclose(network(u)[..., 0], np.maximum(state @ W.T, 0), atol=1e-6)


@pytest.mark.parametrize("kind", [np.asarray, sparse.csr_matrix, sparse.coo_array, torch.tensor])
def test_weights_of_any_kind(W, rng, kind):
    network = MultilayeredNetwork(kind(W.astype(np.float32)), [2, 9], LAYERS, preset="seed")
    compare(network, W.astype(np.float32), [2, 9], inputs_of(rng, 2))


def test_search(W, generator):
    network = MultilayeredNetwork(W, [2, 9, 4], 3, preset="seed")
    start = 1.2 * torch.rand(2, 3, 3, generator=generator)
    table = pd.DataFrame(
        [(0, 2, 5, 0.7), (0, 1, 6, 0.2), (1, 2, 7, 0.9)],
        columns=["batch", "layer", "neuron", "value"],
    )
    found, out, act, outs, ins, snapshots = activation_maximisation(
        network, TargetActivation(table), start, 20, in_reg_lambda=0.02, early_stopping=False
    )
    wanted = [{(5, 2): 0.7, (6, 1): 0.2}, {(7, 2): 0.9}]
    stimulus, activity, history = seed_formulas.search(
        torch.tensor(W, dtype=torch.float32), [2, 9, 4], start, wanted, 3,
        iterations=20, rate=0.1, lambdas=(0.02, 0.01),
    )  # fmt: skip
    np.testing.assert_allclose(found, stimulus, atol=1e-5)
    np.testing.assert_allclose(out, activity, atol=1e-5)
    np.testing.assert_allclose(np.stack([act, outs, ins], axis=1), history, atol=1e-5)
    assert len(snapshots) == 4
    first = torch.where(start >= 0.01, start, 0.0)
    np.testing.assert_allclose(snapshots[0], torch.tanh(first), atol=1e-6)


def test_training(W, rng):
    inputs = torch.tensor(rng.random((6, 3, 3)), dtype=torch.float32)
    rows = [(b, n, 1 + (n % 2), float(rng.random())) for b in range(6) for n in (1, 5, 6)]
    rows.append((2, 8, 2, 0.3))  # samples of unequal weight
    groups = [GROUPS[i] for i in range(N)]
    network = MultilayeredNetwork(
        W, [2, 9, 4], 3, idx_to_group=GROUPS, default_bias=0.1, preset="seed"
    )
    table = pd.DataFrame(rows, columns=["batch", "neuron_idx", "layer", "value"])
    _, history, *_, trained, held_out = train_model(
        network, inputs, table, num_epochs=8, learning_rate=0.05, param_reg_lambda=0.3
    )
    np.random.seed(42)  # noqa: NPY002 (the split of the seed)
    expected_split = np.random.choice(range(6), 4, replace=False)  # noqa: NPY002
    assert trained.tolist() == expected_split.tolist()
    assert sorted([*trained, *held_out]) == list(range(6))
    slope, raw, expected = seed_formulas.train(
        torch.tensor(W, dtype=torch.float32), [2, 9, 4], inputs, rows, groups, 3,
        epochs=8, rate=0.05, penalty=0.3, trained=trained.tolist(),
    )  # fmt: skip
    np.testing.assert_allclose(network.slope, slope, atol=1e-4)
    np.testing.assert_allclose(network.raw_biases, raw, atol=1e-5)
    found = np.stack([history[k] for k in ("loss", "mse_loss", "param_reg_loss", "val_loss")], 1)
    np.testing.assert_allclose(found, expected, atol=1e-5)

"""The seed's bugs B1 to B12 (shared/reference/connectome-network.md), each mended.

Where the old behaviour is a formula, preset="seed" still shows it, and the test says so.
"""

from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from networks import chain, divided, weights

from ngpipe.connectome import (
    MultilayeredNetwork,
    TargetActivation,
    activation_maximisation,
    activations_to_df,
    get_activations_for_path,
    get_input_activation,
    get_neuron_activation,
    input_from_df,
    train_model,
    training_mode,
)
from ngpipe.errors import ArgumentError

MultilayeredNetwork = partial(MultilayeredNetwork, preset="current")


def two_groups(**options):
    return MultilayeredNetwork(
        chain(0.2, 0.2), [0], 2, idx_to_group={0: "a", 1: "b", 2: "b"}, tau=1.0, **options
    )


def fit(model, value, **options):
    table = pd.DataFrame(
        [(b, 2, 1, value) for b in range(4)], columns=["batch", "neuron_idx", "layer", "value"]
    )
    u = torch.full((4, 1, 2), 0.4)
    return train_model(model, u, table, num_epochs=30, learning_rate=0.02, **options)


@pytest.mark.parametrize("preset", ["seed", "current"])
def test_b1_divisive_normalisation_of_a_batch_under_autograd(preset):
    W, options = divided()
    model = MultilayeredNetwork(W, [0, 1], 1, **options, preset=preset, tau=1.0)
    u = torch.tensor([[[0.5], [0.0]], [[0.5], [0.8]]], requires_grad=True)
    with training_mode(model):
        out = model(u)
        out.sum().backward()
    np.testing.assert_allclose(
        out[:, 2, 0].detach(), np.tanh(5 * 0.3 * 0.5 * np.array([1, 1 - 0.5 * 0.8])), atol=1e-6
    )
    assert u.grad[1, 1, 0] < 0
    assert model.divisive_strength.grad.item() < 0


@pytest.mark.slow
def test_b1_divisive_strength_is_trained():
    W, options = divided()
    model = MultilayeredNetwork(W, [0, 1], 1, **options, tau=1.0)
    table = pd.DataFrame([(b, 2, 0.3) for b in range(5)], columns=["batch", "neuron_idx", "value"])
    u = torch.full((5, 2, 1), 0.6)
    _, history, *_ = train_model(
        model, u, table, num_epochs=150, learning_rate=0.05, param_reg_lambda=0.0,
        train_slopes=False, train_biases=False,
    )  # fmt: skip
    assert model.divisive_strength.item() > 1.3
    assert history["mse_loss"][-1] < 0.3 * history["mse_loss"][0]


@pytest.mark.quick(1)
@pytest.mark.parametrize(("preset", "acts"), [("seed", False), ("current", True)])
def test_b2_the_penalty_acts(preset, acts):
    moved = []
    for penalty in (0.0, 10.0):
        model = two_groups(preset=preset)
        fit(model, 0.9, param_reg_lambda=penalty)
        moved.append((model.slope - 5).abs().max().item())
    assert moved[0] > 0.1
    assert (moved[1] < 0.5 * moved[0]) == acts


@pytest.mark.quick(1)
@pytest.mark.parametrize(("preset", "trains"), [("seed", False), ("current", True)])
def test_b3_biases_train_from_the_default(preset, trains):
    model = two_groups(preset=preset)
    fit(model, 0.95, param_reg_lambda=0.0)
    assert (model.raw_biases[1].abs().item() > 0.1) == trains


@pytest.mark.filterwarnings("ignore::ngpipe.errors.DoubtfulWarning")
def test_b3_biases_are_signed():
    kept = two_groups(bias_dict={"b": -0.3})
    assert kept.biases.tolist() == pytest.approx([0.0, -0.3])
    assert two_groups(bias_dict={"b": -0.3}, preset="seed").biases[1].item() == pytest.approx(0.3)
    u = torch.full((1, 2), 0.4)
    assert kept(u)[2, 1] < two_groups(preset="seed")(u)[2, 1] - 0.3


@pytest.mark.quick(1)
@pytest.mark.parametrize(("preset", "agrees"), [("seed", False), ("current", True)])
def test_b4_the_stimulus_returned_is_the_one_whose_loss_is_told(rng, preset, agrees):
    model = MultilayeredNetwork(weights(rng), [0, 1, 2], 3, preset=preset, tau=1.0)
    wanted = TargetActivation({1: {5: 0.6, 7: 0.4}})
    found, out, act, outs, ins, _ = activation_maximisation(model, wanted, seed=1)
    np.testing.assert_allclose(model(torch.tensor(found)), out, atol=1e-6)
    loss = ((out[5, 1] - 0.6) ** 2 + (out[7, 1] - 0.4) ** 2) / 2
    penalty_in = 0.01 * (np.abs(found).sum() + np.linalg.norm(found))
    penalty_out = 0.01 * (np.abs(out).sum() + np.linalg.norm(out))
    told = np.allclose([act[-1], outs[-1], ins[-1]], [loss, penalty_out, penalty_in], atol=1e-5)
    assert told == agrees


@pytest.mark.quick(1)
@pytest.mark.parametrize(("preset", "alike"), [("seed", False), ("current", True)])
def test_b5_a_sample_is_the_same_alone_and_in_a_batch(rng, preset, alike):
    model = MultilayeredNetwork(weights(rng), [0, 1, 2], 3, preset=preset, tau=1.0)
    rows = [(b, 2, 5, 0.1 + 0.1 * b) for b in range(8)]
    table = pd.DataFrame(rows, columns=["batch", "layer", "neuron", "value"])
    start = torch.tensor(rng.random((8, 3, 3)), dtype=torch.float32)
    together = activation_maximisation(model, TargetActivation(table), start)
    one = TargetActivation({2: {5: 0.1 + 0.1 * 3}})
    alone = activation_maximisation(model, one, start[3:4])
    assert np.abs(alone[0]).max() > 0.05
    assert np.allclose(together[0][3], alone[0], atol=1e-4) == alike


def test_b6_inputs_belong_to_the_sensory_neurons_in_the_order_given():
    sensory, u = [5, 2], np.array([[0.9], [0.1]])
    names = {i: f"n{i}" for i in range(6)}
    table = get_input_activation(u, sensory, names).set_index("group")["time_0"]
    assert table["n5"] == 0.9
    assert table["n2"] == 0.1
    inprop = np.zeros((6, 6))
    inprop[5, 0] = inprop[2, 0] = 0.5
    path = activations_to_df(inprop, u, np.full((6, 1), 0.3), sensory, names)
    assert path.set_index("pre")["pre_activation"].to_dict() == {"n5": 0.9, "n2": 0.1}
    bare = path[["pre", "post", "layer"]]
    path = get_activations_for_path(bare, np.full((6, 1), 0.3), u, sensory, names)
    assert path.set_index("pre")["pre_activation"].to_dict() == {"n5": 0.9, "n2": 0.1}


def test_b7_inhibitory_and_weak_edges_are_kept():
    inprop = np.zeros((4, 4))
    inprop[0, 3], inprop[1, 3], inprop[2, 3] = -0.4, 9e-4, 0.2
    table = activations_to_df(inprop, np.ones((3, 1)), np.ones((4, 1)), [0, 1, 2])
    assert table["weight"].tolist() == [-0.4, 9e-4, 0.2]
    table = activations_to_df(
        inprop, np.ones((3, 1)), np.ones((4, 1)), [0, 1, 2], connectivity_threshold=0.3
    )
    assert table["weight"].tolist() == [-0.4]


@pytest.mark.parametrize("preset", ["seed", "current"])
@pytest.mark.parametrize("of_weights", [torch.float32, torch.float64])
@pytest.mark.parametrize("of_inputs", [torch.float32, torch.float64, torch.int64, torch.float16])
def test_b8_any_dtype(preset, of_weights, of_inputs):
    W = torch.tensor(chain(0.5, 0.5), dtype=of_weights)
    model = MultilayeredNetwork(W, [0], 2, preset=preset)
    out = model(torch.ones((1, 2)).to(of_inputs))
    assert out.dtype == of_weights
    assert out[1, 0] > 0


def test_b8_inputs_from_a_table_go_straight_in():
    model = MultilayeredNetwork(chain(0.5, 0.5), [0], 2)
    u = input_from_df(pd.DataFrame({"odour": {"ORN": 1.0}}), [0], {0: "ORN"}, 2)
    assert model(u)[0, 1, 0] > 0


def test_b9_every_neuron_of_a_batch_by_default():
    out = np.arange(12.0).reshape(2, 6, 1)
    table = get_neuron_activation(out, [5, 3])
    assert table["group"].tolist() == [3, 5, 3, 5]
    assert table["time_0"].tolist() == [3, 5, 9, 11]


def test_b10_the_path_given_is_not_changed():
    path = pd.DataFrame({"pre": ["a"], "post": ["b"], "layer": [1]})
    before = path.copy()
    found = get_activations_for_path(
        path, np.array([[0.1, 0.2], [0.3, 0.4]]), idx_to_group={0: "a", 1: "b"}, activation_start=1
    )
    pd.testing.assert_frame_equal(path, before)
    assert found[["layer", "pre_activation", "post_activation"]].values.tolist() == [[1, 0.1, 0.4]]


def test_b10_members_of_a_group_that_are_not_sensory():
    path = pd.DataFrame({"pre": ["a", "b"], "post": ["b", "a"], "layer": [1, 1]})
    found = get_activations_for_path(
        path, np.full((3, 1), 0.5), np.array([[0.8]]), [1], {0: "a", 1: "a", 2: "b"}
    )
    assert found["pre_activation"].iloc[0] == 0.8
    assert np.isnan(found["pre_activation"].iloc[1])


@pytest.mark.quick(2)
@pytest.mark.parametrize(("preset", "moves"), [("seed", False), ("current", True)])
@pytest.mark.parametrize("start", [0.0, 1.5])
def test_b11_gradients_are_alive_everywhere(preset, moves, start):
    W = chain(0.3, 0.3)
    model = MultilayeredNetwork(W, [0], 2, preset=preset, tau=1.0)
    wanted = TargetActivation({1: {2: 0.3}})
    _, out, act, *_ = activation_maximisation(
        model, wanted, torch.full((1, 1, 2), start), num_iterations=50, learning_rate=0.05,
        in_reg_lambda=0.0, out_reg_lambda=0.0, early_stopping=False,
    )  # fmt: skip
    assert (act[-1] < 0.05 * act[0]) == moves
    if moves:
        assert out[2, 1] == pytest.approx(0.3, abs=0.05)


@pytest.mark.parametrize("preset", ["seed", "current"])
def test_b12_positive_divisive_weights_are_named(preset):
    W = np.zeros((4, 4))
    W[2, 0], W[2, 1], W[3, 1] = -0.5, -0.2, 0.7
    groups = {0: "b", 1: "b", 2: "c", 3: "c"}
    with pytest.raises(ArgumentError, match=r"1 of 3 .* 0.7 from neuron 1 \(b\) to 3 \(c\)"):
        MultilayeredNetwork(
            W, [0], idx_to_group=groups, divisive_normalization={"b": ["c"]}, preset=preset
        )


def test_b12_a_divisive_group_without_members_is_named():
    W, options = divided()
    options["divisive_normalization"] = {"b": ["c", "LN"]}
    with pytest.raises(ArgumentError, match="'LN' as a post group, but no neuron"):
        MultilayeredNetwork(W, [0], **options)


def test_b12_nan_inputs_are_named():
    model = MultilayeredNetwork(chain(0.5), [0], 2)
    u = np.zeros((3, 1, 2))
    u[2, 0, 1] = np.nan
    with pytest.raises(ArgumentError, match=r"nan at \(batch, sensory, time\) \(2, 0, 1\)"):
        model(u)

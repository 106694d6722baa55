"""Bad input, by the words of the message."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from networks import chain, divided

from ngpipe.connectome import (
    MultilayeredNetwork,
    TargetActivation,
    activation_maximisation,
    activations_to_df,
    activations_to_df_batched,
    activity_by_column,
    add_sign,
    get_activations_for_path,
    get_gradients,
    get_input_activation,
    get_neuron_activation,
    guess_optimal_stimulus,
    input_from_df,
    saliency,
    train_model,
)
from ngpipe.errors import ArgumentError, DivergenceError

MultilayeredNetwork = partial(MultilayeredNetwork, preset="current")

W = chain(0.5, 0.5)
TYPES = {0: "a", 1: "b", 2: "c"}
build = partial(MultilayeredNetwork, W, [0])
DIVIDED = divided()[1] | {"all_weights": divided()[0], "sensory_indices": [0]}


def model(**options):
    return build(3, idx_to_group=TYPES, **options)


NETWORKS = [
    (lambda: MultilayeredNetwork([[0.0]], [0]), "all_weights is a list, expected a numpy array"),
    (lambda: MultilayeredNetwork(np.zeros((3, 4)), [0]), r"shape \(3, 4\), expected a square"),
    (lambda: MultilayeredNetwork(W * np.nan, [0]), "9 values that are not finite"),
    (lambda: MultilayeredNetwork(W.astype(complex), [0]), "complex128, expected a matrix of real"),
    (lambda: MultilayeredNetwork(W, [0, 3]), "sensory_indices 3 is out of range: expected 0 to 2"),
    (lambda: MultilayeredNetwork(W, [0.5]), "sensory_indices must be whole numbers, got 0.5"),
    (lambda: MultilayeredNetwork(W, [1, 0, 1]), "sensory_indices has neuron 1 2 times"),
    (lambda: build(0), "num_layers is 0, expected at least 1"),
    (lambda: build(tau=0.5), "tau is 0.5, expected at least 1 step"),
    (lambda: build(threshold=np.nan), "threshold is nan, expected a finite number"),
    (lambda: build(preset="late"), "preset is 'late', expected one of"),
    (lambda: build(idx_to_group={"x": "a"}), "idx_to_group: key must be whole numbers, got 'x'"),
    (lambda: build(idx_to_group={0: "a", 2: "c"}), "no group for neuron 1 of 3"),
    (lambda: build(idx_to_group={0: "a", 1: 2, 2: "c"}), "mixes names that cannot be sorted"),
    (lambda: build(idx_to_group={0: "a", 1: np.nan, 2: "c"}), "has nan for neuron 1"),
    (lambda: build(slope_dict={"a": 2.0}), "slope_dict gives values by group, but idx_to_group"),
    (lambda: model(bias_dict={"LN": 0.1}), "bias_dict names 'LN', which is not a group"),
    (lambda: model(tau_dict={"LN": 2.0}), "tau_dict names 'LN'.*the groups are 'a', 'b', 'c'"),
    (lambda: build(divisive_normalization={"b": ["c"]}), "idx_to_group was not given"),
    (
        lambda: MultilayeredNetwork(**DIVIDED, divisive_strength={"a": 1.0}),
        "divisive_strength has no value for 'b'",
    ),
]
CALLS = [
    (lambda: model()([[0.0]]), "inputs are a list, expected a torch tensor"),
    (lambda: model()(np.zeros((2, 3))), r"shape \(2, 3\), expected \(sensory 1, time >= 3\)"),
    (lambda: model()(np.zeros((4, 1, 2))), r"shape \(4, 1, 2\).*as many time steps as layers"),
    (lambda: model()(np.zeros(3)), r"shape \(3,\)"),
    (lambda: model()(np.zeros((1, 3), dtype=complex)), "complex128, expected real numbers"),
    (
        lambda: model()(np.zeros((1, 3)), {0: {"d": 1.0}}),
        "manipulate: 'd' is neither a group nor the index",
    ),
    (lambda: model()(np.zeros((1, 3)), {3: {"a": 1.0}}), "manipulate: layer 3 is out of range"),
    (lambda: model()(np.zeros((1, 3)), {2: {0: {1: 1.0}}}), "manipulate: sample 2 is out of range"),
    (lambda: model()(np.zeros((1, 3)), {0: {7: 1.0}}), "manipulate: 7 is out of range"),
    (lambda: saliency(model(), np.zeros((1, 3)), {0: [1]}, "lime"), "saliency method: 'lime'"),
    (lambda: saliency(model(), np.zeros((1, 3)), {0: []}), "neurons of interest are empty"),
    (lambda: saliency(model(), np.zeros((1, 3)), {5: [1]}), "layer 5 is out of range"),
    (
        lambda: saliency(model(), np.zeros((1, 3)), {0: ["d"]}),
        "'d' is neither a group nor the index",
    ),
    (lambda: get_gradients(model(), np.zeros((1, 3)), [], {0: [1]}), "monitor_neurons are empty"),
    (
        lambda: get_gradients(model(), np.zeros((1, 3)), [0], {0: [1]}, [4]),
        "monitor_layers 4 is out of range",
    ),
]


def table(**columns):
    return pd.DataFrame({"batch": [0, 1], "neuron_idx": [1, 2], "value": [0.1, 0.2], **columns})


def train(targets, network=None, u=None, **options):
    u = np.full((2, 1, 3), 0.5) if u is None else u
    return train_model(network or model(), u, targets, num_epochs=1, **options)


def search(targets, start=None, **options):
    return activation_maximisation(model(), TargetActivation(targets), start, **options)


TARGETS = [
    (lambda: TargetActivation({}), "targets are empty"),
    (lambda: TargetActivation({0: {}}), "targets are empty"),
    (lambda: TargetActivation([1]), "targets are a list"),
    (lambda: TargetActivation({0: {1: np.nan}}), "nan.* as value in row 0"),
    (lambda: TargetActivation({0: {1: 0.5}}, 0), "batch_size is 0, expected at least 1"),
    (
        lambda: TargetActivation(pd.DataFrame({"layer": [0], "value": [1]})),
        r"must contain columns: \['layer', 'neuron', 'value'\]; it lacks \['neuron'\]",
    ),
    (
        lambda: TargetActivation(
            pd.DataFrame({"batch": [3], "layer": [0], "neuron": [0], "value": [1]}), 2
        ),
        "batch_size is 2, but targets name batch 3; expected at least 4",
    ),
    (lambda: search({3: {0: 0.5}}), "targets: layer 3 is out of range: expected 0 to 2"),
    (lambda: search({0: {9: 0.5}}), "targets: neuron 9 is out of range: expected 0 to 2"),
    (lambda: search({0: {1: 0.5}}, np.zeros((1, 1, 2))), r"Expected input shape .*got \(1, 1, 2\)"),
    (lambda: search({0: {1: 0.5}}, num_iterations=-1), "num_iterations is -1"),
    (lambda: search({0: {1: 0.5}}, restarts=0), "restarts is 0, expected at least 1"),
    (lambda: search({0: {1: 0.5}}, bounds=(1.0, 0.0)), "expected .* low below high"),
    (lambda: train(table().drop(columns="value")), r"lacks \['value'\]"),
    (lambda: train(table().iloc[:0]), "targets are empty"),
    (lambda: train(table(batch=[0, 5])), "targets: batch 5 is out of range: expected 0 to 1"),
    (lambda: train(table(batch=[0, 0.5])), "targets: batch must be whole numbers"),
    (lambda: train(table(neuron_idx=[0, 3])), "targets: neuron_idx 3 is out of range"),
    (lambda: train(table(layer=[0, 3])), "targets: layer 3 is out of range"),
    (lambda: train(table(value=[0, np.inf])), "inf.* as value in row 1"),
    (lambda: train(table(), train_fraction=0.2), "leaves 0 to train on"),
    (lambda: train(table(), build(3)), "nothing to train: it was built without idx_to_group"),
    (
        lambda: guess_optimal_stimulus(W, [0, 4], {}, TargetActivation({0: {1: 1.0}})),
        "sensory_indices 4 is out of range",
    ),
]
OUT = np.full((3, 2), 0.5)
PATH = pd.DataFrame({"pre": ["a"], "post": ["b"], "layer": [1]})
TABLES = [
    (
        lambda: input_from_df(pd.DataFrame({"x": {"a": 1.0}}), [0, 9], TYPES, 2),
        "no group for sensory neuron 9",
    ),
    (
        lambda: input_from_df(pd.DataFrame({"x": {"a": 1.0}}), [0], TYPES, 2, [2]),
        "timepoints 2 is out of range: expected 0 to 1",
    ),
    (lambda: get_neuron_activation(OUT[0], [0]), r"shape \(2,\), expected \(neuron, time\)"),
    (lambda: get_neuron_activation(OUT, [3]), "neuron_indices 3 is out of range"),
    (lambda: get_neuron_activation(OUT, [2], idx_to_group={0: "a"}), "neuron 2 has no entry"),
    (lambda: get_neuron_activation(OUT[None], [0], ["x", "y"]), "2 names for 1 samples"),
    (lambda: get_input_activation(OUT, [0], TYPES), r"Expected input shape \(num_neurons=1"),
    (
        lambda: get_input_activation(OUT[:2], [0, 1], TYPES, [2]),
        "neuron 2, which is not among sensory_indices",
    ),
    (
        lambda: activity_by_column(OUT, TYPES, {0: 1, 1: 1, 2: 1}, ["a"], OUT[:1]),
        "model_input and sensory_indices belong together",
    ),
    (lambda: activity_by_column(OUT, TYPES, {0: 1}, ["z"]), "'z' has no neurons"),
    (lambda: activity_by_column(OUT, TYPES, {0: "left"}, ["a"]), "expected numbers"),
    (
        lambda: activations_to_df(W.T, OUT[:1], OUT, [0], activation_threshold=0.9),
        "no path found: .* active at >= 0.9; lower",
    ),
    (lambda: activations_to_df(W.T, OUT[:1], OUT[:2], [0]), r"out has shape \(2, 2\)"),
    (lambda: activations_to_df(W.T, OUT, OUT, [0]), r"expected \(sensor 1, time\)"),
    (
        lambda: activations_to_df_batched(W.T, OUT[:1], OUT, [0]),
        "without batch axis use activations_to_df",
    ),
    (
        lambda: activations_to_df_batched(W.T * 0, OUT[None, :1], OUT[None], [0]),
        "no path found",
    ),
    (lambda: get_activations_for_path(PATH, OUT, idx_to_group=TYPES), "path has layer 1"),
    (
        lambda: get_activations_for_path(PATH.assign(post="z"), OUT, OUT[:1], [0], TYPES),
        r"path has \['z'\], which idx_to_group does not have",
    ),
    (
        lambda: get_activations_for_path(PATH, OUT, OUT[:1], [0], TYPES, 2),
        "activation_start 2 is out of range: expected 0 to 1",
    ),
    (lambda: get_activations_for_path(PATH.drop(columns="pre"), OUT), r"lacks \['pre'\]"),
]


@pytest.mark.parametrize(("call", "words"), NETWORKS + CALLS + TARGETS + TABLES)
def test_bad_input_is_named(call, words):
    with pytest.raises(ArgumentError, match=words) as caught:
        call()
    assert isinstance(caught.value, ValueError)


def test_a_loss_that_is_not_finite_is_told():
    wild = build(3, idx_to_group=TYPES, activation_function=lambda x: x * torch.inf)
    with pytest.raises(DivergenceError, match="nan at epoch 0: lower learning_rate"):
        train(table(), wild)
    with pytest.raises(DivergenceError, match="sample 0 is nan at iteration 0"):
        activation_maximisation(wild, TargetActivation({0: {2: 0.5}}))


@pytest.mark.filterwarnings("ignore::ngpipe.errors.DoubtfulWarning")
def test_the_seed_preset_ignores_groups_it_does_not_know():
    assert model(bias_dict={"LN": 0.1}, preset="seed").biases.tolist() == [0, 0, 0]


@pytest.mark.skipif(torch.cuda.is_available(), reason="CUDA is there")
def test_an_absent_device_is_told():
    from ngpipe.errors import DeviceError

    with pytest.raises(DeviceError, match="cuda was requested"):
        build(device="cuda")


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: model()(np.array([["a"] * 3])), "inputs are <U1, expected real numbers"),
        (lambda: model()(np.zeros((1, 3)), {1: 0.5}), "manipulate has 0.5 for layer 1, expected"),
        (lambda: TargetActivation({1: 0.5}), "targets of layer 1 are 0.5, expected"),
        (lambda: add_sign(W.T, {7: -1}), "idx_to_sign: key 7 is out of range: expected 0 to 2"),
        (
            lambda: train_model(
                model(),
                np.zeros((2, 1, 3)),
                pd.DataFrame({"batch": [0], "neuron_idx": [1], "value": [0.5]}),
                train_fraction=2.0,
            ),
            "train_fraction is 2.0, expected a share",
        ),
    ],
)
def test_arguments_of_another_kind_are_named(call, message):
    with pytest.raises(ArgumentError, match=message):
        call()

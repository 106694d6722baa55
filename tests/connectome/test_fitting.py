"""Training: splits, losses, what is trained, what is told."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from networks import GROUPS, weights

from ngpipe.connectome import MultilayeredNetwork, TargetActivation, train_model

MultilayeredNetwork = partial(MultilayeredNetwork, preset="current")


@pytest.fixture
def problem(rng):
    """A network, inputs, and targets that another network of the same W gives."""
    W = weights(rng)
    inputs = torch.tensor(rng.random((10, 3, 4)), dtype=torch.float32)
    slopes = {"a": 3.0, "b": 7.0, "c": 5.0, "d": 4.0}
    truth = MultilayeredNetwork(W, [0, 1, 2], 4, idx_to_group=GROUPS, slope_dict=slopes, tau=2.0)
    out = truth(inputs).detach().numpy()
    rows = [(b, n, t, out[b, n, t]) for b in range(10) for n in range(3, 12) for t in (1, 3)]
    table = pd.DataFrame(rows, columns=["batch", "neuron_idx", "layer", "value"])
    model = MultilayeredNetwork(W, [0, 1, 2], 4, idx_to_group=GROUPS, tau=2.0)
    return model, inputs, table, truth


@pytest.mark.slow
def test_slopes_are_found(problem):
    model, inputs, table, truth = problem
    _, history, *_ = train_model(
        model, inputs, table, num_epochs=300, learning_rate=0.05, param_reg_lambda=0.0,
        train_biases=False,
    )  # fmt: skip
    assert history["mse_loss"][-1] < 0.1 * history["mse_loss"][0]
    assert history["val_loss"][-1] < 0.15 * history["val_loss"][0]
    np.testing.assert_allclose(model.slope[:3], truth.slope[:3], atol=0.1)  # d is silent


def test_history_is_the_loss_of_all_rows(problem):
    model, inputs, table, _ = problem
    out = model(inputs).detach().numpy()
    unequal = table.iloc[:-7]
    _, history, *_, train_rows, _, trained, _ = train_model(
        model, inputs, unequal, num_epochs=2, param_reg_lambda=0.5
    )
    rows = unequal[unequal["batch"].isin(trained)]
    found = out[rows["batch"], rows["neuron_idx"], rows["layer"]]
    assert history["mse_loss"][0] == pytest.approx(np.abs(found - rows["value"]).mean(), abs=1e-6)
    assert len(train_rows) == len(rows)
    moved = [0.01] * 8  # the first step of Adam moves each parameter by its rate
    assert history["param_reg_loss"] == pytest.approx([0.0, 0.5 * np.mean(moved)], abs=2e-4)
    assert history["loss"][1] == pytest.approx(
        history["mse_loss"][1] + history["param_reg_loss"][1]
    )


def test_split_and_its_tables_are_local(problem):
    model, inputs, table, _ = problem
    shuffled = table.sample(frac=1, random_state=0)
    kept = shuffled.copy()
    _, _, train_u, val_u, train_rows, val_rows, trained, held_out = train_model(
        model, inputs, shuffled, num_epochs=1, train_fraction=0.7, seed=5
    )
    pd.testing.assert_frame_equal(shuffled, kept)
    assert len(trained) == 7
    assert torch.equal(train_u, inputs[trained])
    assert torch.equal(val_u, inputs[held_out])
    for rows, samples in ((train_rows, trained), (val_rows, held_out)):
        back = rows.assign(batch=samples[rows["batch"]]).sort_index()
        expected = table[table["batch"].isin(samples)].sort_index()
        pd.testing.assert_frame_equal(back, expected, check_dtype=False)


def test_without_layer_the_mean_over_layers_counts(problem):
    model, inputs, _, _ = problem
    out = model(inputs).detach().numpy()
    table = pd.DataFrame({"batch": range(10), "neuron_idx": 5, "value": 0.3})
    _, history, *_, trained, _ = train_model(model, inputs, table, num_epochs=1)
    expected = np.abs(out[trained, 5].mean(axis=1) - 0.3).mean()
    assert history["mse_loss"][0] == pytest.approx(expected, abs=1e-6)


def test_only_what_is_asked_for_is_trained(problem):
    model, inputs, table, _ = problem
    before = {name: p.clone() for name, p in model.named_parameters()}
    train_model(
        model, inputs, table, num_epochs=3, train_slopes=False, train_biases=False, train_tau=True
    )
    moved = {name for name, p in model.named_parameters() if not torch.equal(p, before[name])}
    assert moved == {"tau_param"}
    assert not any(p.requires_grad for p in model.parameters())


@pytest.mark.slow
def test_a_silent_neuron_is_woken(rng):
    W = np.zeros((3, 3))
    W[1, 0], W[2, 1] = 0.5, 0.5
    model = MultilayeredNetwork(
        W, [0], 2, idx_to_group={0: "a", 1: "b", 2: "c"}, bias_dict={"b": -2.0}, tau=1.0
    )
    table = pd.DataFrame({"batch": range(5), "neuron_idx": 2, "layer": 1, "value": 0.8})
    u = torch.full((5, 1, 2), 0.5)
    assert model(u)[0, 2, 1] == 0
    train_model(
        model, u, table, num_epochs=200, learning_rate=0.05, param_reg_lambda=0.0,
        train_slopes=False,
    )  # fmt: skip
    assert model(u)[0, 2, 1].item() == pytest.approx(0.8, abs=0.05)


def test_no_validation_samples_give_nan(problem):
    model, inputs, table, _ = problem
    _, history, *_ = train_model(model, inputs, table, num_epochs=2, train_fraction=1.0)
    assert np.isnan(history["val_loss"]).all()


def test_numpy_inputs_in_double_precision_and_checkpoints(problem):
    model, inputs, table, _ = problem
    other = MultilayeredNetwork(model.all_weights, [0, 1, 2], 4, idx_to_group=GROUPS, tau=2.0)
    plain = train_model(model, inputs, table, num_epochs=3)[1]
    saved = train_model(other, inputs.double().numpy(), table, num_epochs=3, checkpoint_steps=2)[1]
    np.testing.assert_allclose(plain["loss"], saved["loss"], rtol=1e-5)


def test_no_global_randomness_and_nothing_printed(problem, capfd):
    model, inputs, table, _ = problem
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    train_model(model, inputs, table, num_epochs=1)
    assert capfd.readouterr() == ("", "")
    assert torch.equal(before[0], torch.get_rng_state())
    assert np.array_equal(before[1], np.random.get_state()[1])  # noqa: NPY002
    train_model(model, inputs, table, num_epochs=1, quiet=False)
    assert "epoch 0: loss" in "".join(capfd.readouterr())


def test_targets_of_a_dict_and_of_tables():
    of_dict = TargetActivation({0: {1: 0.5, 2: 0.8}, 3: {0: 0.3}}, batch_size=3)
    assert of_dict.batch_size == 3
    assert of_dict.get_batch_targets(2) == {0: {1: 0.5, 2: 0.8}, 3: {0: 0.3}}
    assert of_dict.get_batch_targets(7) == {}
    assert of_dict.targets_df[["layer", "neuron", "batch"]].values.tolist()[:4] == [
        [0, 1, 0], [0, 1, 1], [0, 1, 2], [0, 2, 0],
    ]  # fmt: skip
    table = pd.DataFrame({"batch": [0, 2], "layer": [1, 0], "neuron": [4, 5], "value": [1, 0]})
    of_table = TargetActivation(table)
    assert of_table.batch_size == 3
    assert of_table.get_batch_targets(2) == {0: {5: 0.0}}
    assert all(isinstance(key, int) for key in of_table.get_batch_targets(0))
    repeated = TargetActivation(table.drop(columns="batch"), batch_size=2)
    assert repeated.get_batch_targets(1) == {1: {4: 1.0}, 0: {5: 0.0}}
    assert of_dict != of_table

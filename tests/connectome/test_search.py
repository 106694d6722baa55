"""Stimulus search: what it finds, and what it must not depend on."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from networks import chain, weights

from ngpipe.connectome import (
    LinearNetwork,
    MultilayeredNetwork,
    TargetActivation,
    activation_maximisation,
    guess_optimal_stimulus,
)

LinearNetwork = partial(LinearNetwork, preset="current")
MultilayeredNetwork = partial(MultilayeredNetwork, preset="current")

FREE = {"in_reg_lambda": 0.0, "out_reg_lambda": 0.0}
WANTED = TargetActivation({2: {5: 0.6, 7: 0.3}, 1: {9: 0.2}})


@pytest.fixture
def model(rng):
    return MultilayeredNetwork(weights(rng), [0, 1, 2, 3], 4, tau=2.0)


@pytest.mark.slow
def test_a_reachable_target_is_reached():
    model = MultilayeredNetwork(chain(0.4, 0.3), [0], 2, tau=1.0)
    table = pd.DataFrame({"batch": [0, 1], "layer": [1, 1], "neuron": [2, 2], "value": [0.4, 0.7]})
    _, out, *_ = activation_maximisation(
        model, TargetActivation(table), num_iterations=300, learning_rate=0.02, seed=0,
        early_stopping=False, **FREE,
    )  # fmt: skip
    np.testing.assert_allclose(out[:, 2, 1], [0.4, 0.7], atol=0.01)


@pytest.mark.slow
def test_the_stimulus_stays_in_its_box_and_reaches_its_ends(model):
    found, *_ = activation_maximisation(model, WANTED, seed=0)
    assert found.min() == 0.0
    assert found.max() <= 1.0
    found, *_ = activation_maximisation(model, WANTED, seed=0, bounds=(-0.5, 0.25), **FREE)
    assert -0.5 <= found.min() < 0
    assert found.max() == 0.25


def test_the_best_stimulus_met_is_returned(model):
    _, _, act, outs, ins, _ = activation_maximisation(
        model, WANTED, num_iterations=25, learning_rate=0.9, early_stopping=False, seed=0
    )
    total = np.sum([act, outs, ins], axis=0)
    assert len(total) == 26
    assert total[-1] <= total[:-1].min() + 1e-6
    assert total[-2] > total[-1] + 1e-3  # the last stimulus alone would be worse


def test_restarts_never_hurt_and_run_as_one_batch(rng, model):
    def loss(restarts):
        _, _, act, outs, ins, _ = activation_maximisation(
            model, WANTED, num_iterations=8, seed=3, restarts=restarts
        )
        return act[-1] + outs[-1] + ins[-1]

    _, out, act, *_ = activation_maximisation(model, WANTED, seed=3, restarts=4)
    off = (out[5, 2] - 0.6) ** 2 + (out[7, 2] - 0.3) ** 2 + (out[9, 1] - 0.2) ** 2
    assert act[-1] == pytest.approx(off / 3, abs=1e-6)
    assert loss(16) < loss(1) - 1e-4
    assert loss(4) <= loss(1) + 1e-6


def test_a_seed_gives_a_sample_one_start_in_batches_of_any_size(model):
    def start(n):
        wanted = TargetActivation({2: {5: 0.6}}, batch_size=n)
        found, *_ = activation_maximisation(model, wanted, num_iterations=0, seed=7)
        return found if n > 1 else found[None]

    assert np.array_equal(start(1)[0], start(5)[0])
    assert np.array_equal(start(3)[1], start(5)[1])
    assert not np.allclose(start(5)[0], start(5)[1])
    assert np.array_equal(start(5), start(5))


def test_no_global_randomness(model):
    torch.manual_seed(0)
    before = torch.get_rng_state(), np.random.get_state()[1].copy()  # noqa: NPY002
    activation_maximisation(model, WANTED, num_iterations=2)
    assert torch.equal(before[0], torch.get_rng_state())
    assert np.array_equal(before[1], np.random.get_state()[1])  # noqa: NPY002


def test_samples_stop_early_on_their_own(rng, model):
    start = torch.tensor(rng.random((2, 4, 4)), dtype=torch.float32)
    rows = pd.DataFrame({"batch": [0, 1], "layer": [0, 2], "neuron": [0, 5], "value": [0.0, 0.9]})
    options = {"num_iterations": 80, "stopping_threshold": 0.1, "n_runs": 4, "learning_rate": 0.02}
    together, _, act, *_ = activation_maximisation(model, TargetActivation(rows), start, **options)
    assert len(act) < 81
    alone = [
        activation_maximisation(model, TargetActivation({k: {n: v}}), start[b : b + 1], **options)
        for b, (k, n, v) in enumerate([(0, 0, 0.0), (2, 5, 0.9)])
    ]
    assert len(alone[0][2]) != len(alone[1][2])  # one settles while the other still moves
    for b in range(2):
        np.testing.assert_allclose(together[b], alone[b][0], atol=1e-4)


@pytest.mark.slow
def test_penalties_shrink_the_stimulus_and_custom_ones_apply(model):
    def size(**options):
        return np.abs(activation_maximisation(model, WANTED, seed=0, **options)[0]).sum()

    assert size(in_reg_lambda=0.1) < 0.7 * size(**FREE)
    doubled = {"in": lambda u: u.square().sum(), "out": lambda x: x.abs().sum()}
    found, out, _, outs, ins, _ = activation_maximisation(
        model, WANTED, seed=0, custom_reg_functions=doubled
    )
    assert ins[-1] == pytest.approx(0.01 * np.square(found).sum(), abs=1e-6)
    assert outs[-1] == pytest.approx(0.01 * np.abs(out).sum(), abs=1e-6)


def test_normalised_gradients_reach_through_many_layers(rng):
    model = MultilayeredNetwork(weights(rng, scale=0.3), [0, 1], 20)
    wanted = TargetActivation({15: {5: 0.5}})
    _, _, act, *_ = activation_maximisation(
        model, wanted, num_iterations=30, normalize_gradients=True, seed=0, out_reg_lambda=0.0,
        in_reg_lambda=0.0,
    )  # fmt: skip
    assert act[-1] < 0.8 * act[0]


def test_shapes_snapshots_and_parameters(model):
    wanted = TargetActivation({2: {5: 0.6}}, batch_size=3)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    found, out, act, _, _, snapshots = activation_maximisation(
        model, wanted, num_iterations=11, early_stopping=False, restarts=2
    )
    assert found.shape == (3, 4, 4)
    assert out.shape == (3, 12, 4)
    assert len(act) == 12
    assert [shot.shape for shot in snapshots] == [(3, 4, 4)] * 3
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())
    found, out, *_, snapshots = activation_maximisation(model, WANTED, num_iterations=1)
    assert found.shape == (4, 4)
    assert out.shape == (12, 4)
    assert snapshots[0].shape == (4, 4)


def test_nothing_is_printed_unless_asked(model, capfd):
    activation_maximisation(model, WANTED, num_iterations=2)
    assert capfd.readouterr() == ("", "")
    activation_maximisation(model, WANTED, num_iterations=2, quiet=False)
    told = "".join(capfd.readouterr())
    assert "iteration 0: activation_loss" in told
    assert "2/2" in told


def test_guess_is_the_gradient_of_a_linear_network(rng):
    inprop = np.abs(weights(rng)).T
    signs = {i: -1 if i % 3 == 0 else 1 for i in range(12)}
    W = inprop.T * np.array([signs[i] for i in range(12)])
    sensors = [4, 0, 9]
    wanted = TargetActivation({2: {5: 0.5, 7: -1.0}, 1: {6: 2.0}})
    guess = guess_optimal_stimulus(inprop, sensors, signs, wanted, longest_plen=3)
    model = LinearNetwork(
        W, sensors, 3, tau=1.0, dtype=torch.float64, tanh_steepness=1.0, threshold=0.0
    )
    u = torch.zeros(1, 3, 3, dtype=torch.float64, requires_grad=True)
    out = model(u)[0]
    (0.5 * out[5, 2] - out[7, 2] + 2 * out[6, 1]).backward()
    assert guess.dtype == np.float32
    # the input of time t acts at layer t without a synapse too; sensors are no targets here
    np.testing.assert_allclose(guess, u.grad, atol=1e-6)


@pytest.mark.parametrize(("layer", "longest", "columns"), [(0, 2, 1), (10, 3, 3), (1, 3, 2)])
def test_guess_has_as_many_times_as_paths_need(layer, longest, columns):
    wanted = TargetActivation({layer: {2: 1.0}})
    guess = guess_optimal_stimulus(chain(0.5, 0.4).T, [0, 1], {}, wanted, longest)
    assert guess.shape == (1, 2, columns)
    assert guess[0, 1, -1] == pytest.approx(0.4)
    if columns > 1:
        assert guess[0, 0, -2] == pytest.approx(0.2)


def test_guess_takes_signs():
    wanted = TargetActivation({0: {1: 1.0}})
    assert guess_optimal_stimulus(chain(0.5).T, [0], {0: -1}, wanted)[0, 0, 0] == -0.5

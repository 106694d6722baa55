"""Gradients of chosen neurons by inputs and by activities, against differences."""

from functools import partial

import numpy as np
import pytest
import torch
from networks import GROUPS, chain, weights

from ngpipe.connectome import LinearNetwork, MultilayeredNetwork, get_gradients, saliency

LinearNetwork = partial(LinearNetwork, preset="current")
MultilayeredNetwork = partial(MultilayeredNetwork, preset="current")

SENSORY = [0, 1, 2]
OF = {1: [5, 6], 3: [7]}


@pytest.fixture
def model(rng):
    return MultilayeredNetwork(
        weights(rng), SENSORY, 4, idx_to_group=GROUPS, tau=2.0, dtype=torch.float64, threshold=-9.0
    )


@pytest.fixture
def u(rng):
    return rng.uniform(0.1, 0.3, size=(2, 3, 4))


def signal(out):
    return float(out[..., 5, 1].sum() + out[..., 6, 1].sum() + out[..., 7, 3].sum())


def test_saliency_is_the_derivative_of_the_summed_activities(model, u):
    found = saliency(model, torch.tensor(u), OF)
    expected = np.zeros_like(u)
    for at in np.ndindex(u.shape):
        step = np.zeros_like(u)
        step[at] = 1e-6
        expected[at] = (signal(model(u + step)) - signal(model(u - step))) / 2e-6
    np.testing.assert_allclose(found, expected, atol=1e-7)
    assert not found.requires_grad
    np.testing.assert_allclose(saliency(model, u[0], OF), expected[0], atol=1e-7)
    scaled = saliency(model, u, OF, method="input_x_gradient")
    np.testing.assert_allclose(scaled, expected * u, atol=1e-7)
    assert not scaled.requires_grad


def test_saliency_of_groups(model, u):
    members = [i for i, name in GROUPS.items() if name == "c"]
    assert torch.equal(saliency(model, u, {2: ["c"]}), saliency(model, u, {2: members}))


@pytest.mark.parametrize(("preset", "expected"), [("seed", [1.0, -3.0]), ("current", [1 / 3, -1])])
def test_normalised_saliency(preset, expected):
    W = np.zeros((3, 3))
    W[2, 0], W[2, 1] = 0.1, -0.3
    model = LinearNetwork(W, [0, 1], 1, tau=1.0, preset=preset, threshold=0.0)
    found = saliency(model, np.full((2, 1), 0.5), {0: [2]}, normalize=True)
    assert found[:, 0].tolist() == pytest.approx(expected)


def test_saliency_leaves_parameters_alone(model, u):
    model.set_param_grads(slopes=True)
    saliency(model, u, OF)
    assert model.slope.grad is None


def test_gradients_by_activities_are_those_of_held_neurons(model, u):
    table = get_gradients(model, u, [3, 8], {3: [5, 7]}, monitor_layers=[0, 2])
    assert table.columns.tolist() == ["batch_name", "group", "time_0", "time_2"]
    plain = model(u)
    for sample in range(2):
        for layer in (0, 2):
            expected = 0.0
            for neuron in (3, 7, 11):  # d: all members count when the group is monitored
                at = plain[sample, neuron, layer].item()
                up, down = (
                    model(u, manipulate={sample: {layer: {neuron: at + h}}}) for h in (1e-6, -1e-6)
                )
                change = (up - down)[sample, [5, 7], 3].mean() / 2e-6
                expected += change.item() / 3
            found = get_gradients(model, u, ["d"], {3: [5, 7]})
            value = found.set_index(["batch_name", "group"]).loc[(f"batch_{sample}", "d")]
            assert value[f"time_{layer}"] == pytest.approx(expected, abs=1e-7)


def test_gradients_do_not_depend_on_the_batch(model, u):
    both = get_gradients(model, u, ["a", "b"], OF, batch_names=["x", "y"])
    alone = get_gradients(model, u[1], ["a", "b"], OF, batch_names=["y"])
    late = both[both["batch_name"] == "y"].reset_index(drop=True)
    np.testing.assert_allclose(late.filter(like="time_"), alone.filter(like="time_"), atol=1e-12)


def test_gradients_after_the_target_are_zero_and_paths_specific():
    W = np.zeros((5, 5))
    W[2, 0], W[3, 1], W[4, 2] = 0.7, 0.6, 0.5
    model = LinearNetwork(W, [0, 1], 3, tau=1.0, tanh_steepness=1.0)
    table = get_gradients(model, np.full((2, 3), 0.5), [0, 1, 2], {1: [4]})
    assert table["group"].tolist() == [0, 1, 2]
    assert table["time_2"].tolist() == [0, 0, 0]
    assert table["time_1"].tolist() == [0, 0, 0]
    assert table["time_0"].tolist() == pytest.approx([0, 0, 0.5])


def test_gradients_times_activity_and_normalised():
    model = LinearNetwork(chain(0.7, 0.5), [0], 2, tau=1.0, tanh_steepness=1.0)
    u = np.full((1, 2), 0.5)
    plain = get_gradients(model, u, [1], {1: [2]})["time_0"].item()
    assert plain == pytest.approx(0.5)
    weighted = get_gradients(model, u, [1], {1: [2]}, times_activation=True)["time_0"].item()
    assert weighted == pytest.approx(0.5 * 0.35)
    unit = get_gradients(model, u, [0, 1], {1: [2]}, normalize=True)
    assert unit["time_0"].tolist() == pytest.approx([0, 1])

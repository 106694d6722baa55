"""Lesions and hidden inputs, against networks without the edges and inputs without the values."""

from functools import partial

import numpy as np
import pytest
import torch
from networks import GROUPS, dale

from ngpipe.connectome import LinearNetwork, MultilayeredNetwork, ablation, occlusion
from ngpipe.errors import ArgumentError

LinearNetwork = partial(LinearNetwork, preset="current")
MultilayeredNetwork = partial(MultilayeredNetwork, preset="current")

SENSORY = [4, 0, 9]
HELD = {"x": [1, 4], "y": [5], "z": [10, 2, 9]}


def objective(layers):
    return (layers[-1][6] - layers[-2][7] + 0.5 * layers[1][3]).tanh()


@pytest.fixture
def W(rng):
    return dale(rng)


@pytest.fixture
def u(rng):
    return rng.uniform(0, 0.8, size=(3, 3, 5))


def build(W, **options):
    options = {"idx_to_group": GROUPS, "bias_dict": {"a": 0.1}, "tau": 2.0} | options
    return MultilayeredNetwork(W, SENSORY, 5, dtype=torch.float64, **options)


def of(model, u):
    layers = model(torch.as_tensor(u), return_layer_list=True)
    return objective(layers).numpy()


def cut(W, neurons):
    W = W.copy()
    W[neurons] = 0
    W[:, neurons] = 0
    return W


@pytest.mark.parametrize("preset", ["seed", "current"])
def test_silence_is_the_loss_of_all_edges(W, u, preset):
    model = build(W, preset=preset)
    found = ablation(model, u, objective, HELD)
    assert found.dims == ("sample", "group")
    assert found["group"].values.tolist() == ["x", "y", "z"]
    for name, neurons in HELD.items():
        expected = of(model, u) - of(build(cut(W, neurons), preset=preset), u)
        assert abs(expected).max() > 1e-3
        np.testing.assert_allclose(found.sel(group=name), expected, atol=1e-12)


def test_a_chain_loses_all_and_an_inhibitor_is_missed_with_a_minus():
    W = np.zeros((5, 5))
    W[1, 0], W[2, 1], W[3, 2], W[3, 4] = 0.7, 0.5, 0.4, -0.3
    model = LinearNetwork(W, [0, 4], 3, tau=1.0, tanh_steepness=1.0, dtype=torch.float64)
    u = np.zeros((2, 3))
    u[0, 0], u[1, 2] = 0.8, 0.5
    found = ablation(model, u, lambda layers: layers[2][3], [1, 2, 4])
    whole = 0.8 * 0.7 * 0.5 * 0.4
    np.testing.assert_allclose(found[0], [whole, whole, -0.15], atol=1e-12)
    assert found["group"].values.tolist() == [1, 2, 4]


def test_some_layers_are_those_of_manipulate(W, u):
    model = build(W)
    found = ablation(model, u, objective, {"y": [5, 8]}, layers=[2])
    held = model(u, manipulate={2: {5: 0.0, 8: 0.0}}).permute(2, 1, 0)
    np.testing.assert_allclose(found[:, 0], of(model, u) - objective(held).numpy(), atol=1e-12)
    assert abs(found).max() > 1e-3


def test_held_at_the_mean_and_at_what_other_inputs_do(W, u, rng):
    model = build(W)
    mean = model(u).mean(0)
    other = rng.uniform(0, 0.8, size=(3, 5))
    for hold, reference in (("mean", mean), (other, model(other))):
        found = ablation(model, u, objective, {"y": [5]}, hold=hold)
        held = {layer: {5: reference[5, layer].item()} for layer in range(5)}
        lesioned = objective(model(u, manipulate=held).permute(2, 1, 0)).numpy()
        np.testing.assert_allclose(found[:, 0], of(model, u) - lesioned, atol=1e-12)
    sensors = ablation(model, u, objective, {"all": SENSORY}, hold=u[1], layers=None)
    np.testing.assert_allclose(sensors[:, 0], of(model, u) - of(model, u)[1], atol=1e-12)


def test_groups_of_the_network(W, u):
    model = build(W)
    found = ablation(model, u, objective)
    members = {name: [i for i in GROUPS if GROUPS[i] == name] for name in "abcd"}
    # As many runs side by side as lesions: sums of a product may round otherwise.
    np.testing.assert_allclose(found, ablation(model, u, objective, members), atol=1e-14)
    assert found["group"].values.tolist() == list("abcd")
    some = ablation(model, u, objective, ["c", "a"])
    np.testing.assert_allclose(some, found[:, [2, 0]], atol=1e-14)


def test_pairs_are_symmetric_and_hold_both(W, u):
    model = build(W)
    single = ablation(model, u, objective, HELD)
    found = ablation(model, u, objective, HELD, pairs=True)
    assert found.dims == ("sample", "group", "partner")
    np.testing.assert_array_equal(found, found.transpose("sample", "partner", "group"))
    np.testing.assert_allclose(np.diagonal(found, axis1=1, axis2=2), single, atol=1e-12)
    both = ablation(model, u, objective, {"xz": HELD["x"] + HELD["z"]})
    np.testing.assert_allclose(found.sel(group="x", partner="z"), both[:, 0], atol=1e-12)


def test_samples_and_chunks_do_not_matter(W, u):
    model = build(W)
    every = ablation(model, u, objective, HELD, pairs=True)
    alone = ablation(model, u[2], objective, HELD, pairs=True, chunk=2)
    np.testing.assert_allclose(every[2], alone[0], atol=1e-12)
    hidden = occlusion(model, u, objective, windows=[(0, 1), (1, 4)])
    alone = occlusion(model, u[2], objective, windows=[(0, 1), (1, 4)], chunk=1)
    np.testing.assert_allclose(hidden[2], alone[0], atol=1e-12)


def test_occlusion_is_the_loss_of_the_input(W, u):
    model = build(W)
    windows = [(0, 2), (1, 5)]
    groups = {"first": [4], "others": [9, 0, 3]}
    fill = np.linspace(0, 0.6, 15).reshape(3, 5)
    for shown in (0.0, 0.3, fill):
        found = occlusion(model, u, objective, groups, windows=windows, fill=shown)
        assert found.dims == ("sample", "group", "window")
        assert found["start"].values.tolist() == [0, 1]
        assert found["stop"].values.tolist() == [2, 5]
        for g, sensors in enumerate(([0], [2, 1])):
            for w, (start, stop) in enumerate(windows):
                hidden = u.copy()
                block = np.ix_(range(3), sensors, range(start, stop))
                hidden[block] = np.broadcast_to(shown, (3, 3, 5))[block]
                expected = of(model, u) - of(model, hidden)
                np.testing.assert_allclose(found[:, g, w], expected, atol=1e-12)
                assert abs(expected).max() > 1e-4


def test_occlusion_of_the_network_s_groups_that_have_sensors(W, u):
    found = occlusion(build(W), u, objective)
    assert found["group"].values.tolist() == ["a", "b"]  # 0 and 4; 9
    assert found.sizes["window"] == 1


def test_errors(W, u):
    model, plain = build(W), build(W, idx_to_group=None, bias_dict=None)
    with pytest.raises(ArgumentError, match=r"network has no groups; name some"):
        ablation(plain, u, objective)
    with pytest.raises(ArgumentError, match=r"group 'x' has no neurons"):
        ablation(model, u, objective, {"x": []})
    with pytest.raises(ArgumentError, match=r"groups are empty"):
        ablation(model, u, objective, [])
    with pytest.raises(ArgumentError, match=r"group 'x': neuron 12 is out of range"):
        ablation(model, u, objective, {"x": [1, 12]})
    with pytest.raises(ArgumentError, match=r"groups: 'q' is neither a group nor"):
        ablation(model, u, objective, ["q"])
    with pytest.raises(ArgumentError, match=r"hold is 'freeze', expected 'silence', 'mean'"):
        ablation(model, u, objective, hold="freeze")
    with pytest.raises(ArgumentError, match=r"layers are empty"):
        ablation(model, u, objective, layers=[])
    with pytest.raises(ArgumentError, match=r"layers 5 is out of range"):
        ablation(model, u, objective, layers=[5])
    with pytest.raises(ArgumentError, match=r"group 'c' has no sensory neurons"):
        occlusion(model, u, objective, ["c"])
    with pytest.raises(ArgumentError, match=r"windows has \(3, 6\), expected .* stop <= 5"):
        occlusion(model, u, objective, windows=[(3, 6)])
    with pytest.raises(ArgumentError, match=r"fill has shape \(3,\)"):
        occlusion(model, u, objective, fill=np.zeros(3))

"""The network with preset="current": its formulas, options, state and gradients."""

import copy
import math
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from networks import GROUPS, chain, divided, weights
from scipy import sparse

from ngpipe.connectome import LinearNetwork, MultilayeredNetwork, training_mode
from ngpipe.errors import ArgumentError

LinearNetwork = partial(LinearNetwork, preset="current")
MultilayeredNetwork = partial(MultilayeredNetwork, preset="current")

N, LAYERS = 12, 4
SENSORY = [3, 8, 1]
DIVISIVE = {"d": ["a", "b"]}
TAU = {"a": 1.0, "b": 3.0, "c": 0.4, "d": 10.0}


@pytest.fixture
def W(rng):
    found = weights(rng)
    for pre in range(N):
        for post in range(N):
            if GROUPS[pre] == "d" and GROUPS[post] in "ab":
                found[post, pre] = -abs(found[post, pre])
    return found


def loops(W, u, *, tau, bias, strength, slope=5.0, threshold=0.01, held=None):
    """Activities of one sample, neuron by neuron: leak, divisive sum, bounds on activity."""
    divides = [[GROUPS[j] == "d" and GROUPS[i] in "ab" for j in range(N)] for i in range(N)]

    def bounded(value):
        return 0.0 if value < threshold else min(value, 1.0)

    state = np.zeros(N)
    for k, neuron in enumerate(SENSORY):
        state[neuron] = bounded(u[k][0])
    layers = []
    for layer in range(LAYERS):
        after = np.zeros(N)
        for i in range(N):
            add = sum(W[i, j] * state[j] for j in range(N) if not divides[i][j])
            cut = sum(W[i, j] * strength * state[j] for j in range(N) if divides[i][j])
            z = slope * max(0.0, 1 + cut) * add + bias[GROUPS[i]]
            y = math.tanh(z) if z >= threshold else 0.0
            t = max(tau[GROUPS[i]], 1.0)
            after[i] = y / t + (1 - 1 / t) * state[i]
        if layer < LAYERS - 1:
            for k, neuron in enumerate(SENSORY):
                after[neuron] = bounded(after[neuron] + u[k][layer + 1])
        for neuron, value in (held or {}).get(layer, {}).items():
            after[neuron] = value
        state = after
        layers.append(state)
    return np.stack(layers, axis=1)


def network(W, **options):
    defaults = {
        "idx_to_group": GROUPS,
        "bias_dict": {"a": -0.05, "b": 0.1},
        "tau_dict": TAU,
        "divisive_normalization": DIVISIVE,
        "divisive_strength": 2.0,
        "dtype": torch.float64,
    }
    return MultilayeredNetwork(W.astype(np.float64), SENSORY, LAYERS, **(defaults | options))


OF_LOOPS = {"tau": TAU, "bias": {"a": -0.05, "b": 0.1, "c": 0, "d": 0}, "strength": 2.0}


def test_formulas_with_leak_signed_bias_and_divisive_sum(W, rng):
    u = rng.uniform(-0.5, 1.5, size=(3, 3, LAYERS))
    expected = np.stack([loops(W, sample, **OF_LOOPS) for sample in u])
    np.testing.assert_allclose(network(W)(u).detach(), expected, atol=1e-12)
    single = network(W, dtype=torch.float32)(u[1]).detach()
    np.testing.assert_allclose(single, expected[1], atol=1e-6)


def test_negative_input_inhibits(W, rng):
    u = rng.uniform(0.3, 0.6, size=(3, LAYERS))
    less = u.copy()
    less[0, 1] = -1.0
    out, with_less = network(W)(u), network(W)(less)
    assert with_less[SENSORY[0], 0] == 0.0
    assert out[SENSORY[0], 0] > 0.3


def test_seed_and_current_agree_without_leak_and_within_bounds(W, rng):
    u = rng.uniform(0.01, 0.3, size=(2, 3, LAYERS))
    late = MultilayeredNetwork(0.1 * W, SENSORY, LAYERS, tau=1.0)
    early = MultilayeredNetwork(0.1 * W, SENSORY, LAYERS, preset="seed")
    np.testing.assert_allclose(late(u), early(u), atol=1e-6)


def test_the_default_leak_is_ten_steps(W, rng):
    u = rng.random((3, LAYERS))
    assert MultilayeredNetwork(W, SENSORY).effective_tau == 10.0
    assert torch.equal(
        MultilayeredNetwork(W, SENSORY, LAYERS)(u),
        MultilayeredNetwork(W, SENSORY, LAYERS, tau=10.0)(u),
    )


def test_effective_tau_is_at_least_one_and_can_rise_again(W):
    model = network(W)
    assert model.effective_tau.tolist() == [1.0, 3.0, 1.0, 10.0]
    model.set_param_grads(tau=True)
    model(torch.rand(3, LAYERS, generator=torch.Generator().manual_seed(0))).sum().backward()
    assert model.tau_param.grad[2] != 0


def test_an_arrow_points_from_pre_to_post():
    model = MultilayeredNetwork(chain(0.5, 0.5), [0], 2, tau=1.0)
    out = model(np.array([[1.0, 0.0]]))
    assert out[:, 0].tolist() == pytest.approx([0, math.tanh(2.5), 0])
    assert out[2, 1] > 0


def test_linear_network_is_affine(W, rng):
    model = LinearNetwork(W, SENSORY, LAYERS, dtype=torch.float64, tau=2.0)
    u, v = rng.normal(size=(2, 3, LAYERS))
    np.testing.assert_allclose(model(3 * u - 2 * v), 3 * model(u) - 2 * model(v), atol=1e-12)
    assert (model(100 * u).abs() > 1).any()


def test_manipulated_neurons_are_held(W, rng):
    u = rng.uniform(0, 1, size=(2, 3, LAYERS))
    held = {1: {5: 0.8, 0: 0.0}, 3: {2: 1.0}}
    expected = np.stack([loops(W, sample, **OF_LOOPS, held=held) for sample in u])
    np.testing.assert_allclose(network(W)(u, manipulate=held), expected, atol=1e-12)
    of_group = {i: 0.5 for i in range(N) if GROUPS[i] == "b"}
    expected = np.stack(
        [loops(W, u[0], **OF_LOOPS), loops(W, u[1], **OF_LOOPS, held={0: of_group})]
    )
    np.testing.assert_allclose(network(W)(u, manipulate={1: {0: {"b": 0.5}}}), expected, atol=1e-12)


def test_layer_list(W, rng):
    u = rng.random((2, 3, LAYERS))
    layers = network(W)(u, return_layer_list=True)
    assert torch.equal(torch.stack(layers).permute(2, 1, 0), network(W)(u))
    assert network(W)(u[0], return_layer_list=True)[0].shape == (N, 1)


@pytest.mark.parametrize("steps", [1, 3, 10])
def test_checkpoints_change_nothing(W, rng, steps):
    u = torch.tensor(rng.random((2, 3, LAYERS)), requires_grad=True)
    model = network(W)
    with training_mode(model, train_tau=True):
        trained = [u, *model.parameters()]
        plain = torch.autograd.grad(model(u).square().sum(), trained)
        saved = torch.autograd.grad(model(u, checkpoint_steps=steps).square().sum(), trained)
    for a, b in zip(plain, saved, strict=True):
        torch.testing.assert_close(a, b)


def test_custom_response_of_network_drive_and_state(W, rng):
    def respond(self, x, x_previous=None):
        assert self.n_neurons == N
        return 0.5 * x + x_previous

    model = LinearNetwork(W, SENSORY, 1, activation_function=respond)
    u = rng.random((3, 1))
    state = np.zeros(N)
    state[SENSORY] = u[:, 0]
    np.testing.assert_allclose(model(u)[:, 0], 0.5 * W @ state + state, atol=1e-6)


@pytest.mark.quick(1)
@pytest.mark.filterwarnings("ignore::ngpipe.errors.DoubtfulWarning")
@pytest.mark.parametrize("combine", ["seed", "current"])
def test_gradients_agree_with_finite_differences(W, rng, combine):
    taus = {"a": 2.0, "b": 3.0, "c": 4.0, "d": 10.0}  # inside the bound of 1
    model = network(W, preset=combine, threshold=-10.0, tau_dict=taus)
    u = torch.tensor(rng.uniform(0.05, 0.2, size=(2, 3, LAYERS)), requires_grad=True)
    with training_mode(model, train_tau=True):
        parameters = [model.slope, model.raw_biases, model.divisive_strength]
        parameters.append(model.tau_param)

        def of(u, *_):
            return model(u)

        assert torch.autograd.gradcheck(of, (u, *parameters), atol=1e-6)


@pytest.mark.slow
def test_second_derivatives(W, rng):
    model = network(W, threshold=-10.0)
    u = torch.tensor(rng.uniform(0.05, 0.2, size=(1, 3, LAYERS)), requires_grad=True)
    assert torch.autograd.gradgradcheck(model, (u,), atol=1e-6)


def test_divisive_gradient_where_a_factor_is_zero():
    W, options = divided()
    W[2, 1] = -1.0
    model = MultilayeredNetwork(
        W, [0, 1], 1, **options, preset="seed", dtype=torch.float64, threshold=0.0
    )
    u = torch.tensor([[[0.5], [1.0]]], dtype=torch.float64, requires_grad=True)
    model(u).sum().backward()
    assert torch.isfinite(u.grad).all()


def test_state_round_trip(W, rng, tmp_path):
    model = network(W)
    with torch.no_grad():
        model.slope += torch.tensor(rng.random(4))
    torch.save(model.state_dict(), tmp_path / "network.pt")
    other = network(W)
    other.load_state_dict(torch.load(tmp_path / "network.pt"))
    u = rng.random((3, LAYERS))
    assert torch.equal(other(u), model(u))
    assert not torch.equal(network(W)(u), model(u))
    in_single = network(W, dtype=torch.float32)
    in_single.load_state_dict(model.state_dict())


@pytest.mark.parametrize("changed", ["weights", "sensory", "names", "divisive"])
def test_state_of_another_connectome_is_refused(W, rng, changed):
    model = network(W)
    other = {
        "weights": lambda: network(W * 1.01),
        "sensory": lambda: MultilayeredNetwork(W, SENSORY[::-1], LAYERS, idx_to_group=GROUPS),
        "names": lambda: network(
            W,
            idx_to_group={i: name.upper() for i, name in GROUPS.items()},
            bias_dict=None,
            tau_dict=None,
            divisive_normalization={"D": ["A", "B"]},
        ),
        "divisive": lambda: network(W, divisive_normalization=None),
    }[changed]()
    before = copy.deepcopy(model.state_dict())
    with pytest.raises(ArgumentError, match="another connectome"):
        model.load_state_dict(other.state_dict())
    assert all(torch.equal(before[key], value) for key, value in model.state_dict().items())


def test_a_damaged_state_is_refused(W):
    state = copy.deepcopy(network(W).state_dict())
    state["w_values"][3] += 0.1
    with pytest.raises(ArgumentError, match="its weights"):
        network(W).load_state_dict(state)


def test_everything_moves_with_the_network(W, rng):
    u = rng.random((3, LAYERS))
    model = network(W, dtype=torch.float32)
    np.testing.assert_allclose(model.to(torch.float64)(u), network(W)(u), atol=1e-6)
    assert not [
        name for name, value in vars(model).items()
        if isinstance(value, torch.Tensor) and name != "activations"
    ]  # fmt: skip


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_the_same_on_cuda(W, rng):
    u = rng.random((2, 3, LAYERS))
    out = network(W, device="cuda")(u)
    assert out.is_cuda
    np.testing.assert_allclose(out.cpu(), network(W, device="cpu")(u), atol=1e-10)


def test_samples_do_not_know_of_one_another(W, rng):
    u = rng.random((5, 3, LAYERS))
    together = network(W)(u)
    for k, sample in enumerate(u):
        np.testing.assert_allclose(network(W)(sample), together[k], atol=1e-14)


def test_a_network_can_be_copied_after_a_forward_with_gradient(W, rng):
    model = network(W)
    model(torch.tensor(rng.random((3, LAYERS)), requires_grad=True))
    copy.deepcopy(model)
    assert model.activations.shape == (N, LAYERS)


def test_training_mode_restores_what_was(W):
    model = network(W)
    model.slope.requires_grad_(True)
    with training_mode(model, train_slopes=False):
        assert not model.slope.requires_grad
        assert model.raw_biases.requires_grad
        assert not model.tau_param.requires_grad
    assert model.slope.requires_grad
    assert not model.raw_biases.requires_grad


def test_attributes_of_existing_scripts(W):
    model = network(W)
    dense = model.all_weights.to_dense().numpy()
    post, pre = model.divnorm_indices.numpy()
    assert (dense[post, pre] == 0).all()
    dense[post, pre] = model.divnorm_weights.numpy()
    np.testing.assert_allclose(dense, W)
    assert model.divisive_strength.tolist() == [2.0]
    assert model.indices.tolist() == [i % 4 for i in range(N)]
    slopes = torch.full((N, 1), 2.0, dtype=torch.float64)
    x = torch.ones(N, 1, dtype=torch.float64)
    assert model.divnorm(slopes, x).min() < 2.0
    assert torch.equal(MultilayeredNetwork(W, SENSORY).divnorm(slopes, x), slopes)


def test_a_connectome_is_taken_as_it_is(W, rng):
    from ngpipe.connectome import activations_to_df, add_sign
    from ngpipe.wiring.container import Connectome

    neurons = pd.DataFrame({"id": range(N)})
    connectome = Connectome(sparse.csr_array(W), neurons)
    u = rng.random((3, LAYERS))
    out = MultilayeredNetwork(connectome, SENSORY, LAYERS)(u)
    torch.testing.assert_close(out, MultilayeredNetwork(W, SENSORY, LAYERS)(u))
    assert add_sign(connectome, {}).toarray() == pytest.approx(W, abs=1e-6)
    table = activations_to_df(connectome, u, out, SENSORY)
    first = table.iloc[0]
    assert first["weight"] == pytest.approx(W[int(first["post"]), int(first["pre"])], abs=1e-6)

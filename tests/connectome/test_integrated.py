"""Attribution along paths: complete through jumps, equal to formulas where these are known."""

from functools import partial

import numpy as np
import pytest
import torch
from networks import GROUPS, chain, dale, weights

from ngpipe.connectome import (
    LinearNetwork,
    MultilayeredNetwork,
    conductance,
    integrated_gradients,
)
from ngpipe.errors import ArgumentError, ArgumentTypeError, DivergenceError

pytestmark = pytest.mark.filterwarnings("ignore::ngpipe.errors.DoubtfulWarning")

LinearNetwork = partial(LinearNetwork, preset="current")
MultilayeredNetwork = partial(MultilayeredNetwork, preset="current")

pytestmark = pytest.mark.filterwarnings("ignore::ngpipe.errors.DoubtfulWarning")
SENSORY = [4, 0, 9]
DIVIDED = {"divisive_normalization": {"b": ["c", "d"]}}
NETWORKS = {
    "leaky": {},
    "instant": {"tau": 1.0},
    "seed": {"preset": "seed"},
    "high threshold": {"tau": 1.0, "threshold": 0.1},
    "divided": {"tau": 2.0, **DIVIDED},
}


def build(rng, dtype=torch.float64, layers=5, **options):
    W = dale(rng)
    options = {"bias_dict": {"a": 0.05, "c": -0.02}, "idx_to_group": GROUPS} | options
    return MultilayeredNetwork(W, SENSORY, layers, dtype=dtype, **options)


def at_end(layers):
    """Linear: two neurons in the last two layers."""
    return sum(2 * x[6] - x[7] for x in layers[-2:])


def curved(layers):
    return layers[-1][6].square() + torch.tanh(3 * layers[-2][5]) * layers[-1][8]


@pytest.fixture
def u(rng):
    return rng.uniform(0, 0.8, size=(3, 3, 5))


@pytest.mark.quick(2)
@pytest.mark.parametrize("name", NETWORKS)
@pytest.mark.parametrize("steps", [1, 7, 64])
def test_complete_through_jumps_for_any_number_of_steps(rng, u, name, steps):
    model = build(rng, **NETWORKS[name])
    found = integrated_gradients(model, u, at_end, steps=steps)
    np.testing.assert_allclose(found["delta"], 0, atol=1e-12)
    out, zero = model(u), model(np.zeros_like(u))
    change = (2 * (out - zero)[:, 6, -2:] - (out - zero)[:, 7, -2:]).sum(1)
    assert abs(change).max() > 1e-2
    np.testing.assert_allclose(found["attribution"].sum(("sensor", "time")), change, atol=1e-12)
    np.testing.assert_allclose(found["objective"] - found["baseline_objective"], change)


def test_gradients_leave_jumps_out_and_chords_do_not(rng, u):
    model = build(rng, tau=1.0, threshold=0.1)
    missed = [
        np.abs(integrated_gradients(model, u, at_end, steps=n, rule="gradients")["delta"]).max()
        for n in (32, 512)
    ]
    assert min(missed) > 0.1
    smooth = build(rng, tau=1.0, threshold=-9.0, tanh_steepness=0.5)
    found = {
        rule: integrated_gradients(smooth, u / 2, at_end, steps=24, rule=rule)
        for rule in ("chords", "gradients")
    }
    assert abs(found["gradients"]["delta"]).max() < 1e-10
    np.testing.assert_allclose(
        found["chords"]["attribution"], found["gradients"]["attribution"], atol=1e-4
    )


@pytest.mark.slow
def test_the_jump_of_one_synapse_belongs_to_its_input():
    """y = tanh(5 z) where 5 z >= 0.3: on the way the response jumps once, and all is due to u."""
    model = MultilayeredNetwork(
        chain(0.5), [0], 1, tau=1.0, threshold=0.3, dtype=torch.float64, preset="seed"
    )
    u = np.full((1, 1), 0.8)
    found = integrated_gradients(model, u, lambda layers: layers[0][1], steps=10)
    assert found["attribution"].item() == pytest.approx(np.tanh(2.0), abs=1e-12)
    smooth = integrated_gradients(
        model, u, lambda layers: layers[0][1], steps=2000, rule="gradients"
    )
    # held below 0.3, the input itself jumps: from there on the response is smooth
    expected = np.tanh(2.0) - np.tanh(5 * 0.5 * 0.3)
    assert smooth["attribution"].item() == pytest.approx(expected, abs=2e-3)


def test_two_inputs_share_a_jump_by_what_they_drive():
    W = np.zeros((3, 3))
    W[2, 0], W[2, 1] = 0.3, 0.1
    model = MultilayeredNetwork(
        W, [0, 1], 1, tau=1.0, threshold=0.0, tanh_steepness=1.0, dtype=torch.float64
    )
    found = integrated_gradients(model, np.array([[0.5], [0.9]]), lambda x: x[0][2], steps=4)
    total = np.tanh(0.3 * 0.5 + 0.1 * 0.9)
    np.testing.assert_allclose(
        found["attribution"].values.ravel(), total * np.array([0.15, 0.09]) / 0.24, rtol=1e-12
    )


@pytest.mark.parametrize("rule", ["chords", "gradients"])
def test_of_a_linear_network_it_is_the_gradient_times_the_input(rng, u, rule):
    model = LinearNetwork(weights(rng), SENSORY, 5, tau=2.0, dtype=torch.float64)
    reference = rng.normal(size=(3, 5))
    found = integrated_gradients(model, u, at_end, baseline=reference, steps=3, rule=rule, chunk=2)
    v = torch.tensor(u, requires_grad=True)
    at_end(model.run(v)).sum().backward()
    np.testing.assert_allclose(found["attribution"], v.grad.numpy() * (u - reference), atol=1e-12)
    np.testing.assert_allclose(found["delta"], 0, atol=1e-12)


@pytest.mark.quick(1)
@pytest.mark.parametrize("name", NETWORKS)
def test_delta_of_a_curved_objective_vanishes(rng, u, name):
    found = integrated_gradients(build(rng, **NETWORKS[name]), u, curved, steps=256)
    np.testing.assert_allclose(found["delta"], 0, atol=1e-4)


@pytest.mark.slow
def test_divisive_products_converge(rng, u):
    model = build(rng, preset="seed", **DIVIDED, threshold=0.0)
    u = 0.2 + u / 4
    few, many = (
        float(abs(integrated_gradients(model, u, at_end, steps=n)["delta"]).max())
        for n in (32, 512)
    )
    assert many < max(few / 4, 1e-9)


@pytest.mark.quick(1)
@pytest.mark.parametrize("rule", ["chords", "gradients"])
def test_responses_of_one_s_own_converge(rng, u, rule):
    model = MultilayeredNetwork(
        dale(rng), SENSORY, 5, threshold=0.0, dtype=torch.float64, activation_function=torch.sigmoid
    )
    few, many = (
        float(abs(integrated_gradients(model, u / 4, at_end, steps=n, rule=rule)["delta"]).max())
        for n in (20, 200)
    )
    assert many < max(few / 5, 1e-9)


def test_a_sensor_without_influence_gets_nothing(rng, u):
    W = weights(rng)
    W[:, 9] = 0
    model = MultilayeredNetwork(W, SENSORY, 5, dtype=torch.float64, tau=1.0)
    found = integrated_gradients(model, u, at_end)["attribution"]
    assert (found.sel(sensor=2) == 0).all()
    assert (found.isel(time=0) != 0).any()
    late = integrated_gradients(model, u, lambda layers: layers[1][6])["attribution"]
    assert (late.isel(time=slice(3, None)) == 0).all()


def test_samples_and_chunks_do_not_matter(rng, u):
    model = build(rng, tau=1.0)
    every = integrated_gradients(model, u, at_end, steps=10)
    alone = integrated_gradients(model, u[1], at_end, steps=10, chunk=3)
    np.testing.assert_allclose(every["attribution"][1], alone["attribution"][0], atol=1e-12)
    through = conductance(model, u, at_end, steps=10)
    one = conductance(model, u[1], at_end, steps=10, chunk=4)
    np.testing.assert_allclose(through[1], one[0], atol=1e-12)


def test_objectives_that_know_their_samples(rng, u):
    model = build(rng)
    factor = torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64)
    plain = integrated_gradients(model, u, at_end, steps=5)["attribution"]
    own = integrated_gradients(model, u, lambda x: factor * at_end(x), steps=5)["attribution"]
    np.testing.assert_allclose(own, plain * factor.numpy()[:, None, None], atol=1e-12)


def test_several_baselines_are_averaged(rng, u):
    model = build(rng)
    references = rng.uniform(0, 0.5, size=(2, 3, 5))
    both = integrated_gradients(model, u, at_end, baseline=references, steps=9)
    single = [integrated_gradients(model, u, at_end, baseline=b, steps=9) for b in references]
    mean = (single[0] + single[1]) / 2
    np.testing.assert_allclose(both["attribution"], mean["attribution"], atol=1e-12)
    np.testing.assert_allclose(both["baseline_objective"], mean["baseline_objective"])
    np.testing.assert_allclose(both["delta"], 0, atol=1e-12)


def test_single_precision(rng, u):
    exact, rough = (
        build(np.random.default_rng(3), dtype=d) for d in (torch.float64, torch.float32)
    )
    found = integrated_gradients(rough, u, at_end)
    assert found["attribution"].dtype == np.float32
    scale = float(abs(found["objective"]).max())
    np.testing.assert_allclose(found["delta"], 0, atol=1e-5 * scale)
    expected = integrated_gradients(exact, u, at_end)["attribution"]
    np.testing.assert_allclose(found["attribution"], expected, atol=1e-3 * scale)


@pytest.mark.quick(2)
@pytest.mark.parametrize("name", NETWORKS)
def test_what_passes_through_a_layer_is_the_whole(rng, u, name):
    model = build(rng, **NETWORKS[name])
    through = conductance(model, u, at_end, steps=16)
    by_input = integrated_gradients(model, u, at_end, steps=16)
    change = by_input["objective"] - by_input["baseline_objective"]
    for layer in range(4):  # all but the last, as the objective reads two layers
        later = by_input["attribution"].isel(time=slice(layer + 2, None)).sum(("sensor", "time"))
        total = through.isel(layer=layer).sum("neuron") + later
        np.testing.assert_allclose(total, change, atol=1e-11)
    last = through.isel(layer=4)
    assert set(np.flatnonzero(abs(last).sum("sample"))) <= {6, 7}


def test_conductance_of_a_chain_is_the_activity_times_what_follows():
    model = LinearNetwork(chain(0.7, 0.5), [0], 2, tau=1.0, tanh_steepness=1.0)
    through = conductance(model, np.full((1, 2), 0.8), lambda layers: layers[1][2], steps=1)
    expected = [[0, 0.28, 0], [0, 0, 0.28]]
    np.testing.assert_allclose(through[0], expected, atol=1e-7)


def test_axes_are_named(rng, u):
    model = build(rng)
    found = integrated_gradients(model, u, at_end, steps=2)
    assert found["attribution"].dims == ("sample", "sensor", "time")
    assert found["neuron"].values.tolist() == SENSORY
    assert found["group"].values.tolist() == [GROUPS[i] for i in SENSORY]
    assert found["time"].values.tolist() == list(range(5))
    assert {v.attrs["units"] for v in found.data_vars.values()} == {"1"}
    through = conductance(model, u, at_end, steps=2)
    assert through.dims == ("sample", "layer", "neuron")
    assert through["group"].values.tolist() == [GROUPS[i] for i in range(12)]


def test_an_objective_that_depends_on_nothing_gives_zeros(rng, u):
    model = build(rng)
    found = integrated_gradients(model, u, lambda layers: torch.ones(3, dtype=torch.float64))
    assert not found["attribution"].any()


def test_nothing_is_left_behind(rng, u):
    model = build(rng)
    model.set_param_grads(slopes=True)
    v = torch.tensor(u, requires_grad=True)
    integrated_gradients(model, v, at_end, steps=2)
    assert model.slope.grad is None
    assert v.grad is None


def test_errors(rng, u):
    model = build(rng)
    with pytest.raises(ArgumentError, match=r"rule is 'riemann', expected one of"):
        integrated_gradients(model, u, at_end, rule="riemann")
    with pytest.raises(ArgumentError, match=r"steps is 0, expected at least 1"):
        integrated_gradients(model, u, at_end, steps=0)
    with pytest.raises(ArgumentError, match=r"chunk is 0, expected at least 1"):
        integrated_gradients(model, u, at_end, chunk=0)
    with pytest.raises(ArgumentError, match=r"baseline has shape .*6.*expected .*3, 5"):
        integrated_gradients(model, u, at_end, baseline=np.zeros((3, 6)))
    with pytest.raises(ArgumentError, match=r"objective returned shape \(\), expected \(3,\)"):
        integrated_gradients(model, u, lambda layers: layers[0].sum())
    with pytest.raises(ArgumentTypeError, match=r"objective returned a float"):
        integrated_gradients(model, u, lambda layers: 1.0)
    with pytest.raises(DivergenceError, match=r"objective of sample 1 is nan"):
        bad = torch.tensor([0.0, torch.nan, 0.0])
        integrated_gradients(model, u, lambda layers: bad)

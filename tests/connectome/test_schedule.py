"""Schedules: against loops, against a connectome without edges, and against held activities."""

import math
import re
from functools import partial

import numpy as np
import pytest
import torch
from networks import GROUPS, chain, weights

from ngpipe.connectome import LinearNetwork, MultilayeredNetwork
from ngpipe.connectome.schedule import Schedule, activate, clamp, silence
from ngpipe.errors import ArgumentError

LinearNetwork = partial(LinearNetwork, preset="current")
MultilayeredNetwork = partial(MultilayeredNetwork, preset="current")

N, LAYERS, SAMPLES, TAU, THRESHOLD, SLOPE = 12, 5, 3, 2.0, 0.05, 1.5
SENSORY = [3, 8, 1]


@pytest.fixture
def W(rng):
    return weights(rng)


@pytest.fixture
def u(rng):
    return rng.uniform(-0.3, 1.2, size=(SAMPLES, len(SENSORY), LAYERS))


def network(W, kind=MultilayeredNetwork, **options):
    options = {"tau": TAU, "idx_to_group": GROUPS, "dtype": torch.float64, **options}
    return kind(W, SENSORY, LAYERS, THRESHOLD, SLOPE, **options)


def bounded(value):
    return 0.0 if value < THRESHOLD else min(value, 1.0)


def loops(W, u, added, held):
    """One sample; added and held are ``{layer: {neuron: activity}}``, layer -1 before the first."""

    def changed(state, layer):
        if layer < LAYERS - 1:
            for k, neuron in enumerate(SENSORY):
                state[neuron] = bounded(state[neuron] + u[k][layer + 1])
        for neuron, amount in added.get(layer, {}).items():
            state[neuron] = bounded(state[neuron] + amount)
        for neuron, activity in held.get(layer, {}).items():
            state[neuron] = activity
        return state

    state, layers = changed([0.0] * N, -1), []
    for layer in range(LAYERS):
        after = []
        for i in range(N):
            z = SLOPE * sum(W[i, j] * state[j] for j in range(N))
            after.append((math.tanh(z) if z >= THRESHOLD else 0) / TAU + (1 - 1 / TAU) * state[i])
        state = changed(after, layer)
        layers.append(list(state))
    return np.array(layers).T


ALWAYS = range(-1, LAYERS)
B = [1, 5, 9]
CASES = {
    "silence a group throughout": (silence("b"), {}, {k: dict.fromkeys(B, 0.0) for k in ALWAYS}),
    "silence a sensory neuron in one layer": (silence(3, 2), {}, {2: {3: 0.0}}),
    "clamp in some layers": (
        clamp([3, 5], 0.7, range(1, 3)), {}, {k: {3: 0.7, 5: 0.7} for k in (1, 2)},
    ),
    "activate throughout": (activate("b", 0.3), {k: dict.fromkeys(B, 0.3) for k in ALWAYS}, {}),
    "inhibit": (activate([3, 4], -0.2, [0, 3]), {k: {3: -0.2, 4: -0.2} for k in (0, 3)}, {}),
    "amounts add up": (
        activate(4, 0.3, 1) + activate("a", 0.2, 1), {1: {0: 0.2, 4: 0.5, 8: 0.2}}, {},
    ),
    "the later value counts": (clamp("b", 0.4, 1) + clamp(5, 0.9, 1), {},
                               {1: {1: 0.4, 5: 0.9, 9: 0.4}}),
    "what is held is held": (
        clamp(5, 0.5, [1, 2]) + activate("b", 0.3, 1),
        {1: {1: 0.3, 9: 0.3}}, {1: {5: 0.5}, 2: {5: 0.5}},
    ),
}  # fmt: skip


@pytest.mark.quick
@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("every", [None, 2])
def test_against_loops(W, u, case, every):
    schedule, added, held = CASES[case]
    expected = np.stack([loops(W, sample, added, held) for sample in u])
    free = np.stack([loops(W, sample, {}, {}) for sample in u])
    assert np.abs(expected - free).max() > 0.05
    out = network(W)(u, manipulate=schedule, checkpoint_steps=every)
    np.testing.assert_allclose(out, expected, atol=1e-12)


@pytest.mark.quick
@pytest.mark.parametrize("who", [4, "b", [0, 3, 8, 1]])
@pytest.mark.parametrize("kind", [MultilayeredNetwork, LinearNetwork])
@pytest.mark.parametrize("preset", ["current", "seed"])
def test_silencing_throughout_is_removing_outgoing_edges(W, u, who, kind, preset):
    silenced = {4: [4], "b": B}.get(who, who) if not isinstance(who, list) else who
    without = W.copy()
    without[:, silenced] = 0.0
    others = [i for i in range(N) if i not in silenced]
    options = {"kind": kind, "preset": preset}
    out = network(W, **options)(u, manipulate=silence(who))
    np.testing.assert_allclose(
        out[:, others], network(without, **options)(u)[:, others], atol=1e-12
    )
    assert (out[:, silenced] == 0).all()
    assert (network(W, **options)(u) - out)[:, others].abs().max() > 0.01


def test_a_schedule_that_holds_is_manipulate(W, u):
    model = network(W)
    held = {1: {"b": 0.5, 3: 0.1}, 2: {0: 0.9}}
    schedule = clamp("b", 0.5, 1) + clamp(3, 0.1, 1) + clamp(0, 0.9, 2)
    assert torch.equal(model(u, manipulate=held), model(u, manipulate=schedule))
    by_sample = {2: held}
    schedule = clamp("b", 0.5, 1, 2) + clamp(3, 0.1, 1, 2) + clamp(0, 0.9, 2, 2)
    assert torch.equal(model(u, manipulate=by_sample), model(u, manipulate=schedule))


def test_samples_are_told_apart_and_repeated(W, u):
    model = network(W)
    schedule = silence("b", samples=[0, 2]) + activate(0, 0.4, 1, samples=1)
    out = model(u, manipulate=schedule)
    expected = [
        model(u[0], silence("b")),
        model(u[1], activate(0, 0.4, 1)),
        model(u[2], silence("b")),
    ]
    torch.testing.assert_close(out, torch.stack(expected))
    twice = model.run(torch.tensor(np.concatenate([u, u])), model.changes(schedule, SAMPLES, 2))
    torch.testing.assert_close(torch.stack(twice).permute(2, 1, 0), torch.cat([out, out]))


def test_bounds_after_activation_are_those_of_the_network(W, u):
    strong = activate([0, 3], 5.0)
    assert network(W)(u, manipulate=strong)[:, [0, 3]].unique().tolist() == [1.0]
    assert network(W, preset="seed")(u, manipulate=strong)[:, [0, 3]].unique().tolist() == [1.0]
    assert (network(W, LinearNetwork)(u, manipulate=strong)[:, [0, 3]] > 2).all()
    weak = activate(2, 0.9 * THRESHOLD, 0)
    silent = np.zeros_like(u)
    assert network(W)(silent, manipulate=weak)[:, 2, 0].tolist() == [0.0] * SAMPLES


def test_gradients_stop_at_what_is_held_and_pass_what_is_added():
    model = MultilayeredNetwork(chain(0.3, 0.3), [0], 2, tau=1.0)
    for schedule, passes in ((clamp(1, 0.5), False), (activate(1, 0.1), True)):
        u = torch.full((1, 2), 0.4, requires_grad=True)
        model(u, manipulate=schedule)[2, 1].backward()
        assert (u.grad[0, 0] != 0) == passes


def test_nothing_is_done_by_an_empty_schedule(W, u):
    assert torch.equal(network(W)(u, manipulate=Schedule()), network(W)(u))


@pytest.mark.parametrize(
    ("schedule", "message"),
    [
        (silence("z"), "schedule: 'z' is neither a group nor the index"),
        (silence([0, 12]), "schedule: 12 is out of range: expected 0 to 11"),
        (silence([]), "schedule: no neurons"),
        (clamp(0, 0.5, 5), "schedule: layer 5 is out of range: expected 0 to 4"),
        (clamp(0, 0.5, -1), "schedule: layer -1 is out of range"),
        (activate(0, 0.5, samples=3), "schedule: sample 3 is out of range: expected 0 to 2"),
    ],
)
def test_mistakes_are_named(W, u, schedule, message):
    with pytest.raises(ArgumentError, match=re.escape(message)):
        network(W)(u, manipulate=schedule)


def test_activity_must_be_finite():
    with pytest.raises(ArgumentError, match="activity of 'b' is nan, expected a finite number"):
        clamp("b", float("nan"))

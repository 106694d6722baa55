"""Penalties: their formulas as loops, sample by sample, and gradients that are finite."""

import math
from functools import partial

import numpy as np
import pytest
import torch
from networks import GROUPS, weights

from ngpipe.connectome import MultilayeredNetwork
from ngpipe.connectome.optimisation.penalties import group_sparsity, l1, l2, smoothness
from ngpipe.errors import ArgumentError

MultilayeredNetwork = partial(MultilayeredNetwork, preset="current")

SENSORS, LAYERS, SAMPLES = [8, 3, 1, 0, 2], 4, 3  # groups a, d, b, a, c


@pytest.fixture
def network(rng):
    return MultilayeredNetwork(
        weights(rng), SENSORS, LAYERS, idx_to_group=GROUPS, tau=2.0, dtype=torch.float64
    )


@pytest.fixture
def u(rng):
    return torch.tensor(rng.uniform(-0.5, 1, (SAMPLES, len(SENSORS), LAYERS)))


@pytest.fixture
def layers(rng):
    return list(torch.tensor(rng.random((LAYERS, 12, SAMPLES))))


def loops(kind, rows, of_row):
    """One sample, ``(row, time)``."""
    n, times = rows.shape
    if kind is l1:
        return sum(abs(rows[i, t]) for i in range(n) for t in range(times))
    if kind is l2:
        return math.sqrt(sum(rows[i, t] ** 2 for i in range(n) for t in range(times)))
    if kind is smoothness:
        return sum((rows[i, t + 1] - rows[i, t]) ** 2 for i in range(n) for t in range(times - 1))
    total = 0.0
    for group in set(of_row):
        members = [i for i in range(n) if of_row[i] == group]
        energy = sum(rows[i, t] ** 2 for i in members for t in range(times))
        total += math.sqrt(len(members) * energy)
    return total


@pytest.mark.parametrize("of", ["stimulus", "activity"])
@pytest.mark.parametrize("kind", [l1, l2, smoothness, group_sparsity])
def test_formulas(network, u, layers, kind, of):
    penalty = group_sparsity(network, of) if kind is group_sparsity else kind(of)
    rows = u if of == "stimulus" else torch.stack(layers).permute(2, 1, 0)
    names = [GROUPS[i] for i in (SENSORS if of == "stimulus" else range(12))]
    expected = [loops(kind, sample.numpy(), names) for sample in rows]
    assert np.ptp(expected) > 0.01
    np.testing.assert_allclose(penalty(u, layers), expected, rtol=1e-12)
    alone = penalty(u[1:2], [x[:, 1:2] for x in layers])
    assert float(alone[0]) == pytest.approx(expected[1], rel=1e-12)


def test_weights_and_sums(u, layers):

    def mine(stimulus, layers):
        return stimulus.amax((1, 2))

    penalty = 0.1 * l1() + 2 * smoothness("activity") - 0.5 * l2() + mine
    expected = (
        0.1 * l1()(u, layers)
        + 2 * smoothness("activity")(u, layers)
        - 0.5 * l2()(u, layers)
        + u.amax((1, 2))
    )
    torch.testing.assert_close(penalty(u, layers), expected)
    assert repr(penalty) == (
        "Penalty(0.1 * L1 of stimulus + 2 * roughness in time of activity - "
        "0.5 * L2 of stimulus + mine)"
    )


def test_what_is_constant_is_smooth_and_one_time_has_no_roughness(u):
    constant = u[:, :, :1].expand(-1, -1, LAYERS)
    assert smoothness()(constant, []).tolist() == [0.0] * SAMPLES
    assert smoothness()(u[:, :, :1], []).tolist() == [0.0] * SAMPLES


def test_group_sparsity_prefers_few_groups(network):
    one, spread = torch.zeros(2, 1, len(SENSORS), LAYERS, dtype=torch.float64)
    one[0, [0, 3]] = 0.5  # both sensors of a
    spread[0, [0, 1]] = 0.5  # one of a, one of d
    sparsity = group_sparsity(network)
    assert l1()(one, []) == l1()(spread, [])
    assert sparsity(one, []) < sparsity(spread, [])


@pytest.mark.parametrize("kind", [l1, l2, smoothness, group_sparsity])
def test_silence_costs_nothing_and_has_a_gradient(network, kind):
    u = torch.zeros(2, len(SENSORS), LAYERS, dtype=torch.float64, requires_grad=True)
    penalty = group_sparsity(network) if kind is group_sparsity else kind()
    value = penalty(u, [])
    value.sum().backward()
    assert value.tolist() == [0.0, 0.0]
    assert torch.isfinite(u.grad).all()


def test_mistakes_are_named(rng):
    with pytest.raises(ArgumentError, match="L1: of is 'input', expected 'stimulus' or 'activity'"):
        l1("input")
    with pytest.raises(ArgumentError, match="group_sparsity needs groups"):
        group_sparsity(MultilayeredNetwork(weights(rng), [0], 2))

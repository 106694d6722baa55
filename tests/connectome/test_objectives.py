"""Objectives: what they measure, sample by sample, and how they are put together."""

import re
from functools import partial

import numpy as np
import pytest
import torch
from networks import GROUPS, weights

from ngpipe.connectome import MultilayeredNetwork
from ngpipe.connectome.optimisation.objectives import activity, difference, selectivity, target
from ngpipe.connectome.optimisation.penalties import l1
from ngpipe.errors import ArgumentError, ArgumentTypeError

MultilayeredNetwork = partial(MultilayeredNetwork, preset="current")

LAYERS, SAMPLES = 5, 3


@pytest.fixture
def network(rng):
    return MultilayeredNetwork(
        weights(rng), [0, 1, 2], LAYERS, idx_to_group=GROUPS, tau=2.0, dtype=torch.float64
    )


@pytest.fixture
def layers(rng):
    return list(torch.tensor(rng.random((LAYERS, 12, SAMPLES))))


def by_hand(layers, members, shown, how=np.mean):
    """Loops over samples, members and layers."""
    result = []
    for sample in range(SAMPLES):
        over = [np.mean([float(layers[k][i, sample]) for i in members]) for k in shown]
        result.append(how(over))
    return result


B = [1, 5, 9]


@pytest.mark.quick
@pytest.mark.parametrize(
    ("who", "members"),
    [(7, [7]), ("b", B), ([7, 2], [2, 7]), (["b", 5, 2], [1, 2, 5, 9]), (np.array([7, 2]), [2, 7])],
)
@pytest.mark.parametrize(("shown", "at"), [(None, [4]), (1, [1]), (range(1, 4), [1, 2, 3])])
@pytest.mark.parametrize("how", ["mean", "sum"])
def test_activity_is_a_mean_over_members_and_over_layers(
    network, layers, who, members, shown, at, how
):
    expected = by_hand(layers, members, at, getattr(np, how))
    assert np.ptp(expected) > 1e-3
    np.testing.assert_allclose(activity(network, who, shown, how)(layers), expected, atol=1e-14)


def test_algebra(network, layers):
    a, b = activity(network, "a", 1), activity(network, "b", [2, 3])
    x, y = a(layers), b(layers)
    cases = {
        a + b: x + y,
        a - 2 * b: x - 2 * y,
        -(a - b) * 0.5: (y - x) / 2,
        sum([a, b, a]): 2 * x + y,
        difference(a, b): x - y,
    }
    for composed, expected in cases.items():
        torch.testing.assert_close(composed(layers), expected)


def test_plain_functions_join_in(network, layers):
    def total(layers):
        return torch.stack(list(layers)).sum((0, 1))

    a = activity(network, "a")
    x, t = a(layers), total(layers)
    cases = {a + total: x + t, total - a: t - x, a - total: x - t, difference(total, total): 0 * t}
    for composed, expected in cases.items():
        torch.testing.assert_close(composed(layers), expected)
    assert (total - a).name == "- activity of 'a' in layer 4 + total"


def test_target_and_selectivity(network, layers):
    a, c, five = (np.array(by_hand(layers, m, [3])) for m in ([0, 4, 8], [2, 6, 10], [5]))
    np.testing.assert_allclose(target(network, "a", 0.3, 3)(layers), -((a - 0.3) ** 2), atol=1e-14)
    rivals = selectivity(network, "a", ["c", 5], 3)
    np.testing.assert_allclose(rivals(layers), a - np.maximum(c, five), atol=1e-14)
    assert np.argmax([c, five], axis=0).max() == 1  # either is the strongest in some sample
    assert np.argmax([c, five], axis=0).min() == 0


def test_samples_do_not_know_of_one_another(network, layers):
    wanted = selectivity(network, "a", ["b", "c"]) + target(network, 5, 0.2, 1)
    for k in range(SAMPLES):
        alone = wanted([x[:, k : k + 1] for x in layers])
        torch.testing.assert_close(alone, wanted(layers)[k : k + 1])


def test_names_can_be_read(network):
    wanted = 2 * activity(network, "a") - activity(network, [3, 5], [0, 1], "sum")
    assert repr(wanted) == (
        "Objective(2 * activity of 'a' in layer 4 - summed activity of [3, 5] in layers [0, 1])"
    )
    assert target(network, 7, 0.5).name == "-(activity of 7 in layer 4 - 0.5)^2"
    assert "largest of ['b', 3]" in selectivity(network, "a", ["b", 3]).name


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda n: activity(n, "z"), "objective: 'z' is neither a group nor the index"),
        (lambda n: activity(n, 12), "objective: 12 is out of range: expected 0 to 11"),
        (lambda n: activity(n, ["a", -1]), "objective: -1 is out of range"),
        (lambda n: activity(n, []), "objective: no neurons"),
        (lambda n: activity(n, "a", 5), "objective: layer 5 is out of range: expected 0 to 4"),
        (lambda n: activity(n, "a", []), "layers are empty"),
        (lambda n: activity(n, "a", over_time="max"), "over_time is 'max', expected 'mean' or"),
        (lambda n: target(n, "a", np.nan), "value is nan, expected a finite"),
        (lambda n: selectivity(n, "a", []), "rivals are empty"),
    ],
)
def test_mistakes_are_named(network, make, message):
    with pytest.raises(ArgumentError, match=re.escape(message)):
        make(network)


def test_an_objective_and_a_penalty_have_no_sum(network):
    with pytest.raises(ArgumentTypeError, match="different kinds"):
        activity(network, "a") + l1()
    with pytest.raises(TypeError):
        activity(network, "a") + 1.0

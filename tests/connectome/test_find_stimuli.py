"""Search with objectives: what it finds, starts and their diversity, synapse noise, schedules."""

import re
from functools import partial

import numpy as np
import pytest
import torch
from networks import GROUPS, chain, divided, weights

from ngpipe.connectome import MultilayeredNetwork
from ngpipe.connectome.optimisation.noise import SynapseNoise, robustness
from ngpipe.connectome.optimisation.objectives import activity, target
from ngpipe.connectome.optimisation.penalties import l1
from ngpipe.connectome.optimisation.search import find_stimuli
from ngpipe.connectome.schedule import silence
from ngpipe.errors import ArgumentError, DivergenceError

MultilayeredNetwork = partial(MultilayeredNetwork, preset="current")

SENSORS, LAYERS = [0, 3, 1, 2], 4


@pytest.fixture
def network(rng):
    return MultilayeredNetwork(
        weights(rng, scale=0.15), SENSORS, LAYERS, idx_to_group=GROUPS, tau=2.0,
        default_bias=0.2, dtype=torch.float64,
    )  # fmt: skip


@pytest.fixture
def seeded():
    return lambda seed=0: torch.Generator().manual_seed(seed)


def values(network, found, objective, schedule=None, penalty=None):
    """Objective and penalty of each stimulus found, one at a time."""
    result = np.empty((2, *found["objective"].shape))
    for start, sample in np.ndindex(found["objective"].shape):
        u = torch.tensor(found["stimulus"].to_numpy()[start, sample])[None]
        layers = network.run(u, network.changes(schedule, 1))
        result[0, start, sample] = float(objective(layers)[0])
        result[1, start, sample] = 0.0 if penalty is None else float(penalty(u, layers)[0])
    return result


def test_what_is_found_is_what_is_told_and_sorted(network, seeded):
    objective, penalty = activity(network, [5, 7]) - activity(network, 9), 0.01 * l1()
    schedule = silence("c", 1)
    found = find_stimuli(
        network, objective, penalty=penalty, starts=5, samples=2, iterations=15,
        schedule=schedule, generator=seeded(), patience=None,
    )  # fmt: skip
    of, cost = values(network, found, objective, schedule, penalty)
    np.testing.assert_allclose(found["objective"], of, atol=1e-12)
    np.testing.assert_allclose(found["penalty"], cost, atol=1e-12)
    total = (found["objective"] - found["penalty"]).transpose("start", "sample").to_numpy()
    assert (np.diff(total, axis=0) <= 0).all()
    assert total[0, 0] > total[-1, 0] + 1e-4  # starts settle in different optima
    np.testing.assert_allclose(found["trace"].max("iteration"), total, atol=1e-12)
    assert found["trace"].dims == ("iteration", "start", "sample")
    assert found["trace"].sizes == {"iteration": 16, "start": 5, "sample": 2}
    assert (found["best"] == found["stimulus"].isel(start=0)).all()
    assert found["best"].dims == ("sample", "sensor", "time")


def test_the_objective_rises_from_every_start_and_more_starts_never_hurt(network, seeded):
    objective = activity(network, [5, 7])

    def best(starts):
        found = find_stimuli(network, objective, starts=starts, iterations=20, generator=seeded())
        assert (found["trace"].max("iteration") >= found["trace"].isel(iteration=0)).all()
        return float(found["objective"].max()), float(found["trace"].isel(iteration=0).max())

    assert best(1)[0] > best(1)[1] + 0.05
    assert best(12)[0] >= best(1)[0] - 1e-9


def test_a_chain_is_driven_by_its_first_neuron():
    network = MultilayeredNetwork(chain(0.2, 0.2), [0, 1], 2, tau=1.0, dtype=torch.float64)
    found = find_stimuli(
        network, activity(network, 2, 1), penalty=0.01 * l1(), starts=2, iterations=60,
        generator=torch.Generator().manual_seed(1), patience=None,
    )  # fmt: skip
    # layer 1 of neuron 2 sees neuron 1 in layer 0, which sees the input of time 1 and, over a
    # synapse, neuron 0 at time 0; input is worth its price only where it acts
    best = found["best"].isel(sample=0)
    assert best.sel(sensor=1, time=1) == pytest.approx(1.0, abs=0.05)
    assert best.sel(sensor=1, time=0) == pytest.approx(0.0, abs=1e-6)
    assert best.sel(sensor=0, time=1) == pytest.approx(0.0, abs=1e-6)


def test_an_objective_for_each_sample(network, seeded, rng):
    layers = network.run(torch.tensor(rng.random((1, len(SENSORS), LAYERS))))
    reachable = float(layers[2][7, 0])
    wanted = [activity(network, 5), -activity(network, 5), target(network, 7, reachable, 2)]
    options = {"starts": 3, "iterations": 25, "patience": None}
    found = find_stimuli(network, wanted, generator=seeded(), **options)
    for k, objective in enumerate(wanted):
        one = found.isel(sample=[k])
        np.testing.assert_allclose(one["objective"], values(network, one, objective)[0], atol=1e-12)
    of = found["objective"].isel(start=0)
    assert of[0] > -of[1] + 0.1
    assert of[2] > -1e-4
    assert found.attrs["objective"].startswith("activity of 5 in layer 3 | -")


@pytest.mark.slow
def test_samples_and_starts_do_not_know_of_one_another(network, seeded):
    objective = activity(network, [5, 7])
    begin = torch.rand(3, len(SENSORS), LAYERS, generator=seeded(5), dtype=torch.float64)
    options = {"iterations": 40, "tolerance": 1e-3, "patience": 3, "starts": 1, "rate": 0.03}
    together = find_stimuli(
        network, objective, samples=3, initial=begin, generator=seeded(), **options
    )
    stopped = []
    for k in range(3):
        alone = find_stimuli(
            network, objective, initial=begin[k : k + 1], generator=seeded(), **options
        )
        stopped.append(alone.sizes["iteration"])
        np.testing.assert_allclose(alone["best"][0], together["best"][k], atol=1e-9)
    assert len(set(stopped)) > 1
    assert together.sizes["iteration"] == max(stopped) < 41


def test_a_start_that_is_given_is_the_first(network, seeded):
    begin = np.full((1, len(SENSORS), LAYERS), 0.3)
    found = find_stimuli(
        network, activity(network, 5), starts=3, iterations=0, initial=begin, generator=seeded()
    )
    assert (found["stimulus"] == 0.3).all(("sensor", "time")).sum() == 1


@pytest.mark.slow
def test_diversity_makes_starts_less_alike_at_a_small_loss(network, seeded):
    objective = activity(network, [5, 7], [2, 3])
    options = {"starts": 4, "iterations": 60, "penalty": 0.005 * l1(), "patience": None}

    def search(diversity):
        return find_stimuli(network, objective, diversity=diversity, generator=seeded(), **options)

    plain, diverse = search(0.0), search(0.05)
    u = diverse["stimulus"].isel(sample=0).to_numpy().reshape(4, -1)
    unit = u / np.linalg.norm(u, axis=1, keepdims=True)
    by_hand = [np.mean([(unit[i] @ unit[j]) ** 2 for j in range(4) if j != i]) for i in range(4)]
    np.testing.assert_allclose(diverse["similarity"].isel(sample=0), by_hand, atol=1e-12)
    assert diverse["similarity"].mean() < 0.8 * plain["similarity"].mean()
    assert diverse["objective"].mean() > 0.9 * plain["objective"].mean()


def test_diversity_is_within_a_sample(network, seeded):
    begin = torch.rand(2, len(SENSORS), LAYERS, generator=seeded(5), dtype=torch.float64)
    objective = activity(network, [5, 7])
    options = {"starts": 3, "iterations": 0, "diversity": 1.0}
    both = find_stimuli(network, objective, samples=2, initial=begin, generator=seeded(), **options)
    for sample in range(2):
        u = both["stimulus"].isel(sample=sample).to_numpy().reshape(3, -1)
        unit = u / np.linalg.norm(u, axis=1, keepdims=True)
        cosine = unit @ unit.T
        expected = (np.square(cosine).sum(axis=1) - 1) / 2
        np.testing.assert_allclose(both["similarity"].isel(sample=sample), expected, atol=1e-12)
        of = both["objective"].isel(sample=sample).mean() - expected.mean()
        np.testing.assert_allclose(both["trace"].isel(iteration=0, sample=sample), of, atol=1e-12)


def test_same_generator_same_result_and_no_global_randomness(network, seeded):
    torch.manual_seed(0)
    before = torch.get_rng_state()
    options = {"iterations": 4, "starts": 2, "synapse_noise": 0.2}
    one, again, other = (
        find_stimuli(network, activity(network, 5), generator=seeded(k), **options)
        for k in (1, 1, 2)
    )
    assert one.equals(again)
    assert not np.allclose(one["stimulus"], other["stimulus"])
    assert torch.equal(before, torch.get_rng_state())


def test_coordinates_and_units(network, seeded):
    found = find_stimuli(network, activity(network, 5), starts=1, iterations=1, generator=seeded())
    assert found["neuron"].to_numpy().tolist() == SENSORS
    assert found["group"].to_numpy().tolist() == [GROUPS[i] for i in SENSORS]
    assert found["time"].to_numpy().tolist() == list(range(LAYERS))
    assert all({"units", "long_name"} <= set(array.attrs) for array in found.values())
    assert found.attrs["objective"] == "activity of 5 in layer 3"


def test_bounds_hold_and_the_network_stays(network, seeded):
    before = {key: value.clone() for key, value in network.state_dict().items()}
    found = find_stimuli(
        network, activity(network, [5, 7]), bounds=(-0.5, 0.25), iterations=10, starts=2,
        synapse_noise=0.3, generator=seeded(),
    )  # fmt: skip
    assert found["stimulus"].min() >= -0.5
    assert found["stimulus"].max() == 0.25
    assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())


def noisy_network(network, z, size):
    """The same network, built anew from weights with noise, edge by edge."""
    sigma = np.sqrt(np.log(1 + size**2))
    W, k = np.zeros((12, 12)), 0
    rows, columns = network.w_rows.tolist(), network.w_columns.tolist()
    for post in range(12):
        for at in range(rows[post], rows[post + 1]):
            factor = np.exp(sigma * float(z[k]) - sigma**2 / 2)
            W[post, columns[at]] = float(network.w_values[at]) * factor
            k += 1
    return MultilayeredNetwork(
        W, SENSORS, LAYERS, idx_to_group=GROUPS, tau=2.0, default_bias=0.2, dtype=torch.float64
    )


def test_noise_is_another_network_and_has_its_gradient(network, seeded, rng):
    u = torch.tensor(rng.random((2, 4, LAYERS)), requires_grad=True)
    synapses = SynapseNoise(network, seeded())
    draw = synapses.draw()
    found = torch.stack(synapses.run(draw, 0.5, u))
    expected = torch.stack(noisy_network(network, draw["edges"], 0.5).run(u))
    torch.testing.assert_close(found, expected)
    assert (found - torch.stack(network.run(u))).abs().max() > 0.01
    gradients = [torch.autograd.grad(x[:, 5:8].sum(), u)[0] for x in (found, expected)]
    assert gradients[0].abs().max() > 0.01
    torch.testing.assert_close(*gradients)
    torch.testing.assert_close(torch.stack(synapses.run(draw, 0.0, u)), torch.stack(network.run(u)))


@pytest.mark.parametrize("size", [0.1, 0.8])
def test_noise_keeps_signs_and_has_the_mean_and_spread_it_says(size):
    n = 300
    W = np.random.default_rng(0).choice([-0.01, 0.02], size=(n, n))
    network = MultilayeredNetwork(W, range(n), 1, tau=1.0, dtype=torch.float64)
    synapses = SynapseNoise(network, torch.Generator().manual_seed(0))
    seen = {}

    def spy(u, *args, **options):
        seen["factor"] = network.w_values / torch.tensor(W.ravel())
        return []

    network.run = spy
    synapses.run(synapses.draw(), size, torch.zeros(1, n, 1, dtype=torch.float64))
    assert (seen["factor"] > 0).all()
    assert float(seen["factor"].mean()) == pytest.approx(1.0, abs=5 * size / n)
    assert float(seen["factor"].std()) == pytest.approx(size, rel=0.05)


def test_noise_reaches_divisive_edges():
    W, options = divided()
    network = MultilayeredNetwork(W, [0, 1], 1, **options, tau=1.0, dtype=torch.float64)
    synapses = SynapseNoise(network, torch.Generator().manual_seed(0))
    draw = synapses.draw()
    u = torch.tensor([[[0.5], [0.8]]], dtype=torch.float64)
    out = float(synapses.run(draw, 0.3, u)[0][2, 0])
    sigma = np.sqrt(np.log(1.09))
    w, v = (np.exp(sigma * float(draw[k][0]) - sigma**2 / 2) for k in ("edges", "divisive"))
    assert out == pytest.approx(np.tanh(5 * 0.3 * w * 0.5 * (1 - 0.5 * v * 0.8)), abs=1e-12)


def test_robustness_falls_with_noise_and_is_exact_without(network, seeded, rng):
    u, objective = rng.random((3, 4, LAYERS)), activity(network, [5, 7])
    table = robustness(network, u, objective, [0.0, 0.1, 0.5], 6, seeded())
    assert table.dims == ("noise", "draw", "sample")
    assert table["noise"].to_numpy().tolist() == [0.0, 0.1, 0.5]
    exact = objective(network.run(torch.tensor(u)))
    np.testing.assert_allclose(table.sel(noise=0.0), np.tile(exact, (6, 1)), atol=1e-12)
    spread = table.std("draw")
    assert (spread.sel(noise=0.5) > 2 * spread.sel(noise=0.1)).all()
    silenced = robustness(network, u, objective, [0.3], 2, seeded(), silence([5, 7]))
    assert (silenced == 0).all()


@pytest.mark.slow
def test_a_search_under_noise_finds_what_stands_it(seeded):
    """Neuron 4 is driven by one strong synapse of 0, or by three weaker ones of 1, 2 and 3."""
    W = np.zeros((5, 5))
    W[4, :4] = [0.11, 0.035, 0.035, 0.035]
    network = MultilayeredNetwork(W, range(4), 1, tau=1.0, dtype=torch.float64)
    # far from the wanted activity counts most, so that spread is what costs
    objective = target(network, 4, 0.4)
    options = {"starts": 4, "iterations": 30, "penalty": 0.001 * l1(), "patience": None}
    plain = find_stimuli(network, objective, generator=seeded(), **options)
    sturdy = find_stimuli(
        network, objective, generator=seeded(), synapse_noise=0.8, noise_samples=6, **options
    )
    left = {
        name: float(robustness(network, found["best"], objective, [0.8], 150, seeded(7)).mean())
        for name, found in (("plain", plain), ("sturdy", sturdy))
    }
    assert left["sturdy"] > left["plain"] + 0.002
    assert float(plain["objective"][0, 0]) > float(sturdy["objective"][0, 0])
    assert "noisy_objective" in sturdy
    assert "noisy_objective" not in plain


def mistaken(network, **options):
    options = {"generator": torch.Generator(), "iterations": 1, "starts": 2} | options
    return find_stimuli(network, options.pop("objective", activity(network, 5)), **options)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"starts": 0}, "starts is 0, expected at least 1"),
        ({"iterations": -1}, "iterations is -1"),
        ({"patience": 0}, "patience is 0"),
        ({"samples": 0}, "samples is 0"),
        ({"noise_samples": 0}, "noise_samples is 0"),
        ({"synapse_noise": -0.1}, "synapse_noise is -0.1, expected a relative size"),
        ({"diversity": -1.0}, "diversity is -1.0 with 2 starts"),
        ({"diversity": 0.1, "starts": 1}, "diversity is 0.1 with 1 starts"),
        ({"bounds": (1.0, 0.0)}, "bounds are (1.0, 0.0)"),
        ({"bounds": (0.0, float("inf"))}, "bounds are (0.0, inf)"),
        ({"objective": []}, "objective is empty"),
        ({"initial": np.zeros((2, 4, 4))}, "initial has shape (2, 4, 4), expected (sample, sensor"),
        ({"schedule": silence("z")}, "schedule: 'z' is neither a group nor"),
        ({"objective": lambda layers: layers[0].sum()}, "objective <lambda> gave shape ()"),
        ({"penalty": lambda u, layers: u.sum((0, 1))}, "penalty <lambda> gave shape (4,)"),
    ],
)
def test_mistakes_are_named(network, options, message):
    with pytest.raises(ArgumentError, match=re.escape(message)):
        mistaken(network, **options)


def test_as_many_objectives_as_samples(network):
    both = [activity(network, 5), activity(network, 7)]
    with pytest.raises(ArgumentError, match="there are 2 objectives for 3 samples"):
        mistaken(network, objective=both, samples=3)


def test_a_loss_that_is_not_finite_is_named(network):
    def broken(layers):
        return layers[-1].sum(dim=0) * float("nan")

    with pytest.raises(DivergenceError, match="sample 0 is nan at iteration 0: lower rate or"):
        mistaken(network, objective=broken)


def test_robustness_names_mistakes(network, seeded):
    u, objective = np.zeros((4, LAYERS)), activity(network, 5)
    with pytest.raises(ArgumentError, match=r"noise is -1\.0, expected a relative size"):
        robustness(network, u, objective, [-1.0], 2, seeded())
    with pytest.raises(ArgumentError, match="draws is 0"):
        robustness(network, u, objective, [0.1], 0, seeded())

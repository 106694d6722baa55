"""The hidden input: a network of sines whose start and derivatives are the published ones."""

import math

import pytest
import torch
from assemblies import DURATION, FIELD, SCALES, numbers, random_field, sites_of
from scipy import stats

from ngpipe.assembly.field import Field, Siren, Sites
from ngpipe.config.assembly.training import HiddenInput


def siren(hidden: int = 7, layers: int = 3, omega_0: float = 6.0, seed: int = 0) -> Siren:
    generator = torch.Generator().manual_seed(seed)
    return Siren(3, hidden=hidden, hidden_layers=layers, omega_0=omega_0, generator=generator)


def by_hand(network: Siren, point: list[float]) -> tuple[float, list[float]]:
    """Value and gradient at one point, unit by unit, with the chain rule."""
    value = point
    slope = [[float(i == k) for k in range(3)] for i in range(3)]  # slope[unit][coordinate]
    *sines, last = network.layers
    for layer in sines:
        weight, bias = layer.weight.tolist(), layer.bias.tolist()
        argument = [sum(map(math.prod, zip(w, value, strict=True))) for w in weight]
        argument = [network.omega_0 * (a + b) for a, b in zip(argument, bias, strict=True)]
        slope = [
            [
                network.omega_0 * math.cos(a) * sum(w[m] * slope[m][k] for m in range(len(w)))
                for k in range(3)
            ]
            for a, w in zip(argument, weight, strict=True)
        ]
        value = [math.sin(a) for a in argument]
    (weight,), (bias,) = last.weight.tolist(), last.bias.tolist()
    out = sum(map(math.prod, zip(weight, value, strict=True))) + bias
    return out, [sum(weight[m] * slope[m][k] for m in range(len(weight))) for k in range(3)]


@pytest.mark.parametrize("layers", [1, 2, 3])
def test_value_and_gradient_are_those_of_the_formula(layers):
    network = siren(layers=layers).double()
    points = torch.rand(5, 3, generator=torch.Generator().manual_seed(1)).double() * 2 - 1
    points.requires_grad_()
    values = network(points)
    (gradient,) = torch.autograd.grad(values.sum(), points)
    values, points = values.detach(), points.detach()
    assert values.shape == (5,)
    for k in range(5):
        value, slope = by_hand(network, points[k].tolist())
        assert float(values[k]) == pytest.approx(value, abs=1e-9)
        assert gradient[k].tolist() == pytest.approx(slope, abs=1e-7)


def test_weights_start_uniform_within_the_published_bounds():
    network = siren(hidden=400, omega_0=30.0)
    for k, layer in enumerate(network.layers):
        bound = 1 / 3 if k == 0 else math.sqrt(6 / 400) / 30
        weights = layer.weight.detach().flatten()
        uniform = stats.uniform(-bound, 2 * bound)
        assert weights.abs().max() <= bound
        assert stats.kstest(weights.numpy(), uniform.cdf).pvalue > 1e-3


def test_every_later_sine_starts_with_the_published_statistics():
    """Arguments have a standard deviation of 1 beside the biases' share, whatever the depth.

    The first sine has many periods over the domain, so its output is that of a uniform phase: the
    arcsine distribution, of standard deviation 1 / sqrt(2).
    """
    network = siren(hidden=1024, layers=4, omega_0=30.0)
    arguments = []
    for layer in network.layers[:-1]:
        layer.register_forward_hook(lambda *io: arguments.append(30.0 * io[2].detach()))
    network(torch.rand(1000, 3, generator=torch.Generator().manual_seed(2)) * 2 - 1)
    assert len(arguments) == 4
    first = torch.sin(arguments[0])
    assert float(first.std()) == pytest.approx(1 / math.sqrt(2), rel=0.03)
    levels = torch.tensor([0.1, 0.25, 0.75, 0.9])
    quantiles = torch.quantile(first.flatten()[:100_000], levels)
    arcsine = torch.sin(math.pi * (levels - 0.5))
    torch.testing.assert_close(quantiles, arcsine, rtol=0, atol=0.03)
    for argument, layer in list(zip(arguments, network.layers, strict=False))[1:]:
        of_weights = argument - 30.0 * layer.bias.detach()
        assert float(of_weights.std()) == pytest.approx(1, abs=0.05)


def test_one_generator_makes_one_network():
    torch.manual_seed(0)
    before = torch.get_rng_state()
    first, same, other = siren(seed=4), siren(seed=4), siren(seed=5)
    assert torch.equal(torch.get_rng_state(), before)
    for a, b, c in zip(first.parameters(), same.parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b)
        assert not torch.equal(a, c)


def test_values_of_sites_spread_over_all_neurons():
    sites = Sites(torch.tensor([4, 1]), torch.tensor([[0.1, 0.2], [0.3, 0.4]]), 6)
    full = sites.spread(torch.tensor([[10.0, 20.0], [30.0, 40.0]]), 1.0)
    assert full.tolist() == [[1, 20, 1, 1, 10, 1], [1, 40, 1, 1, 30, 1]]


@pytest.mark.parametrize(("mode", "rest"), [("multiplicative", 1.0), ("additive", 0.0)])
def test_neurons_without_input_have_the_value_that_changes_nothing(mode, rest):
    field = random_field(mode, sites_of(9))
    omega = field.of_all(torch.linspace(0, DURATION, 50))
    undriven = [k for k in range(9) if k not in field.driven.tolist()]
    assert torch.all(omega[:, undriven] == rest)
    driven = omega[:, field.driven]
    assert driven.std(0).min() > 0.01
    if mode == "multiplicative":
        assert torch.all(driven > 0)
    else:
        assert (driven < 0).any()


def test_a_multiplicative_field_is_the_exponential_of_the_additive_one():
    sites, times = sites_of(8), torch.linspace(0, DURATION, 13)
    value = random_field("additive", sites)(times)
    found = random_field("multiplicative", sites)(times)
    torch.testing.assert_close(found, (value / SCALES.rate).exp())


def test_a_field_is_its_network_at_position_and_time():
    """All coordinates run from -1 to 1, times the scales of the config."""
    cfg = FIELD.model_copy(update={"time_scale": 2.5, "space_scale": 0.7})
    sites, times = sites_of(7), torch.tensor([0.0, 1.3, DURATION])
    field = random_field("additive", sites, cfg=cfg)
    values = field(times).detach()
    for k, t in enumerate(times.tolist()):
        for s, (px, py) in enumerate(sites.position.tolist()):
            point = [0.7 * (2 * px - 1), 0.7 * (2 * py - 1), 2.5 * (2 * t / DURATION - 1)]
            expected = SCALES.rate * by_hand(field.siren, point)[0]
            assert float(values[k, s]) == pytest.approx(expected, abs=1e-5)


def test_two_neurons_at_one_place_see_the_same():
    position = torch.tensor([[0.3, 0.6], [0.8, 0.1], [0.3, 0.6]])
    field = random_field("multiplicative", Sites(torch.tensor([5, 2, 0]), position, 6))
    omega = field.of_all(torch.linspace(0, DURATION, 20))
    torch.testing.assert_close(omega[:, 5], omega[:, 0])
    assert (omega[:, 5] - omega[:, 2]).abs().max() > 0.01


def test_a_field_survives_its_state():
    sites, times = sites_of(8), numbers(3, 6).abs()
    field = random_field("multiplicative", sites, seed=1)
    other = Field(
        FIELD, "multiplicative", sites, DURATION, SCALES.rate, torch.Generator().manual_seed(9)
    )
    assert not torch.equal(other(times), field(times))
    other.load_state_dict(field.state_dict())
    assert torch.equal(other(times), field(times))


def test_a_new_multiplicative_field_is_near_one():
    """Training starts from an input that hardly acts."""
    cfg = HiddenInput()
    field = Field(
        cfg, "multiplicative", sites_of(40), DURATION, SCALES.rate, torch.Generator().manual_seed(0)
    )
    omega = field(torch.linspace(0, DURATION, 30))
    assert float(omega.log().abs().max().detach()) < 0.5

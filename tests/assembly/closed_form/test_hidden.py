"""Hidden inputs in closed form: exact on systems that obey the model, and their field."""

from dataclasses import replace

import pytest
import torch
from systems import exact, fitted, numbers, silent
from torch import Tensor

from ngpipe.assembly.closed_form import hidden as hidden_module
from ngpipe.assembly.closed_form.chosen_frames import Frames
from ngpipe.assembly.closed_form.field_fit import fit_field
from ngpipe.assembly.closed_form.hidden import Hidden, KnottedInput
from ngpipe.assembly.closed_form.knot_columns import Columns, Hats, Knots
from ngpipe.assembly.closed_form.rows import Moments
from ngpipe.assembly.field import Field, Sites
from ngpipe.config.assembly.training import HiddenInput

DRIVEN = torch.tensor([1, 2, 5, 9, 11])
N_FRAMES, KNOTS, RIDGE = 1500, 9, 1e-12
HATS = Hats(KNOTS, float(N_FRAMES))


def true_input(mode: str) -> Tensor:
    """Values at the knots: positive ones, of geometric mean 1, if they multiply."""
    o = numbers(31, len(DRIVEN), KNOTS)
    if mode == "additive":
        return 3 * o
    o = (0.4 * o).exp()
    return o / o.log().mean(1, keepdim=True).exp()


def driven_system(mode: str):
    """An exact system in which some neurons have an input, and the frames that show it."""
    system, o = exact(2, n_frames=N_FRAMES), true_input(mode)
    frames = system.frames
    omega = HATS.read(o, frames.times)
    own = frames.phi.read(system.phi, frames.x)
    message = system.transfer.sent(frames.x) @ system.weights.T
    rate = own + message
    if mode == "additive":
        rate[:, DRIVEN] += omega
    else:
        rate[:, DRIVEN] = (
            own
            + message * KnottedInput(HATS, DRIVEN, o, mode).at(frames.times, len(system.weights))
        )[:, DRIVEN]
    return system, replace(frames, rate=rate), o


def search(system, frames: Frames, mode: str) -> Hidden:
    return Hidden(frames, system.transfer, RIDGE, HATS, mode, system.phi)


@pytest.fixture(autouse=True)
def _all_phi_count(monkeypatch):
    """phi of these systems are random: as many components as basis functions."""
    monkeypatch.setattr(hidden_module, "MOST_COMPONENTS", 99)
    monkeypatch.setattr(hidden_module, "COMPONENT", 1e-20)


def first_guess(system, frames: Frames) -> Tensor:
    """Rows of the driven neurons as if they had no input."""
    return fitted(frames, system.transfer, DRIVEN, RIDGE)["weights"]


def test_an_additive_input_comes_back_with_its_rows():
    system, frames, o = driven_system("additive")
    solved = search(system, frames, "additive").solve(DRIVEN, first_guess(system, frames), silent)
    phi, found = solved.phi, solved.values
    torch.testing.assert_close(solved.weights, system.weights[DRIVEN], rtol=0, atol=1e-5)
    # A constant of Omega_i is one of phi_i: their sum is what the data know.
    total = phi.mean(1, keepdim=True) + found
    expected = system.phi[DRIVEN].mean(1, keepdim=True) + o
    shift = (total - expected).mean(1, keepdim=True)
    torch.testing.assert_close(
        found - found.mean(1, keepdim=True), o - o.mean(1, keepdim=True), rtol=0, atol=1e-4
    )
    assert shift.abs().max() < 2.0
    assert solved.mean_square.max() < 1e-8


def test_a_multiplicative_input_comes_back_with_its_rows():
    """Gauss-Newton from Omega = 1; the scale of Omega is that of geometric mean 1.

    The last step but one changed Omega by less than 10 %; what the last left is of higher order.
    """
    system, frames, o = driven_system("multiplicative")
    start = first_guess(system, frames)
    solved = search(system, frames, "multiplicative").solve(DRIVEN, start, silent, inflation=1.0)
    weights = solved.weights
    true = system.weights[DRIVEN]
    before = (start - true).norm() / true.norm()
    assert before > 0.05  # there was something to find
    torch.testing.assert_close(solved.values, o, rtol=1e-3, atol=0)
    torch.testing.assert_close(weights, true, rtol=0, atol=2e-3)
    assert weights[torch.arange(len(DRIVEN)), DRIVEN].abs().max() < 1e-12
    assert solved.mean_square.max() < 1e-4


def test_an_input_that_is_known_divides_the_equation():
    """With the true input given, the rows are plain least squares, and exact."""
    for mode in ("multiplicative", "additive"):
        system, frames, o = driven_system(mode)
        omega = KnottedInput(HATS, DRIVEN, o, mode).at(frames.times, len(system.weights))
        frames = replace(frames, omega=omega, mode=mode)
        everyone = torch.arange(len(system.weights))
        found = fitted(frames, system.transfer, everyone, RIDGE)["weights"]
        torch.testing.assert_close(found, system.weights, rtol=0, atol=1e-5)


def test_a_search_begins_where_the_frames_say():
    """From the known input the first step is small, and the next is the last."""
    system, frames, o = driven_system("multiplicative")
    omega = KnottedInput(HATS, DRIVEN, o, "multiplicative").at(frames.times, len(system.weights))
    frames = replace(frames, omega=omega, mode="multiplicative")
    told = []
    search(system, frames, "multiplicative").solve(
        DRIVEN,
        system.weights[DRIVEN],
        lambda stage, **reached: told.append(reached),
        inflation=1.0,
    )
    losses = [reached["loss"] for reached in told if "loss" in reached]
    assert len(losses) == 2
    assert max(losses) < 1e-8


def test_moments_of_knots_equal_those_of_columns_written_out():
    system, frames, _ = driven_system("multiplicative")
    h = search(system, frames, "multiplicative")
    rows = DRIVEN[:3]
    own = h.functions.basis(frames.x[:, rows])
    gain, target = numbers(3, N_FRAMES, 3), frames.rate[:, rows]
    hats = torch.stack([HATS.read(e[None], frames.times)[:, 0] for e in torch.eye(KNOTS).double()])
    columns = torch.cat([own, gain[..., None] * hats.T[:, None, :]], 2)
    dense = Moments.of(h.white, columns, target)
    own_columns = Columns(Knots(HATS, frames.times), own, gain)
    found = own_columns.moments(h.white, target, own_columns.products())
    for name, value in vars(found).items():
        torch.testing.assert_close(value, getattr(dense, name), rtol=1e-10, atol=1e-12, msg=name)


def test_hats_are_linear_between_knots_and_reach_both_ends():
    hats = Hats(5, 8.0)
    values = numbers(4, 3, 5)
    at = hats.read(values, torch.linspace(0, 8, 5))
    torch.testing.assert_close(at, values.T)
    middle = hats.read(values, torch.tensor([1.0, 7.0]))
    expected = torch.stack([values[:, :2].mean(1), values[:, 3:].mean(1)])
    torch.testing.assert_close(middle, expected)
    assert torch.equal(hats.read(values, torch.tensor([9.0]))[0], values[:, -1])


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["multiplicative", "additive"])
def test_the_field_says_what_was_found_on_the_knots(mode):
    """Its product with the corrected rows is that of the found input with the found rows."""
    side, n = 5, 60
    centres = (torch.arange(side) + 0.5) / side
    sites = Sites(torch.arange(side**2), torch.cartesian_prod(centres, centres), n)
    cfg = HiddenInput(hidden=48, hidden_layers=2, omega_0=10.0)
    generator = torch.Generator().manual_seed(0)
    field = Field(cfg, mode, sites, 4.0, 3.0, generator)
    x, y = sites.position.double().T[..., None]
    t = torch.linspace(0, 1, 17, dtype=torch.float64)
    wave = 0.5 * torch.sin(3 * x + 5 * t) * torch.cos(2 * y)
    if mode == "multiplicative":
        wave = (wave - wave.mean(1, keepdim=True)).exp()
    found = KnottedInput(Hats(17, 4.0), sites.driven, wave, mode)
    weights = numbers(8, n, n) / numbers(9, n, n).abs().clamp_min(0.1)
    factor = fit_field(field, weights, found, steps=600, generator=generator, report=silent)
    learned = field(torch.linspace(0, 4, 17)).detach().double().T
    product = factor[sites.driven] * learned if mode == "multiplicative" else learned
    assert torch.equal(factor[side**2 :], torch.ones(n - side**2, 1).double())
    error = (product - wave).square().mean() / (wave - wave.mean()).square().mean()
    assert error < 0.01
    within = r2_over_time(product, wave)
    assert within > 0.98


def r2_over_time(found: Tensor, true: Tensor) -> float:
    """Mean squared correlation over time at the sites where the input varies."""
    varies = torch.nonzero(true.std(1) > 0.02)[:, 0]
    pairs = [torch.corrcoef(torch.stack([found[k], true[k]]))[0, 1] ** 2 for k in varies]
    return float(torch.stack(pairs).mean())

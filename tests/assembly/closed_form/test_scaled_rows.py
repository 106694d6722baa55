"""Recorded inputs: W, phi and the coefficients of every neuron come back together, given psi."""

from dataclasses import replace

import pytest
import torch
from systems import numbers, silent
from torch import Tensor

from ngpipe.assembly.closed_form.all_rows import all_rows
from ngpipe.assembly.closed_form.chosen_frames import Transfer
from ngpipe.assembly.closed_form.problem import Problem
from ngpipe.assembly.closed_form.scaled_rows import scaled_rows
from ngpipe.assembly.closed_form.solution import Solution
from ngpipe.assembly.closed_form.transfer import Fit
from ngpipe.assembly.fitted_input import InputSeries
from ngpipe.assembly.recording import Recording
from ngpipe.config.assembly.training import ClosedForm, Training
from ngpipe.errors import StoreError

N, FRAMES = 10, 3_000
MEAN = torch.tensor([0.4, 3.0])


def driven(
    mode: str, noise: float = 0.0, size: float = 1.0, mean: Tensor = MEAN
) -> tuple[Recording, Tensor, Tensor]:
    """Activity of any kind, with a rate that obeys the equations; true W and coefficients."""
    x = 1.5 * numbers(1, FRAMES, N)
    u = numbers(2, FRAMES, 2) * torch.tensor([1.0, 0.3]) + mean
    weights = numbers(3, N, N).fill_diagonal_(0)
    coefficients = size * numbers(4, N, 2) * torch.tensor([0.5, 0.2])
    received = torch.tanh(x) @ weights.T
    act = coefficients @ u.T
    rate = -x + (received + act.T if mode == "additive" else (1 + act.T) * received)
    rate = rate + noise * numbers(5, FRAMES, N)
    series = InputSeries.of(u, ("a", "b"), mode)
    found = Recording(x.float(), rate.float(), dt=0.1, held_out=0.1, in_blocks=True, inputs=series)
    return found, weights, coefficients


def problem_of(recording: Recording) -> tuple[Problem, Fit]:
    mode = recording.inputs.mode
    cfg = Training(
        solver="closed_form", input="fitted", input_mode=mode, closed_form=ClosedForm(frames=40)
    )
    problem = Problem.of(recording, cfg, silent)
    spline = problem.spline(48)
    like = torch.zeros((), dtype=torch.float64)
    transfer = Transfer(spline, spline.fit(torch.tanh, like=like)[None], problem.one_group)
    return problem, Fit(transfer, problem.spline(16), 0.0, 0.0, 1e-9)


def solved(mode: str, noise: float = 0.0, *, final: bool = False) -> tuple[Solution, Recording]:
    recording, *_ = driven(mode, noise)
    problem, fit = problem_of(recording)
    found = all_rows(problem, [fit], problem.one_group, problem.frames, final=final)
    if mode == "additive":
        return found, recording
    return scaled_rows(problem, found, problem.frames), recording


def at_zero(found: Solution, recording: Recording) -> tuple[Tensor, Tensor]:
    """W and coefficients as of inputs of 0, per unit of each input."""
    series = recording.inputs
    rest = 1 - found.inputs @ (series.mean / series.sd).double()
    each = found.inputs / series.sd
    if series.mode == "additive":
        return found.weights, each
    return found.weights * rest[:, None], each / rest[:, None]


@pytest.mark.parametrize("mode", ["additive", "multiplicative"])
def test_w_and_coefficients_come_back_together(mode):
    _, weights, coefficients = driven(mode)
    found = at_zero(*solved(mode))
    torch.testing.assert_close(found[0], weights, rtol=0, atol=2e-3)
    torch.testing.assert_close(found[1], coefficients, rtol=0, atol=2e-3)


def test_effects_that_turn_inputs_round_need_several_starts():
    """Inputs that often change the sign of what a neuron receives; no start near 0 finds them."""
    recording, weights, coefficients = driven(
        "multiplicative", size=3.0, mean=torch.tensor([0.4, 0.3])
    )
    problem, fit = problem_of(recording)
    first = all_rows(problem, [fit], problem.one_group, problem.frames)
    found = at_zero(scaled_rows(problem, first, problem.frames), recording)
    torch.testing.assert_close(found[0], weights, rtol=0, atol=2e-3)
    torch.testing.assert_close(found[1], coefficients, rtol=0, atol=2e-3)


@pytest.mark.quick(1)
@pytest.mark.parametrize("mode", ["additive", "multiplicative"])
def test_standard_errors_hold(mode):
    _, weights, coefficients = driven(mode)
    recording, *_ = driven(mode, noise=0.5)
    problem, fit = problem_of(recording)
    found = all_rows(problem, [fit], problem.one_group, problem.frames, final=True)
    if mode == "multiplicative":
        found = scaled_rows(problem, found, problem.frames)
    mean, sd = recording.inputs.mean.double(), recording.inputs.sd.double()
    # Errors are of W at the mean input, and of effects relative to it.
    usual = 1 + coefficients @ mean if mode == "multiplicative" else torch.ones(N).double()
    of_weights = (found.weights - weights * usual[:, None]) / found.error
    of_inputs = (found.inputs - coefficients * sd / usual[:, None]) / found.input_error
    off = ~torch.eye(N, dtype=torch.bool)
    assert 0.8 < float(of_weights[off].square().mean().sqrt()) < 1.25
    assert 0.6 < float(of_inputs.square().mean().sqrt()) < 1.4


@pytest.mark.parametrize(("given", "low", "high"), [(False, 0.5, 2.0), (True, 0.0, 0.1)])
def test_weights_are_biased_where_an_input_is_not_given(given, low, high):
    plain, weights, _ = driven("additive")
    # A behaviour that follows the activity of one neuron, and drives all.
    x = plain.activity
    after = InputSeries.of(x[:, :1] + 0.5 * numbers(7, FRAMES, 1), ("speed",), "additive")
    _, _, old = driven("additive")
    of_others = (old @ (plain.inputs.values * plain.inputs.sd + plain.inputs.mean).double().T).T
    rate = (plain.rate - of_others + 1.5 * after.values).float()
    recording = replace(plain, rate=rate, inputs=after)
    problem, fit = problem_of(recording)
    if not given:
        cfg = problem.cfg.model_copy(update={"input": "none"})
        problem = Problem.of(replace(recording, inputs=None), cfg, silent)
    found = all_rows(problem, [fit], problem.one_group, problem.frames)
    missed = (found.weights - weights)[1:, 0].square().mean().sqrt()
    assert low < float(missed) < high


def test_an_input_that_never_changes_is_refused():
    with pytest.raises(StoreError, match=r"\['b'\] never change"):
        InputSeries.of(torch.tensor([[0.0, 5.0], [1.0, 5.0]]), ("a", "b"), "additive")


def test_frames_without_an_input_count_as_the_mean():
    found = InputSeries.of(torch.tensor([[1.0], [torch.nan], [3.0]]), ("a",), "additive")
    assert found.values[:, 0].tolist() == [-1.0, 0.0, 1.0]
    assert float(found.mean) == 2.0

"""Stages hand on what they know of a problem; the problem itself never changes."""

import pytest
import torch
from systems import numbers, silent, simulated, training

from ngpipe.assembly.closed_form.diagnosis import diagnosis
from ngpipe.assembly.closed_form.hidden import Hats, KnottedInput
from ngpipe.assembly.closed_form.problem import NOISY_ROWS, Problem
from ngpipe.assembly.closed_form.rows import Spectrum
from ngpipe.assembly.closed_form.solve import ClosedForm

PLENTY = Spectrum(torch.ones(1, 4).double(), 1e-12)
"""Activity along all directions alike."""
ROWS = torch.arange(24)


def problem() -> Problem:
    return Problem.of(simulated("activity", 24, 4000).recording, training("activity"), silent)


def some_input(mode: str, duration: float) -> KnottedInput:
    """Of the first three neurons, at least 0.5."""
    return KnottedInput(Hats(5, duration), torch.arange(3), numbers(1, 3, 5).abs() + 0.5, mode)


def test_a_known_input_is_taken_from_the_equations_of_every_stage():
    """An additive one is subtracted, a multiplicative one divides; the others see nothing."""
    before = problem()
    for mode in ("additive", "multiplicative"):
        omega = some_input(mode, before.recording.duration)
        after = before.knowing(omega)
        for name in ("everything", "frames", "few", "held_out", "final"):
            old, new = (next(iter(getattr(p, name).stretches(24))) for p in (before, after))
            at = omega.at(old.times, 24)
            rate = old.rate.double()
            expected = rate - at if mode == "additive" else rate / at
            torch.testing.assert_close(new.target(ROWS), expected)
            assert torch.equal(old.target(ROWS), rate)
            assert torch.equal(new.target(ROWS)[:, 3:], rate[:, 3:])


def test_noise_asks_for_more_frames_only_where_they_help():
    before = problem()
    clear = diagnosis(PLENTY, noise=1e-12, weight_variance=1.0, n_frames=len(before.few))
    assert before.for_noise(clear) is before
    assert before.for_rows(clear) is before
    poor = diagnosis(PLENTY, noise=10.0, weight_variance=1.0, n_frames=len(before.few))
    searched, final = before.for_noise(poor), before.for_rows(poor)
    assert len(searched.few) == len(final.final) == len(before.everything)
    assert len(searched.draw()) == min(24, NOISY_ROWS * before.n_rows)
    assert final.few is before.few
    assert before.final is before.frames


@pytest.mark.slow
def test_a_solution_leaves_the_problem_as_it_was():
    solver = ClosedForm(simulated("activity", 24, 1500).recording, training("activity"), silent)
    before = dict(vars(solver.problem))
    state = solver.problem.generator.get_state()
    x, rate = solver.problem.frames.x.clone(), solver.problem.frames.rate.clone()
    solver.solve()
    assert vars(solver.problem) == before
    assert torch.equal(solver.problem.frames.x, x)
    assert torch.equal(solver.problem.frames.rate, rate)
    assert not torch.equal(solver.problem.generator.get_state(), state)


@pytest.mark.parametrize("n", [3, 16, 24])
def test_rows_are_drawn_without_repetition(n):
    drawn = problem().draw(n=n)
    assert len(drawn.unique()) == n

"""What a closed form of very many neurons takes is put together rightly."""

import importlib
from dataclasses import replace
from pathlib import Path
from types import ModuleType

import pytest

RATES = {"psi": 1e-8, "gram": 1e-11, "gram_32": 1e-11, "moments": 1e-11, "solve": 1e-10}


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.syspath_prepend(Path(__file__).parents[1] / "bench")
    return importlib.import_module("large")


def test_a_gram_matrix_and_its_halves_take_n_squared_times_frames_each(large):
    rates = large.Rates(**RATES, factor=1e-10)
    hours = large.core_hours(rates, 1000)["gram"]
    assert hours == pytest.approx(2 * 1000**2 * 5 * 1192 * 1e-11 / 3600)


def test_of_many_neurons_twice_as_many_take_eight_times_as_long(large):
    rates = large.Rates(**RATES, factor=1e-10)
    one, two = (large.core_hours(rates, n) for n in (100_000, 200_000))
    for step in ("gram", "factor", "solve_rows: moments", "solve_rows: solutions and errors"):
        assert two[step] / one[step] == pytest.approx(8, rel=0.01)
    # A block of rows gets smaller, so psi is worked out anew more than twice as often.
    step = "solve_rows: psi anew in each block"
    assert two[step] / one[step] == pytest.approx(16, rel=0.05)
    slower = large.core_hours(replace(rates, moments=2e-11), 100_000)
    assert slower["solve_rows: moments"] == 2 * one["solve_rows: moments"]


@pytest.mark.slow
def test_rates_can_be_measured(large):
    rates = large.measured(n=60, n_frames=80)
    assert all(rate >= 0 for rate in vars(rates).values())

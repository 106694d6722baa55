"""The few cases that `make quick` takes show every value of every parameter."""

from itertools import product

import pytest
from quick_cases import choose

SQUARE = [{"a": a, "b": b} for a, b in product(range(4), range(4))]


def test_of_a_square_the_diagonal_is_quick():
    assert [SQUARE[k] for k in choose(SQUARE)] == [{"a": k, "b": k} for k in range(4)]


def test_every_value_is_shown_once_though_the_sides_differ():
    cases = [{"a": a, "b": b, "c": c} for a, b, c in product(range(2), range(5), range(3))]
    chosen = [cases[k] for k in choose(cases)]
    assert len(chosen) == 5
    for name, n in {"a": 2, "b": 5, "c": 3}.items():
        assert {case[name] for case in chosen} == set(range(n))


def test_the_same_number_of_two_parameters_is_two_values():
    assert choose([{"a": 0, "b": 1}, {"a": 1, "b": 0}]) == [0, 1]


@pytest.mark.parametrize("n", [1, 3, 6, 16])
def test_as_many_as_asked_for_are_quick(n):
    chosen = choose(SQUARE, n)
    assert chosen[0] == 0
    assert len(set(chosen)) == n


def test_one_without_parameters_stays_quick():
    assert choose([{}]) == [0]
    assert choose([{}], 1) == [0]


@pytest.mark.quick
@pytest.mark.parametrize("b", "xy")
@pytest.mark.parametrize("a", "xyz")
class TestOfAClass:
    def test_cases_are_chosen_for_each_test(self, a, b, request):
        """This one is an example: of its six cases the diagonal and one of z are quick."""
        expected = (a, b) not in {("x", "x"), ("y", "y"), ("z", "x")}
        assert (request.node.get_closest_marker("slow") is not None) == expected

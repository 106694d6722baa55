"""Types and shapes of every function are checked while tests run (type_checks.py)."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
from beartype import beartype
from jaxtyping import Float, TypeCheckError
from type_checks import CALLS, OF_EACH, begin_test, checked, shapes_of

from ngpipe.metrics import tidy

Vector = Float[np.ndarray, " n"]


class Sizes:
    """One method of each kind; every one of them returns what its annotation does not say."""

    def plain(self) -> int:
        return "1"

    @classmethod
    def of_class(cls) -> int:
        return "1"

    @staticmethod
    def alone() -> int:
        return "1"

    @property
    def read(self) -> int:
        return "1"

    def changed(self, one: Vector) -> Vector:
        return one[1:]


class Named:
    def like(self, other: "Named") -> "Named":
        return other

    like = checked(like, beartype)


def test_the_library_is_checked():
    with pytest.raises(TypeCheckError, match="quantity"):
        tidy.scores(5, {}, 1)
    with pytest.raises(TypeCheckError, match="truth"):
        tidy.agreement(np.zeros(2), np.zeros(3))


@pytest.mark.parametrize("name", ["plain", "of_class", "alone", "read"])
def test_methods_of_every_kind(name):
    kind = vars(Sizes)[name]
    one = type("One", (), {name: checked(kind, beartype)})()
    with pytest.raises(TypeCheckError):
        value = getattr(one, name)
        value()


def test_sizes_are_those_of_the_arguments():
    with pytest.raises(TypeCheckError, match="return"):
        checked(Sizes.changed, beartype)(Sizes(), np.zeros(3))


def test_sizes_may_be_those_of_numbers_given():
    def zeros(n: int, size: int) -> Float[np.ndarray, "{n}"]:  # noqa: F821
        return np.zeros(size)

    zeros = checked(zeros, beartype)
    assert len(zeros(3, 3)) == 3
    with pytest.raises(TypeCheckError, match="return"):
        zeros(3, 4)


def test_dataclasses():
    @dataclass
    class Pair:
        size: int
        values: Vector | None = None

    checked(Pair, beartype)
    assert Pair(3, np.zeros(3)).size == 3
    with pytest.raises(TypeCheckError, match="size"):
        Pair("3")


def test_generators():
    def counted(n: int) -> Iterator[int]:
        yield from range(n)

    assert list(checked(counted, beartype)(3)) == [0, 1, 2]
    with pytest.raises(TypeCheckError, match="n"):
        checked(counted, beartype)("3")


@pytest.mark.parametrize("hint", [Vector, Vector | None, dict[str, tuple[Vector, int]]])
def test_arrays_are_found_within_other_types(hint):
    def function(one): ...

    function.__annotations__ = {"one": hint}
    assert shapes_of(function) == {Vector}
    function.__annotations__ = {"one": dict[str, int]}
    assert not shapes_of(function)


def test_sizes_are_those_of_one_call_alone():
    """Not of the call within it, nor of the next."""

    def shorter(one: Vector, other: Vector) -> Vector:
        if len(one) > 1:
            shorter(one[1:], other[1:])
        return one

    shorter = checked(shorter, beartype)
    for n in (3, 2):
        assert len(shorter(np.zeros(n), np.ones(n))) == n
    with pytest.raises(TypeCheckError, match="other"):
        shorter(np.zeros(3), np.zeros(2))


def test_a_function_within_another_is_checked_the_first_times():
    def made():
        def inner(n: int) -> int:
            return n

        return checked(inner, beartype)

    several = [made() for _ in range(OF_EACH + 1)]
    for one in several[:OF_EACH]:
        with pytest.raises(TypeCheckError, match="n"):
            one("3")
    assert several[-1]("3") == "3"


def test_the_first_calls_of_every_test_are_checked():
    def counted(n: int) -> int:
        return n

    counted = checked(counted, beartype)
    for _ in range(2):
        for _ in range(CALLS):
            with pytest.raises(TypeCheckError, match="n"):
                counted("3")
        assert counted("3") == "3"
        begin_test()


def test_what_is_not_known_before_it_is_called_is_checked():
    """The name of a class within the class itself."""
    with pytest.raises(TypeCheckError, match="other"):
        Named().like(3)
    assert isinstance(Named().like(Named()), Named)

"""Types and shapes of every function are checked while tests run (type_checks.py)."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import pytest
from beartype import beartype
from jaxtyping import Float, TypeCheckError
from type_checks import checked, names_shapes

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
    with pytest.raises(TypeCheckError, match="return value"):
        checked(Sizes.changed, beartype)(Sizes(), np.zeros(3))


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
    assert names_shapes(function)
    function.__annotations__ = {"one": dict[str, int]}
    assert not names_shapes(function)

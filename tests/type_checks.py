"""Checks of types in tests at less cost: made when a function is first called, and made once.

The import hook of jaxtyping has every function of ngpipe wrapped by `jaxtyping.jaxtyped`, which
binds the arguments anew at each call and checks them twice. The check of beartype alone finds the
same errors, within a frame that holds the sizes of dimensions which arrays share; a function
without arrays among its annotations has no such sizes and needs no frame. Most functions are not
called in most runs of the tests: no check is made for them. What a test calls over and over, as
every step of a solver, has its first calls checked.
"""

import dataclasses
import inspect
from collections import Counter
from collections.abc import Callable
from functools import partial, wraps
from types import CodeType
from typing import Any, TypeVar, get_args, get_type_hints

import jaxtyping
from beartype import BeartypeConf, beartype
from beartype.roar import BeartypeDecorHintNonpepException

T = TypeVar("T")
_with_shapes = jaxtyping.jaxtyped
_sizes = jaxtyping.jaxtyped("context")
_without = beartype(conf=BeartypeConf(violation_type=jaxtyping.TypeCheckError))
_made: Counter[CodeType] = Counter()
OF_EACH = 3
"""How many of the functions that one line within a function makes are checked, of any number."""
CALLS = 10
"""How many calls of a function are checked in each test."""
_tests = 0


def begin_test() -> None:
    """Check the first calls of every function anew."""
    global _tests
    _tests += 1


def checked(one: T, typechecker: Callable[[Any], Any]) -> T:
    """A function, a descriptor of one, or a dataclass, whose types are checked."""
    if isinstance(one, classmethod | staticmethod):
        return type(one)(checked(one.__func__, typechecker))
    if isinstance(one, property):
        parts = (one.fget, one.fset, one.fdel)
        return property(*(part and checked(part, typechecker) for part in parts))
    if isinstance(one, type):
        if dataclasses.is_dataclass(one) and "__init__" in vars(one):
            one.__init__ = checked(one.__init__, typechecker)
        return one
    return when_called(one, typechecker)


def when_called(function: Callable, typechecker: Callable[[Any], Any]) -> Callable:
    """A function whose check is made at its first call, and left out of many calls of one test."""
    if "<locals>" in function.__qualname__:  # made anew, check and all, at each call of the outer
        _made[function.__code__] += 1
        if _made[function.__code__] > OF_EACH:
            return function
    check, test, left = None, None, 0

    @wraps(function)
    def called(*args: object, **options: object) -> object:
        nonlocal check, test, left
        if test != _tests:
            test, left = _tests, CALLS
        if not left:
            return function(*args, **options)
        left -= 1
        if check is None:
            check = check_of(function, typechecker)
        return check(*args, **options)

    return called


def check_of(function: Callable, typechecker: Callable[[Any], Any]) -> Callable:
    """The cheapest check that finds all errors."""
    try:
        shapes = shapes_of(function)
    except (NameError, AttributeError):  # an annotation is imported for type checkers alone
        return _with_shapes(function, typechecker=typechecker)
    if inspect.isgeneratorfunction(function) or any("{" in shape.dim_str for shape in shapes):
        return _with_shapes(function, typechecker=typechecker)
    try:
        check = _without(function)
    except BeartypeDecorHintNonpepException:  # a type that beartype does not know, as of pydantic
        return function
    if not shapes:
        return check

    @wraps(function)
    def of_shared_sizes(*args: object, **options: object) -> object:
        with _sizes:
            return check(*args, **options)

    return of_shared_sizes


def shapes_of(function: Callable) -> set[type]:
    """All array types among the annotations of a function, whatever they are part of."""
    hints = get_type_hints(function, include_extras=True)
    return set().union(*map(array_types, hints.values()))


def array_types(hint: object) -> set[type]:
    """The array types that a type is or is made of."""
    if isinstance(hint, type) and issubclass(hint, jaxtyping.AbstractArray):
        return {hint}
    return set().union(*map(array_types, get_args(hint)))


def jaxtyped(*, typechecker: Callable[[Any], Any]) -> Callable[[T], T]:
    """The decorator that the import hook asks for."""
    return partial(checked, typechecker=typechecker)


def install() -> None:
    """Have all that is imported from now on checked this way."""
    jaxtyping.jaxtyped = jaxtyped

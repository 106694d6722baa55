"""Checks of types in tests at less cost: shapes are looked at only where a function names them.

The import hook of jaxtyping has every function of ngpipe wrapped by `jaxtyping.jaxtyped`, which
binds the arguments anew at each call and checks them twice, so that the sizes of dimensions that
arrays share can be compared. A function without arrays among its annotations has no such sizes: for
it the check of beartype alone finds the same errors.
"""

import dataclasses
import inspect
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar, get_args, get_type_hints

import jaxtyping
from beartype import BeartypeConf, beartype

T = TypeVar("T")
_with_shapes = jaxtyping.jaxtyped
_without = beartype(conf=BeartypeConf(violation_type=jaxtyping.TypeCheckError))


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
    if inspect.isgeneratorfunction(one) or names_shapes(one):
        return _with_shapes(one, typechecker=typechecker)
    return _without(one)


def names_shapes(function: Callable) -> bool:
    """Whether an annotation has an array type in it, or cannot be told before it is called."""
    try:
        hints = get_type_hints(function, include_extras=True)
    except (NameError, AttributeError):  # imported for type checkers alone, or defined further down
        return True
    return any(map(has_shape, hints.values()))


def has_shape(hint: object) -> bool:
    """Whether a type is an array type or made of some."""
    if isinstance(hint, type) and issubclass(hint, jaxtyping.AbstractArray):
        return True
    return any(has_shape(part) for part in get_args(hint))


def jaxtyped(*, typechecker: Callable[[Any], Any]) -> Callable[[T], T]:
    """The decorator that the import hook asks for."""
    return partial(checked, typechecker=typechecker)


def install() -> None:
    """Have all that is imported from now on checked this way."""
    jaxtyping.jaxtyped = jaxtyped

"""Sections of a config that scripts make too: each is a frozen dataclass that checks its values."""

import re
from collections.abc import Mapping
from functools import wraps
from typing import TypeVar, dataclass_transform

from pydantic import ConfigDict, Field, ValidationError, model_validator
from pydantic.dataclasses import dataclass

from ngpipe.config.base import STRICT, fields_of
from ngpipe.errors import ArgumentError, ArgumentTypeError, did_you_mean

Class = TypeVar("Class", bound=type)


@dataclass_transform(frozen_default=True, field_specifiers=(Field,))
def parameters(declared: Class) -> Class:
    """Make a class a section of a config and a frozen dataclass for scripts.

    Defaults, units, descriptions and checks stand in its fields alone. Values are given in the
    order of the fields or by name, and ``dataclasses.replace`` and ``asdict`` work. A config that
    holds a mistake names it with all others of its file; a script gets an error of ngpipe.

    Args:
        declared: the class, with a ``Field`` for each parameter.

    Raises:
        ArgumentError: on making an object with a value that is not allowed.
        ArgumentTypeError: on making one with a parameter that does not exist.
    """

    def nothing_is_all_defaults(cls: type, content: object) -> object:
        """A section without keys, as when all of them are commented out."""
        return {} if content is None else content

    declared._nothing_is_all_defaults = model_validator(mode="before")(
        classmethod(nothing_is_all_defaults)
    )
    about = {"description": (declared.__doc__ or "").partition("\n")[0]}
    config = ConfigDict(**STRICT, json_schema_extra=about)
    made = dataclass(declared, frozen=True, config=config)
    checked = made.__init__

    @wraps(checked)
    def init(self: object, *args: object, **values: object) -> None:
        try:
            checked(self, *args, **values)
        except ValidationError as error:
            raise _refusal(made, error.errors(include_url=False)[0]) from None

    made.__init__ = init
    return made


def _refusal(made: type, mistake: Mapping) -> ArgumentError:
    """The first mistake in the words of the library."""
    names = list(fields_of(made))
    place = mistake["loc"][0] if mistake["loc"] else None
    if mistake["type"] == "unexpected_keyword_argument":
        unknown = f"has no parameter {place!r}{did_you_mean(place, names)}"
        return ArgumentTypeError(f"{made.__name__} {unknown}; it has {', '.join(names)}")
    if mistake["type"] == "unexpected_positional_argument":
        most = f"takes {len(names)} values at most"
        return ArgumentTypeError(f"{made.__name__} {most}; it has {', '.join(names)}")
    said = mistake["msg"].removeprefix("Value error, ")
    if place is None:
        return ArgumentError(said)
    name = names[place] if isinstance(place, int) else place
    expected = re.sub("^Input should (be |have )?", "", said)
    expected = re.sub("^(greater|less) than", r"a number \g<0>", expected)
    return ArgumentError(
        f"{name} of {made.__name__} is {mistake['input']!r}, expected {expected}; change it"
    )

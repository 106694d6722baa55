"""Records that stand as literals in the modules they are about, read from the text of these.

A module lists its records in a tuple at its top level: one call each, all arguments literals.
Importing such modules would load Matplotlib or scipy, which the command line, Snakemake and the
docs can do without.
"""

import ast
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol, TypeVar, runtime_checkable

from ngpipe.errors import ConfigError


@runtime_checkable
class Named(Protocol):
    """A record, with its name and the module where it stands."""

    @property
    def name(self) -> str:
        """What it is called."""

    @property
    def module(self) -> str:
        """Where it stands."""


Record = TypeVar("Record", bound=Named)


def records(
    room: Path, package: str, listed: str, kind: Callable[..., Record], what: str
) -> dict[str, Record]:
    """All records of a room of ngpipe, by their names.

    Args:
        room: directory whose modules, at any depth, may list records.
        package: its name, with dots.
        listed: name of the tuples that list them.
        kind: makes a record of the arguments that are written there, and of ``module``.
        what: word for such a thing in messages.

    Raises:
        ConfigError: two records of one name.
    """
    found: dict[str, Record] = {}
    for path in sorted(room.rglob("*.py")):
        module = ".".join((package, *path.relative_to(room).with_suffix("").parts))
        for call in _calls(path, listed):
            args = [ast.literal_eval(one) for one in call.args]
            options = {str(one.arg): ast.literal_eval(one.value) for one in call.keywords}
            record = kind(*args, **options, module=module)
            if record.name in found:
                raise ConfigError(
                    f"{what} '{record.name}' stands in {found[record.name].module} and in "
                    f"{module}; give one of them another name"
                )
            found[record.name] = record
    return found


def _calls(path: Path, listed: str) -> Iterator[ast.Call]:
    """The calls that a module lists."""
    pattern = re.compile(rf"^{listed} = (\($.*?^\))$", re.MULTILINE | re.DOTALL)
    found = pattern.search(path.read_text(encoding="utf-8"))
    if found is not None:
        every = ast.parse(found[1], mode="eval").body
        yield from getattr(every, "elts", ())

"""Layout of the files of a connectome: names of columns, and what to do with unclear entries."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal

from ngpipe.config.files import TextFormat
from ngpipe.errors import ConnectomeError


@dataclass(frozen=True)
class Layout:
    """Column names of a user's files, and the treatment of unclear entries.

    Attributes:
        pre: column of the sender's id.
        post: column of the receiver's id.
        weight: column of the weight; None if each row is one synapse.
        sign: column of edges with +1 or -1, which multiplies the weight.
        where: only edges with this value, or one of these values, in a column.
        duplicates: repeated edges add up (``sum``) or are an error (``refuse``).
        unknown: edges of neurons that the neuron table lacks are an error (``refuse``) or left
            out and counted (``drop``).
        id: column of the neuron table that is the id.
        rename: columns of the neuron table, old name to new.
        rows: what the rows of a matrix or labelled sheet are: ``post`` or ``pre``.
        variable: name of the matrix, or of the population of edges, in a file that holds several.
        text: how a table of text or a sheet is laid out.
        stated: names of the options that were given.
    """

    pre: str = "pre"
    post: str = "post"
    weight: str | None = "weight"
    sign: str | None = None
    where: Mapping[str, object] = field(default_factory=dict)
    duplicates: Literal["sum", "refuse"] = "sum"
    unknown: Literal["refuse", "drop"] = "refuse"
    id: str = "id"
    rename: Mapping[str, str] = field(default_factory=dict)
    rows: Literal["post", "pre"] = "post"
    variable: str | None = None
    text: TextFormat = field(default_factory=TextFormat)
    stated: frozenset[str] = frozenset()

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> "Layout":
        """A layout from keyword arguments.

        Raises:
            ConnectomeError: a name or a choice that does not exist.
        """
        of_text = {name: value for name, value in given.items() if name in TextFormat.model_fields}
        given = {name: value for name, value in given.items() if name not in of_text}
        names = [f.name for f in fields(cls) if f.name not in ("text", "stated")]
        choices: dict[str, tuple[str, ...]] = {"duplicates": ("sum", "refuse")}
        choices["unknown"] = ("refuse", "drop")
        choices["rows"] = ("post", "pre")
        for name, value in given.items():
            if name not in names:
                raise ConnectomeError(
                    f"no option '{name}'; a file's layout is told by {names} and "
                    f"{list(TextFormat.model_fields)}"
                )
            if name in choices:
                check_choice(name, value, choices[name])
        try:
            text = TextFormat(**of_text)
        except ValueError as error:
            raise ConnectomeError(f"the layout of the text: {error}") from error
        return cls(**given, text=text, stated=frozenset(given))


def check_choice(name: str, value: object, choices: Collection[object]) -> None:
    """Refuse a word that is none of those expected.

    Raises:
        ConnectomeError: naming the argument.
    """
    if value not in choices:
        raise ConnectomeError(f"{name}={value!r}, expected one of {list(choices)}")

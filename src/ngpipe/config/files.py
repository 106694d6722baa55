"""Kinds of files by suffix, and the layout of tables of text."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, BeforeValidator, Field, field_validator, model_validator

from ngpipe.config.base import Section, unit

TEXT = (".csv", ".tsv", ".txt")
TABLES = (*TEXT, ".xlsx", ".parquet", ".feather")
MATRICES = (".pt", ".npy", ".npz", ".zarr", ".mtx", ".mat", ".h5")
GRAPHS = (".graphml", ".gml", ".gexf", ".json")
COMPRESSED = (".gz", ".bz2", ".xz", ".zip")
"""Suffixes that may follow the suffix of a file of text."""
_PACKABLE = (*TEXT, ".mtx", *GRAPHS)
_OTHER_NAMES = {".hdf5": ".h5", ".xlsm": ".xlsx"}
_REFUSED = {
    ".net": "networkx misreads Pajek files: undirected lines as one-way, lists of receivers as "
    "weights; write the graph as .graphml",
    ".xls": "it is the format of Excel before 2007; save it as .xlsx",
    ".pkl": "opening a pickle runs the code in it; write .csv, .parquet or .npz",
}
_REFUSED |= {".paj": _REFUSED[".net"], ".pickle": _REFUSED[".pkl"]}
WHITESPACE = r"\s+"
"""Separator of the columns of a text: any run of blanks and tabs."""
_SEPARATORS = {"tab": "\t", "comma": ",", "semicolon": ";", "whitespace": WHITESPACE}
_BY_SUFFIX = {".csv": ",", ".tsv": "\t"}


def kind(path: str | Path, known: Sequence[str] = (*TABLES, *MATRICES, *GRAPHS)) -> str:
    """The kind of a file: its suffix in small letters, without that of a compression.

    Args:
        path: the file, which need not exist.
        known: the kinds that are of use where the file is named.

    Raises:
        ValueError: a suffix that is none of them, with what is known.
    """
    suffixes = [suffix.lower() for suffix in Path(path).suffixes] or [""]
    packed = len(suffixes) > 1 and suffixes[-1] in COMPRESSED
    found = _OTHER_NAMES.get(suffixes[-1 - packed], suffixes[-1 - packed])
    if found in _REFUSED:
        raise ValueError(f"{path} is not read: {_REFUSED[found]}")
    if found not in known or (packed and found not in _PACKABLE):
        named = "".join(suffixes[-1 - packed :])
        packable = [one for one in known if one in _PACKABLE]
        also = f" ({', '.join(packable)} also as {', '.join(COMPRESSED)})" if packable else ""
        raise ValueError(f"{path}: unknown kind '{named}', expected one of {list(known)}{also}")
    return found


def compression(path: str | Path) -> str:
    """``.gz`` and the like; empty for a file that is not compressed."""
    last = Path(path).suffix.lower()
    return last if last in COMPRESSED else ""


def separator(word: str | None, kind: str) -> str | None:
    r"""Separator of the columns of a text: one character, or ``\s+`` for any run of blanks.

    Args:
        word: one character, ``tab``, ``comma``, ``semicolon``, ``whitespace``, or None: a comma in
            ``.csv``, a tab in ``.tsv``.
        kind: of the file.

    Returns:
        None for a ``.txt`` of which nothing is said: its first line decides.

    Raises:
        ValueError: another word.
    """
    if word is None:
        return _BY_SUFFIX.get(kind)
    found = _SEPARATORS.get(word, word)
    if found != WHITESPACE and (len(found) != 1 or found in "\r\n\"'"):
        raise ValueError(
            f"separator {word!r} is neither one character nor one of {list(_SEPARATORS)}"
        )
    return found


def path_of(known: Sequence[str]) -> AfterValidator:
    """Lets a path pass that is one to a file of one of these kinds."""

    def checked(path: str) -> str:
        kind(path, known)
        return path

    return AfterValidator(checked)


class TextFormat(Section):
    """Layout of a table that differs from the default."""

    separator: str | None = Field(
        None,
        description="Separator of the columns of a text: a character, `tab`, `comma`, "
        "`semicolon`, or `whitespace` for any run of blanks and tabs. Null: by suffix; for .txt a "
        "tab if the first line has one, else whitespace.",
    )
    comment: Annotated[str, Field(min_length=1)] | None = Field(
        None,
        description="Lines of a text that begin with this are skipped. With the separator "
        "`whitespace`, the rest of a line after a blank and this is skipped too. Null: none.",
    )
    skip: Annotated[int, Field(ge=0, json_schema_extra=unit("1"))] = Field(
        0,
        description="Number of lines to skip above the header, or above the data if there is none.",
    )
    header: bool | tuple[str, ...] = Field(
        True,
        description="True: the first line names the columns. False: columns are named 1, 2, .... "
        "Or a list of their names.",
    )
    sheet: str | None = Field(
        None, description="Name of the sheet of an .xlsx. Null: the only one."
    )
    corner: Annotated[str, Field(pattern=r"^[A-Za-z]{1,3}[1-9]\d*$")] | None = Field(
        None,
        description="For a sheet with names above and left of its numbers: the cell where the row "
        "and the column of names meet, such as C3. Null: A1.",
    )

    @field_validator("separator")
    @classmethod
    def _is_a_separator(cls, word: str | None) -> str | None:
        separator(word, ".txt")
        return word


def check_format(path: str | Path, layout: TextFormat) -> None:
    """Refuse layout options of a text or a sheet if the file is neither.

    Raises:
        ValueError: naming the option and the file.
    """
    of = {"separator": TEXT, "comment": TEXT, "sheet": (".xlsx",)}
    for name, field in TextFormat.model_fields.items():
        usable = of.get(name, (*TEXT, ".xlsx"))
        if getattr(layout, name) != field.default and kind(path) not in usable:
            raise ValueError(
                f"{name} says how {', '.join(usable)} are laid out, but {path} is none; leave it "
                "out"
            )


class TableFile(TextFormat):
    """A table and how it is laid out."""

    path: Annotated[str, path_of(TABLES)] = Field(description="The file that holds the table.")

    @model_validator(mode="after")
    def _is_text(self) -> "TableFile":
        check_format(self.path, self)
        return self


def _as_table(given: object) -> object:
    return {"path": given} if isinstance(given, str) else given


Table = Annotated[TableFile, BeforeValidator(_as_table, json_schema_input_type=str | TableFile)]
"""A table named in a config: its path, or a section that also says how it is laid out."""

"""Tables from files: text of any layout, sheets of Excel, parquet and feather."""

import bz2
import csv
import gzip
import io
import lzma
import re
import warnings
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pandas.api.types import is_integer_dtype

from ngpipe.config import files as kinds
from ngpipe.config.files import WHITESPACE, TextFormat
from ngpipe.errors import ConnectomeError, StoreError
from ngpipe.wiring.columns import whole_with_gaps

NO_VALUE = re.compile(rb"(?:</f>|<f\b[^>]*/>)\s*(?:<v\s*/>|<v>\s*</v>|(?!\s*<v))")
"""A formula of a sheet beside which no program has written its value."""


AS_USUAL = TextFormat()


def read(path: Path, layout: TextFormat = AS_USUAL) -> pd.DataFrame:
    """A table as it is stored; of a sheet with a corner the first column holds the names.

    Raises:
        StoreError: a library is missing that reads this kind, the sheet is not named or has no
            values, or the lines do not fit the header.
    """
    try:
        kinds.check_format(path, layout)
    except ValueError as error:
        raise StoreError(str(error)) from error
    kind = kinds.kind(path, kinds.TABLES)
    if kind in (".parquet", ".feather"):
        return _arrow(path, kind)
    table = _workbook(path, layout) if kind == ".xlsx" else _text(path, kind, layout)
    return table if layout.corner is None else _named_at(path, table, layout.corner)


def numbers(table: pd.DataFrame, path: object) -> np.ndarray:
    """The square matrix that a text without header and labels holds.

    Raises:
        ConnectomeError: cells that are no numbers, or no square; where an edge list is meant, its
            columns are to be named.
    """
    numeric = [name for name in table if pd.api.types.is_numeric_dtype(table[name])]
    if len(numeric) < table.shape[1] or table.shape[0] != table.shape[1]:
        raise ConnectomeError(
            f"{path}: without a header it holds {table.shape[0]} rows of {table.shape[1]} columns, "
            f"{len(numeric)} of them numbers, expected a square matrix; for an edge list, say "
            "which columns are pre, post and weight, such as pre='1', post='2', or name all "
            "columns in header"
        )
    return table.to_numpy(np.float64)


@contextmanager
def unpacked(path: Path) -> Iterator[io.BufferedIOBase]:
    """The bytes of a file, compressed or not.

    Raises:
        StoreError: a zip that holds several files.
    """
    openers: dict[str, Callable] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
    packing = kinds.compression(path)
    if packing != ".zip":
        with openers.get(packing, open)(path, "rb") as file:
            yield file
        return
    with zipfile.ZipFile(path) as archive:
        names = [name for name in archive.namelist() if not name.startswith("__MACOSX/")]
        if len(names) != 1:
            raise StoreError(f"{path} holds {len(names)} files, {names[:5]}; pack only one file")
        with archive.open(names[0]) as file:
            yield file  # type: ignore[misc]


def needed(library: str, path: Path, remedy: str):  # noqa: ANN201
    """A library that only some kinds of files need.

    Raises:
        StoreError: it is not installed.
    """
    try:
        return import_module(library)
    except ImportError as error:
        raise StoreError(f"{path} needs {library}, which is not installed; {remedy}") from error


def _arrow(path: Path, kind: str) -> pd.DataFrame:
    needed("pyarrow", path, "pip install pyarrow, or write the table as .csv")
    reader = {".parquet": pd.read_parquet, ".feather": pd.read_feather}[kind]
    found = reader(path)
    gaps = whole_with_gaps(found)
    return _exact(found, reader(path, columns=gaps, dtype_backend="numpy_nullable") if gaps else [])


def _exact(table: pd.DataFrame, again: pd.DataFrame | list) -> pd.DataFrame:
    """Whole numbers with gaps as they stand in the file, where long ids have lost digits."""
    whole = {name: again[name] for name in again if is_integer_dtype(again[name].dtype)}
    return table.assign(**whole) if whole else table


def _workbook(path: Path, layout: TextFormat) -> pd.DataFrame:
    needed("openpyxl", path, "pip install 'ngpipe[excel]', or save the sheet as .csv")
    with pd.ExcelFile(path, engine="openpyxl") as book:
        name = layout.sheet
        if name is None and len(book.sheet_names) == 1:
            name = book.sheet_names[0]
        if name not in book.sheet_names:
            raise StoreError(
                f"{path} holds the sheets {book.sheet_names}, not {name!r}; name one in sheet"
            )
        found = pd.read_excel(book, name, header=_header(layout), skiprows=layout.skip)
    with zipfile.ZipFile(path) as archive:
        sheets = [n for n in archive.namelist() if n.startswith("xl/worksheets/sheet")]
        lost = sum(len(NO_VALUE.findall(archive.read(one))) for one in sheets)
    if lost:
        raise StoreError(
            f"{path} holds {lost} formulas without their values, which would read as empty; open "
            "it in a spreadsheet program and save it, or save the sheet as .csv"
        )
    found = _with_header(path, found, layout)
    rounded = [name for name in found if _is_rounded(found[name])]
    if rounded:
        raise StoreError(
            f"{path}: columns {rounded} hold numbers of more than 15 digits, of which spreadsheets "
            "keep no more; write such ids as text, or the table as .csv"
        )
    return found


def _is_rounded(column: pd.Series) -> bool:
    """True if numbers are too long for a spreadsheet."""
    return pd.api.types.is_numeric_dtype(column) and bool((column.abs() >= 10**15).any())


def _text(path: Path, kind: str, layout: TextFormat) -> pd.DataFrame:
    """A table of text; ids and weights come as whole numbers, decimal numbers or text."""
    separator = kinds.separator(layout.separator, kind) or _of_first_line(path, layout)
    found = _parsed(path, separator, layout)
    found = _with_header(path, found, layout)
    if len(found.columns) == 1 and (other := _splits(found, separator, layout)):
        raise StoreError(
            f"{path} has one column when lines are split at {separator!r}, such as "
            f"{found.iloc[0, 0]!r}; they seem to split at {other}: set separator"
        )
    if separator == WHITESPACE and len(found) and found.iloc[:, -1].isna().any():
        _refuse_short_lines(path, found, layout)
    return found


def _parsed(path: Path, separator: str, layout: TextFormat) -> pd.DataFrame:
    options = {"sep": separator, "header": _header(layout), "encoding": "utf-8-sig"}
    options["skip_blank_lines"] = layout.corner is None  # else rows would not count as in the file
    with unpacked(path) as raw, warnings.catch_warnings():
        # chunks of one column that differ in type: read again, so that 17 and '17' are one id
        warnings.simplefilter("error", pd.errors.DtypeWarning)
        # with fewer names than columns pandas would take the first columns for an index
        source = _lines(raw, layout, separator)
        try:
            found = pd.read_csv(source, **options)
        except pd.errors.DtypeWarning:
            raw.seek(0)
            found = pd.read_csv(_lines(raw, layout, separator), **options, low_memory=False)
        except pd.errors.ParserError as error:
            raise StoreError(
                f"{path}: lines that are split at {separator!r} differ in their number of columns "
                f"({str(error).strip()}); set separator to what splits them, and skip or comment "
                "to what is not part of the table"
            ) from error
        if gaps := whole_with_gaps(found):
            raw.seek(0)
            with suppress(TypeError, ValueError):  # decimal numbers after all
                whole = dict.fromkeys(gaps, "Int64")
                source = _lines(raw, layout, separator)
                found = pd.read_csv(source, **options, dtype=whole, low_memory=False)
    if not isinstance(found.index, pd.RangeIndex):
        raise StoreError(
            f"{path}: lines have more columns than the header names, {list(found.columns)[:8]}; "
            "name all of them with header=[...] and skip=1, or end no line with a separator"
        )
    return found


def _lines(
    raw: io.BufferedIOBase, layout: TextFormat, separator: str | None = None
) -> io.BufferedIOBase:
    """The bytes below what is passed over; whole, where nothing is."""
    if layout.comment is None and not layout.skip:
        return raw
    # Elsewhere a cell may hold the mark of a comment after a blank, as in "cell #3".
    ends = separator == WHITESPACE
    return io.BufferedReader(_Kept(raw, layout.comment, layout.skip, ends=ends))


class _Kept(io.RawIOBase):
    """Lines of a file that are no comments, less the first few; ``ends``: nor end in one."""

    def __init__(
        self, raw: io.BufferedIOBase, comment: str | None, skip: int, *, ends: bool
    ) -> None:
        start = None if comment is None else comment.encode()
        lines = (one.removeprefix(b"\xef\xbb\xbf") if not i else one for i, one in enumerate(raw))
        if start is not None:
            lines = (one for one in lines if not one.lstrip().startswith(start))
        if start is not None and ends:
            remark = re.compile(rb"[ \t]" + re.escape(start) + rb"[^\r\n]*")
            lines = (remark.sub(b"", one) for one in lines)
        self._lines, self._left = islice(lines, skip, None), b""

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:  # noqa: ANN401
        """Fill the buffer with whole lines as far as it holds."""
        if not self._left:
            self._left = b"".join(islice(self._lines, 1000))
        n = min(len(buffer), len(self._left))
        buffer[:n], self._left = self._left[:n], self._left[n:]
        return n


def _header(layout: TextFormat) -> int | None:
    """Row that pandas takes as the header."""
    return 0 if layout.header is True and layout.corner is None else None


def _with_header(path: Path, table: pd.DataFrame, layout: TextFormat) -> pd.DataFrame:
    """The table with the names that its layout gives to columns without a header."""
    if _header(layout) == 0 or layout.corner is not None:
        return table
    n = table.shape[1]
    numbers = [str(i + 1) for i in range(n)]
    names = list(layout.header) if isinstance(layout.header, tuple) else numbers
    if len(names) != n:
        raise StoreError(
            f"{path} has {n} columns, and header names {len(names)}, {names}; name each, in order. "
            f"The first line is {table.iloc[0].tolist() if len(table) else []}"
        )
    return table.set_axis(names, axis=1)


def _of_first_line(path: Path, layout: TextFormat) -> str:
    with unpacked(path) as raw:
        line = _lines(raw, layout).readline()
    return "\t" if b"\t" in line.strip(b" \r\n") else WHITESPACE


def _splits(table: pd.DataFrame, separator: str, layout: TextFormat) -> str | None:
    """Separator that splits the lines of a one-column table into equally many parts."""
    lines = [str(value) for value in table.iloc[:5, 0]]
    lines += [str(table.columns[0])] if _header(layout) == 0 else []
    for word, mark in (("tab", "\t"), ("semicolon", ";"), ("comma", ","), ("whitespace", None)):
        parts = {len(line.split(mark)) for line in lines}
        if mark != separator and len(lines) > 1 and parts != {1} and len(parts) == 1:
            return word
    return None


def _refuse_short_lines(path: Path, table: pd.DataFrame, layout: TextFormat) -> None:
    """Runs of blanks hide empty cells, so that later cells move to the left."""
    with unpacked(path) as raw:
        source: Any = _lines(raw, layout, WHITESPACE)
        text = io.TextIOWrapper(source, "utf-8-sig")
        rows = csv.reader((line.replace("\t", " ") for line in text), delimiter=" ")
        lengths = np.array([sum(map(bool, row)) for row in rows])
    short = np.flatnonzero((lengths > 0) & (lengths < table.shape[1]))
    if len(short):
        raise StoreError(
            f"{path}: {len(short)} lines have fewer than {table.shape[1]} columns, the first is "
            f"line {short[0] + 1} of those read; between runs of blanks no cell can be empty: "
            "write such a table with tabs or commas"
        )


def _named_at(path: Path, raw: pd.DataFrame, corner: str) -> pd.DataFrame:
    """A labelled sheet whose names meet at ``corner``; rows and columns without a name are left."""
    letters = corner.rstrip("0123456789")
    row = int(corner.removeprefix(letters)) - 1
    column = 0
    for letter in letters.upper():
        column = 26 * column + ord(letter) - ord("A") + 1
    column -= 1
    if row + 1 >= raw.shape[0] or column + 1 >= raw.shape[1]:
        raise StoreError(
            f"{path} has {raw.shape[0]} rows and {raw.shape[1]} columns, so that no numbers lie "
            f"below and right of {corner}; correct corner"
        )
    beside, above = raw.iloc[row + 1 :, column], raw.iloc[row, column + 1 :]
    if not beside.notna().any() or not above.notna().any():
        raise StoreError(
            f"{path} has no names below or right of {corner}; the row above is "
            f"{raw.iloc[row].dropna().tolist()[:5]}, correct corner"
        )
    below = raw.iloc[row + 1 :, column + 1 :]
    cells = below.loc[beside.notna(), above.notna()]
    n_all, n_named = (
        part.apply(pd.to_numeric, errors="coerce").count().sum() for part in (below, cells)
    )
    if n_named < n_all / 2:
        raise StoreError(
            f"{path}: {n_all - n_named} of {n_all} numbers below and right of {corner} have no "
            "name in its row and column; correct corner"
        )
    names = pd.Series(beside[beside.notna()], name=corner)
    found = pd.concat([names, cells.set_axis(above[above.notna()], axis=1)], axis=1)
    return found.reset_index(drop=True)

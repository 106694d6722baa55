"""Tables of activity: text, parquet, feather and Excel, with a row or a column for each neuron."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from pathlib import Path

import numpy as np
import pandas as pd

from ngpipe.acquisition.formats.chunked import in_memory
from ngpipe.acquisition.formats.contents import Candidate, Contents
from ngpipe.acquisition.formats.extras import needed
from ngpipe.config import files as kinds
from ngpipe.config.files import TextFormat
from ngpipe.errors import ConnectomeError, RecordingError, StoreError
from ngpipe.wiring.sources import opened, table_files

Noted = tuple[pd.DataFrame, tuple[str, ...]]


@contextmanager
def reads(path: Path) -> Iterator[Contents]:
    """The columns of numbers of each sheet as one series, and every column alone.

    Raises:
        RecordingError: it is no such table, or a library is missing.
    """
    candidates: dict[str, Callable[[], Candidate]] = {}
    columns: dict[str, Callable[[], np.ndarray]] = {}
    try:
        sheets = _sheets(path)
        for name, sheet in sheets.items():
            within = "" if len(sheets) == 1 else f"{name}/"
            candidates[name] = partial(_candidate, path, name, sheet, within)
            columns |= {f"{within}{key}": partial(_column, sheet, key) for key in sheet()[0]}
    except (StoreError, ConnectomeError, ValueError) as error:
        raise RecordingError(str(error)) from error
    yield Contents(path, candidates, columns)


def _sheets(path: Path) -> dict[str, Callable[[], Noted]]:
    """Sheets of a workbook, or the one table of another file."""
    if kinds.kind(path, kinds.TABLES) != ".xlsx":
        return {path.name.partition(".")[0]: cache(lambda: _table(path, TextFormat()))}
    needed("openpyxl", path, "excel")
    with pd.ExcelFile(path, engine="openpyxl") as book:
        names = [str(name) for name in book.sheet_names]
    return {n: cache(lambda n=n: _table(path, TextFormat(sheet=n))) for n in names}


def _table(path: Path, layout: TextFormat) -> Noted:
    """A table with its columns; a first line of measured values is no header."""
    table = opened.opened(table_files.read, path, layout)
    if not isinstance(table.index, pd.RangeIndex):
        table = table.reset_index()
    notes: tuple[str, ...] = ()
    kind = kinds.kind(path, kinds.TABLES)
    if kind in (*kinds.TEXT, ".xlsx") and _is_data(list(map(str, table))):
        layout = layout.model_copy(update={"header": False})
        table = opened.opened(table_files.read, path, layout)
        notes = ("its first line holds numbers, so it is read as values, not as a header",)
    table.columns = [str(name) for name in table]
    counting = [name for name in table if _is_counting(name, table[name])]
    if counting:
        notes += (f"column '{counting[0]}' only counts the rows, and is left out",)
    return table.drop(columns=counting), notes


def _is_data(header: list[str]) -> bool:
    """True of a first line that is all numbers, other than 0, 1, 2, ... or 1, 2, 3, ...."""
    named = [name for name in header if not name.startswith("Unnamed: ")]
    counts = [[str(k + first) for k in range(len(named))] for first in (0, 1)]
    return bool(named) and named not in counts and all(map(_is_number, named))


def _is_number(text: str) -> bool:
    """True of a number, also with the suffix that pandas gives to a repeated name."""
    for one in (text, text.rpartition(".")[0]):
        try:
            float(one)
        except ValueError:
            continue
        return True
    return False


def _is_counting(name: str, column: pd.Series) -> bool:
    """True of a column without a name that counts the rows, as pandas writes its index."""
    unnamed = name.startswith("Unnamed: ") or name in ("index", "__index_level_0__")
    return unnamed and np.array_equal(column.to_numpy(), np.arange(len(column)))


def _column(sheet: Callable[[], Noted], key: str) -> np.ndarray:
    return sheet()[0][key].to_numpy()


def _candidate(path: Path, name: str, sheet: Callable[[], Noted], within: str) -> Candidate:
    """All columns of numbers.

    Raises:
        RecordingError: there are none.
    """
    table, notes = sheet()
    numeric = [
        key
        for key in table
        if pd.api.types.is_numeric_dtype(table[key]) and not table[key].isna().all()
    ]
    if not numeric:
        raise RecordingError(
            f"{path}: no column of '{name}' holds numbers alone, but {list(table)[:6]}; write a "
            "table with a column for each neuron and a row for each frame"
        )
    words = [key for key in table if key not in numeric]
    if words:
        notes += (f"columns without numbers are not activity: {', '.join(words[:6])}",)
    values = table[numeric].to_numpy(np.float64, na_value=np.nan)
    keys = tuple(f"{within}{key}" for key in numeric)
    return Candidate(name, in_memory(values), columns=keys, notes=notes)

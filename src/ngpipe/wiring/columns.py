"""Columns of users' tables by any program: names, ids, groups.

Every reader comes through here, so that one rule holds for all of them:

- names of columns and text have no blanks around them; text that is blank is missing;
- whole numbers keep all digits, whichever of the integer types of numpy, pandas or pyarrow they
  have, and whether or not some are missing;
- a group is named by the text a user sees: ``20`` for 20, 20.0 and '20'.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal
from numbers import Integral, Real

import numpy as np
import pandas as pd

from ngpipe.errors import ConnectomeError

MOST = 2**63
"""The first whole number that int64 does not hold."""
WIDEST = 16
"""Lists of up to so many numbers become a column each."""
CANONICAL = re.compile(r"0|-?[1-9]\d*")
"""A whole number as every program writes it."""
NUMBER_LIKE = re.compile(r"[+-]?\d[\d_,]*(\.\d*)?([eE][+-]?\d+)?|[+-]?\.\d+")
"""Text that some program might take for a number."""


@dataclass(frozen=True)
class Ids:
    """Ids of the rows of a column, exact.

    Attributes:
        name: what the column is called, for messages.
        values: int64, uint64 where it must be, or text (object).
        codes: place of each row's id in ``values``; None: a value for each row.
    """

    name: str
    values: np.ndarray
    codes: np.ndarray | None = None

    @property
    def kind(self) -> str:
        """``text`` or ``number``."""
        return "text" if self.values.dtype == object else "number"

    def of_rows(self, per_value: np.ndarray) -> np.ndarray:
        """Known values, for each row."""
        return per_value if self.codes is None else per_value[self.codes]

    def as_text(self) -> "Ids":
        """The same ids as text."""
        if self.kind == "text":
            return self
        codes, values = pd.factorize(self.of_rows(self.values))
        return Ids(self.name, np.array(list(map(str, values)), dtype=object), codes)


def few(values: Iterable, n: int = 5) -> str:
    """The first values, for a message."""
    values = list(values)
    shown = ", ".join(map(str, values[:n])) or "none"
    return shown + (f" and {len(values) - n} others" if len(values) > n else "")


def named(table: pd.DataFrame, what: str) -> pd.DataFrame:
    """The same table, its columns named by text without blanks around it.

    Raises:
        ConnectomeError: two columns of one name.
    """
    names = pd.Index([str(name).strip() for name in table.columns])
    if names.has_duplicates:
        twice = names[names.duplicated()].unique()
        raise ConnectomeError(
            f"{what} has several columns called {few(map(repr, twice))} (blanks around a name do "
            "not count); rename or remove all but one"
        )
    return table if names.equals(table.columns) else table.set_axis(names, axis=1)


def tidy(table: pd.DataFrame, what: str) -> tuple[pd.DataFrame, list[str]]:
    """A table of neurons or cells whose columns are all :func:`plain`, and what was done to it.

    Columns of lists of equally many numbers become a column each, ``position_0``, ``position_1``
    ...; other columns that hold several values in a cell are left out.

    Raises:
        ConnectomeError: two columns of one name.
    """
    table = named(table, what).reset_index(drop=True)
    found, notes = {}, []
    for name in table:
        column = table[name]
        if not _is_nested(column):
            found[name] = plain(column)
            continue
        parts = _spread(column)
        if parts is None or set(parts) & set(table):
            notes.append(f"column '{name}' of {what} left out: its cells hold several values")
            continue
        notes.append(f"column '{name}' of {what} split into {few(parts, WIDEST)}")
        found |= parts
    return pd.DataFrame(found, index=table.index), notes


def plain(column: pd.Series) -> pd.Series:
    """A column in the simplest type that holds it exactly.

    Whole numbers become int64 (uint64 from 2^63 on, ``Int64`` or ``UInt64`` with gaps), truth
    values bool or ``boolean``, other numbers stay, everything else is text without blanks around
    it, missing where it is blank.
    """
    if isinstance(column.dtype, pd.CategoricalDtype):
        values = plain(pd.Series(column.cat.categories)).to_numpy(dtype=object)
        taken = np.append(values, [None])[column.cat.codes]
        return plain(pd.Series(taken, column.index, dtype=object, name=column.name))
    kind = pd.api.types.infer_dtype(column) if column.dtype == object else ""
    if pd.api.types.is_bool_dtype(column.dtype) or kind == "boolean":
        gaps = column.isna().any()
        return column.astype("boolean") if gaps else column.astype(bool)
    if pd.api.types.is_integer_dtype(column.dtype) or kind in ("integer", "decimal"):
        return _whole(column)
    if pd.api.types.is_float_dtype(column.dtype):
        return column if isinstance(column.dtype, np.dtype) else _floats(column)
    return _floats(column) if kind in ("floating", "mixed-integer-float") else _text(column)


def ids(column: pd.Series, name: str) -> Ids:
    """The ids that a column holds.

    Raises:
        ConnectomeError: ids that are missing, or neither whole numbers nor text.
    """
    if isinstance(column.dtype, pd.CategoricalDtype):
        codes = column.cat.codes.to_numpy()
        _refuse_missing(codes < 0, name)
        known = ids(pd.Series(column.cat.categories), name)
        return Ids(name, known.of_rows(known.values), codes)
    if pd.api.types.is_integer_dtype(column.dtype) and not column.isna().any():
        return Ids(name, _whole(column).to_numpy())
    if is_text(column):
        codes, values = _stripped(column)
        _refuse_missing(codes < 0, name)
        return Ids(name, values, codes)
    found = plain(column)
    _refuse_missing(found.isna().to_numpy(), name)
    if pd.api.types.is_integer_dtype(found.dtype):
        return Ids(name, found.to_numpy())
    if is_text(found) and not pd.api.types.is_datetime64_any_dtype(column.dtype):
        return Ids(name, found.to_numpy(dtype=object))
    raise ConnectomeError(
        f"column '{name}' holds ids of type {column.dtype} ({pd.api.types.infer_dtype(column)}), "
        "expected whole numbers or text (numbers with a decimal point lose the digits of long ids)"
    )


def joined(first: Ids, second: Ids) -> tuple[Ids, Ids, list[str]]:
    """Both ids as numbers or both as text, and a note if text was joined to numbers.

    Numbers meet text where some text is a whole number as every program writes it: 17 is '17'.

    Raises:
        ConnectomeError: no text is such a number, or one may mean a number and may not: '017'.
    """
    if first.kind == second.kind or not len(first.values) or not len(second.values):
        return first, second, []
    text, number = (first, second) if first.kind == "text" else (second, first)
    words = set(text.values.tolist())
    if not any(CANONICAL.fullmatch(word) for word in words):
        raise ConnectomeError(
            f"column '{first.name}' holds ids of another type ({first.kind}, such as "
            f"{first.values[0]}) than column '{second.name}' ({second.kind}, such as "
            f"{second.values[0]}), and none of the text is a number; give both the same ids"
        )
    known = set(map(float, np.unique(number.values).tolist()))
    unclear = sorted(word for word in words if _value(word) in known)
    if unclear:
        raise ConnectomeError(
            f"'{text.name}' holds the text {few(map(repr, unclear))}, which may mean a number of "
            f"'{number.name}' or be a name of its own; write the ids of both in the same way"
        )
    note = f"ids of '{number.name}' are numbers, of '{text.name}' text: joined as text"
    return first.as_text(), second.as_text(), [note]


def positions(rows: Ids, table: Ids) -> np.ndarray:
    """Place of each row's id in the table, -1 where the table lacks it; of ids :func:`joined`."""
    wanted, known = rows.values, table.of_rows(table.values)
    if wanted.dtype == known.dtype:
        return rows.of_rows(pd.Index(known).get_indexer(pd.Index(wanted)))
    if not len(wanted) or not len(known):
        return rows.of_rows(np.full(len(wanted), -1))
    # int64 against uint64: as the latter, where negative numbers have no place
    unsigned = [v.astype(np.uint64) for v in (known, wanted)]
    found = pd.Index(unsigned[0]).get_indexer(pd.Index(unsigned[1]))
    negative = (wanted < 0) | ((found >= 0) & (known[found] < 0))
    return rows.of_rows(np.where(negative, -1, found))


def all_of(first: Ids, second: Ids) -> np.ndarray:
    """All ids of both, each once, sorted; of ids :func:`joined`.

    Raises:
        ConnectomeError: numbers that no integer type holds together.
    """
    parts = [pd.unique(one.values) for one in (first, second)]
    if {part.dtype for part in parts} == {np.dtype("int64"), np.dtype("uint64")}:
        if min(part.min(initial=0) for part in parts) < 0:
            raise ConnectomeError(
                f"'{first.name}' and '{second.name}' hold ids below 0 and ids from 2^63 on; give "
                "them as text"
            )
        parts = [part.astype(np.uint64) for part in parts]
    return np.sort(pd.unique(np.concatenate(parts)))


def label(value: object) -> str:
    """The text a user sees of a value: ``20`` for 20, 20.0 and ' 20'."""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, bool | np.bool_):
        return str(bool(value))
    if isinstance(value, Integral):
        return str(int(value))
    if isinstance(value, Real) and not isinstance(value, Decimal):
        return np.format_float_positional(value, trim="-")  # type: ignore[arg-type]
    return str(value)


def labels(column: pd.Series) -> pd.Series:
    """The text a user sees in each row, missing where nothing is known."""
    codes, names, _ = numbered(column)
    text = pd.Series(np.append(names.to_numpy(dtype=object), [None])[codes], dtype=object)
    return text.set_axis(column.index).rename(column.name)


def numbered(column: pd.Series) -> tuple[np.ndarray, pd.Index, pd.Series]:
    """Number of each row's group (-1: none), names of the groups as text, and their values.

    Groups are in the order of their first appearance.
    """
    codes, values = pd.factorize(plain(column))
    # as an array: a list would turn 0.1 in single precision into 0.10000000149011612
    words = [label(value) for value in values.to_numpy()]
    return codes, pd.Index(words, dtype=object), pd.Series(values)


def chosen(
    column: pd.Series, wanted: Iterable, name: str
) -> tuple[np.ndarray, np.ndarray, pd.Series]:
    """Number of each row's group, those of the groups wanted, and the values of all groups.

    Raises:
        ConnectomeError: a group that no row belongs to, with those there are; see :func:`label`.
    """
    codes, names, values = numbered(column)
    words = [label(value) for value in wanted]
    if pd.api.types.is_bool_dtype(column.dtype):
        words = [word.capitalize() for word in words]
    found = names.get_indexer(pd.Index(words, dtype=object))
    if (found < 0).any():
        absent = [word for word, place in zip(words, found, strict=True) if place < 0]
        raise ConnectomeError(
            f"{name} {few(absent)}; the values of '{column.name}' are {few(names, 12)}"
        )
    return codes, found, values


def is_text(column: pd.Series) -> bool:
    """True if a column holds nothing but text."""
    if column.dtype == object:
        return not len(column) or pd.api.types.infer_dtype(column) in ("string", "empty")
    return pd.api.types.is_string_dtype(column.dtype)


def whole_with_gaps(table: pd.DataFrame) -> list:
    """Columns that pandas read as decimal numbers for no other reason than gaps.

    Long ids among them have lost digits; read them again as ``Int64``.
    """
    floats = table.select_dtypes("float64")
    gaps = floats.isna()
    fit = gaps.any() & ~gaps.all() & ((floats % 1 == 0) | gaps).all()
    return [name for name in floats if fit[name]]


def _refuse_missing(missing: np.ndarray, name: str) -> None:
    if missing.any():
        raise ConnectomeError(
            f"column '{name}' lacks {missing.sum()} of {len(missing)} ids, the first in row "
            f"{missing.argmax()}; leave those rows out"
        )


def _stripped(column: pd.Series) -> tuple[np.ndarray, np.ndarray]:
    """Place of each row among the values (-1: missing), and these, without blanks around them."""
    codes, values = pd.factorize(column)
    words = np.array([label(value) for value in values], dtype=object)
    blank = np.append(words == "", True)  # -1, what pandas calls missing, is the last
    return np.where(blank[codes], -1, codes), words


def _text(column: pd.Series) -> pd.Series:
    if len(column) and not column.notna().any() and column.dtype != object:
        return column
    codes, words = _stripped(column)
    values = np.append(words, [None])[codes]
    text = pd.Series(values, column.index, dtype="str", name=column.name)
    return text.where(codes >= 0)


def _whole(column: pd.Series) -> pd.Series:
    """Whole numbers of any type, exact; text where 64 bits do not hold them."""
    if column.dtype == np.int64:
        return column
    gaps = column.isna().to_numpy()
    filled = column.where(~gaps, 0) if column.dtype == object else column.fillna(0)
    if column.dtype == object:
        if any(value % 1 for value in filled):
            return _floats(column)
        values = np.array([int(value) for value in filled], dtype=object)
        low, high = values.min(initial=0), values.max(initial=0)
        if low < -MOST or high >= 2 * MOST or (low < 0 and high >= MOST):
            return _text(column)
        values = values.astype(np.uint64 if high >= MOST else np.int64)
    else:
        unsigned = pd.api.types.is_unsigned_integer_dtype(column.dtype)
        values = filled.to_numpy(np.uint64 if unsigned else np.int64)
        if unsigned and values.max(initial=0) < MOST:
            values = values.astype(np.int64)
    if gaps.any():
        values = pd.arrays.IntegerArray(values, gaps)
    return pd.Series(values, column.index, name=column.name)


def _floats(column: pd.Series) -> pd.Series:
    values = column.to_numpy(np.float64, na_value=np.nan)
    return pd.Series(values, column.index, name=column.name)


def _value(word: str) -> float | None:
    """The number that some program might take this text for, though it is written otherwise."""
    if CANONICAL.fullmatch(word) or not NUMBER_LIKE.fullmatch(word):
        return None
    return float(re.sub("[_,]", "", word))


def _is_nested(column: pd.Series) -> bool:
    """True if cells hold lists, arrays or mappings."""
    if isinstance(column.dtype, pd.ArrowDtype):
        return column.dtype.kind == "O" and column.dtype.type in (list, dict)
    if column.dtype != object:
        return False
    return any(isinstance(value, list | tuple | np.ndarray | dict | set) for value in column)


def _spread(column: pd.Series) -> dict[str, pd.Series] | None:
    """A column for each place of lists of equally many numbers; None of other cells."""
    known = column.notna().to_numpy()
    cells = [value for value, there in zip(column, known, strict=True) if there]
    lengths = {len(cell) if isinstance(cell, list | tuple | np.ndarray) else 0 for cell in cells}
    if len(lengths) != 1 or not 0 < (width := lengths.pop()) <= WIDEST:
        return None
    parts = {}
    for place in range(width):
        values = pd.Series([None] * len(column), column.index, dtype=object)
        values[known] = [cell[place] for cell in cells]
        part = plain(values)
        if not pd.api.types.is_numeric_dtype(part.dtype):
            return None
        parts[f"{column.name}_{place}"] = part
    return parts

"""Checks of tables and ids that users give, before anything is computed from them."""

from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
import pandas as pd

from ngpipe.errors import ArgumentError


def check_columns(table: pd.DataFrame, expected: Sequence[str], what: str) -> None:
    """Refuse a table that lacks columns.

    Raises:
        ArgumentError: naming the columns that it lacks and those that it has.
    """
    missing = [name for name in expected if name not in table.columns]
    if missing:
        raise ArgumentError(
            f"{what} must contain columns: {list(expected)}; it lacks {missing} and has "
            f"{list(table.columns)}"
        )


def check_finite(values: pd.Series, what: str) -> None:
    """Refuse values that are not finite numbers.

    Raises:
        ArgumentError: naming the first of them and its row.
    """
    numbers = pd.to_numeric(values, errors="coerce").to_numpy(dtype=np.float64)
    bad = np.flatnonzero(~np.isfinite(numbers))
    if bad.size:
        raise ArgumentError(
            f"{what} hold {values.iloc[bad[0]]!r} as value in row {bad[0]}; expected a finite "
            "number"
        )


def check_kind(given: Collection[Any], neurons: Collection[Any], name: str) -> None:
    """Refuse ids that are text where the table has numbers, or the reverse: none would be found.

    Raises:
        ArgumentError: naming one id of each.
    """
    kinds = [{isinstance(neuron, str) for neuron in ids} for ids in (given, neurons)]
    if {True} in kinds and {False} in kinds:
        one, other = next(iter(given)), next(iter(neurons))
        one, other = (getattr(neuron, "item", lambda n=neuron: n)() for neuron in (one, other))
        raise ArgumentError(
            f"{name} has neurons such as {one!r}, the table such as {other!r}; give both as text "
            "or both as numbers"
        )

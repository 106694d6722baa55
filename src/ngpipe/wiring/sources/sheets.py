"""Labelled sheets: the first column and the header name neurons, the cells hold weights."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd

from ngpipe.errors import ConnectomeError
from ngpipe.wiring import columns, edges
from ngpipe.wiring.layout import Layout
from ngpipe.wiring.origin import Origin

MARGINS = ("total", "totals", "sum", "sums", "grand total")
"""Names of rows and columns of sums, in any case."""
UNLABELLED = re.compile(r"Unnamed: \d+")
"""Name that pandas gives to a column without a header."""


def is_sheet(table: pd.DataFrame) -> bool:
    """True if most labels of the rows are in the header, or the other way round."""
    if table.shape[1] < 2:
        return False
    labels = columns.labels(table.iloc[:, 0]).dropna()
    labels = labels[~labels.str.lower().isin(MARGINS)]
    rows, header = set(labels), {str(name).strip() for name in table.columns[1:]}
    header = {name for name in header if name.lower() not in MARGINS}
    shared = len(rows & header)
    # an edge list without a header looks like a sheet of few columns, with rows of one label
    wide = len(header) > 2 and len(rows) == len(labels) and shared > 0.5 * len(header)
    return wide or shared > 0.5 * len(rows) > 0


def sheet(
    table: pd.DataFrame, neurons: pd.DataFrame | None, layout: Layout, origin: Origin
) -> edges.Parts:
    """The parts of a connectome from a sheet; its neurons are all labels, empty cells no edges.

    Raises:
        ConnectomeError: labels that are missing or stand there twice, cells that are no numbers,
            rows or columns of sums that do not add up.
    """
    edges.check_no_rows(layout, "a sheet")
    cells, notes = _without_margins(_cells(table))
    names = [axis.to_numpy(dtype=object) for axis in cells.axes]
    if neurons is None and all(map(columns.CANONICAL.fullmatch, np.concatenate(names))):
        names = [columns.plain(pd.Series(list(map(int, axis)), dtype=object)) for axis in names]
    row, column = np.nonzero(np.nan_to_num(cells.to_numpy()))
    ends = np.asarray(names[0])[row], np.asarray(names[1])[column]
    pre, post = ends if layout.rows == "pre" else ends[::-1]
    found = pd.DataFrame({"pre": pre, "post": post, "weight": cells.to_numpy()[row, column]})
    layout = replace(layout, pre="pre", post="post", weight="weight", sign=None)
    if neurons is None:
        both = [pd.Series(axis, dtype=object) for axis in names]
        neurons = pd.DataFrame({"id": pd.concat(both).drop_duplicates()})
        layout = replace(layout, id="id")
    return edges.assemble(found, neurons, layout, origin.noted(*notes), "")


def _cells(table: pd.DataFrame) -> pd.DataFrame:
    """Numbers by the labels of rows and columns, both text; missing where a cell is empty."""
    table = columns.named(table, "the sheet")
    labels, cells = columns.labels(table.iloc[:, 0]), table.iloc[:, 1:]
    cells = pd.DataFrame({name: _numbers(cells[name]) for name in cells})
    empty = [name for name in cells if UNLABELLED.fullmatch(name) and cells[name].isna().all()]
    cells, kept = cells.drop(columns=empty), labels.notna() | cells.notna().any(axis=1)
    cells, labels = cells[kept], labels[kept]
    _check_cells(cells, table.loc[kept], labels)
    return cells.set_axis(pd.Index(labels), axis=0)


def _numbers(cells: pd.Series) -> pd.Series:
    """Cells as numbers: what is no number is infinite, what is empty missing."""
    found = columns.plain(cells)
    numbers = pd.to_numeric(found, errors="coerce").astype("float64")
    return numbers.where(numbers.notna() | found.isna(), np.inf)


def _check_cells(cells: pd.DataFrame, table: pd.DataFrame, labels: pd.Series) -> None:
    """Refuse cells that are no numbers, and rows or columns that have numbers and no label."""
    rows, places = np.nonzero(np.isinf(cells.to_numpy()))
    if len(rows):
        named = (
            f"{table[cells.columns[place]].iloc[row]!r} (row {labels.iloc[row]}, column "
            f"{cells.columns[place]})"
            for row, place in zip(rows[:3], places, strict=False)
        )
        raise ConnectomeError(
            f"{len(rows)} cells of the sheet are not finite numbers, such as {', '.join(named)}; "
            "empty or correct them"
        )
    blank = [f"row {row}" for row in labels.index[labels.isna()]]
    blank += [f"column {name}" for name in cells if UNLABELLED.fullmatch(name)]
    if blank:
        raise ConnectomeError(
            f"the sheet has numbers without a label: {columns.few(blank)} (rows count from 0 below "
            "the header); label or remove them"
        )
    again = {name: re.sub(r"\.\d+$", "", name) for name in cells}
    twice = [old for name, old in again.items() if old != name and old in cells]
    twice = sorted({old for old in twice if not {n for n in again if again[n] == old} <= {*labels}})
    if twice:
        raise ConnectomeError(
            f"the header of the sheet names {columns.few(twice)} more than once; keep one column "
            "for each neuron"
        )


def _without_margins(cells: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """The cells without rows and columns of sums, and what was left out."""
    is_sum = [np.array([name.lower() in MARGINS for name in axis], bool) for axis in cells.axes]
    values = np.nan_to_num(cells.to_numpy())
    inner = values[~is_sum[0]][:, ~is_sum[1]]
    notes = []
    for axis, what in enumerate(("row", "column")):
        margin = np.compress(is_sum[axis], values, axis=axis)
        margin = np.compress(~is_sum[1 - axis], margin, axis=1 - axis)
        names = cells.axes[axis][is_sum[axis]].tolist()
        if not np.allclose(margin, inner.sum(axis=axis, keepdims=True), rtol=1e-6):
            raise ConnectomeError(
                f"the {what} {columns.few(map(repr, names))} of the sheet has the name of a sum "
                "but does not hold the sums of the others; remove it, or give it another name"
            )
        notes += [f"{what} '{name}' of the sheet left out: it holds sums" for name in names]
    return cells.loc[~is_sum[0], ~is_sum[1]], notes

"""From a table of edges pre -> post to sparse weights ``W[post, pre]``, checked."""

from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
import pandas as pd
from scipy import sparse

from ngpipe.errors import ConnectomeError
from ngpipe.wiring import columns
from ngpipe.wiring.columns import few
from ngpipe.wiring.layout import Layout
from ngpipe.wiring.layout import check_choice as check_choice
from ngpipe.wiring.origin import Origin

NEURONS = "the neuron table"
REPEATED = "{} of {} rows repeat an edge: weights are added up"
"""Note on an edge list."""

Parts = tuple[sparse.csr_array, pd.DataFrame, str, Origin]
"""Weights [post, pre], neuron table, unit, origin: what makes a connectome."""


def assemble(
    table: pd.DataFrame, neurons: pd.DataFrame | None, layout: Layout, origin: Origin, unit: str
) -> Parts:
    """Weights [post, pre], neuron table, unit and origin from a table of edges.

    Raises:
        ConnectomeError: see :meth:`ngpipe.wiring.container.Connectome.from_edges`.
    """
    table, left_out = _kept(_edge_table(table, layout), layout)
    neurons, pre, post, notes = _placed(table, neurons, layout)
    known = (pre >= 0) & (post >= 0)
    if not known.all() and layout.unknown == "refuse":
        _refuse_unknown(table, pre, post, layout)
    values = _values(table, layout)
    pre, post, values = pre[known], post[known], values[known]
    weights = sparse.coo_array((values, (post, pre)), shape=(len(neurons),) * 2).tocsr()
    repeated = len(values) - weights.nnz
    if repeated and layout.duplicates == "refuse":
        _refuse_duplicates(table[known], layout)
    if layout.sign is not None and "sign" not in neurons:
        neurons = neurons.assign(sign=sender_signs(pre, np.sign(values), len(neurons)))
    with_edges = np.zeros(len(neurons), bool)
    with_edges[pre] = with_edges[post] = True
    counts = {
        "rows": len(table) + sum(left_out.values()),
        **left_out,
        "rows_of_unknown_neurons": int((~known).sum()),
        "rows_added_to_others": int(repeated),
        "edges_of_weight_0": int((weights.data == 0).sum()),
        "self_connections": int(np.count_nonzero(weights.diagonal())),
        "neurons_without_edges": int((~with_edges).sum()),
    }
    notes = notes + _lost(counts, left_out, several=layout.weight is not None)
    return weights, neurons, unit, origin.counted(counts).noted(*notes)


def _lost(counts: Mapping[str, int], left_out: Mapping[str, int], *, several: bool) -> list[str]:
    """Sentences on rows that became no edge of their own; ``several``: a row is no synapse."""
    told = {name: "{} of {} rows left out: " + name.removeprefix("rows_of_") for name in left_out}
    told["rows_of_unknown_neurons"] = "{} of {} rows left out: the neuron table lacks their neurons"
    if several:
        told["rows_added_to_others"] = REPEATED
    told["edges_of_weight_0"] = "{} edges from {} rows left out: their weight is 0"
    return [told[name].format(counts[name], counts["rows"]) for name in told if counts[name]]


Weights: TypeAlias = sparse.sparray | sparse.spmatrix | np.ndarray


def checked(matrix: Weights, what: object) -> Weights:
    """Refuse what is no square matrix of real numbers.

    Args:
        matrix: a dense or sparse array.
        what: what is to be named: a file, or "the weights".

    Raises:
        ConnectomeError: other dimensions, not square, complex, dates, texts or objects.
    """
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
        raise ConnectomeError(
            f"{what}: an array of shape {matrix.shape}, expected a square matrix, [post, pre], "
            "with a row and a column for each neuron; if senders and receivers differ, write an "
            "edge list"
        )
    if matrix.dtype.kind not in "biuf":
        words = {"c": "complex numbers", "M": "dates", "m": "time differences", "V": "records"}
        raise ConnectomeError(
            f"{what}: {words.get(matrix.dtype.kind, 'texts or objects')} ({matrix.dtype}), "
            "expected real numbers; convert them, such as to their size by numpy.abs"
        )
    return matrix


def canonical(weights: Weights) -> sparse.csr_array:
    """CSR float32 with sorted indices, each pair once, no stored zeros.

    Raises:
        ConnectomeError: weights that are no square matrix of finite real numbers.
    """
    weights = checked(weights if sparse.issparse(weights) else np.asarray(weights), "the weights")
    # a copy only where something changes: the connectomes made from one share its arrays
    found = sparse.csr_array(weights).astype(np.float32, copy=False)
    finite = np.isfinite(found.data)
    if not finite.all():
        raise ConnectomeError(
            f"{(~finite).sum()} of {found.nnz} weights are not finite, as those of "
            "pairs that were never measured; give a list of the edges that are known, or a matrix "
            "with 0 where you take a pair for unconnected"
        )
    if not found.has_canonical_format or (found.data == 0).any():
        found = found.copy()
        found.sum_duplicates()
        found.eliminate_zeros()
    return found


def checked_neurons(neurons: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    """A neuron table with unique ids and signs of +1 and -1, tidy, and what was done to it.

    Raises:
        ConnectomeError: naming the neurons.
    """
    neurons, notes = columns.tidy(neurons, NEURONS)
    if "id" not in neurons:
        raise ConnectomeError(
            f"the neuron table has columns {list(neurons)}, expected 'id' among them; say which "
            "column is the id (id='...'), or rename it"
        )
    ids = columns.ids(neurons["id"], "id")
    neurons["id"] = pd.Series(ids.of_rows(ids.values), dtype="str" if ids.kind == "text" else None)
    twice = neurons["id"][neurons["id"].duplicated()].unique()
    if len(twice):
        raise ConnectomeError(
            f"{len(twice)} ids stand in the neuron table more than once, {few(twice)}; keep one "
            "row for each neuron"
        )
    if "sign" in neurons:
        neurons["sign"] = _signs(neurons)
    return neurons, notes


def neuron_table(given: pd.DataFrame, layout: Layout) -> tuple[pd.DataFrame, list[str]]:
    """A user's neuron table with its columns named as ngpipe names them, checked.

    The column that ``layout.id`` names is the id, whatever else is called so.

    Raises:
        ConnectomeError: an id or a column to rename that is not there, a new name that is taken.
    """
    given = columns.named(given, NEURONS)
    names = {old: new for old, new in layout.rename.items() if old != layout.id}
    absent = [name for name in (*names, layout.id) if name not in given]
    if absent and not (absent == [layout.id] and layout.id in names.values()):
        raise ConnectomeError(
            f"the neuron table has columns {list(given)}, expected {few(map(repr, absent))} among "
            "them; say which column is the id (id='...'), and name columns in rename= as they are "
            "in the table"
        )
    notes = []
    if layout.id != "id" and "id" in given and "id" not in names:
        given = given.drop(columns="id")
        notes.append(f"column 'id' of the neuron table left out: '{layout.id}' is the id")
    _check_rename(given, names)
    found, more = checked_neurons(given.rename(columns=names).rename(columns={layout.id: "id"}))
    return found, notes + more


def check_no_rows(layout: Layout, what: str) -> None:
    """Refuse to choose rows of what has no rows to choose from.

    Raises:
        ConnectomeError: the layout has a ``where``.
    """
    if layout.where:
        raise ConnectomeError(
            f"where names the columns {list(layout.where)}, but the file holds {what}, not a table "
            "of edges; leave where out"
        )


def _signs(neurons: pd.DataFrame) -> pd.Series:
    """The column of signs as numbers, missing where it is empty."""
    given = neurons["sign"]
    signs = pd.to_numeric(given, errors="coerce") if columns.is_text(given) else given
    wrong = ~signs.isin([-1, 1]) & given.notna()
    if wrong.any():
        raise ConnectomeError(
            f"the sign of {few(neurons['id'][wrong])} is {few(given[wrong].unique())}, "
            "expected +1, -1 or nothing where it is not known"
        )
    return signs


def _check_rename(given: pd.DataFrame, names: Mapping[str, str]) -> None:
    stay = [column for column in given if column not in names]
    for number, (old, new) in enumerate(names.items()):
        if new in stay or new in list(names.values())[:number]:
            raise ConnectomeError(
                f"rename makes '{old}' to '{new}', but the neuron table has a column '{new}' too; "
                f"leave '{old}' out of rename, or rename both: {{'{old}': '{new}', "
                f"'{new}': 'other_{new}'}}"
            )


def _edge_table(table: pd.DataFrame, layout: Layout) -> pd.DataFrame:
    """The columns that the layout names.

    Raises:
        ConnectomeError: one of them is missing.
    """
    table = columns.named(table, "the table of edges")
    names = [layout.pre, layout.post, layout.weight, layout.sign, *layout.where]
    names = [name for name in names if name is not None]
    missing = [name for name in names if name not in table]
    if missing:
        raise ConnectomeError(
            f"the edges have columns {list(table)}, not {missing}; name them with pre=, post=, "
            "weight=, sign= and where= (weight=None if each row is one synapse)"
        )
    return table[list(dict.fromkeys(names))]


def _kept(table: pd.DataFrame, layout: Layout) -> tuple[pd.DataFrame, dict[str, int]]:
    """The rows that ``where`` keeps, and how many each of its columns took."""
    left_out = {}
    for name, wanted in layout.where.items():
        values = list(wanted) if isinstance(wanted, list | tuple | set) else [wanted]
        codes, groups, _ = columns.chosen(table[name], values, f"where: no edge has {name}")
        keep = np.isin(codes, groups)
        left_out[f"rows_of_other_{name}"] = int((~keep).sum())
        table = table[keep]
    return table, left_out


def _placed(
    table: pd.DataFrame, given: pd.DataFrame | None, layout: Layout
) -> tuple[pd.DataFrame, np.ndarray, np.ndarray, list[str]]:
    """The neuron table, place of each row's sender and receiver in it, and what was done.

    Without a neuron table the neurons are the ids of the edges, sorted.
    """
    pre, post = (columns.ids(table[name], name) for name in (layout.pre, layout.post))
    if given is None:
        pre, post, notes = columns.joined(pre, post)
        neurons, _ = checked_neurons(pd.DataFrame({"id": columns.all_of(pre, post)}))
    else:
        neurons, notes = neuron_table(given, layout)
    places = []
    for ids in (pre, post):
        found, joins = positions(ids, neurons)
        places.append(found)
        notes = notes + joins
    return neurons, *places, notes


def positions(ids: columns.Ids, neurons: pd.DataFrame) -> tuple[np.ndarray, list[str]]:
    """Index of each row's neuron, -1 if the neuron table lacks it; and what was joined.

    Raises:
        ConnectomeError: ids that are neither whole numbers nor text, or not both of one kind.
    """
    known = columns.ids(neurons["id"], "id")
    ids, known, notes = columns.joined(ids, known)
    return columns.positions(ids, known), notes


def _values(table: pd.DataFrame, layout: Layout) -> np.ndarray:
    """Weight of each row, times its sign if there is a column of signs."""
    values = np.ones(len(table))
    if layout.weight is not None:
        values = _numbers(table[layout.weight], layout.weight)
    if layout.sign is None:
        return values
    signs = _numbers(table[layout.sign], layout.sign)
    if not np.isin(signs, (-1, 1)).all():
        raise ConnectomeError(
            f"column '{layout.sign}' holds {few(np.unique(signs[~np.isin(signs, (-1, 1))]))}, "
            "expected +1 or -1 for each edge"
        )
    if (values < 0).any():
        raise ConnectomeError(
            f"column '{layout.weight}' holds negative weights and '{layout.sign}' their signs; "
            "leave sign= out, or take the sizes of the weights"
        )
    return values * signs


def _numbers(column: pd.Series, name: str) -> np.ndarray:
    values = pd.to_numeric(column, errors="coerce").to_numpy(np.float64, na_value=np.nan)
    wrong = ~np.isfinite(values)
    if wrong.any():
        raise ConnectomeError(
            f"column '{name}' holds {wrong.sum()} values that are not finite numbers, the first in "
            f"row {np.flatnonzero(wrong)[0]}; leave those rows out, or correct them"
        )
    return values


def sender_signs(pre: np.ndarray, signs: np.ndarray, n: int) -> np.ndarray:
    """The sign of senders whose edges agree; missing for the others.

    Args:
        pre: sender of each edge, an index below ``n``.
        signs: sign of each edge, or any number of that sign.
        n: number of senders.
    """
    positive = np.bincount(pre, signs > 0, n) > 0
    negative = np.bincount(pre, signs < 0, n) > 0
    return np.where(positive == negative, np.nan, np.where(positive, 1.0, -1.0))


def _refuse_unknown(table: pd.DataFrame, pre: np.ndarray, post: np.ndarray, layout: Layout) -> None:
    unknown = pd.concat([table[layout.pre][pre < 0], table[layout.post][post < 0]]).unique()
    raise ConnectomeError(
        f"{((pre < 0) | (post < 0)).sum()} of {len(table)} edges belong to {len(unknown)} neurons "
        f"that the neuron table lacks, {few(unknown)}; add them, or leave those edges out with "
        "unknown='drop'"
    )


def _refuse_duplicates(table: pd.DataFrame, layout: Layout) -> None:
    twice = table[table.duplicated([layout.pre, layout.post])]
    first = twice.iloc[0]
    raise ConnectomeError(
        f"{len(twice)} rows repeat an edge, the first {first[layout.pre]} -> "
        f"{first[layout.post]}; keep one row for each, or add them up with duplicates='sum'"
    )

"""From a table of edges pre -> post to sparse weights ``W[post, pre]``, checked."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from typing import Literal

import numpy as np
import pandas as pd
from scipy import sparse

from ngpipe.errors import ConnectomeError
from ngpipe.wiring.origin import Origin


@dataclass(frozen=True)
class Layout:
    """What the columns of a user's files are called, and what to do where they are unclear.

    Attributes:
        pre: column of the sender's id.
        post: column of the receiver's id.
        weight: column of the weight; None if each row is one synapse.
        sign: column of edges with +1 or -1, which multiplies the weight.
        duplicates: repeated edges add up (``sum``) or are an error (``refuse``).
        unknown: edges of neurons that the neuron table lacks are an error (``refuse``) or left
            out and counted (``drop``).
        id: column of the neuron table that is the id.
        rename: columns of the neuron table, old name to new.
        rows: what the rows of a matrix or labelled sheet are: ``post`` or ``pre``.
        variable: name of the matrix in a file that holds several.
    """

    pre: str = "pre"
    post: str = "post"
    weight: str | None = "weight"
    sign: str | None = None
    duplicates: Literal["sum", "refuse"] = "sum"
    unknown: Literal["refuse", "drop"] = "refuse"
    id: str = "id"
    rename: Mapping[str, str] = field(default_factory=dict)
    rows: Literal["post", "pre"] = "post"
    variable: str | None = None

    @classmethod
    def of(cls, given: Mapping[str, object]) -> "Layout":
        """A layout from keyword arguments.

        Raises:
            ConnectomeError: a name or a choice that does not exist.
        """
        names = [f.name for f in fields(cls)]
        choices = {"duplicates": ("sum", "refuse"), "unknown": ("refuse", "drop")}
        choices["rows"] = ("post", "pre")
        for name, value in given.items():
            if name not in names:
                raise ConnectomeError(f"no option '{name}'; a file's layout is told by {names}")
            if name in choices:
                check_choice(name, value, choices[name])
        return cls(**given)


Parts = tuple[sparse.csr_array, pd.DataFrame, str, Origin]
"""Weights [post, pre], neuron table, unit, origin: what makes a connectome."""


def assemble(
    table: pd.DataFrame, neurons: pd.DataFrame | None, layout: Layout, origin: Origin, unit: str
) -> Parts:
    """Weights [post, pre], neuron table, unit and origin from a table of edges.

    Raises:
        ConnectomeError: see :meth:`ngpipe.wiring.connectome.Connectome.from_edges`.
    """
    _check_columns(table, layout)
    neurons = _neurons(table, neurons, layout)
    pre, post = (positions(table, neurons, column) for column in (layout.pre, layout.post))
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
    counts = {
        "rows": len(table),
        "rows_of_unknown_neurons": int((~known).sum()),
        "rows_added_to_others": int(repeated),
        "edges_of_weight_0": int((weights.data == 0).sum()),
        "self_connections": int(np.count_nonzero(weights.diagonal())),
        "neurons_without_edges": len(neurons) - len(np.union1d(pre, post)),
    }
    return weights, neurons, unit, origin.counted(counts)


def canonical(weights: sparse.sparray | sparse.spmatrix | np.ndarray) -> sparse.csr_array:
    """CSR float32 with sorted indices, each pair once, no stored zeros.

    Raises:
        ConnectomeError: weights that are no matrix of finite numbers.
    """
    try:
        # a copy only where something changes: the connectomes made from one share its arrays
        found = sparse.csr_array(weights).astype(np.float32, copy=False)
    except (TypeError, ValueError) as error:
        raise ConnectomeError(
            f"the weights are no matrix of numbers ({error}); give a scipy sparse or numpy array "
            "[post, pre]"
        ) from error
    finite = np.isfinite(found.data)
    if not finite.all():
        raise ConnectomeError(
            f"{(~finite).sum()} of {found.nnz} weights are not finite; leave those edges out, or "
            "give their number of synapses"
        )
    if not found.has_canonical_format or (found.data == 0).any():
        found = found.copy()
        found.sum_duplicates()
        found.eliminate_zeros()
    return found


def check_neurons(neurons: pd.DataFrame) -> None:
    """Refuse a neuron table without unique ids, or with signs other than +1 and -1.

    Raises:
        ConnectomeError: naming the neurons.
    """
    if "id" not in neurons:
        raise ConnectomeError(
            f"the neuron table has columns {list(neurons)}, expected 'id' among them; say which "
            "column is the id (id='...'), or rename it"
        )
    _kind(neurons["id"], "id of the neuron table")
    twice = neurons["id"][neurons["id"].duplicated()].unique()
    if len(twice):
        raise ConnectomeError(
            f"{len(twice)} ids stand in the neuron table more than once, {few(twice)}; keep one "
            "row for each neuron"
        )
    if "sign" in neurons:
        _check_signs(neurons)


def check_choice(name: str, value: object, choices: Iterable[str]) -> None:
    """Refuse a word that is none of those expected.

    Raises:
        ConnectomeError: naming the argument.
    """
    if value not in choices:
        raise ConnectomeError(f"{name}={value!r}, expected one of {list(choices)}")


def few(values: Iterable, n: int = 5) -> str:
    """The first values, for a message."""
    values = list(values)
    shown = ", ".join(map(str, values[:n])) or "none"
    return shown + (f" and {len(values) - n} others" if len(values) > n else "")


def _check_signs(neurons: pd.DataFrame) -> None:
    try:
        signs = neurons["sign"].to_numpy(dtype=np.float64, na_value=np.nan)
        wrong = ~np.isin(signs, (-1, 1)) & ~np.isnan(signs)
    except (TypeError, ValueError):
        wrong = ~neurons["sign"].isin([-1, 1])
    if wrong.any():
        raise ConnectomeError(
            f"the sign of {few(neurons['id'][wrong])} is {few(neurons['sign'][wrong].unique())}, "
            "expected +1, -1 or nothing where it is not known"
        )


def _check_columns(table: pd.DataFrame, layout: Layout) -> None:
    names = [layout.pre, layout.post, layout.weight, layout.sign]
    missing = [name for name in names if name is not None and name not in table]
    if missing:
        raise ConnectomeError(
            f"the edges have columns {list(table)}, not {missing}; name them with pre=, post=, "
            "weight= and sign= (weight=None if each row is one synapse)"
        )


def _neurons(table: pd.DataFrame, given: pd.DataFrame | None, layout: Layout) -> pd.DataFrame:
    """The neuron table; without one, the ids of the edges, sorted."""
    if given is not None:
        names = {**layout.rename, **({layout.id: "id"} if layout.id in given else {})}
        neurons = given.rename(columns=names).reset_index(drop=True)
        check_neurons(neurons)
        return neurons
    kinds = {column: _kind(table[column], column) for column in (layout.pre, layout.post)}
    if len(set(kinds.values())) > 1:
        raise ConnectomeError(
            f"the columns {list(kinds)} hold ids of different types, {list(kinds.values())}; "
            "convert one of them"
        )
    ids = pd.concat([table[layout.pre], table[layout.post]]).unique()
    return pd.DataFrame({"id": np.sort(np.asarray(ids))})


def _kind(ids: pd.Series, column: str) -> str:
    """``number`` or ``text``; other ids are refused."""
    if ids.isna().any():
        raise ConnectomeError(
            f"column '{column}' lacks {ids.isna().sum()} of {len(ids)} ids; leave those rows out"
        )
    if pd.api.types.is_integer_dtype(ids):
        return "number"
    if not len(ids) or pd.api.types.infer_dtype(ids) in ("string", "categorical"):
        return "text"
    if pd.api.types.infer_dtype(ids) == "integer":
        return "number"
    raise ConnectomeError(
        f"column '{column}' holds ids of type {ids.dtype} ({pd.api.types.infer_dtype(ids)}), "
        "expected whole numbers or text (numbers with a decimal point lose the digits of long ids)"
    )


def positions(table: pd.DataFrame, neurons: pd.DataFrame, column: str) -> np.ndarray:
    """Index of each row's neuron, -1 if the neuron table lacks it.

    Raises:
        ConnectomeError: ids that are neither whole numbers nor text, or not both of one kind.
    """
    kinds = _kind(table[column], column), _kind(neurons["id"], "id of the neuron table")
    if len(table) and len(neurons) and kinds[0] != kinds[1]:
        raise ConnectomeError(
            f"column '{column}' holds ids of type {table[column].dtype} ({kinds[0]}), the neuron "
            f"table of type {neurons['id'].dtype} ({kinds[1]}); convert one of them, such as with "
            f"table['{column}'].astype({'str' if kinds[1] == 'text' else 'int'})"
        )
    return pd.Index(neurons["id"]).get_indexer(pd.Index(table[column]))


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
            f"column '{name}' holds {wrong.sum()} values that are no finite numbers, the first in "
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

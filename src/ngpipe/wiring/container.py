"""One container of a connectome: who sends to whom, who they are, and where this is known from."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import pandas as pd
import xarray as xr
from scipy import sparse

from ngpipe import store
from ngpipe.errors import ConnectomeError
from ngpipe.wiring import columns, sender_signs, stored
from ngpipe.wiring import edges as edge_lists
from ngpipe.wiring.columns import few
from ngpipe.wiring.layout import Layout
from ngpipe.wiring.origin import Origin

if TYPE_CHECKING:
    Weights: TypeAlias = sparse.csr_array
else:
    Weights = sparse.csr_array | sparse.sparray | sparse.spmatrix | np.ndarray
"""Accepted weights of a connectome, [post, pre]; it stores a ``csr_array``."""
Group = str | int | Sequence | np.ndarray
"""A value of a column of the neuron table, several of them, or an array of indices."""


@dataclass(frozen=True, eq=False)
class Connectome:
    """Sparse weights ``W[post, pre]`` and the neurons they connect.

    Row i of ``weights`` holds what neuron i receives, column j what neuron j sends, so that the
    input of all neurons is ``weights @ activity``. Weights are float32, stored once for each
    connected pair, finite and never 0.

    Attributes:
        weights: CSR array (post, pre) [``unit``]; positive counts, or with the sender's sign.
        neurons: table indexed 0 .. N-1 with a unique ``id``; where known ``cell_type``, ``side``,
            ``role``, ``sign`` (+1 excites, -1 inhibits, missing is unknown), position ``x``,
            ``y``, ``z``, and hexagonal coordinates ``u``, ``v``.
        unit: of the weights, such as ``synapses`` or ``input fraction``.
        origin: source, digests of the files, and how many neurons and edges each filter took.

    Raises:
        ConnectomeError: shapes, ids, signs or weights that contradict one another.
    """

    weights: Weights
    neurons: pd.DataFrame
    unit: str = "synapses"
    origin: Origin = field(default_factory=Origin)

    def __post_init__(self) -> None:
        weights = edge_lists.canonical(self.weights)
        neurons, notes = edge_lists.checked_neurons(self.neurons)
        if weights.shape != (len(neurons), len(neurons)):
            raise ConnectomeError(
                f"weights have shape {weights.shape}, expected ({len(neurons)}, {len(neurons)}) as "
                f"[post, pre] for the {len(neurons)} neurons of the table; give both the same size"
            )
        object.__setattr__(self, "weights", weights)
        object.__setattr__(self, "neurons", neurons)
        object.__setattr__(self, "origin", self.origin.noted(*notes))

    def __len__(self) -> int:
        return len(self.neurons)

    def __repr__(self) -> str:
        known = ", ".join(map(str, self.neurons.columns))
        told = "".join(f"\n  {note}" for note in self.notes)
        return (
            f"Connectome of {len(self)} neurons ({known}) and {self.n_edges} edges [{self.unit}], "
            f"from {self.origin.source or 'memory'}{told}"
        )

    @property
    def notes(self) -> tuple[str, ...]:
        """Notes on what readers left out, summed, joined or assumed, and on later processing."""
        return self.origin.notes

    @property
    def n_edges(self) -> int:
        """Number of connected pairs."""
        return self.weights.nnz

    @property
    def ids(self) -> np.ndarray:
        """Ids of all neurons, in the order of rows and columns."""
        return self.neurons["id"].to_numpy()

    @property
    def is_signed(self) -> bool:
        """True if any weight is negative: weights then hold the signs of their senders."""
        return bool((self.weights.data < 0).any())

    @classmethod
    def from_edges(
        cls,
        table: pd.DataFrame,
        neurons: pd.DataFrame | None = None,
        *,
        unit: str = "synapses",
        origin: Origin | None = None,
        **layout: object,
    ) -> "Connectome":
        """A connectome from a table of edges pre -> post.

        Args:
            table: one row for each edge, or for each synapse.
            neurons: table with ``id``, in the order wanted; without it the neurons are those of
                the edges, sorted by id.
            unit: of the weights.
            origin: where the table comes from.
            **layout: names and rules, the fields of :class:`ngpipe.wiring.layout.Layout`:
                ``pre``, ``post``, ``weight``, ``sign``, ``duplicates``, ``unknown`` and others.

        Raises:
            ConnectomeError: a column that is missing, ids that are unknown, repeated, missing or
                of another type than the table of neurons has, repeated edges if refused, weights
                that are not finite numbers, signs other than +1 and -1.
        """
        return cls(
            *edge_lists.assemble(table, neurons, Layout.of(layout), origin or Origin(), unit)
        )

    def edges(self, *, index: bool = False) -> pd.DataFrame:
        """Edges as a table ``pre``, ``post``, ``weight``, ordered by post, then pre.

        Args:
            index: give indices of neurons in place of their ids.
        """
        rows = self.weights.tocoo()
        post, pre = rows.coords
        if not index:
            pre, post = self.ids[pre], self.ids[post]
        return pd.DataFrame({"pre": pre, "post": post, "weight": rows.data})

    def signed(self, missing: str = "refuse") -> "Connectome":
        """Weights with the sign of their sender: ``W[i, j] -> sign_j W[i, j]``.

        Signs act on columns, so each neuron excites or inhibits all its targets (Dale's law), and
        those decided here stand in the neuron table of the result. A
        connectome that is signed already is returned as it is, if no sender contradicts its sign.

        Args:
            missing: what to do with senders without a sign: ``refuse``, take them as
                ``excitatory`` or ``inhibitory``, or ``drop`` what they send.

        Raises:
            ConnectomeError: senders without a sign, or whose weights say otherwise.
        """
        fills = sender_signs.FILLS
        edge_lists.check_choice("missing", missing, fills)
        if self.is_signed:
            sender_signs.check_agree(self.weights, self.neurons)
            return self
        unknown = sender_signs.without_sign(self.weights, self.neurons, missing)
        signs = sender_signs.signs_of(self.neurons)
        factor = np.where(np.isnan(signs), fills[missing], signs).astype(np.float32)
        weights = self._scaled(factor[self.weights.indices])
        origin = self.origin.counted({"senders_without_sign": int(unknown.sum())})
        if unknown.any():
            told = "left out" if missing == "drop" else f"taken as {missing}"
            origin = origin.noted(f"{unknown.sum()} senders without a sign {told}")
        decided = replace(self, weights=weights, origin=origin)
        if not (unknown.any() and fills[missing]):
            return decided
        return decided.described(sign=np.where(unknown, fills[missing], signs))

    def normalised(self, by: str = "input") -> "Connectome":
        r"""Fractions: :math:`W_{ij} / \sum_k |W_{ik}|`, so that every row sums to 1 in size.

        Rows (``input``) or columns (``output``) without any weight stay empty.
        """
        axes = {"input": 1, "output": 0}
        edge_lists.check_choice("by", by, axes)
        total = np.asarray(abs(self.weights).sum(axis=axes[by], dtype=np.float64)).ravel()
        where = self._rows() if by == "input" else self.weights.indices
        return replace(
            self,
            weights=self._scaled(1 / total[where]),
            unit=f"{by} fraction",
            origin=self.origin.noted(f"normalised by {by}, {self.unit}"),
        )

    def select(self, which: Sequence | np.ndarray | pd.Series) -> "Connectome":
        """Only some neurons and the edges among them.

        Args:
            which: a mask of length N, or ids; the order of ids is kept.

        Raises:
            ConnectomeError: a mask of another length, ids that are unknown or repeated.
        """
        index = self._selected(np.asarray(which))
        weights = self.weights[index][:, index]
        counts = {
            "neurons_not_selected": len(self) - len(index),
            "edges_not_selected": self.n_edges - weights.nnz,
        }
        neurons = self.neurons.iloc[index]
        return replace(self, weights=weights, neurons=neurons, origin=self.origin.counted(counts))

    def column(self, column: str) -> pd.Series:
        """A column of the neuron table.

        Raises:
            ConnectomeError: no such column.
        """
        if column not in self.neurons:
            raise ConnectomeError(
                f"the neurons have no column '{column}', only {list(self.neurons)}; add it with "
                f"described({column}=...)"
            )
        return self.neurons[column]

    def groups(self, column: str = "cell_type") -> dict[object, np.ndarray]:
        """Indices of the neurons of each value of a column, in order of first appearance.

        Neurons whose value is missing are in no group.
        """
        codes, _, values = columns.numbered(self.column(column))
        order = np.argsort(codes, kind="stable")
        ends = np.searchsorted(codes[order], np.arange(len(values) + 1))
        return {v: order[ends[i] : ends[i + 1]] for i, v in enumerate(values.tolist())}

    def indices(self, column: str, value: object) -> np.ndarray:
        """Indices of the neurons with this value, or one of these values, in a column.

        Raises:
            ConnectomeError: no such column, or no neuron with one of the values.
        """
        codes, groups, _ = self._chosen(column, value)
        return np.flatnonzero(np.isin(codes, groups))

    def values(self, column: str, value: object) -> pd.Series:
        """The values of a column that are called so, in the order given and as they are there.

        Raises:
            ConnectomeError: no such column, or no neuron with one of the values.
        """
        _, groups, values = self._chosen(column, value)
        return values.iloc[groups].reset_index(drop=True)

    def _chosen(self, column: str, value: Any) -> tuple[np.ndarray, np.ndarray, pd.Series]:  # noqa: ANN401
        several = isinstance(value, list | tuple | set | np.ndarray | pd.Index | pd.Series)
        wanted = list(value) if several else [value]
        return columns.chosen(self.column(column), wanted, f"no neuron has {column}")

    def block(
        self, post_group: Group, pre_group: Group, column: str = "cell_type"
    ) -> sparse.csr_array:
        """Weights from one group to another: CSR array (post of the group, pre of the group).

        Groups are values of ``column``, or arrays of indices.
        """
        post, pre = (self._members(group, column) for group in (post_group, pre_group))
        return self.weights[post][:, pre]

    def by_type(self, column: str = "cell_type", how: str = "sum") -> xr.DataArray:
        """Weights between groups, dims (post, pre).

        Args:
            column: what makes a group.
            how: ``sum`` of all weights from group to group, or ``mean_input``: what a neuron of
                the post group receives from all of the pre group, on average.
        """
        edge_lists.check_choice("how", how, ("sum", "mean_input"))
        groups = self.groups(column)
        if not groups:
            raise ConnectomeError(
                f"no neuron has a value of '{column}', so there are no groups; fill that column"
            )
        members = sparse.csr_array(
            (
                np.ones(sum(map(len, groups.values()))),
                (
                    np.repeat(np.arange(len(groups)), [len(g) for g in groups.values()]),
                    np.concatenate(list(groups.values())),
                ),
            ),
            shape=(len(groups), len(self)),
        )
        total = (members @ self.weights.astype(np.float64) @ members.T).toarray()
        if how == "mean_input":
            total = total / np.array([len(g) for g in groups.values()])[:, None]
        names = np.array(list(groups))
        attrs = {"units": self.unit, "long_name": f"weights by {column}, {how}"}
        return xr.DataArray(total, {"post": names, "pre": names}, ("post", "pre"), attrs=attrs)

    def mapped(self, values: Callable[[np.ndarray], np.ndarray] | np.ndarray) -> "Connectome":
        """The same edges with other weights, in the order of ``weights.data``; 0 removes one."""
        data = values(self.weights.data) if callable(values) else np.asarray(values)
        self._check_length("mapped", data, self.n_edges)
        parts = (data.astype(np.float32), self.weights.indices, self.weights.indptr)
        return replace(self, weights=sparse.csr_array(parts, shape=self.weights.shape))

    def described(self, **columns: Sequence | np.ndarray | pd.Series | Mapping) -> "Connectome":
        """The same connectome with further columns of the neuron table.

        A mapping is looked up by id; ids that it lacks get a missing value.

        Raises:
            ConnectomeError: values of another number, a mapping that knows none of the ids.
        """
        neurons = self.neurons.copy()
        for name, given in columns.items():
            values = self._by_id(name, given) if isinstance(given, Mapping) else given
            self._check_length(f"column '{name}'", values, len(self))
            whole = isinstance(values, pd.Series) or getattr(values, "ndim", 0) == 1
            values = pd.Series(values if whole else list(values), dtype=None if whole else object)
            neurons[name] = values.reset_index(drop=True)
        return replace(self, neurons=neurons)

    def _by_id(self, name: str, values: Mapping) -> list:
        found = [values.get(one) for one in self.ids.tolist()]
        if len(found) and values and all(value is None for value in found):
            raise ConnectomeError(
                f"column '{name}' is given by id, but none of {few(map(repr, values))} is an id; "
                f"the ids begin with {few(map(repr, self.ids.tolist()))}"
            )
        return found

    def digest(self) -> str:
        """SHA-256 over weights, unit and neuron table: 64 hexadecimal digits.

        The origin does not count: the same connectome from another file has the same digest.
        """
        return stored.digest(self.weights, self.neurons, self.unit)

    def save(self, path: Path, key: str = "", config: Mapping[str, object] | None = None) -> None:
        """Write a zarr store and its manifest, both complete or not at all.

        ``key`` and ``config`` say of which step it is the result, if of any.
        """
        notes = {"connectome_digest": self.digest(), "connectome_notes": list(self.notes)}
        provenance = store.Provenance("wire", key, config or {}, notes=notes)
        about = (self.unit, self.origin)
        stored.write(self.weights, self.neurons, about, Path(path), provenance)

    @classmethod
    def load(cls, path: Path) -> "Connectome":
        """Read what :meth:`save` wrote.

        Raises:
            StoreError: no such store, or one that holds no connectome.
        """
        return cls(*stored.read(Path(path)))

    @staticmethod
    def _check_length(name: str, values: Sequence | np.ndarray | pd.Series, n: int) -> None:
        if len(values) != n:
            raise ConnectomeError(
                f"{name} got {len(values)} values, expected {n}: give one for each"
            )

    def _rows(self) -> np.ndarray:
        """The receiver of each stored weight."""
        return np.repeat(np.arange(len(self)), np.diff(self.weights.indptr))

    def _scaled(self, factor: np.ndarray) -> sparse.csr_array:
        data = (self.weights.data * factor).astype(np.float32)
        parts = (data, self.weights.indices, self.weights.indptr)
        return sparse.csr_array(parts, shape=self.weights.shape)

    def _members(self, group: Group, column: str) -> np.ndarray:
        if isinstance(group, np.ndarray) and group.dtype.kind in "iu":
            return group
        return self.indices(column, group)

    def _selected(self, which: np.ndarray) -> np.ndarray:
        if which.dtype == bool:
            if which.shape != (len(self),):
                raise ConnectomeError(
                    f"a mask of shape {which.shape} cannot select from {len(self)} neurons; give "
                    "one value for each neuron, or ids"
                )
            return np.flatnonzero(which)
        wanted = columns.ids(pd.Series(which), "ids to select")
        index, _ = edge_lists.positions(wanted, self.neurons)
        counts = pd.Index(which)
        if (index < 0).any() or counts.has_duplicates:
            unknown, twice = which[index < 0], counts[counts.duplicated()]
            raise ConnectomeError(
                f"select takes ids, each once: unknown are {few(unknown)}, repeated "
                f"{few(twice)}; the ids begin with {few(self.ids)}"
            )
        return index

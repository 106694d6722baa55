"""Groups of neurons (cell types) that share parameters, and the edges that act divisively."""

from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np
from scipy import sparse

from ngpipe.connectome.rules import Rules
from ngpipe.errors import ArgumentError, ArgumentTypeError

Divisive = Mapping[Any, Any]
"""``{pre group: [post groups]}``."""


@dataclass(frozen=True)
class Groups:
    """Group of each neuron."""

    names: list[Hashable]
    """Names of the groups, sorted; parameters have this order."""
    of_neuron: np.ndarray
    """Number of each neuron's group, ``(neuron,)``."""

    def members(self, name: Hashable) -> np.ndarray:
        """Indices of the neurons of a group, none if there is no such group."""
        if name not in self.names:
            return np.empty(0, dtype=np.int64)
        return np.flatnonzero(self.of_neuron == self.names.index(name))

    def fill(self, values: Mapping, default: float, name: str, rules: Rules) -> np.ndarray:
        """One value a group: what ``values`` says, else the default.

        Raises:
            ArgumentError: a group that does not exist, if the rules are strict.
        """
        unknown = [group for group in values if group not in self.names]
        if unknown:
            rules.doubt(
                f"{name} names {_some(unknown)}, which is not a group of idx_to_group",
                "it is ignored",
                f"the groups are {_some(self.names)}",
            )
        return np.array([float(values.get(group, default)) for group in self.names])


@dataclass(frozen=True)
class DivisiveEdges:
    """Edges whose inhibition divides: K of them, sorted by post neuron."""

    post: np.ndarray
    pre: np.ndarray
    weight: np.ndarray
    parameter: np.ndarray
    """Index of the strength that applies: the number of the pre group among the keys given."""


def groups_of(idx_to_group: Mapping[Any, Any], n: int) -> Groups:
    """Groups of n neurons, their names sorted.

    Raises:
        ArgumentTypeError: no mapping, or one whose keys are no indices.
        ArgumentError: a neuron without group, or names that cannot be sorted.
    """
    if not isinstance(idx_to_group, Mapping):
        raise ArgumentTypeError(
            f"idx_to_group is a {type(idx_to_group).__name__}, expected a mapping from the index "
            "of each neuron to its group; of a list: dict(enumerate(groups))"
        )
    check_indices(list(idx_to_group), max(n, len(idx_to_group)), "idx_to_group: key")
    lookup = {int(idx): group for idx, group in idx_to_group.items()}
    missing = [idx for idx in range(n) if idx not in lookup]
    if missing:
        raise ArgumentError(
            f"idx_to_group has no group for neuron {_some(missing)} of {n}; give each of "
            f"0 to {n - 1} one"
        )
    of_neuron = [lookup[idx] for idx in range(n)]
    unnamed = [idx for idx, group in enumerate(of_neuron) if group is None or group != group]
    if unnamed:
        raise ArgumentError(
            f"idx_to_group has {of_neuron[unnamed[0]]!r} for neuron {_some(unnamed)}; give it a "
            "name, for example 'unknown'"
        )
    try:
        names = sorted(set(of_neuron))
    except TypeError as error:
        raise ArgumentTypeError(
            f"idx_to_group mixes names that cannot be sorted ({error}); make all of them strings"
        ) from None
    number = {name: k for k, name in enumerate(names)}
    return Groups(names, np.array([number[group] for group in of_neuron], dtype=np.int64))


def cut_divisive(
    matrix: sparse.csr_array, groups: Groups | None, divisive: Divisive
) -> tuple[sparse.csr_array, DivisiveEdges]:
    """Part W into the edges that add and those that divide.

    Raises:
        ArgumentError: no groups, a group without neurons, or an edge that is positive.
    """
    if groups is None:
        raise ArgumentError(
            "divisive_normalization names groups, but idx_to_group was not given; give it"
        )
    coo = matrix.tocoo()
    post, pre = coo.row.astype(np.int64), coo.col.astype(np.int64)
    parameter = np.full(coo.nnz, -1)
    for k, (pre_group, post_groups) in enumerate(divisive.items()):
        receives = _belongs(groups, _listed(post_groups), "a post group")
        sends = _belongs(groups, [pre_group], "a pre group")
        parameter[sends[pre] & receives[post]] = k
    cut = parameter >= 0
    edges = DivisiveEdges(post[cut], pre[cut], coo.data[cut], parameter[cut])
    _refuse_positive(edges, groups)
    kept = sparse.csr_array((coo.data[~cut], (post[~cut], pre[~cut])), shape=matrix.shape)
    return kept, edges


def strengths(divisive: Divisive, strength: Any, rules: Rules) -> np.ndarray:  # noqa: ANN401
    """Strength of each pre group, in the order of the keys.

    Raises:
        ArgumentError: a pre group without strength; if the rules are strict, one that does not
            divide.
    """
    if not isinstance(strength, Mapping):
        return np.full(len(divisive), float(strength))
    missing = [group for group in divisive if group not in strength]
    if missing:
        raise ArgumentError(
            f"divisive_strength has no value for {_some(missing)}; give each key of "
            "divisive_normalization one, or one number for all"
        )
    unknown = [group for group in strength if group not in divisive]
    if unknown:
        rules.doubt(
            f"divisive_strength names {_some(unknown)}, which is no key of divisive_normalization",
            "it is ignored",
            f"the keys are {_some(list(divisive))}",
        )
    return np.array([float(strength[group]) for group in divisive])


def check_indices(indices: Iterable[Any], n: int, name: str) -> np.ndarray:
    """Indices of neurons as int64.

    Raises:
        ArgumentTypeError: not whole numbers.
        ArgumentError: out of range.
    """
    indices = sorted(indices) if isinstance(indices, set | frozenset) else indices
    array = np.atleast_1d(np.asarray(indices.tolist() if hasattr(indices, "tolist") else indices))
    if array.size == 0:
        return np.empty(0, dtype=np.int64)
    if array.dtype.kind not in "iuf" or (array != np.floor(array)).any():
        raise ArgumentTypeError(f"{name} must be whole numbers, got {_some(array.tolist())}")
    outside = array[(array < 0) | (array >= n)]
    if outside.size:
        raise ArgumentError(
            f"{name} {_some(outside.tolist())} is out of range: expected 0 to {n - 1}"
        )
    return array.astype(np.int64)


def check_count(name: str, value: int, least: int) -> int:
    """A whole number of at least ``least``.

    Raises:
        ArgumentTypeError: no whole number.
        ArgumentError: it is less.
    """
    if not isinstance(value, Integral):
        raise ArgumentTypeError(f"{name} is {value!r}, expected a whole number")
    if value < least:
        raise ArgumentError(f"{name} is {value}, expected at least {least}")
    return int(value)


def neurons_of(key: Any, groups: Groups | None, n: int, name: str) -> np.ndarray:  # noqa: ANN401
    """Neurons that a key names: those of a group, or the neuron of that index.

    Raises:
        ArgumentError: neither a group nor an index in range.
    """
    members = groups.members(key) if groups is not None else np.empty(0, dtype=np.int64)
    if members.size:
        return members
    if isinstance(key, Integral) and not isinstance(key, bool):
        return check_indices([key], n, name)
    known = "there are no groups" if groups is None else f"the groups are {_some(groups.names)}"
    raise ArgumentError(f"{name} {key!r} is neither a group nor the index of a neuron; {known}")


def members_of(who: Any, groups: Groups | None, n: int, name: str) -> np.ndarray:  # noqa: ANN401
    """Neurons that a key or several keys name, ascending and each once; see :func:`neurons_of`.

    Raises:
        ArgumentError: no keys, or one that is neither a group nor an index in range.
    """
    several = isinstance(who, Iterable) and not isinstance(who, str)
    keys = (who.tolist() if hasattr(who, "tolist") else list(who)) if several else [who]
    if not keys:
        raise ArgumentError(f"{name} no neurons; give at least one group or index")
    return np.unique(np.concatenate([neurons_of(key, groups, n, name) for key in keys]))


def _belongs(groups: Groups, names: Sequence[Hashable], role: str) -> np.ndarray:
    inside = np.zeros(len(groups.of_neuron), dtype=bool)
    for name in names:
        members = groups.members(name)
        if not members.size:
            raise ArgumentError(
                f"divisive_normalization has {name!r} as {role}, but no neuron belongs to it; "
                f"the groups are {_some(groups.names)}"
            )
        inside[members] = True
    return inside


def _refuse_positive(edges: DivisiveEdges, groups: Groups) -> None:
    positive = np.flatnonzero(edges.weight > 0)
    if not positive.size:
        return
    first = positive[0]
    pre, post = int(edges.pre[first]), int(edges.post[first])
    name = [groups.names[groups.of_neuron[neuron]] for neuron in (pre, post)]
    raise ArgumentError(
        f"divisive weights should be negative: {positive.size} of {len(edges.weight)} are "
        f"positive, first {float(edges.weight[first]):g} from neuron {pre} ({name[0]}) to "
        f"{post} ({name[1]}); correct the sign or leave the pair out of divisive_normalization"
    )


def _listed(names: Any) -> list:  # noqa: ANN401
    return [names] if isinstance(names, str) else list(names)


def _some(values: Sequence[Any], most: int = 5) -> str:
    shown = ", ".join(repr(value) for value in list(values)[:most])
    return f"{shown} and {len(values) - most} more" if len(values) > most else shown

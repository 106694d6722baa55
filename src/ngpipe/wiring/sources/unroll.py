r"""From a connectome of cell types to one of neurons on a hexagonal lattice of columns.

A column has axial coordinates (u, v). The lattice of radius R holds the :math:`3R^2 + 3R + 1`
columns with :math:`\max(|u|, |v|, |u + v|) \le R`. An entry (pre type, post type, du, dv) is one
connection for every sender: from the neuron of the pre type in column (u, v) to the neuron of the
post type in column (u + du, v + dv), where both exist (convolutional wiring; Lappalainen et al.
2024, Nature, doi:10.1038/s41586-024-07939-3).
"""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import pandas as pd
from jaxtyping import Int
from scipy import sparse
from scipy.spatial import ConvexHull

from ngpipe.errors import ConnectomeError
from ngpipe.wiring.container import Connectome
from ngpipe.wiring.edges import few
from ngpipe.wiring.origin import Origin

OFFSET_COLUMNS = ("pre", "post", "du", "dv", "weight")


@dataclass(frozen=True, eq=False)
class TypeConnectome:
    """Cell types and what connects a sender to receivers some columns away.

    Attributes:
        types: table with ``cell_type``, strides ``stride_u`` and ``stride_v`` (a type is present
            in columns whose u and v they divide; 0 stands for the central column alone), and
            further columns that its neurons inherit, such as ``role`` or ``sign``.
        offsets: table with ``pre``, ``post`` (types), ``du``, ``dv`` [columns, from sender to
            receiver] and ``weight`` [synapses, with its sign].
        origin: where both are known from.
    """

    types: pd.DataFrame
    offsets: pd.DataFrame
    origin: Origin = field(default_factory=Origin)

    def __post_init__(self) -> None:
        for table, name, columns in (
            (self.types, "types", ("cell_type", "stride_u", "stride_v")),
            (self.offsets, "offsets", OFFSET_COLUMNS),
        ):
            missing = [c for c in columns if c not in table]
            if missing:
                raise ConnectomeError(
                    f"the table of {name} has columns {list(table)}, not {missing}; expected "
                    f"{list(columns)}"
                )
        named = pd.unique(pd.concat([self.offsets["pre"], self.offsets["post"]]))
        unknown = [t for t in named if t not in set(self.types["cell_type"])]
        if unknown:
            raise ConnectomeError(
                f"offsets name {len(unknown)} cell types that the table of types lacks, "
                f"{few(unknown)}; add them"
            )
        if self.types["cell_type"].duplicated().any():
            twice = self.types["cell_type"][self.types["cell_type"].duplicated()]
            raise ConnectomeError(f"cell types stand in the table twice, {few(twice)}; keep one")

    def unroll(self, radius: int, fill: float = 0.0) -> Connectome:
        """Neurons and connections on the lattice of this radius.

        Neurons come type by type, in a type by u, then v. Their ``x``, ``y`` are Cartesian, in
        distances of neighbouring columns.

        Args:
            radius: of the lattice [columns].
            fill: weight [synapses] given to offsets that the table lacks inside the convex hull
                of those it has for a pair of types, with the pair's sign; 0 adds none. The
                published network of Lappalainen et al. uses 1.

        Raises:
            ConnectomeError: a negative radius.
        """
        if radius < 0:
            raise ConnectomeError(f"radius {radius} is negative; the smallest lattice has radius 0")
        offsets = filled(self.offsets, fill) if fill else self.offsets
        neurons = _neurons(self.types, radius)
        weights = _weights(self.types, offsets, neurons, radius)
        counts = {"columns": len(hexagon(radius)), "offsets_filled": len(offsets)}
        counts["offsets_filled"] -= len(self.offsets)
        origin = self.origin.counted(counts).noted(f"unrolled to radius {radius}, fill {fill:g}")
        return Connectome(weights, neurons, "synapses", origin)


def hexagon(radius: int) -> Int[np.ndarray, "column 2"]:
    """Axial coordinates (u, v) of the lattice of this radius, by u, then v."""
    u, v = np.mgrid[-radius : radius + 1, -radius : radius + 1].reshape(2, -1)
    inside = np.abs(u + v) <= radius
    return np.stack([u[inside], v[inside]], axis=1)


def cartesian(u: np.ndarray, v: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    r"""Positions of columns, neighbours at distance 1: :math:`x = \sqrt3/2\,u,\ y = v + u/2`."""
    return np.sqrt(3) / 2 * u, v + u / 2


def filled(offsets: pd.DataFrame, weight: float) -> pd.DataFrame:
    """The offsets and, for each pair of types, those missing inside their convex hull.

    Pairs with fewer than three offsets, or all on a line, have no inside.

    Args:
        offsets: see :class:`TypeConnectome`.
        weight: size given to what is added, with the pair's sign [synapses].
    """
    added = [offsets]
    for (pre, post), rows in offsets.groupby(["pre", "post"], sort=False):
        known = rows[["du", "dv"]].to_numpy(np.int64)
        inside = _inside(known)
        if len(inside):
            size = weight * np.sign(rows["weight"].sum())
            columns = {"du": inside[:, 0], "dv": inside[:, 1], "weight": size}
            added.append(pd.DataFrame({"pre": pre, "post": post, **columns}))
    return pd.concat(added, ignore_index=True)


def _inside(known: Int[np.ndarray, "n 2"]) -> Int[np.ndarray, "m 2"]:
    """Lattice points inside the convex hull of some, without these.

    Points on the border count where an even-odd ray test counts them: with this rule the lattice
    of radius 15 has the published number of connections.
    """
    if len(known) < 3 or np.linalg.matrix_rank(known - known[0]) < 2:
        return np.empty((0, 2), np.int64)
    corners = known[ConvexHull(known).vertices]
    (u0, v0), (u1, v1) = corners.T[:, :, None], np.roll(corners, -1, axis=0).T[:, :, None]
    low, high = known.min(axis=0), known.max(axis=0)
    grid = np.mgrid[low[0] : high[0] + 1, low[1] : high[1] + 1].reshape(2, -1).T
    u, v = grid.T
    spans = (v0 >= v) != (v1 >= v)
    beyond = ((v1 - v) * (u0 - u1) >= (u1 - u) * (v0 - v1)) == (v1 >= v)
    inside = (spans & beyond).sum(axis=0) % 2 == 1
    new = ~(grid[:, None] == known).all(axis=2).any(axis=1)
    return grid[inside & new]


def _present(stride_u: int, stride_v: int, columns: np.ndarray) -> np.ndarray:
    """Mask of the columns that contain a type with these strides."""
    if stride_u == 0 or stride_v == 0:
        return (columns == 0).all(axis=1)
    return (columns[:, 0] % stride_u == 0) & (columns[:, 1] % stride_v == 0)


def _neurons(types: pd.DataFrame, radius: int) -> pd.DataFrame:
    columns = hexagon(radius)
    where = [
        columns[_present(int(su), int(sv), columns)]
        for su, sv in zip(types["stride_u"], types["stride_v"], strict=True)
    ]
    repeat = np.repeat(np.arange(len(types)), [len(w) for w in where])
    u, v = np.concatenate(where).T
    inherited = types.drop(columns=["stride_u", "stride_v"]).iloc[repeat].reset_index(drop=True)
    x, y = cartesian(u, v)
    names = inherited["cell_type"].astype(str).to_numpy(object)
    ids = [f"{name}({a},{b})" for name, a, b in zip(names, u, v, strict=True)]
    return inherited.assign(id=ids, u=u, v=v, x=x, y=y)


def _weights(
    types: pd.DataFrame, offsets: pd.DataFrame, neurons: pd.DataFrame, radius: int
) -> sparse.csr_array:
    """W[post, pre]: every offset from every sender, looked up in a grid (type, u, v) of indices."""
    code = {name: i for i, name in enumerate(types["cell_type"])}
    kinds = neurons["cell_type"].map(code).to_numpy()
    place = neurons[["u", "v"]].to_numpy() + radius
    grid = np.full((len(types), 2 * radius + 1, 2 * radius + 1), -1, np.int64)
    grid[kinds, place[:, 0], place[:, 1]] = np.arange(len(neurons))
    members = [np.flatnonzero(kinds == k) for k in range(len(types))]
    ends = _ends(offsets, code, (grid, place, members))
    pre, post = np.concatenate([e[:2] for e in ends], axis=1) if ends else np.empty((2, 0), int)
    values = np.concatenate([e[2] for e in ends]) if ends else np.empty(0)
    return sparse.coo_array((values, (post, pre)), shape=(len(neurons),) * 2).tocsr()


def _ends(
    offsets: pd.DataFrame,
    code: Mapping[object, int],
    lattice: tuple[np.ndarray, np.ndarray, list[np.ndarray]],
) -> list[tuple[np.ndarray, np.ndarray, np.ndarray]]:
    """(pre, post, weight) of each offset, for the senders whose receiver exists."""
    grid, place, members = lattice
    size = grid.shape[1]
    found = []
    for pre, post, du, dv, weight in offsets[list(OFFSET_COLUMNS)].itertuples(index=False):
        senders = members[code[pre]]
        u, v = place[senders, 0] + du, place[senders, 1] + dv
        inside = (u >= 0) & (u < size) & (v >= 0) & (v < size)
        receivers = grid[code[post], u[inside], v[inside]]
        exists = receivers >= 0
        found.append((senders[inside][exists], receivers[exists], np.full(exists.sum(), weight)))
    return found

"""Circuits in the format SONATA: populations of edges and of nodes in HDF5 files.

Node ids count from 0 in each population. An edge is a synapse, or several of one pair of neurons;
its attributes, and those of nodes, lie in numbered groups, and two columns say which row of which
group belongs to whom. See github.com/AllenInstitute/sonata, docs/SONATA_DEVELOPER_GUIDE.md.
"""

import warnings
from pathlib import Path

import numpy as np
import pandas as pd

from ngpipe.errors import NgpipeWarning, StoreError
from ngpipe.wiring.sources.graph_files import Graph
from ngpipe.wiring.sources.matrix_files import HDF, pick
from ngpipe.wiring.sources.table_files import needed

ENDS = {"pre": "source_node_id", "post": "target_node_id"}


def is_circuit(path: Path) -> bool:
    """True if an HDF5 file holds populations of SONATA, not just matrices."""
    with needed("h5py", path, HDF).File(path, "r") as file:
        return any(
            key in population
            for part, key in (("edges", ENDS["pre"]), ("nodes", "node_type_id"))
            for population in file.get(part, {}).values()
        )


def read(path: Path, nodes: Path | None = None, population: str | None = None) -> Graph:
    """One whole population of edges, and the nodes that it connects.

    Ids are whole numbers from 0; where senders and receivers are of two populations they are text,
    ``population/number``. The column ``population`` says where each node belongs.

    Args:
        path: the file of edges.
        nodes: the file of nodes, which knows those without edges and their attributes; without it
            nodes are those of the edges.
        population: name of the population of edges in a file that holds several.

    Raises:
        StoreError: no such population, or nodes that the file of nodes lacks.
    """
    with needed("h5py", path, HDF).File(path, "r") as file:
        if "edges" not in file:
            raise StoreError(f"{path} holds no edges, only {list(file)}; name it in neurons")
        edges = file["edges"][_population_of_edges(path, file["edges"], population)]
        between = {end: _population(path, edges[key]) for end, key in ENDS.items()}
        table = _attributes(edges, "edge")
        ends = {end: edges[key][()].astype(np.int64) for end, key in ENDS.items()}
    names = list(dict.fromkeys(between.values()))
    if nodes is None:
        used = {p: np.concatenate([ends[e] for e in ends if between[e] == p]) for p in names}
        parts = {p: pd.DataFrame({"id": np.unique(ids)}) for p, ids in used.items()}
    else:
        parts = _nodes(nodes, names)
    neurons = [part.assign(population=p) for p, part in parts.items()]
    if len(names) == 1:
        return Graph(path, neurons[0], table.assign(**ends))
    for one in neurons:
        one["id"] = _named(one["population"].iloc[0], one["id"])
    ends = {end: _named(between[end], pd.Series(ids)) for end, ids in ends.items()}
    return Graph(path, pd.concat(neurons, ignore_index=True), table.assign(**ends))


def read_nodes(path: Path) -> pd.DataFrame:
    """The nodes of a file with one population: ``id``, ``population`` and their attributes.

    Raises:
        StoreError: no population, or several.
    """
    with needed("h5py", path, HDF).File(path, "r") as file:
        names = list(file.get("nodes", {}))
    if len(names) != 1:
        raise StoreError(
            f"{path} holds the populations of nodes {names}, expected one; beside a file of edges "
            "it may hold several"
        )
    return _nodes(path, names)[names[0]].assign(population=names[0])


def _population_of_edges(path: Path, edges, asked: str | None) -> str:  # noqa: ANN001
    """Name of the population of edges that is meant; those that hold none do not count."""
    known = [name for name in edges if set(ENDS.values()) <= set(edges[name])]
    if asked in set(edges) - set(known):
        raise StoreError(f"{path}: the population '{asked}' holds no edges; take one of {known}")
    return pick(path, known, asked, "", "populations of edges")


def _named(population: str, ids: pd.Series) -> pd.Series:
    return population + "/" + ids.astype(str)


def _nodes(path: Path, names: list[str]) -> dict[str, pd.DataFrame]:
    """Nodes of each population, with their attributes; ids ascend."""
    found = {}
    with needed("h5py", path, HDF).File(path, "r") as file:
        held = file.get("nodes", {})
        absent = [name for name in names if name not in held]
        if absent:
            raise StoreError(
                f"{path} holds the populations of nodes {list(held)}, not {absent}, which the "
                "edges connect; give a file that holds all of them"
            )
        for name in names:
            nodes = held[name]
            if "node_type_id" not in nodes:
                raise StoreError(
                    f"{path}: the population '{name}' holds no nodes, but the edges connect it; "
                    "give a file that holds them, or leave neurons out: they are then those of "
                    "the edges"
                )
            ids = (
                nodes["node_id"][()]
                if "node_id" in nodes
                else np.arange(len(nodes["node_type_id"]))
            )
            table = _attributes(nodes, "node").assign(id=ids.astype(np.int64))
            found[name] = table.sort_values("id", ignore_index=True)
    return found


def _population(path: Path, ids) -> str:  # noqa: ANN001
    name = ids.attrs.get("node_population")
    if name is None:
        raise StoreError(
            f"{path}: {ids.name} lacks the attribute 'node_population', which says whose ids these "
            "are; add it with h5py"
        )
    return name.decode() if isinstance(name, bytes) else str(name)


def _attributes(population, what: str) -> pd.DataFrame:  # noqa: ANN001
    """Type and attributes of each edge or node; missing where its group has none of that name."""
    types = population[f"{what}_type_id"][()]
    table = {f"{what}_type_id": types.astype(np.int64)}
    groups = [name for name in population if name.isdigit()]
    of, row = (population.get(f"{what}_group_{part}") for part in ("id", "index"))
    for group in groups:
        inside = np.full(len(types), True) if of is None else of[()] == int(group)
        rows = np.arange(len(types)) if row is None else row[()][inside].astype(np.int64)
        for name, values in _columns(population[group]).items():
            if len(rows) and rows.max() >= len(values):
                _tell_left_out(f"{population.name}/{group}/{name}", len(values), len(rows), what)
                continue
            if inside.all():
                table[name] = values[rows]
                continue
            column = table.setdefault(name, np.full(len(types), None, dtype=object))
            column[inside] = values[rows]
    return pd.DataFrame(table).infer_objects()


def _tell_left_out(attribute: str, values: int, rows: int, what: str) -> None:
    text = f"{attribute} has {values} values for {rows} {what}s; it is left out"
    warnings.warn(text, NgpipeWarning, stacklevel=2)


def _columns(group, prefix: str = "") -> dict[str, np.ndarray]:  # noqa: ANN001
    """Attributes of one group by name, texts decoded, numbers of a library looked up."""
    found: dict[str, np.ndarray] = {}
    library = group.get("@library", {})
    for name in group:
        if name == "@library":
            continue
        if hasattr(group[name], "keys"):
            found |= _columns(group[name], f"{prefix}{name}.")
            continue
        if group[name].shape is None:  # an attribute without values
            continue
        values = _decoded(group[name][()])
        if name in library:
            names = np.append(_decoded(library[name][()]).astype(object), [None])
            values = names[np.where(values < len(names), values, -1)]  # the last: no such entry
        if values.ndim == 1:
            found[prefix + name] = values
        else:
            flat = values.reshape(len(values), -1)
            found |= {f"{prefix}{name}_{i}": flat[:, i] for i in range(flat.shape[1])}
    return found


def _decoded(values: np.ndarray) -> np.ndarray:
    if values.dtype.kind not in "OS":
        return values
    flat = [v.decode() if isinstance(v, bytes) else v for v in values.ravel()]
    return np.array(flat, dtype=object).reshape(values.shape)

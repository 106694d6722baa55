"""Directed graphs from files: GraphML, GEXF, GML and node-link JSON."""

import json
import re
import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from io import BufferedIOBase, BytesIO
from pathlib import Path
from xml.etree import ElementTree

import pandas as pd

from ngpipe.config import files as kinds
from ngpipe.errors import ConnectomeError, NgpipeWarning, StoreError
from ngpipe.wiring.sources.table_files import unpacked


@dataclass(frozen=True)
class Graph:
    """Content of a graph file.

    Attributes:
        path: the file.
        neurons: a row for each node, with its attributes; the column ``id`` is its name.
        edges: a row for each arrow, columns ``pre`` and ``post`` and its attributes.
    """

    path: Path
    neurons: pd.DataFrame
    edges: pd.DataFrame


def read(path: Path) -> Graph:
    """Neurons and edges of a graph file; arrows go from pre to post, repeated ones stay.

    Values that the file gives for all nodes or edges without their own are filled in.

    Raises:
        StoreError: the graph has no directions, or not all of it could be read.
        Exception: one of :data:`ngpipe.wiring.sources.opened.UNREADABLE` for a file that is not
            of its kind.
    """
    readers: dict[str, Callable[[Path, BufferedIOBase], Graph]] = {
        ".graphml": _xml,
        ".gexf": _xml,
        ".gml": _gml,
        ".json": _node_link,
    }
    with unpacked(path) as file:
        return readers[kinds.kind(path, kinds.GRAPHS)](path, file)


def weight_of(graph: Graph, weight: str | None, *, stated: bool) -> str | None:
    """The attribute of edges that is their weight; None if each counts 1, which is said.

    Args:
        graph: what was read.
        weight: the attribute's name.
        stated: whether the user gave that name, or it is the default.

    Raises:
        ConnectomeError: the attribute that was given is absent, or some edges lack it.
    """
    path, there = graph.path, [name for name in graph.edges if name not in ("pre", "post")]
    if weight is None or not len(graph.edges):
        return None
    if weight in there:
        lacking = int(graph.edges[weight].isna().sum())
        if lacking:
            raise ConnectomeError(
                f"{path}: {lacking} of {len(graph.edges)} edges lack the attribute '{weight}'; "
                "give each its weight, or say weight=None if every edge counts 1"
            )
        return weight
    if stated:
        raise ConnectomeError(
            f"{path}: no edge has the attribute '{weight}'; edges have {there or 'none'}: name one "
            "in weight, or say weight=None if every edge counts 1"
        )
    if there:
        warnings.warn(
            f"{path}: every edge counts 1, because none has the attribute '{weight}'; edges have "
            f"{there}: name one in weight, or say weight=None",
            NgpipeWarning,
            stacklevel=2,
        )
    return None


def with_ids(graph: Graph, attribute: str) -> Graph:
    """The same graph, its nodes called by one of their attributes.

    Raises:
        ConnectomeError: nodes without it.
    """
    if attribute == "id" or attribute not in graph.neurons:
        return graph
    names = graph.neurons[attribute]
    if names.isna().any():
        raise ConnectomeError(
            f"{graph.path}: {names.isna().sum()} of {len(names)} nodes lack the attribute "
            f"'{attribute}', which id names; give each one, or name another"
        )
    by_id = dict(zip(graph.neurons["id"], names, strict=True))
    ends = {end: graph.edges[end].map(by_id) for end in ("pre", "post")}
    neurons = graph.neurons.drop(columns="id").rename(columns={attribute: "id"})
    return replace(graph, neurons=neurons, edges=graph.edges.assign(**ends))


def _xml(path: Path, file: BufferedIOBase) -> Graph:
    import networkx as nx  # slow to import, and of use for these files alone

    content = file.read()
    reader = nx.read_graphml if kinds.kind(path) == ".graphml" else nx.read_gexf
    try:
        found = reader(BytesIO(content))
        held = _elements(content)
    except (nx.NetworkXException, SyntaxError) as error:  # XML that is none is a SyntaxError
        raise ValueError(str(error)) from error
    _check_whole(path, held, found)
    defaults = {part: found.graph.get(f"{part}_default", {}) for part in ("node", "edge")}
    if kinds.kind(path) == ".gexf":
        defaults["edge"] = {"weight": 1.0, **defaults["edge"]} if _weighs(found) else {}
    return _graph(path, found, **defaults)


def _weighs(graph) -> bool:  # noqa: ANN001
    """True if some edge has a weight: the others then weigh 1, as the format GEXF says."""
    return any("weight" in values for _, _, values in graph.edges(data=True))


def _elements(content: bytes) -> dict[str, int]:
    """Numbers of nodes and arrows in an XML file; mutual edges are two arrows."""
    held = {"node": 0, "edge": 0}
    for _, element in ElementTree.iterparse(BytesIO(content)):
        tag = element.tag.rpartition("}")[2]
        if tag in held:
            held[tag] += 1 + (element.get("type") == "mutual")
    return held


def _check_whole(path: Path, held: dict[str, int], found) -> None:  # noqa: ANN001
    got = {"node": found.number_of_nodes(), "edge": found.number_of_edges()}
    if got != held:
        raise StoreError(
            f"{path} holds {held['node']} nodes and {held['edge']} edges, of which networkx reads "
            f"{got['node']} and {got['edge']}; several or nested graphs, ids given twice, or edges "
            "of nodes that are not listed: write one flat graph"
        )


def _gml(path: Path, file: BufferedIOBase) -> Graph:
    """Nodes are called by their label; files of igraph have a name in its place."""
    import networkx as nx

    text = file.read().decode("utf-8-sig")
    # without this networkx refuses edges that stand there more than once
    text = re.sub(r"(?m)^(\s*graph\s*)\[", r"\1[ multigraph 1 ", text, count=1)
    try:
        found = nx.parse_gml(text, label=None)
    except nx.NetworkXException as error:
        raise ValueError(str(error)) from error
    graph = _graph(path, found)
    for name in ("label", "name"):
        if name in graph.neurons and graph.neurons[name].notna().all():
            return with_ids(graph, name)
    return graph


def _node_link(path: Path, file: BufferedIOBase) -> Graph:
    content = json.loads(file.read())
    links = next((name for name in ("edges", "links") if name in content), None)
    if links is None or "nodes" not in content:
        raise ValueError(f"expected the keys 'nodes' and 'links' or 'edges', got {list(content)}")
    _check_directed(path, bool(content.get("directed")))
    nodes = [{**node, "id": node.get("id", n)} for n, node in enumerate(content["nodes"])]
    edges = [{**one, "pre": one["source"], "post": one["target"]} for one in content[links]]
    return _tables(path, nodes, edges, leave=["source", "target", "key"])


def _check_directed(path: Path, directed: bool) -> None:
    if not directed:
        raise StoreError(
            f"{path} holds a graph without directions; a connectome says who sends and who "
            "receives, so write it as a directed graph"
        )


def _graph(path: Path, found, node: dict | None = None, edge: dict | None = None) -> Graph:  # noqa: ANN001
    """Tables of a graph of networkx; values that hold for all others are filled in."""
    _check_directed(path, found.is_directed())
    node, edge = node or {}, edge or {}
    nodes = [{**node, **values, "id": name} for name, values in found.nodes(data=True)]
    edges = [
        {**edge, **values, "pre": pre, "post": post} for pre, post, values in found.edges(data=True)
    ]
    return _tables(path, nodes, edges)


def _tables(path: Path, nodes: list[dict], edges: list[dict], leave: Iterable[str] = ()) -> Graph:
    table = pd.DataFrame(edges, columns=None if edges else ["pre", "post"])
    return Graph(path, pd.DataFrame(nodes), table.drop(columns=list(leave), errors="ignore"))

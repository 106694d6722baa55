"""Every reader against a dictionary of edges, on random small graphs."""

import gzip
import json
from pathlib import Path
from tempfile import TemporaryDirectory

import networkx as nx
import numpy as np
import pandas as pd
import pytest
from examples import at_most
from hypothesis import given
from hypothesis import strategies as st
from scipy import io, sparse

from ngpipe.wiring.sources.tables import read

NAMES = ["AVAL", "DB01", "nerve ring", "x#1", "17b", "a;b"]
EDGES = st.lists(
    st.tuples(st.integers(0, 5), st.integers(0, 5), st.integers(1, 40)), min_size=1, max_size=12
)


def summed(edges: list[tuple]) -> dict[tuple, float]:
    """The reference: a dictionary."""
    found: dict[tuple, float] = {}
    for pre, post, weight in edges:
        found[pre, post] = found.get((pre, post), 0) + weight
    return found


def text(path: Path, edges: list[tuple]) -> dict:
    """Tabs, a title, a remark, no header, compressed."""
    lines = ["made up", "# pre, post, weight", *("\t".join(map(str, one)) for one in edges)]
    path.with_suffix(".TXT.gz").write_bytes(gzip.compress("\n".join(lines).encode()))
    return {"comment": "#", "skip": 1, "header": ["pre", "post", "weight"], "separator": "tab"}


def workbook(path: Path, edges: list[tuple]) -> dict:
    table = pd.DataFrame(edges, columns=["from", "to", "n"])
    table.to_excel(path.with_suffix(".xlsx"), index=False, startrow=2)
    return {"skip": 2, "pre": "from", "post": "to", "weight": "n"}


def gml(path: Path, edges: list[tuple]) -> dict:
    """As igraph writes it: names, no labels."""
    names = sorted({name for one in edges for name in one[:2]})
    nodes = [f'node [ id {i} name "{name}" ]' for i, name in enumerate(names)]
    lines = [
        f"edge [ source {names.index(pre)} target {names.index(post)} weight {weight} ]"
        for pre, post, weight in edges
    ]
    path.with_suffix(".gml").write_text("\n".join(["graph [ directed 1", *nodes, *lines, "]"]))
    return {}


def of_networkx(suffix: str, write) -> object:
    def save(path: Path, edges: list[tuple]) -> dict:
        graph = nx.MultiDiGraph()
        for number, (pre, post, weight) in enumerate(edges):
            graph.add_edge(pre, post, key=number, weight=weight)
        write(graph, path.with_suffix(suffix))
        return {}

    return save


def node_link(graph: nx.MultiDiGraph, path: Path) -> None:
    path.write_text(json.dumps(nx.node_link_data(graph, edges="links")))


SAVERS = {
    "text": text,
    "workbook": workbook,
    "gml": gml,
    "graphml": of_networkx(".graphml", nx.write_graphml),
    "gexf": of_networkx(".gexf", nx.write_gexf),
    "json": of_networkx(".json", node_link),
}


@pytest.mark.quick(3)
@pytest.mark.parametrize("name", SAVERS)
@at_most(8)
@given(edges=EDGES)
def test_tables_and_graphs(name, edges):
    edges = [(NAMES[pre], NAMES[post], weight) for pre, post, weight in edges]
    with TemporaryDirectory() as folder:
        options = SAVERS[name](Path(folder) / "g", edges)
        (path,) = Path(folder).iterdir()
        found = read(path, **options)
    got = {(pre, post): weight for pre, post, weight in found.edges().itertuples(index=False)}
    assert got == summed(edges)


def matlab(path: Path, matrix: np.ndarray) -> Path:
    io.savemat(path.with_suffix(".mat"), {"W": matrix, "dt": 0.1})
    return path.with_suffix(".mat")


def market(path: Path, matrix: np.ndarray) -> Path:
    io.mmwrite(path.with_suffix(".mtx"), sparse.coo_array(matrix))
    return path.with_suffix(".mtx")


def numbers(path: Path, matrix: np.ndarray) -> Path:
    np.savetxt(path.with_suffix(".csv"), matrix, delimiter=",")
    return path.with_suffix(".csv")


@pytest.mark.quick(3)
@pytest.mark.parametrize("rows", ["post", "pre"])
@pytest.mark.parametrize("save", [matlab, market, numbers])
@at_most(8)
@given(edges=EDGES)
def test_matrices(save, rows, edges):
    expected = summed(edges)
    matrix = np.zeros((6, 6))
    for (pre, post), weight in expected.items():
        matrix[(post, pre) if rows == "post" else (pre, post)] = weight
    with TemporaryDirectory() as folder:
        path = save(Path(folder) / "W", matrix)
        found = read(path, rows=rows, **({"header": False} if save is numbers else {}))
    got = {(pre, post): weight for pre, post, weight in found.edges().itertuples(index=False)}
    assert got == expected
    assert len(found) == 6

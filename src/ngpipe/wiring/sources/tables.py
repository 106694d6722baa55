"""Connectomes from files: edge lists, matrices and graphs become one :class:`Connectome`.

Edge lists are pre -> post; matrices are ``[post, pre]`` unless ``rows="pre"`` says otherwise.
"""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from ngpipe.config.files import GRAPHS, MATRICES, TABLES, TableFile, TextFormat
from ngpipe.wiring import columns, edges
from ngpipe.wiring.container import Connectome
from ngpipe.wiring.layout import Layout
from ngpipe.wiring.matrix import read_matrix
from ngpipe.wiring.origin import Origin
from ngpipe.wiring.sources import graph_files, matrix_files, opened, sonata, table_files
from ngpipe.wiring.sources.sheets import is_sheet, sheet

KINDS = (*TABLES, *MATRICES, *GRAPHS)

__all__ = ["Connectome", "Layout", "Origin", "TableFile", "read", "read_matrix", "read_table"]


def read(
    path: Path | str,
    neurons: pd.DataFrame | TableFile | Path | str | None = None,
    *,
    unit: str = "synapses",
    **layout: object,
) -> Connectome:
    """Read a connectome from a file, in place; the file's SHA-256 is kept in its origin.

    Args:
        path: an edge list or a labelled sheet (.csv, .tsv, .txt, .xlsx, .parquet, .feather), a
            matrix (.npy, .npz also of scipy, .mtx, .mat, .h5, .pt, .zarr), a graph (.graphml,
            .gexf, .gml, node-link .json), edges of SONATA (.h5), or a store that
            :meth:`Connectome.save` wrote, which has all the rest.
        neurons: table of the neurons, or the file that holds it, as :class:`TableFile` where its
            layout is to be told; of SONATA the file of nodes. A matrix without labels has neurons
            0 .. N-1 in the order of the table.
        unit: of the weights.
        **layout: what columns and rows are called, the fields of :class:`Layout`, and how a text
            is laid out, those of :class:`ngpipe.config.files.TextFormat`.

    Raises:
        StoreError: a file that is absent, of unknown kind or unreadable.
        ConnectomeError: content that contradicts itself, see :meth:`Connectome.from_edges`.

    Warns:
        NgpipeWarning: what is doubtful, such as edges without a weight that count 1; it stands in
            ``notes`` too, beside what was left out, added up or joined.
    """
    path, kind = opened.existing(path, KINDS)
    about = Layout.of(layout)
    with opened.noting() as notes:
        if kind == ".zarr" and (path / "edge_weight").exists():
            found = Connectome.load(path)
        else:
            weights, table, _, origin = _parts(path, kind, neurons, about)
            found = Connectome(weights, table, unit, origin)
    return replace(found, origin=found.origin.noted(*notes)) if notes else found


def _parts(
    path: Path,
    kind: str,
    neurons: pd.DataFrame | TableFile | Path | str | None,
    about: Layout,
) -> edges.Parts:
    """Content of a file of a given kind, and the table of neurons."""
    named = []
    circuit = kind == ".h5" and opened.opened(sonata.is_circuit, path)
    if isinstance(neurons, str | Path | TableFile):
        named = [Path(neurons.path if isinstance(neurons, TableFile) else neurons)]
        is_nodes = circuit and opened.existing(named[0], (*TABLES, ".h5"))[1] == ".h5"
        neurons = named[0] if is_nodes else read_table(neurons)
    origin = Origin.of_files(path, *named)
    if kind in TABLES:
        table = opened.opened(table_files.read, path, about.text)
        return _from_table(table, neurons, about, origin)
    if circuit:
        nodes = neurons if isinstance(neurons, Path) else None
        graph = opened.opened(sonata.read, path, nodes, about.variable)
        return _from_graph(graph, None if nodes else neurons, about, origin)
    if kind in GRAPHS:
        return _from_graph(opened.opened(graph_files.read, path), neurons, about, origin)
    rows = about.rows if "rows" in about.stated else None
    matrix = opened.opened(matrix_files.read, path, about.variable, rows)
    return _from_matrix(matrix, neurons, about, origin)


def read_table(path: Path | str | TableFile) -> pd.DataFrame:
    """A table as it is stored; of SONATA the nodes of a file.

    Args:
        path: the file, as :class:`TableFile` where its layout is to be told.

    Raises:
        StoreError: a file that is absent, of unknown kind or unreadable.
    """
    text = path if isinstance(path, TableFile) else TextFormat()
    path, kind = opened.existing(
        path.path if isinstance(path, TableFile) else path, (*TABLES, ".h5")
    )
    if kind == ".h5":
        return opened.opened(sonata.read_nodes, path)
    return opened.opened(table_files.read, path, text)


def _from_table(
    table: pd.DataFrame, neurons: pd.DataFrame | None, layout: Layout, origin: Origin
) -> edges.Parts:
    """An edge list, or a sheet whose first column and header are labels."""
    bare = not {layout.pre, layout.post} & set(columns.named(table, "the table"))
    if bare and layout.text.header is False and layout.text.corner is None:
        matrix = table_files.numbers(table, origin.source)
        return _from_matrix(matrix.T if layout.rows == "pre" else matrix, neurons, layout, origin)
    if layout.text.corner is not None or (bare and is_sheet(table)):
        return sheet(table, neurons, layout, origin)
    return edges.assemble(table, neurons, layout, origin, "")


def _from_graph(
    graph: graph_files.Graph, neurons: pd.DataFrame | None, layout: Layout, origin: Origin
) -> edges.Parts:
    """Nodes are called by the attribute that ``id`` names, if they have it."""
    graph = graph_files.with_ids(graph, layout.id)
    weight = graph_files.weight_of(graph, layout.weight, stated="weight" in layout.stated)
    layout = replace(layout, pre="pre", post="post", weight=weight)
    if neurons is None:
        neurons, layout = graph.neurons, replace(layout, id="id")
    return edges.assemble(graph.edges, neurons, layout, origin, "")


def _from_matrix(
    matrix: matrix_files.Matrix, neurons: pd.DataFrame | None, layout: Layout, origin: Origin
) -> edges.Parts:
    edges.check_no_rows(layout, "a matrix")
    weights = edges.canonical(matrix)
    notes: list[str] = []
    if neurons is None:
        neurons = pd.DataFrame({"id": np.arange(weights.shape[0])})
    else:
        neurons, notes = edges.neuron_table(neurons, layout)
    counts = {"self_connections": int(np.count_nonzero(weights.diagonal()))}
    notes = matrix_files.added_up(matrix) + notes
    return weights, neurons, "", origin.counted(counts).noted(*notes)

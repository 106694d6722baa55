"""Connectomes from files: edge lists, matrices and graphs become one :class:`Connectome`.

Edge lists are pre -> post; matrices are ``[post, pre]`` unless ``rows="pre"`` says otherwise.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import sparse

from ngpipe.errors import StoreError
from ngpipe.wiring import columns, edges, files
from ngpipe.wiring.connectome import Connectome
from ngpipe.wiring.edges import Layout
from ngpipe.wiring.matrix import read_matrix
from ngpipe.wiring.origin import Origin
from ngpipe.wiring.sheets import is_sheet, sheet

KINDS = (*files.TABLES, *files.MATRICES, *files.GRAPHS)

__all__ = ["Connectome", "Layout", "Origin", "read", "read_matrix", "read_table"]


def read(
    path: Path | str,
    neurons: pd.DataFrame | Path | str | None = None,
    *,
    unit: str = "synapses",
    **layout: object,
) -> Connectome:
    """Read a connectome from a file, in place; the file's SHA-256 is kept in its origin.

    Args:
        path: an edge list (.csv, .tsv, .parquet, .feather), a labelled square sheet (.csv, .tsv),
            a matrix (.npy, .npz also of scipy, .mtx, .pt, .zarr), a graph (.graphml, .gml,
            node-link .json), or a store that :meth:`Connectome.save` wrote, which has all the rest.
        neurons: table of the neurons, or the file that holds it; a matrix without labels has
            neurons 0 .. N-1 in the order of the table.
        unit: of the weights.
        **layout: what columns and rows are called, the fields of :class:`Layout`.

    Raises:
        StoreError: a file that is absent, of unknown kind or unreadable.
        ConnectomeError: content that contradicts itself, see :meth:`Connectome.from_edges`.
    """
    path = _existing(path)
    about, named = Layout.of(layout), []
    if isinstance(neurons, str | Path):
        named = [Path(neurons)]
        neurons = read_table(neurons)
    origin = Origin.of_files(path, *named)
    if path.suffix in files.TABLES:
        parts = _from_table(read_table(path), neurons, about, origin)
    elif path.suffix in files.GRAPHS:
        parts = _from_graph(path, neurons, about, origin)
    elif path.suffix == ".zarr" and (path / "edge_weight").exists():
        return Connectome.load(path)
    else:
        matrix = _opened(files.matrix, path, about.variable)
        parts = _from_matrix(matrix, neurons, about, origin)
    return Connectome(parts[0], parts[1], unit, parts[3])


def read_table(path: Path | str) -> pd.DataFrame:
    """A table as it is stored.

    Raises:
        StoreError: a file that is absent, of unknown kind or unreadable.
    """
    return _opened(files.table, _existing(path, files.TABLES))


def _existing(path: Path | str, known: Sequence[str] = KINDS) -> Path:
    path = Path(path)
    if not path.exists():
        raise StoreError(f"no file at {path.absolute()}; correct the path")
    if path.suffix not in known:
        raise StoreError(f"{path}: unknown kind '{path.suffix}', expected one of {list(known)}")
    return path


def _opened(reader, path: Path, *args: object):  # noqa: ANN001, ANN202
    try:
        return reader(path, *args)
    except files.UNREADABLE as error:
        raise StoreError(
            f"{path} cannot be read as {path.suffix} ({type(error).__name__}: {error}); write the "
            "file again"
        ) from error


def _from_table(
    table: pd.DataFrame, neurons: pd.DataFrame | None, layout: Layout, origin: Origin
) -> edges.Parts:
    """An edge list, or a sheet whose first column and header are labels."""
    if not {layout.pre, layout.post} & set(columns.named(table, "the table")) and is_sheet(table):
        return sheet(table, neurons, layout, origin)
    return edges.assemble(table, neurons, layout, origin, "")


def _from_graph(
    path: Path, neurons: pd.DataFrame | None, layout: Layout, origin: Origin
) -> edges.Parts:
    nodes, links = _opened(files.graph, path)
    weight = layout.weight if layout.weight in links else None
    layout = replace(layout, pre="pre", post="post", weight=weight)
    return edges.assemble(links, nodes if neurons is None else neurons, layout, origin, "")


def _from_matrix(
    matrix: files.Matrix, neurons: pd.DataFrame | None, layout: Layout, origin: Origin
) -> edges.Parts:
    edges.check_no_rows(layout, "a matrix")
    weights = edges.canonical(matrix if sparse.issparse(matrix) else np.asarray(matrix))
    weights = weights.T.tocsr() if layout.rows == "pre" else weights
    if neurons is None:
        neurons, notes = pd.DataFrame({"id": np.arange(weights.shape[0])}), []
    else:
        neurons, notes = edges.neuron_table(neurons, layout)
    counts = {"self_connections": int(np.count_nonzero(weights.diagonal()))}
    return weights, neurons, "", origin.counted(counts).noted(*notes)

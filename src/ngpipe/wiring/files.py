"""Read matrices and tables from files, whatever their format; the one place that opens them.

What rows and columns mean is not known here: see ``matrix.py`` and ``tables.py``.
"""

import json
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from scipy import io, sparse

from ngpipe import store
from ngpipe.errors import StoreError

UNREADABLE = (
    *(ValueError, TypeError, KeyError, AttributeError, OSError, EOFError, RuntimeError),
    *(pickle.UnpicklingError, zipfile.BadZipFile),
)
"""What numpy, pandas, scipy and torch raise for a file that is not what its suffix says."""

Matrix = np.ndarray | sparse.sparray | sparse.spmatrix | xr.DataArray

MATRICES = (".pt", ".npy", ".npz", ".zarr", ".mtx")
TABLES = (".csv", ".tsv", ".parquet", ".feather")
GRAPHS = (".graphml", ".gml", ".json")


def matrix(path: Path, variable: str | None = None, say: str = "variable") -> Matrix:
    """A matrix as it is stored, dense or sparse.

    Args:
        path: file of one of the kinds :data:`MATRICES`.
        variable: name of the matrix in a file that holds several.
        say: what the user calls ``variable``, for the message.

    Raises:
        StoreError: the file holds several matrices and ``variable`` names none of them, or it is
            a directory that is no zarr store.
        Exception: one of :data:`UNREADABLE` for a file that is not of its kind.
    """
    match path.suffix:
        case ".pt":
            import torch  # here alone: the rest of this room needs no torch

            return torch.load(path, map_location="cpu", weights_only=True).detach().numpy()
        case ".npy":
            return np.load(path, allow_pickle=False)
        case ".npz":
            return _npz(path, variable, say)
        case ".mtx":
            return io.mmread(path, spmatrix=False)
    dataset = store.read(path, {})
    square = [str(name) for name, v in dataset.items() if v.dims == ("post", "pre")]
    return dataset[_pick(path, square, variable, say)].load()


def table(path: Path) -> pd.DataFrame:
    """A table as it is stored.

    Raises:
        StoreError: a library is missing that reads this kind.
        Exception: one of :data:`UNREADABLE` for a file that is not of its kind.
    """
    readers = {".parquet": pd.read_parquet, ".feather": pd.read_feather}
    if path.suffix in readers:
        try:
            return readers[path.suffix](path)
        except ImportError as error:
            raise StoreError(
                f"{path} needs pyarrow, which is not installed; pip install pyarrow, or write the "
                "table as .csv"
            ) from error
    return pd.read_csv(path, sep="\t" if path.suffix == ".tsv" else ",", encoding="utf-8-sig")


def graph(path: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Neurons (column ``id``) and edges (``pre``, ``post``) of a graph file, with attributes.

    Read are GraphML, GML and node-link JSON of networkx; arrows go from pre to post.

    Raises:
        StoreError: the graph has no directions.
        Exception: one of :data:`UNREADABLE` for a file that is not of its kind.
    """
    import networkx as nx  # slow to import, and of use for these files alone

    readers = {".graphml": nx.read_graphml, ".gml": nx.read_gml, ".json": _node_link}
    try:
        found = readers[path.suffix](path)
    except (nx.NetworkXException, SyntaxError) as error:  # XML that is none is a SyntaxError
        raise ValueError(str(error)) from error
    if not found.is_directed():
        raise StoreError(
            f"{path} holds a graph without directions; a connectome says who sends and who "
            "receives, so write it as a directed graph"
        )
    neurons = pd.DataFrame([{**values, "id": name} for name, values in found.nodes(data=True)])
    edges = [{**values, "pre": pre, "post": post} for pre, post, values in found.edges(data=True)]
    return neurons, pd.DataFrame(edges, columns=None if edges else ["pre", "post"])


def _node_link(path: Path):  # noqa: ANN202
    import networkx as nx

    content = json.loads(path.read_text())
    links = "edges" if "edges" in content else "links"
    return nx.node_link_graph(content, edges=links)


def _npz(path: Path, variable: str | None, say: str) -> Matrix:
    with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
        names = list(archive)
        if "format" not in names:
            return archive[_pick(path, names, variable, say)]
    return sparse.load_npz(path)


def _pick(path: Path, names: list[str], variable: str | None, say: str) -> str:
    if variable is None and len(names) == 1:
        return names[0]
    if variable not in names:
        raise StoreError(f"{path} holds the matrices {names}, not '{variable}'; name one in {say}")
    return variable

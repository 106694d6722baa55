"""Matrices from files as ``[post, pre]``: numpy, scipy, MATLAB, HDF5, torch, zarr, MatrixMarket."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import xarray as xr
from scipy import io, sparse

from ngpipe import store
from ngpipe.config import files as kinds
from ngpipe.errors import StoreError
from ngpipe.wiring.edges import checked
from ngpipe.wiring.sources.table_files import needed, unpacked

Matrix: TypeAlias = np.ndarray | sparse.sparray | sparse.spmatrix
HDF = "pip install 'ngpipe[hdf]'"


def read(
    path: Path, variable: str | None = None, rows: str | None = None, section: str = ""
) -> Matrix:
    """A square matrix of real numbers ``[post, pre]``, dense or sparse.

    Args:
        path: file of one of the kinds :data:`ngpipe.config.files.MATRICES`.
        variable: name of the matrix in a file that holds several.
        rows: what the rows of the stored matrix are, ``post`` or ``pre``; None: not said, ``post``
            where the file does not know either.
        section: of the config where ``variable`` and ``rows`` stand, with a dot, for messages.

    Raises:
        StoreError: the file holds several matrices and ``variable`` names none of them, its
            dimensions have other names, or a library is missing that reads it.
        ConnectomeError: no square matrix of real numbers.
        Exception: one of :data:`ngpipe.wiring.sources.opened.UNREADABLE` for a file that is not
            of its kind.
    """
    kind = kinds.kind(path, kinds.MATRICES)
    if kind == ".zarr":
        return checked(_zarr(path, variable, rows, section), path)
    readers: dict[str, Callable] = {
        ".npy": lambda *_: np.load(path, allow_pickle=False),
        ".npz": _npz,
        ".pt": _torch,
        ".mtx": _market,
        ".mat": _matlab,
        ".h5": _hdf,
    }
    found = checked(readers[kind](path, variable, section), path)
    return found.T if rows == "pre" else found


def added_up(matrix: Matrix) -> list[str]:
    """A note on entries of a sparse matrix that stand at one place, if there are any."""
    if isinstance(matrix, np.ndarray):
        return []
    repeated = matrix.tocoo().nnz - matrix.tocoo().tocsr().nnz
    return [f"{repeated} entries of the matrix repeat another: added up"] if repeated else []


def pick(
    path: Path,
    names: Iterable[str],
    variable: str | None,
    section: str,
    what: str = "matrices",
) -> str:
    """The name of the matrix, or what else there are several of, that is meant.

    Raises:
        StoreError: none or several, and ``variable`` names none of them.
    """
    names = list(names)
    if variable is None and len(names) == 1:
        return names[0]
    if variable in names:
        return variable
    asked = "none of them is named" if variable is None else f"not '{variable}'"
    raise StoreError(f"{path} holds the {what} {names}, {asked}; name one in {section}variable")


def _npz(path: Path, variable: str | None, section: str) -> Matrix:
    with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
        names = list(archive)
        if not {"format", "shape", "data"} <= set(names):  # those that scipy's save_npz writes
            return archive[pick(path, names, variable, section)]
    return sparse.load_npz(path)


def _torch(path: Path, variable: str | None, section: str) -> np.ndarray:
    import torch  # here alone: the rest of this room needs no torch

    found = torch.load(path, map_location="cpu", weights_only=True)
    if isinstance(found, dict):
        named = {str(name): value for name, value in found.items() if torch.is_tensor(value)}
        found = named[pick(path, named, variable, section)]
    found = found.detach()
    found = found.to_dense() if found.layout != torch.strided else found
    return (found.float() if found.dtype == torch.bfloat16 else found).numpy()


def _market(path: Path, _variable: str | None, _section: str) -> Matrix:
    with unpacked(path) as file:
        return io.mmread(file, spmatrix=False)


def _matlab(path: Path, variable: str | None, section: str) -> Matrix:
    try:
        content = io.loadmat(path)
    except NotImplementedError:  # version 7.3, which is HDF5
        return _hdf(path, variable, section).T  # MATLAB writes the last axis first
    arrays = {
        name: value
        for name, value in content.items()
        if not name.startswith("__") and (sparse.issparse(value) or isinstance(value, np.ndarray))
    }
    return arrays[_likely(path, arrays, variable, section)]


def _likely(path: Path, arrays: dict, variable: str | None, section: str) -> str:
    """The array that is named, or the only square one of numbers."""
    square = [
        name
        for name, value in arrays.items()
        if len(value.shape or ()) == 2 and value.shape[0] == value.shape[1] > 1
        if value.dtype.kind in "biufcV"
    ]
    if not square and variable is None:
        shapes = {name: value.shape for name, value in arrays.items()}
        raise StoreError(f"{path} holds no square matrix, only {shapes}; write one for each file")
    return pick(path, arrays if variable in arrays else square, variable, section)


def _hdf(path: Path, variable: str | None, section: str) -> Matrix:
    h5py = needed("h5py", path, HDF)
    with h5py.File(path, "r") as file:
        found: dict = {}

        def collect(name: str, item: Any) -> None:  # noqa: ANN401
            if name.startswith("#"):  # where MATLAB keeps the content of cells
                return
            if isinstance(item, h5py.Dataset):
                found[name] = item
            elif "MATLAB_sparse" in item.attrs:
                found[name] = _matlab_sparse(item)

        file.visititems(collect)
        parts = {f"{n}/{part}" for n, v in found.items() if sparse.issparse(v) for part in _CSC}
        found = {name: item for name, item in found.items() if name not in parts}
        item = found[_likely(path, found, variable, section)]
        values = item if sparse.issparse(item) else item[()]
    if values.dtype.names == ("real", "imag"):
        return values["real"] + 1j * values["imag"]
    return values


_CSC = ("data", "ir", "jc")


def _matlab_sparse(group) -> sparse.csr_array:  # noqa: ANN001
    """A sparse matrix of MATLAB, turned round as its dense ones lie in the file."""
    n, jc = int(group.attrs["MATLAB_sparse"]), group["jc"][()].astype(np.int64)
    if "data" not in group:
        return sparse.csr_array((len(jc) - 1, n))
    parts = (group["data"][()], group["ir"][()].astype(np.int64), jc)
    return sparse.csc_array(parts, shape=(n, len(jc) - 1)).T.tocsr()


def _zarr(path: Path, variable: str | None, rows: str | None, section: str) -> np.ndarray:
    """Values ``[post, pre]``: the dimensions say which is which, or else ``rows``."""
    dataset = store.read(path, {})
    flat = {str(name): v for name, v in dataset.items() if v.ndim == 2}
    named = [name for name, v in flat.items() if set(v.dims) == {"post", "pre"}]
    if variable not in flat and not named:
        raise StoreError(
            f"{path} holds the arrays {_dims(dataset)}, none with dims (post, pre), which say who "
            f"receives and who sends; rename the dims, or name a square array in {section}variable "
            f"and what its rows are in {section}rows"
        )
    matrix = flat[variable if variable in flat else pick(path, named, variable, section)]
    dims = tuple(map(str, matrix.dims))
    if set(dims) != {"post", "pre"} and rows is None:
        raise StoreError(
            f"{path}: '{matrix.name}' has dims {dims}, expected (post, pre), which say who "
            f"receives and who sends; rename them, or say in {section}rows what its rows are, post "
            "or pre"
        )
    if set(dims) == {"post", "pre"} and rows not in (None, dims[0]):
        raise StoreError(
            f"{path}: '{matrix.name}' has dims {dims}, so its rows are '{dims[0]}', but "
            f"{section}rows says '{rows}'; leave it out, or rename the dims"
        )
    values = matrix.to_numpy()
    return values.T if "pre" in (dims[0], rows) else values


def _dims(dataset: xr.Dataset) -> dict[str, tuple[str, ...]]:
    return {str(name): tuple(map(str, v.dims)) for name, v in dataset.items()}

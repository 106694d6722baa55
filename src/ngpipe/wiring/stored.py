"""A connectome as a store: edges along one dimension, neurons along the other."""

import hashlib
import itertools
import json
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from scipy import sparse

from ngpipe import store
from ngpipe.errors import StoreError
from ngpipe.schemas import wiring as schemas
from ngpipe.wiring import columns
from ngpipe.wiring.edges import Parts
from ngpipe.wiring.origin import Origin

MISSING = "stands_for_missing"
"""Attribute of a variable of whole numbers: the number that stands where nothing is known."""


def write(
    weights: sparse.csr_array,
    neurons: pd.DataFrame,
    about: tuple[str, Origin],
    path: Path,
    provenance: store.Provenance,
) -> None:
    """Write the parts of a connectome (``about`` is its unit and origin), whole or not at all."""
    unit, origin = about
    rows = weights.tocoo()
    post, pre = (indices.astype(np.int32) for indices in rows.coords)
    variables = {
        "edge_pre": ("edge", pre),
        "edge_post": ("edge", post),
        "edge_weight": ("edge", rows.data, {"units": unit or "1"}),
        **{str(name): _encoded(neurons[name]) for name in neurons},
    }
    attrs: dict[str, object] = {"unit": unit, "origin": json.dumps(origin.as_dict())}
    attrs["connectome_digest"] = provenance.notes["connectome_digest"]
    store.write(xr.Dataset(variables, attrs=attrs), path, schemas.CONNECTOME, provenance)


def read(path: Path) -> Parts:
    """Weights [post, pre], neuron table, unit and origin of a store.

    Raises:
        StoreError: no such store, or one that holds no connectome.
    """
    dataset = store.read(path, schemas.CONNECTOME)
    if "origin" not in dataset.attrs:
        raise StoreError(
            f"{path} holds edges, but no origin: it is not a connectome of ngpipe; write it with "
            "Connectome.save"
        )
    columns = [name for name, v in dataset.variables.items() if v.dims == ("neuron",)]
    neurons = pd.DataFrame({name: _decoded(dataset[name]) for name in columns})
    shape = (dataset.sizes["neuron"],) * 2
    where = (dataset["edge_post"].values, dataset["edge_pre"].values)
    weights = sparse.coo_array((dataset["edge_weight"].values, where), shape=shape).tocsr()
    origin = Origin.from_dict(json.loads(dataset.attrs["origin"]))
    return weights, neurons, dataset.attrs["unit"], origin


def digest(weights: sparse.csr_array, neurons: pd.DataFrame, unit: str) -> str:
    """SHA-256 over weights, unit and neuron table: 64 hexadecimal digits."""
    total = hashlib.sha256(f"{len(neurons)} {unit}".encode())
    arrays = (weights.indptr, weights.indices, weights.data)
    for array, kind in zip(arrays, ("<i8", "<i8", "<f4"), strict=True):
        total.update(array.astype(kind).tobytes())
    for name in sorted(map(str, neurons.columns)):
        total.update(name.encode() + b"\0" + _bytes(neurons[name]) + b"\0")
    return total.hexdigest()


def _bytes(column: pd.Series) -> bytes:
    """The content of a column, the same whatever types pandas gave it."""
    values, gaps = _plain(column)
    if values.dtype.kind == "U":
        return "\0".join(values.tolist()).encode()
    known = b"" if gaps is None else gaps.tobytes()
    return values.astype("<f8" if values.dtype.kind == "f" else "<i8").tobytes() + known


def _plain(column: pd.Series) -> tuple[np.ndarray, np.ndarray | None]:
    """Whole numbers as int64 or uint64, others as float64, truth as bool, the rest as text.

    Text that is missing is ''. Whole numbers and truth that are missing are 0 and marked in a
    mask of gaps, which is None where nothing is missing.
    """
    column = columns.plain(column)
    dtype = column.dtype
    if pd.api.types.is_integer_dtype(dtype) or pd.api.types.is_bool_dtype(dtype):
        if isinstance(dtype, np.dtype):
            return column.to_numpy(), None
        return column.fillna(dtype.type(0)).to_numpy(dtype.type), column.isna().to_numpy()
    if pd.api.types.is_float_dtype(dtype):
        return column.to_numpy(np.float64), None
    return np.array(["" if pd.isna(v) else str(v) for v in column], dtype=np.str_), None


def _encoded(column: pd.Series) -> tuple[str, np.ndarray, dict[str, object]]:
    values, gaps = _plain(column)
    attrs: dict[str, object] = {"long_name": f"{column.name} of the neuron"}
    attrs["kind"] = values.dtype.kind
    if values.dtype.kind == "U" and values.dtype.itemsize == 0:
        values = values.astype("<U1")
    if gaps is not None:
        # no _FillValue: xarray would read decimal numbers, which lose the digits of long ids
        attrs[MISSING] = _unused(values)
        values = np.where(gaps, values.dtype.type(attrs[MISSING]), values)
    return "neuron", values, attrs


def _unused(values: np.ndarray) -> int:
    """A number that does not occur, to stand for those that are missing: the lowest there is."""
    lowest = int(np.iinfo(values.dtype).min)
    taken = set(values.tolist())
    return next(number for number in itertools.count(lowest) if number not in taken)


def _decoded(variable: xr.DataArray) -> np.ndarray | pd.Series:
    values, missing = variable.values, variable.attrs.get(MISSING)
    if missing is not None:
        gaps, kind = values == values.dtype.type(missing), variable.attrs["kind"]
        array = pd.arrays.BooleanArray if kind == "b" else pd.arrays.IntegerArray
        return pd.Series(array(values.astype(bool) if kind == "b" else values, gaps))
    match variable.attrs.get("kind"):
        case "b":
            return values.astype(bool)
        case "U":
            text = pd.Series(values.tolist(), dtype="str")
            return text.where(text != "")
    return values

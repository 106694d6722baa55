"""A connectome as a store: edges along one dimension, neurons along the other."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from scipy import sparse

from ngpipe import schemas, store
from ngpipe.errors import StoreError
from ngpipe.wiring.edges import Parts
from ngpipe.wiring.origin import Origin


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
    attrs = {"unit": unit, "origin": json.dumps(origin.as_dict()), **provenance.notes}
    store.write(xr.Dataset(variables, attrs=attrs), path, schemas.CONNECTOME, provenance)


def read(path: Path) -> Parts:
    """Weights [post, pre], neuron table, unit and origin of a store.

    Raises:
        StoreError: no such store, or one that holds no connectome.
    """
    dataset = store.read(path, schemas.CONNECTOME)
    if "origin" not in dataset.attrs:
        raise StoreError(
            f"{path} holds edges, but no origin: it is no connectome of ngpipe; write it with "
            "Connectome.save"
        )
    columns = [name for name, v in dataset.variables.items() if v.dims == ("neuron",)]
    neurons = pd.DataFrame({name: _decoded(dataset[name]) for name in columns})
    shape = (dataset.sizes["neuron"],) * 2
    where = (dataset["edge_post"].values, dataset["edge_pre"].values)
    weights = sparse.coo_array((dataset["edge_weight"].values, where), shape=shape).tocsr()
    origin = Origin.from_dict(json.loads(dataset.attrs["origin"]))
    return weights, neurons, dataset.attrs["unit"], origin


def column_bytes(column: pd.Series) -> bytes:
    """The content of a column, the same whatever types pandas gave it."""
    values = _plain(column)
    if values.dtype.kind == "U":
        return "\0".join(values.tolist()).encode()
    return values.astype("<f8" if values.dtype.kind == "f" else "<i8").tobytes()


def _plain(column: pd.Series) -> np.ndarray:
    """Numbers as int64 or float64, truth as bool, everything else as text; missing text is ''."""
    if pd.api.types.is_bool_dtype(column):
        return column.to_numpy(bool)
    if pd.api.types.is_numeric_dtype(column):
        whole = pd.api.types.is_integer_dtype(column) and not column.isna().any()
        return column.to_numpy(np.int64) if whole else column.to_numpy(np.float64, na_value=np.nan)
    return np.array(["" if pd.isna(v) else str(v) for v in column], dtype=np.str_)


def _encoded(column: pd.Series) -> tuple[str, np.ndarray, dict[str, str]]:
    values = _plain(column)
    attrs = {"long_name": f"{column.name} of the neuron", "kind": values.dtype.kind}
    if values.dtype.kind == "U" and values.dtype.itemsize == 0:
        values = values.astype("<U1")
    return "neuron", values, attrs


def _decoded(variable: xr.DataArray) -> np.ndarray | pd.Series:
    values = variable.values
    match variable.attrs.get("kind"):
        case "b":
            return values.astype(bool)
        case "U":
            text = pd.Series(values.tolist(), dtype="str")
            return text.where(text != "")
    return values

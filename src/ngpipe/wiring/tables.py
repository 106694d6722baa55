"""Read connectivity from files; the one place that knows how their rows and columns are meant.

Matrices on disk are ``[post, pre]``; edge lists are pre -> post.
"""

import pickle
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Float

from ngpipe import store
from ngpipe.config.connectivity import File
from ngpipe.errors import ConfigError, StoreError

UNREADABLE = (
    *(ValueError, TypeError, KeyError, AttributeError, OSError, EOFError, RuntimeError),
    *(pickle.UnpicklingError, zipfile.BadZipFile),
)
"""What numpy, pandas and torch raise for a file that is not what its suffix says."""


def read_matrix(cfg: File, n_neurons: int) -> Float[np.ndarray, "post pre"]:
    """Read the weights ``W[post, pre]`` a config names: float32, zero diagonal [1].

    Raises:
        ConfigError: the file is missing, of unknown kind, not square, of another size than
            ``n_neurons``, holds NaN or has self-connections.
    """
    path = Path(cfg.path)
    if not path.exists():
        raise ConfigError(f"simulation.connectivity.path: no file at {path.absolute()}")
    try:
        matrix = np.asarray(_reader(path)(cfg, path, n_neurons), dtype=np.float32)
    except ConfigError:
        raise
    except UNREADABLE as error:
        raise ConfigError(
            f"{path} cannot be read as a connectivity ({type(error).__name__}: {error}); write the "
            "file again, or name another in simulation.connectivity.path"
        ) from error
    if matrix.shape != (n_neurons, n_neurons):
        raise ConfigError(
            f"{path} holds shape {matrix.shape}, expected ({n_neurons}, {n_neurons}) as "
            "[post, pre]; set simulation.n_neurons to its size"
        )
    if not np.isfinite(matrix).all():
        raise ConfigError(
            f"{path} holds {(~np.isfinite(matrix)).sum()} values that are not finite; set them to "
            "0 where there is no connection"
        )
    if np.diagonal(matrix).any():
        raise ConfigError(
            f"{path} connects {np.count_nonzero(np.diagonal(matrix))} neurons to themselves; the "
            "model has no self-connections (use a type's self_excitation), so set them to 0"
        )
    return matrix


def _reader(path: Path):  # noqa: ANN202
    readers = {".pt": _pt, ".npy": _npy, ".npz": _npz, ".zarr": _zarr, ".csv": _csv}
    if path.suffix not in readers:
        raise ConfigError(f"{path}: unknown kind '{path.suffix}', expected one of {list(readers)}")
    return readers[path.suffix]


def _pt(_cfg: File, path: Path, _n: int) -> np.ndarray:
    import torch  # here alone: the rest of this room needs no torch

    return torch.load(path, map_location="cpu", weights_only=True).detach().numpy()


def _npy(_cfg: File, path: Path, _n: int) -> np.ndarray:
    return np.load(path, allow_pickle=False)


def _npz(cfg: File, path: Path, _n: int) -> np.ndarray:
    with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
        return archive[_pick(cfg, path, list(archive))]


def _zarr(cfg: File, path: Path, _n: int) -> xr.DataArray:
    try:
        dataset = store.read(path, {})
    except StoreError as error:
        raise ConfigError(str(error)) from error
    square = [str(name) for name, v in dataset.items() if v.dims == ("post", "pre")]
    return dataset[_pick(cfg, path, square)].load()


def _pick(cfg: File, path: Path, names: list[str]) -> str:
    if cfg.variable is None and len(names) == 1:
        return names[0]
    if cfg.variable not in names:
        raise ConfigError(
            f"{path} holds the matrices {names}, not '{cfg.variable}'; name one in "
            "simulation.connectivity.variable"
        )
    return cfg.variable


def _csv(cfg: File, path: Path, n_neurons: int) -> np.ndarray:
    """An edge list with indices 0 .. n-1; repeated edges add up, as synapses do."""
    edges = pd.read_csv(path)
    missing = [c for c in (cfg.pre, cfg.post, cfg.weight) if c not in edges]
    if missing:
        raise ConfigError(
            f"{path} has columns {list(edges)}, not {missing}; name its columns in "
            "simulation.connectivity.pre, .post and .weight"
        )
    matrix = np.zeros((n_neurons, n_neurons))
    for column in (cfg.pre, cfg.post):
        ids = edges[column]
        if not pd.api.types.is_integer_dtype(ids) or not ids.between(0, n_neurons - 1).all():
            raise ConfigError(
                f"{path}: column '{column}' must hold whole numbers from 0 to {n_neurons - 1}, "
                f"got {ids.dtype} from {ids.min()} to {ids.max()}"
            )
    np.add.at(matrix, (edges[cfg.post], edges[cfg.pre]), edges[cfg.weight])
    return matrix

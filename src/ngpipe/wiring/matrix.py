"""The weights ``W[post, pre]`` that a config names: dense, of a given size, checked.

Matrices on disk are ``[post, pre]``; edge lists are pre -> post.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from jaxtyping import Float

from ngpipe.config.assembly.connectivity import File
from ngpipe.config.files import MATRICES, TABLES, kind
from ngpipe.errors import ConfigError, ConnectomeError, StoreError
from ngpipe.wiring import columns
from ngpipe.wiring.edges import REPEATED
from ngpipe.wiring.sources import matrix_files, opened, table_files

KINDS = (*MATRICES, *TABLES)
Weights = Float[np.ndarray, "post pre"]


def read_matrix(cfg: File, n_neurons: int) -> Weights:
    """The weights of :func:`read_noted`, without its notes."""
    return read_noted(cfg, n_neurons)[0]


def read_noted(cfg: File, n_neurons: int) -> tuple[Weights, tuple[str, ...]]:
    """Read the weights ``W[post, pre]`` a config names: float32, zero diagonal [1]; and notes.

    Notes say what was added up or is doubtful in the file.

    Raises:
        ConfigError: the file is missing, of unknown kind, not square, of another size than
            ``n_neurons``, holds other things than real numbers, NaN, or self-connections.
    """
    path = Path(cfg.path)
    if not path.exists():
        raise ConfigError(f"simulation.connectivity.path: no file at {path.absolute()}")
    try:
        with opened.noting() as doubtful:
            found, notes = _dense(cfg, path, n_neurons)
            matrix = np.asarray(found, dtype=np.float32)
    except ConfigError:
        raise
    except (StoreError, ConnectomeError) as error:
        raise ConfigError(str(error)) from error
    except opened.UNREADABLE as error:
        raise ConfigError(
            f"{path} cannot be read as a connectivity ({type(error).__name__}: {error}); write the "
            "file again, or name another in simulation.connectivity.path"
        ) from error
    _check(path, matrix, n_neurons)
    return matrix, (*notes, *doubtful)


def _check(path: Path, matrix: np.ndarray, n_neurons: int) -> None:
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


def _dense(cfg: File, path: Path, n_neurons: int) -> tuple[np.ndarray, list[str]]:
    if kind(path, KINDS) in TABLES:
        return _from_table(cfg, path, n_neurons)
    matrix = matrix_files.read(path, cfg.variable, cfg.rows, "simulation.connectivity.")
    notes = matrix_files.added_up(matrix)
    return matrix if isinstance(matrix, np.ndarray) else matrix.toarray(), notes


def _from_table(cfg: File, path: Path, n_neurons: int) -> tuple[np.ndarray, list[str]]:
    """An edge list, or a matrix without header and labels."""
    table = table_files.read(path, cfg)
    if cfg.header is False and not {cfg.pre, cfg.post} & set(table):
        matrix = table_files.numbers(table, path)
        return matrix.T if cfg.rows == "pre" else matrix, []
    return _edge_list(cfg, path, table, n_neurons)


def _edge_list(
    cfg: File, path: Path, edges: pd.DataFrame, n_neurons: int
) -> tuple[np.ndarray, list[str]]:
    """An edge list with indices 0 .. n-1; repeated edges add up, as synapses do."""
    edges = columns.named(edges, str(path))
    missing = [c for c in (cfg.pre, cfg.post, cfg.weight) if c not in edges]
    if missing:
        raise ConfigError(
            f"{path} has columns {list(edges)}, not {missing}; name its columns in "
            "simulation.connectivity.pre, .post and .weight"
        )
    matrix = np.zeros((n_neurons, n_neurons))
    ends = {column: columns.plain(edges[column]) for column in (cfg.post, cfg.pre)}
    for column, ids in ends.items():
        whole = pd.api.types.is_integer_dtype(ids) and ids.notna().all()
        if not whole or not ids.between(0, n_neurons - 1).all():
            raise ConfigError(
                f"{path}: column '{column}' must hold whole numbers from 0 to {n_neurons - 1}, "
                f"got {ids.dtype} from {ids.min()} to {ids.max()}, {ids.isna().sum()} missing"
            )
    values = columns.plain(edges[cfg.weight]).to_numpy(np.float64, na_value=np.nan)
    np.add.at(matrix, tuple(ids.to_numpy() for ids in ends.values()), values)
    repeated = int(pd.DataFrame(ends).duplicated().sum())
    return matrix, [REPEATED.format(repeated, len(edges))] if repeated else []

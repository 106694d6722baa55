"""MATLAB files of all versions, with axes as MATLAB has them."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from scipy import io

from ngpipe.acquisition.formats import hdf_files
from ngpipe.acquisition.formats.chunked import in_memory
from ngpipe.acquisition.formats.contents import Candidate, Contents, texts
from ngpipe.acquisition.formats.numpy_files import is_matrix
from ngpipe.errors import RecordingError


@contextmanager
def reads(path: Path) -> Iterator[Contents]:
    """All matrices and columns; a field of a structure is named ``structure.field``.

    Raises:
        RecordingError: it is no MATLAB file.
    """
    try:
        found = dict(_fields(io.loadmat(path, simplify_cells=True)))
    except NotImplementedError:  # version 7.3, which is HDF5
        with hdf_files.matlab(path) as contents:
            yield contents
        return
    except (ValueError, TypeError, OSError, io.matlab.MatReadError) as error:
        raise RecordingError(
            f"{path} cannot be read as a MATLAB file ({error}); save it again"
        ) from error
    flat = {n: v for n, v in found.items() if is_matrix(v.shape, v.dtype)}
    long = {n: v for n, v in found.items() if v.ndim == 1}
    yield Contents(
        path,
        {n: (lambda n=n: Candidate(n, in_memory(flat[n]))) for n in flat},  # type: ignore[misc]
        {n: (lambda v=v: _column(v)) for n, v in long.items()},  # type: ignore[misc]
    )


def _fields(content: Mapping, within: str = "") -> Iterator[tuple[str, np.ndarray]]:
    for name, value in content.items():
        if name.startswith("__"):
            continue
        if isinstance(value, Mapping):
            yield from _fields(value, f"{within}{name}.")
        elif isinstance(value, np.ndarray):
            yield f"{within}{name}", value


def _column(values: np.ndarray) -> np.ndarray:
    """A vector; texts are padded with blanks in a matrix of letters."""
    if values.dtype.kind not in "OUS":
        return values
    return np.array([one.strip() for one in texts(values)])

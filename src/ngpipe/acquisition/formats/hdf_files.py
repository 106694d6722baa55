"""HDF5 files without a convention of their own, and MATLAB's since version 7.3, which are such."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ngpipe.acquisition.formats.chunked import Chunked
from ngpipe.acquisition.formats.contents import Candidate, Contents, texts
from ngpipe.acquisition.formats.extras import needed
from ngpipe.acquisition.formats.numpy_files import is_matrix
from ngpipe.errors import RecordingError


@contextmanager
def opened(path: Path) -> Iterator[Any]:
    """The open file of h5py.

    Raises:
        RecordingError: h5py is not installed, or it is no HDF5 file.
    """
    h5py = needed("h5py", path, "hdf")
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise RecordingError(
            f"{path} cannot be opened as HDF5 ({error}); it is damaged, open elsewhere for "
            "writing, or of another format: close or copy it again"
        ) from error
    with file:
        yield file


@contextmanager
def reads(path: Path) -> Iterator[Contents]:
    """All matrices and columns of a file, by their paths inside."""
    with opened(path) as file:
        found = _datasets(file)
        yield Contents(
            path,
            {n: _candidate(n, d) for n, d in found.items() if is_matrix(d.shape, d.dtype)},
            columns(file),
        )


def columns(file: Any) -> dict[str, Callable[[], np.ndarray]]:  # noqa: ANN401
    """All datasets of one dimension, by path."""
    return {n: _column(d) for n, d in _datasets(file).items() if len(d.shape) == 1}


@contextmanager
def matlab(path: Path) -> Iterator[Contents]:
    """The same of a MATLAB file, with axes and names as MATLAB has them.

    HDF5 lists MATLAB's axes the other way round: what is (neurons, time) in MATLAB is (time,
    neurons) there.
    """
    with opened(path) as file:
        found = {name.replace("/", "."): d for name, d in _datasets(file).items()}
        flat = {n: d for n, d in found.items() if is_matrix(d.shape, d.dtype) and not _is_text(d)}
        long = {n: d for n, d in found.items() if len(d.shape) == 2 and min(d.shape) == 1}
        long |= {n: d for n, d in found.items() if _is_text(d) or _is_cell(d)}
        yield Contents(
            path,
            {n: _candidate(n, d, turned=True) for n, d in flat.items()},
            {n: (lambda d=d: _of_matlab(file, d)) for n, d in long.items()},  # type: ignore[misc]
        )


def chunked(dataset: Any) -> Chunked:  # noqa: ANN401
    """A dataset of h5py that stays on disk."""
    return Chunked(dataset.shape, dataset.dtype, lambda r, c: dataset[r, c], dataset.chunks)


def text_of(value: object) -> str | None:
    """An attribute or scalar as text, if it is one."""
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.ravel()[0]
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return value if isinstance(value, str) else None


def _datasets(file: Any) -> dict[str, Any]:  # noqa: ANN401
    """All datasets, by path; not those in which MATLAB keeps the content of cells."""
    found: dict[str, Any] = {}

    def visit(name: str, item: Any) -> None:  # noqa: ANN401
        if hasattr(item, "shape") and item.shape is not None and not name.startswith("#"):
            found[name] = item

    file.visititems(visit)
    return found


def _candidate(name: str, dataset: Any, *, turned: bool = False) -> Callable[[], Candidate]:  # noqa: ANN401
    values = chunked(dataset)

    def candidate() -> Candidate:
        units = text_of(dataset.attrs.get("units", dataset.attrs.get("unit")))
        return Candidate(name, values.turned if turned else values, units=units)

    return candidate


def _column(dataset: Any) -> Callable[[], np.ndarray]:  # noqa: ANN401
    def column() -> np.ndarray:
        values = dataset[()]
        return np.array(texts(values)) if values.dtype.kind in "OS" else values

    return column


def _class(dataset: Any) -> str | None:  # noqa: ANN401
    return text_of(dataset.attrs.get("MATLAB_class"))


def _is_text(dataset: Any) -> bool:  # noqa: ANN401
    return _class(dataset) == "char"


def _is_cell(dataset: Any) -> bool:  # noqa: ANN401
    return _class(dataset) == "cell"


def _of_matlab(file: Mapping, dataset: Any) -> np.ndarray:  # noqa: ANN401
    """A vector, the rows of a text, or a cell of texts."""
    if _is_text(dataset):
        return np.array([_letters(row) for row in dataset[()].T])
    if _is_cell(dataset):
        return np.array([_letters(file[reference][()]) for reference in dataset[()].ravel()])
    return dataset[()].ravel()


def _letters(codes: np.ndarray) -> str:
    return "".join(map(chr, codes.ravel())).strip()

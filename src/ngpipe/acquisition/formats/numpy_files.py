"""Numpy files: ``.npy`` with one array, ``.npz`` with several, also those of pynapple.

Pickles in them are not opened: that would run the code in them.
"""

import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BufferedIOBase
from pathlib import Path

import numpy as np

from ngpipe.acquisition.formats.chunked import Chunked, in_memory
from ngpipe.acquisition.formats.contents import NUMBERS, Candidate, Contents
from ngpipe.errors import RecordingError

_PYNAPPLE = {"t", "d", "start", "end", "type"}
"""Arrays of a frame of pynapple, beside pickled names of columns."""


@contextmanager
def reads(path: Path) -> Iterator[Contents]:
    """The arrays in a file; values of a ``.npy`` stay on disk.

    Raises:
        RecordingError: it is no numpy file, or holds Python objects alone.
    """
    if path.suffix.lower() == ".npy":
        yield _single(path) if _dimensions(path) != 1 else _column(path)
        return
    try:
        archive = np.load(path, allow_pickle=False)
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        raise unreadable(path, error) from error
    if not isinstance(archive, np.lib.npyio.NpzFile):
        raise unreadable(path, "it holds one array, as a .npy does")
    with archive:
        yield (
            _pynapple(path, archive) if set(archive.files) >= _PYNAPPLE else _several(path, archive)
        )


def unreadable(path: Path, error: object) -> RecordingError:
    """Error of a file that is no array of plain numbers."""
    return RecordingError(
        f"{path} cannot be read as plain numbers ({error}); opening a pickle runs the code in it, "
        "so it is not opened. Save the activity as an array of float32 with numpy.save"
    )


def mapped(path: Path) -> Chunked:
    """The array of a ``.npy``, mapped anew for each reading, so that memory is given back.

    Raises:
        RecordingError: it is none of numbers and two dimensions.
    """

    def load() -> np.ndarray:
        try:
            return np.load(path, mmap_mode="r", allow_pickle=False)
        except (ValueError, OSError, EOFError) as error:
            raise unreadable(path, error) from error

    head = load()
    if not isinstance(head, np.ndarray) or head.dtype.kind not in NUMBERS:
        raise unreadable(path, f"it holds {getattr(head, 'dtype', 'several arrays')}")
    if head.ndim != 2:
        raise RecordingError(
            f"{path} has shape {head.shape}, expected time and neurons; save an array of two "
            "dimensions"
        )
    return Chunked(head.shape, head.dtype, lambda r, c: np.array(load()[r, c]))


def _single(path: Path) -> Contents:
    values = mapped(path)
    return Contents(path, {path.stem: lambda: Candidate(path.stem, values)})


def _dimensions(path: Path) -> int | None:
    """Number of dimensions of the array of a ``.npy``; None: it is no such file."""
    try:
        with path.open("rb") as file:
            return len(header(file)[0])
    except (ValueError, EOFError):
        return None


def _column(path: Path) -> Contents:
    """An array of one dimension: no activity, but maybe a stimulus or behaviour."""
    return Contents(path, {}, {path.stem: lambda: np.load(path, allow_pickle=False)})


def _several(path: Path, archive: np.lib.npyio.NpzFile) -> Contents:
    every = heads(path)

    def candidate(name: str) -> Callable[[], Candidate]:
        return lambda: Candidate(name, in_memory(archive[name]))

    def column(name: str) -> Callable[[], np.ndarray]:
        return lambda: archive[name]

    flat = [n for n, (shape, dtype) in every.items() if is_matrix(shape, dtype)]
    long = [n for n, (shape, dtype) in every.items() if len(shape) == 1 and dtype.kind != "O"]
    if not flat and any(dtype.kind == "O" for _, dtype in every.values()):
        raise unreadable(path, "its arrays are Python objects")
    return Contents(path, {n: candidate(n) for n in flat}, {n: column(n) for n in long})


def is_matrix(shape: tuple[int, ...], dtype: np.dtype) -> bool:
    """True of an array of real numbers with two dimensions, both longer than 1."""
    return len(shape) == 2 and min(shape) > 1 and dtype.kind in NUMBERS


def heads(path: Path) -> dict[str, tuple[tuple[int, ...], np.dtype]]:
    """Shape and type of every array of a numpy file, without the values; ``""`` names a lone one.

    Raises:
        ValueError, OSError, EOFError, zipfile.BadZipFile: it is no numpy file.
    """
    if not zipfile.is_zipfile(path):
        with path.open("rb") as file:
            return {"": header(file)}
    found = {}
    with zipfile.ZipFile(path) as archive:
        for member in archive.namelist():
            with archive.open(member) as inside:
                found[member.removesuffix(".npy")] = header(inside)  # type: ignore[arg-type]
    return found


def header(file: BufferedIOBase) -> tuple[tuple[int, ...], np.dtype]:
    """Shape and type that stand at the beginning of a ``.npy``, which is read to its values."""
    version = np.lib.format.read_magic(file)
    read = (
        np.lib.format.read_array_header_1_0
        if version == (1, 0)
        else np.lib.format.read_array_header_2_0
    )
    shape, _, dtype = read(file)
    return shape, dtype


def _pynapple(path: Path, archive: np.lib.npyio.NpzFile) -> Contents:
    """A TsdFrame of pynapple: times in seconds, values without unit, epochs as trials."""
    if str(archive["type"][0]) != "TsdFrame":
        raise RecordingError(
            f"{path} is a {archive['type'][0]} of pynapple, expected a TsdFrame, which has a "
            "column for each neuron; save one"
        )
    times, starts = archive["t"], np.asarray(archive["start"])
    segments = np.searchsorted(starts, times, side="right") - 1 if len(starts) > 1 else None
    note = "names of columns are a pickle in files of pynapple, which is not opened"

    def candidate() -> Candidate:
        values = in_memory(archive["d"])
        return Candidate("d", values, 0, times=times, segments=segments, notes=(note,))

    return Contents(path, {"d": candidate})

"""Open files that hold matrices, tables and graphs: what all readers share.

Each kind has its reader in ``table_files.py``, ``matrix_files.py``, ``graph_files.py`` or
``sonata.py``; which suffixes are known says :mod:`ngpipe.config.files`. What rows and columns mean
is not known here: see ``matrix.py`` and ``tables.py``.
"""

import lzma
import pickle
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

from ngpipe.config import files as kinds
from ngpipe.errors import NgpipeError, NgpipeWarning, StoreError

UNREADABLE = (
    *(ValueError, TypeError, KeyError, AttributeError, OSError, EOFError, RuntimeError),
    *(IndexError, pickle.UnpicklingError, zipfile.BadZipFile, zlib.error, lzma.LZMAError),
)
"""Errors of numpy, pandas, scipy and torch for a file that does not match its suffix."""

Found = TypeVar("Found")


def existing(path: Path | str, known: Sequence[str]) -> tuple[Path, str]:
    """A file that is there, and its kind.

    Raises:
        StoreError: it is absent, or of an unknown kind.
    """
    path = Path(path)
    if not path.exists():
        raise StoreError(f"no file at {path.absolute()}; correct the path")
    try:
        return path, kinds.kind(path, known)
    except ValueError as error:
        raise StoreError(str(error)) from error


def opened(reader: Callable[..., Found], path: Path, *args: object) -> Found:
    """Content of a file, as a reader returns it.

    Raises:
        StoreError: the file is not what its suffix says.
    """
    try:
        return reader(path, *args)
    except NgpipeError:  # some are ValueErrors too
        raise
    except UNREADABLE as error:
        kind = kinds.kind(path)
        raise StoreError(
            f"{path} cannot be read as {kind} ({type(error).__name__}: {error}); write the file "
            "again"
        ) from error


@contextmanager
def noting() -> Iterator[list[str]]:
    """Warnings of a reader as a list of notes, given when all is read; they are still shown."""
    notes: list[str] = []
    found: list[warnings.WarningMessage] = []
    try:
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always", NgpipeWarning)
            yield notes
    finally:
        for one in found:
            warnings.warn_explicit(one.message, one.category, one.filename, one.lineno)
    notes += [str(one.message) for one in found if issubclass(one.category, NgpipeWarning)]

"""The formats of recordings, and the module that reads each."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

from ngpipe.acquisition.formats import numpy_files
from ngpipe.acquisition.series import Series
from ngpipe.config.assembly.source import Recorded
from ngpipe.errors import RecordingError


@dataclass(frozen=True)
class Format:
    """A format of recordings."""

    fits: Callable[[Path], bool]
    """True of a file or directory of this format."""
    candidates: Callable[[Path], list[str]]
    """Names of what in a file could be activity."""
    opened: Callable[[Path, Recorded], AbstractContextManager[Series]]


def _suffix(*known: str) -> Callable[[Path], bool]:
    return lambda path: path.suffix.lower() in known


FORMATS: Mapping[str, Format] = {
    "numpy": Format(_suffix(".npy", ".npz"), numpy_files.candidates, numpy_files.opened),
}
"""Formats by name; the first that fits a file reads it."""


def format_of(path: Path) -> Format:
    """Format of a file or directory.

    Raises:
        RecordingError: none fits.
    """
    for one in FORMATS.values():
        if one.fits(path):
            return one
    raise RecordingError(
        f"{path} is of no format that is read as a recording, which are {list(FORMATS)}; convert "
        "it, for example to .npy with numpy.save"
    )


def opened(path: Path, source: Recorded) -> AbstractContextManager[Series]:
    """The activity in a file, as the config describes it."""
    return format_of(path).opened(path, source)

"""Numpy files: ``.npy`` with one array, ``.npz`` with several; pickles in them are not run."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from ngpipe.acquisition.formats.named_arrays import series_of
from ngpipe.acquisition.series import Series
from ngpipe.config.assembly.source import Recorded
from ngpipe.errors import RecordingError


def candidates(path: Path) -> list[str]:
    """Names of the arrays in a file that could be activity: those of two dimensions."""
    return [name for name, array in _arrays(path).items() if array.ndim == 2]


@contextmanager
def opened(path: Path, source: Recorded) -> Iterator[Series]:
    """The activity in a file; values of a ``.npy`` stay on disk.

    Raises:
        RecordingError: it holds no such array, or Python objects.
    """
    yield series_of(path, _arrays(path), source)


def _arrays(path: Path) -> Mapping[str, np.ndarray]:
    def load() -> Mapping[str, np.ndarray]:
        found = np.load(path, mmap_mode="r", allow_pickle=False)
        if isinstance(found, np.ndarray):
            return {"": found}
        with found:
            return {name: found[name] for name in found.files}

    return _without_pickles(path, load)


def _without_pickles(
    path: Path, load: Callable[[], Mapping[str, np.ndarray]]
) -> Mapping[str, np.ndarray]:
    try:
        return load()
    except ValueError as error:
        raise RecordingError(
            f"{path} cannot be read as plain numbers ({error}); opening a pickle runs the code in "
            "it, so it is not opened. Save the activity as an array of float32 with numpy.save"
        ) from error

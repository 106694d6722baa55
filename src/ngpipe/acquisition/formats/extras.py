"""Libraries that only some formats need."""

from importlib import import_module
from pathlib import Path
from typing import Any

from ngpipe.errors import RecordingError


def needed(library: str, path: Path, extra: str) -> Any:  # noqa: ANN401
    """A library that only some formats need.

    Args:
        library: its name in Python.
        path: the file that needs it.
        extra: of ngpipe that installs it.

    Raises:
        RecordingError: it is not installed.
    """
    try:
        return import_module(library)
    except ImportError as error:
        raise RecordingError(
            f"{path} is read with {library}, which is not installed; pip install 'ngpipe[{extra}]'"
        ) from error

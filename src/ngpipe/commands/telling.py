"""Messages of a command to the user: notes, signs of life, and errors."""

import errno
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from tqdm import tqdm

from ngpipe.artifacts.progress import alive
from ngpipe.errors import NgpipeError, NgpipeWarning


@contextmanager
def watched(command: str) -> Iterator[None]:
    """While a command runs: its warnings are notes, and a long silence is broken."""
    with alive(command), warnings.catch_warnings():
        warnings.showwarning = _noting(command, warnings.showwarning)
        yield


def trouble(error: Exception) -> str | None:
    """Message to the user about an error; None: it is a bug."""
    if isinstance(error, NgpipeError):
        return str(error)
    if out_of_memory(error):
        return f"out of memory ({reason(error)}); use fewer neurons, frames or batch_frames"
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
        return (
            f"no space left to write {error.filename or 'results'}; free some "
            "and run the same command again: nothing is half-written"
        )
    return None


def out_of_memory(error: Exception) -> bool:
    """True if an error says that there is no memory left; torch on a CPU has no class for it."""
    return isinstance(error, MemoryError) or "can't allocate memory" in str(error)


def reason(error: Exception) -> str:
    """What an error about memory says, without the place in the source of torch."""
    return str(error).rpartition("DefaultCPUAllocator: ")[2].rstrip(". ")


def _noting(command: str, otherwise: Callable) -> Callable:
    """A display of warnings: those of ngpipe as a sentence, without their source line."""

    def show(message: Warning, *about: object, **more: object) -> None:
        if isinstance(message, NgpipeWarning):
            tqdm.write(f"ngpipe {command}: note: {message}", file=sys.stderr)
        else:
            otherwise(message, *about, **more)

    return show

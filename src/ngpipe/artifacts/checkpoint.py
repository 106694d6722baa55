"""Checkpoints of a training run: outside the outputs, which Snakemake deletes before each try."""

import fcntl
import shutil
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any

import torch

from ngpipe import store
from ngpipe.errors import BusyError

CHECKPOINTS = Path("checkpoints")
"""Directory of checkpoints in the study."""


class Checkpoint:
    """The directory ``checkpoints/<chain key>/``, held by one process at a time.

    Use as a context manager: entering takes a lock that the system releases when the process
    ends, however it ends.

    Raises:
        BusyError: another process trains under the same key.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = Path(directory)
        self.saved_at = 0

    def __enter__(self) -> Any:  # noqa: ANN401
        self.directory.mkdir(parents=True, exist_ok=True)
        self._lock = (self.directory / "lock").open("w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            self._lock.close()
            raise BusyError(
                f"another process is training under {self.directory}; wait for it or stop it, "
                "then run the same command again"
            ) from error
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is not None and not (self.directory / "last.pt").exists():
            self.remove()  # nothing to go on from
        self._lock.close()

    def restored(self, device: torch.device) -> dict[str, Any] | None:
        """The last saved state, its tensors on a device; None if nothing was saved."""
        path = self.directory / "last.pt"
        if not path.exists():
            return None
        return torch.load(path, map_location=device, weights_only=True)

    def due(self, step: int, every: int) -> bool:
        """True if ``every`` steps have passed since the last save."""
        return step - self.saved_at >= every

    def save(self, content: Mapping[str, Any], step: int) -> None:
        """Save all that a run needs to resume from a step, whole or not at all."""
        with store.atomic(self.directory / "last.pt") as partial:
            torch.save(dict(content), partial)
        self.saved_at = step

    def remove(self) -> None:
        """Forget everything: the results are written, or there is nothing to go on from."""
        shutil.rmtree(self.directory, ignore_errors=True)

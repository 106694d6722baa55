"""Checkpoints of a training run: outside the outputs, which Snakemake deletes before each try."""

import fcntl
import shutil
from pathlib import Path
from types import TracebackType

import numpy as np
import torch
from torch import Tensor

from ngpipe import store
from ngpipe.assembly.gradient import Trainer
from ngpipe.errors import BusyError


class Checkpoint:
    """The directory ``checkpoints/<chain key>/``, held by one process at a time.

    Use as a context manager: entering takes a lock that the system releases when the process
    ends, however it ends.

    Raises:
        BusyError: another process trains under the same key.
    """

    def __init__(self, directory: Path) -> None:
        self.directory = Path(directory)
        self._saved_at = 0

    def __enter__(self) -> "Checkpoint":
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
        self._lock.close()

    def resume(self, trainer: Trainer) -> list[dict[str, int | float]]:
        """Bring the trainer to where it was last saved; returns the rows logged until then."""
        path = self.directory / "last.pt"
        if not path.exists():
            for stale in self.directory.glob("W_*.npy"):
                stale.unlink()
            return []
        saved = torch.load(path, map_location=trainer.device, weights_only=True)
        trainer.load_state_dict(saved["trainer"])
        self._saved_at = trainer.step
        return saved["rows"]

    def due(self, step: int, every: int) -> bool:
        """Whether ``every`` steps have passed since the last save."""
        return step - self._saved_at >= every

    def save(self, trainer: Trainer, rows: list[dict[str, int | float]]) -> None:
        """Save the trainer and the rows logged so far, whole or not at all."""
        with store.atomic(self.directory / "last.pt") as partial:
            torch.save({"trainer": trainer.state_dict(), "rows": rows}, partial)
        self._saved_at = trainer.step

    def keep(self, step: int, connectivity: Tensor) -> None:
        """Keep W at one step of training."""
        with store.atomic(self.directory / f"W_{step:09d}.npy") as partial:
            np.save(partial, connectivity.cpu().numpy())

    def snapshots(self) -> tuple[list[int], np.ndarray]:
        """All W kept: their steps and ``(step, post, pre)``."""
        paths = sorted(self.directory.glob("W_*.npy"))
        return [int(p.stem[2:]) for p in paths], np.stack([np.load(p) for p in paths])

    def remove(self) -> None:
        """Forget everything: the results are written."""
        shutil.rmtree(self.directory)

"""The checkpoint of a training run of an assembly: the trainer, its log, and W at some steps."""

from typing import Any

import numpy as np
from torch import Tensor

from ngpipe import store
from ngpipe.artifacts.checkpoint import Checkpoint
from ngpipe.assembly.gradient import Trainer


class TrainerCheckpoint(Checkpoint):
    """The directory ``checkpoints/<chain key>/`` of a trainer."""

    def resume(self, trainer: Trainer) -> list[dict[str, Any]]:
        """Bring the trainer to where it was last saved; returns the rows logged until then."""
        saved = self.restored(trainer.device)
        if saved is None:
            for stale in self.directory.glob("W_*.npy"):
                stale.unlink()
            return []
        trainer.load_state_dict(saved["trainer"])
        self.saved_at = trainer.step
        return saved["rows"]

    def save_trainer(self, trainer: Trainer, rows: list[dict[str, Any]]) -> None:
        """Save the trainer and the rows logged so far."""
        self.save({"trainer": trainer.state_dict(), "rows": rows}, trainer.step)

    def keep(self, step: int, connectivity: Tensor) -> None:
        """Keep W at one step of training."""
        with store.atomic(self.directory / f"W_{step:09d}.npy") as partial:
            np.save(partial, connectivity.cpu().numpy())

    def snapshots(self) -> tuple[list[int], np.ndarray]:
        """All W kept: their steps and ``(step, post, pre)``."""
        paths = sorted(self.directory.glob("W_*.npy"))
        return [int(p.stem[2:]) for p in paths], np.stack([np.load(p) for p in paths])

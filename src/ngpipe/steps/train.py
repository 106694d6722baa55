"""``simulation.zarr`` -> ``model.safetensors``, ``training.csv``, ``training.zarr``."""

from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import torch
import xarray as xr

from ngpipe import store
from ngpipe.artifacts import model_file, recordings
from ngpipe.artifacts.checkpoint import CHECKPOINTS
from ngpipe.artifacts.learning import Learned, learn, tell_gaps
from ngpipe.artifacts.trainer_checkpoint import TrainerCheckpoint
from ngpipe.artifacts.training_parts import Parts
from ngpipe.assembly.gradient import Trainer
from ngpipe.config.assembly.training import Training
from ngpipe.errors import ConfigError
from ngpipe.schemas import assembly as schemas

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


def run(
    cfg: Training,
    directory: Path,
    *,
    key: str,
    device: torch.device,
    checkpoints: Path = CHECKPOINTS,
    tensorboard: Path | None = None,
    jobs: int | None = None,
) -> None:
    """Train from the checkpoint of this key if there is one, else from the start.

    Args:
        cfg: the training section of the config.
        directory: holds the store to learn from, and gets the model, its losses and W during
            training.
        key: chain key; names the checkpoint, so that one is never resumed under another config.
        device: where to train.
        checkpoints: directory of all checkpoints.
        tensorboard: directory for the losses as TensorBoard events, none by default.
        jobs: number of jobs that have solved the rows of W (steps ``psi`` to ``solve_rows``), which
            are gathered; by default all is done here.
    """
    provenance = store.Provenance("train", key, cfg.model_dump(), str(device))
    # Mini-batches are drawn at random; the closed form goes through the frames in order.
    in_memory = cfg.solver != "closed_form"
    found = recordings.opened(directory / "simulation.zarr", cfg, device, in_memory=in_memory)
    provenance = replace(provenance, notes=found.notes())
    tell_gaps(found)
    parts = None if jobs is None else Parts(directory, cfg, device, jobs).of(found)
    with TrainerCheckpoint(checkpoints / key) as checkpoint:
        trainer = Trainer(found.recording, cfg)
        rows = checkpoint.resume(trainer)
        with _board(tensorboard, trainer.step) as board:
            learned = learn(trainer, rows, checkpoint, board, parts)
        if learned.warnings:
            notes = {**provenance.notes, "warnings": learned.warnings}
            provenance = replace(provenance, notes=notes)
        _write(trainer, learned, checkpoint, directory, provenance)
        checkpoint.remove()


def _write(
    trainer: Trainer,
    learned: Learned,
    checkpoint: TrainerCheckpoint,
    directory: Path,
    provenance: store.Provenance,
) -> None:
    """Write the model, its losses, and W during training."""
    file, table = directory / "model.safetensors", directory / "training.csv"
    recorded = str(provenance.notes["recording"])
    model_file.write(learned.model, trainer.cfg, file, key=provenance.key, recording=recorded)
    store.write_csv(pd.DataFrame(learned.rows), table)
    steps, snapshots = checkpoint.snapshots()
    dataset = xr.Dataset(
        {"connectivity": (("step", "post", "pre"), snapshots)},
        coords={"step": steps},
        attrs=dict(provenance.notes),
    )
    solved = learned.rows[-1]["step"] - trainer.step
    notes: dict[str, object] = {
        "selected_step": solved + trainer.best.step,
        "held_out_loss": learned.held_out_loss,
    }
    notes |= provenance.notes
    if (told := learned.diagnosis) is not None:
        numbers = {name: v for name, v in asdict(told).items() if not np.isnan(v)}
        dataset.attrs |= numbers | {"diagnosis": told.sentence, "identified": told.identified}
    store.write(
        dataset,
        directory / "training.zarr",
        schemas.TRAINING,
        replace(provenance, notes={**provenance.notes, **notes}),
        beside=[file, table],
    )


def _board(directory: Path | None, step: int) -> "SummaryWriter | AbstractContextManager[None]":
    """A writer of TensorBoard events that takes up after ``step``; of nothing, if none is asked.

    Raises:
        ConfigError: TensorBoard is not installed.
    """
    if directory is None:
        return nullcontext()
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError as error:
        raise ConfigError(
            "--tensorboard needs the package tensorboard; install it with: pip install "
            "'ngpipe[tensorboard]'"
        ) from error
    return SummaryWriter(directory, purge_step=step + 1)

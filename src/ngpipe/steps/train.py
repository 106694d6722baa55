"""``simulation.zarr`` -> ``model.safetensors``, ``training.csv``, ``training.zarr``."""

import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import xarray as xr

from ngpipe import store
from ngpipe.assembly import gauge
from ngpipe.assembly.gradient import Progress, Trainer
from ngpipe.config.training import Training
from ngpipe.errors import DeviceError
from ngpipe.steps import model_file, recordings
from ngpipe.steps.checkpoint import Checkpoint
from ngpipe.steps.progress import progress


def run(
    cfg: Training,
    simulation: Path,
    model: Path,
    history: Path,
    *,
    key: str,
    device: torch.device,
    checkpoints: Path,
) -> None:
    """Train from the checkpoint of this key if there is one, else from the start.

    Args:
        cfg: the training section of the config.
        simulation: the store to learn from.
        model: the model to write.
        history: the store of W during training; ``training.csv`` goes beside it.
        key: chain key; names the checkpoint, so that one is never resumed under another config.
        device: where to train.
        checkpoints: directory of all checkpoints.
    """
    provenance = store.Provenance("train", key, cfg.model_dump(), str(device))
    with Checkpoint(checkpoints / key) as checkpoint:
        trainer = Trainer(recordings.load(simulation, cfg, device), cfg)
        rows = checkpoint.resume(trainer)
        try:
            _train(trainer, rows, checkpoint)
        except torch.OutOfMemoryError as error:
            raise DeviceError(
                f"training needs more memory than {device} has free; lower training.batch_frames "
                f"(now {cfg.batch_frames}), for example to {max(1, cfg.batch_frames // 2)}, or use "
                "--device cpu"
            ) from error
        table = history.with_suffix(".csv")
        model_file.write(trainer.finish(), cfg.network, model, key=key)
        store.write_csv(pd.DataFrame(rows), table)
        provenance = replace(
            provenance,
            notes={"selected_step": trainer.best.step, "held_out_loss": trainer.best.loss},
        )
        steps, snapshots = checkpoint.snapshots()
        dataset = xr.Dataset(
            {"connectivity": (("step", "post", "pre"), snapshots)}, coords={"step": steps}
        )
        store.write(dataset, history, store.TRAINING, provenance, beside=[model, table])
        checkpoint.remove()


def _train(trainer: Trainer, rows: list[dict[str, int | float]], checkpoint: Checkpoint) -> None:
    """Train to the end; log, keep W and save checkpoints on the way."""
    cfg = trainer.cfg
    before = rows[-1]["seconds"] if rows else 0.0
    started = time.perf_counter()
    with progress(cfg.steps, "train", unit="step", initial=trainer.step) as bar:
        for now in trainer.run():
            rows.append(_row(now, before + time.perf_counter() - started))
            if now.held_out_loss is not None:
                bar.set_postfix_str(f"held-out loss {now.held_out_loss:.3g}", refresh=False)
                fixed = gauge.of_model(trainer.model, trainer.recording)
                checkpoint.keep(now.step, fixed.connectivity(trainer.connectivity()))
            bar.update(now.step - bar.n)
            if checkpoint.due(now.step, cfg.checkpoint_every):
                checkpoint.save(trainer, rows)
    checkpoint.save(trainer, rows)


def _row(now: Progress, seconds: float) -> dict[str, int | float]:
    held_out = np.nan if now.held_out_loss is None else now.held_out_loss
    return {
        "step": now.step,
        "seconds": round(seconds, 3),
        "loss": sum(now.terms.values()),
        "held_out": held_out,
        **now.terms,
    }

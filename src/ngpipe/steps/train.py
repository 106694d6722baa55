"""``simulation.zarr`` -> ``model.safetensors``, ``training.csv``, ``training.zarr``."""

import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import torch
import xarray as xr

from ngpipe import store
from ngpipe.artifacts import model_file, recordings
from ngpipe.artifacts.checkpoint import CHECKPOINTS
from ngpipe.artifacts.progress import progress, say
from ngpipe.artifacts.recordings import Opened
from ngpipe.artifacts.solver_lines import Told
from ngpipe.artifacts.trainer_checkpoint import TrainerCheckpoint
from ngpipe.assembly import verdict
from ngpipe.assembly.closed_form.diagnosis import Diagnosis
from ngpipe.assembly.closed_form.distil import distil
from ngpipe.assembly.closed_form.solve import ClosedForm
from ngpipe.assembly.closed_form.trained import certainty
from ngpipe.assembly.gnn import AssemblyGNN
from ngpipe.assembly.gradient import Progress, Trainer
from ngpipe.config.assembly.training import Training
from ngpipe.errors import ConfigError, DeviceError, DivergenceError, UselessModelError
from ngpipe.schemas import assembly as schemas

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

Row = dict[str, Any]
"""One row of training.csv."""


def run(
    cfg: Training,
    directory: Path,
    *,
    key: str,
    device: torch.device,
    checkpoints: Path = CHECKPOINTS,
    tensorboard: Path | None = None,
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
    """
    provenance = store.Provenance("train", key, cfg.model_dump(), str(device))
    # Mini-batches are drawn at random; the closed form goes through the frames in order.
    in_memory = cfg.solver != "closed_form"
    found = recordings.opened(directory / "simulation.zarr", cfg, device, in_memory=in_memory)
    provenance = replace(provenance, notes=found.notes())
    _tell(found)
    with TrainerCheckpoint(checkpoints / key) as checkpoint:
        trainer = Trainer(found.recording, cfg)
        rows = checkpoint.resume(trainer)
        try:
            with _board(tensorboard, trainer.step) as board:
                _train(trainer, rows, checkpoint, board)
            warnings = _warnings(trainer, rows)
            model, told = _finished(trainer, rows)
        except torch.OutOfMemoryError as error:
            raise DeviceError(
                f"training needs more memory than {device} has free; lower training.batch_frames "
                f"(now {cfg.batch_frames}) or training.closed_form.frames "
                f"(now {cfg.closed_form.frames:g}), whichever solver it was, or use --device cpu"
            ) from error
        if warnings:
            provenance = replace(provenance, notes={**provenance.notes, "warnings": warnings})
        _write(trainer, model, told, rows, checkpoint, directory, provenance)
        checkpoint.remove()


def _tell(found: Opened) -> None:
    """Say what gaps and absent values leave of a recording."""
    recording = found.recording
    if recording.stretches is not None:
        longest = max(map(len, recording.stretches))
        say(
            f"recording: {found.n_stretches:,} stretches without a gap or a missing value, the "
            f"longest of {longest:,} frames; {found.left_out:,} of {recording.n_frames:,} frames "
            "are left out for that",
        )
    if found.of_sessions:
        say(found.of_sessions)


def _warnings(trainer: Trainer, rows: list[Row]) -> list[str]:
    """Print and return the warnings about a trained model, from either solver.

    Raises:
        UselessModelError: the model is worse than predicting zero, and nobody asked for such.
    """
    cfg = trainer.cfg
    doubts: list[str | None] = []
    judgement = verdict.judged(trainer.recording, trainer.best.loss)
    reached = {row["stage"]: row for row in rows}
    if trainer.best.step == 0 and {"networks", "model"} <= set(reached):
        losses = reached["networks"]["loss"], reached["model"]["held_out"], reached["W"]["held_out"]
        doubts.append(verdict.rough(*losses, cfg.closed_form.distil_steps))
    if not judgement.moves:
        doubts.append(verdict.at_rest(judgement))
    if judgement.useless:
        told = verdict.doubt(judgement, cfg)
        if not cfg.accept_worse_than_zero:
            raise UselessModelError(told)
        doubts.append(told)
    found = [f"warning: {text}" for text in doubts if text is not None]
    for text in found:
        say(text)
    return found


def _finished(trainer: Trainer, rows: list[Row]) -> tuple[AssemblyGNN, Diagnosis | None]:
    """The trained model and what the recording can tell, whichever solver it is of.

    Standard errors of W and a diagnosis, if a recording does not hold them, are left out.
    """
    model, told = trainer.finish(), None
    for row in rows:
        if row.get("stage") == "recording":
            told = Diagnosis(**{name: row[name] for name in Diagnosis.__dataclass_fields__})
    if trainer.best.step > 0:
        try:
            errors, told = certainty(model, trainer.recording)
        except DivergenceError as error:
            say(f"no standard errors of W, and no diagnosis: {error}")
            return model, None
        model.error.copy_(errors)
        say(told.sentence)
    return model, told


def _write(
    trainer: Trainer,
    model: AssemblyGNN,
    told: Diagnosis | None,
    rows: list[Row],
    checkpoint: TrainerCheckpoint,
    directory: Path,
    provenance: store.Provenance,
) -> None:
    """Write the model, its losses, and W during training."""
    file, table = directory / "model.safetensors", directory / "training.csv"
    recorded = str(provenance.notes["recording"])
    model_file.write(model, trainer.cfg, file, key=provenance.key, recording=recorded)
    store.write_csv(pd.DataFrame(rows), table)
    steps, snapshots = checkpoint.snapshots()
    dataset = xr.Dataset(
        {"connectivity": (("step", "post", "pre"), snapshots)},
        coords={"step": steps},
        attrs=dict(provenance.notes),
    )
    solved = rows[-1]["step"] - trainer.step
    notes: dict[str, object] = {
        "selected_step": solved + trainer.best.step,
        "held_out_loss": trainer.best.loss,
    }
    notes |= provenance.notes
    if told is not None:
        numbers = {name: v for name, v in asdict(told).items() if not np.isnan(v)}
        dataset.attrs |= numbers | {"diagnosis": told.sentence}
    store.write(
        dataset,
        directory / "training.zarr",
        schemas.TRAINING,
        replace(provenance, notes={**provenance.notes, **notes}),
        beside=[file, table],
    )


def _train(
    trainer: Trainer,
    rows: list[Row],
    checkpoint: TrainerCheckpoint,
    board: "SummaryWriter | None",
) -> None:
    """Train to the end; log, keep W and save checkpoints on the way."""
    cfg = trainer.cfg
    if cfg.solver != "gradient" and not rows:
        _solve(trainer, rows, checkpoint, board)
        checkpoint.save_trainer(trainer, rows)
    before = rows[-1]["seconds"] if rows else 0.0
    solved = rows[-1]["step"] - trainer.step if rows else 0
    started = time.perf_counter()
    if not trainer.steps:
        return
    with progress(trainer.steps, "train", unit="step", initial=trainer.step) as bar:
        for now in trainer.run():
            seconds = before + time.perf_counter() - started
            rows.append(_row(now, seconds, step=solved + now.step))
            _show(board, rows[-1])
            if now.held_out_loss is not None:
                bar.set_postfix_str(f"held-out loss {now.held_out_loss:.3g}", refresh=False)
                checkpoint.keep(solved + now.step, trainer.connectivity())
            bar.update(now.step - int(bar.n))
            if checkpoint.due(now.step, cfg.checkpoint_every):
                checkpoint.save_trainer(trainer, rows)
    checkpoint.save_trainer(trainer, rows)


def _solve(
    trainer: Trainer,
    rows: list[Row],
    checkpoint: TrainerCheckpoint,
    board: "SummaryWriter | None",
) -> None:
    """Begin with the closed form; what it reaches is logged as the first steps."""
    cfg = trainer.cfg
    told = Told([*(["field"] if cfg.input == "field" else []), "networks"])

    def report(stage: str, **reached: Any) -> None:  # noqa: ANN401  # noqa: ANN401
        if "part" in reached:
            told.begins(stage, reached["part"], reached["of"])
            return
        if "of" in reached:
            told.on_the_way(stage, reached["done"], reached["of"])
            return
        weights = reached.pop("connectivity", None)
        rows.append({"step": len(rows) + 1, "seconds": told.seconds(), "stage": stage, **reached})
        if weights is not None:
            checkpoint.keep(len(rows), weights)
        _show(board, rows[-1])
        told.reached(stage, **reached)

    solution = ClosedForm(trainer.recording, cfg, report).solve()
    diagnosis: Any = solution.diagnosis  # in the end there is one
    report("recording", **asdict(diagnosis))
    say(diagnosis.sentence)
    distil(
        trainer.model,
        solution,
        trainer.recording,
        cfg.closed_form,
        generator=trainer.generator,
        report=report,
    )
    now = trainer.adopt()
    report("model", loss=now.terms["fit"], held_out=now.held_out_loss)
    checkpoint.keep(len(rows), trainer.connectivity())


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


def _show(board: "SummaryWriter | None", row: Row) -> None:
    """Write one row of training.csv as TensorBoard events."""
    if board is None:
        return
    for name, value in row.items():
        if name not in ("step", "seconds", "stage") and np.isfinite(value):
            board.add_scalar(f"loss/{name}", value, row["step"])
    board.flush()


def _row(now: Progress, seconds: float, *, step: int) -> Row:
    held_out = np.nan if now.held_out_loss is None else now.held_out_loss
    return {
        "step": step,
        "seconds": round(seconds, 3),
        "stage": "gradient",
        "loss": sum(now.terms.values()),
        "held_out": held_out,
        **now.terms,
    }

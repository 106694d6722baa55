"""Training from beginning to end: what the step `train` and :func:`ngpipe.recover` both do."""

import time
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor

from ngpipe.artifacts.progress import progress, say
from ngpipe.artifacts.recordings import Opened
from ngpipe.artifacts.solver_lines import Told
from ngpipe.artifacts.training_parts import Parts
from ngpipe.assembly import verdict
from ngpipe.assembly.closed_form.diagnosis import Diagnosis
from ngpipe.assembly.closed_form.distil import distil
from ngpipe.assembly.closed_form.solve import ClosedForm
from ngpipe.assembly.closed_form.trained import certainty
from ngpipe.assembly.closed_form.transfer import Report
from ngpipe.assembly.gnn import AssemblyGNN
from ngpipe.assembly.gradient import Progress, Trainer
from ngpipe.errors import DeviceError, DivergenceError, UselessModelError

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

Row = dict[str, Any]
"""One row of training.csv."""


@runtime_checkable
class Kept(Protocol):
    """What is kept of a training on the way: on disk, or nothing at all."""

    def keep(self, step: int, connectivity: Tensor) -> None:
        """Keep W at one step of training."""

    def due(self, step: int, every: int) -> bool:
        """True if the trainer is to be saved at this step."""

    def save_trainer(self, trainer: Trainer, rows: list[Row]) -> None:
        """Save the trainer and the rows logged so far."""


class Nothing:
    """A training of which nothing is kept on the way."""

    def keep(self, step: int, connectivity: Tensor) -> None:
        """Keep nothing."""

    def due(self, step: int, every: int) -> bool:
        """Never."""
        return False

    def save_trainer(self, trainer: Trainer, rows: list[Row]) -> None:
        """Save nothing."""


@dataclass(frozen=True)
class Learned:
    """A trained model, and what its training told."""

    model: AssemblyGNN
    diagnosis: Diagnosis | None
    """Accuracy of W to expect; None if a recording does not hold it."""
    rows: list[Row]
    """Losses during training, as in training.csv."""
    held_out_loss: float
    """Mean squared error on held-out frames over the mean squared rate of training frames."""
    warnings: list[str]
    """Doubts about the model, each beginning with "warning: "."""


def learn(
    trainer: Trainer,
    rows: list[Row],
    kept: Kept,
    board: "SummaryWriter | None" = None,
    parts: Parts | None = None,
) -> Learned:
    """Train to the end, judge the model, and say how well the recording determines W.

    Args:
        trainer: at its start, or where it was saved.
        rows: logged until there; new ones are added.
        kept: where checkpoints and W during training go.
        board: for the losses as TensorBoard events.
        parts: of a closed form that jobs have solved.

    Raises:
        UselessModelError: the model is worse than predicting zero, and nobody asked for such.
        DivergenceError: the loss is not finite.
        DeviceError: the memory of the device does not suffice.
    """
    cfg = trainer.cfg
    try:
        if cfg.solver != "gradient" and not rows:
            _solve(trainer, rows, kept, board, parts)
            kept.save_trainer(trainer, rows)
        _train(trainer, rows, kept, board)
        warnings = _warnings(trainer, rows)
        model, told = _finished(trainer, rows)
    except torch.OutOfMemoryError as error:
        raise DeviceError(
            f"training needs more memory than {trainer.device} has free; lower "
            f"training.batch_frames (now {cfg.batch_frames}) or training.closed_form.frames "
            f"(now {cfg.closed_form.frames:g}), whichever solver it was, or use --device cpu"
        ) from error
    return Learned(model, told, rows, trainer.best.loss, warnings)


def tell_gaps(found: Opened) -> None:
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


def _train(
    trainer: Trainer,
    rows: list[Row],
    kept: Kept,
    board: "SummaryWriter | None",
) -> None:
    """Train to the end; log, keep W and save checkpoints on the way."""
    cfg = trainer.cfg
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
                kept.keep(solved + now.step, trainer.connectivity())
            bar.update(now.step - int(bar.n))
            if kept.due(now.step, cfg.checkpoint_every):
                kept.save_trainer(trainer, rows)
    kept.save_trainer(trainer, rows)


def _solve(
    trainer: Trainer,
    rows: list[Row],
    kept: Kept,
    board: "SummaryWriter | None",
    parts: Parts | None,
) -> None:
    """Begin with the closed form; what it reaches is logged as the first steps."""
    cfg = trainer.cfg
    told = Told([*(["field"] if cfg.input == "field" else []), "networks"])
    if parts is not None:
        parts.recall(rows, kept.keep)
    report = reporting(told, rows, kept, board)
    if parts is None:
        solution = ClosedForm(trainer.recording, cfg, report).solve()
    else:
        solution = parts.solution(trainer.recording, report)
    diagnosis: Any = solution.diagnosis  # in the end there is one
    report("recording", **asdict(diagnosis), ridge=solution.ridge)
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
    held_out: Any = now.held_out_loss  # of a model that was just adopted
    report("model", loss=now.terms["fit"], held_out=held_out)
    kept.keep(len(rows), trainer.connectivity())


def reporting(
    told: Told, rows: list[Row], kept: Kept, board: "SummaryWriter | None" = None
) -> Report:
    """What the closed form tells all it reaches: lines of text, rows of training.csv, W.

    Args:
        told: writes the lines.
        rows: of training.csv; those there are were logged by earlier jobs.
        kept: where W goes.
        board: for the losses as TensorBoard events.
    """
    before = rows[-1]["seconds"] if rows else 0.0

    def report(stage: str, **reached: Any) -> None:  # noqa: ANN401
        if "part" in reached:
            told.begins(stage, reached["part"], reached["of"])
            return
        if "of" in reached:
            told.on_the_way(stage, reached["done"], reached["of"])
            return
        weights = reached.pop("connectivity", None)
        seconds = before + told.seconds()
        rows.append({"step": len(rows) + 1, "seconds": seconds, "stage": stage, **reached})
        if weights is not None:
            kept.keep(len(rows), weights)
        _show(board, rows[-1])
        told.reached(stage, **reached)

    return report


def lines_alone() -> Report:
    """Lines of text about what a job of a scattered closed form reaches, kept nowhere."""
    return reporting(Told(["networks"]), [], Nothing())


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

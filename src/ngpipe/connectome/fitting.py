r"""Train slopes, biases, divisive strengths and leaks towards target activities.

.. math::
    L = \frac{1}{T} \sum_{t} |x_{n_t}^{(l_t)} - v_t| + \lambda \langle |p - p_0| \rangle

with the mean over all trained parameters p. Gradients pass thresholds and bounds
(:class:`ngpipe.connectome.step.Held`), so that silent neurons can be woken.

``preset="seed"``: targets are averaged within samples first, the penalty is the sum of |p - p_0|
and has no effect on the gradient, as in connectome_interpreter 2.8.1.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ngpipe.connectome.network import MultilayeredNetwork, training_mode
from ngpipe.connectome.progress import Progress
from ngpipe.connectome.targets import Targets, as_targets, check_columns, check_finite
from ngpipe.errors import ArgumentError, DivergenceError

COLUMNS = ["batch", "neuron_idx", "value"]
LARGEST_GRADIENT = 1.0
"""Norm that the gradient of all parameters is cut to (``preset="current"``)."""
LINE_EVERY = 10
"""Epochs from line to line, if lines are asked for."""


@dataclass(frozen=True)
class Part:
    """Samples of one side of the split."""

    indices: np.ndarray
    inputs: Tensor
    table: pd.DataFrame
    """Targets, their batch numbers those of ``inputs``."""
    targets: Targets


def train_model(  # noqa: PLR0913 (the signature of existing scripts)
    model: MultilayeredNetwork,
    inputs: Any,  # noqa: ANN401
    targets: pd.DataFrame,
    num_epochs: int = 100,
    learning_rate: float = 0.01,
    param_reg_lambda: float = 0.01,
    wandb: bool = False,
    wandb_project_name: str = "connectome_interpreter",
    train_fraction: float = 0.8,
    seed: int = 42,
    train_slopes: bool = True,
    train_biases: bool = True,
    train_divisive_strength: bool = True,
    train_tau: bool = False,
    checkpoint_steps: int | None = None,
    quiet: bool = True,
) -> tuple[
    MultilayeredNetwork,
    dict[str, list[float]],
    Tensor,
    Tensor,
    pd.DataFrame,
    pd.DataFrame,
    np.ndarray,
    np.ndarray,
]:
    """Train a network in place, one full-batch step of Adam an epoch.

    Args:
        model: a network with groups.
        inputs: ``(batch, sensor, time)``.
        targets: columns batch, neuron_idx, value and perhaps layer; without layer, the mean over
            all layers.
        num_epochs: steps.
        learning_rate: of Adam.
        param_reg_lambda: weight of the distance of the parameters from where they started.
        wandb: also log to Weights & Biases.
        wandb_project_name: its project.
        train_fraction: share of the samples trained on; the others give ``val_loss``.
        seed: of the split.
        train_slopes: train slopes.
        train_biases: train biases.
        train_divisive_strength: train strengths of divisive edges.
        train_tau: train time constants of the leak.
        checkpoint_steps: see :meth:`MultilayeredNetwork.forward`.
        quiet: no progress bar and no lines.

    Returns:
        model; history with one value an epoch: loss, mse_loss (the mean absolute error),
        param_reg_loss, and val_loss after the step (NaN without validation samples);
        inputs, targets and sample numbers of both sides:
        ``(model, history, train_inputs, val_inputs, train_targets, val_targets, train_indices,
        val_indices)``.

    Raises:
        ArgumentError: nothing to train or to train on, missing columns, indices out of range.
        DivergenceError: a loss that is not finite.
    """
    batch, _ = model.as_inputs(inputs)
    _check_table(targets)
    train, held_out = _split(model, batch, targets, train_fraction, seed)
    progress = Progress(bar=not quiet, lines=not quiet, wandb=wandb, project=wandb_project_name)
    history: dict[str, list[float]] = {
        name: [] for name in ("loss", "mse_loss", "param_reg_loss", "val_loss")
    }
    with training_mode(model, train_slopes, train_biases, train_divisive_strength, train_tau):
        step = _Step(model, learning_rate, param_reg_lambda, checkpoint_steps)
        for epoch in progress.over(range(num_epochs)):
            numbers = step(train, epoch) | {"val_loss": _validate(model, held_out)}
            for name, value in numbers.items():
                history[name].append(value)
            progress.tell(f"epoch {epoch}", numbers, LINE_EVERY, epoch)
    return (
        model,
        history,
        train.inputs,
        held_out.inputs,
        train.table,
        held_out.table,
        train.indices,
        held_out.indices,
    )


class _Step:
    """One step of the optimiser, and its losses."""

    def __init__(
        self, model: MultilayeredNetwork, rate: float, penalty: float, every: int | None
    ) -> None:
        self.model, self.penalty, self.every = model, penalty, every
        self.trained = [p for p in model.parameters() if p.requires_grad]
        if not self.trained:
            raise ArgumentError(
                "the network has nothing to train: it was built without idx_to_group, or all of "
                "train_slopes, train_biases, train_divisive_strength and train_tau are False"
            )
        self.start = [p.detach().clone() for p in self.trained]
        self.optimizer = torch.optim.Adam(self.trained, lr=rate)

    def __call__(self, part: Part, epoch: int) -> dict[str, float]:
        mended = self.model.rules.mended
        layers = self.model.run(part.inputs, surrogate=mended, checkpoint_steps=self.every)
        error = _error(self.model, layers, part)
        penalty = self.penalty * self._distance()
        loss = error + (penalty if mended else penalty.detach())
        if not torch.isfinite(loss):
            raise DivergenceError(
                f"the loss is {loss.item()} at epoch {epoch}: lower learning_rate "
                "or look for weights and biases that are too large"
            )
        self.optimizer.zero_grad(set_to_none=True)
        if loss.requires_grad:
            loss.backward()
        if mended:
            torch.nn.utils.clip_grad_norm_(self.trained, LARGEST_GRADIENT)
        self.optimizer.step()
        return {
            "loss": loss.item(),
            "mse_loss": error.item(),
            "param_reg_loss": penalty.item(),
        }

    def _distance(self) -> Tensor:
        pairs = zip(self.trained, self.start, strict=True)
        moved = torch.cat([(p - p0).abs().flatten() for p, p0 in pairs])
        return moved.mean() if self.model.rules.mended else moved.sum()


def _error(model: MultilayeredNetwork, layers: list[Tensor], part: Part) -> Tensor:
    """Mean absolute error, of all targets or of samples."""
    off = (part.targets.reached(layers) - part.targets.value).abs()
    if model.rules.mended:
        return off.mean()
    n = max(int(part.targets.sample.unique().numel()), 1)
    return part.targets.of_samples(off, len(part.inputs)).sum() / n


@torch.no_grad()
def _validate(model: MultilayeredNetwork, part: Part) -> float:
    if not len(part.targets.value):
        return math.nan if model.rules.mended else 0.0
    return _error(model, model.run(part.inputs), part).item()


def _check_table(targets: pd.DataFrame) -> None:
    check_columns(targets, COLUMNS, "targets: DataFrame")
    if targets.empty:
        raise ArgumentError("targets are empty; give at least one row")
    check_finite(targets["value"], "targets")


def _split(
    model: MultilayeredNetwork, inputs: Tensor, targets: pd.DataFrame, fraction: float, seed: int
) -> tuple[Part, Part]:
    """Samples to train on, in random order, and the others."""
    samples = len(inputs)
    whole = _targets(model, targets, samples)  # names what is out of range before anything is cut
    n = int(samples * fraction)
    # The legacy generator, of its own: the split that this seed has always given.
    trained = np.random.RandomState(seed).choice(samples, n, replace=False)
    if not np.isin(whole.sample.cpu().numpy(), trained).any():
        raise ArgumentError(
            f"train_fraction {fraction} of {samples} samples leaves {n} to train on, none with "
            "targets; raise it, or give more samples"
        )
    rest = np.setdiff1d(np.arange(samples), trained)
    return _part(model, inputs, targets, trained), _part(model, inputs, targets, rest)


def _part(
    model: MultilayeredNetwork, inputs: Tensor, targets: pd.DataFrame, indices: np.ndarray
) -> Part:
    place = {int(sample): position for position, sample in enumerate(indices)}
    table = targets[targets["batch"].isin(indices)]
    local = table["batch"].map(place).astype(np.int64)
    table = table.assign(batch=local).sort_values("batch", kind="stable")
    chosen = inputs[torch.from_numpy(indices).to(inputs.device)]
    return Part(indices, chosen, table, _targets(model, table, len(indices)))


def _targets(model: MultilayeredNetwork, table: pd.DataFrame, samples: int) -> Targets:
    return as_targets(
        table,
        neuron="neuron_idx",
        n=model.n_neurons,
        layers=model.num_layers,
        samples=samples,
        like=model.w_values,
    )

"""Train a network in one call: the full batch a step, under the name and arguments of
connectome_interpreter. The loss is that of :mod:`ngpipe.connectome.optimisation.fit`.
"""

from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ngpipe.connectome.interpreter.call_progress import Progress
from ngpipe.connectome.network import MultilayeredNetwork
from ngpipe.connectome.optimisation.fit import Fit
from ngpipe.connectome.optimisation.plan import TRAINED, Plan
from ngpipe.connectome.optimisation.split import Part, check_table, part_of
from ngpipe.errors import ArgumentError

LINE_EVERY = 10
"""Epochs from line to line, if lines are asked for."""
HISTORY = {
    "loss": "loss",
    "error": "mse_loss",
    "penalty": "param_reg_loss",
    "held_out_error": "val_loss",
}
"""Losses of a fit, and their names in the history returned."""


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
    train_tau: bool | None = None,
    checkpoint_steps: int | None = None,
    quiet: bool = True,
    train_strengths: bool = False,
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

    As the version does that the network's preset names; what the versions do is told in
    :mod:`ngpipe.connectome.optimisation.fit`.

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
        train_tau: train time constants of the leak; default: with ``preset="head"`` alone.
        checkpoint_steps: see :meth:`MultilayeredNetwork.forward`.
        quiet: no progress bar and no lines.
        train_strengths: train a factor of W for each pair of connected groups, see
            :mod:`ngpipe.connectome.strengths`.

    Returns:
        model; history with one value an epoch: loss, mse_loss (the mean absolute error),
        param_reg_loss, and val_loss after the step (NaN without validation samples, in 2.9.5 0);
        inputs, targets and sample numbers of both sides:
        ``(model, history, train_inputs, val_inputs, train_targets, val_targets, train_indices,
        val_indices)``.

    Raises:
        ArgumentError: nothing to train or to train on, missing columns, indices out of range.
        DivergenceError: a loss that is not finite.
    """
    batch, _ = model.as_inputs(inputs)
    train, held_out = _split(model, batch, targets, train_fraction, seed)
    procedure = model.rules.procedure
    train_tau = procedure == "head" if train_tau is None else train_tau
    trains = (train_slopes, train_biases, train_divisive_strength, train_tau, train_strengths)
    plan = Plan(
        epochs=num_epochs,
        learning_rate=learning_rate,
        penalty=param_reg_lambda,
        train=tuple(name for name, flag in zip(TRAINED, trains, strict=True) if flag),
        keep="last",
        checkpoint_steps=checkpoint_steps,
        procedure=procedure,
    )
    run = Fit(model, train, held_out, plan, torch.Generator())
    progress = Progress(bar=not quiet, lines=not quiet, wandb=wandb, project=wandb_project_name)
    for epoch in progress.over(range(num_epochs)):
        numbers = {HISTORY[name]: value for name, value in run.advance().items() if name in HISTORY}
        progress.tell(f"epoch {epoch}", numbers, LINE_EVERY, epoch)
    history = {told: run.history[name] for name, told in HISTORY.items()}
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


def _split(
    model: MultilayeredNetwork, inputs: Tensor, targets: pd.DataFrame, fraction: float, seed: int
) -> tuple[Part, Part]:
    """Samples to train on, in random order, and the others."""
    samples = len(inputs)
    driven = check_table(model, targets, samples)
    if not 0 < fraction <= 1:
        raise ArgumentError(f"train_fraction is {fraction}, expected a share, 0 < share <= 1")
    n = int(samples * fraction)
    # The legacy generator, of its own: the split that this seed has always given.
    trained = np.random.RandomState(seed).choice(samples, n, replace=False)
    if not np.isin(driven, trained).any():
        raise ArgumentError(
            f"train_fraction {fraction} of {samples} samples leaves {n} to train on, none with "
            "targets; raise it, or give more samples"
        )
    rest = np.setdiff1d(np.arange(samples), trained)
    return part_of(model, inputs, targets, trained), part_of(model, inputs, targets, rest)

"""Samples and their targets, parted into those to train on and those held out."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from ngpipe.connectome.checks import check_columns, check_finite
from ngpipe.connectome.groups import check_indices
from ngpipe.connectome.network import MultilayeredNetwork
from ngpipe.connectome.optimisation.targets import Targets, as_targets
from ngpipe.errors import ArgumentError

COLUMNS = ["batch", "neuron_idx", "value"]


@dataclass(frozen=True)
class Part:
    """Samples of one side of the split."""

    indices: np.ndarray
    """Numbers of the samples among all."""
    inputs: Tensor
    table: pd.DataFrame
    """Targets, their batch numbers those of ``inputs``."""
    targets: Targets

    def among(self, samples: Tensor) -> Targets:
        """Targets of some of the samples, numbered in their order."""
        whole = self.targets
        place = torch.full((len(self.inputs),), -1, device=samples.device)
        place[samples] = torch.arange(len(samples), device=samples.device)
        local = place[whole.sample]
        chosen = local >= 0
        counts = whole.counts
        if counts is not None:
            sizes = [int(c.sum()) for c in chosen.split(list(counts.values()))]
            counts = dict(zip(counts, sizes, strict=True))
        return Targets(
            local[chosen], whole.neuron[chosen], whole.value[chosen], whole.share[chosen], counts
        )


def split(
    network: MultilayeredNetwork,
    inputs: Any,  # noqa: ANN401
    targets: pd.DataFrame,
    held_out: float | Sequence[int],
    generator: torch.Generator,
) -> tuple[Part, Part]:
    """Samples to train on, and samples held out: a share of those with targets, or those named.

    Raises:
        ArgumentError: nothing left to train on, missing columns, indices out of range.
    """
    batch, _ = network.as_inputs(inputs)
    driven = check_table(network, targets, len(batch))
    if isinstance(held_out, float | int):
        if not 0 <= held_out < 1:
            raise ArgumentError(f"held_out is {held_out}, expected a share, 0 <= held_out < 1")
        order = torch.randperm(len(driven), generator=generator).numpy()
        rest = np.sort(driven[order[: round(len(driven) * held_out)]])
    else:
        rest = np.unique(check_indices(held_out, len(batch), "held_out"))
    if np.isin(driven, rest).all():
        raise ArgumentError(
            f"held_out {held_out} leaves none of the {len(driven)} samples with targets to train "
            "on; hold fewer out, or give more samples"
        )
    trained = np.setdiff1d(np.arange(len(batch)), rest)
    return part_of(network, batch, targets, trained), part_of(network, batch, targets, rest)


def check_table(network: MultilayeredNetwork, targets: pd.DataFrame, samples: int) -> np.ndarray:
    """Refuse a table of targets that does not fit; returns the samples that have targets.

    Raises:
        ArgumentError: no rows, missing columns, values not finite, indices out of range.
    """
    check_columns(targets, COLUMNS, "targets: DataFrame")
    if targets.empty:
        raise ArgumentError("targets are empty; give at least one row")
    check_finite(targets["value"], "targets")
    return targets_of(network, targets, samples).sample.unique().cpu().numpy()


def part_of(
    network: MultilayeredNetwork, inputs: Tensor, targets: pd.DataFrame, indices: np.ndarray
) -> Part:
    """The samples given and their targets, numbered anew."""
    place = np.full(len(inputs), -1)
    place[indices] = np.arange(len(indices))
    local = place[targets["batch"].to_numpy(dtype=np.int64)]
    table = targets.assign(batch=local)[local >= 0].sort_values("batch", kind="stable")
    chosen = inputs[torch.from_numpy(indices).to(inputs.device)]
    return Part(indices, chosen, table, targets_of(network, table, len(indices)))


def targets_of(network: MultilayeredNetwork, table: pd.DataFrame, samples: int) -> Targets:
    """Targets of a table as tensors, sorted by layer.

    Raises:
        ArgumentError: a batch, neuron or layer out of range.
    """
    return as_targets(
        table,
        neuron="neuron_idx",
        n=network.n_neurons,
        layers=network.num_layers,
        samples=samples,
        like=network.w_values,
    )

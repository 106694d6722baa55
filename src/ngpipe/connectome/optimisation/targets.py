"""Target activities: tables of (sample, layer, neuron, value), and their index tensors."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import torch
from jaxtyping import Float, Int
from torch import Tensor

from ngpipe.connectome.checks import check_columns, check_finite
from ngpipe.connectome.groups import check_indices
from ngpipe.connectome.step import State
from ngpipe.errors import ArgumentError, ArgumentTypeError


@dataclass(eq=False)
class TargetActivation:
    """Activities that neurons should reach in given layers.

    Args:
        targets: ``{layer: {neuron: value}}``, the same in every sample; or a table with columns
            layer, neuron, value and, where samples differ, batch.
        batch_size: samples; by default 1, or as many as the table's batch numbers say.

    Raises:
        ArgumentError: no targets, missing columns, values that are not finite, or fewer samples
            than the table has.

    Source: connectome_interpreter 2.8.1.
    """

    targets: Any
    batch_size: int | None = None
    targets_df: pd.DataFrame = field(init=False, repr=False)
    """One row a target: batch, layer, neuron, value."""

    def __post_init__(self) -> None:
        """Spread the targets over the samples."""
        table = _table(self.targets)
        if table.empty:
            raise ArgumentError("targets are empty; give at least one {layer: {neuron: value}}")
        check_columns(table, ["layer", "neuron", "value"], "targets: DataFrame")
        check_finite(table["value"], "targets")
        if self.batch_size is not None and self.batch_size < 1:
            raise ArgumentError(f"batch_size is {self.batch_size}, expected at least 1")
        if "batch" in table.columns:
            self._check_batches(table)
        else:
            n = self.batch_size or 1
            table = table.loc[table.index.repeat(n)].assign(batch=np.tile(range(n), len(table)))
            self.batch_size = n
        self.targets_df = table.reset_index(drop=True)

    def _check_batches(self, table: pd.DataFrame) -> None:
        found = int(table["batch"].max()) + 1
        check_indices(table["batch"].to_numpy(), max(found, 1), "targets: batch")
        if self.batch_size is not None and self.batch_size < found:
            raise ArgumentError(
                f"batch_size is {self.batch_size}, but targets name batch {found - 1}; "
                f"expected at least {found}"
            )
        self.batch_size = int(self.batch_size or found)

    def get_batch_targets(self, batch_idx: int) -> dict[int, dict[int, float]]:
        """Targets of one sample, ``{layer: {neuron: value}}``; of a target given twice the last."""
        rows = self.targets_df[self.targets_df["batch"] == batch_idx]
        result: dict[int, dict[int, float]] = {}
        for layer, neuron, value in zip(rows["layer"], rows["neuron"], rows["value"], strict=True):
            result.setdefault(int(layer), {})[int(neuron)] = float(value)
        return result


@dataclass(frozen=True)
class Targets:
    """Targets as tensors, made once and sorted by layer; T of them."""

    sample: Int[Tensor, " target"]
    neuron: Int[Tensor, " target"]
    value: Float[Tensor, " target"]
    share: Float[Tensor, " target"]
    """One over the targets of the same sample."""
    counts: dict[int, int] | None
    """Targets by layer, ascending; None: of the mean over all layers."""

    def reached(self, layers: Sequence[State]) -> Float[Tensor, " target"]:
        """Activity of the targets' neurons in the layers of a run; reads only the rows needed."""
        if self.counts is None:
            rows = [x[self.neuron, self.sample] for x in layers]
            return torch.stack(rows).mean(dim=0)
        if not self.counts:
            return self.value
        sizes = list(self.counts.values())
        at = zip(self.counts, self.neuron.split(sizes), self.sample.split(sizes), strict=True)
        return torch.cat([layers[layer][neuron, sample] for layer, neuron, sample in at])

    def of_samples(self, per_target: Tensor, n: int) -> Float[Tensor, " sample"]:
        """Mean over the targets of each of n samples; 0 where there are none."""
        return per_target.new_zeros(n).index_add(0, self.sample, per_target * self.share)

    def repeated(self, times: int, n: int) -> "Targets":
        """The same targets for several copies of n samples, one after the other."""
        copy = torch.arange(times, device=self.sample.device).repeat(len(self.sample))
        return Targets(
            self.sample.repeat_interleave(times) + n * copy,
            self.neuron.repeat_interleave(times),
            self.value.repeat_interleave(times),
            self.share.repeat_interleave(times),
            self.counts and {layer: times * count for layer, count in self.counts.items()},
        )


def as_targets(
    table: pd.DataFrame, *, neuron: str, n: int, layers: int, samples: int, like: Tensor
) -> Targets:
    """Index tensors of a table with columns batch, <neuron>, value and perhaps layer.

    Raises:
        ArgumentError: a batch, neuron or layer out of range.
    """
    counts = None
    if "layer" in table.columns:
        layer = check_indices(table["layer"].to_numpy(), layers, "targets: layer")
        table = table.iloc[np.argsort(layer, kind="stable")]
        found, count = np.unique(layer, return_counts=True)
        counts = dict(zip(found.tolist(), count.tolist(), strict=True))
    sample = check_indices(table["batch"].to_numpy(), samples, "targets: batch")
    index = check_indices(table[neuron].to_numpy(), n, f"targets: {neuron}")
    share = 1 / np.maximum(np.bincount(sample, minlength=samples), 1)[sample]
    return Targets(
        torch.from_numpy(sample).to(like.device),
        torch.from_numpy(index).to(like.device),
        torch.from_numpy(table["value"].to_numpy(dtype=np.float64, copy=True)).to(like),
        torch.from_numpy(share).to(like),
        counts,
    )


def _table(targets: Any) -> pd.DataFrame:  # noqa: ANN401
    if isinstance(targets, pd.DataFrame):
        return targets
    if not isinstance(targets, Mapping):
        raise ArgumentTypeError(
            f"targets are a {type(targets).__name__}, expected {{layer: {{neuron: value}}}} or a "
            "DataFrame with columns layer, neuron, value"
        )
    flat = [layer for layer, of_layer in targets.items() if not isinstance(of_layer, Mapping)]
    if flat:
        raise ArgumentTypeError(
            f"targets of layer {flat[0]!r} are {targets[flat[0]]!r}, expected {{neuron: value}}"
        )
    rows = [
        {"layer": layer, "neuron": neuron, "value": value}
        for layer, of_layer in targets.items()
        for neuron, value in of_layer.items()
    ]
    return pd.DataFrame(rows)

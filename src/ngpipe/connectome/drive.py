"""Input to a network from outside, to sensory neurons, within bounds."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from ngpipe.connectome.chords import Surrogate
from ngpipe.connectome.groups import check_indices
from ngpipe.connectome.rules import Rules
from ngpipe.connectome.step import State, at_least, at_most_one
from ngpipe.errors import ArgumentError, ArgumentTypeError


@dataclass(frozen=True)
class Sensors:
    """Neurons that receive input, and the bounds that it is held in."""

    neurons: Int[Tensor, " sensor"]
    last: Int[Tensor, " last"]
    """Positions in ``neurons`` that no later duplicate overrides."""
    threshold: float
    rules: Rules
    linear: bool

    def prepare(self, inputs: Float[Tensor, "batch sensor time"], surrogate: Surrogate) -> Tensor:
        """Inputs as ``(time, sensor, batch)``, within bounds if these are the input's."""
        u = inputs.permute(2, 1, 0)
        if self.rules.bounded != "input" or self.linear:
            return u
        return at_most_one(
            at_least(torch.nan_to_num(u, nan=0.0), self.threshold, surrogate), surrogate
        )

    def first(self, u: Float[Tensor, "sensor batch"], n: int, surrogate: Surrogate) -> State:
        """State before the first step: the input of time 0."""
        x = u.new_zeros(n, u.shape[1])
        if self.rules.bounded == "all":
            return self._add_last(x, u)
        x = x.index_add(0, self.neurons, u)
        return self._bounded(x, surrogate) if self.rules.bounded == "activity" else x

    def add(self, x: State, u: Float[Tensor, "sensor batch"], surrogate: Surrogate) -> State:
        """A response and the input that comes with it."""
        x = self._add_last(x, u)
        if self.rules.bounded == "activity":
            return self._bounded(x, surrogate)
        return self.within(x, surrogate)

    def _add_last(self, x: State, u: Float[Tensor, "sensor batch"]) -> State:
        """Activity and input; of a neuron given twice only the last input."""
        if len(self.last) < len(self.neurons):
            return x.index_add(0, self.neurons[self.last], u[self.last])
        return x.index_add(0, self.neurons, u)

    def within(self, activity: Tensor, surrogate: Surrogate) -> Tensor:
        """Activities after something was added, within the bounds of the rules."""
        if self.linear:
            return activity
        if self.rules.bounded != "input":
            activity = at_least(activity, self.threshold, surrogate)
        return at_most_one(activity, surrogate)

    def _bounded(self, x: State, surrogate: Surrogate) -> State:
        """Activity of the sensory neurons within [threshold, 1] or 0; others have it from tanh."""
        if self.linear:
            return x
        return x.index_copy(0, self.neurons, self.within(x[self.neurons], surrogate))


def sensory_indices(indices: Any, n: int, rules: Rules) -> tuple[np.ndarray, np.ndarray]:  # noqa: ANN401
    """Sensory neurons in the order given, and the positions that no later duplicate overrides.

    Raises:
        ArgumentError: out of range, or given twice where the rules are strict.
    """
    array = check_indices(indices, n, "sensory_indices")
    values, counts = np.unique(array, return_counts=True)
    twice = values[counts > 1]
    if twice.size:
        rules.doubt(
            f"sensory_indices has neuron {int(twice[0])} {int(counts[counts > 1][0])} times",
            "its inputs overwrite each other"
            + (", but add at time 0" if rules.bounded == "input" else ""),
            "give each sensory neuron once and sum its inputs",
        )
    last = {int(neuron): position for position, neuron in enumerate(array)}
    return array, np.array(sorted(last.values()), dtype=np.int64)


def as_inputs(
    inputs: Any,  # noqa: ANN401
    *,
    like: Tensor,
    n_sensory: int,
    steps: int,
    rules: Rules,
) -> tuple[Float[Tensor, "batch sensor time"], bool]:
    """Inputs as a batch in the dtype and on the device of a network; whether they were one sample.

    Raises:
        ArgumentTypeError: no array of real numbers.
        ArgumentError: the wrong shape, too few time steps, or values that are not finite.
    """
    if not isinstance(inputs, np.ndarray | Tensor):
        raise ArgumentTypeError(
            f"inputs are a {type(inputs).__name__}, expected a torch tensor or a numpy array"
        )
    if isinstance(inputs, np.ndarray) and inputs.dtype.kind not in "fiubc":
        raise ArgumentTypeError(f"inputs are {inputs.dtype}, expected real numbers")
    tensor = (
        torch.as_tensor(np.ascontiguousarray(inputs)) if isinstance(inputs, np.ndarray) else inputs
    )
    if tensor.is_complex():
        raise ArgumentTypeError(f"inputs are {tensor.dtype}, expected real numbers")
    single = tensor.ndim == 2
    batch = tensor[None] if single else tensor
    if batch.ndim != 3 or batch.shape[1] != n_sensory or batch.shape[2] < steps:
        raise ArgumentError(
            f"inputs have shape {tuple(tensor.shape)}, expected (sensory {n_sensory}, time "
            f">= {steps}) or (batch, {n_sensory}, >= {steps}): as many time steps as layers"
        )
    batch = batch.to(device=like.device, dtype=like.dtype)
    finite = torch.isfinite(batch) if rules.strict else ~torch.isnan(batch)
    if not finite.all():
        at = tuple(int(i) for i in (~finite).nonzero()[0])
        rules.doubt(
            f"inputs hold {batch[at].item()} at (batch, sensory, time) {at}",
            "it counts as 0" if rules.bounded == "input" else "activity becomes NaN",
            "replace it by 0 or leave the sample out",
        )
    return batch, single

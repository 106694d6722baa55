"""Many variants of a batch run side by side: points of a path, noisy copies, lesions.

Columns are ordered (variant, sample), samples innermost, so that one product with W serves all
variants of a piece; how many a piece has is bounded by memory.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from torch import Tensor

from ngpipe.connectome.groups import check_count
from ngpipe.connectome.network import MultilayeredNetwork
from ngpipe.connectome.step import State
from ngpipe.errors import ArgumentError, ArgumentTypeError, DivergenceError

Objective = Callable[[Sequence[State]], Tensor]
"""Objective of layers, each ``(neuron, sample)``: one number per sample, ``(sample,)``."""

ROOM = 2**26
"""Largest memory for the states of one piece, if no size is given [bytes]."""


def pieces(
    n: int, network: MultilayeredNetwork, samples: int, chunk: int | None
) -> Iterator[range]:
    """Ranges that make up 0 to n - 1, each of at most ``chunk`` variants.

    By default as many as :data:`ROOM` has room for the layers of, at least 1. Backward passes keep
    some 4 arrays of that size.
    """
    if chunk is None:
        itemsize = network.w_values.element_size()
        chunk = max(1, ROOM // (network.n_neurons * network.num_layers * samples * itemsize))
    chunk = check_count("chunk", chunk, 1)
    return (range(start, min(start + chunk, n)) for start in range(0, n, chunk))


def repeated(inputs: Tensor, copies: int) -> Tensor:
    """Inputs of several copies of a batch, ``(copy x sample, ...)``."""
    return inputs.repeat(copies, *(1 for _ in inputs.shape[1:]))


def values(objective: Objective, layers: Sequence[State], samples: int) -> Tensor:
    """The objective of every variant, ``(variant, sample)``; it sees one batch at a time.

    Raises:
        ArgumentTypeError: it returns no tensor.
        ArgumentError: it returns a tensor of another shape.
        DivergenceError: it is not finite.
    """
    variants = zip(*(layer.split(samples, dim=1) for layer in layers), strict=True)
    found = torch.stack([_checked(objective(list(one)), samples) for one in variants])
    bad = (~torch.isfinite(found)).nonzero()
    if len(bad):
        raise DivergenceError(
            f"the objective of sample {int(bad[0, 1])} is {found[tuple(bad[0])].item()}; lower the "
            "weights, slopes or inputs of the network, or correct the objective"
        )
    return found


def states(network: MultilayeredNetwork, inputs: Tensor) -> list[State]:
    """The state before the first step, and the layers; without graph."""
    before: list[State] = []

    def note(incoming: State, x: State) -> State:
        before.append(x)
        return incoming

    with torch.no_grad():
        layers = network.run(inputs, drive=note)
    return [before[0], *layers]


def _checked(value: Any, samples: int) -> Tensor:  # noqa: ANN401
    if not isinstance(value, Tensor):
        raise ArgumentTypeError(
            f"the objective returned a {type(value).__name__}, expected a tensor (sample,)"
        )
    if value.shape != (samples,):
        raise ArgumentError(
            f"the objective returned shape {tuple(value.shape)}, expected ({samples},): one number "
            "a sample; sum over neurons and layers, not over samples"
        )
    return value

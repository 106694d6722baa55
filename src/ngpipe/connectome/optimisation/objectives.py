r"""Objectives of a stimulus: one number per sample, to be maximised.

An objective is any callable of the layers that
:meth:`~ngpipe.connectome.network.MultilayeredNetwork.run` returns, each ``(neuron, sample)``, whose
result is ``(sample,)``. Those made here can be added, subtracted and multiplied by numbers, also
with plain functions:

>>> wanted = activity(network, "T4a") - 0.5 * activity(network, ["T4b", "T4c"], layers=range(5, 10))

With :math:`x^{(l)}_{ib}` the activity of neuron i in layer l of sample b, members :math:`i \in G`
and layers :math:`l \in \Lambda`, the activity of G is

.. math:: x_b = \frac{1}{|G|\,|\Lambda|} \sum_{l \in \Lambda} \sum_{i \in G} x^{(l)}_{ib} .
"""

import reprlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from numbers import Real
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from ngpipe.connectome.groups import check_indices, members_of
from ngpipe.connectome.network import MultilayeredNetwork
from ngpipe.connectome.step import State
from ngpipe.errors import ArgumentError, ArgumentTypeError

PerSample = Float[Tensor, " sample"]
if TYPE_CHECKING:
    from typing import Self
else:
    Self = Any  # the checks of types at run time know it in classes that they decorate alone


@dataclass(frozen=True, repr=False)
class Weighted:
    """A weighted sum of functions of the same arguments, each of which gives ``(sample,)``."""

    parts: tuple[tuple[float, Callable[..., Tensor], str], ...]
    """Weight, function and name."""

    @classmethod
    def of(cls, function: Callable[..., Tensor], name: str | None = None) -> Self:
        """A sum of one function."""
        return cls(((1.0, function, name or str(getattr(function, "__name__", repr(function)))),))

    def __call__(self, *arguments: Any) -> Tensor:  # noqa: ANN401
        """The sum, ``(sample,)``."""
        total: Any = sum(weight * function(*arguments) for weight, function, _ in self.parts)
        return total

    @property
    def name(self) -> str:
        """The sum in words."""
        words = "".join(
            (" - " if weight < 0 else " + ")
            + (f"{abs(weight):g} * " if abs(weight) != 1 else "")
            + name
            for weight, _, name in self.parts
        )
        return words.removeprefix(" + ").removeprefix(" ")

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name})"

    def __add__(self, other: Any) -> Self:  # noqa: ANN401
        if isinstance(other, Real) and other == 0:  # where sum() starts
            return self
        if isinstance(other, Weighted) and not isinstance(other, type(self)):
            raise ArgumentTypeError(
                f"{self!r} and {other!r} are of different kinds and cannot be added; give the "
                "search an objective and a penalty"
            )
        if not callable(other):
            return NotImplemented
        other = other if isinstance(other, Weighted) else self.of(other)
        return type(self)(self.parts + other.parts)

    __radd__ = __add__

    def __mul__(self, factor: Any) -> Self:  # noqa: ANN401
        if not isinstance(factor, Real):
            return NotImplemented
        return type(self)(tuple((float(factor) * w, f, name) for w, f, name in self.parts))

    __rmul__ = __mul__

    def __neg__(self) -> Self:
        return self * -1

    def __sub__(self, other: Any) -> Self:  # noqa: ANN401
        if not callable(other):
            return NotImplemented
        return self + -(other if isinstance(other, Weighted) else self.of(other))

    def __rsub__(self, other: Any) -> Self:  # noqa: ANN401
        return -self + other


class Objective(Weighted):
    """An objective: a weighted sum of functions of the layers of a run."""


@dataclass(frozen=True, eq=False)
class _Activity:
    """Mean activity of members, mean or sum over layers."""

    members: Int[Tensor, " member"]
    layers: tuple[int, ...]
    over_time: str

    def __call__(self, layers: Sequence[State]) -> PerSample:
        by_layer = torch.stack([layers[k][self.members].mean(dim=0) for k in self.layers])
        return by_layer.mean(dim=0) if self.over_time == "mean" else by_layer.sum(dim=0)


def activity(
    network: MultilayeredNetwork,
    who: Any,  # noqa: ANN401
    layers: int | Iterable[int] | None = None,
    over_time: str = "mean",
) -> Objective:
    """Mean activity of neurons [1].

    Args:
        network: whose neurons they are.
        who: index of a neuron, name of a group, or several of either; each neuron counts once.
        layers: layers, 0 the first; default: the last.
        over_time: ``"mean"`` over the layers, or their ``"sum"``.

    Raises:
        ArgumentError: an unknown group, an index or a layer out of range, none at all.
    """
    if over_time not in ("mean", "sum"):
        raise ArgumentError(f"over_time is {over_time!r}, expected 'mean' or 'sum'")
    members = members_of(who, network.groups, network.n_neurons, "objective:")
    shown = _layers(layers, network.num_layers)
    measure = _Activity(torch.from_numpy(members).to(network.device), shown, over_time)
    return Objective.of(measure, f"{_of_time(over_time, shown)} of {_whom(who)}{_when(shown)}")


def target(
    network: MultilayeredNetwork,
    who: Any,  # noqa: ANN401
    value: float,
    layers: int | Iterable[int] | None = None,
) -> Objective:
    """Closeness to a wanted activity: -(x - value)^2 of the activity x of :func:`activity`.

    Raises:
        ArgumentError: as :func:`activity`; a value that is not finite.
    """
    if not np.isfinite(value):
        raise ArgumentError(f"target: value is {value}, expected a finite activity")
    reached = activity(network, who, layers)
    return Objective.of(
        partial(_closeness, reached, float(value)), f"-({reached.name} - {value:g})^2"
    )


def difference(
    a: Callable[[Sequence[State]], Tensor], b: Callable[[Sequence[State]], Tensor]
) -> Objective:
    """One objective less another: any two callables of the layers."""
    return Objective(()) + a - b


def selectivity(
    network: MultilayeredNetwork,
    who: Any,  # noqa: ANN401
    rivals: Iterable[Any],
    layers: int | Iterable[int] | None = None,
) -> Objective:
    r"""Activity of neurons above that of their most active rival: :math:`x - \max_r x_r` [1].

    Args:
        network: whose neurons they are.
        who: see :func:`activity`.
        rivals: each as ``who``.
        layers: see :func:`activity`.

    Raises:
        ArgumentError: as :func:`activity`; no rivals.
    """
    rivals = [rivals] if isinstance(rivals, str) else list(rivals)
    if not rivals:
        raise ArgumentError("selectivity: rivals are empty; name at least one neuron or group")
    others = [activity(network, rival, layers) for rival in rivals]
    strongest = Objective.of(partial(_largest, others), f"largest of {reprlib.repr(rivals)}")
    return activity(network, who, layers) - strongest


def _closeness(reached: Objective, value: float, layers: Sequence[State]) -> PerSample:
    return -(reached(layers) - value).square()


def _largest(objectives: Sequence[Objective], layers: Sequence[State]) -> PerSample:
    return torch.stack([objective(layers) for objective in objectives]).amax(dim=0)


def _layers(layers: Any, count: int) -> tuple[int, ...]:  # noqa: ANN401
    if layers is None:
        return (count - 1,)
    wanted = [layers] if np.ndim(layers) == 0 and not isinstance(layers, Iterable) else list(layers)
    if not wanted:
        raise ArgumentError("objective: layers are empty; name at least one")
    return tuple(check_indices(wanted, count, "objective: layer").tolist())


def _of_time(over_time: str, layers: Sequence[int]) -> str:
    return "summed activity" if over_time == "sum" and len(layers) > 1 else "activity"


def _whom(who: Any) -> str:  # noqa: ANN401
    return reprlib.repr(who.tolist() if hasattr(who, "tolist") else who)


def _when(layers: Sequence[int]) -> str:
    if len(layers) == 1:
        return f" in layer {layers[0]}"
    return f" in layers {reprlib.repr(list(layers))}"

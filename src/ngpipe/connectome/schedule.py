"""Experiments on neurons while a network runs: silence, clamp and activate, each in its layers.

>>> both = silence("T4a") + activate([3, 5], 0.4, layers=range(2, 6))
>>> network(u, manipulate=both)

Interventions add up in any order: what is added comes first, then bounds apply, and what is held is
held. Of two values that a neuron is held at the later counts. Without layers an intervention lasts
throughout: it also acts on the state that the input of time 0 sets, which drives layer 0.

Input reaches a sensory neuron before any intervention does, so that of one that is held it is lost:
the input of time l + 1 in layer l, that of time 0 if the intervention lasts throughout. A neuron
that is silenced throughout acts on no other; all others do what they would without its outgoing
edges.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from ngpipe.connectome.groups import Groups, check_indices, members_of
from ngpipe.connectome.step import State
from ngpipe.errors import ArgumentError, ArgumentTypeError

BEFORE = -1
"""The layer of the state that the input of time 0 sets."""


@dataclass(frozen=True)
class Intervention:
    """An intervention on neurons."""

    who: Any
    """Index of a neuron, name of a group, or several of either."""
    activity: float
    """Activity at which they are clamped, or that is added [1]."""
    holds: bool
    layers: tuple[int, ...] | None
    """None: throughout."""
    samples: tuple[int, ...] | None
    """None: all."""


@dataclass(frozen=True)
class Schedule:
    """Interventions, which ``+`` puts together."""

    interventions: tuple[Intervention, ...] = ()

    def __add__(self, other: Any) -> "Schedule":  # noqa: ANN401
        if not isinstance(other, Schedule):
            return NotImplemented
        return Schedule(self.interventions + other.interventions)


def silence(
    who: Any,  # noqa: ANN401
    layers: int | Iterable[int] | None = None,
    samples: int | Iterable[int] | None = None,
) -> Schedule:
    """Hold neurons at 0; see :func:`clamp`."""
    return clamp(who, 0.0, layers, samples)


def clamp(
    who: Any,  # noqa: ANN401
    value: float,
    layers: int | Iterable[int] | None = None,
    samples: int | Iterable[int] | None = None,
) -> Schedule:
    """Hold neurons at an activity, which may lie outside of bounds.

    Args:
        who: index of a neuron, name of a group, or several of either.
        value: activity [1].
        layers: in which layers, 0 the first; default: throughout.
        samples: in which samples; default: in all.

    Raises:
        ArgumentError: a value that is not finite. Unknown neurons, layers and samples are named
            when the schedule meets a network.
    """
    return _schedule(who, value, layers, samples, holds=True)


def activate(
    who: Any,  # noqa: ANN401
    amount: float,
    layers: int | Iterable[int] | None = None,
    samples: int | Iterable[int] | None = None,
) -> Schedule:
    """Add to the activity of neurons, as input adds to that of sensory ones; then bounds apply.

    Amounts for the same neuron add up; a negative one inhibits. See :func:`clamp` for the rest.
    """
    return _schedule(who, amount, layers, samples, holds=False)


def schedule_of(manipulate: Mapping[Any, Any] | Schedule | None) -> Schedule:
    """A schedule; one that holds if it is given as ``{layer: {group or neuron: activity}}``.

    Also by sample, ``{sample: {layer: {...}}}``.
    """
    if isinstance(manipulate, Schedule):
        return manipulate
    rows = _rows(manipulate or {})
    return Schedule(tuple(part for row in rows for part in clamp(*row).interventions))


@dataclass(frozen=True)
class Entries:
    """Activities of neurons in samples, each pair once."""

    neuron: Int[Tensor, " entry"]
    sample: Int[Tensor, " entry"]
    activity: Float[Tensor, " entry"]


@dataclass(frozen=True)
class Change:
    """All interventions in one layer."""

    added: Entries | None
    held: Entries | None

    def __call__(self, x: State, bounded: Callable[[Tensor], Tensor]) -> State:
        """The state after it; ``bounded`` puts activities into the network's bounds."""
        if self.added is not None:
            at = (self.added.neuron, self.added.sample)
            x = x.index_put(at, bounded(x[at] + self.added.activity))
        if self.held is not None:
            x = x.index_put((self.held.neuron, self.held.sample), self.held.activity)
        return x


Changes = Mapping[int, Change]
"""Changes by layer; :data:`BEFORE` is before the first."""


@dataclass(frozen=True)
class Compiler:
    """Turns a schedule into the changes of a run."""

    groups: Groups | None
    neurons: int
    layers: int
    samples: int
    copies: int
    """Number of copies of all samples, one after the other."""
    like: Tensor
    """Has the dtype and device of activities."""
    name: str
    """Name of the schedule in messages."""

    def changes(self, schedule: Schedule) -> Changes:
        """Changes by layer; layers in which the same is done share one.

        Raises:
            ArgumentError: an unknown group, or a neuron, layer or sample out of range.
        """
        parts = [self._part(intervention) for intervention in schedule.interventions]
        by_layer: dict[int, list[int]] = {}
        for k, intervention in enumerate(schedule.interventions):
            for layer in self._layers(intervention.layers):
                by_layer.setdefault(layer, []).append(k)
        made = {
            which: self._change([parts[k] for k in which])
            for which in {tuple(which) for which in by_layer.values()}
        }
        return {layer: made[tuple(which)] for layer, which in by_layer.items()}

    def _layers(self, layers: Sequence[int] | None) -> list[int]:
        if layers is None:
            return [BEFORE, *range(self.layers)]
        return check_indices(layers, self.layers, f"{self.name}: layer").tolist()

    def _part(self, part: Intervention) -> tuple[bool, np.ndarray, np.ndarray]:
        """True if it clamps; flat indices ``neuron * columns + column``; activities."""
        rows = members_of(part.who, self.groups, self.neurons, f"{self.name}:")
        samples = range(self.samples) if part.samples is None else part.samples
        chosen = check_indices(samples, self.samples, f"{self.name}: sample")
        columns = (chosen + self.samples * np.arange(self.copies)[:, None]).ravel()
        flat = (rows[:, None] * self.samples * self.copies + columns).ravel()
        return part.holds, flat, np.full(len(flat), float(part.activity))

    def _change(self, parts: Sequence[tuple[bool, np.ndarray, np.ndarray]]) -> Change:
        added, held = ([part[1:] for part in parts if part[0] == holds] for holds in (False, True))
        return Change(self._entries(added, np.add.at), self._entries(held, _last))

    def _entries(
        self, parts: Sequence[tuple[np.ndarray, np.ndarray]], combine: Callable
    ) -> Entries | None:
        if not parts:
            return None
        flat, activity = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
        once, place = np.unique(flat, return_inverse=True)
        combined = np.zeros(len(once))
        combine(combined, place, activity)
        neuron, sample = np.divmod(once, self.samples * self.copies)
        device = self.like.device
        return Entries(
            torch.from_numpy(neuron).to(device),
            torch.from_numpy(sample).to(device),
            torch.from_numpy(combined).to(self.like),
        )


def _last(combined: np.ndarray, place: np.ndarray, values: np.ndarray) -> None:
    """Write values to places; the last of several values wins."""
    where, latest = np.unique(place[::-1], return_index=True)
    combined[where] = values[::-1][latest]


def _schedule(
    who: Any,  # noqa: ANN401
    activity: float,
    layers: int | Iterable[int] | None,
    samples: int | Iterable[int] | None,
    holds: bool,
) -> Schedule:
    if not np.isfinite(activity):
        raise ArgumentError(
            f"schedule: activity of {who!r} is {activity}, expected a finite number"
        )
    return Schedule((Intervention(who, activity, holds, _several(layers), _several(samples)),))


def _several(numbers: int | Iterable[int] | None) -> tuple[int, ...] | None:
    if numbers is None:
        return None
    return tuple(numbers) if isinstance(numbers, Iterable) else (numbers,)


def _rows(manipulate: Mapping[Any, Any]) -> Iterator[tuple[Any, Any, Any, Any]]:
    """Neurons, activity, layer and sample (None: all) of a mapping."""
    for layer, held in manipulate.items():
        if not isinstance(held, Mapping):
            raise ArgumentTypeError(
                f"manipulate has {held!r} for layer {layer!r}, expected {{group or neuron: "
                "activity}"
            )
    by_sample = any(
        isinstance(value, Mapping) for held in manipulate.values() for value in held.values()
    )
    for sample, by_layer in manipulate.items() if by_sample else [(None, manipulate)]:
        for layer, held in by_layer.items():
            for who, activity in held.items():
                yield who, activity, layer, sample

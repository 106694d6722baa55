"""Plan of a fit: the numbers and names of :class:`Plan`."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import wraps
from operator import attrgetter
from typing import Any, TypeVar

import torch

from ngpipe.connectome.groups import check_count
from ngpipe.connectome.rules import Procedure
from ngpipe.errors import ArgumentError

TRAINED = {
    "slopes": "train_slopes",
    "biases": "train_biases",
    "divisive_strength": "divisive_strength",
    "tau": "train_tau",
    "strengths": "train_strengths",
}
"""Parameters that can be trained, and their arguments of ``training_mode``."""
ERRORS = {"absolute": torch.abs, "squared": torch.square}
LEARNING_RATE_SCHEDULES = {
    "constant": lambda done: 1.0,
    "linear": lambda done: 1 - done,
    "cosine": lambda done: (1 + math.cos(math.pi * done)) / 2,
    "warmup": lambda done: min(10 * (done + 0.01), (1 + math.cos(math.pi * done)) / 2),
}
"""Factor of the learning rate, by the share of the epochs that is done. ``warmup``: ``cosine``
after a rise over the first tenth."""


Class = TypeVar("Class", bound=type)


def _schedule_as_well(plan: Class) -> Class:
    """Let scripts go on calling ``learning_rate_schedule`` by its earlier name, ``schedule``."""
    init = plan.__init__  # type: ignore[misc]

    @wraps(init)
    def renaming(self: Any, *args: Any, **fields: Any) -> None:  # noqa: ANN401
        earlier = {"learning_rate_schedule": fields.pop("schedule")} if "schedule" in fields else {}
        init(self, *args, **earlier, **fields)

    plan.__init__ = renaming  # type: ignore[misc]
    plan.schedule = property(attrgetter("learning_rate_schedule"))  # type: ignore[attr-defined]
    return plan


@_schedule_as_well
@dataclass(frozen=True)
class Plan:
    """Plan of a fit.

    Raises:
        ArgumentError: a name that is not known, or a number out of range.
    """

    epochs: int
    """Largest number of epochs; each goes once over all samples with targets."""
    batch_size: int | None = None
    """Samples a step; None: all."""
    learning_rate: float = 0.01
    """Initial learning rate of Adam."""
    learning_rate_schedule: str = "constant"
    """A name in :data:`LEARNING_RATE_SCHEDULES`."""
    penalty: float = 0.01
    """Weight of the distance of the parameters from where they started."""
    train: Sequence[str] = ("slopes", "biases")
    """Names in :data:`TRAINED`."""
    error: str = "absolute"
    """A name in :data:`ERRORS`."""
    patience: int | None = None
    """Epochs without a better held-out error after which the run ends; None: all epochs."""
    keep: str = "best"
    """Parameters in the end: of the epoch with the least held-out error (``best``; of the last
    where nothing is held out) or of the ``last``."""
    checkpoint_steps: int | None = None
    """Save memory, see :meth:`MultilayeredNetwork.forward`."""
    procedure: Procedure = "mended"
    """Or that of a version of connectome_interpreter, which :func:`train_model` follows."""

    def __post_init__(self) -> None:
        """Refuse what cannot be done."""
        object.__setattr__(self, "train", tuple(self.train))
        choices = {
            "learning_rate_schedule": LEARNING_RATE_SCHEDULES,
            "error": ERRORS,
            "keep": ("best", "last"),
        }
        for name, known in choices.items():
            _check_choice(name, getattr(self, name), known)
        for name in self.train:
            _check_choice("train", name, TRAINED)
        check_count("epochs", self.epochs, 0)
        for name in ("batch_size", "patience"):
            if getattr(self, name) is not None:
                check_count(name, getattr(self, name), 1)


def _check_choice(name: str, value: str, known: Any) -> None:  # noqa: ANN401
    if value not in known:
        raise ArgumentError(f"{name} is {value!r}, expected one of {list(known)}")

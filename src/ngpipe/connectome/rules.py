"""The options in which versions of the connectome network differ, and named sets of them.

``2.9.5`` is the newest release of connectome_interpreter, ``head`` its repository at commit 695c776
(April 2026), which calls itself 2.10.0 and is not released. Both to the last formula, traps
included. ``mended`` is the release without them.
"""

import warnings
from dataclasses import dataclass, replace
from typing import Literal

from ngpipe.errors import ArgumentError, DoubtfulWarning

Procedure = Literal["2.9.5", "head", "mended"]
"""Procedure of training and stimulus search under the names of connectome_interpreter."""
DEFAULT = "2.9.5"
"""The preset where none is named, of the library and of the workflow."""


@dataclass(frozen=True)
class Rules:
    """Behaviour of a network where versions differ."""

    tau: float
    """Time constant of the leak where none is given [steps]; 1: no leak."""
    signed_biases: bool
    """Biases as given and trained; otherwise their absolute value."""
    divisive: Literal["product", "sum"]
    """Combination of a neuron's divisive edges: max(0, 1 + ...) each, or one for their sum."""
    bounded: Literal["input", "activity", "all"]
    """Values clamped to [threshold, 1]: the input (the sum with it is cut at 1); the activity of
    sensory neurons, after the input was added; or that of all neurons, but not the input of
    time 0."""
    strict: bool
    """Refuse NaN inputs, duplicate sensory neurons and unknown groups. Otherwise they warn: NaN
    counts as 0 where the input is bounded, the last duplicate wins (bounded input: at time 0 they
    add), unknown groups are ignored."""
    keeps_graph: bool
    """True if ``activations`` of a network keep their graph."""
    mended: bool
    """Training and stimulus search without the bugs of the releases (see their docstrings)."""
    version: Literal["2.9.5", "head"] = "2.9.5"
    """Version of connectome_interpreter for training, search and gradients that are not mended."""

    @property
    def procedure(self) -> Procedure:
        """Procedure of training, search and gradients: ``mended``, or that of a version."""
        return "mended" if self.mended else self.version

    def doubt(self, problem: str, instead: str, remedy: str) -> None:
        """Refuse what is given, or say what it is taken for.

        Raises:
            ArgumentError: the rules are strict.
        """
        if self.strict:
            raise ArgumentError(f"{problem}; {remedy}")
        message = f"{problem}: {instead}, as in connectome_interpreter {self.version}; {remedy}"
        warnings.warn(message, DoubtfulWarning, stacklevel=4)


_RELEASE = Rules(
    tau=1.0,
    signed_biases=False,
    divisive="product",
    bounded="input",
    strict=False,
    keeps_graph=True,
    mended=False,
)
_MENDED = Rules(
    tau=1.0,
    signed_biases=True,
    divisive="sum",
    bounded="activity",
    strict=True,
    keeps_graph=False,
    mended=True,
)
PRESETS = {
    "2.9.5": _RELEASE,
    "head": replace(_RELEASE, tau=10.0, divisive="sum", bounded="all", version="head"),
    "mended": _MENDED,
}
EARLIER_NAMES = {"seed": _RELEASE, "current": replace(_MENDED, tau=10.0)}
"""Names of presets that scripts may still use."""


def rules_of(preset: str | Rules) -> Rules:
    """The rules of a preset, or rules of one's own.

    Raises:
        ArgumentError: there is no preset of that name.
    """
    if isinstance(preset, Rules):
        return preset
    known = PRESETS | EARLIER_NAMES
    if preset not in known:
        raise ArgumentError(f"preset is {preset!r}, expected one of {list(PRESETS)}")
    return known[preset]

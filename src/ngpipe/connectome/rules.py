"""The options in which versions of the connectome network differ, and two named sets of them.

``seed`` follows connectome_interpreter 2.8.1 to the last formula. ``current`` follows its later
versions (leak, inputs added before bounds are applied, divisive inhibition as a sum) without their
bugs.
"""

from dataclasses import dataclass
from typing import Literal

from ngpipe.errors import ArgumentError


@dataclass(frozen=True)
class Rules:
    """What a network does where versions differ."""

    tau: float
    """Time constant of the leak where none is given [steps]; 1: no leak."""
    signed_biases: bool
    """Biases as given and trained; otherwise their absolute value."""
    divisive: Literal["product", "sum"]
    """How a neuron's divisive edges combine: max(0, 1 + ...) each, or one for their sum."""
    bounded: Literal["input", "activity"]
    """What is held within [threshold, 1]: the input, or activity after the input was added."""
    strict: bool
    """Refuse NaN inputs, duplicate sensory neurons and unknown groups; otherwise: inputs that
    are NaN count as 0, duplicates add at time 0 and the last wins later, groups are ignored."""
    keeps_graph: bool
    """Whether ``activations`` of a network keep their graph."""
    mended: bool
    """Training and stimulus search without the seed's bugs (see their docstrings)."""


PRESETS = {
    "seed": Rules(
        tau=1.0,
        signed_biases=False,
        divisive="product",
        bounded="input",
        strict=False,
        keeps_graph=True,
        mended=False,
    ),
    "current": Rules(
        tau=10.0,
        signed_biases=True,
        divisive="sum",
        bounded="activity",
        strict=True,
        keeps_graph=False,
        mended=True,
    ),
}


def rules_of(preset: str | Rules) -> Rules:
    """The rules of a preset, or rules of one's own.

    Raises:
        ArgumentError: there is no preset of that name.
    """
    if isinstance(preset, Rules):
        return preset
    if preset not in PRESETS:
        raise ArgumentError(f"preset is {preset!r}, expected one of {list(PRESETS)}")
    return PRESETS[preset]

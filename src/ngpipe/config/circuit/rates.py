"""Parameters of rate neurons: section `neurons`."""

from typing import Any, Literal, TypeVar

from pydantic import Field

from ngpipe.config.base import Positive, Seconds
from ngpipe.config.parameter_class import parameters

Received = TypeVar("Received")
"""A tensor: what neurons receive. Configs are read without torch."""


@parameters
class Neurons:
    r"""Response of neurons to their input.

    :math:`f(v) = \max(0, v)` (threshold-linear), :math:`v` (linear) or
    :math:`M \tanh(\max(0, v) / M)` (saturating).

    Raises:
        ArgumentError: an unknown response, a time constant or maximum that is not positive.
    """

    tau: Seconds = Field(0.25, description="Time constant.")
    """[s]"""
    response: Literal["threshold_linear", "linear", "saturating"] = Field(
        "threshold_linear", description="Response to input."
    )
    maximum: Positive = Field(100.0, description="Upper limit of a saturating response.")
    """M [1]."""

    def __call__(self, received: Received) -> Received:
        """f, applied to each neuron."""
        if self.response == "linear":
            return received
        given: Any = received  # a tensor, which this room does not know
        positive = given.relu()
        if self.response == "threshold_linear":
            return positive
        return self.maximum * (positive / self.maximum).tanh()

"""Parameters of the network around a connectome: section `network`."""

import math
from typing import Annotated

from pydantic import Field

from ngpipe.config.base import Number, Positive, Weight, unit
from ngpipe.config.parameter_class import parameters


@parameters
class CircuitParameters:
    """Excitatory neurons as measured, among random inhibitory ones.

    Symbols are those of :mod:`ngpipe.circuit.blocks`.

    Raises:
        ArgumentError: a value out of its range.
    """

    ee_unit: Positive = Field(
        150_000.0,
        description="Size of a measured connection of weight 1.",
        json_schema_extra=unit("unit of the connectome"),
    )
    """S_1 [unit of S]."""
    ee_scale: Weight = Field(1.0, description="Scale of all measured weights.")
    """s [1]."""
    gain: Weight = Field(
        0.002,
        description="Scale of all random weights; with `balance`, only of those onto inhibitory "
        "neurons.",
    )
    """g [1]."""
    probability: Annotated[float, Field(ge=0, le=1, json_schema_extra=unit("1"))] = Field(
        0.25, description="Probability of a connection outside the measured block."
    )
    """p [1]."""
    inhibitory: Annotated[float, Field(ge=0, le=0.99, json_schema_extra=unit("1"))] = Field(
        0.15, description="Fraction of inhibitory neurons."
    )
    """Fraction of all neurons [1]."""
    balance: Weight | None = Field(
        0.15,
        description="Summed inhibitory over summed excitatory weights of every neuron. Null: as "
        "drawn.",
    )
    """b [1]."""
    log10_mean: Number = Field(
        1.0,
        description="Mean of a normal number; its absolute value is log10(weight / gain) of a "
        "random weight.",
    )
    """Mean of N [1]."""
    log10_std: Weight = Field(0.2, description="Standard deviation of that number.")
    """Standard deviation of N [1]."""

    def n_neurons(self, n_exc: int) -> int:
        """Neurons of a network with ``n_exc`` excitatory ones."""
        return int(n_exc / (1 - self.inhibitory))

    @property
    def mean_weight(self) -> float:
        """Expected weight of a random connection before balance, where N is hardly ever below 0."""
        tens = math.log(10)
        return self.gain * math.exp(tens * self.log10_mean + (tens * self.log10_std) ** 2 / 2)

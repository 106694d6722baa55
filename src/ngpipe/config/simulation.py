"""A simulated assembly: its neurons, their wiring, and how long it runs. Time is in tau."""

from typing import Annotated

from pydantic import Field

from ngpipe.config.base import (
    ActivityLevel,
    Count,
    Duration,
    Frequency,
    Positive,
    Section,
    Seed,
    unit,
)
from ngpipe.config.connectivity import Connectivity, Lorentz


class NeuronType(Section):
    """Constants of one neuron type: dx/dt = -leak x + self_excitation tanh(x) + gain * input."""

    leak: Annotated[float, Field(ge=0, json_schema_extra=unit("1/tau"))] = Field(
        1.0, description="Decay rate c = 1/tau_i."
    )
    self_excitation: Frequency = Field(1.0, description="Self-excitation s.")
    gain: Positive = Field(
        10.0,
        description="Gain g on the summed input; g_i W_ij is the effective coupling.",
        json_schema_extra=unit("1/tau"),
    )


class Simulation(Section):
    """A simulated assembly."""

    n_neurons: Count = Field(1000, description="Neurons in the assembly.")
    types: tuple[NeuronType, ...] = Field(
        (NeuronType(),),
        min_length=1,
        description="Neuron types; neurons are assigned in equal, contiguous shares.",
    )
    connectivity: Connectivity = Field(
        Lorentz(), description="How the weights W[post, pre] come about."
    )
    n_frames: Count = Field(100_000, description="Frames stored, one per step.")
    burn_in: Annotated[int, Field(ge=0, json_schema_extra=unit("frames"))] = Field(
        1_000, description="Steps run and thrown away before the first stored frame."
    )
    dt: Duration = Field(0.01, description="Integration step, also the sampling interval.")
    initial_std: ActivityLevel = Field(
        5.0, description="Standard deviation of the normal initial activity."
    )
    noise: ActivityLevel = Field(
        0.0,
        description="Standard deviation of the process noise added at each step (the paper's "
        "convention: not scaled with sqrt(dt)). The stored drift is the rate before noise.",
    )
    seed: Seed = Field(42, description="Seed of initial state, noise and positions.")

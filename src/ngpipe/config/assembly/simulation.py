"""A simulated assembly: its neurons, their wiring, and how long it runs. Time is in tau."""

from itertools import accumulate, pairwise
from math import ceil
from typing import Annotated

from pydantic import Field, model_validator

from ngpipe.config.assembly.connectivity import Connectivity, Lorentz
from ngpipe.config.assembly.inputs import Input, Oscillation, Pulses
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


class NeuronType(Section):
    """Constants of one neuron type.

    dx_i/dt = -leak_i x_i + self_excitation_i tanh(x_i)
    + gain_i sum_j W_ij (tanh(x_j / (sender_width_j receiver_width_i)) - linear_j x_j)
    """

    leak: Annotated[float, Field(ge=0, json_schema_extra=unit("1/tau"))] = Field(
        1.0, description="Decay rate c = 1/tau_i."
    )
    self_excitation: Frequency = Field(1.0, description="Self-excitation s.")
    gain: Positive = Field(
        10.0,
        description="Gain g on the summed input; g_i W_ij is the effective coupling.",
        json_schema_extra=unit("1/tau"),
    )
    sender_width: Positive = Field(
        1.0, description="Width gamma_j of the transfer function, as a sender."
    )
    receiver_width: Positive = Field(
        1.0, description="Width gamma'_i of the transfer function, as a receiver."
    )
    linear: Annotated[float, Field(json_schema_extra=unit("1"))] = Field(
        0.0, description="Slope theta_j of the linear term -theta_j x_j, as a sender."
    )
    share: Positive = Field(
        1.0,
        description="Share of the neurons that are of this type, relative to the other types: 4 "
        "and 1 give 80 % and 20 %.",
        json_schema_extra=unit("1"),
    )


class Simulation(Section):
    """A simulated assembly."""

    n_neurons: Count = Field(1000, description="Neurons in the assembly.")
    types: tuple[NeuronType, ...] = Field(
        (NeuronType(),),
        min_length=1,
        description="Neuron types; each has its `share` of the neurons, equal by default.",
    )
    shuffle_types: bool = Field(
        False,
        description="Assign types to neurons at random, so that types are independent of Dale's "
        "law, blocks and input, which go by neuron number. Default: the first neurons are of the "
        "first type, and so on.",
    )
    connectivity: Connectivity = Field(Lorentz(), description="Source of the weights W[post, pre].")
    input: Input | None = Field(
        None, description="External input Omega_i(t) of the first neurons. Null: none."
    )
    n_frames: Count = Field(100_000, description="Frames stored.")
    frame_every: Count = Field(
        1,
        description="Integration steps from one stored frame to the next, for a recording that is "
        "sampled more coarsely than it is integrated.",
        json_schema_extra=unit("steps"),
    )
    burn_in: Annotated[int, Field(ge=0, json_schema_extra=unit("frames"))] = Field(
        1_000, description="Steps run and discarded before the first stored frame."
    )
    dt: Duration = Field(
        0.01, description="Integration step. Frames are `frame_every` steps apart."
    )
    initial_std: ActivityLevel = Field(
        5.0, description="Standard deviation of the normal initial activity."
    )
    noise: ActivityLevel = Field(
        0.0,
        description="Standard deviation of the process noise added at each step (the paper's "
        "convention: not scaled with sqrt(dt)). The stored drift is the rate before noise.",
    )
    seed: Seed = Field(
        42, description="Seed of initial state, noise, positions and shuffled types."
    )

    @property
    def interval(self) -> float:
        """Time from one stored frame to the next [tau]."""
        return self.dt * self.frame_every

    @model_validator(mode="after")
    def _fine_enough(self) -> "Simulation":
        """Refuse an input that changes faster than its table resolves."""
        match self.input:
            case Oscillation():
                name, time, values = "shortest period", self.input.period[0], 4
            case Pulses():
                name, time, values = "decay", self.input.decay, 1
            case _:
                return self
        step = self.input.every * self.dt
        if values * step > time * (1 + 1e-9):
            raise ValueError(
                f"input.every ({self.input.every}) tabulates the input each {step:g} tau, expected "
                f"at most {time / values:g} for a {name} of {time:g} tau; lower every or dt, or "
                f"raise the {name}"
            )
        return self

    def neurons_of_types(self) -> list[int]:
        """Number of neurons of each type: its share, rounded by largest remainder.

        Neurons left over at equal remainders are spread evenly over the types.
        """
        whole = sum(t.share for t in self.types)
        exact = [self.n_neurons * t.share / whole for t in self.types]
        counts = [int(n) for n in exact]
        ends = [0, *(ceil(round(end, 9)) for end in accumulate(exact))]
        # The equal shares of floor(i * types / neurons), which divides neurons without shares.
        evenly = [end - start for start, end in pairwise(ends)]

        def claim(k: int) -> tuple[float, int]:
            return round(exact[k] - counts[k], 9), evenly[k] - counts[k]

        first = sorted(range(len(exact)), key=claim, reverse=True)
        for k in first[: self.n_neurons - sum(counts)]:
            counts[k] += 1
        return counts

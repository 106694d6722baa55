"""What the neurons of a connectome do, and what of it is fitted: sections `network` and `fit`."""

from typing import Annotated, Literal

from pydantic import Field

from ngpipe.config.base import Count, Groups, Name, Number, Positive, Section, Seed, Weight, unit


class Network(Section):
    """The connectome as a recurrent network, unrolled over time."""

    normalise: Literal["input", "output", "none"] = Field(
        "input",
        description="Weights as fractions of what each neuron receives, or sends; or as they are.",
    )

    sensors: dict[str, Groups] = Field(
        {"role": ("input", "sensory")},
        min_length=1,
        max_length=1,
        description="Who receives input: a column of the neuron table and values of it; values "
        "that do not occur are left out.",
    )
    groups: str = Field(
        "cell_type", description="Column of the neuron table whose values share parameters."
    )
    layers: Count = Field(
        6, description="Layers that are computed.", json_schema_extra=unit("steps")
    )
    threshold: Weight = Field(0.01, description="Drive below it gives no response.")
    slope: Positive = Field(5.0, description="Slope of the response to drive.")
    slopes: dict[str, Positive] = Field({}, description="Slope by group, where another.")
    bias: Number = Field(0.0, description="Bias of the response.")
    biases: dict[str, Number] = Field({}, description="Bias by group, where another.")
    tau: Annotated[float, Field(ge=1, json_schema_extra=unit("steps"))] = Field(
        1.0, description="Time constant of the leak; 1: none."
    )


class Fit(Section):
    """Excitabilities of the groups are fitted to given responses."""

    targets: str = Field(
        description="Table (.csv) with columns stimulus, group, value and, where only one layer "
        "counts, layer; without it the mean over all layers is meant. Every neuron of a group is "
        "to respond with the value, so that a group counts by its size."
    )
    train: tuple[Literal["slopes", "biases", "tau", "strengths"], ...] = Field(
        ("slopes", "biases"),
        min_length=1,
        description="What is trained: slopes, biases, leaks of groups; strengths of pairs of them.",
    )
    epochs: Count = Field(300, description="Passes over all stimuli.")
    learning_rate: Positive = Field(0.02, description="Learning rate of Adam.")
    penalty: Weight = Field(0.01, description="Weight of the distance from where it started.")
    held_out: tuple[Name, ...] = Field(
        (), description="Stimuli that are not trained on: how well they are predicted is a metric."
    )
    keep: Literal["last", "best"] = Field(
        "last",
        description="Epoch whose parameters are kept; `best` is that of the least held-out error, "
        "which then is no test any more.",
    )
    seed: Seed = Field(0, description="Seed of the order of stimuli.")

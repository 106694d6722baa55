"""What the neurons of a connectome do, and what of it is fitted: sections `network` and `fit`."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from ngpipe.config.base import Count, Groups, Name, Number, Positive, Section, Seed, Weight, unit


class Network(Section):
    """The connectome as a recurrent network, unrolled over time."""

    preset: Literal["2.9.5", "head", "mended"] = Field(
        "2.9.5",
        description="Formulas of connectome_interpreter's newest release, of its repository's "
        "head, or of the release without its traps; docs/networks.md has a table of what differs.",
    )
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
    tau: Annotated[float, Field(ge=1, json_schema_extra=unit("steps"))] | None = Field(
        None,
        description="Time constant of the leak; 1: none. Null: that of the preset, 1, for `head` "
        "10.",
        json_schema_extra=unit("steps"),
    )

    @model_validator(mode="after")
    def _keeps_signs(self) -> "Network":
        """Without a word a negative bias would act as a positive one."""
        given = {"bias": self.bias} | {f"biases.{name}": b for name, b in self.biases.items()}
        negative = [f"{name} ({value:g})" for name, value in given.items() if value < 0]
        if negative and self.preset != "mended":
            raise ValueError(
                f"negative: {', '.join(negative)}, but preset {self.preset} takes absolute values "
                "of biases; say `preset: mended`, which keeps signs"
            )
        return self


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

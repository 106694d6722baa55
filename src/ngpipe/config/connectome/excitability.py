"""Sections `network` and `fit`: dynamics of a connectome and fitted parameters."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from ngpipe.config.base import Count, Groups, Name, Number, Positive, Section, Seed, Weight, unit


class Network(Section):
    """The connectome as a recurrent network, unrolled over time."""

    preset: Literal["2.9.5", "head", "mended"] = Field(
        "2.9.5",
        description="Formulas of connectome_interpreter's newest release, of its repository's "
        "head, or of the release with its pitfalls fixed; docs/networks.md has a table of the "
        "differences.",
    )
    normalise: Literal["input", "output", "none"] = Field(
        "input",
        description="Divide weights by the total input, or the total output, of each neuron; or "
        "leave them unchanged.",
    )

    sensors: dict[str, Groups] = Field(
        {"role": ("input", "sensory")},
        min_length=1,
        max_length=1,
        description="Neurons that receive input: a column of the neuron table, and values of it. "
        "Values that do not occur are ignored.",
    )
    groups: str = Field(
        "cell_type",
        description="Column of the neuron table; neurons with the same value share parameters.",
    )
    layers: Count = Field(
        6, description="Number of layers to compute.", json_schema_extra=unit("steps")
    )
    threshold: Weight = Field(0.01, description="Drive below this value gives no response.")
    slope: Positive = Field(5.0, description="Slope of the response to drive.")
    slopes: dict[str, Positive] = Field({}, description="Slope of single groups, if different.")
    bias: Number = Field(0.0, description="Bias of the response.")
    biases: dict[str, Number] = Field({}, description="Bias of single groups, if different.")
    tau: Annotated[float, Field(ge=1, json_schema_extra=unit("steps"))] | None = Field(
        None,
        description="Time constant of the leak; 1 means no leak. Null: that of the preset, which "
        "is 1, or 10 for `head`.",
        json_schema_extra=unit("steps"),
    )

    @model_validator(mode="after")
    def _keeps_signs(self) -> "Network":
        """Refuse negative biases under presets that would silently take absolute values."""
        given = {"bias": self.bias} | {f"biases.{name}": b for name, b in self.biases.items()}
        negative = [f"{name} ({value:g})" for name, value in given.items() if value < 0]
        if negative and self.preset != "mended":
            raise ValueError(
                f"negative: {', '.join(negative)}, but preset {self.preset} takes absolute values "
                "of biases; say `preset: mended`, which keeps signs"
            )
        return self


class Fit(Section):
    """Fit of excitabilities of groups to given responses."""

    targets: str = Field(
        description="Table (.csv) with columns stimulus, group, value and, if only one layer "
        "counts, layer; without it, the value is the mean over all layers. Every neuron of the "
        "group should respond with the value, so a group counts by its size."
    )
    train: tuple[Literal["slopes", "biases", "tau", "strengths"], ...] = Field(
        ("slopes", "biases"),
        min_length=1,
        description="Parameters to fit: slopes, biases and leaks of groups; strengths of pairs of "
        "groups.",
    )
    epochs: Count = Field(300, description="Passes over all stimuli.")
    learning_rate: Positive = Field(0.02, description="Learning rate of Adam.")
    penalty: Weight = Field(
        0.01, description="Weight of the distance of parameters from their initial values."
    )
    held_out: tuple[Name, ...] = Field(
        (), description="Stimuli not trained on; the error of their prediction is a metric."
    )
    keep: Literal["last", "best"] = Field(
        "last",
        description="Epoch whose parameters are kept. `best` has the smallest held-out error, "
        "which is then no longer a test.",
    )
    seed: Seed = Field(0, description="Seed of the order of stimuli.")

"""A whole experiment of the circuit system: config/experiments/<name>.yaml."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, field_validator, model_validator

from ngpipe.config.base import (
    OBSERVED,
    Count,
    Name,
    Number,
    Positive,
    Section,
    Seed,
    Weight,
    unit,
)
from ngpipe.config.nulls import NullName, exchanging, null_kinds
from ngpipe.config.sweep import Sweep, mistakes
from ngpipe.config.wiring import Source, SyntheticSource, Wiring

SWEPT = ("network", "neurons")
"""Sections whose keys can be swept; all else is the same in every run."""

Seconds = Annotated[float, Field(gt=0, json_schema_extra=unit("s"))]
SWEEPS = (
    "Sweeps of exchanges, of nulls that exchange partners. Null: 10 to 80, as many as the overlap "
    "with the connectome falls."
)


def _exciting(null: str) -> str:
    """A null that leaves measured neurons excitatory, as those of a circuit all are."""
    if null_kinds()[null].changes_signs:
        raise ValueError(
            f"the null '{null}' changes signs, but the measured neurons of a circuit all excite; "
            "choose another"
        )
    return null


CircuitNull = Annotated[NullName, AfterValidator(_exciting)]


class CircuitNetwork(Section):
    """Excitatory neurons as measured, among random inhibitory ones."""

    ee_unit: Positive = Field(
        150_000.0,
        description="Size of a measured connection of weight 1.",
        json_schema_extra=unit("unit of the connectome"),
    )
    ee_scale: Weight = Field(1.0, description="Scale of all measured weights.")
    gain: Weight = Field(
        0.002,
        description="Scale of all random weights; once balanced, of those onto inhibitory neurons.",
    )
    probability: Annotated[float, Field(ge=0, le=1, json_schema_extra=unit("1"))] = Field(
        0.25, description="That one neuron sends to another, outside the measured block."
    )
    inhibitory: Annotated[float, Field(ge=0, le=0.99, json_schema_extra=unit("1"))] = Field(
        0.15, description="Share of all neurons that inhibit."
    )
    balance: Weight | None = Field(
        0.15,
        description="Summed inhibitory over summed excitatory weights of every neuron. Null: as "
        "drawn.",
    )
    log10_mean: Number = Field(
        1.0,
        description="Mean of a normal number whose size is the decimal logarithm of a random "
        "weight over gain.",
    )
    log10_std: Weight = Field(0.2, description="Standard deviation of that number.")


class Neurons(Section):
    """How neurons answer to their input."""

    tau: Seconds = Field(0.25, description="Time constant.")
    response: Literal["threshold_linear", "linear", "saturating"] = Field(
        "threshold_linear", description="Response to input."
    )
    maximum: Positive = Field(100.0, description="What a saturating response tends to.")


class Impulse(Section):
    """A constant input to all excitatory neurons for some time."""

    strength: Positive = Field(10.0, description="Input while the pulse is on.")
    start: Annotated[float, Field(ge=0, json_schema_extra=unit("s"))] = Field(
        1.0, description="Beginning of the pulse."
    )
    end: Seconds = Field(15.0, description="Its end; it is still on at this time.")
    duration: Seconds = Field(50.0, description="Of the whole run, from rest.")
    dt: Seconds = Field(0.01, description="Step; at most the time constant.")

    @model_validator(mode="after")
    def _leaves_something_to_measure(self) -> "Impulse":
        first, last = -(-self.start // self.dt), round(self.duration / self.dt) - 1
        if not first * self.dt <= self.end < last * self.dt:
            raise ValueError(
                f"start ({self.start:g} s), end ({self.end:g} s) and duration ({self.duration:g} "
                f"s) must follow one another, with a step of {self.dt:g} s in the pulse and one "
                "after it"
            )
        return self


class Runs(Section):
    """How often everything is run, and how."""

    seeds: Count = Field(
        10,
        description="Runs of every condition, each with random weights of its own; with fewer than "
        "39 no p-value can be 0.05 or less.",
    )
    seed: Annotated[int, Field(ge=0, lt=2**31, json_schema_extra=unit("1"))] = Field(
        0, description="Seed of the first run; the following have the following numbers."
    )
    draws: Literal["notebook", "generator"] = Field(
        "notebook",
        description="Streams of random numbers: bit for bit those of the notebook, or one for each "
        "seed.",
    )
    engine: Literal["linear", "step"] = Field(
        "linear",
        description="`linear` takes all steps at once where no unit rectifies, and steps from "
        "where one does, or where its own rounding would grow; `step` steps all.",
    )
    precision: Literal["float64", "float32"] = Field("float64", description="Of all runs.")


class Condition(Section):
    """A connectome to compare with the observed one: shuffled, ablated, or both in this order."""

    shuffle: CircuitNull | None = Field(None, description="How it is shuffled. Null: not.")
    remove: Literal["random", "weaker", "stronger", "both"] | None = Field(
        None, description="Which of the two directions of a reciprocal pair is removed. Null: none."
    )
    match: Literal["count", "weight", "degree"] | None = Field(
        None,
        description="Remove connections that are not reciprocal instead, as much as `remove` "
        "would: as many, of the same summed weight, or at the same neurons. Null: do as `remove` "
        "says.",
    )

    sweeps: Count | None = Field(None, description=SWEEPS)

    @model_validator(mode="after")
    def _does_something(self) -> "Condition":
        if self.shuffle is None and self.remove is None:
            raise ValueError("a condition needs `shuffle`, `remove` or both")
        if self.match is not None and self.remove is None:
            raise ValueError("`match` needs `remove`, which says how much is taken")
        if self.sweeps is not None and self.shuffle not in exchanging():
            raise ValueError(f"`sweeps` needs `shuffle` to be one of {', '.join(exchanging())}")
        return self


class Measures(Section):
    """What counts as a return to baseline."""

    threshold_ratio: Positive = Field(
        0.01, description="Activity at baseline over the strength of the pulse."
    )


class Motifs(Section):
    """Patterns of connections, counted in the connectome and in nulls."""

    nulls: tuple[CircuitNull, ...] = Field(
        ("erdos_renyi", "degree", "degree_and_reciprocity"),
        description="Nulls to compare with, by name. Empty: none.",
    )
    samples: Annotated[int, Field(ge=2, json_schema_extra=unit("1"))] = Field(
        100, description="Samples of each null; with fewer than 39 no p-value can be 0.05 or less."
    )
    sweeps: Count | None = Field(None, description=SWEEPS)
    seed: Seed = Field(0, description="Seed of the samples.")

    @field_validator("nulls")
    @classmethod
    def _names_each_once(cls, nulls: tuple[NullName, ...]) -> tuple[NullName, ...]:
        if len(set(nulls)) < len(nulls):
            raise ValueError("a null is named twice; name each once")
        return nulls


class CircuitWiring(Wiring):
    """The connectome of the excitatory neurons."""

    source: Source = Field(SyntheticSource(), description="Where it comes from.")
    without_sign: Literal["refuse", "excitatory", "inhibitory", "drop"] = Field(
        "excitatory", description="What senders without a known sign do; `drop`: send nothing."
    )


class CircuitExperiment(Section):
    """One experiment of the circuit system: config/experiments/<name>.yaml."""

    system: Literal["circuit"] = Field("circuit", description="Which of the systems.")
    connectome: CircuitWiring = Field(
        CircuitWiring(), description="Who of the excitatory neurons is connected to whom."
    )
    network: CircuitNetwork = Field(CircuitNetwork(), description="The network around it.")
    neurons: Neurons = Field(Neurons(), description="What the neurons do.")
    impulse: Impulse = Field(Impulse(), description="What drives them.")
    runs: Runs = Field(Runs(), description="Seeds and engine.")
    conditions: dict[Name, Condition] = Field(
        {"permuted_connections": Condition(shuffle="permuted_connections")},
        description=f"What the connectome is compared with, by name; it is itself `{OBSERVED}`.",
    )
    sweep: Sweep = Field(
        {},
        description="Values of keys, as `section.key: [values]`, each swept alone while the others "
        f"stay; of the sections {', '.join(f'`{name}`' for name in SWEPT)}.",
    )
    measures: Measures = Field(Measures(), description="What is measured.")
    motifs: Motifs = Field(Motifs(), description="What is counted.")
    reference: dict[str, dict[str, Number]] = Field(
        {},
        description="Published values, as quantity: {metric: value}; they fill the column "
        "`reference` of metrics.csv.",
    )

    @model_validator(mode="after")
    def _sections_agree(self) -> "CircuitExperiment":
        found = list(self._disagreements())
        if found:
            raise ValueError("; ".join(found))
        return self

    def _disagreements(self) -> Iterator[str]:
        if OBSERVED in self.conditions:
            yield f"conditions.{OBSERVED}: the connectome itself is called so; take another name"
        if self.impulse.dt > self.neurons.tau:
            yield (
                f"impulse.dt ({self.impulse.dt:g} s) exceeds neurons.tau ({self.neurons.tau:g} s): "
                "such steps overshoot; lower it"
            )
        if self.runs.engine == "linear" and self.neurons.response == "saturating":
            yield "runs.engine is 'linear', but a saturating response is not; say engine: step"
        yield from mistakes(self, SWEPT)

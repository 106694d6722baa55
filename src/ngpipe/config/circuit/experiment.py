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
    "Sweeps of exchanges, for nulls that exchange partners. Null: 10 to 80, as long as more sweeps "
    "lower the overlap with the connectome."
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
        description="Scale of all random weights; with `balance`, only of those onto inhibitory "
        "neurons.",
    )
    probability: Annotated[float, Field(ge=0, le=1, json_schema_extra=unit("1"))] = Field(
        0.25, description="Probability of a connection outside the measured block."
    )
    inhibitory: Annotated[float, Field(ge=0, le=0.99, json_schema_extra=unit("1"))] = Field(
        0.15, description="Fraction of inhibitory neurons."
    )
    balance: Weight | None = Field(
        0.15,
        description="Summed inhibitory over summed excitatory weights of every neuron. Null: as "
        "drawn.",
    )
    log10_mean: Number = Field(
        1.0,
        description="Mean of a normal number; its absolute value is log10(weight / gain) of a "
        "random weight.",
    )
    log10_std: Weight = Field(0.2, description="Standard deviation of that number.")


class Neurons(Section):
    """Response of neurons to their input."""

    tau: Seconds = Field(0.25, description="Time constant.")
    response: Literal["threshold_linear", "linear", "saturating"] = Field(
        "threshold_linear", description="Response to input."
    )
    maximum: Positive = Field(100.0, description="Upper limit of a saturating response.")


class Impulse(Section):
    """A constant input to all excitatory neurons for some time."""

    strength: Positive = Field(10.0, description="Input while the pulse is on.")
    start: Annotated[float, Field(ge=0, json_schema_extra=unit("s"))] = Field(
        1.0, description="Start of the pulse."
    )
    end: Seconds = Field(15.0, description="End of the pulse; it is still on at this time.")
    duration: Seconds = Field(50.0, description="Duration of the whole run, from rest.")
    dt: Seconds = Field(0.01, description="Time step, at most the time constant.")

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
    """Number of runs, random numbers and engine."""

    seeds: Count = Field(
        10,
        description="Number of runs of every condition, each with its own random weights. With "
        "fewer than 39 no p-value can be 0.05 or less.",
    )
    seed: Annotated[int, Field(ge=0, lt=2**31, json_schema_extra=unit("1"))] = Field(
        0, description="Seed of the first run; later runs count up from it."
    )
    draws: Literal["notebook", "generator"] = Field(
        "notebook",
        description="Random numbers: the streams of the notebook, bit for bit, or one stream per "
        "seed.",
    )
    engine: Literal["linear", "step"] = Field(
        "linear",
        description="`linear` computes all steps at once as long as no unit rectifies; it steps "
        "from there on, or all of a run whose rounding would grow. `step` steps everything.",
    )
    precision: Literal["float64", "float32"] = Field(
        "float64", description="Precision of all runs."
    )


class Condition(Section):
    """A connectome to compare with the observed one: shuffled, ablated, or both in this order."""

    shuffle: CircuitNull | None = Field(
        None, description="Kind of shuffle, one of the nulls. Without a value: not shuffled."
    )
    remove: Literal["random", "weaker", "stronger", "both"] | None = Field(
        None, description="Direction of each reciprocal pair to remove. Null: none."
    )
    match: Literal["count", "weight", "degree"] | None = Field(
        None,
        description="Make a control: instead of what `remove` says, remove connections that are "
        "not reciprocal, with the same number, the same summed weight, or at the same neurons. "
        "Null: no control.",
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
    """Definition of a return to baseline."""

    threshold_ratio: Positive = Field(
        0.01, description="Activity that counts as baseline, relative to the strength of the pulse."
    )


class Motifs(Section):
    """Patterns of connections, counted in the connectome and in nulls."""

    nulls: tuple[CircuitNull, ...] = Field(
        ("erdos_renyi", "degree", "degree_and_reciprocity"),
        description="Names of the nulls to compare with. Empty: none.",
    )
    samples: Annotated[int, Field(ge=2, json_schema_extra=unit("1"))] = Field(
        100,
        description="Number of samples of each null. With fewer than 39 no p-value can be "
        "0.05 or less.",
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

    source: Source = Field(SyntheticSource(), description="Source of the connectome.")
    without_sign: Literal["refuse", "excitatory", "inhibitory", "drop"] = Field(
        "excitatory",
        description="Sign of senders without a known one. `refuse`: an error; `drop`: their "
        "outgoing connections are removed.",
    )


class CircuitExperiment(Section):
    """One experiment of the circuit system: config/experiments/<name>.yaml."""

    system: Literal["circuit"] = Field("circuit", description="Name of the system.")
    connectome: CircuitWiring = Field(
        CircuitWiring(), description="Connections among the excitatory neurons."
    )
    network: CircuitNetwork = Field(
        CircuitNetwork(), description="The network around the connectome."
    )
    neurons: Neurons = Field(Neurons(), description="Dynamics of the neurons.")
    impulse: Impulse = Field(Impulse(), description="The pulse that drives the excitatory neurons.")
    runs: Runs = Field(Runs(), description="Seeds and engine.")
    conditions: dict[Name, Condition] = Field(
        {"permuted_connections": Condition(shuffle="permuted_connections")},
        description=f"Connectomes to compare with, by name. The connectome itself is `{OBSERVED}`.",
    )
    sweep: Sweep = Field(
        {},
        description="Values to sweep, as `section.key: [values]`; one key varies at a time. Keys "
        f"of the sections {', '.join(f'`{name}`' for name in SWEPT)} can be swept.",
    )
    measures: Measures = Field(Measures(), description="Definition of a return to baseline.")
    motifs: Motifs = Field(Motifs(), description="Motif counts.")
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
            yield f"conditions.{OBSERVED}: reserved for the connectome; use another name"
        if self.impulse.dt > self.neurons.tau:
            yield (
                f"impulse.dt ({self.impulse.dt:g} s) exceeds neurons.tau ({self.neurons.tau:g} s): "
                "such steps overshoot; lower it"
            )
        if self.runs.engine == "linear" and self.neurons.response == "saturating":
            yield "runs.engine is 'linear', but a saturating response is not; say engine: step"
        yield from mistakes(self, SWEPT)

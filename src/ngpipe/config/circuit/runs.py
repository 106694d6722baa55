"""Runs of a circuit: section `runs`, and all that the responses depend on."""

from collections.abc import Iterator
from typing import Annotated, Literal

from pydantic import Field, model_validator

from ngpipe.config.base import OBSERVED, Count, Name, Section, unit
from ngpipe.config.circuit.blocks import CircuitParameters
from ngpipe.config.circuit.conditions import Condition
from ngpipe.config.circuit.impulse import Impulse
from ngpipe.config.circuit.rates import Neurons
from ngpipe.config.sweep import Sweep, Swept, mistakes

SWEPT = ("network", "neurons")
"""Sections whose keys can be swept; all else is the same in every run."""


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


class CircuitRuns(Swept):
    """The keys of an experiment that its responses depend on, beside the connectome.

    The step that runs circuits is called with these, so its key covers no other section.
    """

    system: Literal["circuit"] = Field("circuit", description="Name of the system.")
    network: CircuitParameters = Field(
        CircuitParameters(), description="The network around the connectome."
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

    @model_validator(mode="after")
    def _sections_agree(self) -> "CircuitRuns":
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
            yield "runs.engine is 'linear', but a saturating response is not; set engine: step"
        yield from mistakes(self, SWEPT)

"""The section `stimuli`: given or optimised input to a connectome."""

from typing import Annotated, Literal

from pydantic import Field

from ngpipe.config.base import (
    NEAR,
    Columns,
    Count,
    Number,
    Positive,
    Section,
    Seed,
    Step,
    Steps,
    Weight,
    unit,
)


class Pulse(Section):
    """Given input: groups of sensors at a level for some time."""

    kind: Literal["pulse"] = Field("pulse", description="Selects given input.")
    levels: dict[str, Number] = Field(
        min_length=1, description="Input by group of sensors; all other groups get none."
    )
    start: Step = Field(0, description="First step with input.")
    steps: Count | None = Field(
        None,
        description="Steps with input. Null: to the end.",
        json_schema_extra=unit("steps"),
    )


class Search(Section):
    """Optimised input, which drives some groups most and others least."""

    kind: Literal["search"] = Field("search", description="Selects searched input.")
    drive: dict[str, Number] = Field(
        min_length=1,
        description="Groups, and the weight of their activity in the objective; negative: "
        "activity should be low.",
    )
    columns: Columns | None = Field(None, description=f"{NEAR} Null: all.")
    layers: Steps | None = Field(None, description="Layers to average over. Null: the last.")
    iterations: Count = Field(
        100,
        description="Largest number of steps of the search; it ends earlier when no start "
        "changes any more.",
    )
    learning_rate: Positive = Field(
        0.05, description="Learning rate of the search, in units of activity."
    )
    starts: Count = Field(4, description="Number of random starts; the best is kept.")
    l1: Weight = Field(1e-3, description="Weight of the sum of all input.")
    smoothness: Weight = Field(0.0, description="Weight of squared changes of input over time.")
    diversity: Weight = Field(0.0, description="Weight of the similarity among the starts.")
    synapse_noise: Weight = Field(
        0.0, description="Relative noise on every weight during the search."
    )
    seed: Seed = Field(0, description="Seed of starts and noise.")


Stimulus = Annotated[Pulse | Search, Field(discriminator="kind")]

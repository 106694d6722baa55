"""A whole experiment of the assembly system: config/experiments/<name>.yaml."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from ngpipe.config.base import Section, unit
from ngpipe.config.recovery import Recovery, Rollout
from ngpipe.config.simulation import Simulation
from ngpipe.config.training import Training

Number = Annotated[float, Field(json_schema_extra=unit("1"))]


class Experiment(Section):
    """One experiment: what is simulated, how it is learned, read out and compared."""

    system: Literal["assembly"] = Field("assembly", description="Which of the systems.")
    simulation: Simulation = Field(Simulation(), description="The simulated assembly.")
    training: Training = Field(Training(), description="How the model is trained.")
    recovery: Recovery = Field(Recovery(), description="How the model is read out.")
    rollout: Rollout = Field(Rollout(), description="What is predicted from a held-out start.")
    reference: dict[str, dict[str, Number]] = Field(
        {},
        description="Published values, as quantity: {metric: value}; they fill the column "
        "`reference` of metrics.csv.",
    )

    @model_validator(mode="after")
    def _sizes_agree(self) -> "Experiment":
        simulation, mistakes = self.simulation, []
        if len(simulation.types) > simulation.n_neurons:
            mistakes.append(
                f"simulation.types has {len(simulation.types)} types for "
                f"{simulation.n_neurons} neurons"
            )
        scored = int(simulation.n_frames * self.training.held_out) // 2
        if scored <= self.rollout.n_frames:
            mistakes.append(
                f"rollout.n_frames ({self.rollout.n_frames}) needs more frames than the {scored} "
                f"that training.held_out leaves for scoring (half of the held-out frames of "
                f"{simulation.n_frames}); lower rollout.n_frames or raise training.held_out"
            )
        late = [frame for frame in self.rollout.at if frame > self.rollout.n_frames]
        if late:
            mistakes.append(f"rollout.at {late} lies beyond rollout.n_frames")
        if mistakes:
            raise ValueError("; ".join(mistakes))
        return self

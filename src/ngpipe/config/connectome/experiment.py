"""A whole experiment of the connectome system: config/experiments/<name>.yaml."""

from typing import Literal

from pydantic import Field, model_validator

from ngpipe.config.base import Name
from ngpipe.config.connectome.excitability import Fit, Network
from ngpipe.config.connectome.readouts import Attribution, Control, Paths, Readout
from ngpipe.config.connectome.stimuli import Pulse, Stimulus
from ngpipe.config.sweep import (
    REFERENCE,
    SWEEP_REFERENCE,
    Published,
    Sweep,
    SweepReference,
    Swept,
    of_sections,
)
from ngpipe.config.sweep import mistakes as sweep_mistakes
from ngpipe.config.wiring import Wiring

SWEPT = "connectome", "network", "fit", "stimuli", "readouts", "attribution", "paths", "control"
"""Sections whose keys can be swept."""


class ConnectomeExperiment(Swept):
    """One experiment of the connectome system: config/experiments/<name>.yaml."""

    system: Literal["connectome"] = Field("connectome", description="Name of the system.")
    connectome: Wiring = Field(Wiring(), description="The connectome, with signed weights.")
    network: Network = Field(Network(), description="Dynamics of the neurons.")
    fit: Fit | None = Field(None, description="Fit to given responses. Null: no fit.")
    stimuli: dict[Name, Stimulus] = Field(
        min_length=1, description="Inputs by name, given or searched."
    )
    readouts: dict[Name, Readout] = Field(
        min_length=1, description="Responses to analyse, by name."
    )
    attribution: Attribution = Field(Attribution(), description="Attribution of responses.")
    paths: Paths = Field(Paths(), description="Definition of active connections.")
    control: Control = Field(
        Control(draws=0), description="Null connectomes. Without this section, none are drawn."
    )
    reference: Published = Field({}, description=REFERENCE)
    sweep: Sweep = Field({}, description=of_sections(SWEPT))
    sweep_reference: SweepReference = Field({}, description=SWEEP_REFERENCE)

    @model_validator(mode="after")
    def _sections_agree(self) -> "ConnectomeExperiment":
        mistakes = [*self._unknown_stimuli(), *self._late_steps()]
        mistakes = mistakes or list(sweep_mistakes(self, SWEPT))
        if mistakes:
            raise ValueError("; ".join(mistakes))
        return self

    @property
    def fitted_to(self) -> dict[str, Pulse]:
        """Given stimuli, responses to which can be fitted; without a fit they count for nothing."""
        if self.fit is None:
            return {}
        return {name: s for name, s in self.stimuli.items() if isinstance(s, Pulse)}

    def _unknown_stimuli(self) -> list[str]:
        named = {f"readouts.{name}.stimulus": r.stimulus for name, r in self.readouts.items()}
        wrong = [
            f"{path} is '{name}', expected one of the stimuli {list(self.stimuli)}"
            for path, name in named.items()
            if name not in self.stimuli
        ]
        given = [name for name, s in self.stimuli.items() if isinstance(s, Pulse)]
        held_out = self.fit.held_out if self.fit else ()
        return wrong + [
            f"fit.held_out.{k} is '{name}', expected one of the given stimuli {given}"
            for k, name in enumerate(held_out)
            if name not in given
        ]

    def _late_steps(self) -> list[str]:
        last = self.network.layers
        steps = {
            f"readouts.{name}.layers": max(r.layers)
            for name, r in self.readouts.items()
            if r.layers
        }
        for name, stimulus in self.stimuli.items():
            if isinstance(stimulus, Pulse):
                steps[f"stimuli.{name}.start"] = stimulus.start
            elif stimulus.layers:
                steps[f"stimuli.{name}.layers"] = max(stimulus.layers)
        return [
            f"{path} has step {step}, but network.layers is {last}: expected at most {last - 1}"
            for path, step in steps.items()
            if step >= last
        ]

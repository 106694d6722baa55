"""A whole experiment of the atlas system: config/experiments/<name>.yaml."""

from typing import Literal

from pydantic import Field, model_validator

from ngpipe.config.agreement import Agreement
from ngpipe.config.atlas.measured import Measured, WormAtlas
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
from ngpipe.config.wiring import CelegansSource, Wiring

SWEPT = "connectome", "measured", "agreement"
"""Sections whose keys can be swept."""


class AtlasExperiment(Swept):
    """Measured responses between neurons, compared with the connectome of the same neurons."""

    system: Literal["atlas"] = Field("atlas", description="Name of the system.")
    connectome: Wiring = Field(
        Wiring(source=CelegansSource()), description="The connectome, with signed weights."
    )
    measured: Measured = Field(WormAtlas(), description="Measured responses.")
    agreement: Agreement = Field(Agreement(), description="Comparison of the two.")
    reference: Published = Field({}, description=REFERENCE)
    sweep: Sweep = Field({}, description=of_sections(SWEPT))
    sweep_reference: SweepReference = Field({}, description=SWEEP_REFERENCE)

    @model_validator(mode="after")
    def _sweep_fits(self) -> "AtlasExperiment":
        if mistakes := list(sweep_mistakes(self, SWEPT)):
            raise ValueError("; ".join(mistakes))
        return self

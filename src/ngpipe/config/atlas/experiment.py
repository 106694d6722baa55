"""A whole experiment of the atlas system: config/experiments/<name>.yaml."""

from typing import Literal

from pydantic import Field, model_validator

from ngpipe.config.agreement import Agreement
from ngpipe.config.atlas.measured import Measured, WormAtlas
from ngpipe.config.sweep import SWEEP_REFERENCE, Published, Sweep, SweepReference, Swept
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
    reference: Published = Field(
        {},
        description="Published values, as quantity: {metric: value}; they fill the column "
        "`reference` of metrics.csv.",
    )
    sweep: Sweep = Field(
        {},
        description="Values to sweep, as `section.key: [values]`; one key varies at a time. Keys "
        f"of the sections {', '.join(f'`{name}`' for name in SWEPT)} can be swept. Every value is "
        "a separate experiment.",
    )
    sweep_reference: SweepReference = Field({}, description=SWEEP_REFERENCE)

    @model_validator(mode="after")
    def _sweep_fits(self) -> "AtlasExperiment":
        if mistakes := list(sweep_mistakes(self, SWEPT)):
            raise ValueError("; ".join(mistakes))
        return self

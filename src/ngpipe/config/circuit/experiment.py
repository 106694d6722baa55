"""A whole experiment of the circuit system: config/experiments/<name>.yaml."""

from typing import Literal

from pydantic import Field

from ngpipe.config.circuit.measures import Measures
from ngpipe.config.circuit.motifs import Motifs
from ngpipe.config.circuit.runs import CircuitRuns
from ngpipe.config.sweep import REFERENCE, Published
from ngpipe.config.wiring import Source, SyntheticSource, Wiring


class CircuitWiring(Wiring):
    """The connectome of the excitatory neurons."""

    source: Source = Field(SyntheticSource(), description="Source of the connectome.")
    without_sign: Literal["refuse", "excitatory", "inhibitory", "drop"] = Field(
        "excitatory",
        description="Sign of senders without a known one. `refuse`: an error; `drop`: their "
        "outgoing connections are removed.",
    )


class CircuitExperiment(CircuitRuns):
    """One experiment of the circuit system: config/experiments/<name>.yaml."""

    connectome: CircuitWiring = Field(
        CircuitWiring(), description="Connections among the excitatory neurons."
    )
    measures: Measures = Field(Measures(), description="Definition of a return to baseline.")
    motifs: Motifs = Field(Motifs(), description="Motif counts.")
    reference: Published = Field({}, description=REFERENCE)

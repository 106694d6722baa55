"""Which connectome: section `connectome`."""

from typing import Annotated, Literal

from pydantic import Field

from ngpipe.config.base import Count, Section, Seed, Weight, unit


class GeneratedSource(Section):
    """A small random connectome on a hexagonal lattice: nine cell types in three layers."""

    kind: Literal["generated"] = Field("generated", description="Selects a random connectome.")
    radius: Count = Field(
        2, description="Radius of the lattice.", json_schema_extra=unit("columns")
    )
    seed: Seed = Field(0, description="Seed of types, offsets and synapses.")


class OpticLobeSource(Section):
    """The fly's optic lobe: 65 cell types unrolled on a hexagonal lattice."""

    kind: Literal["optic_lobe"] = Field("optic_lobe", description="Selects the optic lobe.")
    path: str | None = Field(
        None,
        description="The file fib25-fib19_v2.2.json of flyvis, or a directory with it. Null: the "
        "installed package flyvis (its file, not its code), or a verified download.",
    )
    radius: Annotated[int, Field(ge=0, json_schema_extra=unit("columns"))] = Field(
        15, description="Radius of the lattice; 15 gives 45,669 neurons."
    )
    fill: Weight = Field(
        0.0, description="Synapses of offsets inside the hull of those seen; 1: as published."
    )


class CelegansSource(Section):
    """Chemical synapses among the 300 neurons of the hermaphrodite C. elegans."""

    kind: Literal["celegans"] = Field("celegans", description="Selects the worm.")
    path: str | None = Field(
        None,
        description="The file herm_chem_adj.csv, Cook2019HermReader.json of cect, or a directory "
        "with one. Null: the installed package cect (its file, not its code), or a verified "
        "download.",
    )


class TableSource(Section):
    """A connectome of one's own, from a file."""

    kind: Literal["file"] = Field("file", description="Selects a connectome read from files.")
    path: str = Field(
        description="Edge list, sheet, matrix or graph; kinds in docs/connectomes.md."
    )
    neurons: str | None = Field(
        None, description="Table of the neurons, with an id each. Null: those of the edges."
    )
    unit: str = Field("synapses", description="Of the weights.")
    pre: str = Field("pre", description="Column of the sending neuron.")
    post: str = Field("post", description="Column of the receiving neuron.")
    weight: str | None = Field(
        "weight", description="Column of the weight. Null: every row is one synapse."
    )
    sign: str | None = Field(None, description="Column of +1 or -1 for each edge. Null: none.")
    id: str = Field("id", description="Column of the id in the table of neurons.")
    rename: dict[str, str] = Field(
        {}, description="Columns of the table of neurons to rename, as old: new."
    )
    rows: Literal["post", "pre"] = Field("post", description="What the rows of a matrix are.")
    variable: str | None = Field(
        None, description="Name of the matrix in a file that holds several. Null: the only one."
    )
    duplicates: Literal["sum", "refuse"] = Field(
        "sum", description="What to do with edges that stand in the file more than once."
    )
    unknown: Literal["refuse", "drop"] = Field(
        "refuse", description="What to do with edges of neurons that the table lacks."
    )


Source = Annotated[
    GeneratedSource | OpticLobeSource | CelegansSource | TableSource, Field(discriminator="kind")
]


class Wiring(Section):
    """The connectome, its weights signed."""

    source: Source = Field(GeneratedSource(), description="Where it comes from.")
    without_sign: Literal["refuse", "excitatory", "inhibitory", "drop"] = Field(
        "refuse", description="What senders without a known sign do; `drop`: send nothing."
    )

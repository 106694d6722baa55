"""The section `connectome`: source of the connectome, filters and signs."""

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from ngpipe.config.base import Count, Number, Positive, Section, Seed, Weight, unit
from ngpipe.config.files import GRAPHS, MATRICES, TABLES, Table, TextFormat, check_format, path_of
from ngpipe.config.filters import NOTEBOOK, NotebookFilters

Value = str | bool | int | Number
"""A cell of a table."""


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
        0.0,
        description="Number of synapses at unobserved offsets inside the hull of the observed "
        "ones; 1: as published.",
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
    positions: bool = Field(
        False,
        description="Give the neurons their positions, `x`, `y` (from head to tail) and `z`, which "
        "nulls that keep distances need: from the installed package wormneuroatlas (its file, not "
        "its code), or a verified download.",
    )


class _OwnConnectome(Section):
    """Keys of your own connectome, except the layout of its text."""

    kind: Literal["file"] = Field("file", description="Selects a connectome read from files.")
    path: Annotated[str, path_of((*TABLES, *MATRICES, *GRAPHS))] = Field(
        description="Edge list, sheet, matrix or graph; docs/connectomes.md lists the kinds of "
        "files."
    )
    neurons: Table | None = Field(
        None,
        description="Table of the neurons, with an id column: its path, or a section that also "
        "gives its layout. Null: the neurons that occur in the edges.",
    )
    unit: str = Field("synapses", description="Unit of the weights.")
    pre: str = Field("pre", description="Column of the sending neuron.")
    post: str = Field("post", description="Column of the receiving neuron.")
    weight: str | None = Field(
        "weight", description="Column of the weight. Null: every row is one synapse."
    )
    sign: str | None = Field(None, description="Column of +1 or -1 for each edge. Null: none.")
    where: dict[str, Value | Annotated[tuple[Value, ...], Field(min_length=1)]] = Field(
        {},
        description="Keep only edges with this value, or one of these values, in a column, "
        "written as column: value.",
    )
    id: str = Field("id", description="Column of the id in the table of neurons.")
    rename: dict[str, str] = Field(
        {}, description="Columns of the table of neurons to rename, as old: new."
    )
    rows: Literal["post", "pre"] = Field("post", description="Meaning of the rows of a matrix.")
    variable: str | None = Field(
        None, description="Name of the matrix in a file that holds several. Null: the only one."
    )
    duplicates: Literal["sum", "refuse"] = Field("sum", description="How to treat repeated edges.")
    unknown: Literal["refuse", "drop"] = Field(
        "refuse", description="How to treat edges of neurons that the neuron table lacks."
    )


class TableSource(TextFormat, _OwnConnectome):
    """Your own connectome, from a file."""

    @model_validator(mode="after")
    def _is_laid_out(self) -> "TableSource":
        check_format(self.path, self)
        return self


class SyntheticSource(Section):
    """Made-up tables of synapses with the columns of MICrONS v1300: no evidence about cortex."""

    kind: Literal["synthetic"] = Field("synthetic", description="Selects made-up synapses.")
    seed: Seed = Field(0, description="Seed of cells and synapses.")
    n_neurons: Annotated[int, Field(ge=2, json_schema_extra=unit("1"))] = Field(
        419, description="Number of proofread cells of type 23P in V1."
    )
    n_others: Annotated[int, Field(ge=0, json_schema_extra=unit("1"))] = Field(
        400, description="Number of further cells, which the filters should remove."
    )
    receivers: Positive = Field(15.8, description="Mean number of receivers of a proofread cell.")
    reciprocity: Weight = Field(
        1.6,
        description="Probability of a reciprocal connection, relative to independent connections.",
    )
    filters: NotebookFilters = Field(NOTEBOOK, description="Filters on cells and synapses.")


class SynapseSource(Section):
    """A table of synapses and one of cells, as MICrONS releases them."""

    kind: Literal["synapses"] = Field("synapses", description="Selects tables of synapses.")
    synapses: Table = Field(
        description="Table with one row per synapse: its path, or a section that also gives its "
        "layout."
    )
    cells: Table = Field(description="Table with one row per cell, given in the same way.")
    release: Literal["v1300", "phase1"] = Field(
        "v1300", description="Release whose column names are used: MICrONS v1300 or phase 1 v185."
    )
    columns: dict[
        Literal["pre", "post", "size", "id", "cell_type", "position", "region", "proofread"],
        str | tuple[str, str, str] | None,
    ] = Field(
        {},
        description="Columns with other names; `position` is one column or three. Null for "
        "`region` and `proofread`: there is no such column.",
    )
    verify: bool = Field(
        True, description="Refuse a file that has the name of a published one but other content."
    )
    weight: Literal["size", "synapses"] = Field(
        "size", description="Weight of a connection: summed size, or number, of its synapses."
    )
    filters: NotebookFilters = Field(NOTEBOOK, description="Filters on cells and synapses.")

    @field_validator("columns")
    @classmethod
    def _are_columns(cls, columns: dict[str, object]) -> dict[str, object]:
        for name, given in columns.items():
            several, absent = name == "position", name in ("region", "proofread")
            if (given is None and not absent) or (isinstance(given, tuple) and not several):
                raise ValueError(f"{name} is {given!r}, expected the name of a column")
        return columns


Source = Annotated[
    GeneratedSource
    | OpticLobeSource
    | CelegansSource
    | TableSource
    | SyntheticSource
    | SynapseSource,
    Field(discriminator="kind"),
]


class Wiring(Section):
    """The connectome, its weights signed."""

    source: Source = Field(GeneratedSource(), description="Source of the connectome.")
    without_sign: Literal["refuse", "excitatory", "inhibitory", "drop"] = Field(
        "refuse",
        description="Sign of senders without a known one. `refuse`: an error; `drop`: their "
        "outgoing connections are removed.",
    )

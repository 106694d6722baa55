"""Which connectome: section `connectome`."""

from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from ngpipe.config.base import Count, Groups, Number, Positive, Section, Seed, Weight, unit
from ngpipe.config.files import GRAPHS, MATRICES, TABLES, Table, TextFormat, check_format, path_of

Value = str | bool | int | Number
"""What stands in a cell of a table."""


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


class _OwnConnectome(Section):
    """Keys of a connectome of one's own that are not about the layout of its text."""

    kind: Literal["file"] = Field("file", description="Selects a connectome read from files.")
    path: Annotated[str, path_of((*TABLES, *MATRICES, *GRAPHS))] = Field(
        description="Edge list, sheet, matrix or graph; kinds in docs/connectomes.md."
    )
    neurons: Table | None = Field(
        None,
        description="Table of the neurons, with an id each: its path, or a section that also says "
        "how it is laid out. Null: those of the edges.",
    )
    unit: str = Field("synapses", description="Of the weights.")
    pre: str = Field("pre", description="Column of the sending neuron.")
    post: str = Field("post", description="Column of the receiving neuron.")
    weight: str | None = Field(
        "weight", description="Column of the weight. Null: every row is one synapse."
    )
    sign: str | None = Field(None, description="Column of +1 or -1 for each edge. Null: none.")
    where: dict[str, Value | Annotated[tuple[Value, ...], Field(min_length=1)]] = Field(
        {},
        description="Only edges with this value, or one of these values, in a column, as column: "
        "value.",
    )
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


class TableSource(TextFormat, _OwnConnectome):
    """A connectome of one's own, from a file."""

    @model_validator(mode="after")
    def _is_laid_out(self) -> "TableSource":
        check_format(self.path, self)
        return self


class Filters(Section):
    """Which cells and synapses of a table of synapses count, applied once in this order."""

    proofread: bool | Groups = Field(
        True,
        description="Only proofread cells. If words tell them that are not those of the release: "
        "the words that count.",
    )
    cell_type: Groups | None = Field(
        ("23P",), description="Only cells of these types. Null: of all."
    )
    region: str | None = Field("V1", description="Only cells of this region. Null: of all.")
    exclude: tuple[int | str, ...] = Field((), description="Ids of cells to leave out.")
    autapses: Literal["keep", "drop"] = Field(
        "keep", description="What to do with synapses of a cell with itself."
    )
    min_synapses: Annotated[int, Field(ge=0, json_schema_extra=unit("synapses"))] = Field(
        21,
        description="Only cells with so many synapses with those that are left; an autapse counts "
        "twice.",
    )
    input_and_output: bool = Field(
        True, description="Only cells that send to, and receive from, those that are left."
    )


class SyntheticSource(Section):
    """Made-up tables of synapses with the columns of MICrONS v1300: no evidence about cortex."""

    kind: Literal["synthetic"] = Field("synthetic", description="Selects made-up synapses.")
    seed: Seed = Field(0, description="Seed of cells and synapses.")
    n_neurons: Annotated[int, Field(ge=2, json_schema_extra=unit("1"))] = Field(
        419, description="Proofread cells of type 23P in V1."
    )
    n_others: Annotated[int, Field(ge=0, json_schema_extra=unit("1"))] = Field(
        400, description="Further cells, which the filters are to take."
    )
    receivers: Positive = Field(15.8, description="Mean number of receivers of a proofread cell.")
    reciprocity: Weight = Field(
        1.6, description="How much likelier both ways are than for independent connections."
    )
    filters: Filters = Field(Filters(), description="Which cells and synapses count.")


class SynapseSource(Section):
    """A table of synapses and one of cells, as MICrONS releases them."""

    kind: Literal["synapses"] = Field("synapses", description="Selects tables of synapses.")
    synapses: Table = Field(
        description="Table with one row for each synapse: its path, or a section that also says "
        "how it is laid out."
    )
    cells: Table = Field(description="Table with one row for each cell, named likewise.")
    release: Literal["v1300", "phase1"] = Field(
        "v1300", description="What the columns are called: as in MICrONS v1300 or phase 1 v185."
    )
    columns: dict[
        Literal["pre", "post", "size", "id", "cell_type", "position", "region", "proofread"],
        str | tuple[str, str, str] | None,
    ] = Field(
        {},
        description="Columns that are called otherwise; `position` is one or three. Null, for "
        "`region` and `proofread`: there is none.",
    )
    verify: bool = Field(
        True, description="Refuse a file with the name of a published one and other content."
    )
    weight: Literal["size", "synapses"] = Field(
        "size", description="Weights are summed sizes, or numbers, of the synapses of a connection."
    )
    filters: Filters = Field(Filters(), description="Which cells and synapses count.")

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

    source: Source = Field(GeneratedSource(), description="Where it comes from.")
    without_sign: Literal["refuse", "excitatory", "inhibitory", "drop"] = Field(
        "refuse", description="What senders without a known sign do; `drop`: send nothing."
    )

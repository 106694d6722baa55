"""Filters of tables of synapses: the key `filters` of sources of a connectome."""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema

from ngpipe.config.base import Groups, unit
from ngpipe.config.parameter_class import parameters


@parameters
class Filters:
    """Filters on cells and synapses of a synapse table, applied once in this order.

    Without any argument nothing is left out but neurons without a synapse. The filters of the
    notebook are :data:`NOTEBOOK`; in a config they are the defaults.

    Raises:
        ArgumentError: a value that is none of the allowed ones.
    """

    proofread: bool | Groups = Field(
        False,
        description="Only proofread cells. If your column uses other words than the release, list "
        "the words that count.",
    )
    cell_type: str | Groups | None = Field(
        None, description="Only cells of this type, or of one of these types. Null: of all."
    )
    region: str | None = Field(None, description="Only cells of this region. Null: of all.")
    exclude: tuple[int | str, ...] = Field((), description="Ids of cells to leave out.")
    autapses: Literal["keep", "drop"] = Field(
        "keep", description="How to treat synapses of a cell onto itself."
    )
    min_synapses: Annotated[int, Field(ge=0, json_schema_extra=unit("synapses"))] = Field(
        1,
        description="Only cells with at least this many synapses with the remaining cells; an "
        "autapse counts twice.",
    )
    """Counted as sender and receiver. Cells that are left may have fewer with one another."""
    input_and_output: bool = Field(
        False, description="Only cells that send to, and receive from, the remaining cells."
    )
    """A cell may lose its last partner thereby."""


NOTEBOOK = Filters(
    proofread=True, cell_type="23P", region="V1", min_synapses=21, input_and_output=True
)
"""Filters of the notebook on MICrONS v1300."""


def _as_the_notebook(content: Any) -> object:  # noqa: ANN401
    """Filters of a config, in which a key that is left out has the value of the notebook."""
    written = {} if content is None else content
    return {**asdict(NOTEBOOK), **written} if isinstance(written, Mapping) else written


class _DefaultsOfTheNotebook:
    """Shows editors what the keys are where they are left out."""

    def __get_pydantic_json_schema__(
        self, core: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        schema = handler(core)
        shown = handler.resolve_ref_schema(schema)["properties"]
        for name, value in asdict(NOTEBOOK).items():
            shown[name]["default"] = value
        return schema


NotebookFilters = Annotated[Filters, BeforeValidator(_as_the_notebook), _DefaultsOfTheNotebook()]

"""Base of all sections: frozen, no unknown keys, a unit and a sentence for every number."""

from collections.abc import Iterator, Mapping
from typing import Annotated, Any, get_args, get_origin

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator
from pydantic.config import JsonDict
from pydantic.dataclasses import is_pydantic_dataclass
from pydantic.fields import FieldInfo

STRICT = ConfigDict(extra="forbid", allow_inf_nan=False)
"""An unknown key is a mistake, and numbers are finite."""


class Section(BaseModel):
    """A part of a config: immutable, and an unknown key is a mistake."""

    model_config = ConfigDict(**STRICT, frozen=True)

    @model_validator(mode="before")
    @classmethod
    def _nothing_is_all_defaults(cls, content: object) -> object:
        """A section without keys, as when all of them are commented out."""
        return {} if content is None else content


def is_section(kind: object) -> bool:
    """True of a section: a model, or parameters that scripts make too."""
    return isinstance(kind, type) and (issubclass(kind, BaseModel) or is_pydantic_dataclass(kind))


def fields_of(section: Any) -> Mapping[str, FieldInfo]:  # noqa: ANN401
    """The keys of a section."""
    return section.__pydantic_fields__


def models_in(annotation: Any) -> Iterator[type]:  # noqa: ANN401
    """Sections that the annotation of a key speaks of."""
    if is_section(annotation):
        yield annotation
    for argument in get_args(annotation):
        yield from models_in(argument)


def unit(name: str) -> JsonDict:
    """Schema extra that carries the unit of a number."""
    return {"unit": name}


def unit_of(field: FieldInfo) -> str:
    """Unit that a key carries; empty where it is no number."""
    if isinstance(field.json_schema_extra, dict):
        return str(field.json_schema_extra["unit"])
    for part in [*field.metadata, *annotations(field.annotation)]:
        if isinstance(part, FieldInfo) and isinstance(part.json_schema_extra, dict):
            return str(part.json_schema_extra["unit"])
    return ""


def annotations(annotation: Any) -> Iterator[object]:  # noqa: ANN401
    """Metadata of Annotated types nested in unions, tuples and dicts."""
    if get_origin(annotation) is Annotated:
        yield from annotation.__metadata__
    for argument in get_args(annotation):
        yield from annotations(argument)


Name = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]*$")]
"""Name of a result; it becomes part of a path."""
Count = Annotated[int, Field(ge=1, json_schema_extra=unit("1"))]
Seed = Annotated[int, Field(ge=0, lt=2**63, json_schema_extra=unit("1"))]
Fraction = Annotated[float, Field(gt=0, lt=1, json_schema_extra=unit("1"))]
Weight = Annotated[float, Field(ge=0, json_schema_extra=unit("1"))]
Positive = Annotated[float, Field(gt=0, json_schema_extra=unit("1"))]
Duration = Annotated[float, Field(gt=0, json_schema_extra=unit("tau"))]
Seconds = Annotated[float, Field(gt=0, json_schema_extra=unit("s"))]
Frequency = Annotated[float, Field(json_schema_extra=unit("1/tau"))]
Number = Annotated[float, Field(json_schema_extra=unit("1"))]
Step = Annotated[int, Field(ge=0, json_schema_extra=unit("steps"))]
Steps = Annotated[tuple[Step, ...], Field(min_length=1)]
Groups = Annotated[tuple[str, ...], Field(min_length=1)]
"""Cell types, or other groups of neurons."""
ActivityLevel = Annotated[float, Field(ge=0, json_schema_extra=unit("activity"))]
Columns = Annotated[int, Field(ge=0, json_schema_extra=unit("columns"))]
OBSERVED = "observed"
"""The condition that every experiment of a circuit has: the connectome as it is."""
NEAR = "Only neurons within this many columns of the centre of a hexagonal lattice."

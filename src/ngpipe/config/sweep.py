"""Values that keys of an experiment take in turn: section `sweep`, of every system."""

from collections.abc import Iterator
from typing import Annotated, TypeVar

from pydantic import BaseModel, Field, ValidationError

Value = bool | int | float | str | None
Sweep = dict[str, Annotated[tuple[Value, ...], Field(min_length=1)]]
"""Path of a key -> its values. Keys are swept one at a time, the others stay as they are."""

Model = TypeVar("Model", bound=BaseModel)


def varied(experiment: Model, path: str, value: Value) -> Model:
    """The experiment with another value of one key, and without a sweep.

    Raises:
        KeyError: there is no such key; says which there are.
        ValidationError: the experiment cannot have this value.
    """
    content = experiment.model_dump(mode="json", exclude={"sweep"})
    *above, last = path.split(".")
    part, whole = content, content
    for name in above:
        part = _within(part, name, path)
    _within(part, last, path)
    part[last] = value
    return type(experiment).model_validate(whole)


def mistakes(experiment: BaseModel, sweep: Sweep) -> Iterator[str]:
    """What is wrong with a sweep of an experiment, which is sound itself."""
    for path, values in sweep.items():
        points = []
        for value in values:
            try:
                points.append(varied(experiment, path, value).model_dump_json())
            except KeyError as error:
                yield error.args[0]
                break
            except ValidationError as error:
                for mistake in error.errors(include_url=False):
                    message = mistake["msg"].removeprefix("Value error, ")
                    where = ".".join(map(str, mistake["loc"])) or "experiment"
                    yield f"sweep.{path}: with {value!r}, {where}: {message}"
        if len(set(points)) < len(points):
            yield f"sweep.{path} has a value twice in {list(values)}; name each once"


def _within(part: object, name: str, path: str) -> object:
    """What a mapping holds under a name."""
    if not isinstance(part, dict) or name not in part:
        known = list(part) if isinstance(part, dict) else "none"
        raise KeyError(f"sweep.{path}: there is no key '{name}'; the keys there are {known}")
    return part[name]

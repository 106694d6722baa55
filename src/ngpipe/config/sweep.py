"""The section `sweep` of every system: values of keys, one key at a time."""

import re
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypeVar

from pydantic import Field, StringConstraints, ValidationError

from ngpipe.config.base import Number, Section, fields_of, is_section, unit, unit_of
from ngpipe.errors import did_you_mean

Value = bool | int | float | str | None
_Values = Annotated[tuple[Value, ...], Field(min_length=1, json_schema_extra=unit("of the key"))]
Sweep = dict[str, _Values]
"""Path of a key -> its values. Keys are swept one at a time, the others stay as they are."""

Published = dict[str, dict[str, Number]]
"""Published values, as quantity: {metric: value}."""
SweepReference = dict[str, Published]
"""Name of a point without that of its experiment -> published values."""
SWEEP_REFERENCE = (
    "Published values of points of the sweep, as `key=value: {quantity: {metric: value}}`. At "
    "these points they take the place of `reference`."
)
"""Description of the section `sweep_reference`."""

REFERENCE = (
    "Published values, as quantity: {metric: value}; they fill the column `reference` of "
    "metrics.csv."
)
"""Description of the section `reference`."""

MARK = "~"
"""Stands between the name of an experiment and what a point of its sweep changes."""
LABEL = r"[A-Za-z0-9._+=-]{1,150}"
"""Pattern of the name of a point, which becomes part of paths."""
ExperimentName = Annotated[
    str, StringConstraints(pattern=rf"^[A-Za-z0-9][A-Za-z0-9_-]*({MARK}{LABEL})?$")
]
"""Name of an experiment, or of a point of its sweep: ``fig2~simulation.noise=0.1``."""


def of_sections(swept: Collection[str]) -> str:
    """Description of the section ``sweep`` of experiments in which these sections can be swept."""
    return (
        "Values to sweep, as `section.key: [values]`; one key varies at a time. Keys of the "
        f"sections {', '.join(f'`{name}`' for name in swept)} can be swept. Every value is a "
        "separate experiment."
    )


class Swept(Section):
    """An experiment with a section ``sweep``, which stands where each has it among its own."""

    if TYPE_CHECKING:
        sweep: Sweep


Model = TypeVar("Model", bound=Swept)


class Point(NamedTuple):
    """An experiment with another value of one key; without a parameter, the experiment itself."""

    parameter: str
    value: Value
    experiment: Any


def points(experiment: Swept) -> Iterator[Point]:
    """Every point of the sweep of an experiment, the experiment itself first."""
    yield Point("", None, experiment)
    for path, values in experiment.sweep.items():
        for value in values:
            yield Point(path, value, varied(experiment, path, value))


def named_points(name: str, experiment: Swept) -> dict[str, Point]:
    """The points by name: that of the experiment, then ``<name>~<path>=<value>``."""
    first, *others = points(experiment)
    return {name: first, **{f"{name}{MARK}{label(p.parameter, p.value)}": p for p in others}}


def base_of(name: str) -> str:
    """The experiment that a point belongs to; of an experiment, itself."""
    return name.partition(MARK)[0]


def label(path: str, value: Value) -> str:
    """Name of a point: ``simulation.noise=0.1``."""
    return f"{path}={spelled(value)}"


def spelled(value: Value) -> str:
    """A value as text: as YAML spells it, the shortest number that is the same."""
    if value is None:
        return "null"
    return str(value).lower() if isinstance(value, bool) else str(value)


def unit_of_key(experiment: Swept, path: str) -> str:
    """Unit of a key of an experiment; empty where it is no number."""
    part: Any = experiment
    found = ""
    for name in path.split("."):
        if is_section(type(part)):
            found = unit_of(fields_of(type(part))[name])
            part = getattr(part, name)
        else:
            part = part[int(name) if isinstance(part, tuple) else name]
    return found


def varied(experiment: Model, path: str, value: Value) -> Model:
    """The experiment with another value of one key, its published values, and without a sweep.

    Raises:
        KeyError: there is no such key; says which there are.
        ValidationError: the experiment cannot have this value.
    """
    content = experiment.model_dump(mode="json", exclude={"sweep", "sweep_reference"})
    section = path.partition(".")[0]
    if section == "control" and section not in experiment.model_fields_set:
        # Written out it would have the defaults of the section, not those of its absence.
        content[section] = type(getattr(experiment, section))().model_dump(mode="json")
    _put_back(experiment, content)
    *above, last = path.split(".")
    part: Any = content
    for name in above:
        part = part[_known(part, name, path)]
    part[_known(part, last, path)] = value
    if (published := _published(experiment).get(label(path, value))) is not None:
        content["reference"] = published
    return type(experiment).model_validate(content)


def _put_back(section: Section, content: Any) -> None:  # noqa: ANN401
    """Keys that change no result, and are left out of what is written down of a section."""
    for name, field in type(section).model_fields.items():
        value = getattr(section, name)
        if field.exclude:
            content[name] = value
        elif isinstance(value, Section) and name in content:
            _put_back(value, content[name])


def mistakes(experiment: Swept, sections: Collection[str]) -> Iterator[str]:
    """Yield mistakes in the sweep of an experiment that is valid itself.

    Args:
        experiment: whose section ``sweep`` is looked at.
        sections: those whose keys can be swept.
    """
    for path, values in experiment.sweep.items():
        if path.split(".")[0] not in sections:
            yield f"sweep.{path} is of none of the sections {list(sections)}, which can be swept"
            continue
        unsafe = [value for value in values if not re.fullmatch(LABEL, label(path, value))]
        for value in unsafe:
            yield (
                f"sweep.{path}: {value!r} cannot be part of a directory name, as the values of a "
                "sweep are; expected at most 150 of the characters A-Z a-z 0-9 . _ + = - in path "
                "and value; write a separate experiment for it"
            )
        if not unsafe:
            yield from _mistaken(experiment, path, values)
    known = [label(path, value) for path, values in experiment.sweep.items() for value in values]
    for name in _published(experiment):
        if name not in known:
            yield (
                f"sweep_reference: there is no point '{name}'{did_you_mean(name, known)}; the "
                f"points of the sweep are {known or 'none'}"
            )


def _published(experiment: Swept) -> dict[str, Published]:
    """Published values by name of their point; none where points are no experiments."""
    return getattr(experiment, "sweep_reference", {})


def _mistaken(experiment: Swept, path: str, values: tuple[Value, ...]) -> Iterator[str]:
    """Values that the experiment cannot have, or that mean the same."""
    found: dict[str, dict[str, object]] = {}
    twice = len({spelled(value) for value in values}) < len(values)
    for value in values:
        try:
            other = varied(experiment, path, value)
        except KeyError as error:
            yield error.args[0]
            return
        except ValidationError as error:
            for mistake in error.errors(include_url=False):
                message = mistake["msg"].removeprefix("Value error, ")
                where = ".".join(map(str, mistake["loc"])) or "experiment"
                yield f"sweep.{path}: with {value!r}, {where}: {message}"
        else:
            settled = {name: part for name, part in other if name != "reference"}
            twice = twice or settled in found.values()
            found[spelled(value)] = settled
    if twice:
        yield f"sweep.{path} has a value twice in {list(values)}; name each once"


def _known(part: object, name: str, path: str) -> str | int:
    """The key of a mapping, or the index of a list, that a part of a path names."""
    keys = range(len(part)) if isinstance(part, list) else part if isinstance(part, dict) else ()
    known = {str(key): key for key in keys}
    if name not in known:
        raise KeyError(
            f"sweep.{path}: there is no key '{name}'; the keys there are {list(known) or 'none'}"
        )
    return known[name]

"""Describe config sections from their models: key, unit, default, meaning, one row a key.

``config/README.md``, the epilog of ``ngpipe <step> --help`` and the schemas all come from here.
"""

import json
import typing
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from pydantic import TypeAdapter
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from ngpipe.config.base import fields_of, is_section, models_in, unit_of
from ngpipe.config.figures import KINDS, Figures
from ngpipe.config.nulls import null_kinds
from ngpipe.config.systems import EXPERIMENTS

FILES: dict[str, Any] = {
    **{f"config/experiments/<name>.yaml, system: {n}": model for n, model in EXPERIMENTS.items()},
    "config/config.yaml": Figures,
}
DIALECT = "https://json-schema.org/draft/2020-12/schema"
"""Needed by editors, which otherwise ignore keywords that older schemas did not have."""
INTRODUCTION = """\
# Every key of the config

`make docs` writes this page from the models in `src/ngpipe/config`. A key that you leave out has
its default. An unknown key is an error; all errors are reported at once, with their YAML path.
Time is in membrane time constants (tau) for assemblies, in steps of one synapse for connectomes
and in seconds for circuits. Activity has no unit. W is indexed `[post, pre]`.

`config/config.yaml` lists the figures and their panels. The name of a figure is also its directory
in `results/`. Each experiment is one file in `config/experiments/` and belongs to one system (by
default `assembly`). Write only what differs from the defaults.
"""


@dataclass(frozen=True)
class Key:
    """One key of a config."""

    path: str
    unit: str
    default: str
    description: str


def keys(section: type, prefix: str = "", default: object = None) -> Iterator[Key]:
    """All keys of a section: dotted paths, ``[]`` for items, ``<name>`` for names.

    Args:
        section: whose keys are wanted.
        prefix: path of the section.
        default: the section without any key written, where its place decides on that.
    """
    for name, field in fields_of(section).items():
        path, value = f"{prefix}{name}", getattr(default, name, field.default)
        nested = list(models_in(field.annotation))
        unit = "" if nested else unit_of(field)
        yield Key(path, unit, _spelled(value), field.description or "")
        suffix = _suffix(field.annotation)
        for inner in nested:
            choice = f"({_kind(inner)})" if len(nested) > 1 else ""
            yield from keys(inner, f"{path}{suffix}{choice}.", _without_keys(field))


def describe(*sections: type) -> str:
    """Plain text for a terminal: one key a line with unit and default, its meaning below."""
    lines = []
    for model in sections:
        lines.append(f"config section {model.__name__.lower()}:")
        for key in keys(model):
            unit = f" [{key.unit}]" if key.unit else ""
            lines += [f"  {key.path}{unit} = {key.default}", f"      {key.description}"]
    return "\n".join(lines)


def reference() -> str:
    """The text of config/README.md."""
    parts = [INTRODUCTION]
    for file, model in FILES.items():
        parts.append(f"## `{file}`\n\n| key | unit | default | meaning |\n|---|---|---|---|")
        parts += [
            f"| `{k.path}` | {k.unit} | {_code(k.default)} | {_cell(k.description)} |"
            for k in keys(model)
        ]
        parts.append("")
    parts.append("## Panel kinds\n\n| kind | shows |\n|---|---|")
    parts += [f"| `{name}` | {kind.shows} |" for name, kind in KINDS.items()]
    parts.append("\n## Nulls\n\n| null | keeps | draws anew | needs |\n|---|---|---|---|")
    parts += [
        f"| `{name}` | {kind.keeps} | {kind.renews} | {', '.join(kind.needs)} |"
        for name, kind in null_kinds().items()
    ]
    return "\n".join(parts) + "\n"


def write(root: Path) -> None:
    """Write config/README.md and workflow/schemas/ below the project's root."""
    (root / "config" / "README.md").write_text(reference())
    for name, text in schemas().items():
        (root / "workflow" / "schemas" / name).write_text(text)


def schemas() -> dict[str, str]:
    """JSON schemas of the config files, for editors."""
    return {
        f"{model.__name__.lower()}.schema.json": json.dumps(
            {"$schema": DIALECT, **model.model_json_schema()}, indent=2
        )
        + "\n"
        for model in FILES.values()
    }


def _suffix(annotation: object) -> str:
    origin = typing.get_origin(annotation)
    if origin is dict:
        return ".<name>"
    return "[]" if origin is tuple else ""


def _kind(section: type) -> str:
    return f"kind={fields_of(section)['kind'].default}"


def _without_keys(field: FieldInfo) -> object:
    """The section that a key makes of no keys; None where the section itself decides."""
    if not field.metadata or not is_section(type(field.default)):
        return None
    kind: Any = Annotated[field.annotation, *field.metadata]
    return TypeAdapter(kind).validate_python({})


def _spelled(value: object) -> str:
    """A default as text."""
    if value is PydanticUndefined:
        return "required"
    if is_section(type(value)):
        return ""
    if isinstance(value, tuple) and any(is_section(type(v)) for v in value):
        return "one type with the defaults below"
    return json.dumps(value, default=lambda section: section.model_dump(exclude_defaults=True))


def _code(default: str) -> str:
    return f"`{default}`" if default and " " not in default else default


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


if __name__ == "__main__":
    write(Path(__file__).parents[3])

"""Read a YAML config and name all of its mistakes at once, each with its YAML path."""

import re
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from ngpipe.config.base import fields_of, models_in
from ngpipe.errors import ConfigError, did_you_mean

MANY = 8
"""Words beyond which a message names the nearest and where all are listed, not all."""
COLLECTIONS = ("dict_type", "list_type", "tuple_type")
"""Mistakes of a key that should hold several entries."""

Model = TypeVar("Model", bound=BaseModel)


def load(path: Path, model: type[Model]) -> Model:
    """Read and validate a YAML file.

    Raises:
        ConfigError: the file is missing, is not YAML, or does not fit ``model``.
    """
    return validate(content_of(path), model, where=str(path))


def content_of(path: Path) -> object:
    """Content of a YAML file; an empty mapping for an empty file.

    Raises:
        ConfigError: the file is missing or is not YAML.
    """
    path = Path(path)
    if not path.is_file():
        known = sorted(p.stem for p in path.parent.glob("*.yaml"))
        raise ConfigError(
            f"no config at {path}{did_you_mean(path.stem, known)}; configs beside it: "
            f"{', '.join(known) or 'none'}"
        )
    try:
        content = yaml.load(path.read_text(), Loader=_Strict)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid YAML: {error}") from error
    unclear = list(_unclear(content, ()))
    if unclear:
        raise ConfigError("\n  ".join([f"{path} is not a valid config:", *unclear]))
    return content if content is not None else {}


def _unclear(content: object, location: tuple[str, ...]) -> Iterator[str]:
    """Yield values that YAML reads as another number than people do, each with its place."""
    if isinstance(content, _Unclear):
        yield (
            f"{'.'.join(location)}: YAML takes {content} as a number in base "
            f"{60 if ':' in content else 8}; write it in base 10 and without leading zeros, or in "
            f'quotes, "{content}", if it is text'
        )
    items: Iterable[tuple[object, object]] = ()
    if isinstance(content, Mapping | list):
        items = content.items() if isinstance(content, Mapping) else enumerate(content)
    for key, value in items:
        yield from _unclear(value, (*location, str(key)))


def validate(content: object, model: type[Model], *, where: str) -> Model:
    """Validate parsed content; ``where`` names its source in the message.

    Raises:
        ConfigError: listing every mistake with its YAML path and the value found there.
    """
    if not isinstance(content, Mapping):
        raise ConfigError(f"{where} must hold a mapping, got {type(content).__name__}")
    try:
        return model.model_validate(content)
    except ValidationError as error:
        mistakes = [m for m in error.errors(include_url=False) if not _follows(m)]
        lines = [_line(mistake, content, model) for mistake in mistakes]
        raise ConfigError("\n  ".join([f"{where} is not a valid config:", *lines])) from error


def _follows(mistake: Mapping) -> bool:
    """True if a collection counts as too short only because its items hold mistakes."""
    return mistake["type"] == "too_short" and len(mistake["input"]) >= mistake["ctx"]["min_length"]


def _line(mistake: Mapping, content: object, model: type[BaseModel]) -> str:
    path = ".".join(_yaml_path(mistake["loc"], content))
    message = mistake["msg"].removeprefix("Value error, ")
    if mistake["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
        known = _keys_at(model, mistake["loc"][:-1])
        message = f"there is no such key{did_you_mean(mistake['loc'][-1], known)}"
    elif mistake["type"] in ("literal_error", "union_tag_invalid"):
        message = _unknown_word(mistake)
    elif mistake["type"].endswith("_type") and mistake["input"] is None:
        lacks = "entries" if mistake["type"] in COLLECTIONS else "a value"
        message = f"is empty; give it {lacks}, or leave the key out"
    if not path:
        return message
    if mistake["type"] == "missing":
        return f"{path}: {message}"
    return f"{path}: {message} (got {_short(mistake['input'])})"


def _unknown_word(mistake: Mapping) -> str:
    """Message about an unknown word."""
    expected = mistake["ctx"].get("expected") or mistake["ctx"]["expected_tags"]
    found = mistake["ctx"].get("tag", mistake["input"])
    known = re.findall(r"'([^']*)'", expected)
    near = did_you_mean(found, known)
    listed = f"expected one of {expected}" if len(known) <= MANY else "config/README.md lists all"
    return f"there is no '{found}'{near}{' ' if near else '; '}{listed}"


def _keys_at(model: type[BaseModel], location: Sequence[str | int]) -> set[str]:
    """The keys that the section at some place of a config has."""
    models = [model]
    for part in location:
        fields = [fields_of(m)[str(part)].annotation for m in models if part in fields_of(m)]
        if fields:
            models = [inner for annotation in fields for inner in models_in(annotation)]
        else:  # a number or name in a collection, or the kind that pydantic puts there
            models = [m for m in models if _kind_of(m) == part] or models
    return {name for m in models for name in fields_of(m)}


def _kind_of(model: type) -> object:
    field = fields_of(model).get("kind")
    return None if field is None else field.default


def _yaml_path(location: Sequence[str | int], content: Any) -> Iterator[str]:  # noqa: ANN401
    """The keys on the way to a mistake, without the kind that pydantic puts among them."""
    after_kind = False
    for depth, part in enumerate(location, start=1):
        after_kind = not after_kind and _is_kind(part, content, last=depth == len(location))
        if after_kind:
            continue
        yield str(part)
        try:
            content = content[part]
        except (KeyError, IndexError, TypeError):
            content = None


def _is_kind(part: str | int, content: object, *, last: bool) -> bool:
    """True if a part of the path is a kind, not a key with the same name."""
    if not isinstance(content, Mapping) or part != content.get("kind"):
        return False
    return part not in content or not (last or isinstance(content[part], Mapping | list))


def _short(value: object, limit: int = 60) -> str:
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 3] + "..."


class _Unclear(str):
    """A scalar that YAML 1.1 takes for another number than people do: 012, 1:30."""


class _Strict(yaml.SafeLoader):
    """A YAML loader without surprises.

    A key given twice is refused, 3e3 is a number, 012 and 1:30 are none, and ``true`` stays the
    word it is: keys that are yes or no understand it, and no number does.
    """

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict:
        """Build a mapping; a repeated key is an error instead of a silent override."""
        seen = set()
        for key_node, _ in node.value:
            if key_node.tag == "tag:yaml.org,2002:merge":
                continue
            key = self.construct_object(key_node, deep=True)
            if not isinstance(key, Hashable):
                continue  # refused below, with its place
            if key in seen:
                raise yaml.constructor.ConstructorError(
                    None, None, f"key '{key}' is given twice", key_node.start_mark
                )
            seen.add(key)
        return super().construct_mapping(node, deep)


def _resolve(tag: str, pattern: str, first: str) -> None:
    """Read plain scalars of a form as what ``tag`` says, before anything else."""
    form = re.compile(rf"^(?:{pattern})$")
    for character in first:
        _Strict.yaml_implicit_resolvers[character].insert(0, (tag, form))


_BOOL = "tag:yaml.org,2002:bool"
_Strict.yaml_implicit_resolvers = {
    first: [(tag, form) for tag, form in resolvers if tag != _BOOL]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_resolve("tag:yaml.org,2002:float", r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+", "+-.0123456789")
_resolve("!unclear", r"[-+]?(0[0-9_]+|[0-9][0-9_]*(:[0-5]?[0-9])+(\.[0-9_]*)?)", "+-0123456789")
_Strict.add_constructor("!unclear", lambda loader, node: _Unclear(node.value))

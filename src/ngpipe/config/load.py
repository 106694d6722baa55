"""Read a YAML config and name all of its mistakes at once, each with its YAML path."""

from collections.abc import Hashable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from ngpipe.errors import ConfigError

Model = TypeVar("Model", bound=BaseModel)


def load(path: Path, model: type[Model]) -> Model:
    """Read and validate a YAML file.

    Raises:
        ConfigError: the file is missing, is not YAML, or does not fit ``model``.
    """
    return validate(content_of(path), model, where=str(path))


def content_of(path: Path) -> object:
    """What a YAML file says; an empty one says nothing.

    Raises:
        ConfigError: the file is missing or is not YAML.
    """
    path = Path(path)
    if not path.is_file():
        known = ", ".join(sorted(p.stem for p in path.parent.glob("*.yaml"))) or "none"
        raise ConfigError(f"no config at {path}; configs beside it: {known}")
    try:
        content = yaml.load(path.read_text(), Loader=_UniqueKeys)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is not valid YAML: {error}") from error
    return content if content is not None else {}


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
        lines = [_line(mistake, content) for mistake in mistakes]
        raise ConfigError("\n  ".join([f"{where} is not a valid config:", *lines])) from error


def _follows(mistake: Mapping) -> bool:
    """Whether a collection counts as too short only because its items hold mistakes."""
    return mistake["type"] == "too_short" and len(mistake["input"]) >= mistake["ctx"]["min_length"]


def _line(mistake: Mapping, content: object) -> str:
    path = ".".join(_yaml_path(mistake["loc"], content))
    message = mistake["msg"].removeprefix("Value error, ")
    if not path:
        return message
    if mistake["type"] == "missing":
        return f"{path}: {message}"
    return f"{path}: {message} (got {_short(mistake['input'])})"


def _yaml_path(location: Sequence[str | int], content: object) -> Iterator[str]:
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
    """Whether a part of the way is a kind, not a key that is called as the kind is."""
    if not isinstance(content, Mapping) or part != content.get("kind"):
        return False
    return part not in content or not (last or isinstance(content[part], Mapping | list))


def _short(value: object, limit: int = 60) -> str:
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 3] + "..."


class _UniqueKeys(yaml.SafeLoader):
    """A YAML loader that refuses a key given twice."""

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

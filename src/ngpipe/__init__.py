"""ngpipe: recover the structure and functions of neural networks from their activity.

``from ngpipe import recover`` does it for activity at hand. Names are looked up when they are used:
``import ngpipe`` loads nothing, and the keys of results do not depend on what is lent here.
"""

from importlib import import_module
from typing import Any

_NAMES = {"recover": "api.recovering", "RecoveredAssembly": "api.recovered_assembly"}
"""Public names, with their modules."""
__all__ = sorted(_NAMES)


def __getattr__(name: str) -> Any:  # noqa: ANN401
    if name not in _NAMES:
        raise AttributeError(f"module {__name__} has no attribute {name!r}; it has {__all__}")
    return getattr(import_module(f"{__name__}.{_NAMES[name]}"), name)


def __dir__() -> list[str]:
    return [*globals(), *__all__]

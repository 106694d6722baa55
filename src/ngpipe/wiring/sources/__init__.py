"""Readers of connectomes: files of users, named ones, synapse tables, and generated ones.

``from ngpipe.wiring.sources import ...`` finds the names of ``named``, as scripts know them.
"""

from importlib import import_module

_OF_NAMED = (
    "celegans",
    "optic_lobe",
    "optic_lobe_types",
)


def __getattr__(name: str) -> object:
    if name not in _OF_NAMED:
        raise AttributeError(f"module {__name__} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.named"), name)

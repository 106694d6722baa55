"""Readers of connectomes: files of users, named ones, synapse tables, and generated ones.

``from ngpipe.wiring.sources import ...`` finds the names of ``named``, as scripts know them.
"""

from importlib import import_module


def __getattr__(name: str) -> object:
    return getattr(import_module(f"{__name__}.named"), name)

"""Null models of a connectome, removals with matched controls, and motifs.

``from ngpipe.wiring.nulls import ...`` finds the names of ``models``, as scripts know them.
"""

from importlib import import_module


def __getattr__(name: str) -> object:
    return getattr(import_module(f"{__name__}.models"), name)

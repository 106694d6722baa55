"""Null models of a connectome, removals with matched controls, and motifs.

``from ngpipe.wiring.nulls import ...`` finds the names of ``models``, as scripts know them.
"""

from importlib import import_module

_OF_MODELS = (
    "LEAST_SWEEPS",
    "NULLS",
    "Null",
    "TOSSED",
    "enough_sweeps",
    "erdos_renyi",
    "mixing",
    "p_value",
    "permuted_by_distance",
    "permuted_connections",
    "permuted_weights",
    "rewired",
)


def __getattr__(name: str) -> object:
    if name not in _OF_MODELS:
        raise AttributeError(f"module {__name__} has no attribute {name!r}")
    return getattr(import_module(f"{__name__}.models"), name)

"""Null models of a connectome, removals with matched controls, and motifs.

``from ngpipe.wiring.nulls import rewired`` finds the public names of its modules.
"""

from importlib import import_module

_NAMES = {
    "permuting": (
        "erdos_renyi",
        "permuted_by_distance",
        "permuted_connections",
        "permuted_weights",
    ),
    "rewiring": ("enough_sweeps", "mixing", "rewired"),
    "significance": ("p_value",),
    "signs": ("excitatory_probability", "sampled_signs", "uncertain_signs"),
    "table": ("NULLS", "Null"),
}
"""Public names, by module."""
_MODULE = {name: module for module, names in _NAMES.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in _MODULE:
        raise AttributeError(f"module {__name__} has no attribute {name!r}; it has {list(_MODULE)}")
    return getattr(import_module(f"{__name__}.{_MODULE[name]}"), name)

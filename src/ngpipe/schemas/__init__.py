"""Schemas of all stores: variables, their dimensions, units and meaning; a module a system.

``schemas.SIMULATION`` finds the schema in its module.
"""

from importlib import import_module

_NAMES = {
    "assembly": ("RECOVERY", "ROLLOUT", "SIMULATION", "TRAINING"),
    "atlas": ("MEASURED",),
    "circuit": ("RESPONSES",),
    "connectome": ("ATTRIBUTION", "CONTROL", "FIT", "STIMULI"),
    "variable": ("Schema", "Variable"),
    "wiring": ("CONNECTOME",),
}
"""Public names, by module."""
_MODULE = {name: module for module, names in _NAMES.items() for name in names}


def __getattr__(name: str) -> object:
    if name not in _MODULE:
        raise AttributeError(f"module {__name__} has no attribute {name!r}; it has {list(_MODULE)}")
    return getattr(import_module(f"{__name__}.{_MODULE[name]}"), name)

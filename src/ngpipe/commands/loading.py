"""Steps, loaded when they are called: a step's key then covers exactly what it loads."""

import importlib
import sys
from types import ModuleType

from ngpipe.keys import check_closure, step_module


def step(name: str, *drawn: str) -> ModuleType:
    """Import a step and check that its key covers all it loads; others may have run before it.

    Args:
        name: of the step.
        drawn: modules that it is to load by name.
    """
    before = set(sys.modules)
    module = importlib.import_module(step_module(name))
    for other in drawn:
        importlib.import_module(other)
    check_closure(name, *drawn, loaded=set(sys.modules) - before)
    return module

"""Names of modules: one name, one idea; earlier names still serve scripts."""

import ast
import importlib
from collections import defaultdict
from functools import cache
from graphlib import CycleError, TopologicalSorter

import pytest

from ngpipe.keys import PACKAGE

EARLIER = {
    path: text.split(":mod:`")[1].split("`")[0]
    for path in sorted(PACKAGE.rglob("*.py"))
    if (text := path.read_text(encoding="utf-8")).startswith('"""Earlier name of ')
}
"""Modules that lend an earlier name, and the modules that have it now."""
SHARED = {
    # the config section, what computes, the files, the step, the command and the panels of one idea
    *("assembly", "blocks", "circuit", "conditions", "connectivity", "experiment", "figures"),
    *("fit", "impulse", "inputs", "inspect", "material", "measures", "motifs", "movie", "new"),
    *("nulls", "plots", "rates", "readouts", "respond", "responses", "rollout", "search"),
    *("stimuli", "sweep", "table", "verify", "wiring"),
}
"""Names that several rooms have for the same idea."""


@cache
def imports_in(path) -> list[ast.Import | ast.ImportFrom]:
    """All imports of a module."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return [one for one in ast.walk(tree) if isinstance(one, ast.Import | ast.ImportFrom)]


def imported(path, known: set[str]) -> set[str]:
    """Those of the known modules that a module imports, wherever in it: in functions too, and for
    annotations alone. The names that a package looks up when they are used are no imports."""
    found = set()
    for node in imports_in(path):
        if isinstance(node, ast.Import):
            found |= {one.name for one in node.names}
        else:
            names = {f"{node.module}.{one.name}" for one in node.names}
            found |= {name if name in known else node.module for name in names}
    return found & known


def dotted(path) -> str:
    parts = ("ngpipe", *path.relative_to(PACKAGE).with_suffix("").parts)
    return ".".join(parts).removesuffix(".__init__")


def test_no_name_stands_for_two_ideas():
    found = defaultdict(list)
    for path in PACKAGE.rglob("*.py"):
        if path not in EARLIER and path.stem != "__init__":
            found[path.stem].append(dotted(path))
    assert {name for name, modules in found.items() if len(modules) > 1} == SHARED


@pytest.mark.parametrize("path", EARLIER, ids=dotted)
def test_an_earlier_name_gives_the_same_objects(path):
    now = importlib.import_module(EARLIER[path])
    before = importlib.import_module(dotted(path))
    own = {
        name for name, one in vars(now).items() if getattr(one, "__module__", "") == now.__name__
    }
    public = {name for name in own if not name.startswith("_")}
    assert public
    assert all(getattr(before, name) is getattr(now, name) for name in public)


@pytest.mark.parametrize(
    ("room", "name"),
    [
        *(("wiring.nulls", name) for name in ("NULLS", "rewired", "permuted_weights", "p_value")),
        *(("wiring.sources", name) for name in ("celegans", "optic_lobe")),
    ],
)
def test_a_room_lends_the_names_of_the_module_it_was(room, name):
    assert callable(getattr(importlib.import_module(f"ngpipe.{room}"), name)) or name == "NULLS"
    with pytest.raises(AttributeError, match="no attribute 'rewird'"):
        importlib.import_module(f"ngpipe.{room}").rewird  # noqa: B018


def test_ngpipe_itself_uses_no_earlier_name():
    earlier = {dotted(path) for path in EARLIER}
    used = set()
    for path in PACKAGE.rglob("*.py"):
        for node in imports_in(path):
            if isinstance(node, ast.ImportFrom) and node.module:
                used |= {node.module, *(f"{node.module}.{one.name}" for one in node.names)}
    assert not used & earlier


def test_no_modules_import_one_another_in_a_circle():
    paths = {dotted(path): path for path in PACKAGE.rglob("*.py")}
    known = set(paths)
    imports = {name: imported(path, known) for name, path in paths.items()}
    assert sum(map(len, imports.values())) > len(known)
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        pytest.fail(f"imports in a circle: {' < '.join(error.args[1])}")

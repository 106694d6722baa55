"""Whose source counts for what: no stage and no panel depends on another system."""

import re
from collections.abc import Iterable

import pytest

from ngpipe import keys
from ngpipe.config.figures import KINDS
from ngpipe.study.records import SYSTEMS

ROOMS = {
    "assembly": (
        "assembly|metrics.(connectivity|neurons|external|prediction)"
        "|dynamics.(assembly|inputs|movie|saturation)|wiring.ensembles"
        "|config.assembly|schemas.assembly|figures.(assembly|movie|drawing.raster)"
        "|artifacts.(learning|model_file|named_readout|recordings|sampling|solver_lines|survey|whose)"
    ),
    "connectome": (
        "connectome|metrics.responses|config.connectome|schemas.connectome"
        "|figures.(connectome|drawing.(lattice|layered|ordering))"
        "|artifacts.(fit_targets|network_file|readouts|stimuli)"
    ),
    "circuit": (
        "circuit|metrics.circuit|wiring.nulls.(ablations|motifs)|config.circuit|schemas.circuit|figures.circuit"
    ),
    "atlas": "wiring.sources.functional_atlas|config.atlas|schemas.atlas|figures.atlas",
}
"""Modules below ngpipe that belong to one system."""
STAGES = [(system, stage) for system, stages in SYSTEMS.items() for stage in stages]


def of_others(system: str | None, modules: Iterable[str]) -> list[str]:
    """Modules that belong to another system, its stages among them."""
    found = []
    for other in ROOMS.keys() - {system}:
        stages = "|".join(SYSTEMS[other].keys() - SYSTEMS.get(system, {}).keys())
        pattern = re.compile(rf"ngpipe\.({ROOMS[other]}|steps\.({stages}))(\.|$)")
        found += filter(pattern.match, modules)
    return sorted(found)


@pytest.mark.parametrize(("system", "stage"), STAGES)
def test_a_stage_depends_on_no_other_system(system, stage):
    assert of_others(system, keys.closure(keys.step_module(stage))) == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_panel_depends_on_no_other_system(kind):
    closure = keys.closure("ngpipe.steps.panel", *KINDS[kind].roots)
    assert of_others(KINDS[kind].system, closure) == []


@pytest.mark.parametrize("step", ["panel", "figure", "sweep"])
def test_a_step_of_all_systems_depends_on_none(step):
    assert of_others(None, keys.closure(keys.step_module(step))) == []


def test_a_panel_depends_on_its_own_drawing_alone():
    closure = keys.closure("ngpipe.steps.panel", *KINDS["phi"].roots)
    drawings = {kind.module for kind in KINDS.values()}
    assert closure.keys() & drawings == {
        f"ngpipe.figures.assembly.{name}" for name in ("functions", "structure")
    }


def test_code_loads_no_module_of_ngpipe_by_name_but_drawings():
    """What it takes from such a module counts only if it is a root, as the drawing of a panel."""
    steps = [keys.step_module(stage) for _, stage in STAGES]
    steps += [f"ngpipe.steps.{step}" for step in ("panel", "movie", "figure", "sweep")]
    roots = [root for kind in KINDS.values() for root in kind.roots]
    loading = {
        module
        for module in keys.closure(*steps, *roots)
        for part in keys.code(module).parts
        if part.used & {"import_module", "importlib"}
    }
    texts = {module: keys.path_of(module).read_text() for module in loading}
    assert "ngpipe.dynamics.movie" in texts  # loads optional libraries
    packages = {name for name in loading if keys.path_of(name).stem == "__init__"}
    of_ngpipe = {name for name, text in texts.items() if re.search('"ngpipe[.]', text)}
    drawing = {name for name, text in texts.items() if "KINDS[" in text}
    assert of_ngpipe <= packages
    assert drawing == {"ngpipe.figures.drawing.compose"}


def test_no_class_asks_for_the_classes_below_it():
    """Those count only where they are named."""
    for path in keys.PACKAGE.rglob("*.py"):
        assert not re.search("__subclasses__|__init_subclass__", path.read_text()), path


@pytest.mark.parametrize(
    ("stage", "sections"),
    [
        ("wire", set()),
        ("respond", {"blocks", "rates", "impulse", "runs", "conditions", "nulls"}),
        ("motifs", {"motifs", "nulls"}),
        ("compare", {"blocks", "measures", "impulse", "conditions", "nulls"}),
    ],
)
def test_a_stage_of_a_circuit_depends_on_the_sections_it_reads(stage, sections):
    room = "ngpipe.config.circuit."
    closure = keys.closure(keys.step_module(stage))
    assert {name.removeprefix(room) for name in closure if name.startswith(room)} == sections


def test_a_room_of_another_system_would_be_found():
    assert of_others("assembly", keys.closure("ngpipe.steps.respond"))
    assert of_others("connectome", frozenset({"ngpipe.steps.train"})) == ["ngpipe.steps.train"]

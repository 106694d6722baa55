"""Whose source counts for what: no stage and no panel depends on another system."""

import re

import pytest

from ngpipe import keys
from ngpipe.config.figures import KINDS
from ngpipe.steps.systems import SYSTEMS

ROOMS = {
    "assembly": (
        "assembly|metrics.(connectivity|neurons|external|prediction)"
        "|dynamics.(assembly|inputs|movie|saturation)|wiring.ensembles"
        "|config.(connectivity|experiment|inputs|recovery|simulation|training)"
        "|figures.(assembly|functions|inputs|movie|raster|structure|traces)"
        "|steps.(model_file|origin|recordings|sampling|survey|told)"
    ),
    "connectome": (
        "connectome|metrics.responses|wiring.signs"
        "|config.(connectome|excitability|readouts|stimuli)"
        "|figures.(connectome|lattice|layered|ordering|responses)"
        "|steps.(given|inputs|measures|network_file)"
    ),
    "circuit": (
        "circuit|metrics.circuit|wiring.(ablations|motifs)|config.circuit"
        "|figures.(beyond|circuit|impulse|motifs|sweeps|times)"
    ),
}
"""Modules below ngpipe that belong to one system."""
STAGES = [(system, stage) for system, stages in SYSTEMS.items() for stage in stages]


def of_others(system: str | None, modules: frozenset[str]) -> list[str]:
    """Modules that belong to another system, its stages among them."""
    found = []
    for other in ROOMS.keys() - {system}:
        stages = "|".join(SYSTEMS[other].keys() - SYSTEMS.get(system, {}).keys())
        pattern = re.compile(rf"ngpipe\.({ROOMS[other]}|steps\.({stages}))(\.|$)")
        found += filter(pattern.match, modules)
    return sorted(found)


@pytest.mark.parametrize(("system", "stage"), STAGES)
def test_a_stage_depends_on_no_other_system(system, stage):
    assert of_others(system, keys.closure(f"ngpipe.steps.{stage}")) == []


@pytest.mark.parametrize("kind", KINDS)
def test_a_panel_depends_on_no_other_system(kind):
    closure = keys.closure("ngpipe.steps.panel", KINDS[kind].module)
    assert of_others(KINDS[kind].system, closure) == []


@pytest.mark.parametrize("step", ["panel", "figure", "sweep"])
def test_a_step_of_all_systems_depends_on_none(step):
    assert of_others(None, keys.closure(f"ngpipe.steps.{step}")) == []


def test_a_panel_depends_on_its_own_drawing_alone():
    closure = keys.closure("ngpipe.steps.panel", KINDS["phi"].module)
    drawings = {kind.module for kind in KINDS.values()}
    assert closure & drawings == {"ngpipe.figures.functions", "ngpipe.figures.structure"}


def test_a_room_of_another_system_would_be_found():
    assert of_others("assembly", keys.closure("ngpipe.steps.respond"))
    assert of_others("connectome", frozenset({"ngpipe.steps.train"})) == ["ngpipe.steps.train"]

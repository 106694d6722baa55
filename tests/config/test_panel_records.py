"""Kinds of panels: one record beside the function that draws it, and nothing else."""

import shutil
from importlib import import_module

import pytest

from ngpipe.config import panels
from ngpipe.config.figures import KINDS, Panel
from ngpipe.config.panels import SWEPT, PanelKind, panel_kinds
from ngpipe.errors import ConfigError
from ngpipe.figures.drawing.material import Material, results_of
from ngpipe.study.records import SYSTEMS

TOY = '''"""A panel of the sun."""

from ngpipe.config.panels import PanelKind
from ngpipe.figures.assembly.material import AssemblyMaterial

PANELS = (
    PanelKind(
        "sun",
        system="assembly",
        shows="the sun, "
        "which is round",
        reads=("simulation.zarr",),
    ),
)
MATERIAL = AssemblyMaterial


def sun(material, ax):
    return ax
'''


@pytest.fixture
def figures(tmp_path, monkeypatch):
    """A copy of the drawings that a test may add to."""
    copy = shutil.copytree(panels.FIGURES, tmp_path / "figures")
    monkeypatch.setattr(panels, "FIGURES", copy)
    panel_kinds.cache_clear()
    yield copy
    panel_kinds.cache_clear()


def test_one_file_adds_a_kind(figures):
    (figures / "sun.py").write_text(TOY)
    found = panel_kinds()
    assert found.keys() - KINDS.keys() == {"sun"}
    assert found["sun"].shows == "the sun, which is round"
    assert (found["sun"].module, found["sun"].function) == ("ngpipe.figures.sun", "sun")


def test_two_records_of_one_name_are_refused(figures):
    (figures / "sun.py").write_text(TOY.replace('"sun"', '"phi"'))
    with pytest.raises(ConfigError, match=r"stands in ngpipe\.figures\.assembly\.functions and in"):
        panel_kinds()


@pytest.mark.parametrize("module", sorted({kind.module for kind in KINDS.values()}))
def test_what_is_read_from_the_text_is_what_python_reads(module):
    loaded = import_module(module)
    assert issubclass(loaded.MATERIAL, Material)
    found = [kind for kind in KINDS.values() if kind.module == module]
    assert [PanelKind(**{**vars(kind), "module": ""}) for kind in found] == list(loaded.PANELS)
    assert all(callable(getattr(loaded, kind.function)) for kind in found)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_a_kind_names_results_and_options_that_there_are(kind):
    made = [file for stage in SYSTEMS.get(kind.system, {}).values() for file in stage.outputs]
    assert set(kind.reads) <= {*made, SWEPT}
    known = results_of(import_module(kind.module).MATERIAL).values()
    assert set(kind.reads) <= {one.file for one in known}
    assert {*kind.needs, *kind.takes} <= Panel.model_fields.keys()
    assert 1 <= kind.columns <= 3

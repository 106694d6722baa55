"""Every key is explained, every number has its unit, and the generated files are up to date."""

import json
import re
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import get_args

import pytest
from pydantic.fields import FieldInfo

from ngpipe.config import describe
from ngpipe.config.assembly.experiment import Experiment
from ngpipe.config.assembly.simulation import Simulation
from ngpipe.config.atlas.experiment import AtlasExperiment
from ngpipe.config.base import fields_of, models_in
from ngpipe.config.circuit.experiment import CircuitExperiment
from ngpipe.config.connectome.experiment import ConnectomeExperiment
from ngpipe.config.figures import KINDS, Figures, Kind
from ngpipe.config.filters import NOTEBOOK
from ngpipe.config.nulls import null_kinds

ROOT = Path(__file__).parents[2]
MODELS = (Experiment, ConnectomeExperiment, CircuitExperiment, AtlasExperiment, Figures)
KEYS = [(model, key) for model in MODELS for key in describe.keys(model)]
UNITS = {"1", "1/tau", "1 or 1/tau", "tau", "activity", "frames", "steps", "columns", "pt"}
UNITS |= {"Hz", "inch", "1/inch", "s", "synapses", "unit of the connectome", "of the key"}
IDS = "filters.exclude"
"""A key whose numbers have no unit."""


def leaves(annotation: object) -> set[object]:
    """All types inside an annotation."""
    return {annotation}.union(*(leaves(inner) for inner in get_args(annotation)))


def field_at(model: type, path: str) -> FieldInfo:
    """The field that a path such as ``types[].leak`` or ``connectivity(kind=file).path`` names."""
    for part in path.replace(".<name>", "").split("."):
        name, kind = re.fullmatch(r"(\w+)(?:\[\])?(?:\(kind=(\w+)\))?", part).groups()
        field = fields_of(model)[name]
        inner = list(models_in(field.annotation))
        model = next((m for m in inner if kind in (None, _kind(m))), None)
    return field


def _kind(section: type) -> str | None:
    return fields_of(section)["kind"].default if "kind" in fields_of(section) else None


NUMBERS = [
    (m, k)
    for m, k in KEYS
    if leaves(field_at(m, k.path).annotation) & {int, float}
    if not k.path.endswith(IDS)
]


def test_every_key_has_a_sentence():
    for model, key in KEYS:
        text = key.description
        assert text == field_at(model, key.path).description, key.path
        assert len(text) >= 10, key.path
        assert text[0].isupper() or text.startswith(("'", "(", "`", "phi", "psi")), key.path
        assert text.endswith((".", ")")), key.path


def test_every_number_has_a_unit():
    assert {key.path: key.unit for _, key in NUMBERS if key.unit not in UNITS} == {}


def test_the_numbers_are_found():
    """Else the test above would hold of nothing."""
    paths = {key.path for _, key in NUMBERS}
    assert len(paths) > 60
    assert {
        "simulation.dt",
        "simulation.types[].leak",
        "simulation.connectivity(kind=lorentz).exponent",
        "training.penalties.psi_scale",
        "rollout.at",
        "reference",
        "network.tau",
        "stimuli.<name>(kind=search).drive",
        "network.ee_unit",
        "impulse.duration",
        "connectome.source(kind=synapses).filters.min_synapses",
        "style.font_size",
        "figures.<name>.panels.<name>.frame",
    } <= paths
    assert not paths & {"simulation", "simulation.connectivity(kind=file).path"}


def test_nothing_else_has_a_unit():
    assert [key.path for pair in KEYS if pair not in NUMBERS if (key := pair[1]).unit] == []


def test_units_are_those_of_the_physics():
    units = {key.path: key.unit for key in describe.keys(Simulation)}
    assert units["dt"] == "tau"
    assert units["types[].leak"] == units["types[].self_excitation"] == "1/tau"
    assert units["types[].gain"] == "1/tau"
    assert units["initial_std"] == units["noise"] == "activity"
    assert units["burn_in"] == "frames"


def test_defaults_are_those_of_the_models():
    defaults = {key.path: key.default for key in describe.keys(Experiment)}
    assert json.loads(defaults["simulation.n_neurons"]) == Simulation().n_neurons
    assert json.loads(defaults["simulation.connectivity(kind=lorentz).exponent"]) is None
    assert json.loads(defaults["rollout.at"]) == [400, 800]
    assert defaults["simulation.connectivity(kind=file).path"] == "required"


@pytest.mark.parametrize(
    ("path", "default"),
    [
        ("connectome.source(kind=synapses).filters.min_synapses", "21"),
        ("connectome.source(kind=synthetic).filters.proofread", "true"),
        ("connectome.without_sign", '"excitatory"'),
        ("impulse.end", "15.0"),
    ],
)
def test_a_default_is_that_of_a_key_left_out(path, default):
    """Of filters a config takes those of the notebook, a script none."""
    assert {key.path: key.default for key in describe.keys(CircuitExperiment)}[path] == default


def test_the_schema_shows_the_same_defaults():
    schema = json.loads(describe.schemas()["circuitexperiment.schema.json"])
    filters = schema["$defs"]["Filters"]["properties"]
    assert {name: key["default"] for name, key in filters.items()} == json.loads(
        json.dumps(asdict(NOTEBOOK))
    )


def test_the_help_of_a_command_gives_unit_default_and_meaning():
    text = describe.describe(Simulation)
    assert text.startswith("config section simulation:\n")
    assert (
        "  dt [tau] = 0.01\n      Integration step. Frames are `frame_every` steps apart.\n" in text
    )


def test_every_kind_of_panel_is_explained():
    assert tuple(KINDS) == get_args(Kind)
    reference = describe.reference()
    for name, kind in KINDS.items():
        assert f"| `{name}` | {kind.shows} |" in reference


def test_generated_files_are_up_to_date():
    """If this fails: make docs."""
    expected = {"config/README.md": describe.reference()}
    expected |= {f"workflow/schemas/{name}": text for name, text in describe.schemas().items()}
    assert {path: (ROOT / path).read_text() for path in expected} == expected


def test_they_are_generated_where_they_belong(tmp_path):
    (tmp_path / "config").mkdir()
    (tmp_path / "workflow" / "schemas").mkdir(parents=True)
    describe.write(tmp_path)
    found = {p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file()}
    assert found == {
        "config/README.md",
        "workflow/schemas/atlasexperiment.schema.json",
        "workflow/schemas/circuitexperiment.schema.json",
        "workflow/schemas/connectomeexperiment.schema.json",
        "workflow/schemas/experiment.schema.json",
        "workflow/schemas/figures.schema.json",
    }


def test_rows_of_the_reference_are_not_cut_by_bars():
    rows = [line for line in describe.reference().splitlines() if line.startswith("| `")]
    assert len(rows) == len(KEYS) + len(KINDS) + len(null_kinds())
    cells = {len(re.split(r"(?<!\\)\|", row)) for row in rows}
    assert cells == {4, 6}  # a kind of panel; a key or a null


def test_the_schema_refuses_what_the_models_refuse():
    """An editor that uses the schema marks unknown keys and wrong units of size."""
    schema = json.loads(describe.schemas()["experiment.schema.json"])
    simulation = schema["$defs"]["Simulation"]
    assert simulation["additionalProperties"] is False
    assert simulation["properties"]["dt"]["exclusiveMinimum"] == 0


@pytest.mark.slow
def test_describing_needs_no_heavy_library():
    """The command line imports it for the ``--help`` of every stage."""
    script = (
        "import sys, ngpipe.config.describe; print(sorted({'torch', 'xarray'} & {*sys.modules}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(describe.__file__).parents[2],
    )
    assert done.stdout.strip() == "[]"

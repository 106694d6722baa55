"""Pages in docs/ are held to the code: their configs load, their tables name what there is."""

import re
from pathlib import Path
from typing import get_args

import numpy as np
import pandas as pd
import pytest
import xarray as xr
import yaml

from ngpipe.circuit.impulse import Impulse
from ngpipe.circuit.measures import STATUSES, compare, measure
from ngpipe.config.circuit import Condition, NullName
from ngpipe.config.figures import Figures
from ngpipe.config.load import validate
from ngpipe.config.systems import EXPERIMENTS
from ngpipe.schemas import RESPONSES
from ngpipe.steps.compare import LABELS
from ngpipe.steps.motifs import MIXING
from ngpipe.steps.systems import SYSTEMS
from ngpipe.wiring.motifs import PAIRS, TRIADS
from ngpipe.wiring.nulls import NULLS
from ngpipe.wiring.synapses import RELEASES

ROOT = Path(__file__).parents[2]
PAGES = sorted((ROOT / "docs").glob("*.md"))
CONFIGS = [
    pytest.param(content, id=f"{page.name}-{number}")
    for page in PAGES
    for number, content in enumerate(re.findall(r"```yaml\n(.*?)```", page.read_text(), re.S))
]


def section(page: str, title: str) -> str:
    """What stands on a page under a heading, up to the next one of its level."""
    level = title.split(" ")[0]
    text = (ROOT / "docs" / page).read_text()
    assert f"\n{title}\n" in text, f"{page} has no heading {title}"
    return re.split(rf"\n#{{1,{len(level)}}} ", text.split(f"\n{title}\n")[1])[0]


def rows(text: str) -> list[list[str]]:
    """Cells of the rows of all tables."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def words(cells: list[str]) -> list[str]:
    """What is set as code, in order."""
    return [word for cell in cells for word in re.findall(r"`([^`]+)`", cell)]


def test_configs_are_found():
    """Else the test below would hold of nothing."""
    assert len(CONFIGS) >= 12


@pytest.mark.parametrize("content", CONFIGS)
def test_configs_of_the_pages_are_valid(content):
    read = yaml.safe_load(content)
    model = Figures if "figures" in read else EXPERIMENTS[read.get("system", "assembly")]
    validate(read, model, where="the page")


def test_every_null_says_what_it_keeps():
    table = [row for row in rows(section("circuits.md", "## Nulls"))[2:]]
    assert table == [[f"`{name}`", null.keeps, null.renews] for name, null in NULLS.items()]
    assert get_args(NullName) == tuple(NULLS)


@pytest.mark.parametrize("field", ["remove", "match"])
def test_every_removal_and_control_is_told(field):
    text = section("circuits.md", "## Ablations and controls")
    start = next(i for i, row in enumerate(rows(text)) if row[0] == f"`{field}`")
    told = []
    for row in rows(text)[start + 2 :]:
        if words(row[:1]) in (["match"], ["remove"]):
            break
        told += words(row[:1])
    choices = [a for a in get_args(Condition.model_fields[field].annotation) if a is not type(None)]
    assert set(told) == set(get_args(choices[0]))


def test_every_status_is_told():
    table = rows(section("circuits.md", "## Measures"))
    assert set(STATUSES) <= {word for row in table for word in words(row[:1])}


def test_every_motif_is_told():
    told = words([cell for row in rows(section("circuits.md", "## Motifs")) for cell in row[:1]])
    assert told == [*PAIRS, TRIADS[0], TRIADS[-1]]


def test_every_release_is_told():
    table = {row[0]: row[1:] for row in rows(section("circuits.md", "### Releases and `columns`"))}
    releases = [RELEASES["v1300"], RELEASES["phase1"]]
    assert [words(table["`pre`, `post`, `size`"])] == [
        [word for r in releases for word in (r.pre, r.post, r.size)]
    ]
    assert words(table["`id`, `cell_type`"]) == [x for r in releases for x in (r.id, r.cell_type)]
    assert len(table[""]) == len(RELEASES)


def test_every_variable_of_the_responses_is_told():
    table = {row[0].strip("`"): row for row in rows(section("stores.md", "### responses.zarr"))[2:]}
    assert list(table) == list(RESPONSES)
    for name, variable in RESPONSES.items():
        assert table[name][1] == ", ".join(variable.dims), name
        assert table[name][3] == variable.units, name


def test_every_file_of_a_circuit_is_told():
    written = {file for stage in SYSTEMS["circuit"].values() for file in stage.outputs}
    text = (ROOT / "docs" / "stores.md").read_text()
    listed = rows(text.split("Of one of system `circuit`:")[1].split("Dimension names")[0])
    assert {word for row in listed for word in words(row[:1])} == written


@pytest.fixture
def measured(rng):
    traces = rng.random((3, Impulse().n_steps))
    found = {"excitatory": (("run", "time"), traces), "eigenvalue": ("run", np.zeros(3))}
    return measure(xr.Dataset(found), Impulse())


def test_every_column_of_the_tables_is_told(measured: pd.DataFrame):
    text = section("stores.md", "### Tables of a circuit experiment")
    parts = re.split(r"\n(?=`\w+\.csv`)", text)
    told = {
        words([part.splitlines()[0]])[0]: words([row[0] for row in rows(part)])
        for part in parts[1:]
    }
    labels = [*LABELS[:3]]
    assert told["measures.csv"] == [*LABELS, *measured, "predicted_time"]
    assert told["comparison.csv"] == [*labels, *compare(measured, measured)]
    assert told["mixing.csv"] == MIXING
    assert told["motifs.csv"] == ["motif", "count", "mean", "sd", "z", "p", "samples", "null"]

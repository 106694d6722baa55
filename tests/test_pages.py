"""Pages in docs/ are held to the code: their configs load, their tables name what there is."""

import re
from itertools import groupby
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
import yaml

from ngpipe.circuit.impulse import Impulse
from ngpipe.circuit.measures import STATUSES, measure
from ngpipe.config.figures import Figures
from ngpipe.config.load import validate
from ngpipe.config.nulls import null_kinds
from ngpipe.config.systems import EXPERIMENTS
from ngpipe.schemas import RESPONSES
from ngpipe.steps.compare import COMPARED, LABELS
from ngpipe.steps.motifs import MIXING
from ngpipe.study.records import SYSTEMS
from ngpipe.wiring.nulls import NULLS
from ngpipe.wiring.nulls.ablations import MATCH, REMOVE
from ngpipe.wiring.nulls.motifs import PAIRS, TRIADS
from ngpipe.wiring.sources.synapses import RELEASES

DOCS = Path(__file__).parents[1] / "docs"
ELSEWHERE = (
    "README.md",
    "CONTRIBUTING.md",
    "CHANGELOG.md",
    "config/README.md",
    "profiles/README.md",
)
PAGES = sorted([*DOCS.glob("*.md"), *(DOCS.parent / name for name in ELSEWHERE)])
FIRST_PAGES = [DOCS.parent / "README.md", DOCS / "start.md"]
CONFIGS = [
    pytest.param(content, id=f"{page.name}-{number}")
    for page in sorted(DOCS.glob("*.md"))
    for number, content in enumerate(re.findall(r"```yaml\n(.*?)```", page.read_text(), re.S))
]


def section(page: str, title: str) -> str:
    """What stands under a heading, up to the next one of its level."""
    text = (DOCS / page).read_text()
    assert f"\n{title}\n" in text, f"{page} has no heading {title}"
    level = len(title.split(" ")[0])
    return re.split(rf"\n#{{1,{level}}} ", text.split(f"\n{title}\n")[1])[0]


def tables(text: str) -> list[list[list[str]]]:
    """Every table: its rows of cells, the header first."""
    blocks = groupby(text.splitlines(), lambda line: line.startswith("|"))
    found = []
    for _, lines in (block for block in blocks if block[0]):
        cells = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]
        found.append([cells[0], *cells[2:]])
    return found


def under(text: str, head: str) -> list[list[str]]:
    """Rows of the table whose first column has this head."""
    return next(table[1:] for table in tables(text) if table[0][0] == head)


def names(rows: list[list[str]]) -> list[str]:
    """What is set as code in the first column."""
    return [name for row in rows for name in re.findall(r"`([^`]+)`", row[0])]


def test_the_gallery_shows_every_figure():
    """With its command and the experiments it draws on, and no other."""
    figures = yaml.safe_load((DOCS.parent / "config" / "config.yaml").read_text())["figures"]
    sections = re.split(r"^### ", (DOCS / "gallery.md").read_text(), flags=re.M)[1:]
    shown = {text.split("\n")[0]: text for text in sections}
    assert set(shown) == set(figures)
    for name, figure in figures.items():
        assert f"    make {name}\n" in shown[name]
        linked = set(re.findall(r"experiments/(\w+)\.yaml", shown[name]))
        assert linked == {panel["of"].split("~")[0] for panel in figure["panels"].values()}


def test_both_first_pages_open_the_stores_in_the_same_way():
    first = [re.findall(r"```python\n(.*?)```", p.read_text(), re.S)[0] for p in FIRST_PAGES]
    assert first[0] == first[1]


def test_the_first_page_shows_every_system():
    text = (DOCS.parent / "README.md").read_text().split("\n## Four systems\n")[1].split("\n## ")[0]
    assert re.findall(r"^\*\*(\w+)\.\*\*", text, re.M) == [name.title() for name in EXPERIMENTS]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_words_in_angle_brackets_stand_in_code(page):
    """Else a browser takes them for tags, and shows nothing."""
    text = re.sub(r"^```.*?^```|^(?: {4}| {7}).*?$", "", page.read_text(), flags=re.S | re.M)
    for line in text.splitlines():
        plain = re.sub(r"(`+).+?(?<!`)\1(?!`)", "", line)
        assert not re.search(r"<(?!https?:|img )[A-Za-z]", plain), line


def test_configs_are_found():
    """Else the test below would hold of nothing."""
    assert len(CONFIGS) >= 12


@pytest.mark.parametrize("content", CONFIGS)
def test_configs_of_the_pages_are_valid(content):
    read = yaml.safe_load(content)
    model = Figures if "figures" in read else EXPERIMENTS[read.get("system", "assembly")]
    validate(read, model, where="the page")


def test_the_pages_say_what_every_step_asks_for():
    told = under(section("cluster.md", "## What a step asks for"), "step")
    known = {name: stage for stages in SYSTEMS.values() for name, stage in stages.items()}
    assert [row[0] for row in told] == list(known)
    for name, threads, memory, minutes, gpu in told:
        stage = known[name]
        terms = [
            f"{stage.memory.base:,}",
            *([f"{stage.memory.pair} N^2"] if stage.memory.pair else []),
            *([f"{stage.memory.value} T N"] if stage.memory.value else []),
            *([f"{stage.memory.shared} N^2 / J"] if stage.memory.shared else []),
        ]
        if stage.gathering is not None:
            terms[-1] += f"; {stage.gathering.base:,} + {stage.gathering.pair} N^2 if J > 1"
        assert memory == " + ".join(terms)
        each = f"{stage.cube:g} (N / 1000)^3" + (" / J" if "job" in stage.counts else "")
        assert minutes == f"{stage.minutes}" + (f" + {each}" if stage.cube else "")
        assert int(threads) == stage.threads
        assert gpu == ("1" if stage.gpu else "")


def test_every_null_says_what_it_keeps():
    told = under(section("circuits.md", "## Nulls"), "null")
    assert told == [
        [f"`{name}`", null.keeps, null.renews, ", ".join(null.needs)]
        for name, null in null_kinds().items()
    ]
    assert list(NULLS) == list(null_kinds())


@pytest.mark.parametrize(
    ("title", "head", "expected"),
    [
        ("## Ablations and controls", "`remove`", REMOVE),
        ("## Ablations and controls", "`match`", MATCH),
        ("## Measures", "`status`", STATUSES),
        ("## Motifs", "motif", (*PAIRS, TRIADS[0], TRIADS[-1])),
    ],
)
def test_every_choice_is_told(title, head, expected):
    assert names(under(section("circuits.md", title), head)) == list(expected)


def test_columns_of_every_release_are_told():
    table = tables(section("circuits.md", "### Releases and `columns`"))[0]
    assert names([[cell] for cell in table[0]]) == [f"release: {name}" for name in RELEASES]
    told = {row[0]: names([[cell] for cell in row[1:]]) for row in table}
    for columns in (["pre", "post", "size"], ["id", "cell_type"]):
        known = [getattr(release, name) for release in RELEASES.values() for name in columns]
        assert told[", ".join(f"`{name}`" for name in columns)] == known


def test_every_file_of_a_circuit_is_told():
    text = (DOCS / "stores.md").read_text().split("Of one of system `circuit`:")[1]
    written = {file for stage in SYSTEMS["circuit"].values() for file in stage.outputs}
    assert set(names(tables(text)[0])) == written


def test_every_variable_of_the_responses_is_told():
    told = under(section("stores.md", "### responses.zarr"), "variable")
    assert names(told) == list(RESPONSES)
    for row, variable in zip(told, RESPONSES.values(), strict=True):
        assert (row[1], row[3]) == (", ".join(variable.dims), variable.units), row


@pytest.fixture
def measured(rng) -> pd.DataFrame:
    traces = rng.random((3, Impulse().n_steps))
    found = {"excitatory": (("run", "time"), traces), "eigenvalue": ("run", np.zeros(3))}
    return measure(xr.Dataset(found), Impulse())


def test_every_column_of_a_circuits_tables_is_told(measured):
    text = section("stores.md", "### Tables of a circuit experiment")
    told = [names(table) for table in tables(text)]
    assert told[0] == [*LABELS, *measured, "predicted_time"]
    assert told[1] == COMPARED
    assert told[2] == ["motif", "count", "mean", "sd", "z", "p", "samples", "null"]
    assert told[3] == MIXING

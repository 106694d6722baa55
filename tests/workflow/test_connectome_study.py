"""The connectome system through Snakemake: from nothing to the page, and what a change reruns."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from studies import NOTHING, Study

NONE: dict[str, int] = {}
CONFIG = """\
figures:
  Brain:
    panels:
      fit: {kind: fit_scatter, of: brain}
      paths: {kind: paths, of: brain, stimulus: flash}
style:
  dpi: 50
"""
BRAIN = """\
system: connectome
connectome: {source: {kind: generated, radius: 1}}
network: {layers: 4, slope: 3, tau: 2}
fit: {targets: config/targets.csv, epochs: 5}
stimuli:
  flash: {kind: pulse, levels: {I1: 1, I2: 1}}
readouts:
  out: {stimulus: flash, groups: [O1]}
attribution: {steps: 4}
control: {draws: 2}
"""
PAGES = {"panel": 2, "figure": 1}
TABLES = {"tabulate": 1, **PAGES}
ALL = {
    **{"wire": 1, "fit": 1, "search": 1, "attribute": 1, "control": 1, "tabulate": 1},
    **PAGES,
}
STAGES = ("wire", "fit", "search", "attribute", "control", "tabulate")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, project: Path) -> Study:
    study = Study(tmp_path_factory.mktemp("brain") / "study", project)
    study.path("config", "experiments").mkdir(parents=True)
    study.path("config", "config.yaml").write_text(CONFIG)
    study.path("config", "experiments", "brain.yaml").write_text(BRAIN)
    table = "stimulus,group,value\nflash,O1,0.4\nflash,O2,0.2\n"
    study.path("config", "targets.csv").write_text(table)
    assert study.planned() == ALL
    study.snakemake()
    return study


@pytest.fixture
def brain(made: Study, tmp_path: Path) -> Study:
    return Study(Path(shutil.copytree(made.directory, tmp_path / "brain")), made.project)


def test_every_stage_leaves_its_results_and_its_key(made: Study) -> None:
    found = {}
    for path in made.path("results", "runs", "brain").glob("*.json"):
        manifest = json.loads(path.read_text())
        found[manifest["stage"]] = manifest["key"]
    assert set(found) == set(STAGES)
    assert len(set(found.values())) == len(STAGES)
    assert made.path("results", "Brain", "Brain.png").stat().st_size
    assert NOTHING in made.snakemake("results/Brain/")
    assert "every file is there" in made.ngpipe("verify", "results/Brain/")


@pytest.mark.parametrize(
    ("name", "old", "new", "stale"),
    [
        ("experiments/brain.yaml", "radius: 1", "radius: 1, seed: 5", ALL),
        ("experiments/brain.yaml", "slope: 3", "slope: 4", {**ALL, "wire": 0}),
        ("targets.csv", "0.4", "0.5", {**ALL, "wire": 0}),
        (
            "experiments/brain.yaml",
            "groups: [O1]",
            "groups: [O2]",
            {"attribute": 1, "control": 1, **TABLES},
        ),
        ("experiments/brain.yaml", "draws: 2", "draws: 3", {"control": 1, "tabulate": 1, **PAGES}),
        (
            "experiments/brain.yaml",
            "steps: 4",
            "steps: 5",
            {"attribute": 1, "tabulate": 1, **PAGES},
        ),
        ("experiments/brain.yaml", "draws: 2}", "draws: 2} # two", NONE),
        ("config.yaml", "stimulus: flash", "stimulus: flash, top: 3", {"panel": 1, "figure": 1}),
    ],
)
def test_a_change_reruns_what_is_below_it(
    brain: Study, name: str, old: str, new: str, stale: dict[str, int]
) -> None:
    brain.edit(name, old, new)
    assert brain.planned() == {rule: n for rule, n in stale.items() if n}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda s: s.edit("config.yaml", "kind: fit_scatter", "kind: phi"),
            "phi shows experiments of system assembly, but brain is of system connectome",
        ),
        (
            lambda s: s.edit("config.yaml", "stimulus: flash", "stimulus: flush"),
            "flush is not among those of experiment brain, ['flash']",
        ),
        (
            lambda s: s.edit("experiments/brain.yaml", "fit: {targets", "# fit: {targets"),
            "experiment brain has no section `fit`",
        ),
        (
            lambda s: s.path("config", "targets.csv").unlink(),
            "no file at config/targets.csv, which its stage `fit` is to read",
        ),
    ],
)
def test_what_does_not_fit_is_named_before_anything_runs(
    brain: Study, change: Callable[[Study], None], message: str
) -> None:
    change(brain)
    assert message in brain.snakemake("--dry-run", rc=None).replace("\n", " ")

"""The connectome system through Snakemake: from nothing to the page, and what a change reruns."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from studies import NOTHING, ROOT, Study

NONE: dict[str, int] = {}
CONFIG = ROOT / "config"
FIGURE = "TinyConnectome"
BRAIN = "experiments/tiny_connectome.yaml"
STAGES = ("wire", "fit", "search", "attribute", "control", "tabulate")
ALL = {**dict.fromkeys(STAGES, 1), "panel": 9, "figure": 1}
ONE = {"panel": 1, "figure": 1}


def tables(panels: int, *stages: str) -> dict[str, int]:
    """Jobs of some stages, of the tables, and of the panels that show either."""
    return {**dict.fromkeys(stages, 1), "tabulate": 1, "panel": panels, "figure": 1}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, project: Path) -> Study:
    """The figure that is shipped, made in a directory of its own."""
    study = Study(tmp_path_factory.mktemp("brain") / "study", project)
    for name in (BRAIN, "targets/tiny.csv"):
        study.path("config", name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(CONFIG / name, study.path("config", name))
    figures = yaml.safe_load((CONFIG / "config.yaml").read_text())["figures"]
    page = {"figures": {FIGURE: figures[FIGURE]}, "style": {"dpi": 50}}
    study.path("config", "config.yaml").write_text(yaml.safe_dump(page))
    assert study.planned() == ALL
    study.snakemake()
    return study


@pytest.fixture
def brain(made: Study, tmp_path: Path) -> Study:
    return Study(Path(shutil.copytree(made.directory, tmp_path / "brain")), made.project)


def test_every_stage_leaves_its_results_and_its_key(made: Study) -> None:
    found = {}
    for path in made.path("results", "runs", "tiny_connectome").glob("*.json"):
        manifest = json.loads(path.read_text())
        found[manifest["stage"]] = manifest["key"]
    assert set(found) == set(STAGES)
    assert len(set(found.values())) == len(STAGES)
    assert made.path("results", FIGURE, f"{FIGURE}.png").stat().st_size
    assert NOTHING in made.snakemake(f"results/{FIGURE}/")
    assert "every file is there" in made.ngpipe("verify", f"results/{FIGURE}/")


@pytest.mark.parametrize(
    ("name", "old", "new", "stale"),
    [
        (BRAIN, "seed: 0}", "seed: 5}", ALL),
        (BRAIN, "slope: 3", "slope: 4", {**ALL, "wire": 0}),
        ("targets/tiny.csv", "0.5", "0.4", {**ALL, "wire": 0}),
        (BRAIN, "iterations: 40", "iterations: 41", {**ALL, "wire": 0, "fit": 0, "panel": 8}),
        (BRAIN, "groups: [O1]}", "groups: [O2]}", tables(4, "attribute", "control")),
        (BRAIN, "draws: 4", "draws: 5", tables(2, "control")),
        (BRAIN, "steps: 16", "steps: 17", tables(3, "attribute")),
        (BRAIN, "draws: 4}", "draws: 4} # four", NONE),
        ("config.yaml", "kind: fit_scatter", "kind: fit_scatter\n        top: 3", ONE),
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
            "phi shows experiments of system assembly, but tiny_connectome is of system connectome",
        ),
        (
            lambda s: s.edit("config.yaml", "readout: driven", "readout: drives"),
            "drives is not among those of experiment tiny_connectome, ['first', 'driven']",
        ),
        (
            lambda s: s.edit(BRAIN, "fit:\n", "fit: null\nignored:\n"),
            "ignored: there is no such key",
        ),
        (
            lambda s: s.path("config", "targets", "tiny.csv").unlink(),
            "no file at config/targets/tiny.csv, which its stage `fit` is to read",
        ),
    ],
)
def test_what_does_not_fit_is_named_before_anything_runs(
    brain: Study, change: Callable[[Study], None], message: str
) -> None:
    change(brain)
    assert message in brain.snakemake("--dry-run", rc=None).replace("\n", " ")

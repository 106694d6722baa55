"""The commands of docs/recordings.md, from a lab's file to the figure."""

import re
from pathlib import Path

import numpy as np
import pytest
import yaml
from studies import NOTHING, ROOT, Study

from ngpipe.acquisition import nwb_file

PAGE = (ROOT / "docs" / "recordings.md").read_text()
N, FRAMES, DT = 8, 3000, 0.05


def activity() -> np.ndarray:
    """A small assembly with noise, so that every direction is visited."""
    rng = np.random.default_rng(5)
    W = 3 * rng.normal(size=(N, N)) / N**0.5
    np.fill_diagonal(W, 0)
    x, found = rng.normal(size=N), []
    for _ in range(FRAMES):
        found.append(x)
        x = x + DT * (-x + W @ np.tanh(x)) + 0.2 * rng.normal(size=N)
    return np.array(found)


@pytest.fixture(scope="module")
def lab(tmp_path_factory, project) -> Study:
    """A directory with day1.nwb, in which the commands of the page were run."""
    pytest.importorskip("pynwb")
    directory = tmp_path_factory.mktemp("lab")
    labels = [f"cell_{k}" for k in range(N)]
    nwb_file.write(directory / "day1.nwb", activity(), DT * np.arange(FRAMES), labels)
    study = Study(directory, project)
    for line in re.findall(r"^    ngpipe (.+)$", PAGE, re.MULTILINE):
        study.ngpipe(*line.split())
    return study


@pytest.fixture(scope="module")
def made(lab) -> Study:
    """The study that they made, with its figure."""
    study = Study(lab.directory / "my_study", lab.project)
    path = study.directory / "config" / "experiments" / "recording.yaml"
    quick = "  held_out: 0.1\n  closed_form: {distil_steps: 200}\n"
    path.write_text(path.read_text().replace("  held_out: 0.1\n", quick))
    study.snakemake("results/Recording/")
    return study


def test_the_page_names_commands_that_are_run():
    assert re.findall(r"^    (\w+) ", PAGE, re.MULTILINE).count("ngpipe") == 2
    assert "\n    cd my_study\n" in PAGE
    assert "--cores 2 results/Recording/\n" in PAGE


def test_the_config_is_the_one_of_the_page(lab):
    written = (lab.directory / "my_study/config/experiments/recording.yaml").read_text()
    shown = re.search(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
    assert shown is not None
    assert yaml.safe_load(written)["source"] == yaml.safe_load(shown[1])["source"]
    assert yaml.safe_load(written)["training"] == yaml.safe_load(shown[1])["training"]


def test_the_figure_holds_the_panels_of_the_page(made):
    config = yaml.safe_load((made.directory / "config" / "config.yaml").read_text())
    kinds = {panel["kind"] for panel in config["figures"]["Recording"]["panels"].values()}
    told = PAGE.split("## Read the figure")[1].split("## Sessions")[0]
    assert kinds >= set(re.findall(r"`(\w+)`", told.split("Without the truth")[0]))
    assert (made.directory / "results/Recording/Recording.png").exists()


def test_nothing_is_made_twice_and_a_new_file_makes_everything_again(made):
    assert NOTHING in made.snakemake("--dry-run", "results/Recording/")
    recording = made.directory.parent / "day1.nwb"
    labels = [f"cell_{k}" for k in range(N)]
    nwb_file.write(recording, activity()[:-1], DT * np.arange(FRAMES - 1), labels)
    planned = made.planned("results/Recording/")
    assert {"import", "train", "recover", "rollout", "score", "figure"} <= set(planned)
    assert "simulate" not in planned
    made.ngpipe("verify", "results/Recording/", rc=1)


def test_the_source_file_is_left_alone(lab):
    before = Path(lab.directory / "day1.nwb").stat().st_mtime_ns
    lab.ngpipe("inspect", "day1.nwb")
    assert Path(lab.directory / "day1.nwb").stat().st_mtime_ns == before

"""What can be asked for, from where, and what is said when it cannot be had."""

import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import yaml
from studies import NOTHING, ROOT, Study

MAIN = {"simulate": 1, "train": 1, "recover": 1, "rollout": 1, "score": 1, "panel": 3, "figure": 1}
PAGE = {f"Main.{suffix}" for suffix in ("pdf", "svg", "png")}
PANELS = {f"{p}.{s}" for p in ("activity", "scatter", "training") for s in ("svg", "png")}


@pytest.mark.parametrize("target", ["results/Main/", "results/Main"])
def test_a_figure_is_asked_for_by_its_directory(study: Study, target: str) -> None:
    assert study.planned(target) == MAIN


def test_without_a_target_all_figures_are_made(study: Study) -> None:
    twice = {rule: 2 * n for rule, n in MAIN.items()}
    assert study.planned() == {**twice, "panel": 4}


@pytest.mark.parametrize(
    ("target", "jobs"),
    [
        ("results/runs/small/simulation.zarr", {"simulate": 1}),
        ("results/runs/small/training.csv", {"simulate": 1, "train": 1}),
        ("results/panels/Main/scatter.svg", {**MAIN, "panel": 1, "figure": 0}),
    ],
)
def test_a_part_can_be_asked_for(study: Study, target: str, jobs: dict[str, int]) -> None:
    assert study.planned(target) == {rule: n for rule, n in jobs.items() if n}


@pytest.mark.parametrize("target", ["results/Main/", None])
def test_second_run_has_nothing_to_do(finished_once: Study, target: str | None) -> None:
    assert NOTHING in finished_once.snakemake(*([target] if target else []))


def test_figure_directory_holds_panels_page_metrics_and_manifest(finished_once: Study) -> None:
    directory = finished_once.path("results", "Main")
    files = {p.name for p in directory.iterdir()} - {".snakemake_timestamp"}
    assert files == PAGE | PANELS | {"metrics.csv", "manifest.json", "caption.txt"}
    assert all(p.stat().st_size for p in directory.iterdir() if p.suffix)
    manifest = json.loads((directory / "manifest.json").read_text())
    assert set(manifest["files"]) == files - {"manifest.json"}
    assert list(manifest["runs"]) == ["small"]
    assert {"key", "versions", "command", "wall_seconds"} <= set(manifest)
    with (directory / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {"quantity", "metric", "value", "n", "reference"} <= set(rows[0])
    assert {"connectivity", "rollout_50"} <= {row["quantity"] for row in rows}


def test_panels_of_the_figure_are_the_panels(finished_once: Study) -> None:
    for name in PANELS:
        panel, copy = (finished_once.path("results", d, name) for d in ("panels/Main", "Main"))
        assert panel.read_bytes() == copy.read_bytes()


def test_every_result_has_a_manifest_with_its_key(finished_once: Study) -> None:
    for experiment in ("small", "wired"):
        found = {}
        for path in finished_once.path("results", "runs", experiment).glob("*.json"):
            manifest = json.loads(path.read_text())
            found[manifest["stage"]] = manifest["key"]
        assert set(found) == {"simulate", "train", "recover", "rollout", "score"}
        assert len(set(found.values())) == 5


def test_nothing_else_is_left_lying_about(finished_once: Study) -> None:
    here = {p.name for p in finished_once.directory.iterdir()} - {".snakemake"}
    assert here == {"config", "results", "logs", "benchmarks", "checkpoints"}
    assert not list(finished_once.path("checkpoints").iterdir())
    assert not list(finished_once.path("results").rglob("*tmp*"))


def test_a_users_csv_wires_the_network_from_pre_to_post(finished_once: Study) -> None:
    with finished_once.path("config", "wiring.csv").open() as file:
        edges = list(csv.DictReader(file))
    expected = np.zeros((16, 16), np.float32)
    for edge in edges:
        expected[int(edge["post"]), int(edge["pre"])] += float(edge["weight"])
    store = xr.open_zarr(finished_once.path("results", "runs", "wired", "simulation.zarr"))
    coupling = store["connectivity"].values
    np.testing.assert_allclose(coupling, store["gain"].values[:, None] * expected, rtol=1e-6)
    assert not np.allclose(expected, expected.T)


def test_shipped_config_can_be_planned(tmp_path: Path, project: Path) -> None:
    shutil.copytree(ROOT / "config", tmp_path / "config")
    figures = yaml.safe_load((tmp_path / "config" / "config.yaml").read_text())["figures"]
    planned = Study(tmp_path, project).planned("all")
    assert planned["figure"] == len(figures)
    assert planned["panel"] == sum(len(figure["panels"]) for figure in figures.values())


def test_a_study_may_list_its_figures_where_no_target_is_named(study: Study) -> None:
    study.edit("config.yaml", "style:", "without_target: list\nstyle:")
    study.edit("config.yaml", "  Other:\n", "  Other:\n    about: how it goes on; a minute\n")
    text = study.snakemake()
    assert "Other: how it goes on; a minute\n    from wired" in text
    assert "Main: 3 panels\n    from small" in text
    assert "snakemake --cores 2 results/Main/" in text
    assert not study.path("results").exists()
    assert study.planned("all")["figure"] == 2


def test_shipped_config_lists_its_figures_each_with_a_sentence() -> None:
    content = yaml.safe_load((ROOT / "config" / "config.yaml").read_text())
    assert content["without_target"] == "list"
    assert all(figure["about"] for figure in content["figures"].values())


def test_a_sentence_about_a_figure_makes_nothing_again(finished: Study) -> None:
    finished.edit("config.yaml", "  Main:\n", "  Main:\n    about: three panels\n")
    finished.ngpipe("verify", "results/Main/")


def test_all_mistakes_of_all_configs_are_named_with_their_paths(study: Study) -> None:
    study.edit("experiments/small.yaml", "n_frames: 2000", "n_frames: lots")
    study.edit("experiments/small.yaml", "  held_out: 0.2", "  held_out: 2")
    study.edit("experiments/wired.yaml", "noise: 0.5", "nose: 0.5")
    text = study.snakemake("results/Main/", rc=1)
    for words in (
        "config/experiments/small.yaml is not",
        "simulation.n_frames",
        "'lots'",
        "training.held_out",
        "config/experiments/wired.yaml is not",
        "simulation.nose",
    ):
        assert words in text
    assert "Traceback" not in text


def test_mistakes_of_the_figures_are_named_with_their_paths(study: Study) -> None:
    study.edit("config.yaml", "kind: activity", "kind: aktivity")
    study.edit("config.yaml", "dpi: 50", "dpi: -1")
    text = study.snakemake("results/Main/", rc=1)
    assert "config/config.yaml is not" in text
    assert "figures.Main.panels.activity.kind" in text
    assert "style.dpi" in text


def test_missing_experiment_is_named(study: Study) -> None:
    study.path("config", "experiments", "wired.yaml").unlink()
    text = study.snakemake("results/Main/", rc=1)
    assert "no config at config/experiments/wired.yaml" in text
    assert "small" in text


@pytest.mark.parametrize("option", ["--config", "--configfile"])
def test_config_given_beside_the_file_is_refused(study: Study, option: str) -> None:
    value = "style={dpi: 80}"
    if option == "--configfile":
        study.path("more.yaml").write_text("style: {dpi: 80}\n")
        value = "more.yaml"
    text = study.snakemake("--dry-run", "results/Main/", option, value, rc=1)
    assert "write the change into config/config.yaml" in text


def test_config_given_beside_the_file_but_the_same_is_no_matter(study: Study) -> None:
    assert study.planned("results/Main/", "--config", "style={dpi: 50}") == MAIN


def test_unknown_figure_is_named(study: Study) -> None:
    text = study.snakemake("results/Nope/", rc=1)
    assert "No rule to produce results/Nope" in text


def test_missing_user_file_is_named(study: Study) -> None:
    study.path("config", "wiring.csv").unlink()
    assert "config/wiring.csv" in study.snakemake("results/Other/", rc=1)

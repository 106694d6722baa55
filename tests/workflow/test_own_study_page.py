"""The studies of docs/own-study.md: their code and commands, and what the page says of them."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr
import yaml
from studies import ROOT, Study

from ngpipe.config.load import validate
from ngpipe.config.systems import EXPERIMENTS
from ngpipe.errors import ConfigError

PAGE = (ROOT / "docs" / "own-study.md").read_text()
PYTHON = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
YAML = re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL)
MISTAKES = {
    "n_neurons: 30 ": "n_neurons: 0 ",
    "{leak: 1, self": "{leak: -1, self",
    "n_frames: 10000": "noize: 1\n  n_frames: 10000",
    "steps: 800 ": "learning_rate: {latent: fast}\n  steps: 800 ",
}
"""Right and wrong lines of a config, in the order of the page's list of mistakes."""


def code(first: str) -> str:
    """The Python of the page that has this line."""
    return next(block for block in PYTHON if first in block)


def config(first: str) -> str:
    """The YAML of the page that has this line."""
    return next(block for block in YAML if first in block)


def shown(first: str) -> list[str]:
    """Lines of the indented text of the page that begins so, up to its end."""
    lines = PAGE[PAGE.index(f"    {first}") :].splitlines()
    n = next(k for k, line in enumerate(lines) if line and not line.startswith("    "))
    return [line[4:] for line in lines[:n] if line]


def written(directory: Path, first: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a block of Python of the page in a directory with a config/."""
    (directory / "config" / "experiments").mkdir(parents=True, exist_ok=True)
    with monkeypatch.context() as patch:
        patch.chdir(directory)
        exec(compile(code(first), "own-study.md", "exec"), {})


@pytest.fixture(scope="module")
def made(tmp_path_factory, project) -> tuple[Study, str]:
    """The study of the page with its figure, and all that was printed."""
    study = Study(tmp_path_factory.mktemp("own") / "my_study", project)
    with pytest.MonkeyPatch.context() as patch:
        written(study.directory, "edges.csv", patch)
    study.path("config", "config.yaml").write_text(config("  Wiring:"))
    study.path("config", "experiments", "edges.yaml").write_text(config("n_neurons: 30  "))
    return study, study.snakemake("results/Wiring/")


def test_the_edge_list_is_the_one_shown(tmp_path, monkeypatch):
    written(tmp_path, "edges.csv", monkeypatch)
    lines = (tmp_path / "config" / "edges.csv").read_text().splitlines()
    *told, more = shown("pre,post,weight")
    assert lines[: len(told)] == told
    assert more == "..."


def test_all_mistakes_are_listed_as_the_page_says():
    text = config("n_neurons: 30  ")
    for right, wrong in MISTAKES.items():
        assert right in text
        text = text.replace(right, wrong)
    with pytest.raises(ConfigError) as caught:
        where = "config/experiments/edges.yaml"
        validate(yaml.safe_load(text), EXPERIMENTS["assembly"], where=where)
    assert sorted(str(caught.value).splitlines()) == sorted(
        shown("config/experiments/edges.yaml is")
    )


def test_its_output_is_that_of_the_page(made):
    """The jobs, in any order, and every line but for its numbers."""
    _, printed = made
    told = shown("Using workflow")
    jobs = [line.split() for line in told if re.fullmatch(r"\w+ +\d+", line)]
    assert len(jobs) == 8
    found = re.findall(r"^(\w+) +(\d+)$", printed, re.MULTILINE)
    assert sorted(found) == sorted(map(tuple, jobs))
    lines = {_without_numbers(line) for line in printed.splitlines()}
    kept = [one for one in told if one.startswith(("simulate: ", "train: ", "300 frames"))]
    for line in (one for one in kept if " left" not in one):
        assert _without_numbers(line) in lines, line


def _without_numbers(line: str) -> str:
    return re.sub(r"\d[\d.,e+-]*", "0", line)


def test_its_metrics_are_those_of_the_page(made):
    """To the accuracy that other machines give: what is right is as right, what is hard as hard."""
    study, _ = made
    metrics = pd.read_csv(study.path("results", "runs", "edges", "metrics.csv"))
    found = metrics.set_index(["quantity", "metric"])
    head, *rows = shown("quantity,metric,value")
    assert list(metrics.columns) == head.split(",")
    assert len(rows) > 8
    for quantity, metric, value, n, _ in (row.split(",") for row in rows):
        one = found.loc[(quantity, metric)]
        assert one["n"] == int(n), quantity
        close = 0.3 if quantity == "rollout_400" else 0.05 if "rollout" in quantity else 0.01
        assert one["value"] == pytest.approx(float(value), abs=close), (quantity, metric)


def test_verify_says_what_the_page_says(made):
    study, _ = made
    assert f"      {study.ngpipe('verify', 'results/Wiring/')}" in PAGE


def test_stacked_trials_are_one_recording(rng):
    trials = xr.DataArray(
        rng.random((3, 5, 2)),
        {"trial": ["a", "b", "c"], "time": 0.1 * np.arange(5)},
        ("trial", "time", "neuron"),
    )
    known = {"trials": trials}
    exec(compile(code("trials.stack"), "own-study.md", "exec"), known)
    recording = known["recording"]
    assert recording.dims == ("time", "neuron")
    assert list(recording["segment"].values[[0, 4, 5, 14]]) == ["a", "a", "b", "c"]
    assert recording["time"].values[5] == 0
    assert (recording.values[5:10] == trials.sel(trial="b").values).all()


def test_a_store_of_ones_own_is_read_with_its_places(tmp_path, rng, monkeypatch, project):
    """The code for an external input writes what training with a field reads."""
    study = Study(tmp_path, project)
    activity = rng.normal(size=(200, 30)).cumsum(axis=0)
    for name, array in {
        "activity": activity,
        "driven": np.arange(30) % 2 == 0,
        "place": 400 * rng.random((30, 2)),
    }.items():
        np.save(tmp_path / f"{name}.npy", array)
    study.path("results", "runs", "mine").mkdir(parents=True)
    written(tmp_path, "place.npy", monkeypatch)
    with xr.open_zarr(tmp_path / "results/runs/mine/simulation.zarr") as store:
        assert store.attrs["dt"] == 0.01
        inside = store["position"].values[store["driven"].values]
        assert inside.min() == 0
        assert inside.max() == 1
    short = config("stands for the input").replace("n_frames: 2000", "n_frames: 200")
    short = short.replace("training:", "training:\n  steps: 20\n  accept_worse_than_zero: true")
    short = short.replace("{n_frames: 40, at: [10, 40]}", "{n_frames: 10, at: [5, 10]}")
    study.path("config", "config.yaml").write_text("figures: {}\n")
    study.path("config", "experiments", "mine.yaml").write_text(short)
    assert "20/20 steps" in study.ngpipe("train", "config/experiments/mine.yaml")


def test_the_connectome_of_the_page_is_read_as_it_says(tmp_path, monkeypatch, project):
    study = Study(tmp_path, project)
    written(tmp_path, "synapses.csv", monkeypatch)
    heads = [re.split(r" {2,}", line) for line in shown("from,to,synapses")]
    for column, name in enumerate(("synapses.csv", "neurons.csv")):
        lines = study.path("config", name).read_text().splitlines()
        assert lines[: len(heads)] == [row[column] for row in heads]
    targets = "\n".join(shown("stimulus,group,value"))
    study.path("config", "targets.csv").write_text(f"{targets}\n")
    study.path("config", "config.yaml").write_text("figures: {}\n")
    quick = config("targets: config/targets.csv").replace("epochs: 200", "epochs: 5")
    study.path("config", "experiments", "mine.yaml").write_text(quick)
    for step in ("wire", "fit"):
        study.ngpipe(step, "config/experiments/mine.yaml")
    wired = xr.open_zarr(tmp_path / "results/runs/mine/connectome.zarr")
    assert wired.sizes["neuron"] == 28
    assert (wired["edge_weight"].values < 0).any()  # those of class local inhibit
    assert xr.open_zarr(tmp_path / "results/runs/mine/fit.zarr").sizes["target"] == 4

"""A sweep through Snakemake: points as experiments of their own, and the table of them all."""

import json
import shutil
from importlib.util import find_spec
from pathlib import Path

import pandas as pd
import pytest
from studies import NOTHING, SMALL, Study

TABLE = "results/sweeps/small.csv"
SEED, TYPES = "small~training.seed=2", "small~recovery.n_types=1"
POINTS = {"small": ("", ""), SEED: ("training.seed", "2"), TYPES: ("recovery.n_types", "1")}
VALUES = {SEED: ("training.seed", 2), TYPES: ("recovery.n_types", 1)}
SWEEP = "sweep:\n  training.seed: [2]\n  recovery.n_types: [1]\n"
CONFIG = """\
figures:
  Main: {panels: {scatter: {kind: connectivity_scatter, of: small}}}
  Seed:
    panels:
      scatter: {kind: connectivity_scatter, of: small~training.seed=2}
  Sweep:
    panels:
      r2: {kind: sweep, of: small, parameter: training.seed, quantity: connectivity, metric: r2}
style: {dpi: 50}
"""
ALL = {
    **{"simulate": 1, "train": 2, "recover": 3, "rollout": 2, "score": 3, "sweep": 1},
    **{"reuse_simulate": 2, "reuse_train": 1, "reuse_rollout": 1},
}
CHAIN = {"train": 1, "recover": 1, "rollout": 1, "score": 1, "sweep": 1}
FIGURES = {"panel": 3, "figure": 3}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, project: Path) -> Study:
    """A sweep of two keys, and figures of the experiment and of one of its points."""
    study = Study(tmp_path_factory.mktemp("sweep") / "study", project)
    study.path("config", "experiments").mkdir(parents=True)
    study.path("config", "config.yaml").write_text(CONFIG)
    study.path("config", "experiments", "small.yaml").write_text(SMALL + SWEEP)
    assert study.planned(TABLE) == ALL
    study.snakemake(TABLE)
    assert study.planned() == FIGURES
    study.snakemake()
    return study


@pytest.fixture
def sweep(made: Study, tmp_path: Path) -> Study:
    copy = shutil.copytree(made.directory, tmp_path / "sweep", symlinks=True)
    return Study(Path(copy), made.project)


def test_the_table_holds_the_metrics_of_every_point(made: Study) -> None:
    table = pd.read_csv(made.path(TABLE), dtype={"setting": str}, keep_default_na=False)
    first = ["experiment", "parameter", "setting"]
    assert list(table)[:6] == [*first, "unit", "quantity", "metric"]
    assert list(table["experiment"].unique()) == list(POINTS)
    for name, labels in POINTS.items():
        rows = table[table["experiment"] == name].reset_index(drop=True)
        assert {tuple(row) for row in rows[first[1:]].to_numpy()} == {labels}
        own = pd.read_csv(made.path("results/runs", name, "metrics.csv"), keep_default_na=False)
        assert len(own) > 5
        pd.testing.assert_frame_equal(rows.drop(columns=[*first, "unit"]), own)
    value = table.set_index(["quantity", "metric", "experiment"])["value"].sort_index()
    assert value["types", "found", TYPES] == 1
    r2 = value["connectivity", "r2"]
    assert r2[SEED] != r2["small"]


def test_the_manifest_says_from_which_metrics_it_was_made(made: Study) -> None:
    manifest = json.loads(made.path("results/sweeps/small.json").read_text())
    assert manifest["stage"] == "sweep"
    assert manifest["config"] == {name: dict([p]) for name, p in VALUES.items()}
    found = {
        name: json.loads(made.path("results/runs", name, "metrics.json").read_text())["digest"]
        for name in POINTS
    }
    assert {name: used["metrics"] for name, used in manifest["notes"]["runs"].items()} == found
    assert len(set(found.values())) == 3


def test_points_differ_where_the_key_says_and_share_the_rest(made: Study) -> None:
    def digests(name: str) -> dict[str, str]:
        found = made.path("results/runs", name).glob("*.json")
        return {path.stem: json.loads(path.read_text())["digest"] for path in found}

    shared = {
        SEED: {"simulation"},
        TYPES: {"simulation", "training", "rollout"},
    }
    own = digests("small")
    for name, stems in shared.items():
        found = digests(name)
        assert {stem for stem in own if found[stem] == own[stem]} == stems
        paths = made.path("results/runs", name).iterdir()
        assert {path.stem for path in paths if path.is_symlink()} - {"model"} == stems


def test_nothing_is_made_twice(made: Study) -> None:
    assert NOTHING in made.snakemake(TABLE)
    assert NOTHING in made.snakemake()


def test_a_figure_of_a_point_can_be_verified(sweep: Study) -> None:
    assert f"1 panels from {SEED}: every file" in sweep.ngpipe("verify", "results/Seed/")
    with sweep.path("results/runs", SEED, "training.csv").open("ab") as file:
        file.write(b" ")
    assert f"{SEED}/training.csv was changed" in sweep.ngpipe("verify", "results/Seed/", rc=1)
    sweep.ngpipe("verify", "results/Main/")


def test_the_table_can_be_verified(sweep: Study) -> None:
    assert f"metrics of small, {SEED}, {TYPES}: every" in sweep.ngpipe("verify", TABLE)
    chunk = sweep.path("results/runs/small/simulation.zarr/activity/0.0")
    content = chunk.read_bytes()
    chunk.write_bytes(b"1" + content[1:])
    told = sweep.ngpipe("verify", TABLE, rc=1)
    assert "runs/small/simulation.zarr: 'activity/0.0' was changed or damaged" in told
    chunk.write_bytes(content)
    recovery = sweep.path("results/runs", TYPES, "recovery.json")
    recovery.rename(recovery.with_suffix(".old"))
    assert f"{TYPES}/recovery.json is missing" in sweep.ngpipe("verify", TABLE, rc=1)
    recovery.with_suffix(".old").rename(recovery)
    sweep.edit("experiments/small.yaml", "[1]", "[1, 3]")
    assert f"{TABLE} is stale: made under key" in sweep.ngpipe("verify", TABLE, rc=1)
    with sweep.path(TABLE).open("ab") as file:
        file.write(b" ")
    assert f"{TABLE} was changed" in sweep.ngpipe("verify", TABLE, rc=1)


@pytest.mark.parametrize(
    ("old", "new", "jobs"),
    [
        (
            "seed: [2]",
            "seed: [2, 5]",
            {"reuse_simulate": 1, **CHAIN},
        ),
        (
            "seed: [2]",
            "seed: [2]\n  simulation.noise: [0.1]",
            {"simulate": 1, **CHAIN},
        ),
        ("  recovery.n_types: [1]\n", "", {"sweep": 1}),
        ("seed: [2]", "seed: [2] # one more", {}),
        ("at: [50, 100]", "at: [50, 99]", {"score": 3, "sweep": 1}),
        (
            "steps: 60",
            "steps: 61",
            {**ALL, "simulate": 0, "reuse_simulate": 0},
        ),
        ("noise: 0.5", "noise: 0.6", ALL),
    ],
)
def test_only_what_is_stale_is_made_again(
    sweep: Study, old: str, new: str, jobs: dict[str, int]
) -> None:
    sweep.edit("experiments/small.yaml", old, new)
    assert sweep.planned(TABLE) == {rule: n for rule, n in jobs.items() if n}


def test_a_figure_waits_for_the_points_that_it_shows_and_no_other(sweep: Study) -> None:
    sweep.edit("experiments/small.yaml", "[1]", "[1, 3]")
    assert sweep.planned("results/Main/", "results/Seed/") == {}
    jobs = sweep.planned("results/Sweep/")
    assert (jobs["recover"], jobs["score"], jobs["sweep"]) == (1, 1, 1)
    assert (jobs["panel"], jobs["figure"]) == (1, 1)
    assert "results/Sweep is stale" in sweep.ngpipe("verify", "results/Sweep/", rc=1)


def test_a_value_that_the_experiment_has_itself_costs_nothing(sweep: Study) -> None:
    """Else two trainings under one key would refuse to run at the same time."""
    sweep.edit("experiments/small.yaml", "seed: [2]", "seed: [2]\n  simulation.noise: [0.5]")
    stages = ("simulate", "train", "recover", "rollout", "score")
    assert sweep.planned(TABLE) == {**{f"reuse_{s}": 1 for s in stages}, "sweep": 1}
    sweep.snakemake(TABLE)
    table = pd.read_csv(sweep.path(TABLE)).set_index("experiment")["value"]
    assert table["small~simulation.noise=0.5"].tolist() == table["small"].tolist()


def test_a_point_is_an_experiment_like_any_other(sweep: Study) -> None:
    shutil.rmtree(sweep.path("results"))
    target = f"results/runs/{SEED}/recovery.zarr"
    assert sweep.planned(target) == {"simulate": 1, "reuse_simulate": 1, "train": 1, "recover": 1}


def test_a_step_of_a_point_by_hand(sweep: Study) -> None:
    """One that was linked gets results of its own; those of the experiment stay."""
    config = f"config/experiments/{TYPES}.yaml"
    store, own = (sweep.path("results/runs", name, "rollout.zarr") for name in ("small", TYPES))
    before = {p: p.stat().st_mtime_ns for p in store.rglob("*")}
    assert own.is_symlink()
    for _ in range(2):
        sweep.ngpipe("rollout", config)
    assert own.is_dir()
    assert not own.is_symlink()
    assert not own.with_name("rollout.zarr.old").is_symlink()
    assert {p: p.stat().st_mtime_ns for p in store.rglob("*")} == before
    assert "rollout.look.png" in sweep.ngpipe("inspect", f"results/runs/{TYPES}/rollout.zarr")
    sweep.ngpipe("sweep", "config/experiments/small.yaml")
    text = sweep.ngpipe("recover", f"config/experiments/{TYPES}1.yaml", rc=1)
    assert f"there is no point {TYPES}1; the points of the sweep of small are ['{SEED}'" in text


def test_a_table_that_cannot_be_had_is_refused(sweep: Study) -> None:
    sweep.edit("experiments/small.yaml", SWEEP, "")
    sweep.edit("config.yaml", "small~training.seed=2", "small")
    sweep.edit("config.yaml", "kind: sweep, ", "kind: connectivity_scatter, ")
    assert "experiment small has no sweep" in sweep.snakemake(TABLE, rc=1)
    assert "experiment small has no sweep" in sweep.ngpipe(
        "sweep", "config/experiments/small.yaml", rc=1
    )
    assert "No rule to produce results/sweeps/other.csv" in sweep.snakemake(
        "results/sweeps/other.csv", rc=1
    )


def test_linter_finds_nothing_in_a_sweep(sweep: Study) -> None:
    assert "good condition" in sweep.snakemake("--lint")


@pytest.mark.skipif(
    find_spec("snakemake_executor_plugin_cluster_generic") is None,
    reason="needs snakemake-executor-plugin-cluster-generic",
)
def test_points_are_made_by_cluster_jobs(sweep: Study) -> None:
    """All but the links."""
    sweep.edit("experiments/small.yaml", "[1]", "[1, 3]")
    jobs = {"recover": 1, "score": 1, "sweep": 1}
    links = {"reuse_simulate": 1, "reuse_train": 1, "reuse_rollout": 1}
    assert sweep.planned(TABLE) == {**jobs, **links}
    text = sweep.snakemake(TABLE, "--workflow-profile", "fakecluster")
    assert text.count("with external jobid") == sum(jobs.values())
    assert not sweep.planned(TABLE)

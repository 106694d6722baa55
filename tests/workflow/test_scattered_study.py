"""A training that several jobs share, through the Snakefile: which of them run, and run again."""

import re
import shutil
from pathlib import Path

import pytest
from studies import Study, make_study, share

JOBS = 3
TRAINED = "results/runs/small/training.json"
EVERY = {"simulate": 1, "psi": 1, "gram": JOBS, "factor": 1, "solve_rows": JOBS, "train": 1}


@pytest.fixture
def shared(tmp_path: Path, project: Path) -> Study:
    """A study of which nothing has been run, whose experiment `small` three jobs share."""
    study = make_study(tmp_path / "study", project)
    share(study, JOBS)
    return study


def ran(text: str) -> dict[str, int]:
    """How many jobs of which rule were finished."""
    rules = re.findall(r"^Finished jobid: \d+ \(Rule: (\w+)\)", text, re.MULTILINE)
    return {rule: rules.count(rule) for rule in dict.fromkeys(rules)}


def test_a_failed_job_alone_is_redone_and_then_nothing(shared):
    assert shared.planned(TRAINED) == EVERY
    parts = shared.path("results", "runs", "small", "parts")
    in_the_way = parts / f".solve_rows_2_of_{JOBS}.safetensors.pending"
    in_the_way.mkdir(parents=True)  # where this job has to write a file
    text = shared.snakemake(TRAINED, "--keep-going", rc=1)
    first = {rule: n - (rule == "solve_rows") for rule, n in EVERY.items() if rule != "train"}
    assert ran(text) == first

    in_the_way.rmdir()
    assert shared.planned(TRAINED) == {"solve_rows": 1, "train": 1}
    assert ran(shared.snakemake(TRAINED)) == {"solve_rows": 1, "train": 1}
    assert shared.planned(TRAINED) == {}
    assert not list(parts.glob("*"))

    for before, now in ((JOBS, 1), (1, 5)):  # neither fewer nor more make anything again
        shared.edit("experiments/small.yaml", f"jobs: {before},", f"jobs: {now},")
        assert shared.planned(TRAINED) == {}
    assert shared.planned(TRAINED, "--forcerun", "train")["solve_rows"] == 5
    shutil.rmtree(shared.path("results"))
    assert shared.planned(TRAINED)["gram"] == 5


def test_a_change_between_jobs_makes_again_what_it_changes(shared):
    shared.snakemake("results/runs/small/parts/factor.safetensors", "--notemp")
    rest = {"solve_rows": JOBS, "train": 1}
    assert shared.planned(TRAINED) == rest
    shared.edit("experiments/small.yaml", "distil_steps: 20", "distil_steps: 21")
    assert shared.planned(TRAINED) == {rule: n for rule, n in EVERY.items() if rule != "simulate"}


def test_a_point_of_a_sweep_is_shared_as_its_experiment(shared):
    sweep = "rollout: {n_frames"
    shared.edit("experiments/small.yaml", sweep, f"sweep: {{training.seed: [3]}}\n{sweep}")
    planned = shared.planned("results/runs/small~training.seed=3/training.json")
    assert planned == {**EVERY, "simulate": 1, "reuse_simulate": 1}


def test_what_jobs_cannot_share_stops_the_run_before_any_job(shared):
    shared.edit("experiments/small.yaml", "{jobs: 3,", "{jobs: 3, prior: sparse,")
    text = shared.snakemake("--dry-run", rc=1)
    assert "closed_form.jobs (3)" in text
    assert "set closed_form.jobs: 1" in text

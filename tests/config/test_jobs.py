"""The key training.closed_form.jobs: which trainings jobs can share, and that no key covers it."""

import pytest
from pydantic import ValidationError

from ngpipe.config.assembly.experiment import Experiment
from ngpipe.config.assembly.training import Training
from ngpipe.config.sweep import varied
from ngpipe.study import sections, stages
from ngpipe.study.records import stage_called

PLAIN = {"solver": "closed_form", "closed_form": {"jobs": 6}}
FITTED = {"input": "fitted", "input_mode": "multiplicative"}


def experiment(**training: object) -> Experiment:
    return Experiment.model_validate({"training": {**PLAIN, **training}})


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"solver": "gradient"}, "solver is 'gradient'"),
        ({"solver": "closed_form+gradient"}, "solver is 'closed_form\\+gradient'"),
        ({"input": "field", "held_out_as": "blocks"}, "a hidden input"),
        (FITTED, "inputs that scale"),
        ({"network": {"one_type": True}}, "network.one_type"),
        ({"closed_form": {"jobs": 6, "prior": "sparse"}}, "closed_form.prior is 'sparse'"),
        ({"closed_form": {"jobs": 6, "dale": True}}, "closed_form.dale"),
    ],
)
def test_what_one_job_has_to_do_is_said(changes, why):
    with pytest.raises(ValidationError, match=rf"closed_form.jobs \(6\).*{why}.*jobs: 1"):
        Training.model_validate({**PLAIN, **changes})
    alone = {**changes, "closed_form": {**changes.get("closed_form", {}), "jobs": 1}}
    Training.model_validate({**PLAIN, **alone})


@pytest.mark.parametrize("jobs", [0, -1])
def test_there_is_at_least_one(jobs):
    with pytest.raises(ValidationError):
        Training.model_validate({**PLAIN, "closed_form": {"jobs": jobs}})


def test_no_key_covers_it():
    six, one = experiment(), experiment(closed_form={"jobs": 1})
    assert (sections.jobs(six), sections.jobs(one)) == (6, 1)
    assert stages.stage_keys(six) == stages.stage_keys(one)
    for part in ("psi", "gram", "factor", "solve_rows"):
        assert stages.key_of(six, part) == stages.key_of(one, part)


def test_points_of_a_sweep_have_it_too():
    point = varied(experiment(), "training.held_out", 0.2)
    assert sections.jobs(point) == 6
    assert sections.jobs(varied(experiment(), "training.closed_form.jobs", 3)) == 3


def test_parts_are_no_stages_of_an_experiment():
    keys = stages.stage_keys(experiment())
    assert list(keys) == ["simulate", "train", "recover", "rollout", "score"]
    assert not [name for name in stages.results_of(experiment()) if name.startswith("parts/")]


def test_memory_and_time_are_shared():
    rows, train = stage_called("solve_rows"), stage_called("train")
    assert rows.megabytes(10_000, 0, jobs=8) < rows.megabytes(10_000, 0, jobs=2)
    assert rows.time(100_000, jobs=100) < rows.time(100_000, jobs=2) / 10
    assert stage_called("psi").time(10_000, jobs=100) == stage_called("psi").time(10_000)
    assert train.megabytes(10_000, 100_000, jobs=2) < train.megabytes(10_000, 100_000)


def test_the_key_of_training_covers_the_code_of_its_parts(monkeypatch):
    before = stages.stage_keys(experiment())
    monkeypatch.setattr(stages, "parts_of", lambda _: [])
    after = stages.stage_keys(experiment())
    assert before["simulate"] == after["simulate"]
    assert before["train"] != after["train"]

"""Training that was cut off goes on where it was, and ends as if it had never been cut off."""

import fcntl
import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
from studies import Study, kill_group, make_study

from ngpipe.store import read_json

STEPS = 400
CONFIG = "config/experiments/small.yaml"
RUN = "results/runs/small"
RECOVERY = f"{RUN}/recovery.zarr"
TRAIN = ("train", CONFIG, "--threads", "1", "--device", "cpu")

Start = Callable[[Study, list[str]], subprocess.Popen]


def long_study(directory: Path, project: Path) -> Study:
    """A study that trains for seconds and saves a checkpoint every few dozen milliseconds."""
    study = make_study(directory, project)
    study.edit(
        "experiments/small.yaml",
        "  steps: 60\n",
        f"  steps: {STEPS}\n  checkpoint_every: 20\n",
    )
    return study


@pytest.fixture(scope="module")
def unbroken(tmp_path_factory: pytest.TempPathFactory, project: Path) -> Study:
    """The same training without a break."""
    study = long_study(tmp_path_factory.mktemp("unbroken") / "study", project)
    study.ngpipe("simulate", CONFIG, "--threads", "1")
    study.ngpipe(*TRAIN)
    study.ngpipe("recover", CONFIG, "--threads", "1")
    return study


@pytest.fixture
def simulated(unbroken: Study, tmp_path: Path, project: Path) -> Study:
    """A study that is ready to be trained on."""
    study = long_study(tmp_path / "study", project)
    study.path(RUN).mkdir(parents=True)
    shutil.copytree(unbroken.path(RUN, "simulation.zarr"), study.path(RUN, "simulation.zarr"))
    shutil.copy2(unbroken.path(RUN, "simulation.json"), study.path(RUN, "simulation.json"))
    return study


def assert_same_training(study: Study, unbroken: Study) -> None:
    """Model and W during training to the byte; the table but for its clock."""
    model, expected = (s.path(RUN, "model.safetensors").read_bytes() for s in (study, unbroken))
    assert model == expected
    tables = [pd.read_csv(s.path(RUN, "training.csv")) for s in (study, unbroken)]
    assert tables[0]["seconds"].is_monotonic_increasing
    pd.testing.assert_frame_equal(*(t.drop(columns="seconds") for t in tables), check_exact=True)
    assert_same_store(study, unbroken, "training.json")


def assert_same_store(study: Study, unbroken: Study, manifest: str) -> None:
    """The same content under the same key."""
    found, wanted = (read_json(s.path(RUN, manifest)) for s in (study, unbroken))
    assert found["digest"] == wanted["digest"]
    assert found["key"] == wanted["key"]


def checkpoints(study: Study) -> list[Path]:
    """All checkpoints there are."""
    return sorted(study.path("checkpoints").glob("*/last.pt"))


def first_step(text: str) -> int:
    """The step at which a training began, from what it printed: nothing where it was the first."""
    found = re.search(rf"train: goes on at (\d+)/{STEPS} steps", text)
    return int(found[1]) if found else 0


def interrupted(study: Study, start: Start) -> Path:
    """Train until there is a checkpoint, then kill -9; returns the checkpoint."""
    process = start(study, study.ngpipe_command(*TRAIN))
    study.wait_for(lambda: checkpoints(study), process)
    process.kill()
    assert process.wait() == -signal.SIGKILL
    assert not study.path(RUN, "model.safetensors").exists()
    return checkpoints(study)[0]


def test_killed_training_resumes_to_the_same_bytes(
    simulated: Study, unbroken: Study, start: Start
) -> None:
    interrupted(simulated, start)
    text = simulated.ngpipe(*TRAIN)
    assert 0 < first_step(text) < STEPS
    simulated.ngpipe("recover", CONFIG, "--threads", "1")
    assert_same_training(simulated, unbroken)
    assert_same_store(simulated, unbroken, "recovery.json")
    assert not list(simulated.path("checkpoints").iterdir())


def test_failure_to_write_the_results_loses_no_training(simulated: Study, unbroken: Study) -> None:
    in_the_way = simulated.path(RUN, "training.csv", "occupied")
    in_the_way.mkdir(parents=True)
    simulated.ngpipe(*TRAIN, rc=1)
    shutil.rmtree(in_the_way.parent)
    assert first_step(simulated.ngpipe(*TRAIN)) == STEPS
    assert_same_training(simulated, unbroken)


def test_checkpoint_of_another_key_is_not_used(simulated: Study, start: Start) -> None:
    old = interrupted(simulated, start)
    saved = old.read_bytes()
    simulated.edit("experiments/small.yaml", "functions: 0.004", "functions: 0.005")
    assert first_step(simulated.ngpipe(*TRAIN)) == 0
    assert old.read_bytes() == saved
    assert list(simulated.path("checkpoints").iterdir()) == [old.parent]


def test_second_trainer_of_the_same_key_is_refused(simulated: Study, start: Start) -> None:
    process = start(simulated, simulated.unforked.ngpipe_command(*TRAIN))
    simulated.wait_for(lambda: checkpoints(simulated), process)
    os.kill(process.pid, signal.SIGSTOP)
    text = simulated.ngpipe(*TRAIN, rc=1)
    assert "another process is training under checkpoints/" in text
    assert "Traceback" not in text
    os.kill(process.pid, signal.SIGCONT)
    assert process.wait() == 0, "the first trainer is to finish undisturbed"
    assert simulated.path(RUN, "model.safetensors").exists()


def test_snakemake_resumes_after_ctrl_c_and_after_kill(
    tmp_path: Path, project: Path, unbroken: Study, start: Start
) -> None:
    study = long_study(tmp_path / "study", project)
    command = study.snakemake_command(RECOVERY)
    log = study.path("logs", "small", "train.log")

    process = start(study, command)
    study.wait_for(lambda: checkpoints(study), process)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait() != 0
    at_first = checkpoints(study)[0].stat().st_mtime_ns
    assert study.planned(RECOVERY) == {"train": 1, "recover": 1}

    process = start(study, command)
    study.wait_for(lambda: checkpoints(study)[0].stat().st_mtime_ns > at_first, process)
    resumed = first_step(log.read_text())
    kill_group(process)
    wait_until_nobody_trains(checkpoints(study)[0].parent)
    assert 0 < resumed < STEPS
    assert not study.path(RUN, "model.safetensors").exists()

    assert list(study.path(".snakemake", "locks").iterdir()), "the killed Snakemake left its lock"
    study.snakemake(RECOVERY)
    assert resumed < first_step(log.read_text()) < STEPS
    assert_same_training(study, unbroken)
    assert_same_store(study, unbroken, "recovery.json")
    assert not list(study.path("checkpoints").iterdir())


def test_lock_of_a_living_snakemake_stands(tmp_path: Path, project: Path, start: Start) -> None:
    """A dry run beside it does not take it away, nor does a second run."""
    study = long_study(tmp_path / "study", project)
    process = start(study, study.snakemake_command(RECOVERY))
    study.wait_for(lambda: checkpoints(study), process)
    locks = sorted(study.path(".snakemake", "locks").iterdir())
    study.planned(RECOVERY)
    assert "locked" in study.snakemake(RECOVERY, rc=1)
    assert sorted(study.path(".snakemake", "locks").iterdir()) == locks
    kill_group(process)


def test_file_system_without_locks_is_no_obstacle(editable: Study) -> None:
    source = (
        "import fcntl\n\n\ndef flock(*_):\n    raise OSError(95, 'no')\n\n\nfcntl.flock = flock\n"
    )
    (editable.project / "src" / "sitecustomize.py").write_text(source)
    lock = editable.path(".snakemake", "locks", "0.input.lock")
    lock.parent.mkdir(exist_ok=True)
    lock.write_text("")
    assert not editable.unforked.planned()
    assert lock.exists()


def wait_until_nobody_trains(checkpoint: Path) -> None:
    """Block until the lock that a trainer holds is free; the system frees it when one dies."""
    with (checkpoint / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)

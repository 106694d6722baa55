"""Out of memory: what would fit, and by how many jobs."""

import re

import pytest

from ngpipe import cli
from ngpipe.commands import stage as command
from ngpipe.config.assembly.experiment import Experiment
from ngpipe.config.circuit.experiment import CircuitExperiment
from ngpipe.study.records import stage_called
from ngpipe.study.what_fits import shared, what_fits

CLOSED = {"solver": "closed_form"}


def experiment(**training: object) -> Experiment:
    return Experiment.model_validate({"training": {**CLOSED, **training}})


def test_the_least_number_of_jobs_with_which_it_fits_is_named():
    size, available = (20_000, 50_000), 60_000
    text = what_fits("train", experiment(), size, available)
    asked = stage_called("train").megabytes(*size)
    assert asked > available
    jobs = int(re.search(r"training\.closed_form\.jobs: (\d+)", text)[1])
    assert shared("train", size, jobs) <= available
    assert f"asks for {shared('train', size, jobs):,} MB" in text
    assert f"asks for {asked:,} MB for 20,000 neurons" in text


def test_the_neurons_that_fit_are_told():
    text = what_fits("train", experiment(), (20_000, 50_000), 30_000)
    most = int(re.search(r"enough for ([\d,]+) neurons", text)[1].replace(",", ""))
    train = stage_called("train")
    assert train.megabytes(most, 50_000) <= 30_000 < train.megabytes(most + 1, 50_000)


def test_what_fits_no_jobs_is_said():
    size = (20_000, 50_000)
    text = what_fits("train", experiment(), size, shared("train", size, 1024) - 1)
    assert "shared by many jobs (training.closed_form.jobs) each takes" in text


@pytest.mark.parametrize("name", ["solve_rows", "psi", "factor"])
def test_a_part_is_told_of_its_own_size(name):
    assert f"step `{name}` asks" in what_fits(name, experiment(), (20_000, 50_000), 9_000)


@pytest.mark.parametrize("name", ["simulate", "recover"])
def test_other_stages_cannot_be_shared(name):
    text = what_fits(name, experiment(), (20_000, 50_000), 1_600)
    assert text.endswith("use fewer neurons or frames, or a machine with more memory")


def test_what_jobs_cannot_share_is_not_suggested():
    text = what_fits("train", experiment(solver="gradient"), (20_000, 50_000), 9_000)
    assert "jobs" not in text


def test_of_an_unknown_size_nothing_is_invented():
    assert "neurons and" not in what_fits("respond", CircuitExperiment(), (0, 0), 9_000)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError("Unable to allocate 74.5 GiB"),
        RuntimeError(
            "[enforce fail at alloc_cpu.cpp:127] err == 0. DefaultCPUAllocator: can't allocate "
            "memory: you tried to allocate 80000000000 bytes."
        ),
    ],
)
def test_the_command_says_it(error, capsys, tmp_path, monkeypatch):
    class Step:
        @staticmethod
        def run(*_: object, **__: object) -> None:
            raise error

    config = tmp_path / "large.yaml"
    config.write_text("simulation: {n_neurons: 20000}\ntraining: {solver: closed_form}\n")
    monkeypatch.setattr(command, "step", lambda _: Step)
    monkeypatch.setattr(command, "available_memory_mb", lambda: 60_000)
    monkeypatch.chdir(tmp_path)
    assert cli.main(["train", str(config), "--device", "cpu"]) == 1
    text = capsys.readouterr().err
    assert re.search(r"ngpipe train: out of memory \((Unable|can't) .*allocate", text)
    assert "training.closed_form.jobs: " in text
    assert "alloc_cpu" not in text


def test_another_error_stays_as_it_is(tmp_path, monkeypatch):
    class Step:
        @staticmethod
        def run(*_: object, **__: object) -> None:
            raise RuntimeError("a fault")

    config = tmp_path / "any.yaml"
    config.write_text("simulation: {n_neurons: 20}\n")
    monkeypatch.setattr(command, "step", lambda _: Step)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(RuntimeError, match="a fault"):
        cli.main(["train", str(config), "--device", "cpu"])

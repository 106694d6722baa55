"""Snakemake's own tools on this workflow: linter, formatter, report, environments, a cluster."""

import subprocess
import sys
import tomllib
from importlib.metadata import PackageNotFoundError
from importlib.util import find_spec
from pathlib import Path

import pytest
import yaml
from studies import ROOT, Study, copy_project, make_study

from ngpipe import provenance
from ngpipe.config.assembly.experiment import Experiment
from ngpipe.config.circuit.experiment import CircuitExperiment
from ngpipe.study import sections
from ngpipe.study.records import SYSTEMS, Memory

needs_plugin = pytest.mark.skipif(
    find_spec("snakemake_executor_plugin_cluster_generic") is None,
    reason="needs snakemake-executor-plugin-cluster-generic",
)


def run(*command: str, cwd: Path = ROOT) -> subprocess.CompletedProcess:
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


def test_linter_finds_nothing(study: Study) -> None:
    text = study.snakemake("--lint")
    assert "good condition" in text


@pytest.mark.slow
def test_formatter_would_change_nothing() -> None:
    snakefmt = Path(sys.executable).with_name("snakefmt")
    done = run(str(snakefmt), "--check", "Snakefile", "rules")
    assert done.returncode == 0, done.stderr


def test_report_holds_panels_metrics_and_caption(finished: Study) -> None:
    report = finished.path("report.html")
    finished.snakemake("--report", str(report), "results/Main/")
    text = report.read_text()
    for words in (
        "scatter.svg",
        "metrics.csv",
        "Made under key",
        "Figures",
        "learned against true W",
    ):
        assert words in text


def test_conda_environments_are_the_dependencies_of_the_project() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    expected = [d for d in project["dependencies"] if not d.startswith("snakemake")]
    for name in ("ngpipe", "ngpipe-cuda"):
        parts = yaml.safe_load((ROOT / "envs" / f"{name}.yaml").read_text())["dependencies"]
        index, *found = parts[-1]["pip"]
        assert index.startswith("--extra-index-url https://download.pytorch.org/whl/c")
        assert found == expected, name


def test_conda_environments_need_no_installed_ngpipe(monkeypatch: pytest.MonkeyPatch) -> None:
    """There jobs find the source by PYTHONPATH, so it has no metadata to ask for a version."""
    known = provenance.metadata.version

    def version(name: str) -> str:
        if name == "ngpipe":
            raise PackageNotFoundError(name)
        return known(name)

    monkeypatch.setattr(provenance.metadata, "version", version)
    assert provenance.versions()["ngpipe"]


def test_jobs_find_python_without_an_activated_environment(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    study.unforked.snakemake("results/runs/small/simulation.zarr")


def test_rules_have_no_retries_of_their_own() -> None:
    """They would be carried out inside a Slurm job too, with the memory it already has."""
    for path in [ROOT / "Snakefile", *ROOT.joinpath("rules").glob("*.smk")]:
        assert "retries" not in path.read_text()


@pytest.mark.parametrize("stage", sorted({n for stages in SYSTEMS.values() for n in stages}))
def test_rules_ask_for_what_the_record_of_their_stage_says(stage: str) -> None:
    text = (ROOT / "rules" / f"{stage}.smk").read_text()
    assert f'threads: threads_of("{stage}")' in text
    assert f'mem_mb=memory_of("{stage}")' in text
    assert f'runtime=minutes_of("{stage}")' in text
    record = next(stages[stage] for stages in SYSTEMS.values() if stage in stages)
    assert ("gpu=1" in text) == record.gpu


def test_memory_grows_with_the_size_of_an_experiment() -> None:
    """Bytes for each pair of neurons, and for each neuron in each frame."""
    assert Memory(3000, pair=100, value=8).megabytes(2_000, 50_000) == 3000 + 400 + 800
    small = Experiment.model_validate({"simulation": {"n_neurons": 30, "n_frames": 90_000}})
    assert sections.size(small) == (30, 90_000)
    assert sections.size(CircuitExperiment()) == (0, 0)


@pytest.mark.parametrize("profile", ["default", "slurm", "fakecluster"])
def test_profiles_keep_no_incomplete_results(profile: str) -> None:
    options = yaml.safe_load((ROOT / "profiles" / profile / "config.yaml").read_text())
    assert options["rerun-incomplete"] is True
    assert "keep-incomplete" not in options
    assert "rerun-triggers" not in options


@needs_plugin
def test_a_figure_is_made_by_cluster_jobs(finished: Study) -> None:
    finished.edit("experiments/wired.yaml", "at: [50, 100]", "at: [50, 99]")
    jobs = finished.planned("results/Other/")
    assert jobs == {"score": 1, "figure": 1}  # its panel shows no score
    text = finished.snakemake("results/Other/", "--workflow-profile", "fakecluster")
    assert text.count("with external jobid") == sum(jobs.values())
    finished.ngpipe("verify", "results/Other/")
    assert not finished.planned("results/Other/")


@needs_plugin
def test_failure_on_a_cluster_is_retried_then_reported(study: Study) -> None:
    study.edit("experiments/small.yaml", "noise: 0.5", "noise: 0.5\n  initial_std: 1.0e+38")
    target = "results/runs/small/simulation.zarr"
    text = study.snakemake(target, "--workflow-profile", "fakecluster", rc=1)
    assert text.count("with external jobid") == 2
    assert not study.path(target).exists()
    shown = study.path("logs", "small", "simulate.log").read_text()
    assert "not finite" in shown or "diverge" in shown
    assert text.count("FAILED: simulate (logs/small/simulate.log") == 1


def test_what_failed_and_what_to_do_is_the_last_thing_on_the_screen(study: Study) -> None:
    study.edit("experiments/small.yaml", "noise: 0.5", "noise: 0.5\n  initial_std: 1.0e+38")
    text = study.snakemake("results/runs/small/simulation.zarr", rc=1)
    said, end = text.rsplit("\nFAILED: ", 1)
    assert "WorkflowError" in said
    first, message, *_, last = end.strip().splitlines()
    assert first == "simulate (logs/small/simulate.log)"
    assert message.startswith("ngpipe simulate: ")
    assert last == "Mend this and run the same command again: what is done stays."


def test_a_space_in_the_path_of_project_or_study_is_no_matter(
    tmp_path: Path, project: Path
) -> None:
    spaced = copy_project(project, tmp_path / "the project")
    study = make_study(tmp_path / "my study", spaced)
    text = study.snakemake("results/runs/small/simulation.zarr")
    assert "simulate: 2050/2050 frames, 100 %" in text


@needs_plugin
def test_a_space_in_the_path_of_a_profile_is_no_matter(tmp_path: Path, project: Path) -> None:
    study = make_study(tmp_path / "my study", copy_project(project, tmp_path / "the project"))
    target = "results/runs/small/simulation.zarr"
    assert "external jobid" in study.snakemake(target, "--workflow-profile", "fakecluster")


def test_missing_conda_is_noticed_before_any_job(
    study: Study, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    text = study.snakemake("results/Main/", "--software-deployment-method", "conda", rc=1)
    assert "there is no `conda` on the PATH" in text
    assert "Job stats" not in text

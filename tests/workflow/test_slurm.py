"""A small study through profiles/slurm on a real Slurm of one node, started for this test."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from studies import STAGES, Study, copy_project, make_study, share

HERE = Path(__file__).parent
NEEDED = ("slurmctld", "slurmd", "munged", "sbatch", "squeue", "srun")
MISSING = [name for name in NEEDED if shutil.which(name) is None]

pytestmark = [
    pytest.mark.slurm,
    pytest.mark.timeout(600),
    pytest.mark.skipif(bool(MISSING), reason=f"needs {', '.join(MISSING)}"),
    pytest.mark.skipif(
        find_spec("snakemake_executor_plugin_slurm") is None,
        reason="needs snakemake-executor-plugin-slurm",
    ),
]


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A running Slurm; its commands come first on PATH."""
    home = tmp_path / "slurm"
    log = tmp_path / "slurm.log"
    try:
        with log.open("w") as output:  # not a pipe: the daemons would keep it open
            up = [str(HERE / "slurm_up.sh"), str(home)]
            done = subprocess.run(up, stdout=output, stderr=output, check=False)
        assert done.returncode == 0, log.read_text()
        monkeypatch.setenv("SLURM_CONF", str(home / "slurm.conf"))
        monkeypatch.setenv("PATH", f"{home / 'bin'}{os.pathsep}{os.environ['PATH']}")
        yield home
    finally:
        subprocess.run([str(HERE / "slurm_down.sh"), str(home)], check=True)


def submit(study: Study, target: str, rc: int = 0) -> str:
    """Run Snakemake with the profile."""
    return study.run(*submission(study, target), rc=rc)


def submission(study: Study, target: str, *options: str) -> list[str]:
    """The command of Snakemake with the profile, asking Slurm sooner than on a real cluster."""
    return [
        *(sys.executable, "-m", "snakemake", target),
        *("--snakefile", str(study.project / "Snakefile"), "--workflow-profile", "slurm"),
        *("--slurm-init-seconds-before-status-checks", "2", *options),
    ]


def asked(study: Study, pattern: str) -> list[str]:
    """What each job asked for, in order of submission: the first group of a pattern, or ""."""
    jobs = study.run("scontrol", "show", "job", "--oneliner").strip().splitlines()
    found = [re.search(pattern, job) for job in jobs]
    return [match[1] if match else "" for match in found]


def test_a_figure_is_made_by_slurm_jobs(finished: Study, slurm: Path) -> None:
    finished.edit("experiments/wired.yaml", "functions: 0.004", "functions: 0.005")
    planned = finished.planned("results/Other/")
    assert planned == {"train": 1, "recover": 1, "rollout": 1, "score": 1, "panel": 1, "figure": 1}
    text = submit(finished, "results/Other/")
    assert text.count("with SLURM jobid") == sum(planned.values())
    assert not finished.planned("results/Other/")
    finished.ngpipe("verify", "results/Other/")
    assert asked(finished, r"gres:gpu:(\d)") == ["1", "", "", "", "", ""]
    assert asked(finished, r"mem=(\w+)")[0] == "4000M"


def test_points_of_a_sweep_are_slurm_jobs_and_their_links_are_not(
    finished: Study, slurm: Path
) -> None:
    sweep = "rollout: {n_frames"
    finished.edit("experiments/wired.yaml", sweep, f"sweep: {{recovery.n_types: [1]}}\n{sweep}")
    jobs = {"recover": 1, "score": 1, "sweep": 1}
    links = {"reuse_simulate": 1, "reuse_train": 1, "reuse_rollout": 1}
    assert finished.planned("results/sweeps/wired.csv") == {**jobs, **links}
    text = submit(finished, "results/sweeps/wired.csv")
    assert text.count("with SLURM jobid") == sum(jobs.values())
    finished.ngpipe("verify", "results/sweeps/wired.csv")
    assert not finished.planned("results/sweeps/wired.csv")


def test_every_attempt_is_one_job_with_more_memory(study: Study, slurm: Path) -> None:
    study.edit("experiments/small.yaml", "noise: 0.5", "noise: 0.5\n  initial_std: 1.0e+38")
    submit(study, "results/runs/small/simulation.zarr", rc=1)
    assert asked(study, r"mem=(\w+)") == ["1500M", "3000M", "4500M"]
    log = study.path("logs", "small", "simulate.log").read_text()
    assert log.count("ngpipe simulate:") == 1


def killed(study: Study, rule: str) -> bool:
    """Kill one job of a rule as soon as one runs; false if none does yet."""
    jobs = study.run("squeue", "--noheader", "--states=R", "--format=%i %k").splitlines()
    mine = [job.split()[0] for job in jobs if f"rule_{rule}_" in job]
    if mine:
        study.run("scancel", "--signal=KILL", "--full", mine[0])
    return bool(mine)


@pytest.mark.timeout(1500)
def test_a_training_shared_by_jobs_outlives_two_of_them(
    tmp_path: Path,
    project: Path,
    slurm: Path,
    start: Callable[[Study, list[str]], subprocess.Popen],
) -> None:
    """Six jobs solve the rows; one is killed, and one takes more memory than it has asked for."""
    edited = copy_project(project, tmp_path / "project")
    alone, several = (make_study(tmp_path / name, edited) for name in ("alone", "several"))
    share(alone, 1, n_neurons=300)
    share(several, 6, n_neurons=300)
    alone.snakemake("results/Main/")

    several.edit_source("study/records.py", "memory=Memory(3000, pair=64)", "memory=Memory(300)")
    threads = [f"{stage}=1" for stage in STAGES]
    command = submission(several, "results/Main/", "--set-threads", *threads)
    process = start(several, command)
    several.wait_for(lambda: killed(several, "solve_rows"), process, seconds=400)
    assert process.wait() == 0, several.log()

    logs = several.path(".snakemake", "slurm_logs")
    told = [path.read_text() for path in logs.joinpath("rule_factor", "small").glob("*.log")]
    assert any("exceeded memory limit" in text for text in told)
    submitted = re.findall(r"submitted with SLURM jobid .*slurm_logs/rule_(\w+)/", several.log())
    assert submitted.count("gram") == 6
    assert submitted.count("factor") > 1
    assert submitted.count("solve_rows") == 7
    # The panel of the training shows seconds.
    for name in ("scatter.svg", "scatter.png", "activity.svg", "metrics.csv", "caption.txt"):
        one, other = (study.path("results", "Main", name) for study in (alone, several))
        assert one.read_bytes() == other.read_bytes(), name

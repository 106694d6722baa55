"""A small study through profiles/slurm on a real Slurm of one node, started for this test."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from conftest import Study

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


def test_a_figure_is_made_by_slurm_jobs(finished: Study, slurm: Path) -> None:
    finished.edit("experiments/wired.yaml", "functions: 0.004", "functions: 0.005")
    jobs = finished.planned("results/Other/")
    assert jobs == {"train": 1, "recover": 1, "rollout": 1, "score": 1, "panel": 1, "figure": 1}
    text = finished.run(
        *(sys.executable, "-m", "snakemake", "results/Other/"),
        *("--snakefile", str(finished.project / "Snakefile"), "--workflow-profile", "slurm"),
        *("--slurm-init-seconds-before-status-checks", "2"),
    )
    assert text.count("with SLURM jobid") == sum(jobs.values())
    assert not finished.planned("results/Other/")
    finished.ngpipe("verify", "results/Other/")

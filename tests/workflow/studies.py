"""Small studies run with the project's own Snakefile, and what to do with them.

A study takes long from nothing, so it is run once a session (`finished_once`) and copied
for every test (`finished`); most tests then only ask what a dry run would do. Snakemake keeps its
records below the working directory and by relative path, so a copy is as finished as the original.
All run a copy of the project, so editing the source while the tests run does not make them fail.
"""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from forked import forking_python

ROOT = Path(__file__).parents[2]
PARTS = ("Snakefile", "rules", "workflow", "profiles", "envs", "src")
"""What a copy of the project needs to run."""
SHARED = "shared"
"""An empty file in a copy of the project that no test edits."""
NOTHING = "Nothing to be done"
STAGES = (
    *("simulate", "train", "recover", "rollout", "score", "fit", "search", "attribute"),
    *("respond", "psi", "gram", "factor", "solve_rows"),
)
N_NEURONS = 16

CONFIG = """\
figures:
  Main:
    panels:
      activity: {kind: activity, of: small, frames: 400, neurons: 8}
      scatter: {kind: connectivity_scatter, of: small}
      training: {kind: learning_curve, of: small}
  Other:
    panels:
      rollout: {kind: rollout, of: wired}
style:
  dpi: 50
"""
SMALL = """\
simulation:
  n_neurons: 16
  n_frames: 2000
  burn_in: 50
  noise: 0.5
  types:
    - {leak: 1, self_excitation: 1}
    - {leak: 2, self_excitation: 2}
training:
  steps: 60
  held_out: 0.2
  evaluations: 4
  log_every: 10
  accept_worse_than_zero: true
  learning_rate: {functions: 0.004, latent: 0.03}
rollout: {n_frames: 100, at: [50, 100]}
"""
SHARED = """\
  solver: closed_form
  closed_form:
    {jobs: 1, psi_basis: 8, phi_basis: 8, fine_basis: 8, ridges: [1.0e-4], distil_steps: 20}
"""
WIRED = SMALL.replace("  types:", "  connectivity: {kind: file, path: config/wiring.csv}\n  types:")


def _interruptible() -> None:
    """Let a started process be interrupted, also where tests run in the background of a shell."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@dataclass(frozen=True)
class Study:
    """A working directory with a config/, and the project that works on it."""

    directory: Path
    project: Path
    forks: bool = sys.platform == "linux"

    @property
    def environment(self) -> dict[str, str]:
        """Environment of every process: the source of the project at hand, and one thread."""
        source = str(self.project / "src")
        ours = {"OMP_NUM_THREADS": "1", "PYTHONPATH": source, "COLUMNS": "200"}
        kept = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
        return {**kept, **ours}

    @property
    def unforked(self) -> "Study":
        """The same study, each of whose commands and jobs loads all it needs by itself."""
        return replace(self, forks=False)

    @property
    def python(self) -> str:
        """The Python of commands, which Snakemake hands on to its jobs."""
        if not self.forks:
            return sys.executable
        source = self.project / "src"
        return str(forking_python(source if (self.project / SHARED).exists() else None))

    def snakemake_command(self, *arguments: str) -> list[str]:
        """The command line of Snakemake on this study: two jobs at a time, one thread each."""
        threads = [f"{stage}=1" for stage in STAGES]
        return [
            *(self.python, "-m", "snakemake", *arguments, "--cores", "2"),
            *("--snakefile", str(self.project / "Snakefile")),
            *("--directory", str(self.directory)),
            *("--set-threads", *threads, "--resources", "gpu=2"),
        ]

    def snakemake(self, *arguments: str, rc: int | None = 0) -> str:
        """Run Snakemake; returns all it prints. ``rc=None`` accepts any exit status but 0."""
        return self.run(*self.snakemake_command(*arguments), rc=rc)

    def ngpipe(self, *arguments: str, rc: int | None = 0) -> str:
        """Run the command line in the working directory; returns all it prints."""
        return self.run(*self.ngpipe_command(*arguments), rc=rc)

    def ngpipe_command(self, *arguments: str) -> list[str]:
        """The command line of one step."""
        return [self.python, "-m", "ngpipe", *arguments]

    def planned(self, *targets: str) -> dict[str, int]:
        """How many jobs of which rule a run would do now; {} only if Snakemake says so."""
        text = self.snakemake("--dry-run", *targets)
        jobs = {rule: int(n) for rule, n in re.findall(r"^(\w+) +(\d+)$", text, re.MULTILINE)}
        assert jobs or NOTHING in text, text
        assert jobs.pop("total", 0) == sum(jobs.values()), text
        jobs.pop("all", None)
        return jobs

    def start(self, command: list[str]) -> subprocess.Popen:
        """Start a process, leader of its own process group."""
        with self.directory.with_suffix(".log").open("w") as output:
            return subprocess.Popen(
                command,
                cwd=self.directory,
                env=self.environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=_interruptible,
            )

    def wait_for(
        self, condition: Callable[[], object], process: subprocess.Popen, seconds: float = 120
    ) -> None:
        """Wait until a condition holds that a started process is to bring about."""
        deadline = time.monotonic() + seconds
        while not condition():
            assert process.poll() is None, f"ended too early:\n{self.log()}"
            assert time.monotonic() < deadline, f"waited too long:\n{self.log()}"
            time.sleep(0.02)

    def log(self) -> str:
        """What the process that was started last has printed."""
        return self.directory.with_suffix(".log").read_text()

    def path(self, *parts: str) -> Path:
        """A path in the working directory."""
        return self.directory.joinpath(*parts)

    def edit(self, name: str, old: str, new: str) -> None:
        """Replace text that is there in a file of the config."""
        replace_text(self.path("config", name), old, new)

    def edit_source(self, name: str, old: str, new: str) -> None:
        """Replace text that is there in a file of src/ngpipe; for the fixture `editable`."""
        replace_text(self.project / "src" / "ngpipe" / name, old, new)

    def run(self, *command: str, rc: int | None = 0) -> str:
        """Run a command in the working directory; returns all it prints."""
        done = subprocess.run(
            command,
            cwd=self.directory,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == rc if rc is not None else done.returncode != 0, done.stdout
        return done.stdout


def replace_text(path: Path, old: str, new: str) -> None:
    """Replace a text that must be in a file."""
    text = path.read_text()
    assert old in text, f"{path} has no {old!r}"
    path.write_text(text.replace(old, new))


def make_study(directory: Path, project: Path) -> Study:
    """A directory with config/ alone: two figures of two experiments, one wired by a csv."""
    (directory / "config" / "experiments").mkdir(parents=True)
    study = Study(directory, project)
    study.path("config", "config.yaml").write_text(CONFIG)
    study.path("config", "experiments", "small.yaml").write_text(SMALL)
    study.path("config", "experiments", "wired.yaml").write_text(WIRED)
    rng = np.random.default_rng(7)
    pre, post = np.nonzero(rng.random((N_NEURONS, N_NEURONS)) < 0.3)
    edges = pd.DataFrame({"pre": pre, "post": post})[pre != post]
    edges["weight"] = rng.normal(scale=0.3, size=len(edges)).round(4)
    edges.to_csv(study.path("config", "wiring.csv"), index=False)
    return study


def share(study: Study, jobs: int, n_neurons: int = 100) -> None:
    """Have the training of `small`, in closed form and of more neurons, shared by some jobs."""
    study.edit("experiments/small.yaml", "n_neurons: 16", f"n_neurons: {n_neurons}")
    study.edit("experiments/small.yaml", "training:\n  steps: 60\n", f"training:\n{SHARED}")
    study.edit("experiments/small.yaml", "jobs: 1", f"jobs: {jobs}")
    study.edit("experiments/small.yaml", "  evaluations: 4\n", "")


def copy_project(origin: Path, target: Path) -> Path:
    """A copy of the parts of the project that run."""
    target.mkdir()
    for part in PARTS:
        source = origin / part
        if source.is_dir():
            ignored = shutil.ignore_patterns("*.egg-info")
            shutil.copytree(source, target / part, ignore=ignored)
        else:
            shutil.copy2(source, target / part)
    return target


def kill_group(process: subprocess.Popen) -> None:
    """SIGKILL for a process and all it started; nobody gets to clean up."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()

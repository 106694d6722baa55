# Helpers of all rules: the validated study, chain keys, and the interpreter of the jobs.
import fcntl
import re
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError

ROOT = Path(str(workflow.current_basedir)).parent
sys.path.insert(0, str(ROOT / "src"))

from ngpipe.errors import NgpipeError
from ngpipe.steps import stages

try:
    STUDY = stages.open_study(Path("config"), config)
except NgpipeError as error:
    raise WorkflowError(str(error)) from None


def forget_dead_lock():
    """Remove the lock of a Snakemake that was killed, so that the same command simply goes on.

    Every main process shares a lock that the system frees however the process ends. Whoever gets
    it exclusively is alone in this directory, so that Snakemake's own lock has lost its owner.
    """
    own = Path(".snakemake/ngpipe.lock")
    own.parent.mkdir(exist_ok=True)
    held = own.open("w")
    try:
        fcntl.flock(held, fcntl.LOCK_EX | fcntl.LOCK_NB)
        for lock in Path(".snakemake/locks").glob("*.lock"):
            lock.unlink()
    except BlockingIOError:
        pass  # another Snakemake lives here: its lock stands
    except OSError:
        return None  # a file system without such locks: Snakemake's own stands
    fcntl.flock(held, fcntl.LOCK_SH)
    return held


if workflow.is_main_process:
    HELD = forget_dead_lock()


def stage_key(stage):
    """Input function: chain key of a stage of the experiment in the wildcard."""
    return lambda wildcards: STUDY.keys(wildcards.experiment)[stage]


def tensorboard(wildcards):
    """Option of training that writes its losses as TensorBoard events, if the study asks."""
    if not STUDY.figures.tensorboard:
        return ""
    return f"--tensorboard logs/{wildcards.experiment}/tensorboard"


def named_files(stage):
    """Input function: files of the user that a stage of an experiment reads."""
    return lambda wildcards: [
        str(path)
        for name, path in stages.named_files(STUDY.experiments[wildcards.experiment])
        if name == stage
    ]


def figure_panels(wildcards):
    """All panel files of a figure, its movies among them."""
    figure = STUDY.figures.figures[wildcards.figure]
    files = [
        f"{p}.{suffix}" for p in figure.panels for suffix in ("svg", "png", "json")
    ]
    files += [
        f"{p}.{suffix}" for p in figure.movies() for suffix in ("gif", "movie.json")
    ]
    return [f"results/panels/{wildcards.figure}/{file}" for file in files]


def movie_panels():
    """Names of all panels that are movies too."""
    return [panel for f in STUDY.figures.figures.values() for panel in f.movies()]


def figure_runs(wildcards):
    """All results of the experiments a figure draws on."""
    names = STUDY.experiments_of(wildcards.figure)
    return [path for name in names for path in run_files(name)]


def panel_run(wildcards):
    """All results of the experiment a panel draws on."""
    return run_files(STUDY.figures.figures[wildcards.figure].panels[wildcards.panel].of)


def run_files(experiment):
    """Everything in results/runs/<experiment>/ that a figure may show."""
    names = stages.results_of(STUDY.experiments[experiment])
    return [f"results/runs/{experiment}/{name}" for name in names]


def experiments_of(*systems):
    """Names of the experiments of some systems."""
    return [name for name, e in STUDY.experiments.items() if e.system in systems]


def one_of(names):
    """Wildcard constraint: exactly one of these names; without a name, nothing matches."""
    return "|".join(re.escape(name) for name in names) or "(?!)"


wildcard_constraints:
    experiment=one_of(STUDY.experiments),
    figure=one_of(STUDY.figures.figures),
    panel="[A-Za-z0-9_-]+",


# Jobs run the source beside this Snakefile, with the Python that runs Snakemake unless a
# deployment method brings its own; so an environment that is not activated works too.
_PATH = (
    ""
    if workflow.deployment_settings.deployment_method
    else f"export PATH={Path(sys.executable).parent}:$PATH; "
)
shell.prefix(f"set -euo pipefail; {_PATH}export PYTHONPATH={ROOT / 'src'}; ")

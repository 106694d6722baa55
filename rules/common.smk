# Helpers of all rules: the validated study, chain keys, and the interpreter of the jobs.
import fcntl
import json
import os
import re
import shlex
import shutil
import sys
from pathlib import Path

from snakemake.exceptions import WorkflowError
from snakemake.settings.types import DeploymentMethod

ROOT = Path(str(workflow.current_basedir)).parent
os.environ.update(NGPIPE_ROOT=str(ROOT))  # for profiles, whose commands are found by it
sys.path.insert(0, str(ROOT / "src"))

from ngpipe.config.figures import KINDS
from ngpipe.config.panels import SWEPT
from ngpipe.config.sweep import base_of
from ngpipe.errors import NgpipeError
from ngpipe.ownership import claim
from ngpipe.study import sections, stages
from ngpipe.study.records import stage_called

try:
    STUDY = stages.open_study(Path("config"), config)
except NgpipeError as error:
    raise WorkflowError(str(error)) from None
REUSED = {name: STUDY.reused(name) for name in STUDY.experiments}


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
    methods = workflow.deployment_settings.deployment_method
    if DeploymentMethod.CONDA in methods and not shutil.which("conda"):
        raise WorkflowError(
            "--software-deployment-method conda: there is no `conda` on the PATH; install conda "
            "24.7.1 or later, or leave the option out: jobs then run in the environment of Snakemake"
        )


CLAIMED = set()


def claimed(paths):
    """Stop before anything is run or removed if these outputs hold what ngpipe did not write.

    Snakemake removes outputs before a job starts, so the job itself would come too late.
    """
    paths = tuple(paths)
    if not workflow.is_main_process or paths in CLAIMED:
        return
    try:
        claim(paths)
    except NgpipeError as error:
        sys.exit(str(error))  # a WorkflowError would bury it in a traceback
    CLAIMED.add(paths)


def claiming(find, outputs):
    """Function of params: the key that ``find`` finds, once the outputs are claimed."""

    def key(wildcards):
        claimed(outputs(wildcards))
        return find(wildcards)

    key.find = find  # for whoever asks without an intention to write
    return key


def stage_key(stage):
    """Function of params: chain key of a stage of the experiment in the wildcard."""
    return claiming(
        lambda wildcards: STUDY.key(wildcards.experiment, stage),
        lambda wildcards: [
            f"results/runs/{wildcards.experiment}/{name}"
            for name in stages.outputs_of(stage, **dict(wildcards.items()))
        ],
    )


def threads_of(stage):
    """Threads that a stage gains from, as its record says."""
    return stage_called(stage).threads


def memory_of(stage):
    """Function of resources: memory for the experiment in the wildcard [MB], more each attempt."""

    def asked(wildcards, attempt):
        size = sections.size(STUDY.experiments[wildcards.experiment])
        jobs = shared_by(stage, wildcards)
        return stage_called(stage).megabytes(*size, jobs) * attempt

    return asked


def minutes_of(stage):
    """Function of resources: time of a stage [minutes], more each attempt."""

    def asked(wildcards, attempt):
        n_neurons, _ = sections.size(STUDY.experiments[wildcards.experiment])
        record = stage_called(stage)
        return record.time(n_neurons, shared_by(stage, wildcards)) * attempt

    return asked


def shared_by(stage, wildcards):
    """Jobs that share the training which a stage is, or is a part of."""
    record = stage_called(stage)
    return jobs_of(wildcards) if record.part_of or record.gathering else 1


def jobs_of(wildcards):
    """Jobs that share the training of an experiment, as its config says.

    Of a training that today's key has made: as many as did, so that to ask for more or fewer makes
    nothing again. The jobs themselves are told by the environment.
    """
    name, told = wildcards.experiment, json.loads(os.environ.get("NGPIPE_JOBS", "{}"))
    if name in told:
        return told[name]
    asked = sections.jobs(STUDY.experiments[name])
    forced = workflow.dag_settings.forceall or workflow.dag_settings.forcerun
    if forced or not workflow.is_main_process:
        return asked
    outputs = workflow.get_rule("train").expand_output(wildcards)[0]
    made = workflow.persistence.metadata(outputs[0])
    key = repr(STUDY.key(name, "train"))
    if (
        not made
        or key not in (made.params or ())
        or not all(Path(o).exists() for o in outputs)
    ):
        return asked
    found = [path for path in made.input if "parts/solve_rows_" in path]
    told[name] = len(found) // 2 or 1  # a file and its manifest of each
    os.environ.update(NGPIPE_JOBS=json.dumps(told))
    return told[name]


def parts(stage):
    """Input function: what the jobs of a part of the training hand on; nothing of one job alone."""

    def handed_on(wildcards):
        jobs = jobs_of(wildcards)
        names = {
            name: None
            for job in range(1, jobs + 1 if jobs > 1 else 1)
            for name in stages.outputs_of(stage, job=job, jobs=jobs)
        }
        return run_paths(wildcards.experiment, names)

    return handed_on


def gathering(wildcards):
    """Option of training that gathers what jobs have solved, if several did."""
    jobs = jobs_of(wildcards)
    return f"--jobs {jobs}" if jobs > 1 else ""


def picture_key(find, *suffixes):
    """Function of params: chain key of a panel or of its movie."""
    return claiming(
        lambda wildcards: find(wildcards.figure, wildcards.panel),
        lambda wildcards: [
            f"results/panels/{wildcards.figure}/{wildcards.panel}.{suffix}"
            for suffix in suffixes
        ],
    )


# Chain key of a figure.
figure_key = claiming(
    lambda wildcards: STUDY.figure_key(wildcards.figure),
    lambda wildcards: [f"results/{wildcards.figure}"],
)


def shown_in(wildcards):
    """What the panels of a figure show, for the report."""
    figure = STUDY.figures.figures[wildcards.figure]
    panels = [
        f"{name}: {KINDS[panel.kind].shows.replace('`', '')} (experiment {panel.of})"
        for name, panel in figure.panels.items()
    ]
    return "\n".join([*filter(None, [figure.about]), *panels])


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
    """All results that the panels of a figure read, and the metrics of its experiments."""
    panels = STUDY.figures.figures[wildcards.figure].panels.values()
    files = [path for panel in panels for path in shown_by(panel)]
    for name in STUDY.experiments_of(wildcards.figure):
        files += run_paths(name, ["metrics.csv", "metrics.json"])
    return list(dict.fromkeys(files))


def panel_run(wildcards):
    """All results that a panel reads."""
    return shown_by(STUDY.figures.figures[wildcards.figure].panels[wildcards.panel])


def shown_by(panel):
    """The results that a panel reads, a store with its manifest."""
    files = []
    for name in KINDS[panel.kind].reads:
        if name == SWEPT:
            files += [
                f"results/sweeps/{panel.of}.{suffix}" for suffix in ("csv", "json")
            ]
        else:
            manifest = (
                [name.replace(".zarr", ".json")] if name.endswith(".zarr") else []
            )
            files += run_paths(panel.of, [name, *manifest])
    return files


def run_files(experiment):
    """Everything in results/runs/<experiment>/ that a figure may show."""
    return run_paths(experiment, stages.results_of(STUDY.experiments[experiment]))


def run_paths(experiment, names):
    """Some results of an experiment; manifests tell the age of the stores beside them."""
    paths = [f"results/runs/{experiment}/{name}" for name in names]
    return [ancient(path) if path.endswith(".zarr") else path for path in paths]


def makers(stage):
    """Names of the experiments that run a stage: all that have it and do not reuse it."""
    return [
        name
        for name, e in STUDY.experiments.items()
        if stage in stages.stages_of(e) and stage not in REUSED[name]
    ]


def base_results(stage):
    """Input function: results of a stage of the experiment that a point belongs to."""
    return lambda wildcards: run_paths(
        base_of(wildcards.experiment), stages.outputs_of(stage)
    )


def own_results(stage):
    """Input function: results of a stage of the same experiment, if it has this stage."""
    return lambda wildcards: (
        run_paths(wildcards.experiment, stages.outputs_of(stage))
        if stage in stages.stages_of(STUDY.experiments[wildcards.experiment])
        else []
    )


def swept_runs(wildcards):
    """Input function: all results of an experiment and of all points of its sweep."""
    name = wildcards.experiment
    points = stages.swept(name, STUDY.experiments[name])
    return [path for point in points for path in run_files(point)]


def key_of_sweep(wildcards):
    """Chain key of the table of a sweep."""
    name = wildcards.experiment
    return stages.sweep_key(stages.swept(name, STUDY.experiments[name]))


sweep_key = claiming(
    key_of_sweep,
    lambda wildcards: [
        f"results/sweeps/{wildcards.experiment}.{suffix}" for suffix in ("csv", "json")
    ],
)


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
    else f'export PATH={shlex.quote(str(Path(sys.executable).parent))}:"$PATH"; '
)
_SOURCE = shlex.quote(str(ROOT / "src"))
shell.prefix(f"set -euo pipefail; {_PATH}export PYTHONPATH={_SOURCE}; ")

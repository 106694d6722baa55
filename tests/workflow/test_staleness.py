"""After which change which jobs rerun: all that is stale, nothing else."""

import json
import os
import shutil
from collections.abc import Callable

import pytest
from studies import NOTHING, Study

NONE: dict[str, int] = {}
PAGES = {"panel": 4, "figure": 2}
SCORED = {"score": 2, "panel": 2, "figure": 2}
"""`activity` reads the recording alone, `rollout` the rollout."""
ALL = {"simulate": 2, "train": 2, "recover": 2, "rollout": 2, "score": 2, **PAGES}
WIRED_PAGES = {"panel": 1, "figure": 1}
WIRED_SCORED = {"score": 1, "figure": 1}
WIRED_TRAINED = {"train": 1, "recover": 1, "rollout": 1, "score": 1, **WIRED_PAGES}


def touch_sources(study: Study) -> None:
    for path in study.project.joinpath("src", "ngpipe").rglob("*.py"):
        os.utime(path)


def edit_comments(study: Study) -> None:
    for path in study.project.joinpath("src", "ngpipe").rglob("*.py"):
        path.write_text(f"# A comment\n{path.read_text()}")
    study.edit_source("errors.py", "Errors a user can act on", "What users can act on")


def touch_configs(study: Study) -> None:
    for path in study.path("config").rglob("*.*"):
        os.utime(path)


def edit_and_revert(study: Study) -> None:
    path = study.project / "src" / "ngpipe" / "steps" / "simulate.py"
    text = path.read_text()
    path.write_text(text + "len(str())\n")
    assert study.planned() == ALL
    path.write_text(text)


def comment_and_key_order(study: Study) -> None:
    study.edit("experiments/small.yaml", "simulation:\n", "# a comment\nsimulation:\n")
    study.edit("experiments/small.yaml", "{leak: 1, self_exc", "{self_excitation: 1, leak: 1} #")
    study.edit("experiments/wired.yaml", "  steps: 60\n  held_out: 0.2\n", "  held_out: 0.2\n")
    study.edit("experiments/wired.yaml", "  evaluations: 4\n", "  evaluations: 4\n  steps: 60\n")
    study.edit("config.yaml", "kind: activity, of: small", "of: small, kind: activity")


def default_written_out(study: Study) -> None:
    study.edit("experiments/small.yaml", "  burn_in: 50\n", "  burn_in: 50\n  dt: 0.01\n")


def unused_experiment(study: Study) -> None:
    study.path("config", "experiments", "new.yaml").write_text("simulation: {n_neurons: 3}\n")


def edit(source: str, line: str = "len(str())") -> Callable[[Study], None]:
    """A change of one source file: a line more, which may do something, as far as one can see."""

    def change(study: Study) -> None:
        path = study.project / "src" / "ngpipe" / source
        path.write_text(f"{path.read_text()}{line}\n")

    return change


def source(file: str, old: str, new: str) -> Callable[[Study], None]:
    """A change of one function of a source file."""
    return lambda study: study.edit_source(file, old, new)


def several(*changes: Callable[[Study], None]) -> Callable[[Study], None]:
    """Changes none of which may make anything stale: if one did, so would all."""

    def change(study: Study) -> None:
        for one in changes:
            one(study)

    return change


def config(name: str, old: str, new: str) -> Callable[[Study], None]:
    """A change of one value in one file of the config."""
    return lambda study: study.edit(name, old, new)


def swapped_in_one_section(study: Study) -> None:
    rates = "functions: {}, latent: {}".format
    study.edit("experiments/wired.yaml", rates("0.004", "0.03"), rates("0.03", "0.004"))


def swapped_panel_numbers(study: Study) -> None:
    study.edit("config.yaml", "frames: 400, neurons: 8", "frames: 8, neurons: 400")


def one_weight(study: Study) -> None:
    path = study.path("config", "wiring.csv")
    header, first, *rest = path.read_text().splitlines()
    pre, post, weight = first.split(",")
    first = f"{pre},{post},{float(weight) + 0.1}"
    path.write_text("\n".join([header, first, *rest]) + "\n")


OF_THE_SOURCE: dict[str, tuple[Callable[[Study], None], dict[str, int]]] = {
    "sources touched": (touch_sources, NONE),
    "comments, names that nothing uses, other systems": (
        several(
            edit_comments,
            edit("dynamics/integrate.py", "SOMETHING = 1"),
            edit("errors.py", "class OddError(NgpipeError): ..."),
            edit("figures/circuit/times.py"),
            edit("wiring/nulls/swaps.py"),
            edit("config/circuit/experiment.py"),
        ),
        NONE,
    ),
    "source of simulate, then reverted": (edit_and_revert, NONE),
    "source of the integrator": (edit("dynamics/integrate.py"), ALL),
    "shared source": (edit("store.py"), ALL),
    "source of train": (
        edit("steps/train.py"),
        {"train": 2, "recover": 2, "rollout": 2, **SCORED, "panel": 3},
    ),
    "source of recover": (edit("assembly/readout.py"), {"recover": 2, **SCORED}),
    "source of a metric": (edit("metrics/connectivity.py"), SCORED),
    "source of two panels": (edit("figures/assembly/traces.py"), {"panel": 2, "figure": 2}),
    "source of all pages": (edit("figures/drawing/headlines.py"), PAGES),
    "source of one panel": (
        source("figures/assembly/traces.py", '"rollout from a held', '"rollout after a held'),
        {"panel": 1, "figure": 1},
    ),
    "source that two panels use": (
        source("figures/assembly/traces.py", "n: int) -> None:", "n: int = 0) -> None:"),
        {"panel": 2, "figure": 2},
    ),
    "source of figure alone": (edit("steps/figure.py"), {"figure": 2}),
}
OF_THE_CONFIG: dict[str, tuple[Callable[[Study], None], dict[str, int]]] = {
    "files touched, YAML comment and key order, default, unused experiment": (
        several(comment_and_key_order, default_written_out, unused_experiment, touch_configs),
        NONE,
    ),
    "style": (config("config.yaml", "dpi: 50", "dpi: 60"), PAGES),
    "spec of one panel": (
        config("config.yaml", "of: wired", "of: wired, title: Ours"),
        WIRED_PAGES,
    ),
    "layout of one figure": (
        config("config.yaml", "  Other:\n", "  Other:\n    width: 6\n"),
        {"figure": 1},
    ),
    "new panel": (
        config(
            "config.yaml",
            "  Other:\n    panels:\n",
            "  Other:\n    panels:\n      psi: {kind: psi, of: wired}\n",
        ),
        WIRED_PAGES,
    ),
    "experiment of one panel": (
        config("config.yaml", "activity, of: small", "activity, of: wired"),
        {"panel": 1, "figure": 1},
    ),
    "learning rate of one experiment": (
        config("experiments/wired.yaml", "functions: 0.004", "functions: 0.005"),
        WIRED_TRAINED,
    ),
    "noise of one experiment": (
        config("experiments/wired.yaml", "noise: 0.5", "noise: 0.6"),
        {"simulate": 1, **WIRED_TRAINED},
    ),
    "frames scored": (
        config("experiments/wired.yaml", "at: [50, 100]", "at: [50, 99]"),
        WIRED_SCORED,
    ),
    "two values swapped": (swapped_in_one_section, WIRED_TRAINED),
    "two values of a panel swapped": (swapped_panel_numbers, {"panel": 1, "figure": 1}),
    "user's connectivity": (one_weight, {"simulate": 1, **WIRED_TRAINED}),
}


@pytest.mark.parametrize("change", OF_THE_SOURCE)
def test_an_edited_source_reruns_what_is_stale_and_nothing_else(
    editable: Study, change: str
) -> None:
    make, expected = OF_THE_SOURCE[change]
    make(editable)
    assert editable.planned() == expected


@pytest.mark.parametrize("change", OF_THE_CONFIG)
def test_an_edited_config_reruns_what_is_stale_and_nothing_else(
    finished: Study, change: str
) -> None:
    make, expected = OF_THE_CONFIG[change]
    make(finished)
    assert finished.planned() == expected


def test_user_file_replaced_under_its_old_time_is_noticed(finished: Study) -> None:
    path = finished.path("config", "wiring.csv")
    before = path.stat()
    one_weight(finished)
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert finished.planned() == {"simulate": 1, **WIRED_TRAINED}


def test_results_of_one_figure_do_not_wait_for_another(finished: Study) -> None:
    finished.edit("experiments/wired.yaml", "noise: 0.5", "noise: 0.6")
    assert finished.planned("results/Main/") == NONE
    assert finished.planned("results/Other/") == {"simulate": 1, **WIRED_TRAINED}


def test_failed_rerun_leaves_the_figure_stale(editable: Study) -> None:
    """Snakemake records the new params of a failed job, so a later run may find all in order.

    The failure comes from outside the config and the source of the step, as a full disk would.
    """
    stale = WIRED_SCORED
    manifest = editable.path("results", "Other", "manifest.json")
    before = json.loads(manifest.read_text())["key"]
    editable.edit("experiments/wired.yaml", "at: [50, 100]", "at: [50, 99]")

    sound = "        module.run(*sections"
    failing = f"        1 / (name != 'score')\n{sound}"
    editable.edit_source("commands/stage.py", sound, failing)
    assert "ZeroDivisionError" in editable.snakemake("results/Other/", rc=1)

    editable.edit_source("commands/stage.py", failing, sound)
    assert editable.planned("results/Other/") == stale
    assert "runs/wired/metrics" in editable.ngpipe("verify", "results/Other/", rc=1)
    assert NOTHING not in editable.snakemake("results/Other/")
    assert json.loads(manifest.read_text())["key"] != before
    editable.ngpipe("verify", "results/Other/")
    assert editable.planned() == NONE


def test_verify_finds_what_snakemake_cannot_know_in_a_fresh_clone(finished: Study) -> None:
    """Without .snakemake there are no records, and only files and times are compared."""
    for path in finished.directory.glob(".snakemake"):
        path.rename(finished.directory.parent / "records")
    finished.ngpipe("verify", "results/Other/")
    finished.edit("experiments/wired.yaml", "functions: 0.004", "functions: 0.005")
    text = finished.ngpipe("verify", "results/Other/", rc=1)
    assert "is stale" in text
    finished.ngpipe("verify", "results/Main/")


def test_a_job_refuses_a_config_edited_after_it_was_planned(finished: Study) -> None:
    manifest = json.loads(finished.path("results", "runs", "wired", "metrics.json").read_text())
    finished.edit("experiments/wired.yaml", "at: [50, 100]", "at: [50, 99]")
    config = "config/experiments/wired.yaml"
    text = finished.ngpipe("score", config, "--key", manifest["key"], rc=1)
    assert "was planned under key" in text


def test_without_its_records_snakemake_goes_by_the_keys_in_the_manifests(finished: Study) -> None:
    """As after results were downloaded or copied without .snakemake/."""
    shutil.rmtree(finished.path(".snakemake"))
    assert finished.planned() == NONE
    finished.edit("experiments/wired.yaml", "at: [50, 100]", "at: [50, 99]")
    assert finished.planned() == WIRED_SCORED
    assert finished.planned("results/Main/") == NONE
    assert finished.planned("results/runs/wired/rollout.json") == NONE
    assert finished.planned("--rerun-triggers", "mtime") == NONE
    finished.edit("experiments/wired.yaml", "at: [50, 99]", "at: [50, 100]")
    finished.edit("config.yaml", "  Other:\n", "  Other:\n    width: 6\n")
    assert finished.planned() == {"figure": 1}

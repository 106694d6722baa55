"""Snakemake removes outputs before a job: what somebody put there stops it before any job."""

import warnings

import numpy as np
import pytest
import xarray as xr
from studies import Study

STORE = "results/runs/small/simulation.zarr"


def contents(study: Study) -> dict:
    """Every result with its bytes."""
    files = (p for p in study.path("results").rglob("*") if p.is_file())
    return {p: p.read_bytes() for p in files if p.name != ".snakemake_timestamp"}


def put_recording(study: Study, name: str) -> None:
    activity = np.random.default_rng(1).normal(size=(2000, 16)).astype("f4")
    dataset = xr.Dataset({"activity": (("time", "neuron"), activity)}, attrs={"dt": 0.01})
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset.to_zarr(study.path(name), zarr_format=3)


def refused(study: Study, *arguments: str) -> str:
    """The last words of Snakemake, which must leave every result as it is."""
    before = contents(study)
    text = study.snakemake(*arguments, rc=1)
    assert contents(study) == before
    assert "Traceback" not in text
    return text[text.index("these would be overwritten") :]


@pytest.mark.parametrize("options", [("--dry-run",), (), ("--rerun-triggers=mtime",)])
def test_a_recording_is_not_overwritten_by_a_simulation(study, options):
    put_recording(study, STORE)
    text = refused(study, *options, "results/Main/")
    assert f"{STORE}: ngpipe did not write it" in text
    assert "docs/recordings.md" in text
    assert text.rstrip().endswith("'Recordings' in docs/own-study.md.")


def test_other_figures_are_made_all_the_same(study):
    put_recording(study, STORE)
    assert "simulate" in study.planned("results/Other/")


def test_neither_by_a_step_by_hand(study):
    put_recording(study, STORE)
    before = contents(study)
    text = study.ngpipe("simulate", "config/experiments/small.yaml", rc=1)
    assert f"{STORE}: ngpipe did not write it" in text
    assert contents(study) == before


def test_before_a_training_by_hand_has_begun(study):
    """The model would be written at its end only."""
    put_recording(study, STORE)
    study.path("results/runs/small/model.safetensors").write_bytes(b"mine")
    text = study.ngpipe("train", "config/experiments/small.yaml", rc=1)
    assert "model.safetensors: ngpipe did not write it" in text
    assert "train:" not in text.replace("ngpipe train:", "")


@pytest.mark.parametrize(
    ("name", "edit", "words"),
    [
        (
            "results/Main/notes.txt",
            b"mine",
            "results/Main: it holds 'notes.txt', which is not part",
        ),
        ("results/Main/Main.svg", b"<svg/>", "results/Main: 'Main.svg' was changed since"),
        ("results/panels/Main/scatter.svg", b"<svg/>", "scatter.svg: it was changed since"),
        ("results/runs/small/metrics.csv", b"a,b\n", "metrics.csv: it was changed since"),
        (f"{STORE}/mine.txt", b"mine", f"{STORE}: it holds 'mine.txt', which ngpipe did not"),
    ],
)
def test_work_on_results_is_not_lost_in_a_new_run(finished, name, edit, words):
    finished.path(name).write_bytes(edit)
    finished.edit("experiments/small.yaml", "noise: 0.5", "noise: 0.4")
    assert words in refused(finished, "results/Main/")


def test_what_ngpipe_wrote_is_made_again(finished):
    finished.edit("experiments/small.yaml", "noise: 0.5", "noise: 0.4")
    assert finished.planned("results/Main/")["simulate"] == 1

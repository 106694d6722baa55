"""Recovery from Python is that of the pipeline, whatever container activity comes in."""

import subprocess
import sys
import warnings

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
from small_networks import LABELS, QUICK

import ngpipe
from ngpipe import keys, recover, schemas, store
from ngpipe.config.assembly.recovery import Recovery
from ngpipe.config.assembly.training import Training
from ngpipe.config.load import validate
from ngpipe.errors import (
    ArgumentError,
    ConfigError,
    DeviceError,
    DoubtfulWarning,
    NgpipeError,
    RecordingError,
    StoreError,
    UselessModelError,
)
from ngpipe.steps import recover as recover_step
from ngpipe.steps import train as train_step
from ngpipe.study.records import SYSTEMS

CPU = torch.device("cpu")


@pytest.mark.slow
def test_the_result_is_that_of_the_steps_to_the_last_bit(recording, found, tmp_path):
    seen = recording[["activity", "drift"]].assign_attrs(dt=0.05)
    path = tmp_path / "simulation.zarr"
    store.write(seen, path, schemas.SIMULATION, store.Provenance("simulate", "k", {}))
    cfg = validate(QUICK, Training, where="test")
    train_step.run(cfg, tmp_path, key="k", device=CPU, checkpoints=tmp_path / "checkpoints")
    recover_step.run(Recovery(), cfg, tmp_path, key="k", device=CPU)
    stored = store.read(tmp_path / "recovery.zarr", schemas.RECOVERY).load()
    assert set(stored.data_vars) == set(found.recovery.data_vars)
    for name, variable in stored.variables.items():
        np.testing.assert_array_equal(found.recovery[name].values, variable.values, str(name))
        assert found.recovery[name].attrs["units"] == variable.attrs["units"]
    log = store.read_csv(tmp_path / "training.csv").drop(columns="seconds")
    pd.testing.assert_frame_equal(log, found.log.drop(columns="seconds"), check_dtype=False)
    told = store.read(tmp_path / "training.zarr", schemas.TRAINING).attrs["diagnosis"]
    assert told == found.diagnosis.sentence


FORMS = {
    "numpy": lambda x: x.values,
    "list": lambda x: x.values.tolist(),
    "float64": lambda x: x.values.astype(np.float64),
    "Fortran's order": lambda x: np.asfortranarray(x.values),
    "read-only": lambda x: np.broadcast_to(x.values, x.shape),
    "pandas": lambda x: pd.DataFrame(x.values, columns=LABELS),
    "pandas with times": lambda x: pd.DataFrame(
        x.values, index=pd.Index(0.05 * np.arange(len(x))), columns=LABELS
    ),
    "pandas with dates": lambda x: pd.DataFrame(
        x.values, index=pd.date_range("2026-01-01", periods=len(x), freq="50ms"), columns=LABELS
    ),
    "xarray, transposed": lambda x: x.T,
    "xarray with times": lambda x: x.assign_coords(time=0.05 * np.arange(len(x))),
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_what_holds_the_numbers_does_not_matter(form, pair, monkeypatch):
    """All containers give the same recording; the first test of all compares what comes of it."""
    seen = []

    def stop(recording, cfg):
        seen.append(recording)
        raise StopIteration

    monkeypatch.setattr("ngpipe.api.recovering.Trainer", stop)
    for one in (pair["activity"], form(pair["activity"])):
        with pytest.raises(StopIteration):
            recover(one, 0.05, drift=pair["drift"], training=QUICK)
    first, other = seen
    assert torch.equal(first.activity, other.activity)
    assert first.activity.stride() == other.activity.stride()
    assert torch.equal(first.rate, other.rate)
    assert (first.dt, first.stretches) == (other.dt, other.stretches)


def test_without_names_neurons_are_numbers(recorded_by, pair):
    dataset = recorded_by(pair["activity"].values, dt=0.05)
    assert "neuron" not in dataset.coords
    assert dataset.sizes == {"time": 1200, "neuron": 8}


@pytest.fixture
def recorded_by():
    from ngpipe.api.containers import recorded

    return recorded


def test_what_is_done_to_the_array_later_changes_nothing(recorded_by, pair):
    values = pair["activity"].values.copy()
    dataset = recorded_by(values, dt=0.05)
    values[:] = 0
    np.testing.assert_array_equal(dataset["activity"].values, pair["activity"].values)


@pytest.fixture
def recording_of(monkeypatch):
    """The recording that training would see."""

    def of(*arguments, **options):
        def stop(recording, cfg):
            raise Found(recording, cfg)

        monkeypatch.setattr("ngpipe.api.recovering.Trainer", stop)
        with pytest.raises(Found) as caught:
            recover(*arguments, **options)
        return caught.value.args

    return of


class Found(Exception):
    """A recording and how it would be trained on."""


def test_gaps_trials_and_missing_values_divide_it(recording_of, pair):
    x = pair["activity"].astype(np.float64).copy()
    x[100, 3] = np.nan
    time = 0.05 * np.arange(1200)
    time[500:] += 1.0
    trial = np.repeat(["a", "b"], 600)
    x = x.assign_coords(time=time, segment=("time", trial))
    recording, cfg = recording_of(x)
    assert recording.stretches == (range(100), range(101, 500), range(500, 600), range(600, 1200))
    assert recording.dt == pytest.approx(0.05)
    assert recording.rate is None
    assert cfg.target == "finite_difference"


def test_options_are_those_of_the_config(recording_of, pair):
    options = {"solver": "closed_form", "held_out": 0.3}
    for training in (options, Training(**options)):
        recording, cfg = recording_of(pair["activity"], 0.05, training=training, seed=4)
        assert cfg == Training(**options, target="finite_difference", seed=4)
        assert recording.held_out == 0.3
    _, cfg = recording_of(pair["activity"], 0.05, drift=pair["drift"])
    assert cfg == Training()


def test_a_dataset_brings_what_the_input_of_the_model_needs(recording_of, pair):
    images = xr.Dataset(
        {
            **pair,
            "external_input": (("frame", "neuron"), np.ones((2, 8))),
            "input_frame": ("time", np.zeros(1200)),
            "connectivity": (("post", "pre"), np.eye(8)),
        },
        attrs={"dt": 0.05},
    )
    recording, _ = recording_of(images, training={"input": "known"})
    assert torch.equal(recording.known_input.table, torch.ones(2, 8))
    assert recording.rate is None
    exact, _ = recording_of(images, training={"target": "drift"})
    np.testing.assert_array_equal(exact.rate.numpy(), pair["drift"].values)


def _with(values: np.ndarray, **columns: object) -> np.ndarray:
    changed = values.copy()
    for name, column in columns.items():
        changed[:, int(name[1:])] = column
    return changed


MISTAKES = {
    "turned round": (lambda x: (x.values[:1000].T, 0.05), RecordingError, r"transpose it"),
    "one axis": (lambda x: (x.values[:, 0], 0.05), ArgumentError, r"expected two axes: time"),
    "strange dimensions": (
        lambda x: (x.rename(neuron="roi"), 0.05),
        ArgumentError,
        r"expected 'time' and 'neuron' in any order; rename them",
    ),
    "words": (lambda x: (x.astype(str), 0.05), ArgumentError, r"expected real numbers"),
    "a constant neuron": (
        lambda x: (_with(x.values, n2=1.5), 0.05),
        RecordingError,
        r"1 neurons never change \(the first is 1.5 .* leave them out of `activity`: \[2\]",
    ),
    "a neuron twice": (
        lambda x: (pd.DataFrame(_with(x.values, n4=x.values[:, 1]), columns=LABELS), 0.05),
        RecordingError,
        r"repeat the activity of an earlier neuron.*: n7; leave them out of `activity`: \[n7\]",
    ),
    "a neuron without values": (
        lambda x: (_with(x.values, n0=np.nan), 0.05),
        RecordingError,
        r"have no value at any frame",
    ),
    "numbers of frames": (
        lambda x: (np.add.outer(10 * np.arange(50), np.arange(3)), 0.05),
        RecordingError,
        r"as indices or times do.*pass the activity of the neurons",
    ),
    "a name twice": (
        lambda x: (pd.DataFrame(x.values, columns=["a", "a", *"bcdefg"]), 0.05),
        RecordingError,
        r"the labels \['a'\] name several neurons each",
    ),
    "no dt": (lambda x: (x.values,), ArgumentError, r"does not say its sampling interval; give dt"),
    "a dt of 0": (lambda x: (x.values, 0.0), ArgumentError, r"dt is 0.0, expected one positive"),
    "dt against times": (
        lambda x: (x.assign_coords(time=0.05 * np.arange(1200)), 0.1),
        ArgumentError,
        r"dt is 0.1, but the typical spacing of the times of activity is 0.05",
    ),
    "dt against the attribute": (
        lambda x: (x.assign_attrs(dt=0.2), 0.1),
        ArgumentError,
        r"dt is 0.1, but the attribute `dt` of activity is 0.2",
    ),
    "names of neurons as times": (
        lambda x: (pd.DataFrame(x.values[:8], index=LABELS), 0.05),
        StoreError,
        r"`time` has values like 'n5'",
    ),
    "times in no order": (
        lambda x: (x.assign_coords(time=0.05 * np.arange(1200)[::-1]),),
        NgpipeError,
        r"expected one positive number",
    ),
}


@pytest.mark.parametrize(("arguments", "kind", "message"), MISTAKES.values(), ids=MISTAKES)
def test_a_bad_recording_is_refused_before_any_work(arguments, kind, message, pair):
    with pytest.raises(kind, match=message):
        recover(*arguments(pair["activity"]), training=QUICK)


OPTIONS = {
    "a key misspelt": (
        {"training": {"solvr": "gradient"}},
        ConfigError,
        "training is not a valid config:\n  solvr: there is no such key; did you mean 'solver'",
    ),
    "a value out of range": ({"recovery": {"grid": 3}}, ConfigError, "recovery .*\n  grid: "),
    "two seeds": ({"training": {"seed": 1}, "seed": 2}, ArgumentError, "leave one of them out"),
    "no such device": ({"device": "abacus"}, DeviceError, "device abacus: expected auto, cpu"),
    "an exact rate that is not there": (
        {"training": {"target": "drift"}},
        StoreError,
        "holds no exact drift",
    ),
}


@pytest.mark.parametrize(("options", "kind", "message"), OPTIONS.values(), ids=OPTIONS)
def test_options_that_cannot_be_are_refused(options, kind, message, pair):
    with pytest.raises(kind, match=message):
        recover(pair["activity"], 0.05, **options)


def test_a_rate_of_other_frames_is_refused(pair):
    x, drift = pair["activity"], pair["drift"]
    with pytest.raises(ArgumentError, match="drift has 1100 frames of 8 neurons, activity 1200"):
        recover(x, 0.05, drift=drift[:1100])
    with pytest.raises(ArgumentError, match="drift is of other neurons: n5, other stand"):
        recover(x, 0.05, drift=drift.assign_coords(neuron=["other", *LABELS[1:]]))
    with pytest.raises(ArgumentError, match=r"drift is given, but .* is 'finite_d"):
        recover(x, 0.05, drift=drift, training={"target": "finite_difference"})


def test_a_rate_with_names_is_brought_into_order(recording_of, pair):
    shuffled = pair["drift"].isel(neuron=[3, 1, 0, 2, 7, 6, 5, 4])
    recording, _ = recording_of(pair["activity"], 0.05, drift=shuffled)
    np.testing.assert_array_equal(recording.rate.numpy(), pair["drift"].values)


def test_doubts_are_warnings(pair, capsys):
    """Three steps of training find no model; that is said, and nothing else on the screen."""
    little = {"steps": 3, "evaluations": 1, "batch_frames": 4, "conditioning": "none"}
    noise = np.random.default_rng(0).normal(size=(200, 8))
    with pytest.raises(UselessModelError, match=r"set training\.accept_worse_than_zero: true"):
        recover(noise, 0.05, training={**little, "learning_rate": {"functions": 5.0}})
    accepting = {**little, "accept_worse_than_zero": True, "learning_rate": {"functions": 5.0}}
    with pytest.warns(DoubtfulWarning, match="the model is useless"):
        recover(noise, 0.05, training=accepting)
    assert capsys.readouterr() == ("", "")


def test_progress_is_told_if_asked(pair, capsys):
    x = pair["activity"][:400]
    quick = {**QUICK, "accept_worse_than_zero": True}
    quick["closed_form"] = {**QUICK["closed_form"], "distil_steps": 2}
    with warnings.catch_warnings(action="ignore", category=DoubtfulWarning):
        recover(x, 0.05, drift=pair["drift"][:400], training=quick, verbose=True)
    assert "closed form, part 1" in capsys.readouterr().err


class TestTheNameInThePackage:
    def test_importing_ngpipe_loads_nothing(self):
        code = (
            "import sys; import ngpipe; print([m for m in sys.modules if m.startswith('ngpipe.') "
            "or m in ('torch', 'numpy')])"
        )
        done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
        assert done.stdout == "[]\n", done.stderr
        assert recover.__module__ == "ngpipe.api.recovering"

    def test_no_key_of_a_stage_depends_on_it(self):
        for stage in SYSTEMS["assembly"]:
            covered = keys.closure(keys.step_module(stage))
            assert not {name for name in covered if name.startswith("ngpipe.api")}

    def test_another_name_is_not_there(self):
        with pytest.raises(AttributeError, match="has no attribute 'recovr'; it has"):
            ngpipe.recovr  # noqa: B018
        assert {"recover", "RecoveredAssembly"} <= set(dir(ngpipe))

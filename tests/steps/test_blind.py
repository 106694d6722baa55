"""Honest evaluation: training and recovery give the same bytes when there is no truth to read."""

import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

from ngpipe import hashing, schemas, store
from ngpipe.artifacts import model_file, recordings
from ngpipe.assembly.recording import Recording
from ngpipe.config.assembly.experiment import Experiment
from ngpipe.config.assembly.training import Training
from ngpipe.config.load import validate
from ngpipe.errors import ConfigError, StoreError
from ngpipe.steps import recover, rollout, score, simulate, train

CPU = {"key": "k" * 64, "device": torch.device("cpu")}
TRUTH = ["connectivity", "gain", "neuron_type", "phi", "psi"]
INPUT = ["external_input", "input_frame"]
RESULTS = ["model.safetensors", "recovery.zarr", "rollout.zarr", "training.zarr"]


def experiment(**training) -> Experiment:
    return validate(
        {
            "simulation": {
                "n_neurons": 12,
                "n_frames": 600,
                "burn_in": 10,
                "noise": 0.5,
                "types": [{"leak": 1}, {"leak": 2}],
            },
            "training": {
                "steps": 30,
                "evaluations": 3,
                "batch_frames": 16,
                "held_out": 0.3,
                **training,
            },
            "rollout": {"n_frames": 50, "at": [20]},
        },
        Experiment,
        where="test",
    )


def with_hidden_input() -> Experiment:
    """16 of 60 neurons see a movie that is not shown to the model."""
    return validate(
        {
            "simulation": {
                "n_neurons": 60,
                "n_frames": 3000,
                "burn_in": 10,
                "noise": 0.5,
                "types": [{"leak": 1}, {"leak": 2, "sender_width": 2}],
                "input": {"kind": "movie", "n_inputs": 16, "n_images": 9, "n_blobs": 2},
            },
            "training": {
                "steps": 60,
                "evaluations": 3,
                "batch_frames": 32,
                "held_out_as": "blocks",
                "input": "field",
                "field": {"hidden": 16, "hidden_layers": 2},
                "network": {"psi_sees": "sender", "hidden": 16},
            },
            "rollout": {"n_frames": 50, "at": [20]},
        },
        Experiment,
        where="test",
    )


def in_closed_form() -> Experiment:
    """A smaller one by the closed form, with coarse settings: whether it is right plays no part."""
    cfg = with_hidden_input()
    coarse = {"search_frames": 4, "frames": 8, "iterations": 4, "input_knots": 17}
    coarse |= {"psi_basis": 16, "phi_basis": 16, "fine_basis": 24}
    closed_form = {**coarse, "distil_steps": 50, "field_steps": 50}
    training = Training.model_validate(
        {**cfg.training.model_dump(), "solver": "closed_form", "closed_form": closed_form}
    )
    simulation = cfg.simulation.model_copy(update={"n_neurons": 32, "n_frames": 1500})
    return cfg.model_copy(update={"simulation": simulation, "training": training})


def learn(cfg: Experiment, directory: Path) -> None:
    train.run(cfg.training, directory, checkpoints=directory / "checkpoints", **CPU)
    recover.run(cfg.recovery, cfg.training, directory, **CPU)
    rollout.run(cfg.rollout.n_frames, cfg.training, directory, **CPU)


def recording_of(directory: Path) -> Recording:
    return recordings.load(
        directory / "simulation.zarr", experiment().training, torch.device("cpu")
    )


def without_truth(source: Path, target: Path) -> None:
    dataset = xr.open_zarr(source, chunks=None).load()
    # Who is driven and where is seen in an experiment; of others, nobody needs the place.
    unseen = INPUT if "driven" in dataset else ["position"]
    blind = dataset.drop_vars([*TRUTH, *unseen, "x"])
    store.write(blind, target, schemas.SIMULATION, store.Provenance("simulate", "k", {}))


def learned(cfg: Experiment, directory: Path) -> Path:
    """Simulated, and learned from."""
    simulate.run(cfg.simulation, directory, **CPU)
    learn(cfg, directory)
    return directory


@pytest.fixture(scope="module")
def seeing(tmp_path_factory):
    return learned(experiment(), tmp_path_factory.mktemp("seeing"))


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """A movie was shown; nothing is learned yet."""
    directory = tmp_path_factory.mktemp("hidden")
    simulate.run(with_hidden_input().simulation, directory, **CPU)
    return directory


@pytest.fixture(scope="module")
def hidden(shown):
    learn(with_hidden_input(), shown)
    return shown


@pytest.fixture(scope="module")
def solved(tmp_path_factory):
    return learned(in_closed_form(), tmp_path_factory.mktemp("solved"))


@pytest.mark.slow
@pytest.mark.parametrize("case", ["without input", "hidden input", "closed form"])
def test_recovery_from_a_store_without_truth_gives_the_same_bytes(case, request, tmp_path):
    with_truth, cfg = {
        "without input": ("seeing", experiment),
        "hidden input": ("hidden", with_hidden_input),
        "closed form": ("solved", in_closed_form),
    }[case]
    directory = request.getfixturevalue(with_truth)
    without_truth(directory / "simulation.zarr", tmp_path / "simulation.zarr")
    left = set(xr.open_zarr(tmp_path / "simulation.zarr"))
    extra = {"driven", "position"} if case != "without input" else set()
    assert left == {"activity", "drift"} | extra
    learn(cfg(), tmp_path)
    for name in RESULTS:
        pair = [directory / name, tmp_path / name]
        digest = hashing.tree_digest if pair[0].is_dir() else hashing.file_digest
        assert digest(pair[0]) == digest(pair[1]), name


@pytest.mark.slow
def test_a_hidden_input_is_scored(hidden):
    score.run({}, (20,), None, hidden, key="k")
    table = store.read_csv(hidden / "metrics.csv")
    quantities = {"connectivity_driven", "connectivity_undriven", "input", "input_image"}
    assert quantities <= set(table["quantity"])
    assert table["value"].notna().all()


@pytest.mark.slow
def test_the_model_file_rebuilds_the_field(hidden):
    """The rate of the file's model is what the rollout predicted; its input is the read-out's."""
    cfg = with_hidden_input()
    cpu = torch.device("cpu")
    recording = recordings.load(hidden / "simulation.zarr", cfg.training, cpu)
    model = model_file.read(hidden / "model.safetensors", recording)
    rollout = store.read(hidden / "rollout.zarr", schemas.ROLLOUT)
    frames = recording.scoring_frames(200)
    with torch.no_grad():
        rate = model(recording.times(frames), recording.activity[frames]).numpy()
    np.testing.assert_allclose(rollout["drift_hat"].values, rate, rtol=1e-4, atol=1e-4)
    recovery = store.read(hidden / "recovery.zarr", schemas.RECOVERY)
    assert recovery["external_input"].attrs["units"] == "1"
    assert np.all(recovery["external_input"].values[:, 16:] == 1)
    assert np.all(recovery["external_input"].values > 0)


def test_an_input_that_was_not_recorded_cannot_be_given(shown, tmp_path):
    without_truth(shown / "simulation.zarr", tmp_path / "simulation.zarr")
    cfg = with_hidden_input().training.model_copy(update={"input": "known"})
    with pytest.raises(StoreError, match=r"external_input and input_frame.*field or none"):
        recordings.load(tmp_path / "simulation.zarr", cfg, torch.device("cpu"))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda d: d.drop_vars("driven"), "does not hold driven, which are needed"),
        (lambda d: d.assign(driven=0 * d["driven"]), "names no neuron"),
        (lambda d: d.assign(position=d["position"] - 0.5), "outside the unit square, the first"),
    ],
)
def test_sites_that_cannot_be_used_are_named(shown, tmp_path, change, message):
    dataset = change(xr.open_zarr(shown / "simulation.zarr", chunks=None).load())
    provenance = store.Provenance("simulate", "k", {})
    store.write(dataset, tmp_path / "simulation.zarr", schemas.SIMULATION, provenance)
    with pytest.raises(StoreError, match=message):
        recordings.load(
            tmp_path / "simulation.zarr", with_hidden_input().training, torch.device("cpu")
        )


def test_a_recording_is_scored_by_its_predictions_alone(seeing, tmp_path):
    shutil.copytree(seeing, tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "simulation.zarr")
    without_truth(seeing / "simulation.zarr", tmp_path / "run" / "simulation.zarr")
    score.run({}, (20,), None, tmp_path / "run", key="k")
    table = store.read_csv(tmp_path / "run" / "metrics.csv")
    forecasts = {"prediction", "prediction_20"}
    assert set(table["quantity"]) == {"drift_held_out", "rollout", "rollout_20"} | forecasts


def test_scores_stand_beside_the_published_values(seeing):
    reference = {"connectivity": {"r2": 0.5, "slope": 2.0}}
    score.run(reference, (20,), None, seeing, key="k")
    table = store.read_csv(seeing / "metrics.csv").set_index(["quantity", "metric"])
    assert list(table.columns) == ["value", "n", "reference"]
    assert table.loc[("connectivity", "slope"), "reference"] == 2.0
    assert table["reference"].notna().sum() == 2
    assert table.loc[("types", "true"), "value"] == 2


def test_a_reference_to_no_metric_is_named(seeing):
    with pytest.raises(ConfigError, match=r"connectivity\.R2 is not a metric.*connectivity\.r2"):
        score.run({"connectivity": {"R2": 1.0}}, (20,), None, seeing, key="k")


def test_a_recording_must_say_its_sampling_interval(seeing, tmp_path):
    dataset = xr.open_zarr(seeing / "simulation.zarr", chunks=None).load()
    del dataset.attrs["dt"]
    store.write(
        dataset,
        tmp_path / "simulation.zarr",
        schemas.SIMULATION,
        store.Provenance("simulate", "k", {}),
    )
    with pytest.raises(StoreError, match="sampling interval; set the store's attribute `dt`"):
        learn(experiment(), tmp_path)


def test_the_latents_explain_themselves(seeing):
    latent = xr.open_zarr(seeing / "recovery.zarr")["latent"]
    assert latent.dims == ("neuron", "component")
    assert latent.attrs["long_name"] == "latent vector a_i"


def test_the_model_can_be_read_by_a_group(seeing):
    """Its mode is that of any other result, not the owner's alone."""
    modes = {(seeing / name).stat().st_mode for name in ("model.safetensors", "training.csv")}
    assert len(modes) == 1


@pytest.mark.slow
def test_a_recording_without_drift_asks_for_finite_differences(seeing, tmp_path):
    dataset = xr.open_zarr(seeing / "simulation.zarr", chunks=None).load().drop_vars("drift")
    store.write(
        dataset,
        tmp_path / "simulation.zarr",
        schemas.SIMULATION,
        store.Provenance("simulate", "k", {}),
    )
    with pytest.raises(StoreError, match="target: finite_difference"):
        learn(experiment(), tmp_path)
    learn(experiment(target="finite_difference"), tmp_path)


def test_the_model_file_rebuilds_the_model(seeing):
    model = model_file.read(seeing / "model.safetensors", recording_of(seeing))
    x = torch.randn(5, 12, generator=torch.Generator().manual_seed(0))
    recovery = store.read(seeing / "recovery.zarr", schemas.RECOVERY)
    assert model(0.0, x).shape == (5, 12)
    assert torch.all(model.connectivity.diagonal() == 0)
    assert recovery["connectivity"].attrs["units"] == "1/tau"


def test_a_truncated_model_is_named(seeing, tmp_path):
    broken = tmp_path / "model.safetensors"
    broken.write_bytes((seeing / "model.safetensors").read_bytes()[:500])
    with pytest.raises(StoreError, match=r"model\.safetensors is not a model"):
        model_file.read(broken, recording_of(seeing))


def test_training_keeps_its_record(seeing):
    table = store.read_csv(seeing / "training.csv")
    assert list(table.columns[:5]) == ["step", "seconds", "stage", "loss", "held_out"]
    assert table["step"].is_monotonic_increasing
    assert table["held_out"].notna().sum() == 3
    manifest = store.read_json(seeing / "training.json")
    assert manifest["notes"]["held_out_loss"] == pytest.approx(table["held_out"].min(), rel=1e-6)
    assert Training(**manifest["config"]) == experiment().training


@pytest.mark.slow
def test_two_numbers_of_types_are_no_certain_one(tmp_path):
    """Read out with another number than the closed form found, groups are not called types."""
    simulate.run(experiment().simulation, tmp_path, **CPU)
    cfg = experiment(solver="closed_form", closed_form={"n_types": 2, "distil_steps": 20})
    learn(cfg, tmp_path)
    told = {}
    for n in (2, 3):
        read = cfg.recovery.model_copy(update={"n_types": n})
        recover.run(read, cfg.training, tmp_path, **CPU)
        told[n] = xr.open_zarr(tmp_path / "recovery.zarr").attrs["types_told"]
    assert told[2] == "yes"
    assert told[3].startswith("no: the closed form distinguished 2 types")

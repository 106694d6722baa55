"""Honest evaluation: training and recovery give the same bytes when there is no truth to read."""

import shutil
from pathlib import Path

import pytest
import torch
import xarray as xr

from ngpipe import keys, store
from ngpipe.config.experiment import Experiment
from ngpipe.config.load import validate
from ngpipe.config.training import Training
from ngpipe.errors import ConfigError, StoreError
from ngpipe.steps import model_file, recover, rollout, score, simulate, train

CPU = {"key": "k" * 64, "device": torch.device("cpu")}
TRUTH = ["connectivity", "gain", "neuron_type", "phi", "psi", "position"]


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


def learn(cfg: Experiment, directory: Path) -> None:
    simulation, model = directory / "simulation.zarr", directory / "model.safetensors"
    train.run(
        cfg.training,
        simulation,
        model,
        directory / "training.zarr",
        checkpoints=directory / "checkpoints",
        **CPU,
    )
    recover.run(cfg.recovery, cfg.training, simulation, model, directory / "recovery.zarr", **CPU)
    rollout.run(cfg.rollout, cfg.training, simulation, model, directory / "rollout.zarr", **CPU)


def without_truth(source: Path, target: Path) -> None:
    dataset = xr.open_zarr(source, chunks=None).load()
    blind = dataset.drop_vars([*TRUTH, "x"])
    store.write(blind, target, store.SIMULATION, store.Provenance("simulate", "k", {}))


@pytest.fixture(scope="module")
def seeing(tmp_path_factory):
    directory = tmp_path_factory.mktemp("seeing")
    cfg = experiment()
    simulate.run(cfg.simulation, directory / "simulation.zarr", **CPU)
    learn(cfg, directory)
    return directory


def test_recovery_from_a_store_without_truth_gives_the_same_bytes(seeing, tmp_path):
    without_truth(seeing / "simulation.zarr", tmp_path / "simulation.zarr")
    learn(experiment(), tmp_path)
    for name in ("model.safetensors", "recovery.zarr", "rollout.zarr", "training.zarr"):
        pair = [seeing / name, tmp_path / name]
        digest = keys.tree_digest if pair[0].is_dir() else keys.file_digest
        assert digest(pair[0]) == digest(pair[1]), name


def test_a_recording_is_scored_by_its_predictions_alone(seeing, tmp_path):
    shutil.copytree(seeing, tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "simulation.zarr")
    without_truth(seeing / "simulation.zarr", tmp_path / "run" / "simulation.zarr")
    score.run({}, (20,), tmp_path / "run", tmp_path / "run" / "metrics.csv", key="k")
    table = store.read_csv(tmp_path / "run" / "metrics.csv")
    assert set(table["quantity"]) == {"drift_held_out", "rollout", "rollout_20"}


def test_scores_stand_beside_the_published_values(seeing):
    reference = {"connectivity": {"r2": 0.5, "slope": 2.0}}
    score.run(reference, (20,), seeing, seeing / "metrics.csv", key="k")
    table = store.read_csv(seeing / "metrics.csv").set_index(["quantity", "metric"])
    assert list(table.columns) == ["value", "n", "reference"]
    assert table.loc[("connectivity", "slope"), "reference"] == 2.0
    assert table["reference"].notna().sum() == 2
    assert table.loc[("types", "true"), "value"] == 2


def test_a_reference_to_no_metric_is_named(seeing):
    with pytest.raises(ConfigError, match=r"connectivity\.R2 is no metric.*connectivity\.r2"):
        score.run({"connectivity": {"R2": 1.0}}, (20,), seeing, seeing / "metrics.csv", key="k")


def test_a_recording_must_say_its_sampling_interval(seeing, tmp_path):
    dataset = xr.open_zarr(seeing / "simulation.zarr", chunks=None).load()
    del dataset.attrs["dt"]
    store.write(
        dataset,
        tmp_path / "simulation.zarr",
        store.SIMULATION,
        store.Provenance("simulate", "k", {}),
    )
    with pytest.raises(StoreError, match="sampling interval; set the store's attribute `dt`"):
        learn(experiment(), tmp_path)


def test_the_latents_explain_themselves(seeing):
    latent = xr.open_zarr(seeing / "recovery.zarr")["latent"]
    assert latent.dims == ("neuron", "latent")
    assert latent.attrs["long_name"] == "latent vector a_i"


def test_the_model_can_be_read_by_a_group(seeing):
    """Its mode is that of any other result, not the owner's alone."""
    modes = {(seeing / name).stat().st_mode for name in ("model.safetensors", "training.csv")}
    assert len(modes) == 1


def test_a_recording_without_drift_asks_for_finite_differences(seeing, tmp_path):
    dataset = xr.open_zarr(seeing / "simulation.zarr", chunks=None).load().drop_vars("drift")
    store.write(
        dataset,
        tmp_path / "simulation.zarr",
        store.SIMULATION,
        store.Provenance("simulate", "k", {}),
    )
    with pytest.raises(StoreError, match="target: finite_difference"):
        learn(experiment(), tmp_path)
    learn(experiment(target="finite_difference"), tmp_path)


def test_the_model_file_rebuilds_the_model(seeing):
    model = model_file.read(seeing / "model.safetensors", torch.device("cpu"))
    x = torch.randn(5, 12, generator=torch.Generator().manual_seed(0))
    recovery = store.read(seeing / "recovery.zarr", store.RECOVERY)
    assert model(0.0, x).shape == (5, 12)
    assert torch.all(model.connectivity.diagonal() == 0)
    assert recovery["connectivity"].attrs["units"] == "1/tau"


def test_a_truncated_model_is_named(seeing, tmp_path):
    broken = tmp_path / "model.safetensors"
    broken.write_bytes((seeing / "model.safetensors").read_bytes()[:500])
    with pytest.raises(StoreError, match=r"model\.safetensors is not a model"):
        model_file.read(broken, torch.device("cpu"))


def test_training_keeps_its_record(seeing):
    table = store.read_csv(seeing / "training.csv")
    assert list(table.columns[:4]) == ["step", "seconds", "loss", "held_out"]
    assert table["step"].is_monotonic_increasing
    assert table["held_out"].notna().sum() == 3
    manifest = store.read_json(seeing / "training.json")
    assert manifest["notes"]["held_out_loss"] == pytest.approx(table["held_out"].min(), rel=1e-6)
    assert Training(**manifest["config"]) == experiment().training

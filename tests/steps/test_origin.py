"""A recording of the user's own, by hand from training to the table: its content is in the key."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
import yaml

from ngpipe import cli, store
from ngpipe.artifacts import whose
from ngpipe.config.load import load
from ngpipe.config.systems import load_experiment
from ngpipe.metrics import external
from ngpipe.study import stages

N, FRAMES = 6, 300
RUN, MINE = Path("results/runs/mine"), Path("config/experiments/mine.yaml")
CONTENT = {
    "simulation": {"n_neurons": N, "n_frames": FRAMES, "burn_in": 10, "noise": 0.5},
    "training": {
        "target": "finite_difference",
        "steps": 20,
        "evaluations": 2,
        "batch_frames": 16,
        "held_out": 0.3,
        "accept_worse_than_zero": True,
        "network": {"hidden": 8},
    },
    "rollout": {"n_frames": 20, "at": [10]},
}
LATER = ("recover", "rollout", "score")


def activity(seed: int, frames: int = FRAMES, neurons: int = N) -> np.ndarray:
    """Walks that return to rest."""
    noise = np.random.default_rng(seed).normal(size=(frames, neurons))
    x = np.zeros((frames, neurons))
    for k in range(1, frames):
        x[k] = 0.95 * x[k - 1] + 0.3 * noise[k]
    return x.astype("float32")


def record(values: np.ndarray, **truth: object) -> None:
    """Write the user's store, in place of the one before."""
    shutil.rmtree(RUN / "simulation.zarr", ignore_errors=True)
    dataset = xr.Dataset(
        {"activity": (("time", "neuron"), values), **truth},
        coords={"neuron": [f"AVA{k}" for k in range(values.shape[1])]},
        attrs={"dt": 0.1},
    )
    dataset.to_zarr(RUN / "simulation.zarr", zarr_format=2)


def configure(**changed: object) -> None:
    content = {**CONTENT, "training": {**CONTENT["training"], **changed}}
    MINE.parent.mkdir(parents=True, exist_ok=True)
    MINE.write_text(yaml.safe_dump(content))


def step(name: str, *options: str) -> int:
    return cli.main([name, str(MINE), *options, "--threads", "1", "--device", "cpu"])


def manifest(name: str) -> dict:
    return json.loads((RUN / f"{name}.json").read_text())


@pytest.fixture(scope="module")
def learned(tmp_path_factory):
    """A recording that went through all steps, one after the other in one process."""
    directory = tmp_path_factory.mktemp("learned")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(directory)
        configure()
        RUN.mkdir(parents=True)
        truth = np.random.default_rng(5).normal(size=(N, N))
        np.fill_diagonal(truth, 0)
        truth[1, 2] = np.nan
        kinds = ("neuron", np.array(["sensory", "motor"] * 3))
        record(activity(1), connectivity=(("post", "pre"), truth), neuron_type=kinds)
        for name in ("train", *LATER):
            assert step(name) == 0
    return directory


@pytest.fixture
def here(learned, tmp_path, monkeypatch):
    shutil.copytree(learned, tmp_path / "copy", symlinks=True)
    monkeypatch.chdir(tmp_path / "copy")


@pytest.mark.slow
def test_steps_follow_one_another_in_one_process(learned):
    assert store.read_csv(learned / RUN / "metrics.csv")["quantity"].str.startswith("roll").any()
    assert not list((learned / "checkpoints").glob("*"))


def test_names_travel_and_pairs_without_a_truth_are_counted(learned):
    for name in ("recovery", "rollout"):
        found = xr.open_zarr(learned / RUN / f"{name}.zarr")
        assert found["neuron"].values.tolist() == [f"AVA{k}" for k in range(N)]
    recovery = xr.open_zarr(learned / RUN / "recovery.zarr")
    assert np.isfinite(recovery["connectivity"].sel(post="AVA1", pre="AVA0"))
    table = store.read_csv(learned / RUN / "metrics.csv").set_index(["quantity", "metric"])
    assert table.loc[("connectivity", "left_out"), "value"] == 1
    assert table.loc[("connectivity", "r2"), "n"] == N * (N - 1) - 1
    assert np.isfinite(table.loc[("connectivity", "r2"), "value"])
    assert table.loc[("types", "true"), "value"] == 2


def test_the_content_of_a_recording_is_in_the_key(here):
    experiment = load_experiment(MINE)
    plain = stages.stage_keys(experiment)
    keys = stages.stage_keys(experiment, whose.foreign(RUN, experiment))
    assert manifest("training")["key"] == keys["train"] != plain["train"]
    assert manifest("metrics")["key"] == keys["score"]
    assert "activity" in json.loads(manifest("training")["notes"]["recording"])
    record(activity(2))
    other = stages.stage_keys(experiment, whose.foreign(RUN, experiment))
    assert not set(keys.values()) & set(other.values())


def test_a_truth_that_is_added_makes_the_scores_stale_and_nothing_else(here):
    experiment = load_experiment(MINE)
    before = stages.stage_keys(experiment, whose.foreign(RUN, experiment))
    record(activity(1))
    after = stages.stage_keys(experiment, whose.foreign(RUN, experiment))
    assert {name for name in before if before[name] != after[name]} == {"score"}
    assert step("score") == 0


@pytest.mark.quick(1)
@pytest.mark.parametrize("name", LATER)
def test_results_of_another_recording_are_refused(here, name, capfd):
    record(activity(2))
    assert step(name) == 1
    assert "was made from another recording than" in capfd.readouterr().err


@pytest.mark.quick(1)
@pytest.mark.parametrize("name", LATER)
def test_another_size_is_named_beside_that_of_the_config(here, name, capfd):
    record(activity(2, 200, N - 1))
    assert step(name) == 1
    told = capfd.readouterr().err
    assert f"holds {N - 1} neurons and 200 frames" in told
    assert f"n_neurons: {N} and n_frames: {FRAMES}" in told


def test_a_model_of_another_number_of_neurons_is_named(here, capfd):
    record(activity(2, neurons=N - 1))
    content = yaml.safe_load(MINE.read_text())
    content["simulation"]["n_neurons"] = N - 1
    MINE.write_text(yaml.safe_dump(content))
    assert step("recover") == 1
    assert f"is a model of {N} neurons, but the recording has {N - 1}" in capfd.readouterr().err


@pytest.mark.quick(2)
@pytest.mark.parametrize("name", ["recover", "rollout"])
@pytest.mark.parametrize("change", [{"held_out": 0.4}, {"held_out_as": "blocks"}])
def test_a_model_read_in_another_way_is_refused(here, name, change, capfd):
    configure(**change)
    assert step(name) == 1
    key = next(iter(change))
    assert f"was trained with training.{key}: " in capfd.readouterr().err


def test_a_failed_training_leaves_no_checkpoint(here, capfd):
    record(np.where(np.arange(N) == 2, 0, activity(3)).astype("float32"))
    assert step("train") == 1
    assert "neuron 2 (AVA2) never moves" in capfd.readouterr().err
    configure(learning_rate={"connectivity": 1e30, "functions": 1e30})
    record(activity(4))
    assert step("train") == 1
    assert "the loss is" in capfd.readouterr().err
    assert not list(Path("checkpoints").glob("*"))


def test_a_simulation_has_the_key_of_its_config(here):
    shutil.rmtree(RUN)
    assert step("simulate") == 0
    experiment = load_experiment(MINE)
    assert whose.foreign(RUN, experiment) is None
    assert step("train") == 0
    assert manifest("training")["key"] == stages.key_of(experiment, "train")
    chunk = RUN / "simulation.zarr" / "activity" / "0.0"
    values = np.fromfile(chunk, dtype="float32")
    values[7] += 1
    values.tofile(chunk)
    assert step("recover") == 1


def test_an_earlier_simulation_is_a_recording_unless_it_was_planned_with(here):
    shutil.rmtree(RUN)
    assert step("simulate") == 0
    content = yaml.safe_load(MINE.read_text())
    content["simulation"]["seed"] = 9
    MINE.write_text(yaml.safe_dump(content))
    experiment = load(MINE, type(load_experiment(MINE)))
    assert whose.foreign(RUN, experiment) is not None
    assert whose.foreign(RUN, experiment, simulated=True) is None
    assert step("train", "--key", stages.key_of(experiment, "train")) == 0


def test_what_was_not_trained_is_made_by_hand(here, capfd):
    (RUN / "model.safetensors").unlink()
    assert step("recover") == 1
    told = "no model at results/runs/mine/model.safetensors; make it with: ngpipe train config/exp"
    assert told in capfd.readouterr().err


def draw(panels: dict) -> None:
    """A figure by hand."""
    Path("config/config.yaml").write_text(yaml.safe_dump({"figures": {"F": {"panels": panels}}}))
    for name in panels:
        assert cli.main(["panel", "F", name]) == 0
    assert cli.main(["figure", "F"]) == 0
    assert cli.main(["verify", "results/F"]) == 0


@pytest.mark.slow
def test_a_figure_by_hand_is_verified_against_the_recording(here, capfd):
    panels = {"curve": {"kind": "learning_curve", "of": "mine"}}
    Path("config/config.yaml").write_text(yaml.safe_dump({"figures": {"F": {"panels": panels}}}))
    assert cli.main(["figure", "F"]) == 1
    assert "1 panels of figure F are not drawn; run: ngpipe panel F curve" in capfd.readouterr().err
    draw(panels)
    for change in ({"dt": 0.2}, {"activity": 7 * activity(1) + 3}):
        shutil.copytree(RUN / "simulation.zarr", "aside.zarr", dirs_exist_ok=True)
        dataset = xr.open_zarr("aside.zarr", chunks=None).load()
        dataset.attrs["dt"] = change.get("dt", 0.1)
        dataset["activity"].values[:] = change.get("activity", activity(1))
        dataset.to_zarr(RUN / "simulation.zarr", zarr_format=2, mode="w")
        capfd.readouterr()
        assert cli.main(["verify", "results/F"]) == 1
        error = capfd.readouterr().err
        assert "is stale: made under key" in error
        assert "snakemake" not in error
    *commands, last = error.strip().removesuffix(" (in study)").rpartition("run: ")[2].split("; ")
    told = [f"ngpipe {name} {MINE}" for name in ("train", "recover", "rollout", "score")]
    assert [*commands, last] == [*told, "ngpipe panel F curve", "ngpipe figure F"]
    for command in (*commands, last):
        assert cli.main(command.split()[1:]) == 0
    said = capfd.readouterr().err
    assert "rollout: " in said
    assert "held-out frames" in said
    assert f"; written to {RUN / 'rollout.zarr'}" in said
    assert cli.main(["verify", "results/F"]) == 0


@pytest.mark.slow
def test_a_figure_by_hand_whose_config_changed_is_drawn_by_hand(here, capfd):
    panels = {"curve": {"kind": "learning_curve", "of": "mine"}}
    draw(panels)
    Path("config/config.yaml").write_text(
        yaml.safe_dump({"figures": {"F": {"panels": panels}}, "style": {"dpi": 61}})
    )
    assert cli.main(["verify", "results/F"]) == 1
    error = capfd.readouterr().err
    assert error.strip().endswith("run: ngpipe panel F curve; ngpipe figure F")
    (Path("results/F") / "metrics.csv").unlink()
    assert cli.main(["verify", "results/F"]) == 1
    assert "metrics.csv is missing; run: ngpipe panel F curve; n" in capfd.readouterr().err


def test_the_input_of_a_sample_is_that_of_its_frame():
    """Times of a recording may begin anywhere and have gaps; frames do not."""
    shown = np.array([0, 0, 1, 1, 2, 2.5])
    table = np.arange(6.0).reshape(3, 2)
    truth = xr.Dataset(
        {
            "driven": (("neuron",), [1, 1]),
            "external_input": (("frame", "neuron"), table),
            "input_frame": (("time",), shown),
        },
        coords={"time": 1000 + np.array([0, 1, 2, 50, 51, 52])},
    )
    coords = {"sample": [0.0, 3.0, 4.0], "sample_frame": ("sample", [0, 3, 4])}
    estimate = xr.DataArray(np.zeros((3, 2)), dims=("sample", "neuron"), coords=coords)
    assert np.array_equal(external.pair(estimate, truth)[1], table[[0, 1, 2]])

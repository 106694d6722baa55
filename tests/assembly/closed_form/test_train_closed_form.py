"""The step `train` with the closed form: what it writes, and that a kill changes nothing of it."""

from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from ngpipe import hashing, schemas, store
from ngpipe.artifacts import learning, model_file, recordings
from ngpipe.assembly.gradient import Trainer
from ngpipe.config.assembly.simulation import Simulation
from ngpipe.config.assembly.training import Training
from ngpipe.steps import simulate, train

pytestmark = pytest.mark.slow

CPU = {"key": "k" * 64, "device": torch.device("cpu")}
N = 20
FILES = ["model.safetensors", "training.zarr"]


def training(solver: str, **changes: object) -> Training:
    return Training(
        solver=solver,
        accept_worse_than_zero=True,
        held_out_as="blocks",
        steps=12,
        evaluations=3,
        log_every=2,
        checkpoint_every=4,
        batch_frames=32,
        warm_up=0.5,
        network={"hidden": 16},
        closed_form={
            "search_frames": 4,
            "frames": 8,
            "psi_basis": 16,
            "phi_basis": 16,
            "fine_basis": 24,
            "iterations": 4,
            "distil_steps": 150,
        },
        **changes,
    )


@pytest.fixture(scope="module")
def simulation(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("simulated")
    types = [{"leak": 1}, {"leak": 2}]
    cfg = Simulation(n_neurons=N, n_frames=1500, burn_in=50, noise=1.0, types=types)
    simulate.run(cfg, directory, **CPU)
    return directory / "simulation.zarr"


def trained_in(directory: Path, simulation: Path, cfg: Training) -> Path:
    """Train in a directory, made if need be."""
    directory.mkdir(exist_ok=True)
    if not (directory / "simulation.zarr").exists():
        (directory / "simulation.zarr").symlink_to(simulation)
    train.run(cfg, directory, checkpoints=directory / "checkpoints", **CPU)
    return directory


@pytest.fixture(scope="module")
def finished(simulation, tmp_path_factory):
    """A directory in which a solver has trained: once for all tests, which only read it."""

    @cache
    def run(solver: str) -> Path:
        return trained_in(tmp_path_factory.mktemp("finished") / "run", simulation, training(solver))

    return run


def digests(directory: Path) -> list[str]:
    model, snapshots = (directory / name for name in FILES)
    return [hashing.file_digest(model), hashing.tree_digest(snapshots)]


def record(directory: Path) -> pd.DataFrame:
    table = store.read_csv(directory / "training.csv")
    assert list(table.columns[:5]) == ["step", "seconds", "stage", "loss", "held_out"]
    assert table["step"].tolist() == list(dict.fromkeys(table["step"]))
    assert (np.diff(table["step"]) > 0).all()
    assert (np.diff(table["seconds"]) >= 0).all()
    return table


def test_the_closed_form_writes_a_model_and_its_record(finished, simulation):
    cfg, directory = training("closed_form"), finished("closed_form")
    table = record(directory)
    stages = table["stage"].tolist()
    assert stages[0].startswith("psi, ridge")
    assert {"W", "types", "networks", "model"} <= set(stages)
    assert stages[-1] == "model"
    assert "gradient" not in stages
    held_out = table.set_index("stage")["held_out"]
    assert np.isfinite(held_out["model"])
    manifest = store.read_json(directory / "training.json")
    assert manifest["notes"]["selected_step"] == table["step"].iloc[-1]
    assert manifest["notes"]["held_out_loss"] == pytest.approx(held_out["model"], rel=1e-6)
    recording = recordings.load(simulation, cfg, CPU["device"])
    model = model_file.read(directory / "model.safetensors", recording)
    frames = recording.selection_frames(200)
    x, rate = recording.batch(frames)
    with torch.no_grad():
        error = (model(recording.times(frames), x) - rate).square().mean()
    expected = float(error) / model.scales.rate**2
    assert expected == pytest.approx(held_out["model"], rel=1e-3)
    assert expected < 0.05
    assert torch.equal(model.connectivity.diagonal(), torch.zeros(N))
    assert not (directory / "checkpoints" / CPU["key"]).exists()


def test_snapshots_of_the_weights_are_in_the_gauge_of_the_figures(finished, simulation):
    """One for each time all rows were solved, and that of the model at the end."""
    directory = finished("closed_form")
    table = record(directory)
    snapshots = store.read(directory / "training.zarr", schemas.TRAINING)["connectivity"]
    solved = table["step"][table["stage"].isin(["W", "model"])]
    assert snapshots["step"].values.tolist() == solved.tolist()
    truth = store.read(simulation, schemas.SIMULATION)["connectivity"].values
    off = ~np.eye(N, dtype=bool)
    for weights in snapshots.values[-2:]:
        slope = (weights * truth)[off].sum() / (truth[off] ** 2).sum()
        assert np.corrcoef(weights[off], truth[off])[0, 1] ** 2 > 0.999
        assert slope == pytest.approx(1, abs=0.05)


def test_gradient_steps_go_on_where_the_closed_form_ends(finished):
    """The count of steps goes on, and the model chosen is at least as good."""
    alone = record(finished("closed_form"))
    directory = finished("closed_form+gradient")
    both = record(directory)
    n = len(alone)
    exact = ["step", "stage", "loss", "held_out"]
    pd.testing.assert_frame_equal(both[exact][:n], alone[exact])
    rest = both[n:]
    assert set(rest["stage"]) == {"gradient"}
    assert rest["step"].tolist() == [n + k for k in (2, 4, 6, 8, 10, 12)]
    assert rest["held_out"].notna().sum() == 3
    notes = store.read_json(directory / "training.json")["notes"]
    start = float(alone["held_out"].iloc[-1])
    assert notes["held_out_loss"] <= start * (1 + 1e-5)
    # From a start without order the loss is near 1; a first step that threw it all away shows.
    assert rest["loss"].iloc[0] < max(20 * start, 0.05)
    finite = rest.set_index("step")["held_out"].dropna()
    best = min(float(finite.min()), start)
    assert notes["held_out_loss"] == pytest.approx(best, rel=1e-5)
    expected = n if start <= finite.min() else int(finite.idxmin())
    assert notes["selected_step"] == expected


@pytest.mark.parametrize("solver", ["closed_form", "closed_form+gradient"])
def test_a_kill_changes_no_byte(finished, simulation, solver, monkeypatch, tmp_path):
    """In the networks' fit, between two steps, and before the result is written."""
    cfg, whole = training(solver), digests(finished(solver))

    def kill(owner: object, name: str, after: int) -> None:
        original, calls = getattr(owner, name), iter(range(10**6))

        def killed(*args: object, **kwargs: object) -> object:
            if next(calls) == after:
                raise KeyboardInterrupt
            return original(*args, **kwargs)

        monkeypatch.setattr(owner, name, killed)
        with pytest.raises(KeyboardInterrupt):
            trained_in(tmp_path / "killed", simulation, cfg)
        monkeypatch.setattr(owner, name, original)

    kill(learning, "distil", 0)
    if solver == "closed_form+gradient":
        kill(Trainer, "advance", 6)
    kill(train, "_write", 0)
    assert not any((tmp_path / "killed" / name).exists() for name in FILES)
    monkeypatch.setattr(learning, "_solve", None)  # what it found has been saved
    assert digests(trained_in(tmp_path / "killed", simulation, cfg)) == whole
    record(tmp_path / "killed")


def test_the_other_solver_is_untouched(finished):
    """No stage but its own, and steps that count from one."""
    table = record(finished("gradient"))
    assert set(table["stage"]) == {"gradient"}
    assert table["step"].tolist() == [2, 4, 6, 8, 10, 12]


@pytest.mark.parametrize(
    ("n_inputs", "sees", "types"),
    [
        (16, "activity", [{"leak": 1}, {"leak": 2}]),  # everyone is driven
        (4, "receiver", [{"receiver_width": 1}, {"receiver_width": 4}]),  # and one type is not
    ],
)
def test_hidden_inputs_of_all_neurons_or_of_one_type(tmp_path, n_inputs, sees, types):
    movie = {"kind": "movie", "n_inputs": n_inputs, "n_images": 5, "n_blobs": 2}
    cfg = Simulation(n_neurons=16, n_frames=3000, burn_in=50, noise=1.0, types=types, input=movie)
    simulate.run(cfg, tmp_path, **CPU)
    learned = training("closed_form").model_dump() | {
        "input": "field",
        "field": {"hidden": 16, "hidden_layers": 2},
        "network": {"hidden": 16, "psi_sees": sees},
        "batch_frames": 32,
    }
    learned["closed_form"] |= {"input_knots": 9, "field_steps": 50}
    cfg = Training.model_validate(learned)
    train.run(cfg, tmp_path, checkpoints=tmp_path / "checkpoints", **CPU)
    recording = recordings.load(tmp_path / "simulation.zarr", cfg, CPU["device"])
    model = model_file.read(tmp_path / "model.safetensors", recording)
    off = ~torch.eye(16, dtype=torch.bool)
    assert model.error[off].isfinite().all()
    assert (model.error[off] > 0).all()
    truth = store.read(tmp_path / "simulation.zarr", schemas.SIMULATION)["connectivity"].values
    learned_w = model.connectivity.detach()[off]
    pair = torch.stack([learned_w, torch.from_numpy(truth)[off]])
    assert float(torch.corrcoef(pair)[0, 1]) ** 2 > 0.5
    attributes = store.read(tmp_path / "training.zarr", schemas.TRAINING).attrs
    assert attributes["diagnosis"].startswith(f"{attributes['n_frames']:,} frames excite")

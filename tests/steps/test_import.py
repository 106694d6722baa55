"""From recorded files to the store that training reads."""

import os
from pathlib import Path

import numpy as np
import pytest
import torch

from ngpipe import store
from ngpipe.artifacts import recordings
from ngpipe.config.assembly.simulation import Simulation
from ngpipe.config.assembly.source import Laboratory, Recorded, RecordedAs
from ngpipe.config.assembly.training import Training
from ngpipe.errors import RecordingError, StaleError, StoreError
from ngpipe.schemas import assembly as schemas
from ngpipe.steps import import_, record

KEY = "k" * 64


@pytest.fixture
def values() -> np.ndarray:
    return np.random.default_rng(1).normal(size=(50, 4)).astype(np.float32)


@pytest.fixture
def imported(tmp_path):
    """imported(source) -> the store, loaded; the config as keys."""

    def run(**keys):
        given = {"axes": "time_neuron", "rate": 10, "units": "dF/F"} | keys
        import_.run(Recorded(**given), tmp_path / "run", key=KEY)
        return store.read(tmp_path / "run" / "simulation.zarr", schemas.SIMULATION).load()

    return run


@pytest.fixture
def file(tmp_path, values):
    np.save(tmp_path / "a.npy", values)
    return str(tmp_path / "a.npy")


def test_values_times_and_units_arrive(imported, file, values):
    found = imported(files=(file,), tau=0.5)
    np.testing.assert_array_equal(found["activity"], values)
    np.testing.assert_allclose(found["time"], np.arange(50) / 10 / 0.5)
    assert found.attrs["dt"] == pytest.approx(0.2)
    assert found["activity"].attrs["units"] == "dF/F"


def test_the_other_orientation_is_the_same_recording(imported, tmp_path, values):
    np.save(tmp_path / "b.npy", values.T)
    found = imported(files=(str(tmp_path / "b.npy"),), axes="neuron_time")
    np.testing.assert_array_equal(found["activity"], values)


def test_two_sessions_follow_one_another_with_a_break_between(imported, file, values):
    other = file.replace("a.npy", "b.npy")
    np.save(other, values[::-1])
    found = imported(files=(file, other))
    np.testing.assert_array_equal(found["activity"], np.concatenate([values, values[::-1]]))
    assert found["segment"].values.tolist() == [0] * 50 + [1] * 50


def test_the_source_is_left_as_it_was(imported, file):
    before = Path(file).stat().st_mtime_ns, Path(file).read_bytes()
    imported(files=(file,))
    assert before == (Path(file).stat().st_mtime_ns, Path(file).read_bytes())


class TestRefusals:
    def test_without_a_unit(self, imported, file):
        with pytest.raises(RecordingError, match=r"does not say the unit.*source\.units"):
            imported(files=(file,), units=None)

    def test_nothing_is_left_behind(self, imported, tmp_path, values):
        values[:, 1] = 3
        np.save(tmp_path / "c.npy", values)
        with pytest.raises(RecordingError, match="never change"):
            imported(files=(str(tmp_path / "c.npy"),))
        assert list((tmp_path / "run").iterdir()) == []

    def test_a_file_that_changes_while_it_is_read(self, imported, file, monkeypatch):
        plain = import_.refusals.check_values

        def touched(*arguments):
            plain(*arguments)
            os.utime(file, ns=(1, 1))

        monkeypatch.setattr(import_.refusals, "check_values", touched)
        with pytest.raises(StaleError, match="changed while it was read"):
            imported(files=(file,))

    def test_turned_round(self, imported, file):
        with pytest.raises(RecordingError, match="expected more frames than neurons"):
            imported(files=(file,), axes="neuron_time")


@pytest.fixture(scope="module")
def laboratory(tmp_path_factory):
    """A small assembly, recorded with losses and imported again: truth and recording."""
    pytest.importorskip("pynwb")
    directory = tmp_path_factory.mktemp("laboratory")
    cfg = Simulation(n_neurons=10, n_frames=200, burn_in=5, dt=0.02, frame_every=5, noise=0.1)
    losses = RecordedAs(dropped=0.1, sessions=2, lacking=0.3, seed=2)
    source = Laboratory(tau=0.4, recorded_as=losses)
    record.run(cfg, losses, 0.4, directory, key=KEY, device=torch.device("cpu"))
    import_.run(source, directory, key=KEY)
    names = ("truth", "simulation")
    return [store.read(directory / f"{n}.zarr", schemas.SIMULATION).load() for n in names]


class TestLaboratory:
    def test_what_was_not_lost_comes_back(self, laboratory):
        truth, found = laboratory
        frames = np.round(found["time"].values / truth.attrs["dt"]).astype(int)
        expected = truth["activity"].values[frames]
        seen = np.isfinite(found["activity"].values)
        np.testing.assert_allclose(found["activity"].values[seen], expected[seen], rtol=1e-5)
        assert seen[found["session"] == 0].all()
        assert (~seen[found["session"] == 1]).mean() == pytest.approx(0.3)

    def test_lost_frames_leave_gaps_in_time(self, laboratory):
        truth, found = laboratory
        assert 0.82 * 200 < found.sizes["time"] < 0.97 * 200
        assert found.attrs["dt"] == pytest.approx(truth.attrs["dt"], rel=1e-6)

    def test_the_truth_is_that_of_the_cells(self, laboratory):
        truth, found = laboratory
        assert found["neuron"].values.tolist() == [f"cell_{k}" for k in range(10)]
        np.testing.assert_array_equal(found["connectivity"], truth["connectivity"])
        assert "drift" not in found


def test_signal_chain_of_an_import(imported, file, values):
    rates = {"kind": "savitzky_golay", "window": 5, "order": 2}
    plain = imported(files=(file,))
    found = imported(files=(file,), observation={"rate": rates, "indicator": {"decay": 0.5}})
    np.testing.assert_array_equal(found["recorded"].values, plain["activity"].values)
    assert found["rate"].attrs["reach"] == [4, 5]
    there = np.isfinite(found["rate"].values).all(axis=1)
    assert np.flatnonzero(~there).tolist() == [*range(4), *range(len(values) - 5, len(values))]
    assert (np.isfinite(found["activity"].values).all(axis=1) == there).all()
    assert {"activity_noise", "rate_noise"} <= set(found.variables)
    assert "indicator inverted: decay 0.5 s" in found["activity"].attrs["observation"]
    scored = imported(files=(file,), observation={"zscore": True, "noise": "none"})
    assert scored["activity"].attrs["units"] == "z-score"
    assert scored["recorded"].attrs["units"] == plain["activity"].attrs["units"]
    assert not {"rate", "activity_noise"} & set(scored.variables)


def test_training_reads_the_rate_with_its_reach_and_noise(imported, file, tmp_path):
    rates = {"kind": "savitzky_golay", "window": 5, "order": 2}
    found = imported(files=(file,), observation={"rate": rates})
    cfg = Training(target="estimated", held_out=0.2)
    path = next(tmp_path.rglob("simulation.zarr"))
    recording = recordings.load(path, cfg, torch.device("cpu"))
    assert recording.reach == (4, 4)
    assert not recording.exact
    x, rate = recording.batch(recording.usable)
    assert torch.isfinite(x).all()
    np.testing.assert_array_equal(rate, found["rate"].values[recording.usable])
    np.testing.assert_allclose(recording.state_noise, found["activity_noise"], rtol=1e-6)


def test_a_store_without_rates_cannot_train_on_them(imported, file, tmp_path):
    imported(files=(file,))
    path = next(tmp_path.rglob("simulation.zarr"))
    with pytest.raises(StoreError, match="holds no estimated rate"):
        recordings.load(path, Training(target="estimated"), torch.device("cpu"))

"""`ngpipe new STUDY --from FILE`: a study of a recording that opens, and runs when filled in."""

import numpy as np
import pytest
import xarray as xr
import yaml

from ngpipe import store
from ngpipe.cli import main
from ngpipe.schemas import assembly as schemas
from ngpipe.study import stages


def recorded(tmp_path, rng, **more):
    coords = {"time": ("time", np.arange(200) / 10, {"units": "s"})}
    values = rng.normal(size=(200, 3)).astype(np.float32)
    dff = xr.Dataset({"dff": (("time", "neuron"), values, {"units": "dF/F"})}, coords, more)
    dff.to_zarr(tmp_path / "data" / "day1.zarr", zarr_format=2)
    return values


@pytest.fixture
def study(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return tmp_path / "my study"


def test_a_study_of_a_recording_opens_and_imports_it(study, tmp_path, rng, monkeypatch, capsys):
    values = recorded(tmp_path, rng)
    assert main(["new", "my study", "--from", "data/day1.zarr"]) == 0
    said = capsys.readouterr().out
    assert "results/Recording/" in said
    assert "ngpipe import --help" in said
    assert "fill in" not in said
    monkeypatch.chdir(study)
    opened = stages.open_study(study / "config")
    experiment = opened.experiments["recording"]
    assert experiment.source.files == ("../data/day1.zarr",)
    assert opened.figure_key("Recording")
    assert main(["import", "config/experiments/recording.yaml"]) == 0
    made = store.read(study / "results/runs/recording/simulation.zarr", schemas.SIMULATION)
    np.testing.assert_array_equal(made["activity"], values)
    assert made["activity"].attrs["units"] == "dF/F"
    assert made.attrs["rate_hz"] == pytest.approx(10)


def test_what_the_file_does_not_say_stays_open_and_is_told(study, tmp_path, rng, capsys):
    np.save(tmp_path / "a.npy", rng.normal(size=(50, 4)))
    assert main(["new", "my study", "--from", "a.npy"]) == 0
    assert "fill in source.axes, source.rate, source.units there" in capsys.readouterr().out
    content = yaml.safe_load((study / "config/experiments/recording.yaml").read_text())
    assert content["source"]["rate"] is None


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ([], "holds several series, ['dff', 'raw']; name the one with the activity by --series"),
        (["--series", "rew"], "no series 'rew', but ['dff', 'raw']; did you mean 'raw'"),
        (["--series", "raw", "--system", "circuit"], "a recording is for system assembly"),
    ],
)
def test_one_of_several_series_is_to_be_named(study, tmp_path, rng, options, words, capsys):
    values = rng.normal(size=(50, 4))
    np.savez(tmp_path / "a.npz", dff=values, raw=values)
    assert main(["new", "my study", "--from", "a.npz", *options]) == 1
    assert words in capsys.readouterr().err
    assert not study.exists()
    assert main(["new", "my study", "--from", "a.npz", "--series", "raw"]) == 0
    assert "series: raw" in (study / "config/experiments/recording.yaml").read_text()


@pytest.mark.parametrize("name", ["absent.npy", "empty.npz"])
def test_a_file_without_activity_is_told(study, tmp_path, name, capsys):
    np.savez(tmp_path / "empty.npz", t=np.arange(4))
    assert main(["new", "my study", "--from", name]) == 1
    error = capsys.readouterr().err
    assert "there is no file" in error or "no array of time and neurons; name another" in error
    assert not study.exists()

"""`ngpipe inspect` shows everything for what it is, and advises nothing that loses data."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr
import zarr

from ngpipe import schemas, store
from ngpipe.artifacts import parameter_file
from ngpipe.cli import main
from ngpipe.errors import NgpipeWarning
from ngpipe.schemas.variable import Schema
from ngpipe.steps import inspect

MADE = store.Provenance("simulate", "f" * 64, {"n_neurons": 4})


@pytest.fixture
def directory(tmp_path, monkeypatch, rng):
    """A study with a run of one store, one table and one model."""
    monkeypatch.chdir(tmp_path)
    path = Path("results/runs/tiny")
    dataset = xr.Dataset(
        {
            "activity": (("time", "neuron"), rng.random((9, 4)) < 0.5),
            "connectivity": (("post", "pre"), rng.normal(size=(4, 4))),
        },
        attrs={"dt": 0.1},
    )
    store.write(dataset, path / "simulation.zarr", schemas.SIMULATION, MADE)
    parameter_file.write(path / "model.safetensors", {"W": torch.ones(4, 4)}, {"key": "abc"})
    beside = [path / "model.safetensors"]
    table = store.pd.DataFrame({"quantity": ["phi"], "value": [0.5]})
    store.write_table(table, path / "metrics.csv", MADE, beside=beside)
    return path


def figure(directory):
    path = Path("results/Fig2")
    path.mkdir()
    (path / "a.svg").write_text("<svg/>")
    (path / "mine.txt").write_text("mine")
    about = {"figure": "Fig2", "files": {"a.svg": "0"}, "runs": {"tiny": {}}, **store.record(MADE)}
    store.write_json(path / "manifest.json", about)
    return path


def foreign_store(directory):
    path = directory / "mine.zarr"
    group = zarr.open_group(path, mode="w", zarr_format=2)
    array = group.create_array("spikes", data=np.ones((3, 2), np.int8))
    array.attrs["_ARRAY_DIMENSIONS"] = ["time", "neuron"]
    return path


def named(name, content):
    def make(directory):
        (directory / name).write_bytes(content)
        return directory / name

    return make


def numbers(directory):
    np.save(directory / "W.npy", np.ones((3, 5)))
    return directory / "W.npy"


def pickled(directory: Path) -> Path:
    """Activity, and a list of objects beside it."""
    rois = np.array([{"med": (1, 2)}, {}], dtype=object)
    np.savez(directory / "all.npz", F=np.ones((9, 4)), stat=rois)
    return directory / "all.npz"


def archive(directory):
    np.savez(directory / "W.npz", W=np.ones((3, 5)))
    return directory / "W.npz"


def netcdf(directory):
    xr.Dataset({"a": ("x", [1.0])}).to_netcdf(directory / "a.nc", engine="scipy")
    return directory / "a.nc"


CASES = [
    (lambda d: d, ["results of ngpipe", "simulation.zarr", "by simulate", "metrics.csv"]),
    (
        lambda d: d / "simulation.zarr",
        ["ngpipe simulate", "activity", "bool", "look.png", "dt: 0."],
    ),
    (lambda d: d / "simulation.json", ["manifest of simulation.zarr", "key: fff", "n_neurons"]),
    (lambda d: d / "metrics.csv", ["table of 1 rows", "quantity", "phi", "stage: simulate"]),
    (lambda d: d / "model.safetensors", ["model of ngpipe, key abc", "W", "[4, 4]", "simulate"]),
    (figure, ["figure Fig2", "a.svg", "mine.txt", "not of ngpipe", "experiments: tiny"]),
    (foreign_store, ["a zarr store that ngpipe did not write", "spikes", "int8"]),
    (named("simulation2.zarr", b"PK\x03\x04"), ["a zip archive"]),
    (named("notes.json", b"42"), ["a JSON file, but not a manifest"]),
    (named("x.h5", b"\x89HDF\r\n\x1a\n"), ["an HDF5 file"]),
    (named("notes.txt", b"mine"), ["notes.txt: a file"]),
    (netcdf, ["a netCDF file", "to_zarr"]),
    (numbers, ["numpy", "(3, 5)  float64"]),
    (archive, ["numpy", "W", "(3, 5)  float64"]),
    (pickled, ["(2,)  Python objects: a pickle, which is not opened", "(9, 4)  float64", "F"]),
    (lambda d: Path("results"), ["results: a directory", "runs"]),
]


@pytest.mark.quick(4)
@pytest.mark.parametrize(("make", "words"), CASES)
def test_everything_is_shown_for_what_it_is(directory, make, words, capsys):
    assert main(["inspect", str(make(directory))]) == 0
    out = capsys.readouterr().out
    for word in words:
        assert word in out
    assert "delete" not in out


@pytest.mark.parametrize(
    ("name", "content", "words"),
    [
        ("broken.safetensors", b"\xff" * 20, "is not a safetensors file, or is damaged"),
        ("broken.npy", b"PK", "is not the numpy file its name says"),
        ("broken.csv", b"", "not a readable table"),
        ("broken.zarr/notes.txt", b"", "is not a readable zarr store"),
    ],
)
def test_what_is_damaged_is_named(directory, name, content, words, capsys):
    path = directory / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    shown = path.parent if path.parent.suffix == ".zarr" else path
    assert main(["inspect", str(shown)]) == 1
    error = capsys.readouterr().err
    assert words in error
    assert "delete" not in error


def test_what_is_absent_says_how_to_make_it_in_this_study(directory, capsys):
    assert main(["inspect", "results/runs/tiny/recovery.zarr"]) == 1
    assert "there is no config/ here" in capsys.readouterr().err
    Path("config").mkdir()
    assert main(["inspect", "results/runs/tiny/recovery.zarr"]) == 1
    error = capsys.readouterr().err
    assert (
        "there is nothing at results/runs/tiny/recovery.zarr; make it with: snakemake -s " in error
    )
    assert "/Snakefile --cores 2 results/runs/tiny/recovery.zarr" in error
    assert main(["inspect", "recording.zarr"]) == 1
    assert "correct the path" in capsys.readouterr().err


@pytest.mark.slow
def test_the_picture_is_drawn_anew_but_never_over_somebody_elses(directory, capsys):
    path, picture = directory / "simulation.zarr", directory / "simulation.look.png"
    inspect.run(path)
    inspect.run(path)
    assert "quick look: results/runs/tiny/simulation.look.png" in capsys.readouterr().out
    picture.write_bytes(b"\x89PNG mine")
    with pytest.warns(NgpipeWarning, match=r"look\.png is not from ngpipe; no picture drawn"):
        inspect.run(path)
    assert picture.read_bytes() == b"\x89PNG mine"


def test_a_store_without_numbers_is_described_alone(directory, capsys):
    path = directory / "names.zarr"
    store.write(xr.Dataset({"name": ("neuron", np.array(["a", "b"]))}), path, Schema({}), MADE)
    inspect.run(path)
    assert "it holds no numbers to draw" in capsys.readouterr().out
    assert not (directory / "names.look.png").exists()


def test_a_manifest_with_other_content_is_shown_too(directory, capsys):
    (directory / "strange.json").write_text(json.dumps({"stage": "x", "key": "y"}))
    inspect.run(directory / "strange.json")
    assert "manifest of strange.zarr" in capsys.readouterr().out

"""A run opens as one tree, and the lines of docs/stores.md work on it."""

import re
import tomllib
import warnings
from pathlib import Path

import numpy as np
import pytest
import xarray as xr
from xarray.backends import plugins

from ngpipe import schemas, store
from ngpipe.backend import Run

ROOT = Path(__file__).parents[1]
N, FRAMES = 10, 50


@pytest.fixture
def run(tmp_path, monkeypatch, rng):
    """results/runs/tiny/ with two stores, and the engine known to xarray as if installed."""
    monkeypatch.setitem(plugins.list_engines(), "ngpipe", Run())
    monkeypatch.chdir(tmp_path)
    directory = Path("results/runs/tiny")
    types = ("neuron", np.arange(N) % 2)
    square, time = (("post", "pre"), ("time", "neuron"))
    simulation = xr.Dataset(
        {
            "activity": (time, rng.normal(size=(FRAMES, N)).astype("f4")),
            "connectivity": (square, rng.normal(size=(N, N))),
            "neuron_type": types,
        },
        coords={"time": 0.1 * np.arange(FRAMES)},
        attrs={"dt": 0.1},
    )
    recovery = xr.Dataset(
        {
            "connectivity": (square, rng.normal(size=(N, N))),
            "connected": (square, rng.random((N, N)) < 0.5),
            "latent": (("neuron", "component"), rng.normal(size=(N, 2))),
            "neuron_type": types,
            "phi": (("neuron", "x"), rng.normal(size=(N, 3))),
            "psi": (("neuron", "x"), rng.normal(size=(N, 3))),
            "visited": (("neuron", "bound"), rng.normal(size=(N, 2))),
        },
        coords={"x": np.arange(3.0)},
    )
    made = store.Provenance("simulate", "f" * 64, {})
    store.write(simulation, directory / "simulation.zarr", schemas.SIMULATION, made)
    store.write(recovery, directory / "recovery.zarr", schemas.RECOVERY, made)
    (directory / "model.safetensors").write_bytes(b"")
    (directory / "metrics.csv").write_text("quantity\n")
    return directory


@pytest.fixture
def found(run):
    """What the lines of the docs leave, without a warning."""
    (code,) = re.findall(
        r"```python\n(import xarray as xr\n\nrun = .*?)```",
        (ROOT / "docs" / "stores.md").read_text(),
        re.S,
    )
    left = {}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        exec(code, left)
    return left


def test_a_run_is_a_tree_of_its_stores(found):
    assert sorted(found["run"].children) == ["recovery", "simulation"]
    assert found["simulation"].sizes["time"] == FRAMES


def test_masks_select_and_products_are_named(found):
    weights, mask = found["recovery"]["connectivity"].values, found["recovery"]["connected"].values
    activity = found["activity"].values
    assert activity.shape == (11, N)
    np.testing.assert_allclose(found["received"].values, (weights * mask) @ activity.T, rtol=1e-6)
    assert found["received"].dims == ("post", "time")


def test_types_group_and_select(found):
    activity = found["activity"].values
    assert found["by_type"].dims == ("time", "neuron_type")
    np.testing.assert_allclose(found["by_type"].values[:, 1], activity[:, 1::2].mean(1), rtol=1e-5)
    np.testing.assert_array_equal(found["first"].values, activity[:, ::2])


def test_every_variable_has_a_unit(found):
    assert found["units"] == {"activity": "1", "connectivity": "1/tau"}


def test_a_latent_vector_is_no_coordinate(found):
    assert set(found["recovery"].coords) == {"neuron_type", "x"}


def test_a_run_is_no_dataset(run):
    with pytest.raises(ValueError, match=r"holds the stores \['recovery\.zarr', .*open_datatree"):
        xr.open_dataset(run)


def test_other_directories_are_left_to_other_engines(run, tmp_path):
    engine = Run()
    assert engine.guess_can_open(str(run))
    for other in (run / "simulation.zarr", tmp_path, tmp_path / "absent", b"CDF\x01"):
        assert not engine.guess_can_open(other)


def test_the_engine_is_registered_where_the_package_is_installed():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["entry-points"]["xarray.backends"] == {"ngpipe": "ngpipe.backend:Run"}


def test_latents_and_masks_of_an_older_store_still_open(run, rng):
    path = run / "old.zarr"
    recovery = store.read(run / "recovery.zarr", schemas.RECOVERY).load().reset_coords()
    older = recovery.drop_vars("latent").assign(
        latent=(("neuron", "latent"), rng.normal(size=(N, 2))),
        connected=recovery["connected"].astype(np.int8),
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        older.drop_encoding().to_zarr(path, zarr_format=2)
    found = store.read(path, schemas.RECOVERY)
    assert "neuron_type" in found.coords
    np.testing.assert_array_equal(found["latent"].values, older["latent"].values)

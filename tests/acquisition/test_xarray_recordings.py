"""Zarr and netCDF of any writer: any names and order of dimensions, values as they were meant."""

import warnings

import numpy as np
import pandas as pd
import pytest
import xarray as xr
import zarr
from reading import names, read

from ngpipe.errors import RecordingError


@pytest.fixture
def values(rng):
    return rng.normal(size=(20, 3)).astype(np.float32)


@pytest.fixture(autouse=True)
def quiet():
    """Of texts and consolidated metadata in format 3, zarr warns when these tests write them."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=zarr.errors.UnstableSpecificationWarning)
        warnings.filterwarnings("ignore", category=zarr.errors.ZarrUserWarning)
        yield


def stored(dataset, tmp_path, kind):
    if kind == "netcdf3":
        dataset.to_netcdf(tmp_path / "a.nc", engine="scipy", format="NETCDF3_64BIT")
        return tmp_path / "a.nc"
    if kind == "netcdf4":
        pytest.importorskip("h5netcdf")
        dataset.to_netcdf(tmp_path / "a.nc", engine="h5netcdf")
        return tmp_path / "a.nc"
    dataset.to_zarr(tmp_path / "a.zarr", zarr_format=int(kind[-1]), consolidated=False)
    return tmp_path / "a.zarr"


KINDS = pytest.mark.parametrize("kind", ["zarr2", "zarr3", "netcdf3", "netcdf4"])


@pytest.mark.quick(2)
@KINDS
@pytest.mark.parametrize("order", [("frame", "cell"), ("cell", "frame")])
def test_names_of_dimensions_say_the_axes(tmp_path, values, kind, order):
    dataset = xr.Dataset(
        {"dff": (("frame", "cell"), values, {"units": "dF/F"})},
        coords={
            "frame": ("frame", np.arange(20) * 40.0, {"units": "ms"}),
            "cell": ["AVAL", "AVAR", "RIM"],
        },
    ).transpose(*order)
    found = read(stored(dataset, tmp_path, kind))
    np.testing.assert_array_equal(found.values, values)
    np.testing.assert_allclose(found.times, np.arange(20) * 0.04)
    assert (found.units, found.labels) == ("dF/F", ("AVAL", "AVAR", "RIM"))


@KINDS
def test_a_coordinate_of_dates_is_time_whatever_its_name(tmp_path, values, kind):
    dates = pd.date_range("2026-01-01", periods=20, freq="250ms").delete(7)
    dataset = xr.Dataset({"x": (("when", "who"), values[:19])}, coords={"when": dates})
    dataset["when"].encoding["units"] = "milliseconds since 2026-01-01"
    found = read(stored(dataset.transpose("who", "when"), tmp_path, kind))
    np.testing.assert_array_equal(found.values, values[:19])
    np.testing.assert_allclose(found.times, np.delete(np.arange(20) / 4, 7))


@KINDS
def test_scale_and_offset_are_applied_and_gaps_are_gaps(tmp_path, values, kind):
    values[3, 1] = np.nan
    values[4, 0] = 0.0
    packed = {"dtype": "int16", "scale_factor": 0.001, "add_offset": 0.5, "_FillValue": -9999}
    dataset = xr.Dataset({"x": (("time", "neuron"), values)})
    dataset["x"].encoding = packed
    found = read(stored(dataset, tmp_path, kind)).values
    np.testing.assert_allclose(found, values, atol=6e-4)


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_zeros_of_other_writers_are_zeros(tmp_path, zarr_format):
    """zarr itself sets the fill value 0, which says nothing about missing values."""
    group = zarr.open_group(tmp_path / "a.zarr", mode="w", zarr_format=zarr_format)
    counts = np.array([[0, 1], [2, 0], [0, 3]], dtype=np.int16)
    made = {"time": np.arange(3.0), "x": counts}
    dims = {"time": ["time"], "x": ["time", "neuron"]}
    for name, data in made.items():
        if zarr_format == 2:
            group.create_array(name, data=data, fill_value=0).attrs["_ARRAY_DIMENSIONS"] = dims[
                name
            ]
        else:
            group.create_array(name, data=data, fill_value=0, dimension_names=dims[name])
    group["time"].attrs["units"] = "s"
    found = read(tmp_path / "a.zarr")
    np.testing.assert_array_equal(found.values, counts)
    np.testing.assert_array_equal(found.times, [0, 1, 2])


@pytest.mark.parametrize("zarr_format", [2, 3])
def test_arrays_without_names_of_dimensions_are_read_too(tmp_path, values, zarr_format):
    path = tmp_path / "a.zarr"
    group = zarr.open_group(path, mode="w", zarr_format=zarr_format)
    group.create_array("day1/dff", data=values, chunks=(4, 2))
    group.create_array("day1/cell", data=np.arange(3) + 7)
    assert names(path) == ["day1/dff"]
    with pytest.raises(RecordingError, match=r"set source\.axes"):
        read(path)
    found = read(path, labels="day1/cell")
    np.testing.assert_array_equal(found.values, values)
    assert found.labels == ("7", "8", "9")
    alone = tmp_path / "b.zarr"
    zarr.create_array(alone, data=values, zarr_format=zarr_format)
    np.testing.assert_array_equal(read(alone, axes="time_neuron").values, values)


def test_dimensions_that_say_nothing_are_asked_for(tmp_path, values):
    xr.Dataset({"x": (("a", "b"), values)}).to_zarr(tmp_path / "a.zarr")
    with pytest.raises(RecordingError, match=r"set source\.axes"):
        read(tmp_path / "a.zarr")
    np.testing.assert_array_equal(read(tmp_path / "a.zarr", axes="time_neuron").values, values)


@pytest.mark.parametrize("units", [None, "tau"])
def test_a_time_without_a_known_unit_is_not_guessed(tmp_path, values, units):
    about = {} if units is None else {"units": units}
    time = ("time", np.arange(20.0), about)
    xr.Dataset({"x": (("time", "neuron"), values)}, {"time": time}).to_zarr(tmp_path / "a.zarr")
    found = read(tmp_path / "a.zarr")
    assert found.times is None
    assert "set source.time: time and source.time_unit" in found.notes[0]
    named = read(tmp_path / "a.zarr", time="time", time_unit="min")
    np.testing.assert_array_equal(named.times, np.arange(20.0) * 60)


@pytest.mark.parametrize("order", [("trial", "time", "cell"), ("cell", "trial", "time")])
def test_trials_follow_one_another(tmp_path, rng, order):
    values = rng.normal(size=(4, 5, 2))
    dataset = xr.Dataset(
        {"x": (("trial", "time", "cell"), values)},
        coords={
            "time": ("time", np.arange(5) / 10, {"units": "s"}),
            "trial": list("abcd"),
            "cell": ["L", "R"],
        },
    )
    dataset.transpose(*order).to_zarr(tmp_path / "a.zarr")
    found = read(tmp_path / "a.zarr", step=3)
    np.testing.assert_array_equal(found.values, values.reshape(20, 2))
    assert "".join(found.segments) == "aaaaabbbbbcccccddddd"
    np.testing.assert_allclose(found.times, np.tile(np.arange(5) / 10, 4))
    assert found.labels == ("L", "R")


def test_three_dimensions_that_say_nothing_are_refused(tmp_path, rng):
    xr.Dataset({"x": (("a", "b", "c"), rng.normal(size=(4, 5, 2)))}).to_zarr(tmp_path / "a.zarr")
    with pytest.raises(RecordingError, match="not known which are time and trial"):
        read(tmp_path / "a.zarr")


@pytest.mark.parametrize("kind", ["zarr2", "zarr3", "netcdf4"])
def test_groups_are_named_by_their_path(tmp_path, values, kind):
    if kind == "netcdf4":
        pytest.importorskip("h5netcdf")
    whole = xr.Dataset({"x": (("time", "neuron"), values)})
    tree = xr.DataTree.from_dict({"/a": whole, "/b/c": whole * 2})
    if kind == "netcdf4":
        path = tmp_path / "a.nc"
        tree.to_netcdf(path, engine="h5netcdf")
    else:
        path = tmp_path / "a.zarr"
        tree.to_zarr(path, zarr_format=int(kind[-1]), consolidated=False)
    assert sorted(names(path)) == ["a/x", "b/c/x"]
    np.testing.assert_array_equal(read(path, series="b/c/x").values, values * 2)


def test_what_is_no_store_is_told(tmp_path):
    (tmp_path / "a.zarr").write_text("x")
    (tmp_path / "a.nc").write_text("x")
    with pytest.raises(RecordingError, match="expected a zarr store, which is a directory"):
        read(tmp_path / "a.zarr")
    with pytest.raises(RecordingError, match="cannot be read as netCDF"):
        read(tmp_path / "a.nc")

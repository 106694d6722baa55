"""Stores of other writers: zeros stay zeros, gaps stay gaps, nothing is hidden."""

import warnings

import numpy as np
import pytest
import xarray as xr
import zarr

from ngpipe import schemas, store
from ngpipe.errors import NgpipeWarning, StoreError

FRAMES, NEURONS = 12, 4


@pytest.fixture
def values(rng):
    """A recording in which every variable holds zeros."""
    activity = rng.normal(size=(FRAMES, NEURONS)).astype("f4")
    activity[3:5] = 0
    return {
        "activity": (("time", "neuron"), activity),
        "driven": (("neuron",), np.array([1, 1, 0, 0], np.int8)),
        "external_input": (("frame", "neuron"), np.array([[0, 1, 1, 1], [2, 0, 1, 1]], "f4")),
        "input_frame": (("time",), np.repeat([0.0, 1.0], FRAMES // 2)),
    }


def by_zarr(values, path, version, **options):
    """As writers write that know nothing of xarray: zarr sets the fill value to 0."""
    group = zarr.open_group(path, mode="w", zarr_format=version)
    group.attrs["dt"] = 0.1
    for name, (dims, content) in values.items():
        names = {} if version == 2 else {"dimension_names": dims}
        array = group.create_array(name, data=content, **names, **options.get(name, {}))
        if version == 2:
            array.attrs["_ARRAY_DIMENSIONS"] = list(dims)
    return path


def by_xarray(dataset, path, version, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        dataset.to_zarr(path, mode="w", zarr_format=version, **options)
    return path


class TestZeros:
    @pytest.mark.parametrize("version", [2, 3])
    def test_are_zeros_whoever_wrote_them(self, values, tmp_path, version):
        found = store.read(by_zarr(values, tmp_path / "r.zarr", version), schemas.SIMULATION)
        for name, (_, content) in values.items():
            assert found[name].dtype == content.dtype
            np.testing.assert_array_equal(found[name].values, content)

    def test_opening_warns_of_nothing(self, values, tmp_path):
        path = by_zarr(values, tmp_path / "r.zarr", 3)
        (path / ".snakemake_timestamp").touch()
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            store.read(path, schemas.SIMULATION)

    @pytest.mark.parametrize("version", [2, 3])
    def test_are_missing_where_an_attribute_says_so(self, values, tmp_path, version):
        path = by_zarr(values, tmp_path / "r.zarr", version)
        marked = zarr.open_group(path, mode="r+")["activity"]
        marked.attrs["missing_value"] = 0.0
        found = store.read(path, schemas.SIMULATION)["activity"].values
        expected = np.where(values["activity"][1] == 0, np.nan, values["activity"][1])
        np.testing.assert_array_equal(found, expected)


class TestConventions:
    @pytest.fixture
    def packed(self):
        """Counts of which one is missing, a scale, an offset, names and dates."""
        dataset = xr.Dataset(
            {
                "activity": (("time", "neuron"), np.array([[0.0, 3.0], [np.nan, 2.5]])),
                "label": (("neuron",), np.array([0, 7], np.int16)),
            },
            coords={
                "time": np.array(["2026-01-01", "2026-01-02"], "M8[ns]"),
                "neuron": ["AVAL", "AVA"],
            },
        )
        dataset["activity"].encoding = {
            "dtype": "int16",
            "scale_factor": 0.5,
            "add_offset": 1.0,
            "_FillValue": -1,
        }
        return dataset

    @pytest.mark.parametrize("version", [2, 3])
    def test_scale_offset_missing_dates_and_names_are_applied(self, packed, tmp_path, version):
        found = store.read(by_xarray(packed, tmp_path / "p.zarr", version), {})
        np.testing.assert_array_equal(found["activity"].values, packed["activity"].values)
        np.testing.assert_array_equal(found["time"].values, packed["time"].values)
        assert found["neuron"].values.tolist() == ["AVAL", "AVA"]
        assert found["label"].dtype == np.int16

    def test_what_came_through_netcdf_is_the_same(self, packed, tmp_path):
        packed.to_netcdf(tmp_path / "p.nc", engine="scipy")
        with xr.open_dataset(tmp_path / "p.nc") as read:
            path = by_xarray(read.drop_encoding(), tmp_path / "p.zarr", 2)
            raw = by_xarray(read, tmp_path / "q.zarr", 2)
        for place in (path, raw):
            found = store.read(place, {})
            np.testing.assert_array_equal(found["activity"].values, packed["activity"].values)
            assert found["time"].values.tolist() == packed["time"].values.tolist()

    @pytest.mark.parametrize("version", [2, 3])
    def test_whole_numbers_stay_whole_if_none_is_missing(self, tmp_path, version):
        movie = xr.Dataset({"movie": (("image", "y"), np.array([[0, 1], [200, 254]], np.uint8))})
        marked = {"movie": {"_FillValue": np.uint8(255)}}
        path = by_xarray(movie, tmp_path / "m.zarr", version, encoding=marked)
        found = store.read(path, {})["movie"]
        assert found.dtype == np.uint8
        np.testing.assert_array_equal(found.values, movie["movie"].values)

    @pytest.mark.parametrize("version", [2, 3])
    def test_a_missing_whole_number_is_missing(self, tmp_path, version):
        counts = xr.Dataset({"n": (("x",), np.array([0, 3, -1], np.int32))})
        path = by_xarray(counts, tmp_path / "n.zarr", version, encoding={"n": {"_FillValue": -1}})
        assert store.read(path, {})["n"].values.tolist()[:2] == [0, 3]
        assert np.isnan(store.read(path, {})["n"].values[2])

    def test_ids_that_floats_cannot_hold_are_refused_beside_a_missing_one(self, tmp_path):
        ids = xr.Dataset({"id": (("neuron",), np.array([720575940628857210, -1]))})
        path = by_xarray(ids, tmp_path / "i.zarr", 2, encoding={"id": {"_FillValue": -1}})
        with pytest.raises(StoreError, match=r"'id' holds whole numbers up to .* 1 missing"):
            store.read(path, {})

    def test_units_of_time_that_mean_nothing_are_named(self, tmp_path):
        dataset = xr.Dataset({"a": ("time", [1.0])}, coords={"time": ("time", [0])})
        dataset["time"].attrs["units"] = "frames since start"
        path = by_xarray(dataset, tmp_path / "t.zarr", 2)
        with pytest.raises(StoreError, match="frames since start"):
            store.read(path, {})


class TestGaps:
    @pytest.mark.parametrize("version", [2, 3])
    def test_frames_appended_behind_consolidated_metadata_are_read(self, tmp_path, version):
        movie = np.arange(4 * 6, dtype="f4").reshape(4, 6)
        dataset = xr.Dataset({"movie": (("image", "y"), movie)})
        path = by_xarray(dataset, tmp_path / "m.zarr", version, consolidated=True)
        zarr.open_group(path, mode="r+", use_consolidated=False)["movie"].append(movie + 50)
        found = store.read(path, {})["movie"].values
        np.testing.assert_array_equal(found, np.concatenate([movie, movie + 50]))

    @pytest.mark.quick(2)
    @pytest.mark.parametrize(
        ("version", "options"),
        [
            (2, {"chunks": (3, NEURONS)}),
            (3, {"chunks": (3, NEURONS)}),
            (3, {"chunks": (1, NEURONS), "shards": (3, NEURONS)}),
            (2, {"chunks": (3, NEURONS), "chunk_key_encoding": {"name": "v2", "separator": "/"}}),
            (3, {"chunks": (3, NEURONS), "chunk_key_encoding": {"name": "v2", "separator": "."}}),
        ],
    )
    def test_chunks_that_are_absent_are_counted(self, values, tmp_path, version, options):
        values["activity"][1][:] += 10
        path = by_zarr(values, tmp_path / "r.zarr", version, activity=options)
        chunks = sorted(
            p for p in (path / "activity").rglob("*") if p.is_file() and p.name[-1].isdigit()
        )
        assert len(chunks) == 4
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            store.read(path, schemas.SIMULATION)
        chunks[1].unlink()
        with pytest.warns(NgpipeWarning, match="1 of 4 chunks of 'activity' .* read as 0.0"):
            found = store.read(path, schemas.SIMULATION)
        assert not found["activity"].values[3:6].any()

    def test_what_they_are_read_as_is_said(self, tmp_path, rng):
        dataset = xr.Dataset({"a": (("t", "x"), rng.normal(size=(4, 2)))})
        path = by_xarray(dataset, tmp_path / "a.zarr", 3, encoding={"a": {"chunks": (1, 2)}})
        (path / "a" / "c" / "2" / "0").unlink()
        with pytest.warns(NgpipeWarning, match="1 of 4 chunks of 'a' .* read as missing values"):
            found = store.read(path, {})
        assert np.isnan(found["a"].values[2]).all()

    def test_whole_numbers_without_a_value_for_absent_ones_are_read_as_0(self, tmp_path):
        """As xarray writes them in format 2."""
        dataset = xr.Dataset({"a": (("t", "x"), np.ones((8, 4), "u1"))})
        path = by_xarray(dataset, tmp_path / "a.zarr", 2, encoding={"a": {"chunks": (2, 4)}})
        (path / "a" / "1.0").unlink()
        with pytest.warns(NgpipeWarning, match="1 of 4 chunks of 'a' .* read as 0$"):
            found = store.read(path, {})
        assert not found["a"].values[2:4].any()

    @pytest.mark.parametrize("version", [2, 3])
    def test_a_part_of_our_store_opens_where_no_manifest_vouches(self, values, tmp_path, version):
        ours, part = tmp_path / "simulation.zarr", tmp_path / "part.zarr"
        dataset = xr.Dataset(values, attrs={"dt": 0.1})
        store.write(dataset, ours, schemas.SIMULATION, store.Provenance("simulate", "f", {}))
        derived = xr.open_zarr(ours)[["activity"]].isel(neuron=slice(0, 2))
        by_xarray(derived.drop_encoding(), part, version)
        found = store.read(part, schemas.SIMULATION)
        np.testing.assert_array_equal(found["activity"].values, values["activity"][1][:, :2])

    def test_arrays_without_names_of_dimensions_are_told_how_to_get_them(self, tmp_path):
        zarr.open_group(tmp_path / "n.zarr", mode="w").create_array("a", data=np.ones(3))
        zarr.open_group(tmp_path / "m.zarr", mode="w", zarr_format=2).create_array(
            "a", data=np.ones(3)
        )
        for name in ("n", "m"):
            with pytest.raises(StoreError, match="need dimension names"):
                store.read(tmp_path / f"{name}.zarr", {})

"""NWB in zarr, in the layout of hdmf-zarr 0.13.0: the same series as in HDF5."""

import json

import numpy as np
import pytest
import zarr
from reading import names, read

from ngpipe.errors import RecordingError

SERIES = "processing/ophys/Fluorescence/roi"
TABLE = "processing/ophys/ImageSegmentation/PlaneSegmentation"


def text(group, name, words, dtype=str):
    """A column of text or bytes as zarr 2 writes it: objects, with the fill value 0."""
    array = group.create_array(name, shape=len(words), chunks=(len(words),), dtype=dtype)
    array[:] = np.array(words, dtype=object)
    place = group.store.root / group.path / name / ".zarray"
    about = json.loads(place.read_text()) | {"fill_value": 0}
    place.write_text(json.dumps(about))


@pytest.fixture
def path(tmp_path):
    """Three of four ROIs, 10 frames of int16 with zeros among them, conversion and offset."""
    root = zarr.open_group(tmp_path / "a.nwb.zarr", mode="w", zarr_format=2)
    root.attrs.update(nwb_version="2.11.0", neurodata_type="NWBFile", namespace="core")
    text(root, "session_description", ["s"])
    text(root, "session_start_time", [b"2026-01-01"], dtype=zarr.dtype.VariableLengthBytes())
    rows = root.create_group(TABLE)
    rows.attrs.update(colnames=["label", "pixel_mask"], neurodata_type="PlaneSegmentation")
    text(rows, "label", ["N0", "N1", "N2", "N3"])
    rows.create_array("id", data=np.arange(4))
    masks = np.array([(k, k + 1, 1.0) for k in range(4)], dtype="u4,u4,f4")
    masks.dtype.names = ("x", "y", "weight")
    rows.create_array("pixel_mask", data=masks)
    rows.create_array("pixel_mask_index", data=np.arange(1, 5, dtype=np.uint8))
    series(root, SERIES, rate=30.0)
    return tmp_path / "a.nwb.zarr"


def series(root, name, data=None, rate=None, times=None):
    group = root.create_group(name)
    group.attrs.update(neurodata_type="RoiResponseSeries", namespace="core")
    data = np.arange(30, dtype=np.int16).reshape(10, 3) if data is None else data
    array = group.create_array("data", data=data, chunks=(4, 2), fill_value=0)
    array.attrs.update(conversion=0.5, offset=1.0, unit="dF/F", resolution=-1.0)
    array.attrs["_ARRAY_DIMENSIONS"] = ["num_times", "num_ROIs"]
    region = group.create_array("rois", data=np.array([0, 2, 3]), fill_value=0)
    region.attrs["table"] = {"value": {"path": f"/{TABLE}", "source": "."}, "zarr_dtype": "object"}
    if rate is not None:
        start = group.create_array("starting_time", data=np.zeros(1))
        start.attrs.update(rate=rate, unit="seconds")
    if times is not None:
        group.create_array("timestamps", data=np.asarray(times, dtype=float), fill_value=0.0)
    return group


def test_a_series_is_in_units_with_labels_and_positions(path):
    found = read(path)
    np.testing.assert_array_equal(found.values, np.arange(30).reshape(10, 3) * 0.5 + 1)
    assert (found.units, found.rate) == ("dF/F", 30.0)
    assert found.labels == ("N0", "N2", "N3")
    np.testing.assert_array_equal(found.positions, [[0, 1], [2, 3], [3, 4]])


def test_a_linked_table_is_followed(path):
    root = zarr.open_group(path, mode="a")
    other = series(root, "processing/ophys/Fluorescence/other", times=np.arange(10) / 5)
    link = {"name": "rois", "path": f"/{SERIES}/rois", "source": "."}
    other.attrs["zarr_link"] = [link]
    del other["rois"]
    found = read(path, series="processing/ophys/Fluorescence/other")
    np.testing.assert_array_equal(found.times, np.arange(10) / 5)
    assert found.labels == ("N0", "N2", "N3")
    assert len(names(path)) == 2


def test_rois_along_axis_0_and_square_arrays(path):
    root = zarr.open_group(path, mode="a")
    turned, square = np.arange(15).reshape(3, 5), np.arange(9).reshape(3, 3)
    series(root, "acquisition/turned", turned, rate=1.0)
    series(root, "acquisition/square", square, rate=1.0)
    found = read(path, series="acquisition/turned")
    np.testing.assert_array_equal(found.values, turned.T * 0.5 + 1)
    with pytest.raises(RecordingError, match=r"set source\.axes"):
        read(path, series="acquisition/square")


@pytest.mark.quick(1)
@pytest.mark.parametrize(
    ("about", "words"),
    [
        ({"rate": 3.0, "times": np.arange(10)}, "both a rate, 3 Hz, and timestamps"),
        ({"rate": 0.0}, "a rate of 0 Hz"),
        ({"times": [0, 1, 2, 2, 4, 5, 6, 7, 8, 9]}, "do not rise: 2 s at frame 2, then 2 s"),
    ],
)
def test_times_that_contradict_themselves_are_refused(path, about, words):
    series(zarr.open_group(path, mode="a"), "acquisition/bad", **about)
    with pytest.raises(RecordingError, match=words):
        read(path, series="acquisition/bad")


def test_zarr_alone_cannot_open_its_dates(path):
    """Else the tests above would not see the bytes at which zarr 3 stops."""
    with pytest.raises(TypeError, match="Expected a string"):
        zarr.open_array(path / "session_start_time", mode="r")


def test_a_table_of_trials_parts_the_frames(path):
    """Frames 30 a second; the first and last trial leave frames beside them."""
    table = zarr.open_group(path, mode="a").create_group("intervals/trials")
    table.attrs.update(neurodata_type="TimeIntervals", namespace="hdmf-common")
    table.create_array("start_time", data=np.array([2.0, 5.0]) / 30 - 0.01)
    table.create_array("stop_time", data=np.array([4.0, 8.0]) / 30 - 0.01)
    found = read(path, segment="intervals/trials").segments.tolist()
    words = ["before the trials", "trial 0", "after trial 0", "trial 1", "after trial 1"]
    assert found == [word for word, n in zip(words, (2, 2, 1, 3, 2), strict=True) for _ in range(n)]

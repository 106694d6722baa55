"""NWB in HDF5, written by pynwb: units, orientation, times and labels as they really are."""

import gc
import sys
import warnings
from datetime import UTC, datetime

import h5py
import numpy as np
import pytest
from reading import names, read

from ngpipe.errors import RecordingError

pynwb = pytest.importorskip("pynwb")

SERIES = "processing/ophys/Fluorescence/roi"


def new_file():
    return pynwb.NWBFile("a session", "1", datetime(2026, 1, 1, tzinfo=UTC))


def table_of(nwb, n, *, letters=False):
    """A table of `n` ROIs, each one pixel, named N0, N1, ...; with an optical plane as needed."""
    device = nwb.create_device("microscope")
    channel = pynwb.ophys.OpticalChannel(name="c", description="c", emission_lambda=500.0)
    plane = nwb.create_imaging_plane(
        name="plane",
        optical_channel=channel,
        description="one plane",
        device=device,
        excitation_lambda=600.0,
        indicator="GCaMP",
        location="head",
    )
    segmentation = pynwb.ophys.ImageSegmentation()
    rois = segmentation.create_plane_segmentation("rois", plane, "rois")
    if letters:
        rois.add_column("label", "name of the neuron", index=True)
    else:
        rois.add_column("label", "name of the neuron")
    for k in range(n):
        label = list(f"N{k}") if letters else f"N{k}"
        rois.add_roi(pixel_mask=[(k, 2 * k, 1.0), (k + 2, 2 * k, 3.0)], label=label)
    module = nwb.create_processing_module("ophys", "o")
    module.add(segmentation)
    traces = pynwb.ophys.Fluorescence()
    module.add(traces)
    return rois, traces


def write(path, data, rows, *, letters=False, unit="dF/F", more=(), **options):
    """A RoiResponseSeries of the ROIs `rows` of a table."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of shapes and rates that these tests get wrong
        nwb = new_file()
        rois, traces = table_of(nwb, max(rows) + 1, letters=letters)
        region = rois.create_roi_table_region("seen", region=list(rows))
        traces.create_roi_response_series(name="roi", data=data, rois=region, unit=unit, **options)
        for one in more:
            nwb.add_acquisition(one)
        with pynwb.NWBHDF5IO(path, "w") as io:
            io.write(nwb)
    return path


def edited(path, change):
    with h5py.File(path, "r+") as file:
        change(file[SERIES])
    return path


def test_values_are_in_units(tmp_path):
    """data * conversion + offset, as pynwb's own get_data_in_units says."""
    data = np.arange(30, dtype=np.int16).reshape(10, 3)
    path = write(tmp_path / "a.nwb", data, range(3), rate=30.0, conversion=0.5, offset=-2.0)
    found = read(path)
    np.testing.assert_allclose(found.values, data * 0.5 - 2)
    with pynwb.NWBHDF5IO(path, "r") as io:
        meant = io.read().processing["ophys"]["Fluorescence"]["roi"].get_data_in_units()
    np.testing.assert_allclose(found.values, meant)
    assert (found.units, found.rate, found.times) == ("dF/F", 30.0, None)
    assert any("data * 0.5 + -2" in note for note in found.notes)


def test_channels_have_their_own_conversion(tmp_path, rng):
    nwb = new_file()
    device = nwb.create_device("probe")
    group = nwb.create_electrode_group("g", "g", "here", device)
    for k in range(3):
        nwb.add_electrode(x=k * 1.0, y=2.0, z=3.0, group=group, location="here")
    data, each = rng.normal(size=(8, 2)), np.array([1.0, 10.0])
    electrodes = nwb.create_electrode_table_region([0, 2], "seen")
    made = pynwb.ecephys.ElectricalSeries(
        name="lfp",
        data=data,
        electrodes=electrodes,
        rate=5.0,
        channel_conversion=each,
        conversion=2.0,
    )
    nwb.add_acquisition(made)
    with pynwb.NWBHDF5IO(tmp_path / "a.nwb", "w") as io:
        io.write(nwb)
    found = read(tmp_path / "a.nwb")
    np.testing.assert_allclose(found.values, data * 2 * each)
    assert found.units == "volts"
    np.testing.assert_array_equal(found.positions, [[0, 2, 3], [2, 2, 3]])


@pytest.mark.quick(1)
@pytest.mark.parametrize("letters", [False, True])
def test_labels_and_positions_are_those_of_the_rows(tmp_path, rng, letters):
    """With index=True a text lies letter by letter; both ways it is one label."""
    path = write(tmp_path / "a.nwb", rng.normal(size=(9, 2)), [1, 12], rate=1.0, letters=letters)
    found = read(path)
    assert found.labels == ("N1", "N12")
    np.testing.assert_allclose(found.positions, [[2.5, 2], [13.5, 24]])
    assert read(path, labels="id").labels == ("1", "12")


def test_rois_along_axis_0_are_turned_round_and_told(tmp_path, rng):
    values = rng.normal(size=(3, 9))
    found = read(write(tmp_path / "a.nwb", values, range(3), rate=1.0))
    np.testing.assert_array_equal(found.values, values.T)
    assert any("against the rules of NWB, as there are 3 neurons" in n for n in found.notes)


@pytest.mark.quick(1)
@pytest.mark.parametrize("axes", [None, "time_neuron", "neuron_time"])
def test_a_square_array_needs_the_config(tmp_path, rng, axes):
    values = rng.normal(size=(4, 4))
    path = write(tmp_path / "a.nwb", values, range(4), rate=1.0)
    if axes is None:
        with pytest.raises(RecordingError, match=r"shape \(4, 4\).*set source\.axes"):
            read(path)
    else:
        meant = values if axes == "time_neuron" else values.T
        np.testing.assert_array_equal(read(path, axes=axes).values, meant)


def test_axes_against_the_file_are_refused(tmp_path, rng):
    path = write(tmp_path / "a.nwb", rng.normal(size=(9, 3)), range(3), rate=1.0)
    with pytest.raises(RecordingError, match=r"neuron_time, but the file says.*time_neuron"):
        read(path, axes="neuron_time")


def test_a_table_that_fits_neither_axis_is_refused(tmp_path, rng):
    path = write(tmp_path / "a.nwb", rng.normal(size=(9, 3)), range(4), rate=1.0)
    with pytest.raises(RecordingError, match=r"shape \(9, 3\).*its table of 4 neurons"):
        read(path)


def both(series):
    series["timestamps"] = np.arange(9) / 30
    series["timestamps"].attrs.update(interval=1, unit="seconds")


def unsorted(series):
    series["timestamps"][3] = 0.0


def no_rate(series):
    series["starting_time"].attrs["rate"] = 0.0


@pytest.mark.quick(1)
@pytest.mark.parametrize(
    ("options", "change", "words"),
    [
        ({"rate": 30.0}, both, "has both a rate, 30 Hz, and timestamps"),
        ({"timestamps": np.arange(9) / 30}, unsorted, "timestamps that do not rise: .* at frame 2"),
        ({"rate": 30.0}, no_rate, "has a rate of 0 Hz, expected one above 0"),
    ],
)
def test_times_that_contradict_themselves_are_refused(tmp_path, rng, options, change, words):
    path = write(tmp_path / "a.nwb", rng.normal(size=(9, 3)), range(3), **options)
    with pytest.raises(RecordingError, match=words):
        read(edited(path, change))


def test_timestamps_are_kept_with_their_gaps(tmp_path, rng):
    times = np.delete(np.arange(10) / 10, 4)
    path = write(tmp_path / "a.nwb", rng.normal(size=(9, 3)), range(3), timestamps=times)
    found = read(path)
    np.testing.assert_array_equal(found.times, times)
    assert found.rate is None


def test_one_of_several_series_is_named_by_its_path(tmp_path, rng):
    other = rng.normal(size=(7, 2))
    made = pynwb.TimeSeries(name="pupil", data=other, unit="m", rate=3.0)
    speed = pynwb.TimeSeries(name="speed", data=other[:, 0], unit="m/s", rate=3.0)
    path = write(
        tmp_path / "a.nwb", rng.normal(size=(9, 3)), range(3), rate=1.0, more=[made, speed]
    )
    assert sorted(names(path)) == ["acquisition/pupil", SERIES]
    with pytest.raises(RecordingError, match=r"holds several series.*set source\.series"):
        read(path)
    np.testing.assert_array_equal(read(path, series="acquisition/pupil").values, other)


@pytest.mark.quick(1)
@pytest.mark.parametrize("unit", ["n.a.", "unknown"])
def test_a_unit_that_says_nothing_is_none(tmp_path, rng, unit):
    path = write(tmp_path / "a.nwb", rng.normal(size=(9, 3)), range(3), rate=1.0, unit=unit)
    assert read(path).units is None


def test_the_file_is_closed_after_use(tmp_path, rng):
    """pynwb leaves it open when forgotten, and then it cannot be opened for appending."""
    path = write(tmp_path / "a.nwb", rng.normal(size=(9, 3)), range(3), rate=1.0)
    read(path)
    gc.collect()
    h5py.File(path, "a").close()


def test_without_pynwb_the_extra_is_named(tmp_path, rng, monkeypatch):
    path = write(tmp_path / "a.nwb", rng.normal(size=(9, 3)), range(3), rate=1.0)
    monkeypatch.setitem(sys.modules, "pynwb", None)
    with pytest.raises(RecordingError, match=r"pynwb, which is not installed.*ngpipe\[nwb\]"):
        read(path)


def test_a_damaged_file_is_told(tmp_path):
    with h5py.File(tmp_path / "a.nwb", "w") as file:
        file.attrs["nwb_version"] = "2.8.0"
    with pytest.raises(RecordingError, match="cannot be read by pynwb"):
        read(tmp_path / "a.nwb")


def test_positions_are_centres_of_image_masks(tmp_path, rng):
    nwb = new_file()
    rois, traces = table_of(nwb, 1)
    plane = rois.imaging_plane
    masks = rng.random((3, 5, 4)) * (rng.random((3, 5, 4)) < 0.5)
    images = pynwb.ophys.PlaneSegmentation(name="images", description="i", imaging_plane=plane)
    for mask in masks:
        images.add_roi(image_mask=mask)
    nwb.processing["ophys"]["ImageSegmentation"].add_plane_segmentation(images)
    region = images.create_roi_table_region(description="seen", region=[0, 2])
    made = {"data": rng.normal(size=(9, 2)), "rois": region, "unit": "dF/F", "rate": 1.0}
    traces.create_roi_response_series(name="roi", **made)
    with pynwb.NWBHDF5IO(tmp_path / "a.nwb", "w") as io:
        io.write(nwb)
    found = read(tmp_path / "a.nwb").positions
    x, y = np.arange(5)[:, None], np.arange(4)
    wanted = [[(m * x).sum() / m.sum(), (m * y).sum() / m.sum()] for m in masks[[0, 2]]]
    np.testing.assert_allclose(found, wanted)


@pytest.fixture
def with_trials(tmp_path, rng):
    """20 frames at 10 Hz; a table of two trials, not in order, the first from 0.3 to 0.8 s."""
    nwb = new_file()
    nwb.add_acquisition(
        pynwb.TimeSeries(name="a", data=rng.normal(size=(20, 3)), unit="dF/F", rate=10.0)
    )
    for start, stop in ((1.2, 1.6), (0.3, 0.8)):
        nwb.add_trial(start_time=start, stop_time=stop)
    nwb.add_epoch(start_time=0.0, stop_time=1.0, tags=["one"])
    nwb.add_epoch(start_time=0.5, stop_time=1.5, tags=["two"])
    nwb.add_invalid_time_interval(start_time=50.0, stop_time=60.0)
    with pynwb.NWBHDF5IO(tmp_path / "t.nwb", "w") as io:
        io.write(nwb)
    return tmp_path / "t.nwb"


def test_a_table_of_trials_parts_the_frames(with_trials):
    found = read(with_trials, segment="intervals/trials").segments.tolist()
    words = ["before the trials", "trial 1", "after trial 1", "trial 0", "after trial 0"]
    assert found == [word for word, n in zip(words, (3, 5, 4, 4, 4), strict=True) for _ in range(n)]


def test_tables_that_part_no_frames_are_refused(with_trials):
    with pytest.raises(RecordingError, match=r"trials of 'intervals/epochs' overlap.*0 to 1 s"):
        read(with_trials, segment="intervals/epochs")
    with pytest.raises(RecordingError, match=r"no frame, from 0 to 1\.9 s, lies in a trial"):
        read(with_trials, segment="intervals/invalid_times")


def test_links_to_other_files_are_followed_and_told(tmp_path, rng):
    data, manager = rng.normal(size=(20, 3)), pynwb.get_manager()
    nwb, other = new_file(), new_file()
    nwb.add_acquisition(pynwb.TimeSeries(name="s", data=data, unit="dF/F", rate=10.0))
    with pynwb.NWBHDF5IO(tmp_path / "raw.nwb", "w") as io:
        io.write(nwb)
    with pynwb.NWBHDF5IO(tmp_path / "raw.nwb", "r", manager=manager) as io:
        linked = io.read().acquisition["s"].data
        other.add_acquisition(pynwb.TimeSeries(name="l", data=linked, unit="dF/F", rate=10.0))
        with pynwb.NWBHDF5IO(tmp_path / "b.nwb", "w", manager=manager) as out:
            out.write(other, link_data=True)
    found = read(tmp_path / "b.nwb")
    np.testing.assert_array_equal(found.values, data)
    assert any("raw.nwb, to which b.nwb links" in note for note in found.notes)
    assert not any("links" in note for note in read(tmp_path / "raw.nwb").notes)

"""Stimuli and behaviour are sampled at the frames as the config says, and never otherwise."""

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from ngpipe.acquisition.formats import table
from ngpipe.acquisition.joined import joined
from ngpipe.acquisition.recorded_inputs import sampled
from ngpipe.config.assembly.source import Recorded, RecordedInput
from ngpipe.errors import RecordingError

FRAMES = 20


@pytest.fixture
def at_frames(tmp_path):
    """at_frames(input, ..., sessions=1) -> what is sampled beside 20 frames at 10 Hz a session."""

    def run(*inputs, sessions=1):
        files = tuple(str(tmp_path / f"activity{k}.npy") for k in range(sessions))
        for file in files:
            np.save(file, np.random.default_rng(0).normal(size=(FRAMES, 3)))
        source = Recorded(files=files, axes="time_neuron", rate=10)
        opened = [table.opened(tmp_path / f, source) for f in files]
        series = [one.__enter__() for one in opened]
        return sampled(
            [RecordedInput(units="1", **keys) for keys in inputs], joined(series, source)
        )

    return run


@pytest.fixture
def slow(tmp_path):
    """Speed and light every 0.5 s from 0.25 s on, in a table with times in ms."""
    t = 250 + 500 * np.arange(4)
    pd.DataFrame({"ms": t, "speed": t / 100.0, "light": [0, 1, 1, 0]}).to_csv(
        tmp_path / "behaviour.csv", index=False
    )
    return {"files": [str(tmp_path / "behaviour.csv")], "time": "ms", "time_unit": "ms"}


TIMES = np.arange(FRAMES) / 10


def test_held_values_are_those_of_the_last_sample(at_frames, slow):
    found = at_frames(slow | {"between": "held"})
    assert found.names == ("behaviour.speed", "behaviour.light")
    last = np.floor((TIMES - 0.25) / 0.5)
    expected = np.where(last < 0, np.nan, 2.5 + 5 * last)
    np.testing.assert_allclose(found.values[:, 0], expected)
    assert "held between samples 0.5 s apart" in found.notes[0]
    assert "3 frames have no value" in found.notes[0]


def test_linear_values_end_with_the_samples(at_frames, slow):
    found = at_frames(slow | {"between": "linear", "columns": ["speed"], "name": "v"})
    assert found.names == ("v",)
    inside = (TIMES >= 0.25) & (TIMES <= 1.75)
    np.testing.assert_allclose(found.values[inside, 0], 10 * TIMES[inside])
    assert np.isnan(found.values[~inside]).all()


def test_a_column_that_is_named_gives_its_name(at_frames, slow):
    found = at_frames(slow | {"between": "held", "columns": ["light"]})
    assert found.names == ("behaviour.light",)


def test_nothing_is_sampled_unasked(at_frames, slow):
    with pytest.raises(RecordingError, match=r"4 samples.*20 frames.*set between: held or linear"):
        at_frames(slow)


def test_a_sample_at_each_frame_needs_no_times(at_frames, tmp_path):
    np.save(tmp_path / "pupil.npy", np.arange(FRAMES))
    found = at_frames({"files": [str(tmp_path / "pupil.npy")], "series": "pupil"})
    np.testing.assert_array_equal(found.values[:, 0], np.arange(FRAMES))
    assert found.names == ("pupil",)
    assert found.notes[0].endswith("a sample at each frame")


def test_samples_that_are_as_many_as_frames_but_elsewhere_are_not_taken_for_theirs(
    at_frames, tmp_path
):
    pd.DataFrame({"t": TIMES + 0.07, "u": TIMES}).to_csv(tmp_path / "u.csv", index=False)
    keys = {"files": [str(tmp_path / "u.csv")], "time": "t"}
    with pytest.raises(RecordingError, match=r"times from 0\.07"):
        at_frames(keys)
    assert np.isfinite(at_frames(keys | {"between": "linear"}).values).sum() == FRAMES - 1


def test_each_session_has_its_own_file(at_frames, tmp_path):
    files = [str(tmp_path / f"u{k}.npy") for k in range(2)]
    for k, file in enumerate(files):
        np.save(file, np.full((FRAMES, 2), k))
    keys = {"axes": "time_neuron", "name": "u"}
    found = at_frames({"files": files, **keys}, sessions=2)
    np.testing.assert_array_equal(found.values[:, 0], np.repeat([0, 1], FRAMES))
    assert found.names == ("u.0", "u.1")
    with pytest.raises(RecordingError, match="1 files for 2 sessions"):
        at_frames({"files": files[:1], **keys}, sessions=2)


def test_mistakes_are_named(at_frames, slow, tmp_path):
    with pytest.raises(RecordingError, match=r"no column \['sped'\].*did you mean 'speed'"):
        at_frames(slow | {"between": "held", "columns": ["sped"]})
    with pytest.raises(RecordingError, match="no value at any frame"):
        at_frames(slow | {"between": "held", "time_unit": "s"})
    with pytest.raises(RecordingError, match=r"\['behaviour\.speed'.*name several inputs"):
        at_frames(*[slow | {"between": "held"}] * 2)
    np.save(tmp_path / "u.npy", np.arange(3.0))
    with pytest.raises(RecordingError, match=r"nobody says the times.*rate"):
        at_frames({"files": [str(tmp_path / "u.npy")], "series": "u", "between": "held"})
    with pytest.raises(RecordingError, match="no series 'v'"):
        at_frames({"files": [str(tmp_path / "u.npy")], "series": "v"})


def test_a_trace_of_nwb_keeps_its_unit_and_its_start(tmp_path):
    pynwb = pytest.importorskip("pynwb")
    nwb = pynwb.NWBFile("s", "1", datetime(2026, 1, 1, tzinfo=UTC))
    activity = np.random.default_rng(0).normal(size=(FRAMES, 3))
    nwb.add_acquisition(pynwb.TimeSeries(name="a", data=activity, unit="dF/F", rate=10.0))
    speed = {"unit": "cm/s", "conversion": 0.5, "rate": 5.0, "starting_time": 0.4}
    nwb.add_acquisition(pynwb.TimeSeries(name="speed", data=np.arange(8), **speed))
    path = str(tmp_path / "a.nwb")
    with pynwb.NWBHDF5IO(path, "w") as io:
        io.write(nwb)
    source = Recorded(files=(path,))
    with table.opened(tmp_path / "a.nwb", source) as series:
        cfg = RecordedInput(series="acquisition/speed", between="held")
        found = sampled([cfg], joined([series], source))
    assert (found.names, found.units) == (("speed",), ("cm/s",))
    last = np.floor((TIMES - 0.4 + 1e-9) / 0.2)
    np.testing.assert_allclose(
        found.values[:, 0], np.where(last < 0, np.nan, 0.5 * np.minimum(last, 7))
    )

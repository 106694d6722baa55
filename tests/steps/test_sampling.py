"""`dt`, `time` and `segment` are held against one another before anything is learned."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from ngpipe.artifacts import sampling
from ngpipe.errors import StoreError

HERE = Path("recording.zarr")
N = 50


def recorded(dt: object = 0.1, time: object = None, segment: object = None) -> xr.Dataset:
    coords = {} if time is None else {"time": np.asarray(time)}
    if segment is not None:
        coords["segment"] = ("time", np.asarray(segment))
    return xr.Dataset(
        {"activity": (("time", "neuron"), np.zeros((N, 3)))}, coords=coords, attrs={"dt": dt}
    )


@pytest.mark.parametrize(
    "dt",
    ["0.01", "0.01 s", [0.01], np.array([0.01]), 0, -0.1, np.nan, np.inf, True, None, 1j],
    ids=repr,
)
def test_an_interval_that_is_no_positive_number_is_named_beside_the_spacing(dt):
    with pytest.raises(StoreError, match=r"`dt`.*typical spacing of its `time` is 0\.1"):
        sampling.breaks(recorded(dt, 0.1 * np.arange(N)), HERE)
    with pytest.raises(StoreError, match=r"`dt`"):
        sampling.breaks(recorded(dt), HERE)


@pytest.mark.parametrize("dt", [0.1, np.float32(0.1), np.float64(0.1)])
def test_a_number_of_any_kind_is_an_interval(dt):
    assert sampling.interval(recorded(dt), HERE) == pytest.approx(0.1)
    assert sampling.interval(recorded(2), HERE) == 2.0


def uneven(**attrs: object) -> xr.Dataset:
    """Frames at 0.07, 0.1 and 0.13 in turn, with one of 0.3 and one of 0.04."""
    steps = np.resize([0.07, 0.1, 0.13], N - 1)
    steps[20], steps[30] = 0.3, 0.04
    return recorded(0.1, np.append(0, np.cumsum(steps))).assign_attrs(attrs)


def test_measured_intervals_are_those_of_the_times():
    found = uneven(intervals="measured")
    assert np.flatnonzero(sampling.breaks(found, HERE)).tolist() == [20, 30]
    np.testing.assert_allclose(sampling.steps(found, HERE)[:3], [0.07, 0.1, 0.13])
    np.testing.assert_allclose(sampling.spread(found, HERE), [0.07, 0.1, 0.13])
    narrow = uneven(intervals="measured", jitter=0.2)
    assert sampling.breaks(narrow, HERE).mean() > 0.6
    assert sampling.steps(recorded(0.1, 0.1 * np.arange(N)), HERE) is None


def test_measured_intervals_need_times_that_rise():
    with pytest.raises(StoreError, match=r"source\.intervals: measured"):
        sampling.breaks(uneven(), HERE)
    falling = uneven(intervals="measured")
    falling = falling.assign_coords(time=falling["time"] - 0.2 * (np.arange(N) > 9))
    with pytest.raises(StoreError, match="from frame 9 to the next"):
        sampling.breaks(falling, HERE)
    with pytest.raises(StoreError, match="no `time` of its frames"):
        sampling.breaks(recorded(0.1).assign_attrs(intervals="measured"), HERE)
    with pytest.raises(StoreError, match="expected 'even' or 'measured'"):
        sampling.breaks(uneven(intervals="odd"), HERE)


@pytest.mark.parametrize(
    ("dt", "time"),
    [
        (0.1, 0.1 * np.arange(N)),
        (0.1, 1e6 + 0.1 * np.arange(N)),
        (0.1, (0.1 * np.arange(N)).astype("float32")),
        (0.1, 0.1 * np.arange(N) + 0.002 * np.sin(np.arange(N))),
        (0.01, (3000 + 0.01 * np.arange(N)).astype("float32")),
        (2, 2 * np.arange(N)),
        (0.1, pd.to_timedelta(0.1 * np.arange(N), unit="s").values),
        (0.1, pd.date_range("2026-01-01", periods=N, freq="100ms").values),
        (0.0333, np.arange(N) / 30),
        (0.1, None),
    ],
    ids=["plain", "late", "single", "jitter", "coarse", "whole", "since", "dates", "rounded", "no"],
)
def test_times_that_agree_are_one_stretch(dt, time):
    assert not sampling.breaks(recorded(dt, time), HERE).any()


@pytest.mark.parametrize(
    ("dt", "time", "words"),
    [
        (0.01, np.arange(N) / 30, r"`dt` is 0\.01, but its `time` goes on by 0\.0333"),
        (0.1, 0.1 * np.arange(N)[::-1], r"`dt` is 0\.1, but its `time` goes on by -0\.1"),
        (0.25, pd.to_timedelta(np.arange(N), unit="ms").values, r"0\.25, but .* by 0\.001"),
        (0.1, np.zeros(N), r"goes on by 0 from"),
        (0.1, np.where(np.arange(N) == 7, np.nan, 0.1 * np.arange(N)), "no value at frame 7"),
        (0.1, np.arange(N).astype(str), "values like"),
        (0.1, np.arange(N) * 0.1j, "values like"),
        (0.1, np.delete(0.1 * np.arange(N + 1), 9)[np.r_[:20, 19, 21:N]], "goes on by 0 from"),
        (0.1, 0.1 * np.arange(N) + 0.03 * (np.arange(N) == 30), r"frame 30 to the next.*1 such"),
    ],
    ids=["other", "back", "units", "zero", "nan", "text", "complex", "twice", "jitter"],
)
def test_times_that_contradict_are_refused(dt, time, words):
    with pytest.raises(StoreError, match=words):
        sampling.breaks(recorded(dt, time), HERE)


@pytest.mark.parametrize("dates", [False, True])
def test_a_gap_is_a_break_where_it_is(dates):
    time = np.arange(N) + 20.0 * (np.arange(N) >= 30)
    if dates:
        time = pd.Timestamp("2026-01-01") + pd.to_timedelta(time, unit="s")
    found = sampling.breaks(recorded(1.0, time), HERE)
    assert np.flatnonzero(found).tolist() == [29]


@pytest.mark.parametrize("labels", [np.repeat([1, 2], N // 2), np.repeat(["a", "b"], N // 2)])
def test_trials_are_stretches_whether_or_not_time_begins_anew(labels):
    for time in (None, 0.1 * np.arange(N), 0.1 * np.tile(np.arange(N // 2), 2)):
        found = sampling.breaks(recorded(0.1, time, labels), HERE)
        assert np.flatnonzero(found).tolist() == [N // 2 - 1]


def test_every_frame_is_of_some_trial():
    labels = np.repeat([1.0, 2.0], N // 2)
    labels[11] = np.nan
    with pytest.raises(StoreError, match=r"`segment` has no value at 1 frames.*frame 11"):
        sampling.breaks(recorded(0.1, None, labels), HERE)

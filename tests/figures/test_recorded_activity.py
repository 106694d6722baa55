"""Activity of recordings: gaps, restarts, units, spectra."""

import numpy as np
import pytest
import xarray as xr
from drawing import axes_of, texts
from synthetic import N, T, material

from ngpipe.config.figures import Panel
from ngpipe.errors import StoreError
from ngpipe.figures.assembly.stretches import stretches
from ngpipe.figures.drawing import compose


def recording(time: np.ndarray, activity: np.ndarray | None = None, **coords) -> xr.Dataset:
    values = np.zeros((len(time), 2)) if activity is None else activity
    return xr.Dataset(
        {"activity": (("time", "neuron"), values, {"units": "mV"})},
        coords={"time": ("time", time, {"units": "tau"}), **coords},
        attrs={"dt": 0.1, "tau_seconds": 0.5, "rate_hz": 20.0},
    )


def test_a_short_gap_keeps_its_width_and_a_long_one_is_cut():
    time = 0.1 * np.r_[0:500, 510:600, 5000:5400]
    first, second, third = stretches(recording(time), len(time), unit=0.5)
    assert [p.frames for p in (first, second, third)] == [
        slice(0, 500),
        slice(500, 590),
        slice(590, 990),
    ]
    assert [p.cut for p in (first, second, third)] == [False, False, True]
    assert second.time[0] - first.time[-1] == pytest.approx(0.5 * 1.1)
    cut = third.time[0] - second.time[-1]
    assert 0 < cut < 0.05 * third.time[-1]
    assert third.time[-1] - third.time[0] == pytest.approx(0.5 * 39.9)


def test_sessions_that_restart_time_are_laid_out_one_after_another():
    time = np.tile(0.1 * np.arange(50), 3)
    session = np.repeat([0, 1, 2], 50)
    parts = stretches(recording(time, session=("time", session)), len(time))
    assert [part.cut for part in parts] == [False, True, True]
    everything = np.concatenate([part.time for part in parts])
    assert (np.diff(everything) > 0).all()


def test_trials_without_a_gap_are_not_cut():
    time = 0.1 * np.arange(100)
    parts = stretches(recording(time, segment=("time", np.arange(100) // 50)), 100)
    assert [part.cut for part in parts] == [False, False]
    assert parts[1].time[0] - parts[0].time[-1] == pytest.approx(0.1)


def test_no_line_is_drawn_over_a_gap_and_time_is_in_seconds():
    time = 0.1 * np.r_[0:400, 450 : T + 50]
    rng = np.random.default_rng(1)
    data = recording(time, rng.normal(size=(len(time), N)).cumsum(0))
    spec = Panel(kind="activity", of="e", neurons=5)
    ax = axes_of(material("activity", simulation=data, spec=spec))
    traces = [line for line in ax.lines if len(line.get_xdata()) > 2]
    assert len(traces) == 2 * 5
    assert max(np.diff(line.get_xdata()).max() for line in traces) < 0.06
    assert ax.get_xlim()[1] == pytest.approx(0.5 * time[-1])
    assert ax.get_xlabel() == "time [s]"
    assert any("mV" in t.get_text() for t in ax.texts)


def test_neurons_of_very_different_baselines_are_drawn_beside_one_another():
    rng = np.random.default_rng(1)
    values = rng.normal(size=(T, N)) + 1e4 * np.arange(N)
    data = recording(0.1 * np.arange(T), values)
    ax = axes_of(material("activity", simulation=data))
    height = ax.get_ylim()[1] - ax.get_ylim()[0]
    assert height < 200


@pytest.mark.parametrize("gap", [0, 200])
def test_white_noise_has_the_level_that_the_store_tells(gap):
    """2 s^2 dt at every frequency, whether there are gaps or not."""
    rng = np.random.default_rng(0)
    frames = np.r_[0:4000, 4000 + gap : 8000 + gap]
    data = recording(0.1 * frames, 0.3 * rng.normal(size=(8000, 20)))
    data["activity_noise"] = ("neuron", np.full(20, 0.3))
    ax = axes_of(material("spectrum", simulation=data))
    median, level = ax.lines
    assert level.get_ydata()[0] == pytest.approx(2 * 0.3**2 * 0.05)
    np.testing.assert_allclose(median.get_ydata(), level.get_ydata()[0], rtol=0.25)
    assert ax.get_xlabel() == "frequency [Hz]"
    assert "(mV)²/Hz" in ax.get_ylabel()
    assert any("noise" in t.get_text() for t in texts(ax.figure))


def test_a_filter_that_lets_nothing_pass_does_not_stretch_the_spectrum():
    """The sum of two neighbours has no power at the highest frequency."""
    noise = np.random.default_rng(0).normal(size=(8001, 5))
    data = recording(0.1 * np.arange(8000), noise[1:] + noise[:-1])
    data["rate"] = data["activity"]
    ax = axes_of(material("spectrum", simulation=data))
    lowest = ax.collections[0].get_paths()[0].vertices[:, 1].min()
    assert lowest < 1e-4
    assert 1e-3 < ax.get_ylim()[0] < 1e-2 * np.median(ax.lines[0].get_ydata())
    assert ax.get_title(loc="left") == "spectrum of estimated activity"


def test_a_missing_value_parts_a_stretch_and_too_short_ones_are_refused():
    values = np.random.default_rng(0).normal(size=(100, 4))
    values[::10, 1] = np.nan
    data = recording(0.1 * np.arange(100), values)
    with pytest.raises(StoreError, match=r"9 frames, fewer than the 16"):
        compose.panel_figure(material("spectrum", simulation=data))


def test_neurons_that_a_session_lacks_are_left_out_of_its_part_alone():
    """One neuron is ten times as loud in the session that has it."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(4000, 3)) * [1.0, 1.0, 10.0]
    values[:2000, 2], values[2000:, 0] = np.nan, np.nan
    session = ("time", np.arange(4000) // 2000)
    data = recording(0.1 * np.arange(4000), values, session=session)
    ax = axes_of(material("spectrum", simulation=data))
    (median,) = ax.lines
    np.testing.assert_allclose(median.get_ydata().mean(), 2 * 0.05, rtol=0.2)
    top = ax.collections[0].get_paths()[0].vertices[:, 1].max()
    assert top > 2 * 0.05 * 20

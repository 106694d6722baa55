"""A recording whose frames come at uneven times: W as well as from even ones, through all steps."""

from functools import cache

import numpy as np
import pytest
import torch
import xarray as xr

import ngpipe
from ngpipe import store
from ngpipe.config.assembly.recovery import Recovery
from ngpipe.config.assembly.source import Recorded
from ngpipe.config.assembly.training import Training
from ngpipe.config.load import validate
from ngpipe.errors import ConfigError, StoreError
from ngpipe.schemas import assembly as schemas
from ngpipe.steps import import_, inspect, recover, rollout, train

KEY, CPU = "k" * 64, torch.device("cpu")
N, FRAMES, FINE, EVERY, SHORT = 8, 6_000, 0.005, 10, 9
OFF = ~np.eye(N, dtype=bool)


@cache
def fine() -> tuple[np.ndarray, np.ndarray]:
    """Activity in steps that are far shorter than an interval, and W."""
    rng = np.random.default_rng(3)
    weights = 3 * rng.normal(size=(N, N)) / np.sqrt(N)
    np.fill_diagonal(weights, 0)
    x, found = rng.normal(size=N), []
    for _ in range(FRAMES * EVERY):
        found.append(x)
        x = x + FINE * (-x + weights @ np.tanh(x)) + 0.4 * FINE**0.5 * rng.normal(size=N)
    return np.array(found), weights


def recorded(*, uneven: bool) -> tuple[np.ndarray, np.ndarray]:
    """Activity and times of frames, of which two in five come 13 steps after the last, others 9."""
    activity, _ = fine()
    own = np.where(np.random.default_rng(4).random(FRAMES - 1) < 0.4, 13, SHORT)
    steps = own if uneven else np.full(FRAMES - 1, EVERY)
    at = np.append(0, np.cumsum(steps))
    at = at[at < len(activity)]
    return activity[at], FINE * at


def source(directory, *, uneven: bool, taken_for_even: bool = False, **more) -> Recorded:
    activity, time = recorded(uneven=uneven)
    path = directory / "day1.npz"
    time = FINE * SHORT * np.arange(len(time)) if taken_for_even else time
    np.savez(path, x=activity, t=time)
    return Recorded(files=[str(path)], series="x", axes="time_neuron", time="t", units="1", **more)


def training(target: str = "finite_difference") -> Training:
    settings = {"psi_basis": 16, "phi_basis": 8, "fine_basis": 16, "ridges": [1e-4, 1e-8]}
    keys = {"solver": "closed_form", "target": target, "held_out": 0.1}
    keys["closed_form"] = {**settings, "distil_steps": 100}
    return validate(keys, Training, where="training")


def r2_and_slope(
    directory, made: Recorded, target: str = "finite_difference"
) -> tuple[float, float]:
    """Of W, after import, training and recovery."""
    import_.run(made, directory, key=KEY)
    cfg = training(target)
    train.run(cfg, directory, key=KEY, device=CPU, checkpoints=directory / "checkpoints")
    recover.run(Recovery(), cfg, directory, key=KEY, device=CPU)
    found = store.read(directory / "recovery.zarr", schemas.RECOVERY)["connectivity"].values[OFF]
    true = fine()[1][OFF]
    return float(np.corrcoef(found, true)[0, 1] ** 2), float(np.polyfit(true, found, 1)[0])


@pytest.fixture(scope="module")
def measured(tmp_path_factory) -> tuple:
    """A run with its own intervals, R2 and slope of W."""
    directory = tmp_path_factory.mktemp("measured")
    return directory, *r2_and_slope(directory, source(directory, uneven=True, intervals="measured"))


@pytest.mark.slow
def test_w_is_as_good_as_from_even_frames(measured, tmp_path):
    r2, slope = r2_and_slope(tmp_path, source(tmp_path, uneven=False))
    assert r2 > 0.95
    assert measured[1] > r2 - 0.01
    assert measured[2] == pytest.approx(slope, rel=0.05)


@pytest.mark.slow
def test_w_has_another_size_if_uneven_frames_are_taken_for_even_ones(measured, tmp_path):
    _, slope = r2_and_slope(tmp_path, source(tmp_path, uneven=True, taken_for_even=True))
    assert slope > 1.1 * measured[2]


@pytest.mark.slow
@pytest.mark.parametrize(
    "rate",
    [{"kind": "savitzky_golay", "window": 5, "order": 2}, {"kind": "spline", "penalty": 5.0}],
)
def test_smoothed_states_at_measured_times_are_as_good(tmp_path, rate):
    found = {}
    for name, uneven in (("even", False), ("measured", True)):
        (tmp_path / name).mkdir()
        made = source(tmp_path / name, uneven=uneven, intervals=name, observation={"rate": rate})
        found[name] = r2_and_slope(tmp_path / name, made, "estimated")
    assert found["even"][0] > 0.9
    assert found["measured"][0] > found["even"][0] - 0.015
    assert found["measured"][1] == pytest.approx(found["even"][1], rel=0.08)


@pytest.mark.slow
def test_the_store_and_the_prediction_go_by_the_times(measured):
    directory, *_ = measured
    recording = store.read(directory / "simulation.zarr", schemas.SIMULATION)
    assert recording.attrs["intervals"] == "measured"
    np.testing.assert_allclose(
        recording.attrs["interval_spread"], [SHORT * FINE, SHORT * FINE, 13 * FINE]
    )
    rollout.run(50, training(), directory, key=KEY, device=CPU)
    found = store.read(directory / "rollout.zarr", schemas.ROLLOUT)
    start = found.attrs["start_frame"]
    expected = recording["time"].values[start : start + 51]
    np.testing.assert_allclose(found["time"], expected - expected[0], atol=1e-9)
    steps = found["forecast_error"].mean("start").isel(lead=0)
    assert float(steps.sel(predictor="model")) < float(steps.sel(predictor="persistence"))


@pytest.mark.slow
def test_recover_takes_measured_times():
    activity, time = recorded(uneven=True)
    given = xr.DataArray(
        activity, {"time": time}, ("time", "neuron"), attrs={"intervals": "measured"}
    )
    options = training().model_dump(include={"solver", "target", "held_out", "closed_form"})
    found = ngpipe.recover(given, training=options).connectivity.values[OFF]
    true = fine()[1][OFF]
    assert np.corrcoef(found, true)[0, 1] ** 2 > 0.95


@pytest.mark.slow
def test_longer_intervals_are_told_without_shorter_ones(tmp_path, capsys):
    source(tmp_path, uneven=True)
    inspect.run(tmp_path / "day1.npz")
    assert "whose intervals differ: 0.045 to 0.065 s" in capsys.readouterr().out
    source(tmp_path, uneven=False)
    inspect.run(tmp_path / "day1.npz")
    told = capsys.readouterr().out
    assert "intervals differ" not in told
    assert "intervals: measured" not in told


def test_uneven_times_are_told_and_refused_with_the_key_to_set(tmp_path, capsys):
    made = source(tmp_path, uneven=True)
    path = tmp_path / "day1.npz"
    found = dict(np.load(path))
    found["t"][7:] -= 0.6 * FINE * SHORT
    np.savez(path, **found)
    with pytest.raises(StoreError, match=r"source\.intervals: measured"):
        import_.run(made, tmp_path, key=KEY)
    inspect.run(path)
    told = capsys.readouterr().out
    assert "whose intervals differ: " in told
    assert "      intervals: measured" in told


@pytest.mark.parametrize(
    ("observation", "words"),
    [
        ({"noise": "spectrum"}, "would pass for noise.*noise: autocovariance"),
        ({"indicator": {"decay": 0.4}}, "middle between.*training.target: estimated"),
    ],
)
def test_what_needs_even_frames_is_refused_when_the_config_is_read(observation, words):
    keys = {"files": ["a.npz"], "intervals": "measured", "observation": observation}
    with pytest.raises(ConfigError, match=words):
        validate({"kind": "recording", **keys}, Recorded, where="source")
    validate({"kind": "recording", **keys, "intervals": "even"}, Recorded, where="source")

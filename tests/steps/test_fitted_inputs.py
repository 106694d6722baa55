"""A stimulus beside a recording, from the files to the prediction, and the same from Python."""

import warnings
from functools import cache

import numpy as np
import pytest
import torch

import ngpipe
from ngpipe import store
from ngpipe.assembly.fitted_input import FittedInput, InputSeries
from ngpipe.config.assembly.recovery import Recovery
from ngpipe.config.assembly.source import Recorded
from ngpipe.config.assembly.training import Training
from ngpipe.config.load import validate
from ngpipe.errors import ArgumentError, ConfigError, StoreError
from ngpipe.schemas import assembly as schemas
from ngpipe.steps import import_, recover, rollout, train

KEY, CPU = "k" * 64, torch.device("cpu")
N, FRAMES, DT = 6, 3_000, 0.05
QUICK = {"psi_basis": 16, "phi_basis": 8, "fine_basis": 16, "ridges": [1e-4, 1e-8]}


@cache
def driven(mode: str):
    """Activity with process noise, a stimulus, W, and the effect of the stimulus."""
    rng = np.random.default_rng(3)
    weights = 2.0 * rng.normal(size=(N, N)) / np.sqrt(N)
    np.fill_diagonal(weights, 0)
    effect = rng.uniform(0.5, 1.5, N) * np.where(np.arange(N) % 2, -1, 1)
    effect = effect if mode == "additive" else 0.4 * effect
    stimulus = np.sin(0.9 * DT * np.arange(FRAMES)) + 0.5 * (np.arange(FRAMES) % 600 > 300)
    x, rows = rng.normal(size=N), []
    for u in stimulus:
        rows.append(x)
        received = weights @ np.tanh(x)
        change = effect * u + received if mode == "additive" else (1 + effect * u) * received
        x = x + DT * (change - x) + 0.02 * rng.normal(size=N)
    return np.array(rows), stimulus, weights, effect


def training(mode: str, fitted: str = "fitted") -> dict:
    return {
        "solver": "closed_form",
        "target": "finite_difference",
        "held_out": 0.2,
        "input": fitted,
        "input_mode": mode,
        "closed_form": {**QUICK, "distil_steps": 400},
    }


def recovered(mode: str, *, given: bool = True):
    activity, stimulus, *_ = driven(mode)
    options = training(mode, "fitted" if given else "none")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ngpipe.errors.DoubtfulWarning)
        inputs = stimulus if given else None
        return ngpipe.recover(activity, DT, inputs=inputs, training=options)


def missed(found, weights) -> float:
    """Share of the variance of W that is wrong."""
    off = ~np.eye(N, dtype=bool)
    wrong = found.connectivity.values[off] - weights[off]
    return float((wrong**2).mean() / (weights[off] ** 2).mean())


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["additive", "multiplicative"])
def test_w_needs_the_input_that_drives_the_neurons(mode):
    _, _, weights, effect = driven(mode)
    found = recovered(mode)
    assert missed(found, weights) < 0.03
    assert missed(recovered(mode, given=False), weights) > 0.15
    coefficient, error = (
        found.recovery[f"input_{name}"][:, 0] for name in ("coefficient", "error")
    )
    assert (np.abs(coefficient - effect) < 5 * error + 0.05 * np.abs(effect)).all()
    assert coefficient.attrs["units"] == {"additive": "1/tau", "multiplicative": "1"}[mode]


@pytest.fixture(scope="module")
def run_of(tmp_path_factory):
    """The directory of a run with a stimulus in a file of its own."""
    directory = tmp_path_factory.mktemp("run")
    activity, stimulus, *_ = driven("additive")
    np.save(directory / "activity.npy", activity)
    np.save(directory / "light.npy", stimulus)
    light = {"files": [str(directory / "light.npy")], "series": "light", "units": "lx"}
    files = (str(directory / "activity.npy"),)
    source = Recorded(files=files, axes="time_neuron", rate=1 / DT, units="1", inputs=[light])
    import_.run(source, directory, key=KEY)
    cfg = validate(training("additive"), Training, where="training")
    train.run(cfg, directory, key=KEY, device=CPU, checkpoints=directory / "checkpoints")
    recover.run(Recovery(), cfg, directory, key=KEY, device=CPU)
    rollout.run(50, cfg, directory, key=KEY, device=CPU)
    return directory


@pytest.mark.slow
def test_the_store_and_the_results_name_the_input(run_of):
    _, stimulus, _, effect = driven("additive")
    recording = store.read(run_of / "simulation.zarr", schemas.SIMULATION)
    np.testing.assert_allclose(recording["inputs"][:, 0], stimulus, rtol=1e-6)
    found = store.read(run_of / "recovery.zarr", schemas.RECOVERY)
    for dataset in (recording, found):
        assert dataset["input"].values.tolist() == ["light"]
        assert dataset["input_units"].values.tolist() == ["lx"]
    assert np.corrcoef(found["input_coefficient"][:, 0], effect)[0, 1] > 0.99
    assert "connectivity_halves" in found


@pytest.mark.slow
def test_predictions_know_the_input(run_of):
    found = store.read(run_of / "rollout.zarr", schemas.ROLLOUT)
    steps = found["forecast_error"].mean("start")
    late = steps.isel(lead=-1)
    assert float(late.sel(predictor="model")) < 0.3 * float(late.sel(predictor="alone"))


@pytest.fixture(scope="module")
def run_of_sessions(tmp_path_factory):
    """The same as two sessions, of which the second lacks a neuron."""
    directory = tmp_path_factory.mktemp("sessions")
    activity, stimulus, *_ = driven("additive")
    names, files = np.array(list("abcdef")), []
    for k, lacking in enumerate(["", "f"]):
        part = slice(k * FRAMES // 2, (k + 1) * FRAMES // 2)
        seen = ~np.isin(names, list(lacking))
        files.append(str(directory / f"day{k}.npz"))
        seen_activity = activity[part, seen]
        np.savez(files[-1], x=seen_activity, names=names[seen], light=stimulus[part])
    source = Recorded(
        files=files,
        series="x",
        labels="names",
        axes="time_neuron",
        rate=1 / DT,
        units="1",
        inputs=[{"series": "light", "units": "lx"}],
    )
    import_.run(source, directory, key=KEY)
    cfg = validate(training("additive"), Training, where="training")
    train.run(cfg, directory, key=KEY, device=CPU, checkpoints=directory / "checkpoints")
    recover.run(Recovery(), cfg, directory, key=KEY, device=CPU)
    rollout.run(50, cfg, directory, key=KEY, device=CPU)
    return directory


@pytest.mark.slow
def test_sessions_that_lack_neurons_know_the_input(run_of_sessions):
    _, _, weights, effect = driven("additive")
    found = store.read(run_of_sessions / "recovery.zarr", schemas.RECOVERY)
    off = ~np.eye(N, dtype=bool)
    assert found["neuron"].values.tolist() == list("abcdef")
    assert set(np.unique(found["pairs_seen"])) == {1199, 2698}
    assert np.corrcoef(found["connectivity"].values[off], weights[off])[0, 1] > 0.9
    coefficient, error = (found[f"input_{name}"][:, 0] for name in ("coefficient", "error"))
    assert (np.abs(coefficient - effect) < 5 * error + 0.05 * np.abs(effect)).all()
    assert found["input"].values.tolist() == ["light"]
    assert np.corrcoef(found["connectivity_halves"].values[:, off])[0, 1] > 0.8
    steps = store.read(run_of_sessions / "rollout.zarr", schemas.ROLLOUT)["forecast_error"]
    late = steps.mean("start").isel(lead=-1)
    assert float(late.sel(predictor="model")) < 0.6 * float(late.sel(predictor="alone"))


@pytest.mark.slow
def test_inputs_that_scale_need_sessions_that_see_all(run_of_sessions):
    cfg = validate(training("multiplicative"), Training, where="training")
    with pytest.raises(StoreError, match=r"sessions lack some of the neurons.*input_mode"):
        train.run(cfg, run_of_sessions, key=KEY, device=CPU, checkpoints=run_of_sessions / "c")


def test_what_contradicts_the_inputs_is_refused():
    activity, stimulus, *_ = driven("additive")
    with pytest.raises(ArgumentError, match=r"inputs are given, but training\.input is 'none'"):
        ngpipe.recover(activity, DT, inputs=stimulus, training={"input": "none"})
    with pytest.raises(ArgumentError, match=r"inputs has shape \(10, 1\)"):
        modes = {"input_mode": "additive"}
        ngpipe.recover(activity, DT, inputs=stimulus[:10], training=modes)
    with pytest.raises(ConfigError, match="it is not said how inputs act"):
        ngpipe.recover(activity, DT, inputs=stimulus)
    with pytest.raises(ConfigError, match="fitted by the closed form"):
        gradient = {"input_mode": "additive", "solver": "gradient"}
        ngpipe.recover(activity, DT, inputs=stimulus, training=gradient)
    with pytest.raises(StoreError, match="holds no `inputs`"):
        ngpipe.recover(activity, DT, training=training("additive"))


@pytest.mark.parametrize(("mode", "rest"), [("additive", 0.0), ("multiplicative", 1.0)])
def test_the_input_at_a_time_is_that_of_its_frame(mode, rest):
    raw = torch.from_numpy(np.random.default_rng(1).normal(size=(40, 2)) + 3)
    fitted = FittedInput(InputSeries.of(raw, ("a", "b"), mode), 3, DT)
    fitted.coefficients.copy_(torch.arange(6.0).reshape(3, 2))
    frames = torch.tensor([0, 7, 39])
    each = fitted.coefficients @ ((raw - raw.mean(0)) / raw.std(0, correction=0)).float()[frames].T
    found = fitted.of_all(torch.tensor([0.0, 7 * DT + 0.01, 99.0]))
    torch.testing.assert_close(found, rest + each.T, rtol=1e-4, atol=1e-4)

"""Every frame is looked at before training: absent values, still neurons, other recordings."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import xarray as xr

from ngpipe.artifacts import recordings, survey
from ngpipe.assembly.recording import Recording
from ngpipe.config.assembly.training import Training
from ngpipe.errors import StaleError, StoreError

CPU = torch.device("cpu")
N, NEURONS = 400, 5
PLAIN = Training(target="finite_difference")
BY_PAIRS = Training(target="finite_difference", solver="closed_form")


def recorded(**changed: object) -> xr.Dataset:
    activity = np.random.default_rng(1).normal(size=(N, NEURONS)).cumsum(axis=0)
    names = [f"AVA{k}" for k in range(NEURONS)]
    whole = {
        "activity": (("time", "neuron"), changed.pop("activity", activity.astype("float32"))),
        **changed,
    }
    return xr.Dataset(
        whole, coords={"time": 0.1 * np.arange(N), "neuron": names}, attrs={"dt": 0.1}
    )


def stored(dataset: xr.Dataset, tmp_path: Path) -> Path:
    path = tmp_path / "simulation.zarr"
    dataset.to_zarr(path, zarr_format=2, mode="w")
    return path


def with_values(values: np.ndarray, tmp_path: Path, cfg: Training = PLAIN) -> recordings.Opened:
    return recordings.opened(stored(recorded(activity=values), tmp_path), cfg, CPU)


def plain() -> np.ndarray:
    return recorded()["activity"].values.astype("float64")


@pytest.mark.quick(2)
@pytest.mark.parametrize("where", [slice(390, 395), slice(399, 400), slice(0, 3), slice(100, 101)])
@pytest.mark.parametrize("value", [np.nan, np.inf, 1e300])
def test_absent_values_are_left_out_wherever_they_are(where, value, tmp_path):
    values = plain()
    values[where, 2] = value
    found = with_values(values, tmp_path)
    x, rate = found.recording.batch(found.recording.usable)
    assert torch.isfinite(x).all()
    assert torch.isfinite(rate).all()
    absent = set(range(*where.indices(N)))
    before = {f - 1 for f in absent} - {-1}
    assert set(range(N - 1)) - set(found.recording.usable.tolist()) == (absent | before) - {N - 1}
    assert found.left_out == len((absent | before) - {N - 1})
    assert min(len(b) for b in found.recording.blocks) > 0


def test_a_whole_recording_has_no_stretches(tmp_path):
    found = with_values(plain(), tmp_path)
    assert found.recording.stretches is None
    assert found.notes() | {"recording": ""} == {
        "recording": "",
        "stretches": 1,
        "frames_left_out": 0,
    }


def test_gaps_trials_and_absent_values_together(tmp_path):
    dataset = recorded()
    dataset["activity"][50] = np.nan
    time = dataset["time"].values + 5.0 * (np.arange(N) >= 200)
    dataset = dataset.assign_coords(time=time, segment=("time", np.arange(N) // 300))
    found = recordings.opened(stored(dataset, tmp_path), PLAIN, CPU)
    expected = (range(50), range(51, 200), range(200, 300), range(300, N))
    assert found.recording.stretches == expected


def test_drift_that_is_absent_is_left_out_too(tmp_path):
    drift = np.ones((N, NEURONS), dtype="float32")
    drift[7, 1] = np.nan
    path = stored(recorded(drift=(("time", "neuron"), drift)), tmp_path)
    assert recordings.load(path, Training(), CPU).stretches == (range(7), range(8, N))
    assert recordings.load(path, PLAIN, CPU).stretches is None


@pytest.mark.parametrize("lacking", [False, True])
def test_states_and_rates_that_lack_most_frames_leave_the_others(lacking, tmp_path):
    """A frame that has neither state nor rate lacks one frame, not two."""
    values = plain().astype("float32")
    values[100:150] = values[250:] = np.nan
    sessions = {}
    if lacking:
        values[:200, 3] = np.nan
        sessions = {"session": ("time", np.repeat(["a", "b"], N // 2))}
    rate = xr.Variable(("time", "neuron"), values, {"reach": [0, 1]})
    path = stored(recorded(activity=values, rate=rate).assign_coords(sessions), tmp_path)
    cfg = BY_PAIRS.model_copy(update={"target": "estimated", "held_out": 0.2})
    assert recordings.load(path, cfg, CPU).n_usable == 200


@pytest.mark.quick
@pytest.mark.parametrize("solver", ["gradient", "closed_form"])
@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda x: x.__setitem__((slice(None), 3), 1.5), r"3 \(AVA3\) never moves: it is 1\.5"),
        (lambda x: x.__setitem__((slice(None), 3), np.nan), r"3 \(AVA3\) has no finite value"),
        (lambda x: x.__setitem__((slice(None), 3), x[:, 3] * 1e-3 + 1e6), "single precision"),
        (lambda x: x.__setitem__((slice(0, None, 2), 4), np.nan), "4 .AVA4. alone has no finite"),
    ],
)
def test_neurons_of_which_nothing_can_be_learned_are_named_for_both_solvers(
    solver, change, words, tmp_path
):
    values = plain()
    change(values)
    cfg = PLAIN.model_copy(update={"solver": solver})
    with pytest.raises(StoreError, match=words):
        with_values(values, tmp_path, cfg)


@pytest.mark.quick(2)
@pytest.mark.parametrize("dtype", ["complex64", "bool", "U8", "datetime64[ns]"])
def test_activity_is_real_numbers(dtype, tmp_path):
    values = (plain() > 0).astype("int64").astype(dtype)
    with pytest.raises(StoreError, match="expected real numbers; write it as float32"):
        with_values(values, tmp_path)


def test_whole_numbers_and_large_ones_are_activity(tmp_path):
    counts = (100 * plain()).astype("int16")
    assert with_values(counts, tmp_path).recording.stretches is None
    assert with_values(plain() * 1e9 + 5e8, tmp_path).recording.stretches is None


@pytest.mark.parametrize(
    ("variables", "words"),
    [
        ({"driven": [1, 0, 0, 0, 0], "position": np.zeros((5, 3))}, "3 numbers per neuron"),
    ],
)
def test_sites_are_checked(variables, words, tmp_path):
    given = {"position": np.zeros((5, 2)), **variables}
    dataset = recorded(
        driven=(("neuron",), np.array(given["driven"])),
        position=(("neuron", "axis"), given["position"]),
    )
    with pytest.raises(StoreError, match=words):
        recordings.load(stored(dataset, tmp_path), PLAIN.model_copy(update={"input": "field"}), CPU)


@pytest.mark.parametrize(
    ("name", "where", "value", "words"),
    [
        ("input_frame", (9,), 2.0, "is 2 at time 9.*expected 0 to 1"),
        ("input_frame", (9,), -1.0, "expected 0 to 1"),
    ],
)
def test_a_known_input_is_checked(name, where, value, words, tmp_path):
    dataset = recorded(
        external_input=(("frame", "neuron"), np.ones((2, NEURONS))),
        input_frame=(("time",), np.zeros(N)),
    )
    dataset[name].values[where] = value
    with pytest.raises(StoreError, match=words):
        recordings.load(stored(dataset, tmp_path), PLAIN.model_copy(update={"input": "known"}), CPU)


def test_an_identity_is_of_values_and_not_of_how_they_are_stored(tmp_path):
    dataset = recorded()
    dataset["neuron_type"] = ("neuron", np.arange(NEURONS))
    dataset.to_zarr(tmp_path / "a.zarr", zarr_format=2)
    chunked = {"activity": {"chunks": (7, 2)}}
    dataset.drop_vars("neuron_type").to_zarr(tmp_path / "b.zarr", zarr_format=2, encoding=chunked)
    one, other = (
        recordings.opened(tmp_path / n, PLAIN, CPU).identity for n in ("a.zarr", "b.zarr")
    )
    assert one == other
    survey.compare(one, json.loads(survey.text(other)), Path("m"), Path("r"))
    dataset["activity"][3, 3] += 1
    changed = recordings.opened(stored(dataset, tmp_path), PLAIN, CPU).identity
    with pytest.raises(StaleError, match=r"another recording than .* \(activity differ\)"):
        survey.compare(one, changed, Path("m"), Path("r"))


def test_names_of_neurons_travel(tmp_path):
    found = with_values(plain(), tmp_path)
    result = xr.Dataset({"W": (("post", "pre"), np.zeros((5, 5))), "a": (("neuron",), np.zeros(5))})
    named = found.labelled(result)
    for dim in ("neuron", "post", "pre"):
        assert named[dim].values.tolist() == [f"AVA{k}" for k in range(5)]


def pieces(rng: np.random.Generator) -> tuple[list[np.ndarray], np.ndarray]:
    """Activity of a small network in 40 pieces of 50 frames 0.01 apart, and its W.

    Every piece begins anywhere, as after a long gap: as one step it would outweigh all others.
    """
    weights = rng.normal(size=(8, 8)) / 8**0.5
    np.fill_diagonal(weights, 0)
    found = []
    for start in 2 * rng.normal(size=(40, 8)):
        x = [start]
        for _ in range(49):
            x.append(x[-1] + 0.01 * (-x[-1] + 1.5 * weights @ np.tanh(x[-1])))
        found.append(np.array(x) + 1e-4 * rng.normal(size=(50, 8)))
    return found, weights


def fit_of_w(recording: Recording, truth: np.ndarray) -> float:
    """R2 of W by least squares of the training targets, psi and phi being known."""
    x, rate = (array.double().numpy() for array in recording.batch(recording.training_frames))
    off, found = ~np.eye(8, dtype=bool), np.zeros((8, 8))
    for i in range(8):
        columns = np.column_stack([np.tanh(x[:, off[i]]), x[:, i]])
        found[i, off[i]] = np.linalg.lstsq(columns, rate[:, i], rcond=None)[0][:7]
    return float(np.corrcoef(found[off], truth[off])[0, 1] ** 2)


@pytest.mark.quick(2)
@pytest.mark.parametrize("told_by", ["time", "segment", "nan", "nothing"])
def test_what_is_absent_between_frames_costs_nothing_but_itself(told_by, tmp_path, rng):
    found, truth = pieces(rng)
    x, piece = np.concatenate(found), np.repeat(np.arange(40), 50)
    time, coords = 0.01 * np.arange(2000), {}
    if told_by == "time":
        time = time + 3.0 * piece
    if told_by == "segment":
        coords["segment"] = ("time", piece)
    if told_by == "nan":
        hole = np.full((1, 8), np.nan)
        x = np.concatenate([np.concatenate([part, hole]) for part in found])
        time = 0.01 * np.arange(2040)
    dataset = xr.Dataset(
        {"activity": (("time", "neuron"), x)}, coords={"time": time, **coords}, attrs={"dt": 0.01}
    )
    recording = recordings.load(stored(dataset, tmp_path), PLAIN, CPU)
    if told_by == "nothing":
        assert fit_of_w(recording, truth) < 0.5
        return
    assert recording.n_usable == 40 * 49
    assert fit_of_w(recording, truth) > 0.99


def in_sessions(values: np.ndarray, names: list[str], tmp_path: Path, cfg: Training = BY_PAIRS):
    """A recording whose frames are of sessions of equal length."""
    session = np.repeat(names, N // len(names))
    dataset = recorded(activity=values.astype("float32")).assign_coords(session=("time", session))
    return recordings.opened(stored(dataset, tmp_path), cfg, CPU)


def test_neurons_that_a_session_lacks_cost_no_frame(tmp_path):
    values = plain()
    values[200:, 3] = np.nan
    values[50, 3] = values[250, 0] = np.nan
    found = in_sessions(values, ["monday", "tuesday"], tmp_path)
    sessions = found.recording.sessions
    assert sessions.seen.tolist() == [[True] * 5, [True, True, True, False, True]]
    assert sessions.of_frame.tolist() == [0] * 200 + [1] * 200
    # Values that are missing within a session cost their frames, and the differences before.
    lost = {49, 50, 199, 249, 250, 399}
    assert set(range(N)) - set(found.recording.usable.tolist()) == lost
    assert found.n_stretches == 4


def test_sessions_that_see_all_are_stretches(tmp_path):
    found = in_sessions(plain(), ["a", "b"], tmp_path, PLAIN)
    assert found.recording.sessions is None
    assert found.recording.stretches == (range(200), range(200, 400))


def test_a_neuron_that_no_session_sees_is_named(tmp_path):
    values = plain()
    values[:, 2] = np.nan
    values[200:, 3] = np.nan
    with pytest.raises(StoreError, match=r"AVA2.*no finite value at any frame"):
        in_sessions(values, ["a", "b"], tmp_path)


def test_the_frames_of_a_session_lie_together(tmp_path):
    with pytest.raises(StoreError, match=r"session 'a' lies in several pieces"):
        in_sessions(plain(), ["a", "b", "a", "b"], tmp_path)


def test_a_session_of_its_own_is_another_recording(tmp_path):
    one = in_sessions(plain(), ["a", "b"], tmp_path, PLAIN).identity
    other = in_sessions(plain(), ["a", "c"], tmp_path, PLAIN).identity
    assert {name for name in one if one[name] != other[name]} == {"session"}


@pytest.mark.quick
@pytest.mark.parametrize(
    ("changed", "key"),
    [
        ({"solver": "gradient"}, "solver: closed_form"),
        ({"solver": "closed_form+gradient"}, "solver: closed_form"),
        ({"network": {"psi_sees": "sender"}}, "network.psi_sees: activity"),
        ({"network": {"one_type": True}}, "network.one_type: false"),
        ({"closed_form": {"prior": "sparse"}}, "closed_form.prior: none"),
        ({"closed_form": {"dale": True}}, "closed_form.dale: false"),
    ],
)
def test_what_needs_all_neurons_is_refused_with_a_remedy(changed, key, tmp_path):
    values = plain()
    values[200:, 3] = np.nan
    cfg = Training(**{**BY_PAIRS.model_dump(), **changed})
    with pytest.raises(StoreError, match=f"1 of 2 sessions lack some.*training.{key}"):
        in_sessions(values, ["a", "b"], tmp_path, cfg)


def test_pairs_that_are_never_seen_together_are_counted_and_named(tmp_path):
    values = plain()
    values[200:, 3] = np.nan
    told = in_sessions(values, ["a", "b"], tmp_path).of_sessions
    assert "2 that see 4 to 5 of 5 neurons" in told
    assert "never" not in told
    values[:200, [1, 4]] = np.nan
    told = in_sessions(values, ["a", "b"], tmp_path).of_sessions
    assert "2 pairs are never seen together (the first: neurons 1 and 3)" in told
    assert with_values(plain(), tmp_path).of_sessions == ""

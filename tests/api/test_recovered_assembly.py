"""The recovered assembly predicts, scores, is drawn and reads well."""

from dataclasses import FrozenInstanceError, replace

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
from matplotlib.figure import Figure
from small_networks import LABELS, noisy_network

from ngpipe.assembly.rollout import roll_out
from ngpipe.dynamics.integrate import trajectory
from ngpipe.errors import ArgumentError, DoubtfulWarning, StoreError


@pytest.fixture
def initial(pair) -> np.ndarray:
    """Activity at some frame."""
    return pair["activity"].values[700]


def test_a_small_network_comes_back_with_names_in_their_places(recording, found):
    learned, true = xr.align(found.connectivity, recording["connectivity"], join="exact")
    off = ~np.eye(8, dtype=bool)
    assert np.corrcoef(learned.values[off], true.values[off])[0, 1] ** 2 > 0.9999
    assert found.connectivity.dims == ("post", "pre")
    assert list(found.connectivity["post"].values) == LABELS
    assert list(found.types["neuron"].values) == list(found.phi["neuron"].values) == LABELS
    assert np.polyfit(true.values[off], learned.values[off], 1)[0] == pytest.approx(1, abs=0.03)
    assert (found.errors.values[off] > 0).all()
    assert len(set(zip(recording["leak"].values, found.types.values, strict=True))) == 2
    assert found.diagnosis.expected_r2 > 0.99


class TestPrediction:
    def test_it_is_the_rollout_of_the_pipeline(self, found):
        rolled = roll_out(found.model, found.found.recording, 50)
        predicted = found.predict(rolled["activity"].values[0], 50)
        np.testing.assert_array_equal(predicted.values, rolled["activity_hat"].values)
        np.testing.assert_allclose(predicted["time"].values, rolled["time"].values)
        assert list(predicted["neuron"].values) == LABELS

    def test_without_noise_it_follows_the_network(self, recording, found, initial):
        weights, leak = recording["connectivity"].values, recording["leak"].values
        true = trajectory(
            lambda _t, x: -torch.from_numpy(leak) * x + torch.from_numpy(weights) @ torch.tanh(x),
            torch.from_numpy(initial.astype(np.float64)),
            dt=0.05,
            n_frames=21,
        )
        predicted = found.predict(initial, n_frames=20)
        assert predicted.sizes == {"time": 21, "neuron": 8}
        np.testing.assert_allclose(predicted.values, true.numpy(), atol=0.15)
        moved = np.abs(true.numpy()[-1] - initial).max()
        assert moved > 1

    def test_labelled_activity_may_come_in_any_order(self, found, initial):
        series = pd.Series(initial, LABELS)[sorted(LABELS)]
        expected = found.predict(initial, 5)
        assert found.predict(series, 5).equals(expected)
        assert found.predict(xr.DataArray.from_series(series.rename_axis("neuron")), 5).equals(
            expected
        )

    def test_at_times(self, found, initial):
        every = found.predict(initial, 40)
        some = found.predict(initial, times=[0.0, 0.5, 2.0])
        np.testing.assert_array_equal(some.values, every.values[[0, 10, 40]])
        np.testing.assert_allclose(some["time"].values, [0, 0.5, 2])

    @pytest.mark.parametrize(
        ("options", "message"),
        [
            ({}, "predict needs either n_frames or times"),
            ({"n_frames": 3, "times": [0.05]}, "predict needs either n_frames or times"),
            ({"n_frames": -1}, "n_frames is -1, expected 0 or more"),
            ({"times": [0.07]}, r"times is 0.07, expected multiples of dt \(0.05\) from 0 on"),
            ({"times": [-0.05]}, r"times is -0.05, expected multiples"),
            ({"times": []}, r"times is empty"),
        ],
    )
    def test_other_times_are_refused(self, found, initial, options, message):
        with pytest.raises(ArgumentError, match=message):
            found.predict(initial, **options)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda x: x[:5], r"initial is of shape \(5,\) .* expected 8 numbers"),
            (lambda x: np.where(x == x[2], np.nan, x), r"initial is not finite for 1 neurons \(n9"),
            (lambda x: pd.Series(x, [*LABELS[1:], "n4"]), "initial is of other neurons: n5, n4"),
            (lambda x: x.astype(str), "expected 8 numbers"),
        ],
        ids=["shape", "NaN", "others", "words"],
    )
    def test_other_neurons_are_refused(self, found, initial, change, message):
        with pytest.raises(ArgumentError, match=message):
            found.predict(change(initial), 3)

    def test_a_model_that_diverges_is_told(self, found, initial):
        with pytest.warns(DoubtfulWarning, match="the model diverges after 0 frames"):
            predicted = found.predict(1e6 * initial, 3)
        assert np.isnan(predicted.values).all()


class TestScore:
    def test_activity_it_has_not_seen(self, found):
        other = noisy_network(LABELS, n_frames=600, dt=0.05, seed=0).isel(time=slice(300, None))
        fresh = other["activity"] + 0.0
        exact = found.score(fresh, other["drift"])
        assert 0.97 < exact < 1
        shuffled = fresh.isel(neuron=[7, 6, 5, 4, 3, 2, 1, 0]).T
        assert found.score(shuffled, other["drift"]) == pytest.approx(exact, abs=1e-6)
        assert found.score(fresh) < exact  # process noise is not predicted

    def test_it_is_that_of_scikit_learn(self, found, recording):
        from sklearn.metrics import r2_score

        x = torch.from_numpy(recording["activity"].values)
        with torch.no_grad():
            expected = r2_score(recording["drift"].values, found.model(0.0, x).numpy())
        assert found.score(recording["activity"], recording["drift"]) == pytest.approx(expected)

    def test_no_difference_reaches_over_a_gap(self, found, pair):
        x = pair["activity"]
        time = 0.05 * np.arange(len(x))
        time[600:] += 3.0
        jump = x.copy()
        jump[600:] = x[::-1][600:].values
        assert found.score(jump) < found.score(x) - 0.01
        whole = found.score(jump.assign_coords(time=time))
        assert whole == pytest.approx(
            found.score(jump.assign_coords(segment=("time", np.arange(len(x)) // 600)))
        )
        assert whole > found.score(jump)

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            (lambda x: x.isel(neuron=slice(5)), "activity is of other neurons"),
            (lambda x: x.values[:, :5], "activity is of 5 neurons, expected 8"),
            (lambda x: x.assign_attrs(dt=0.1), "activity has dt 0.1, but the model is of dt 0.05"),
            (lambda x: x[:2], "activity has 1 frames with a finite rate, expected at least 2"),
        ],
        ids=["labels", "number", "dt", "frames"],
    )
    def test_other_activity_is_refused(self, found, pair, change, message):
        with pytest.raises(ArgumentError, match=message):
            found.score(change(pair["activity"]))


class TestPlot:
    @pytest.mark.slow
    def test_the_page_shows_the_main_panels(self, found):
        figure = found.plot(n_frames=40)
        assert isinstance(figure, Figure)
        titles = " ".join(ax.get_title(loc="left") for ax in figure.axes)
        for shown in ("activity", "W", "latents, 2 types", "update", "transfer", "rollout"):
            assert shown in titles

    def test_a_prediction_longer_than_what_was_held_out_is_refused(self, found):
        longest = found.found.recording.longest_rollout
        assert longest == 239
        with pytest.raises(StoreError, match="there are 239 frames at most"):
            found.plot(n_frames=240)


def test_it_reads_well(found):
    text = repr(found)
    assert text.startswith("Assembly of 8 neurons, recovered from 1,200 frames (dt 0.05, solver ")
    assert "56 weights [1/tau], " in text
    assert "2 types (4, 4 neurons)" in text
    assert " ".join(text.split()).endswith(found.diagnosis.sentence)
    assert max(map(len, text.splitlines())) <= 90


def test_what_is_not_known_is_said(found):
    bare = replace(
        found,
        recovery=found.recovery.drop_vars(["connectivity_error", "connected"]),
        diagnosis=None,
    )
    assert bare.errors.dims == ("post", "pre")
    assert np.isnan(bare.errors.values).all()
    assert "too short to tell" in repr(bare)


def test_it_does_not_change(found):
    with pytest.raises(FrozenInstanceError):
        found.model = None

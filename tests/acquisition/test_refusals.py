"""Recordings that are refused before anything is learned from them."""

from pathlib import Path

import numpy as np
import pytest

from ngpipe.acquisition.joined import Joined
from ngpipe.acquisition.refusals import Subject, Tally, check_shape, check_values, subject
from ngpipe.acquisition.series import Series
from ngpipe.errors import RecordingError


def recording(n, frames=100, segment=None) -> Subject:
    values = np.zeros((frames, n))
    labels = tuple(f"n{k}" for k in range(n))
    session = Series(
        Path("a.npy"), "", frames, n, lambda a, b: values[a:b], labels=labels, segments=segment
    )
    every = np.arange(n)
    return subject(Joined((session,), labels, (every,), (every,), rate=10.0, tau=1.0))


def tallied(values, length=3) -> Tally:
    tally = Tally(values.shape[1])
    for k in range(0, len(values), length):
        tally.add(values[k : k + length].astype(np.float32))
    return tally


def refusal(values, **parts) -> str:
    with pytest.raises(RecordingError) as error:
        check_values(tallied(np.asarray(values)), recording(values.shape[1], **parts))
    return str(error.value)


@pytest.fixture
def values() -> np.ndarray:
    return np.random.default_rng(0).normal(size=(20, 5))


class TestValues:
    def test_activity_passes(self, values):
        check_values(tallied(values), recording(5))

    def test_missing_values_of_a_neuron_that_has_others_pass(self, values):
        values[3:9, 1] = np.nan
        check_values(tallied(values), recording(5))

    def test_a_constant_neuron(self, values):
        values[:, 2] = 0.5
        assert "1 neurons never change (the first is 0.5 throughout)" in refusal(values)
        assert "source.drop: [n2]" in refusal(values)

    def test_a_neuron_without_a_value(self, values):
        values[:, [1, 4]] = np.nan
        assert "2 neurons have no value at any frame" in refusal(values)
        assert "source.drop: [n1, n4]" in refusal(values)

    def test_a_duplicate(self, values):
        values[:, 3] = values[:, 0]
        assert "repeat the activity of an earlier neuron" in refusal(values)
        assert "source.drop: [n3]" in refusal(values)

    def test_twins_up_to_a_scale_are_none(self, values):
        values[:, 3] = 2 * values[:, 0]
        check_values(tallied(values), recording(5))

    def test_numbers_of_frames(self):
        values = np.arange(20)[:, None] * [1, 2, 3]
        assert "whole numbers that rise from frame to frame" in refusal(values)

    def test_a_rising_trace_among_others_passes(self, values):
        values[:, 0] = np.arange(20)
        check_values(tallied(values), recording(5))

    @pytest.mark.parametrize("length", [1, 7, 20])
    def test_blocks_make_no_difference(self, values, length):
        values[:, 3] = values[:, 0]
        a, b = tallied(values, 3), tallied(values, length)
        for name in ("finite", "low", "high", "rising"):
            np.testing.assert_array_equal(getattr(a, name), getattr(b, name))


class TestShape:
    def test_more_neurons_than_frames(self):
        with pytest.raises(RecordingError, match=r"100 neurons and 30 frames.*source\.axes"):
            check_shape(recording(100, frames=30))

    def test_nothing_left(self):
        with pytest.raises(RecordingError, match="leaves no neuron"):
            check_shape(recording(0))

    def test_a_trial_for_each_frame(self):
        with pytest.raises(RecordingError, match="100 trials in 100 frames"):
            check_shape(recording(5, segment=np.arange(100)))

"""Sessions joined by the labels of their neurons."""

from pathlib import Path

import numpy as np
import pytest

from ngpipe.acquisition.joined import joined
from ngpipe.acquisition.series import Series
from ngpipe.config.assembly.source import Recorded
from ngpipe.errors import RecordingError


def source(**keys) -> Recorded:
    return Recorded(**({"files": ("a.npy",), "rate": 10} | keys))


def series(values, **parts) -> Series:
    values = np.asarray(values, dtype=float)
    block = lambda start, stop: values[start:stop]  # noqa: E731
    return Series(Path("a.npy"), "", *values.shape, block, **parts)


def whole(recording, length=4) -> np.ndarray:
    found = np.full((recording.n_frames, len(recording.labels)), 99.0)
    for start, block in recording.blocks(length):
        found[start : start + len(block)] = block
    return found


class TestNeurons:
    def test_the_same_label_is_the_same_neuron_whatever_its_column(self):
        first = series([[1, 2], [3, 4], [5, 6]], labels=("a", "b"))
        second = series([[20, 10, 30]] * 2, labels=("b", "a", "c"))
        found = joined([first, second], source())
        assert found.labels == ("a", "b", "c")
        expected = [[1, 2, np.nan], [3, 4, np.nan], [5, 6, np.nan], [10, 20, 30], [10, 20, 30]]
        np.testing.assert_array_equal(whole(found, length=2), expected)

    def test_dropped_neurons_are_gone_from_every_session(self):
        first = series([[1, 2]] * 3, labels=("a", "b"))
        second = series([[20, 10]] * 3, labels=("b", "a"))
        found = joined([first, second], source(drop=("b",)))
        assert found.labels == ("a",)
        np.testing.assert_array_equal(whole(found)[:, 0], [1, 1, 1, 10, 10, 10])

    def test_numbers_stand_for_labels(self):
        found = joined([series(np.ones((3, 3)))], source(drop=(1,)))
        assert found.labels == (0, 2)
        assert not found.named

    def test_positions_follow_their_neurons(self):
        places = np.array([[0.0, 0.0], [1.0, 1.0]])
        first = series([[1, 2]] * 3, labels=("a", "b"), positions=places)
        second = series([[1, 2]] * 3, labels=("b", "a"), positions=places[::-1])
        np.testing.assert_array_equal(joined([first, second], source()).position, places)

    def test_positions_of_some_neurons_are_none(self):
        first = series([[1, 2]] * 3, labels=("a", "b"), positions=np.zeros((2, 2)))
        assert joined([first, series([[1]] * 3, labels=("c",))], source()).position is None


class TestTimes:
    def test_time_is_in_units_of_tau(self):
        found = joined([series(np.ones((4, 1)))], source(rate=10, tau=0.5))
        np.testing.assert_allclose(found.time, [0, 0.2, 0.4, 0.6])
        assert found.dt == pytest.approx(0.2)

    def test_times_of_the_file_are_kept(self):
        times = np.array([0, 0.1, 0.2, 0.7])
        found = joined([series(np.ones((4, 1)), times=times)], source(rate=None))
        np.testing.assert_allclose(found.time, times)
        assert found.rate == pytest.approx(10)

    def test_sessions_are_segments_and_trials_of_two_are_told_apart(self):
        both = [series(np.ones((2, 1)), segments=np.array([1, 2])) for _ in range(2)]
        assert joined(both, source()).segment.tolist() == ["0:1", "0:2", "1:1", "1:2"]
        plain = [series(np.ones((2, 1)))] * 2
        assert joined(plain, source()).segment.tolist() == [0, 0, 1, 1]
        assert joined(plain[:1], source()).segment is None

    def test_trials_may_start_their_time_anew(self):
        times, trial = np.array([0, 0.1, 0.2, 0, 0.1]), np.array([1, 1, 1, 2, 2])
        found = joined([series(np.ones((5, 1)), times=times, segments=trial)], source(rate=None))
        assert found.rate == pytest.approx(10)


@pytest.mark.parametrize(
    ("sessions", "keys", "message"),
    [
        ([series(np.ones((3, 2)), labels=("a", "a"))], {}, "the labels ['a'] name several"),
        ([series(np.ones((3, 2)))], {"drop": ("x",)}, "no neuron is called 'x'"),
        ([series(np.ones((3, 1)), labels=("abc",))], {"drop": ("abd",)}, "did you mean 'abc'?"),
        ([series(np.ones((3, 2)))], {"rate": None}, "neither times nor a rate"),
        ([series(np.ones((3, 2)), rate=20.0)], {}, "source.rate is 10 Hz, but"),
        ([series(np.ones((3, 2))), series(np.ones((3, 3)))], {}, "[2, 3] neurons and not all"),
        (
            [series(np.ones((3, 1)), labels=("ROI0",), numbered=True)] * 2,
            {},
            "numbers its cells by itself, so its ROI0 is not that of another session",
        ),
        (
            [series(np.ones((3, 2)), rate=r) for r in (10.0, 12.0)],
            {"rate": None},
            "different rates (a.npy: 10 Hz, a.npy: 12 Hz)",
        ),
        (
            [series(np.ones((3, 1)), times=np.array([0, 0.2, 0.1]))],
            {"rate": None},
            "do not rise throughout (at frame 1 it goes on by -0.1 s",
        ),
    ],
)
def test_what_is_not_known_is_asked_for(sessions, keys, message):
    with pytest.raises(RecordingError) as error:
        joined(sessions, source(**keys))
    assert message in str(error.value)

"""Losses on the way to the file: each is what its key says."""

import numpy as np
import pytest

from ngpipe.acquisition.laboratory import indicated, measured, sessions
from ngpipe.config.assembly.source import RecordedAs


@pytest.fixture
def generator() -> np.random.Generator:
    return np.random.default_rng(4)


class TestIndicator:
    def test_a_step_decays_with_its_time_constant(self):
        activity = np.ones((400, 1))
        activity[0] = 0
        signal = indicated(activity, frame=0.01, decay=0.5)
        np.testing.assert_allclose(1 - signal[51, 0], np.exp(-1), rtol=1e-9)

    def test_the_first_frame_begins_at_rest(self):
        signal = indicated(np.full((10, 2), 3.0), frame=0.03, decay=0.4)
        np.testing.assert_allclose(signal, 3.0)

    def test_without_one_activity_is_recorded(self, generator):
        activity = generator.normal(size=(5, 2))
        assert indicated(activity, 0.1, None) is activity


def test_noise_is_relative_to_the_signal(generator):
    signal = 7 * generator.normal(size=(20_000, 3))
    added = measured(signal, 0.1, generator) - signal
    assert added.std() == pytest.approx(0.1 * signal.std(), rel=0.02)
    assert abs(np.corrcoef(added.T)[0, 1]) < 0.03


class TestSessions:
    def test_frames_are_lost_at_random_and_shared_out(self, generator):
        found = sessions(10_000, 7, RecordedAs(dropped=0.1, sessions=2), generator)
        assert len(found) == 2
        assert found[0].frames.max() < 5000 <= found[1].frames.min()
        assert sum(len(s.frames) for s in found) == pytest.approx(9000, rel=0.02)
        assert all(np.diff(s.frames).min() == 1 for s in found)

    def test_the_last_session_alone_lacks_cells(self, generator):
        found = sessions(100, 50, RecordedAs(sessions=3, lacking=0.2), generator)
        assert [len(s.cells) for s in found] == [50, 50, 40]
        assert len(set(found[2].cells.tolist())) == 40

    def test_one_session_lacks_none(self):
        with pytest.raises(ValueError, match="set sessions: 2"):
            RecordedAs(lacking=0.1)

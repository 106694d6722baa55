"""Numpy files: orientation is said, not guessed; pickles stay closed; pynapple's are known."""

import pickle

import numpy as np
import pytest
from reading import names, read

from ngpipe.errors import RecordingError


@pytest.fixture
def values(rng):
    return rng.normal(size=(20, 3))


@pytest.mark.parametrize("axes", ["time_neuron", "neuron_time"])
def test_axes_are_as_the_config_says(tmp_path, values, axes):
    path = tmp_path / "a.npy"
    np.save(path, values if axes == "time_neuron" else values.T)
    found = read(path, axes=axes)
    np.testing.assert_array_equal(found.values, values)
    assert found.units is None
    assert found.rate is None


def test_which_axis_is_time_is_asked(tmp_path, values):
    np.save(tmp_path / "a.npy", values)
    with pytest.raises(RecordingError, match=r"shape \(20, 3\).*set source.axes to time_neuron or"):
        read(tmp_path / "a.npy")


def test_labels_and_times_tell_the_axes(tmp_path, values):
    """A table of three neurons fits one axis alone."""
    path = tmp_path / "a.npz"
    np.savez(path, dff=values.T, cell=["AVAL", "AVAR", "RIM"], ms=np.arange(20) * 40.0)
    found = read(path, labels="cell", time="ms", time_unit="ms")
    np.testing.assert_array_equal(found.values, values)
    assert found.labels == ("AVAL", "AVAR", "RIM")
    np.testing.assert_allclose(found.times, np.arange(20) * 0.04)
    assert any("neuron_time, as there are 3 labels and 20 times" in n for n in found.notes)


def test_labels_of_a_square_array_do_not_tell_the_axes(tmp_path, values):
    np.savez(tmp_path / "a.npz", dff=values[:3], cell=["a", "b", "c"])
    with pytest.raises(RecordingError, match=r"set source\.axes"):
        read(tmp_path / "a.npz", labels="cell")


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ({}, r"holds several series, \['dff', 'raw'\]; set source.series"),
        ({"series": "drf"}, "has no series 'drf'.*did you mean 'dff'"),
        ({"series": "dff", "labels": "cel"}, "has no array 'cel'.*did you mean 'cell'"),
        ({"series": "dff", "labels": "cell"}, "set source.axes"),
        (
            {"series": "dff", "labels": "cell", "axes": "time_neuron"},
            "'cell' has 2 entries for the 3 neurons of 'dff'",
        ),
        ({"series": "dff", "time": "cell", "axes": "time_neuron"}, "'cell' holds <U1 such as"),
    ],
)
def test_a_name_that_does_not_fit_is_told(tmp_path, values, source, words):
    np.savez(tmp_path / "a.npz", dff=values, raw=values, cell=["a", "b"])
    with pytest.raises(RecordingError, match=words):
        read(tmp_path / "a.npz", **source)


class Trap:
    """Leaves a file when it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, "w")


@pytest.mark.parametrize("name", ["a.npy", "a.npz"])
def test_no_pickle_is_run(tmp_path, name):
    trap = tmp_path / "sprung"
    array = np.array([[Trap(trap)] * 2] * 2, dtype=object)
    (np.save if name == "a.npy" else np.savez)(tmp_path / name, array, allow_pickle=True)
    with pytest.raises(RecordingError, match="opening a pickle runs the code in it"):
        read(tmp_path / name, axes="time_neuron")
    assert not trap.exists()
    with pytest.raises(RecordingError, match="opening a pickle runs the code in it"):
        (tmp_path / name).write_bytes(pickle.dumps([1]))
        read(tmp_path / name, axes="time_neuron")


def pynapple(path, kind="TsdFrame"):
    """A file as TsdFrame.save of pynapple 0.11.4 writes it."""
    t = np.concatenate([np.arange(4), 10 + np.arange(4)]) / 10
    np.savez(
        path,
        t=t,
        d=np.arange(16.0).reshape(8, 2),
        start=np.array([0.0, 0.9]),
        end=np.array([0.5, 2.0]),
        columns=np.array(["a", "b"], dtype=object),
        type=np.array([kind]),
        _metadata=np.array({"x": 1}, dtype=object),
    )
    return t


def test_a_frame_of_pynapple_has_times_and_epochs(tmp_path):
    t = pynapple(tmp_path / "a.npz")
    found = read(tmp_path / "a.npz")
    np.testing.assert_array_equal(found.values, np.arange(16.0).reshape(8, 2))
    np.testing.assert_array_equal(found.times, t)
    assert found.segments.tolist() == [0] * 4 + [1] * 4
    assert found.labels is None
    assert "pickle" in found.notes[0]
    pynapple(tmp_path / "b.npz", "Ts")
    with pytest.raises(RecordingError, match="is a Ts of pynapple, expected a TsdFrame"):
        read(tmp_path / "b.npz")


def test_what_could_be_activity_is_listed(tmp_path, values):
    np.savez(tmp_path / "a.npz", dff=values, t=values[:, 0], one=values[:1], word=["a"])
    assert names(tmp_path / "a.npz") == ["dff"]


@pytest.mark.parametrize("name", ["absent.npy", "a.xyz"])
def test_a_file_of_no_format_is_told(tmp_path, name):
    (tmp_path / "a.xyz").write_text("x")
    with pytest.raises(RecordingError, match=r"correct source\.files|of no format that is read"):
        read(tmp_path / name)

"""MATLAB files of all versions give the same numbers, in MATLAB's order of axes; HDF5 as it is."""

import h5py
import numpy as np
import pytest
from reading import names, read
from scipy import io

from ngpipe.errors import RecordingError

NAMES = ["AVAL", "AVAR", "RIM"]


@pytest.fixture
def values(rng):
    return rng.normal(size=(3, 20))


def text(file, place, word):
    codes = np.array([[ord(c)] for c in word], dtype=np.uint16)
    file[place] = codes
    file[place].attrs["MATLAB_class"] = np.bytes_("char")
    return file[place].ref


def version_7_3(path, values):
    """As `save -v7.3` lays it out: axes turned round, cells as references, text as numbers."""
    with h5py.File(path, "w", userblock_size=512) as file:
        file["data/dff"] = values.T
        file["data/t"] = np.arange(20.0)[:, None]
        references = [text(file, f"#refs#/{k}", word) for k, word in enumerate(NAMES)]
        cell = file.create_dataset("data/names", (1, 3), dtype=h5py.ref_dtype)
        cell[0] = references
        cell.attrs["MATLAB_class"] = np.bytes_("cell")
    head = b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM"
    with path.open("r+b") as file:
        file.write(head)


def version_7(path, values):
    cells = np.array(NAMES, dtype=object)
    io.savemat(path, {"data": {"dff": values, "t": np.arange(20.0), "names": cells}})


@pytest.mark.parametrize("write", [version_7, version_7_3])
def test_all_versions_are_as_matlab_has_them(tmp_path, values, write):
    path = tmp_path / "a.mat"
    write(path, values)
    assert names(path) == ["data.dff"]
    found = read(path, axes="neuron_time", time="data.t", labels="data.names", time_unit="min")
    np.testing.assert_array_equal(found.values, values.T)
    assert found.labels == ("AVAL", "AVAR", "RIM")
    np.testing.assert_array_equal(found.times, np.arange(20) * 60.0)
    inferred = read(path, labels="data.names")
    np.testing.assert_array_equal(inferred.values, values.T)


def test_version_4_is_read(tmp_path, values):
    io.savemat(tmp_path / "a.mat", {"dff": values}, format="4")
    np.testing.assert_array_equal(read(tmp_path / "a.mat", axes="neuron_time").values, values.T)


def test_a_file_that_is_none_of_matlab_is_told(tmp_path):
    (tmp_path / "a.mat").write_bytes(b"\0" * 300)
    with pytest.raises(RecordingError, match="cannot be read as a MATLAB file"):
        read(tmp_path / "a.mat")


def test_hdf5_is_as_it_is_stored(tmp_path, values):
    path = tmp_path / "a.h5"
    with h5py.File(path, "w") as file:
        file.create_dataset("day1/dff", data=values, chunks=(2, 8), compression="gzip")
        file["day1/dff"].attrs["units"] = "dF/F"
        file["day1/cell"] = NAMES
        file["empty"] = h5py.Empty("f")
    found = read(path, labels="day1/cell")
    np.testing.assert_array_equal(found.values, values.T)
    assert (found.units, found.labels) == ("dF/F", tuple(NAMES))
    with pytest.raises(RecordingError, match=r"set source\.axes"):
        read(path)
    h5py.File(path, "a").close()  # the file was closed, or this would fail


def test_a_file_that_is_no_hdf5_is_told(tmp_path):
    (tmp_path / "a.h5").write_text("x")
    with pytest.raises(RecordingError, match="cannot be opened as HDF5"):
        read(tmp_path / "a.h5")

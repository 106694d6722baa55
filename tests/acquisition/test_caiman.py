"""Results of CaImAn as its source lays them out in HDF5."""

import h5py
import numpy as np
import pytest
from reading import names, read
from scipy import sparse

from ngpipe.errors import RecordingError


@pytest.fixture
def path(tmp_path, rng):
    """Three components in an image of 4 rows and 5 columns, of which 0 and 2 are accepted."""
    footprints = np.zeros((3, 4, 5))
    footprints[0, 1, 2] = 1.0
    footprints[1, 0, 0] = 1.0
    footprints[2, 3, 1], footprints[2, 3, 3] = 1.0, 3.0
    by_pixel = np.stack([one.ravel(order="F") for one in footprints], axis=1)
    columns = sparse.csc_array(by_pixel)
    with h5py.File(tmp_path / "a.hdf5", "w") as file:
        estimates = file.create_group("estimates")
        for name in ("C", "S"):
            estimates[name] = rng.random((3, 20))
        estimates["F_dff"] = "NoneType"
        estimates["dims"] = [4, 5]
        estimates["idx_components"] = [0, 2]
        for name in ("data", "indices", "indptr", "shape"):
            estimates[f"A/{name}"] = getattr(columns, name)
        file["params/data/fr"] = 30.0
    return tmp_path / "a.hdf5"


def test_accepted_components_are_read(path):
    found = read(path, series="C")
    with h5py.File(path) as file:
        np.testing.assert_array_equal(found.values, file["estimates/C"][()][[0, 2]].T)
    assert (found.rate, found.units, found.labels) == (30.0, "a.u.", ("C0", "C2"))
    assert any("2 of 3 components are accepted" in note for note in found.notes)


def test_pixels_are_numbered_down_the_columns(path):
    """Positions (row, column): were they in C order, they would lie elsewhere."""
    np.testing.assert_allclose(read(path, series="C").positions, [[1, 2], [3, 2.5]])


def test_the_size_of_the_image_may_stand_beside_the_estimates(path):
    """CaImAn itself takes it from there where the estimates do not know it."""
    with h5py.File(path, "a") as file:
        del file["estimates/dims"]
        file["estimates/dims"] = "NoneType"
        file["dims"] = [4, 5]
    np.testing.assert_allclose(read(path, series="C").positions, [[1, 2], [3, 2.5]])


def test_the_text_for_nothing_is_nothing(path):
    assert names(path) == ["C", "S"]
    with h5py.File(path, "a") as file:
        del file["estimates/idx_components"], file["params/data/fr"]
        file["estimates/idx_components"] = file["params/data/fr"] = "NoneType"
    found = read(path, series="S")
    assert found.values.shape == (20, 3)
    assert found.rate is None
    assert any("did not evaluate the 3 components" in note for note in found.notes)


def test_accepted_components_that_are_not_there_are_refused(path):
    with h5py.File(path, "a") as file:
        file["estimates/idx_components"][1] = 3
    with pytest.raises(RecordingError, match="accepts 2 components up to 3, and 'C' has 3"):
        read(path, series="C")

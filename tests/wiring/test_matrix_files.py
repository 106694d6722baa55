"""Matrices of MATLAB, HDF5, MatrixMarket and numpy, and what is no matrix of weights."""

import gzip
import warnings

import h5py
import numpy as np
import pytest
import torch
import xarray as xr
from scipy import io, sparse

from ngpipe.config.assembly.connectivity import File
from ngpipe.errors import ConfigError, ConnectomeError, StoreError
from ngpipe.wiring.container import Connectome
from ngpipe.wiring.sources.matrix_files import read as read_any
from ngpipe.wiring.sources.tables import read, read_matrix

N = 3
ARROWS = np.array([[0, 0, 0], [2.5, 0, 0], [0, -4, 0]])  # 0 -> 1 and 1 -> 2


def save_v73(path, variables) -> None:
    """As MATLAB writes -v7.3: axes turned round, sparse ones by column."""
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, value in variables.items():
            if not sparse.issparse(value):
                file[name] = value.T
                continue
            group, value = file.create_group(name), sparse.csc_array(value)
            group.attrs["MATLAB_sparse"] = np.uint64(value.shape[0])
            parts = {"data": value.data, "ir": value.indices, "jc": value.indptr}
            for part, numbers in parts.items():
                group[part] = numbers if part == "data" else numbers.astype(np.uint64)
        file["#refs#/a"] = np.eye(N)
    head = b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM"
    with path.open("r+b") as file:
        file.write(head)


def save_v5(path, variables) -> None:
    io.savemat(path, variables)


def save_h5(path, variables) -> None:
    with h5py.File(path, "w") as file:
        for name, value in variables.items():
            file[f"in/{name}"] = value.toarray() if sparse.issparse(value) else value


SAVERS = {"v5.mat": save_v5, "v73.MAT": save_v73, "plain.hdf5": save_h5}


@pytest.fixture(params=SAVERS)
def saved(request, tmp_path):
    def write(**variables):
        path = tmp_path / request.param
        SAVERS[request.param](path, variables)
        return path

    return write


def message(path, **options) -> str:
    with pytest.raises((ConnectomeError, StoreError)) as caught:
        read(path, **options)
    return str(caught.value)


def of(path, name: str) -> str:
    return f"in/{name}" if path.suffix == ".hdf5" else name


class TestMatlabAndHdf:
    @pytest.mark.parametrize("kind", [np.asarray, sparse.csc_array])
    def test_rows_are_as_they_were_written(self, kind, saved):
        path = saved(W=kind(ARROWS), dt=np.array([[0.1]]), order=np.arange(N)[None, :])
        np.testing.assert_array_equal(read(path).weights.toarray(), ARROWS)
        np.testing.assert_array_equal(read(path, rows="pre").weights.toarray(), ARROWS.T)

    def test_one_of_several_is_to_be_named(self, saved):
        path = saved(A=ARROWS, B=2 * ARROWS)
        names = sorted(of(path, name) for name in "AB")
        found = message(path)
        assert f"holds the matrices {names}, none of them is named; name one in" in found
        found = read(path, variable=of(path, "B")).weights.toarray()
        np.testing.assert_array_equal(found, 2 * ARROWS)

    def test_one_that_is_named_and_no_matrix(self, saved):
        path = saved(A=ARROWS, v=np.ones((2, 5)))
        assert "an array of shape (2, 5), expected a square" in message(
            path, variable=of(path, "v")
        )
        assert "not 'x'; name one in variable" in message(path, variable="x")

    def test_none_is_square(self, saved):
        path = saved(stack=np.ones((N, N, 2)))
        assert f"holds no square matrix, only {{'{of(path, 'stack')}': (" in message(path)

    def test_they_serve_assemblies_too(self, saved):
        cfg = File(path=str(saved(A=ARROWS)))
        np.testing.assert_array_equal(read_matrix(cfg, N), ARROWS.astype(np.float32))
        np.testing.assert_array_equal(
            read_matrix(cfg.model_copy(update={"rows": "pre"}), N), ARROWS.T.astype(np.float32)
        )

    def test_complex_numbers(self, saved):
        path = saved(A=ARROWS * (1 + 2j))
        if path.suffix == ".MAT":  # MATLAB's own form of them
            with h5py.File(path, "a") as file:
                del file["A"]
                file["A"] = np.ones((N, N)).astype([("real", "f8"), ("imag", "f8")])
        assert "complex numbers (complex128), expected real numbers" in message(path)


def test_an_empty_sparse_matrix_of_matlab(tmp_path):
    with h5py.File(tmp_path / "e.h5", "w") as file:
        group = file.create_group("W")
        group.attrs["MATLAB_sparse"] = np.uint64(N)
        group["jc"] = np.zeros(N + 1, np.uint64)
    assert read(tmp_path / "e.h5").n_edges == 0


class TestMatrixMarket:
    @pytest.mark.parametrize("symmetry", ["general", "symmetric", "skew-symmetric"])
    @pytest.mark.parametrize("kind", [sparse.coo_array, np.asarray])
    def test_symmetric_ones_are_whole(self, symmetry, kind, tmp_path):
        sign = {"general": 0, "symmetric": 1, "skew-symmetric": -1}[symmetry]
        matrix = ARROWS + sign * ARROWS.T
        io.mmwrite(tmp_path / "W.mtx", kind(matrix), symmetry=symmetry)
        np.testing.assert_array_equal(read(tmp_path / "W.mtx").weights.toarray(), matrix)

    def test_a_pattern_counts_1(self, tmp_path):
        (tmp_path / "W.mtx").write_text(
            "%%MatrixMarket matrix coordinate pattern general\n% made up\n3 3 2\n2 1\n3 2\n"
        )
        found = read(tmp_path / "W.mtx").weights.toarray()
        np.testing.assert_array_equal(found, ARROWS != 0)

    def test_compressed(self, tmp_path):
        io.mmwrite(tmp_path / "W.mtx", sparse.coo_array(ARROWS))
        packed = tmp_path / "W.mtx.gz"
        packed.write_bytes(gzip.compress((tmp_path / "W.mtx").read_bytes()))
        np.testing.assert_array_equal(read(packed).weights.toarray(), ARROWS)


NO_WEIGHTS = {
    "1-d": (np.ones(4), "an array of shape (4,), expected a square matrix"),
    "0-d": (np.array(3.0), "an array of shape (), expected a square matrix"),
    "3-d": (np.ones((2, 2, 2)), "an array of shape (2, 2, 2)"),
    "oblong": (np.ones((2, 3)), "an array of shape (2, 3)"),
    "complex": (np.ones((2, 2)) * 1j, "complex numbers (complex128)"),
    "dates": (np.zeros((2, 2), "M8[s]"), "dates (datetime64[s])"),
    "durations": (np.zeros((2, 2), "m8[s]"), "time differences (timedelta64[s])"),
    "texts": (np.full((2, 2), "1"), "texts or objects (<U1)"),
    "records": (np.zeros((2, 2), [("a", "f4")]), "records ("),
}


class TestNoWeights:
    @pytest.mark.parametrize("name", NO_WEIGHTS)
    def test_in_files(self, name, tmp_path):
        array, expected = NO_WEIGHTS[name]
        np.save(tmp_path / "W.npy", array)
        np.savez(tmp_path / "W.npz", W=array)
        for path in (tmp_path / "W.npy", tmp_path / "W.npz"):
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                assert f"{path}: {expected}" in message(path)
                with pytest.raises(ConfigError) as caught:
                    read_matrix(File(path=str(path)), 2)
                assert expected in str(caught.value)

    @pytest.mark.parametrize("name", [n for n in NO_WEIGHTS if n not in ("0-d", "1-d")])
    def test_in_memory(self, name):
        import pandas as pd

        array, expected = NO_WEIGHTS[name]
        with pytest.raises(ConnectomeError) as caught:
            Connectome(array, pd.DataFrame({"id": range(2)}))
        assert expected in str(caught.value)

    def test_objects(self, tmp_path):
        np.save(tmp_path / "W.npy", np.array([[None, 1], [2, 3]], dtype=object))
        assert "cannot be read as .npy" in message(tmp_path / "W.npy")
        with pytest.raises(ConnectomeError, match=r"texts or objects \(object\)"):
            Connectome(
                np.array([[None, 1], [2, 3]], dtype=object), Connectome(ARROWS, _ids()).neurons
            )

    def test_a_sparse_matrix_of_complex_numbers(self, tmp_path):
        sparse.save_npz(tmp_path / "W.npz", sparse.coo_array(ARROWS * 1j))
        assert "complex numbers" in message(tmp_path / "W.npz")


def _ids():
    import pandas as pd

    return pd.DataFrame({"id": range(N)})


def test_an_array_called_format_is_no_sign_of_scipy(tmp_path):
    np.savez(tmp_path / "W.npz", format=np.array("v2"), W=ARROWS)
    found = message(tmp_path / "W.npz")
    assert "holds the matrices ['format', 'W'], none of them is named" in found
    np.testing.assert_array_equal(read(tmp_path / "W.npz", variable="W").weights.toarray(), ARROWS)


@pytest.mark.parametrize("form", ["coo", "csr", "csc", "bsr", "dia"])
def test_all_forms_of_scipy(form, tmp_path):
    sparse.save_npz(tmp_path / "W.npz", sparse.coo_array(ARROWS).asformat(form))
    np.testing.assert_array_equal(read(tmp_path / "W.npz").weights.toarray(), ARROWS)


def test_sparse_and_short_tensors(tmp_path):
    tensor = torch.tensor(ARROWS).to_sparse()
    torch.save(tensor, tmp_path / "sparse.pt")
    torch.save(torch.tensor(ARROWS).to(torch.bfloat16), tmp_path / "short.pt")
    for path in tmp_path.iterdir():
        np.testing.assert_array_equal(read(path).weights.toarray(), ARROWS)


class TestZarr:
    @pytest.fixture
    def stored(self, tmp_path):
        def write(dims, **more):
            arrays = {"W": (dims, ARROWS), **more}
            xr.Dataset(arrays).to_zarr(tmp_path / "W.zarr", zarr_format=2, consolidated=True)
            return tmp_path / "W.zarr"

        return write

    def test_dimensions_say_who_receives(self, stored):
        path = stored(("pre", "post"))
        np.testing.assert_array_equal(read(path).weights.toarray(), ARROWS.T)
        np.testing.assert_array_equal(read(path, rows="pre").weights.toarray(), ARROWS.T)
        assert "so its rows are 'pre', but rows says 'post'" in message(path, rows="post")

    def test_other_dimensions_need_words(self, stored):
        path = stored(("y", "x"), gain=(("y",), np.ones(N)))
        found = message(path)
        assert "holds the arrays {'W': ('y', 'x'), 'gain': ('y',)}" in found or "'gain'" in found
        assert "none with dims (post, pre)" in found
        assert "'W' has dims ('y', 'x'), expected (post, pre)" in message(path, variable="W")
        np.testing.assert_array_equal(
            read(path, variable="W", rows="pre").weights.toarray(), ARROWS.T
        )
        assert "none with dims (post, pre)" in message(path, variable="gain", rows="pre")

    def test_files_alone_can_be_read(self, stored):
        np.testing.assert_array_equal(read_any(stored(("post", "pre"))), ARROWS)

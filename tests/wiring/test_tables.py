"""Connectivity from files: one arrow 0 -> 1 lands at W[1, 0] whatever the format."""

import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
import zarr
from pydantic import ValidationError
from scipy.io import mmwrite
from scipy.sparse import coo_array
from scipy.sparse import save_npz as save_sparse

from ngpipe import schemas, store
from ngpipe.config.assembly.connectivity import File
from ngpipe.errors import ConfigError
from ngpipe.wiring.ensembles import weights
from ngpipe.wiring.sources.tables import read_matrix

ROOT = Path(__file__).parents[2]
PUBLISHED = ROOT.parent / "shared" / "data" / "neural_gnn" / "signal_fig_2" / "connectivity.pt"
N = 6


def save_pt(matrix, path):
    torch.save(torch.from_numpy(matrix), path)


def save_parameter(matrix, path):
    torch.save(torch.nn.Parameter(torch.from_numpy(matrix)), path)


def save_npz(matrix, path):
    np.savez(path, W=matrix)


def save_npz_many(matrix, path):
    np.savez(path, W=matrix, W_hat=-matrix)


def save_zarr(matrix, path):
    provenance = store.Provenance("wire", "k", {})
    dataset = xr.Dataset({"connectivity": (("post", "pre"), matrix)})
    schema = schemas.Schema({"connectivity": schemas.RECOVERY["connectivity"]})
    store.write(dataset, path, schema, provenance)


def save_zarr_many(matrix, path):
    dims = ("post", "pre")
    variables = {"W_hat": (dims, -matrix), "W": (dims, matrix), "gain": (("post",), matrix[0])}
    xr.Dataset(variables).to_zarr(path, zarr_format=2, consolidated=True)


def save_zarr_alone(matrix, path):
    """As zarr writes format 2 without xarray: 0 is its fill value, and no missing one."""
    group = zarr.open_group(path, mode="w", zarr_format=2)
    group.create_array("W", data=matrix).attrs["_ARRAY_DIMENSIONS"] = ["post", "pre"]


def save_csv(matrix, path):
    post, pre = np.nonzero(matrix)
    columns = {"pre": pre, "post": post, "weight": matrix[post, pre]}
    pd.DataFrame(columns).to_csv(path, index=False)


class Program:
    """An object whose unpickling creates a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return Path.touch, (self.path,)


FORMATS = {
    "pt": (save_pt, ".pt", {}),
    "parameter": (save_parameter, ".pt", {}),
    "npy": (lambda matrix, path: np.save(path, matrix), ".npy", {}),
    "npz": (save_npz, ".npz", {}),
    "sparse npz": (lambda matrix, path: save_sparse(path, coo_array(matrix)), ".npz", {}),
    "mtx": (lambda matrix, path: mmwrite(path, coo_array(matrix)), ".mtx", {}),
    "npz of many": (save_npz_many, ".npz", {"variable": "W"}),
    "zarr": (save_zarr, ".zarr", {}),
    "zarr of zarr": (save_zarr_alone, ".zarr", {}),
    "zarr of many": (save_zarr_many, ".zarr", {"variable": "W"}),
    "csv": (save_csv, ".csv", {}),
}


@pytest.fixture(params=FORMATS)
def saved(request, tmp_path):
    """saved(matrix) -> the config section of a file that holds it."""
    save, suffix, options = FORMATS[request.param]

    def write(matrix: np.ndarray) -> File:
        path = tmp_path / f"connectivity{suffix}"
        save(matrix, path)
        return File(path=str(path), **options)

    return write


@pytest.fixture
def matrix(rng):
    """A sparse random matrix without self-connections."""
    values = rng.normal(size=(N, N)) * (rng.random((N, N)) < 0.5)
    np.fill_diagonal(values, 0)
    return values.astype(np.float32)


@pytest.fixture
def edges(tmp_path):
    """edges(text, **columns) -> the config section of an edge list."""

    def write(text: str, **columns: str) -> File:
        path = tmp_path / "edges.csv"
        path.write_text(text)
        return File(path=str(path), **columns)

    return write


def message(cfg: File, n_neurons: int = N) -> str:
    with pytest.raises(ConfigError) as caught:
        read_matrix(cfg, n_neurons)
    assert Path(cfg.path).name in str(caught.value)
    assert str(caught.value).count(f"{cfg.path} ") <= 1, "the file is named once"
    return str(caught.value)


def test_an_arrow_points_from_pre_to_post(saved):
    """One connection 0 -> 1: neuron 1 receives, so row 1 and column 0 of W[post, pre]."""
    arrow = np.zeros((N, N), np.float32)
    arrow[1, 0] = 0.75
    found = read_matrix(saved(arrow), N)
    assert np.argwhere(found).tolist() == [[1, 0]]
    assert found[1, 0] == np.float32(0.75)


def test_an_edge_list_says_who_sends_and_who_receives(edges):
    found = read_matrix(edges("pre,post,weight\n0,1,0.75\n"), N)
    assert np.argwhere(found).tolist() == [[1, 0]]


def test_what_is_saved_is_read(saved, matrix):
    found = read_matrix(saved(matrix), N)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, matrix, rtol=1e-6)


def test_the_ensembles_read_files_too(saved, matrix):
    np.testing.assert_allclose(weights(saved(matrix), N), matrix, rtol=1e-6)


def test_repeated_edges_add_up(edges):
    text = "pre,post,weight\n0,1,2\n3,2,5\n0,1,0.5\n1,0,7\n0,1,-1\n"
    found = read_matrix(edges(text), 4)
    expected = np.zeros((4, 4))
    expected[1, 0], expected[2, 3], expected[0, 1] = 1.5, 5, 7
    np.testing.assert_array_equal(found, expected)


def test_columns_of_an_edge_list_can_be_named(edges):
    text = "id,Target,Source,n_synapses\n9,4,2,11\n"
    cfg = edges(text, pre="Source", post="Target", weight="n_synapses")
    assert np.argwhere(read_matrix(cfg, 5)).tolist() == [[4, 2]]


def test_blanks_of_an_edge_list_do_not_count(edges):
    found = read_matrix(edges("pre , post,weight\n0 , 1,2\n 3, 2,5\n"), 4)
    assert np.argwhere(found).tolist() == [[1, 0], [2, 3]]


@pytest.mark.parametrize(
    ("row", "told"), [(",2,1", "'pre' must hold whole"), ("1,2,", "1 values that are not finite")]
)
def test_a_gap_is_no_neuron_and_no_weight(edges, row, told):
    assert told in message(edges(f"pre,post,weight\n0,1,2\n{row}\n"))


def test_whole_numbers_and_float64_become_float32(tmp_path):
    np.save(tmp_path / "W.npy", np.array([[0, 3], [-2, 0]]))
    found = read_matrix(File(path=str(tmp_path / "W.npy")), 2)
    assert found.dtype == np.float32
    assert found.tolist() == [[0, 3], [-2, 0]]


class TestDimensionsOfAZarr:
    """Its dimensions say who receives; reading [pre, post] as [post, pre] would transpose W."""

    @pytest.fixture
    def stored(self, matrix, tmp_path):
        def write(dims, **options):
            xr.Dataset({"W": (dims, matrix)}).to_zarr(
                tmp_path / "W.zarr", zarr_format=2, consolidated=True
            )
            return File(path=str(tmp_path / "W.zarr"), **options)

        return write

    def test_senders_in_rows(self, stored, matrix):
        np.testing.assert_array_equal(read_matrix(stored(("pre", "post")), N), matrix.T)

    @pytest.mark.parametrize("rows", ["post", "pre"])
    def test_other_names_and_rows_that_say_so(self, rows, stored, matrix):
        found = read_matrix(stored(("to", "from"), variable="W", rows=rows), N)
        np.testing.assert_array_equal(found, matrix if rows == "post" else matrix.T)

    def test_other_names_alone(self, stored):
        found = message(stored(("to", "from")))
        assert "holds the arrays {'W': ('to', 'from')}, none with dims (post, pre)" in found
        assert "simulation.connectivity.variable" in found
        found = message(File(path=stored_path(found), variable="W"))
        assert "'W' has dims ('to', 'from'), expected (post, pre)" in found
        assert "simulation.connectivity.rows" in found

    def test_rows_that_contradict_the_dimensions(self, stored):
        assert "so its rows are 'pre', but" in message(stored(("pre", "post"), rows="post"))


def stored_path(text: str) -> str:
    return text.split(" holds ")[0]


class TestRefusals:
    """Each names the file once, says what it found, and says the remedy."""

    def test_an_absent_file(self, tmp_path):
        found = message(File(path=str(tmp_path / "absent.npy")))
        assert found.startswith("simulation.connectivity.path: no file at ")

    def test_an_unknown_kind(self, tmp_path):
        with pytest.raises(ValidationError) as caught:
            File(path=str(tmp_path / "W.docx"))
        assert "unknown kind '.docx', expected one of ['.pt', '.npy', '.npz', '.zarr'" in str(
            caught.value
        )

    @pytest.mark.parametrize("saved", [f for f in FORMATS if f != "csv"], indirect=True)
    def test_another_size(self, saved, matrix):
        found = message(saved(matrix), N + 1)
        assert "holds shape (6, 6), expected (7, 7) as [post, pre]; set" in found
        assert "simulation.n_neurons" in found

    def test_a_matrix_that_is_not_square(self, tmp_path, rng):
        np.save(tmp_path / "W.npy", rng.normal(size=(N, N + 1)))
        found = message(File(path=str(tmp_path / "W.npy")))
        assert "an array of shape (6, 7), expected a square matrix" in found

    def test_numbers_that_are_not_finite(self, saved, matrix):
        matrix[0, 1] = np.nan
        found = message(saved(matrix))
        assert re.search(r"holds 1 values that are not finite; set them to 0", found)

    def test_self_connections(self, saved, matrix):
        matrix[2, 2] = matrix[4, 4] = 0.1
        found = message(saved(matrix))
        assert "connects 2 neurons to themselves" in found
        assert "set them to 0" in found

    @pytest.mark.parametrize("save", [save_npz_many, save_zarr_many])
    @pytest.mark.parametrize("variable", [None, "V", "gain"])
    def test_one_of_several_matrices_is_to_be_named(self, save, variable, matrix, tmp_path):
        path = tmp_path / f"W.{save.__name__.split('_')[1]}"
        save(matrix, path)
        found = message(File(path=str(path), variable=variable))
        assert "holds the matrices ['W', 'W_hat']" in found
        assert found.endswith("name one in simulation.connectivity.variable")

    @pytest.mark.parametrize("suffix", [".pt", ".npy", ".npz"])
    @pytest.mark.parametrize("content", [b"", b"garbage", b"half"])
    def test_broken_files(self, suffix, content, matrix, tmp_path):
        path = tmp_path / f"W{suffix}"
        {".pt": save_pt, ".npy": lambda m, p: np.save(p, m), ".npz": save_npz}[suffix](matrix, path)
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
        if content != b"half":
            path.write_bytes(content)
        found = message(File(path=str(path)))
        assert "cannot be read as a connectivity" in found
        assert "simulation.connectivity.path" in found

    def test_a_file_of_parameters_holds_several(self, matrix, tmp_path):
        state = {"W": torch.from_numpy(matrix), "gain": torch.ones(N)}
        torch.save(state, tmp_path / "W.pt")
        cfg = File(path=str(tmp_path / "W.pt"))
        assert "holds the matrices ['W', 'gain'], none of them is named" in message(cfg)
        named = cfg.model_copy(update={"variable": "W"})
        np.testing.assert_array_equal(read_matrix(named, N), matrix)

    def test_a_pickled_program_is_not_run(self, tmp_path):
        torch.save(Program(tmp_path / "was_run"), tmp_path / "W.pt")
        assert "cannot be read as a connectivity" in message(File(path=str(tmp_path / "W.pt")))
        assert not (tmp_path / "was_run").exists()

    def test_a_zarr_that_is_none(self, tmp_path):
        (tmp_path / "W.zarr").mkdir()
        found = message(File(path=str(tmp_path / "W.zarr")))
        assert "is not a readable zarr store" in found

    def test_columns_of_other_names(self, edges):
        found = message(edges("source,post,weight\n0,1,2\n"))
        assert "has columns ['source', 'post', 'weight'], not ['pre']" in found
        assert "simulation.connectivity.pre" in found

    @pytest.mark.parametrize(
        ("row", "column", "got"),
        [
            ("6,1,2", "pre", "int64 from 6 to 6"),
            ("0,-1,2", "post", "int64 from -1 to -1"),
            ("0.5,1,2", "pre", "float64 from 0.5 to 0.5"),
            ("0,AVAL,2", "post", "from AVAL to AVAL"),
            (",1,2", "pre", "from nan to nan"),
        ],
    )
    def test_neurons_that_do_not_exist(self, edges, row, column, got):
        found = message(edges(f"pre,post,weight\n{row}\n"))
        assert f"column '{column}' must hold whole numbers from 0 to 5, got " in found
        assert got in found

    @pytest.mark.parametrize("weight", ["strong", ""])
    def test_a_weight_that_is_no_number(self, edges, weight):
        found = message(edges(f"pre,post,weight\n0,1,{weight}\n"))
        assert "cannot be read as a connectivity" in found or "not finite" in found


@pytest.mark.data
def test_the_published_connectivity_of_figure_2():
    """The paper's own file is what the config's Lorentz ensemble describes."""
    if not PUBLISHED.exists():
        pytest.skip(f"{PUBLISHED.relative_to(ROOT.parent)} is not beside the project")
    draws = read_matrix(File(path=str(PUBLISHED)), 1000).astype(float) * 1000**0.7
    draws = draws[~np.eye(1000, dtype=bool)]
    assert 24.5 < np.abs(draws).max() <= 25 * (1 + 1e-6)
    assert draws.std() == pytest.approx(3.865, rel=0.01)
    assert np.mean((np.abs(draws) > 1) | (draws == 0)) == pytest.approx(0.5, abs=0.003)

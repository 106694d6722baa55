"""Connectomes from files: one arrow 0 -> 1 lands at W[1, 0] whatever the format."""

import hashlib
import json
import sys

import networkx as nx
import numpy as np
import pandas as pd
import pytest
from scipy import io, sparse

from ngpipe.errors import ConnectomeError, NgpipeWarning, StoreError
from ngpipe.wiring.sources.tables import Connectome, read

N = 4
ARROW = np.zeros((N, N), np.float32)
ARROW[1, 0] = 0.75


def save_edges(matrix, path):
    post, pre = np.nonzero(matrix)
    table = pd.DataFrame({"pre": pre, "post": post, "weight": matrix[post, pre]})
    match path.suffix:
        case ".parquet":
            table.to_parquet(path)
        case ".feather":
            table.to_feather(path)
        case ".tsv":
            table.to_csv(path, sep="\t", index=False)
        case _:
            table.to_csv(path, index=False)


def save_graph(matrix, path):
    graph = nx.from_numpy_array(matrix.T, create_using=nx.DiGraph)  # networkx has senders in rows
    match path.suffix:
        case ".json":
            path.write_text(json.dumps(nx.node_link_data(graph, edges="edges")))
        case ".gml":
            nx.write_gml(graph, path)
        case _:
            nx.write_graphml(graph, path)


def save_store(matrix, path):
    Connectome(matrix, pd.DataFrame({"id": np.arange(N)})).save(path)


FORMATS = {
    ".csv": save_edges,
    ".tsv": save_edges,
    ".parquet": save_edges,
    ".feather": save_edges,
    ".npy": lambda matrix, path: np.save(path, matrix),
    "dense.npz": lambda matrix, path: np.savez(path, W=matrix),
    "sparse.npz": lambda matrix, path: sparse.save_npz(path, sparse.coo_array(matrix)),
    ".mtx": lambda matrix, path: io.mmwrite(path, sparse.coo_array(matrix)),
    ".zarr": save_store,
    ".graphml": save_graph,
    ".gml": save_graph,
    ".json": save_graph,
}


@pytest.fixture(params=FORMATS)
def saved(request, tmp_path):
    if request.param in (".parquet", ".feather"):
        pytest.importorskip("pyarrow")

    def write(matrix):
        path = tmp_path / f"connectome{request.param}"
        FORMATS[request.param](matrix, path)
        return path

    return write


def message(kind, *args, **kwargs) -> str:
    with pytest.raises(kind) as caught:
        read(*args, **kwargs)
    return str(caught.value)


def test_an_arrow_points_from_pre_to_post(saved):
    path = saved(ARROW)
    neurons = pd.DataFrame({"id": range(N)})
    if path.suffix in (".graphml", ".gml"):
        neurons["id"] = neurons["id"].astype(str)  # the names these files hold are text
    found = read(path, neurons)
    assert np.argwhere(found.weights.toarray()).tolist() == [[1, 0]]
    assert found.weights[1, 0] == 0.75
    assert len(found) == N


@pytest.mark.quick(3)
def test_the_origin_names_the_file_and_its_digest(saved):
    path = saved(ARROW)
    if path.suffix == ".zarr":
        pytest.skip("a store brings its own origin")
    found = read(path).origin
    assert found.source == str(path)
    assert found.files == {path.name: hashlib.sha256(path.read_bytes()).hexdigest()}


def test_nothing_is_written_beside_the_file(saved):
    path = saved(ARROW)
    before = sorted(path.parent.iterdir())
    read(path)
    assert sorted(path.parent.iterdir()) == before


class TestSheets:
    SHEET = ",AVAL,AVAR,muscle\nAVAL,,3,1\nAVAR,2,,\n"

    @pytest.fixture
    def path(self, tmp_path):
        (tmp_path / "adjacency.csv").write_text("\ufeff" + self.SHEET)  # as spreadsheets write it
        return tmp_path / "adjacency.csv"

    def test_rows_are_senders_if_said_so(self, path):
        found = read(path, rows="pre").edges().values.tolist()
        expected = [["AVAR", "AVAL", 2], ["AVAL", "AVAR", 3], ["AVAL", "muscle", 1]]
        assert found == expected

    def test_rows_are_receivers_otherwise(self, path):
        found = read(path).edges().values.tolist()
        assert ["muscle", "AVAL", 1] in found
        assert len(found) == 3

    def test_a_cell_that_is_no_number(self, path):
        path.write_text(self.SHEET.replace("3", "many"))
        found = message(ConnectomeError, path)
        assert "1 cells of the sheet are not finite numbers, such as 'many' (row AVAL, " in found
        assert "column AVAR)" in found


def test_a_matrix_with_senders_in_its_rows(tmp_path):
    np.save(tmp_path / "W.npy", ARROW)
    found = read(tmp_path / "W.npy", rows="pre").weights
    assert np.argwhere(found.toarray()).tolist() == [[0, 1]]


def test_columns_neurons_and_unit_can_be_named(tmp_path):
    (tmp_path / "edges.csv").write_text("Source,Target,n\n7,9,2\n")
    (tmp_path / "neurons.csv").write_text("root_id,hemisphere\n9,left\n7,right\n")
    found = read(
        tmp_path / "edges.csv",
        tmp_path / "neurons.csv",
        unit="contacts",
        pre="Source",
        post="Target",
        weight="n",
        id="root_id",
        rename={"hemisphere": "side"},
    )
    assert found.neurons.to_dict("list") == {"id": [9, 7], "side": ["left", "right"]}
    assert np.argwhere(found.weights.toarray()).tolist() == [[0, 1]]
    assert found.unit == "contacts"
    assert set(found.origin.files) == {"edges.csv", "neurons.csv"}


def test_attributes_of_a_graph_come_along(tmp_path):
    graph = nx.DiGraph()
    graph.add_node("a", cell_type="T4", sign=1)
    graph.add_node("b", cell_type="T5", sign=-1)
    graph.add_edge("a", "b", weight=3)
    nx.write_graphml(graph, tmp_path / "g.graphml")
    found = read(tmp_path / "g.graphml")
    assert found.neurons["cell_type"].tolist() == ["T4", "T5"]
    assert found.signed().edges().values.tolist() == [["a", "b", 3]]


class TestRefusals:
    def test_an_absent_file(self, tmp_path):
        assert message(StoreError, tmp_path / "no.csv").startswith("no file at ")

    def test_an_unknown_kind(self, tmp_path):
        (tmp_path / "W.docx").touch()
        found = message(StoreError, tmp_path / "W.docx")
        assert "unknown kind '.docx', expected one of ['.csv', '.tsv', '.txt', '.xlsx'" in found
        assert "'.gexf', '.json'] (.csv, .tsv, .txt, .mtx, .graphml, .gml, .gexf, .json" in found
        assert found.endswith("also as .gz, .bz2, .xz, .zip)")

    @pytest.mark.parametrize("suffix", [".npy", ".npz", ".mtx", ".graphml", ".gml", ".json"])
    def test_garbage(self, suffix, tmp_path):
        (tmp_path / f"W{suffix}").write_text("garbage")
        found = message(StoreError, tmp_path / f"W{suffix}")
        assert f"W{suffix} cannot be read as {suffix}" in found

    def test_a_graph_without_directions(self, tmp_path):
        nx.write_graphml(nx.path_graph(3), tmp_path / "g.graphml")
        assert "holds a graph without directions" in message(StoreError, tmp_path / "g.graphml")

    def test_several_matrices(self, tmp_path):
        np.savez(tmp_path / "W.npz", chemical=ARROW, electrical=ARROW)
        found = message(StoreError, tmp_path / "W.npz")
        assert "holds the matrices ['chemical', 'electrical'], none of them is named" in found
        assert read(tmp_path / "W.npz", variable="chemical").n_edges == 1

    def test_a_matrix_that_is_not_square(self, tmp_path):
        np.save(tmp_path / "W.npy", np.ones((3, 4)))
        found = message(ConnectomeError, tmp_path / "W.npy")
        assert "W.npy: an array of shape (3, 4), expected a square matrix" in found

    def test_other_columns(self, tmp_path):
        (tmp_path / "e.csv").write_text("from,to,n\n0,1,2\n")
        found = message(ConnectomeError, tmp_path / "e.csv")
        assert "have columns ['from', 'to', 'n'], not ['pre', 'post', 'weight']" in found

    @pytest.mark.parametrize(
        ("suffix", "library", "remedy"),
        [
            (".parquet", "pyarrow", "pip install pyarrow"),
            (".xlsx", "openpyxl", "pip install 'ngpipe[excel]'"),
            (".h5", "h5py", "pip install 'ngpipe[hdf]'"),
        ],
    )
    def test_a_library_that_is_not_there(self, suffix, library, remedy, tmp_path, monkeypatch):
        monkeypatch.setitem(sys.modules, library, None)
        (tmp_path / f"e{suffix}").touch()
        found = message(StoreError, tmp_path / f"e{suffix}")
        assert f"e{suffix} needs {library}, which is not installed; {remedy}" in found


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (",a,b\na,0,2\nb,3,0\nTotal,3,9\n", "the row 'Total' of the sheet has the name of a sum"),
        (",a,b,Sum\na,0,2,2\nb,3,0,4\n", "the column 'Sum' of the sheet has the name of a sum"),
        (",a,b,\na,0,2,1\nb,3,0,1\n", "numbers without a label: column Unnamed: 3"),
        (",a,b,b\na,0,2,1\nb,3,0,1\n", "names b more than once"),
    ],
)
def test_margins_and_headers_of_sheets_that_mislead(tmp_path, text, words):
    path = tmp_path / "sheet.csv"
    path.write_text(text)
    with pytest.raises(ConnectomeError, match=words):
        read(path)


@pytest.mark.parametrize(
    ("text", "edges"),
    [
        ("to,a,b,c,d\na,0,2,0,1\nb,3,0,0,4\n", {("b", "a"): 2, ("d", "a"): 1}),
        ("to,a,b\na,0,2\nb,3,0\nc,5,0\n", {("a", "c"): 5, ("a", "b"): 3}),
    ],
)
def test_rectangular_sheets(tmp_path, text, edges):
    """Senders in columns; most labels of one side stand on the other, and all are neurons."""
    path = tmp_path / "sheet.csv"
    path.write_text(text)
    found = read(path)
    known = {(row.pre, row.post): row.weight for row in found.edges().itertuples()}
    assert edges.items() <= known.items()
    assert set(found.ids) == {*text.replace("to,", ",").split("\n")[0].split(",")[1:], *"ab"} | (
        {"c"} if "\nc" in text else set()
    )


class TestNotes:
    """What a reader left out, added up or took for granted comes back with the connectome."""

    @pytest.mark.parametrize(
        ("rows", "layout", "notes"),
        [
            ("1,2,1 1,2,3 2,1,1", {}, ["1 of 3 rows repeat an edge: weights are added up"]),
            ("1,2,0 2,1,1", {}, ["1 edges from 2 rows left out: their weight is 0"]),
            ("1,2,1 2,1,4", {"where": {"weight": 4}}, ["1 of 2 rows left out: other_weight"]),
            ("1,2,1 1,2,3 2,1,1", {"weight": None}, []),
            ("1,2,1 2,1,1", {}, []),
        ],
    )
    def test_of_an_edge_list(self, tmp_path, rows, layout, notes):
        path = tmp_path / "edges.csv"
        path.write_text("\n".join(["pre,post,weight", *rows.split()]))
        found = read(path, **layout)
        assert list(found.notes) == notes
        assert repr(found).splitlines()[1:] == [f"  {note}" for note in notes]

    def test_rows_of_neurons_that_the_table_lacks(self, tmp_path):
        path = tmp_path / "edges.csv"
        path.write_text("pre,post,weight\n1,2,1\n2,3,1\n")
        found = read(path, pd.DataFrame({"id": [1, 2]}), unknown="drop")
        assert found.notes == ("1 of 2 rows left out: the neuron table lacks their neurons",)

    def test_of_a_matrix_with_entries_given_twice(self, tmp_path):
        twice = sparse.coo_array(([1.0, 2.0, 4.0], ([1, 1, 0], [0, 0, 1])), shape=(2, 2))
        sparse.save_npz(tmp_path / "W.npz", twice)
        found = read(tmp_path / "W.npz")
        assert found.weights.toarray().tolist() == [[0, 4], [3, 0]]
        assert found.notes == ("1 entries of the matrix repeat another: added up",)

    def test_what_is_doubtful_is_a_warning_too(self, tmp_path):
        nx.write_gml(nx.DiGraph([(0, 1, {"value": 3})]), tmp_path / "graph.gml")
        with pytest.warns(NgpipeWarning, match="every edge counts 1") as shown:
            found = read(tmp_path / "graph.gml")
        assert found.notes == (str(shown[0].message),)

    def test_of_signs_that_were_decided(self):
        found = Connectome(ARROW, pd.DataFrame({"id": range(N)}))
        assert found.signed("inhibitory").notes == ("1 senders without a sign taken as inhibitory",)
        assert found.signed("drop").notes == ("1 senders without a sign left out",)

    def test_they_are_kept_with_the_store_and_its_manifest(self, tmp_path):
        drawn = Connectome(ARROW, pd.DataFrame({"id": range(N)})).signed("excitatory")
        drawn.save(tmp_path / "one.zarr")
        assert read(tmp_path / "one.zarr").notes == drawn.notes != ()
        manifest = json.loads((tmp_path / "one.json").read_text())
        assert manifest["notes"]["connectome_notes"] == list(drawn.notes)

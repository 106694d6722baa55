"""Tables of text as people have them: suffixes, compressions, separators, comments, headers."""

import bz2
import gzip
import lzma
import zipfile

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from ngpipe.config.files import kind
from ngpipe.config.wiring import SynapseSource, TableSource
from ngpipe.errors import ConnectomeError, StoreError
from ngpipe.wiring.sources.synapses import Filters, Release, read_synapses
from ngpipe.wiring.sources.tables import TableFile, read, read_table

EDGES = "pre,post,weight\nA,B,3\nB,C,4\nB,A,5\n"
EXPECTED = {("A", "B"): 3.0, ("B", "C"): 4.0, ("B", "A"): 5.0}


def edges_of(connectome) -> dict[tuple, float]:
    return {(pre, post): weight for pre, post, weight in connectome.edges().values.tolist()}


def zipped(data: bytes, path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("edges.csv", data)


PACKERS = {
    "": lambda data, path: path.write_bytes(data),
    ".gz": lambda data, path: path.write_bytes(gzip.compress(data)),
    ".bz2": lambda data, path: path.write_bytes(bz2.compress(data)),
    ".xz": lambda data, path: path.write_bytes(lzma.compress(data)),
    ".zip": zipped,
}


@pytest.fixture
def written(tmp_path):
    def write(name: str, text: str):
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return write


def message(*args, **options) -> str:
    with pytest.raises((StoreError, ConnectomeError)) as caught:
        read(*args, **options)
    return str(caught.value)


class TestKinds:
    @pytest.mark.quick
    @pytest.mark.parametrize("packing", PACKERS)
    @pytest.mark.parametrize(
        ("suffix", "mark"), [(".csv", ","), (".CSV", ","), (".tsv", "\t"), (".Txt", " ")]
    )
    def test_any_case_and_compression(self, suffix, mark, packing, tmp_path):
        path = tmp_path / f"my.edges{suffix}{packing.upper() if suffix == '.CSV' else packing}"
        PACKERS[packing](EDGES.replace(",", mark).encode(), path)
        assert edges_of(read(path)) == EXPECTED

    def test_a_zip_of_several_files(self, tmp_path):
        with zipfile.ZipFile(tmp_path / "e.csv.zip", "w") as archive:
            archive.writestr("a.csv", EDGES)
            archive.writestr("b.csv", EDGES)
        assert "e.csv.zip holds 2 files, ['a.csv', 'b.csv']" in message(tmp_path / "e.csv.zip")

    @pytest.mark.parametrize(
        ("name", "why"),
        [
            ("g.net", "undirected lines as one-way"),
            ("g.PAJ", "write the graph as .graphml"),
            ("g.xls", "save it as .xlsx"),
            ("g.pkl", "opening a pickle runs the code in it"),
            ("g.npy.gz", "unknown kind '.npy.gz', expected one of"),
            ("g", "unknown kind ''"),
            ("g.gz", "unknown kind '.gz'"),
        ],
    )
    def test_those_that_are_not_read_say_why(self, name, why, written):
        assert why in message(written(name, ""))
        with pytest.raises(ValidationError, match=r"g") as caught:
            TableSource(path=name)
        assert why in str(caught.value)

    def test_a_dot_in_a_name_is_no_suffix(self):
        assert kind("/data.v2/edges.2019.csv") == ".csv"
        assert kind("E.HDF5") == ".h5"


class TestSeparators:
    @pytest.mark.parametrize(
        ("word", "mark"),
        [
            ("tab", "\t"),
            ("\t", "\t"),
            (";", ";"),
            ("semicolon", ";"),
            ("|", "|"),
            ("whitespace", " \t  "),
        ],
    )
    def test_named_by_word_or_character(self, word, mark, written):
        path = written("edges.csv", EDGES.replace(",", mark))
        assert edges_of(read(path, separator=word)) == EXPECTED

    @pytest.mark.parametrize(
        ("mark", "word"), [("\t", "tab"), (";", "semicolon"), (" ", "whitespace")]
    )
    def test_one_column_names_the_one_that_fits(self, mark, word, written):
        path = written("edges.csv", EDGES.replace(",", mark))
        assert f"they seem to split at {word}: set separator" in message(path)

    def test_a_header_with_blanks_over_tabs(self, written):
        """As the lists of 1986 are: neither reads alone, any run of both does."""
        path = written("edges.csv", "pre post type n\r\nA\tB\tEJ\t3\r\nB\tC\tS\t4\r\n")
        assert "they seem to split at whitespace" in message(path)
        found = read(path, separator="whitespace", weight="n")
        assert edges_of(found) == {("A", "B"): 3, ("B", "C"): 4}

    def test_a_column_of_words_is_no_mistake(self, written):
        path = written("ids.csv", "name of the cell\nA\nB\n")
        assert read_table(path).iloc[:, 0].tolist() == ["A", "B"]

    def test_tabs_in_txt_keep_empty_cells_in_place(self, written):
        path = written("cells.txt", "id\ttype\tside\nA\t\tleft\nB\tT4\t\n")
        found = read_table(path)
        assert found["side"].tolist()[0] == "left"
        assert found["type"].isna().tolist() == [True, False]

    def test_blanks_cannot_hold_an_empty_cell(self, written):
        path = written("edges.txt", "pre post weight\nA B 3\nB 4\n")
        assert "1 lines have fewer than 3 columns, the first is line 3" in message(path)

    def test_a_missing_value_that_is_written_is_none_too_few(self, written):
        path = written("cells.txt", "id type\nA NA\nB 'x y'\n".replace("'", '"'))
        assert read_table(path)["type"].isna().tolist() == [True, False]

    @pytest.mark.parametrize("word", ["", ",,", "blank", "\n"])
    def test_what_is_no_separator(self, word, written):
        assert "is neither one character nor one of ['tab'" in message(
            written("edges.csv", EDGES), separator=word
        )

    def test_more_cells_than_names(self, written):
        """pandas takes the first column for an index, and every other moves to the left."""
        path = written("edges.csv", "pre,post\n1,7,2,\n1,8,2,\n")
        assert "lines have more columns than the header names, ['pre', 'post']" in message(
            path, weight=None
        )


class TestCommentsAndHeaders:
    def test_lines_of_comment(self, written):
        text = "# made by hand\n# twice\n" + EDGES.replace("B,C", "# no\nB,C")
        assert edges_of(read(written("edges.csv", text), comment="#")) == EXPECTED

    def test_a_name_with_the_mark_of_comments_stays_whole(self, written):
        """pandas cuts lines at the mark, wherever it stands."""
        path = written("edges.csv", "# x\npre,post,weight\nA#1,A#2,3\n")
        assert edges_of(read(path, comment="#")) == {("A#1", "A#2"): 3}

    def test_remarks_at_the_ends_of_lines_between_blanks(self, written):
        """No cell of such a table holds a blank, but a name may hold the mark; tabs count too."""
        text = "# cells\n\npre post weight\nA#1  A#2\t2 # was 1, see there\nA#2 A#1\t1\t\n"
        path = written("edges.txt", text)
        expected = {("A#1", "A#2"): 2, ("A#2", "A#1"): 1}
        assert edges_of(read(path, comment="#")) == expected
        assert "set separator to what splits them, and skip or comment" in message(path)

    def test_a_cell_with_a_blank_and_the_mark_of_comments_stays_whole(self, written):
        path = written("edges.csv", "pre,post,weight\ncell #1,cell #2,3\n")
        assert edges_of(read(path, comment="#")) == {("cell #1", "cell #2"): 3}

    def test_lines_above(self, written):
        path = written("edges.csv", "\ufeffExported\n\n" + EDGES)
        assert edges_of(read(path, skip=2)) == EXPECTED

    def test_columns_without_a_header_are_numbered(self, written):
        path = written("edges.csv", EDGES.split("\n", 1)[1])
        assert edges_of(read(path, header=False, pre="1", post="2", weight="3")) == EXPECTED

    def test_columns_can_be_named(self, written):
        path = written("edges.csv", EDGES.split("\n", 1)[1])
        assert edges_of(read(path, header=["pre", "post", "weight"])) == EXPECTED
        assert edges_of(read(path, header=["post", "pre", "weight"])) != EXPECTED

    def test_a_header_that_is_replaced(self, written):
        path = written("edges.csv", EDGES.replace("pre,post,weight", '"","from"'))
        assert edges_of(read(path, skip=1, header=["pre", "post", "weight"])) == EXPECTED

    @pytest.mark.parametrize("names", [["pre", "post"], ["pre", "post", "weight", "more"]])
    def test_all_columns_are_named_or_none(self, names, written):
        path = written("edges.csv", EDGES)
        assert f"has 3 columns, and header names {len(names)}" in message(path, header=names)

    def test_numbers_without_names_are_a_matrix(self, written):
        path = written("W.txt", "0 1.5\n-2 0\n")
        assert read(path, header=False).weights.toarray().tolist() == [[0, 1.5], [-2, 0]]
        found = read(path, header=False, rows="pre").weights.toarray().tolist()
        assert found == [[0, -2], [1.5, 0]]

    def test_a_list_without_names_is_no_matrix(self, written):
        found = message(written("edges.csv", "A,B,3\nB,C,4\n"), header=False)
        assert "2 rows of 3 columns, 1 of them numbers, expected a square matrix" in found
        assert "such as pre='1', post='2'" in found

    def test_what_is_said_of_a_text_but_the_file_is_none(self, tmp_path):
        np.save(tmp_path / "W.npy", np.zeros((2, 2)))
        pd.DataFrame({"pre": [1]}).to_parquet(tmp_path / "e.parquet")
        for name in ("W.npy", "e.parquet"):
            with pytest.raises(ValidationError, match=f"separator says how .csv.*{name} is none"):
                TableSource(path=name, separator=";")
        assert "skip says how .csv, .tsv, .txt, .xlsx are laid out" in message(
            tmp_path / "e.parquet", skip=3
        )


LONG = [80152954824646675, None, 720575940596125869]


@pytest.mark.parametrize("suffix", [".csv", ".tsv.gz", ".txt", ".parquet", ".feather"])
def test_long_ids_beside_a_gap_keep_their_digits(suffix, tmp_path):
    """pandas reads them as decimal numbers, where the first ends in 672."""
    table = pd.DataFrame(
        {"id": [1, 2, 3], "root": pd.array(LONG, "Int64"), "x": [0.5, None, 2.0], "y": [1.0, 2, 3]}
    )
    path = tmp_path / f"cells{suffix}"
    match suffix:
        case ".parquet":
            table.to_parquet(path)
        case ".feather":
            table.to_feather(path)
        case _:
            table.to_csv(path, index=False, sep="," if suffix == ".csv" else "\t")
    found = read_table(path)
    assert [None if pd.isna(one) else int(one) for one in found["root"]] == LONG
    assert found["x"].tolist()[::2] == [0.5, 2.0]


def test_17_and_the_text_17_are_one_neuron_in_a_long_list(written):
    """pandas reads in chunks, and a column whose first chunk is of numbers has both."""
    lines = ["17,18,1\n"] * 400_000 + ["17,AVAL,1\nAVAL,17,1\n"]
    path = written("long.csv", "pre,post,weight\n" + "".join(lines))
    assert edges_of(read(path)) == {
        ("17", "18"): 400_000,
        ("17", "AVAL"): 1,
        ("AVAL", "17"): 1,
    }


class TestOtherTables:
    """The table of neurons and those of synapses can be laid out in their own way."""

    def test_neurons(self, written):
        path = written("edges.csv", EDGES)
        cells = written("cells.txt", "# cells\nB;T5\nA;T4\nC;T5\n")
        about = TableFile(path=str(cells), separator=";", comment="#", header=("id", "cell_type"))
        found = read(path, about)
        assert found.neurons.to_dict("list") == {
            "id": ["B", "A", "C"],
            "cell_type": ["T5", "T4", "T5"],
        }
        assert set(found.origin.files) == {"edges.csv", "cells.txt"}
        assert edges_of(found) == EXPECTED

    def test_synapses_and_cells(self, written):
        mine = Release(
            "mine", "pre", "post", "size", "id", "type", ("x", "y", "z"), unit="um2", sha256={}
        )
        synapses = written("synapses.csv.gz", "")
        synapses.write_bytes(gzip.compress(b"1;2;0.5\n1;2;1\n"))
        cells = written("cells.CSV", "id,type,x,y,z\n1,a,0,0,0\n2,b,0,0,0\n")
        table = TableFile(path=str(synapses), separator=";", header=("pre", "post", "size"))
        assert edges_of(read_synapses(table, cells, mine, Filters())) == {(1, 2): 1.5}

    def test_a_config_names_a_path_or_a_section(self):
        source = TableSource(path="e.csv", neurons="cells.tsv")
        assert source.neurons == TableFile(path="cells.tsv")
        source = SynapseSource(synapses={"path": "s.txt", "header": False}, cells="c.feather")
        assert source.synapses.header is False
        with pytest.raises(ValidationError, match=r"c\.doc: unknown kind '\.doc'"):
            SynapseSource(synapses="s.csv", cells="c.doc")
        with pytest.raises(ValidationError, match="separator says how"):
            TableSource(path="e.csv", neurons={"path": "c.feather", "separator": ","})

"""Columns of users' tables: blanks, kinds of integers, ids of text and of numbers, groups."""

import itertools

import numpy as np
import pandas as pd
import pytest

from ngpipe.errors import ConnectomeError
from ngpipe.wiring import columns
from ngpipe.wiring.sources.tables import Connectome, read

A, B, C = 720575940596125868, 720575940596125869, 720575940596125871
"""Ids of the fly that are one and the same as float64."""
LONG = ("int64", "uint64", "Int64", "UInt64", "int64[pyarrow]", "uint64[pyarrow]", "object")
SHORT = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "Int8", "UInt32", "int16[pyarrow]")


def as_type(values, dtype):
    return pd.Series(values, dtype="object" if dtype == "category" else dtype).astype(dtype)


def message(call, *args, **kwargs) -> str:
    with pytest.raises(ConnectomeError) as caught:
        call(*args, **kwargs)
    return str(caught.value)


def arrows(pre, post, weight=(1, 2, 3)) -> pd.DataFrame:
    return pd.DataFrame({"pre": pre, "post": post, "weight": weight})


class TestIntegers:
    @pytest.mark.quick
    @pytest.mark.parametrize(("ends", "table"), list(itertools.product(LONG, LONG)))
    def test_ids_of_all_types_meet(self, ends, table):
        """A -> B 1, B -> C 2, C -> A 3, where A and B are the same number as floats."""
        rows = arrows(as_type([A, B, C], ends), as_type([B, C, A], table))
        neurons = pd.DataFrame({"id": as_type([C, A, B], table)})
        found = Connectome.from_edges(rows, neurons)
        expected = {(A, B): 1, (B, C): 2, (C, A): 3}
        assert found.ids.tolist() == [C, A, B]
        for one in (found, Connectome.from_edges(rows)):
            edges = one.edges()
            assert {(r.pre, r.post): r.weight for r in edges.itertuples()} == expected

    @pytest.mark.quick(3)
    @pytest.mark.parametrize(("ends", "table"), list(itertools.product(LONG, LONG)))
    def test_ids_of_all_types_are_kept_by_a_store(self, ends, table, tmp_path):
        rows = arrows(as_type([A, B, C], ends), as_type([B, C, A], table))
        Connectome.from_edges(rows, pd.DataFrame({"id": as_type([C, A, B], table)})).save(
            tmp_path / "c.zarr"
        )
        edges = Connectome.load(tmp_path / "c.zarr").edges()
        expected = {(A, B): 1, (B, C): 2, (C, A): 3}
        assert {(r.pre, r.post): r.weight for r in edges.itertuples()} == expected

    @pytest.mark.quick
    @pytest.mark.parametrize("suffix", ["csv", "parquet", "feather"])
    @pytest.mark.parametrize("dtype", LONG)
    def test_through_files(self, dtype, suffix, tmp_path):
        rows = arrows(as_type([A, B, C], dtype), as_type([B, C, A], dtype))
        neurons = pd.DataFrame({"id": [A, B, C]})
        for name, table in {"e": rows, "n": neurons}.items():
            path = tmp_path / f"{name}.{suffix}"
            table.to_csv(path, index=False) if suffix == "csv" else getattr(table, f"to_{suffix}")(
                path
            )
        found = read(tmp_path / f"e.{suffix}", tmp_path / f"n.{suffix}")
        edges = found.edges().to_dict("list")
        assert edges == {"pre": [C, A, B], "post": [A, B, C], "weight": [3, 1, 2]}

    @pytest.mark.quick
    @pytest.mark.parametrize("dtype", [*SHORT, *LONG, "category"])
    def test_short_numbers(self, dtype):
        rows = arrows(as_type([1, 2, 3], dtype), as_type([2, 3, 1], dtype))
        found = Connectome.from_edges(rows, pd.DataFrame({"id": [1, 2, 3]}))
        assert found.edges().values.tolist() == [[3, 1, 3], [1, 2, 1], [2, 3, 2]]
        assert found.neurons["id"].dtype == np.int64

    @pytest.mark.quick(2)
    @pytest.mark.parametrize("dtype", ["uint64", "UInt64", "uint64[pyarrow]", "object"])
    def test_ids_from_2_to_the_63_on(self, dtype, tmp_path):
        ids = [2**63, 2**64 - 1, 5]
        rows = arrows(as_type(ids, dtype), as_type([*ids[1:], ids[0]], dtype))
        found = Connectome.from_edges(rows)
        found.save(tmp_path / "c.zarr")
        loaded = Connectome.load(tmp_path / "c.zarr")
        assert loaded.ids.tolist() == found.ids.tolist() == sorted(ids)
        assert loaded.digest() == found.digest()

    def test_a_negative_id_is_no_large_one(self):
        """-1 and 2^64 - 1 are the same bits."""
        rows = arrows([-1, 5, 7], [5, 7, 5])
        neurons = pd.DataFrame({"id": np.array([2**64 - 1, 5, 7], np.uint64)})
        found = message(Connectome.from_edges, rows, neurons)
        assert "1 of 3 edges belong to 1 neurons that the neuron table lacks, -1;" in found


class TestText:
    def test_blanks_around_names_do_not_count(self, tmp_path):
        path = tmp_path / "pad.csv"
        path.write_text(
            "Source, Target ,Weight,Type\nI1L , I2L           ,10,chemical\n"
            "I2L , I1L           ,2,chemical\n"
        )
        found = read(path, pre="Source", post="Target", weight="Weight")
        assert found.edges().values.tolist() == [["I2L", "I1L", 2], ["I1L", "I2L", 10]]

    @pytest.mark.parametrize("dtype", ["str", "object", "category", "string", "string[pyarrow]"])
    def test_in_tables_of_neurons_too(self, dtype):
        neurons = pd.DataFrame({" id": [" b", "a "], "cell_type ": ["T4 ", " "]}).astype(dtype)
        rows = arrows(["a", "b "], ["b", " a"], [1, 2]).astype({"pre": dtype, "post": dtype})
        found = Connectome.from_edges(rows, neurons)
        assert found.neurons.columns.tolist() == ["id", "cell_type"]
        assert found.ids.tolist() == ["b", "a"]
        assert found.weights.toarray().tolist() == [[0, 1], [2, 0]]
        assert {name: who.tolist() for name, who in found.groups().items()} == {"T4": [0]}

    def test_a_blank_id_is_missing(self):
        rows = arrows(["a", " ", "b"], ["b", "a", "a"])
        assert "column 'pre' lacks 1 of 3 ids, the first in row 1" in message(
            Connectome.from_edges, rows
        )

    def test_columns_of_one_name(self):
        rows = pd.DataFrame([["a", "b", "c", 1]], columns=["pre", "post", "post ", "weight"])
        found = message(Connectome.from_edges, rows)
        assert "the table of edges has several columns called 'post'" in found


class TestTextMeetsNumbers:
    def test_numbers_are_found_among_text_and_the_other_way_round(self):
        rows = arrows([17, 4, 17], [4, 17, 17])
        text = Connectome.from_edges(rows, pd.DataFrame({"id": ["17", "4", "muscle"]}))
        assert text.ids.tolist() == ["17", "4", "muscle"]
        assert text.edges().values.tolist() == [["17", "17", 3], ["4", "17", 2], ["17", "4", 1]]
        assert "ids of 'pre' are numbers, of 'id' text: joined as text" in text.origin.notes
        numbers = Connectome.from_edges(rows.astype({"pre": str}), pd.DataFrame({"id": [17, 4]}))
        assert numbers.edges().values.tolist() == [[17, 17, 3], [4, 17, 2], [17, 4, 1]]

    @pytest.mark.parametrize("word", ["017", "17.0", "+17", "1.7e1"])
    def test_text_that_may_be_a_number_or_not_is_refused(self, word):
        rows = arrows([17, 4, 17], [4, 17, 17])
        found = message(Connectome.from_edges, rows, pd.DataFrame({"id": [word, "4"]}))
        assert f"'id' holds the text '{word}', which may mean a number of 'pre' or be" in found
        text = Connectome.from_edges(
            arrows([word, "4"], ["4", word], [1, 2]), pd.DataFrame({"id": [word, "4"]})
        )
        assert text.ids.tolist() == [word, "4"]


class TestNeuronTable:
    CAVE = pd.DataFrame({"id": [101, 102], "pt_root_id": [10, 20], "cell_type": ["23P", "4P"]})

    def test_the_column_that_is_named_is_the_id(self):
        rows = arrows([10], [20], [1])
        found = Connectome.from_edges(rows, self.CAVE, id="pt_root_id")
        assert found.neurons.to_dict("list") == {"id": [10, 20], "cell_type": ["23P", "4P"]}
        assert "column 'id' of the neuron table left out: 'pt_root_id' is the id" in (
            found.origin.notes
        )

    def test_another_name_for_the_other_column(self):
        found = Connectome.from_edges(
            arrows([10], [20], [1]), self.CAVE, id="pt_root_id", rename={"id": "row"}
        )
        assert found.neurons["row"].tolist() == [101, 102]
        assert found.ids.tolist() == [10, 20]

    def test_an_id_that_is_not_there(self):
        found = message(Connectome.from_edges, arrows([10], [20], [1]), self.CAVE, id="root_id")
        assert "columns ['id', 'pt_root_id', 'cell_type'], expected 'root_id' among" in found

    def test_a_new_name_that_is_taken(self):
        """The columns that the table of FlyWire has."""
        table = pd.DataFrame({"id": [1], "hemibrain_type": ["T4"], "cell_type": ["T4a"]})
        rename = {"hemibrain_type": "cell_type"}
        rows = arrows([1], [1], [1])
        found = message(Connectome.from_edges, rows, table, rename=rename)
        assert "makes 'hemibrain_type' to 'cell_type', but the neuron table has a column" in found
        assert "'cell_type': 'other_cell_type'" in found
        both = rename | {"cell_type": "other"}
        named = Connectome.from_edges(rows, table, rename=both).neurons
        assert named.to_dict("list") == {"id": [1], "cell_type": ["T4"], "other": ["T4a"]}

    def test_a_column_to_rename_that_is_not_there(self):
        rows = arrows([10], [20], [1])
        found = message(Connectome.from_edges, rows, self.CAVE, rename={"hemisphere": "side"})
        assert "expected 'hemisphere' among them" in found


class TestWhere:
    ROWS = pd.DataFrame(
        {
            "pre": list("aabb"),
            "post": list("bbaa"),
            "weight": [1, 2, 4, 8],
            "Type": ["chemical ", "electrical", "chemical", "neuromuscular"],
            "layer": pd.array([1, 2, None, 1], "Int64"),
        }
    )

    @pytest.mark.parametrize(
        ("where", "total"),
        [
            ({"Type": "chemical"}, 5),
            ({"Type": ["chemical", "neuromuscular"]}, 13),
            ({"layer": 1}, 9),
            ({"layer": ("1", 2.0)}, 11),
            ({"Type": "chemical", "layer": 1}, 1),
        ],
    )
    def test_only_rows_of_these_values_count(self, where, total):
        assert Connectome.from_edges(self.ROWS, where=where).weights.sum() == total

    def test_what_was_left_out_is_counted(self):
        counts = Connectome.from_edges(self.ROWS, where={"Type": "chemical"}).origin.counts
        assert counts["rows"] == 4
        assert counts["rows_of_other_Type"] == 2

    def test_a_value_or_a_column_that_is_not_there(self):
        found = message(Connectome.from_edges, self.ROWS, where={"Type": "chem"})
        assert "where: no edge has Type chem; the values of 'Type' are chemical, elect" in found
        found = message(Connectome.from_edges, self.ROWS, where={"type": "chemical"})
        assert "not ['type']; name them with" in found

    def test_a_matrix_has_no_rows_to_choose(self, tmp_path):
        np.save(tmp_path / "W.npy", np.eye(2))
        found = message(read, tmp_path / "W.npy", where={"Type": "chemical"})
        assert "the file holds a matrix, not a table of edges; leave where out" in found


class TestGroups:
    @pytest.mark.quick
    @pytest.mark.parametrize("dtype", ["int64", "Int64", "uint8", "float64", "object", "category"])
    @pytest.mark.parametrize("value", [20, 20.0, "20", np.int8(20)])
    def test_a_group_is_named_by_the_text_a_user_sees(self, dtype, value):
        found = Connectome(np.eye(3), pd.DataFrame({"id": [1, 2, 3]}))
        found = found.described(group=as_type([20, 1, 20], dtype))
        assert found.indices("group", value).tolist() == [0, 2]
        assert columns.labels(found.neurons["group"]).tolist() == ["20", "1", "20"]

    @pytest.mark.parametrize("dtype", ["Int64", "float64", "int64[pyarrow]", "object"])
    def test_with_a_gap_too(self, dtype):
        column = as_type([20, None, 3], dtype)
        assert columns.labels(column).tolist() == ["20", None, "3"]

    def test_decimal_numbers_and_truth(self):
        assert columns.labels(pd.Series([0.5, 2.0, 1e-3])).tolist() == ["0.5", "2", "0.001"]
        assert columns.labels(pd.Series([0.1], dtype="float32")).tolist() == ["0.1"]
        found = Connectome(np.eye(2), pd.DataFrame({"id": [1, 2], "known": [True, False]}))
        assert found.indices("known", True).tolist() == [0]
        assert found.indices("known", "false").tolist() == [1]

"""Tables: rows are frames or neurons as a column or the config says, never by a guess."""

import numpy as np
import pandas as pd
import pytest
from reading import names, read

from ngpipe.errors import RecordingError

LABELS = ("AVAL", "AVAR", "RIM")


@pytest.fixture
def values(rng):
    return rng.normal(size=(12, 3)).round(6)


def stored(table, path):
    kind = path.name.partition(".")[2]
    if kind == "parquet":
        table.to_parquet(path)
    elif kind == "xlsx":
        table.to_excel(path, index=False, sheet_name="day1")
    else:
        table.to_csv(path, index=False)
    return path


KINDS = pytest.mark.parametrize("name", ["a.csv", "a.csv.gz", "a.parquet", "a.xlsx"])


@KINDS
def test_a_row_for_each_frame(tmp_path, values, name):
    table = pd.DataFrame(values, columns=LABELS)
    table.insert(0, "ms", np.arange(12) * 50.0)
    table["trial"] = ["a"] * 5 + ["b"] * 7
    path = stored(table, tmp_path / name)
    found = read(path, time="ms", time_unit="ms", segment="trial")
    np.testing.assert_allclose(found.values, values)
    np.testing.assert_allclose(found.times, np.arange(12) / 20)
    assert found.labels == LABELS
    assert "".join(found.segments) == "aaaaabbbbbbb"


@KINDS
def test_a_row_for_each_neuron(tmp_path, values, name):
    table = pd.DataFrame(values.T, columns=[f"frame{k}" for k in range(12)])
    table.insert(0, "neuron", LABELS)
    path = stored(table, tmp_path / name)
    found = read(path, labels="neuron")
    np.testing.assert_allclose(found.values, values)
    assert found.labels == LABELS
    with pytest.raises(RecordingError, match=r"set source\.axes"):
        read(path)


def test_a_square_table_is_told_by_its_columns(tmp_path, values):
    table = pd.DataFrame(values[:3], columns=LABELS)
    table["t"] = np.arange(3)
    path = stored(table, tmp_path / "a.csv")
    np.testing.assert_allclose(read(path, time="t").values, values[:3])
    np.testing.assert_allclose(read(path, labels="t").values, values[:3].T)


def test_numbers_in_the_first_line_are_values(tmp_path, values):
    """As numpy.savetxt writes them; a first line that counts is a header, as pandas writes it."""
    np.savetxt(tmp_path / "a.csv", values, delimiter=",")
    found = read(tmp_path / "a.csv", axes="time_neuron")
    np.testing.assert_allclose(found.values, values)
    assert any("first line holds numbers" in note for note in found.notes)
    pd.DataFrame(values).to_csv(tmp_path / "b.csv")
    found = read(tmp_path / "b.csv", axes="time_neuron")
    np.testing.assert_allclose(found.values, values)
    assert found.labels == ("0", "1", "2")
    assert any("only counts the rows" in note for note in found.notes)


def test_an_index_of_pandas_is_a_column(tmp_path, values):
    index = pd.Index(np.arange(12) / 10, name="t")
    pd.DataFrame(values, columns=LABELS, index=index).to_parquet(tmp_path / "a.parquet")
    found = read(tmp_path / "a.parquet", time="t")
    np.testing.assert_allclose(found.values, values)
    np.testing.assert_allclose(found.times, np.arange(12) / 10)


def test_dates_are_times(tmp_path, values):
    table = pd.DataFrame(values, columns=LABELS)
    table["at"] = pd.date_range("2026-01-01", periods=12, freq="20ms")
    found = read(stored(table, tmp_path / "a.parquet"), time="at")
    np.testing.assert_allclose(found.times, np.arange(12) / 50)


def test_sheets_are_series(tmp_path, values):
    path = tmp_path / "a.xlsx"
    with pd.ExcelWriter(path) as book:
        for k, name in enumerate(("day1", "day2")):
            table = pd.DataFrame(values * (k + 1), columns=LABELS)
            table.assign(s=np.arange(12)).to_excel(book, sheet_name=name, index=False)
    assert names(path) == ["day1", "day2"]
    found = read(path, series="day2", time="day2/s")
    np.testing.assert_allclose(found.values, values * 2)
    assert found.labels == LABELS


def test_empty_cells_are_no_values(tmp_path, values):
    values[2, 1] = np.nan
    path = stored(pd.DataFrame(values, columns=LABELS), tmp_path / "a.csv")
    np.testing.assert_allclose(read(path, axes="time_neuron").values, values)


@pytest.mark.parametrize(
    ("content", "source", "words"),
    [
        ("a,b\nx,y\n", {}, "no column of 'a' holds numbers alone"),
        ("t,a,n\n0,1,x\n1,2,y\n", {"time": "t", "labels": "n"}, "leave source.labels out"),
        ("t,a\n0,1\n1,2\n", {"time": "s"}, "has no array 's'"),
        ("t\n0\n1\n", {"time": "t"}, "no column of numbers is left"),
        (
            "time_s,a\n0,1\n1,2\n2,0\n",
            {"axes": "time_neuron"},
            "'time_s' would be taken for a neuron.*set source.time: time_s",
        ),
    ],
)
def test_a_table_that_does_not_fit_is_told(tmp_path, content, source, words):
    (tmp_path / "a.csv").write_text(content)
    with pytest.raises(RecordingError, match=words):
        read(tmp_path / "a.csv", **source)

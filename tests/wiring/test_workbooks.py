"""Sheets of Excel: edge lists, and labelled sheets whose names stand anywhere."""

import openpyxl
import pytest

from ngpipe.errors import ConnectomeError, StoreError
from ngpipe.wiring.sources.tables import TableFile, read, read_table

EDGES = [("pre", "post", "type", "n"), ("A", "B", "chemical", 3), ("B", "A", "chemical", 4)]
# groups in the first two rows and columns, names in the third, as the worm's sheets have them
LABELLED = [
    (None, None, None, "PHARYNX", None),
    (None, None, None, None, None),
    (None, None, None, "I1", "I2"),
    ("PHARYNX", None, "I1", None, 10),
    (None, None, "I2", 2, None),
    (None, None, "body wall", 1, None),
]


@pytest.fixture
def book(tmp_path):
    def write(**sheets):
        book = openpyxl.Workbook()
        book.remove(book.active)
        for name, rows in sheets.items():
            sheet = book.create_sheet(name)
            for row in rows:
                sheet.append(row)
        book.save(tmp_path / "book.xlsx")
        return tmp_path / "book.xlsx"

    return write


def edges_of(connectome) -> dict[tuple, float]:
    return {(pre, post): weight for pre, post, weight in connectome.edges().values.tolist()}


def message(path, **options) -> str:
    with pytest.raises((StoreError, ConnectomeError)) as caught:
        read(path, **options)
    return str(caught.value)


def test_an_edge_list_and_its_neurons(book):
    path = book(edges=EDGES, cells=[("id", "side"), ("B", "left"), ("A", "right")])
    cells = TableFile(path=str(path), sheet="cells")
    found = read(path, cells, sheet="edges", weight="n")
    assert edges_of(found) == {("A", "B"): 3, ("B", "A"): 4}
    assert found.neurons["side"].tolist() == ["left", "right"]


def test_a_sheet_is_to_be_named(book):
    path = book(first=EDGES, second=EDGES)
    assert "holds the sheets ['first', 'second'], not None; name one in sheet" in message(path)
    assert "not 'third'" in message(path, sheet="third")
    assert read(book(only=EDGES), weight="n").n_edges == 2


def test_names_below_and_beside_groups(book):
    found = read(book(W=LABELLED), corner="C3", rows="pre")
    expected = {("I1", "I2"): 10, ("I2", "I1"): 2, ("body wall", "I1"): 1}
    assert edges_of(found) == expected
    assert len(found) == 3


def test_the_same_in_text(tmp_path):
    lines = [",".join("" if cell is None else str(cell) for cell in row) for row in LABELLED]
    (tmp_path / "W.csv").write_text("\n".join(lines))
    found = read(tmp_path / "W.csv", corner="c3")
    assert edges_of(found)[("I2", "I1")] == 10


def test_rows_without_a_name_are_left_out(book):
    numbered = [(None, None, "A", "B"), (None, None, 1, 2), ("A", 1, 0, 5), ("B", 2, 6, 0)]
    assert edges_of(read(book(W=numbered), corner="A1")) == {("B", "A"): 5, ("A", "B"): 6}


@pytest.mark.parametrize("corner", ["Z99", "A1", "E6"])
def test_a_corner_where_no_names_meet(corner, book):
    found = message(book(W=LABELLED), corner=corner)
    assert "correct corner" in found


def test_formulas_without_values(book):
    """No program has computed them; they would read as empty cells, so as no edges."""
    rows = [*EDGES, ("A", "A", "chemical", "=1+1")]
    assert "holds 1 formulas without their values" in message(book(edges=rows), weight="n")


def test_a_header_of_ones_own_below_others(book):
    rows = [("exported 2020",), *EDGES]
    names = ("pre", "post", "type", "weight")
    path = book(edges=rows)
    assert edges_of(read(path, skip=2, header=names)) == {("A", "B"): 3, ("B", "A"): 4}
    assert edges_of(read(path, skip=1, weight="n")) == {("A", "B"): 3, ("B", "A"): 4}


@pytest.mark.parametrize("ids", [[720575940596126000, 720575940596127000], [10**17 + 1, None]])
def test_ids_that_a_spreadsheet_has_rounded(ids, book):
    """It keeps 15 digits."""
    path = book(cells=[("id", "side"), *((one, "left") for one in ids)])
    with pytest.raises(StoreError, match=r"\['id'\] hold numbers of more than 15 digits"):
        read_table(path)


def test_what_is_no_workbook(tmp_path):
    (tmp_path / "e.xlsx").write_text("pre,post")
    with pytest.raises(StoreError, match=r"e\.xlsx cannot be read as \.xlsx"):
        read_table(tmp_path / "e.xlsx")

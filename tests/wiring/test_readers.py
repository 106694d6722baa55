"""Every reader against a slow, obvious one: a dictionary of edges, whatever type columns have."""

import json
from dataclasses import replace
from itertools import cycle, product

import networkx as nx
import numpy as np
import pandas as pd
import pytest
from examples import at_most
from hypothesis import HealthCheck, given
from hypothesis import strategies as st

from ngpipe.wiring.columns import label, labels
from ngpipe.wiring.sources.synapses import PHASE1, Filters, from_synapses
from ngpipe.wiring.sources.tables import Connectome, read

few = at_most(
    25,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
SIGNED = ("int64", "Int64", "int64[pyarrow]")
UNSIGNED = ("uint64", "UInt64", "uint64[pyarrow]")
TEXT = ("str", "category of str", "string", "string[pyarrow]")
BASES = {"small": 0, "long": 720575940596125868, "huge": 2**63 - 1}
PADS = ("{}", "{} ", " {}", "  {}\t")


def typed(values: list, dtype: str) -> pd.Series:
    """A column of that type; text is filled up with blanks in different ways."""
    if dtype in TEXT:
        values = [pad.format(value) for pad, value in zip(cycle(PADS), values, strict=False)]
    if dtype.startswith("category"):
        return pd.Series(values, dtype=object).astype("category")
    if dtype in UNSIGNED:  # a list pandas may take through decimal numbers
        return pd.Series(np.array(values, dtype="uint64"), dtype=dtype)
    return pd.Series(values, dtype=dtype)


@st.composite
def circuits(draw, objects=True):
    """Rows of edges, a table of all neurons in some order, and the dictionary of edges."""
    n = draw(st.integers(1, 5))
    kind = draw(st.sampled_from(["text", *BASES]))
    names = [f"N{i:02d}" if kind == "text" else BASES[kind] + i for i in range(n)]
    types = TEXT if kind == "text" else (*UNSIGNED, *TEXT)
    types = (*types, *SIGNED) if kind in ("small", "long") else types
    if objects:
        types = (*types, "object", "category of objects")
    elif kind == "huge":  # pandas reads such numbers with blanks around them as decimal numbers
        types = UNSIGNED
    ends = st.integers(0, n - 1)
    rows = draw(st.lists(st.tuples(ends, ends, st.integers(-9, 9)), min_size=1, max_size=12))
    of = {name: draw(st.sampled_from(types)) for name in ("pre", "post", "id")}
    table = pd.DataFrame(
        {
            "pre": typed([names[pre] for pre, _, _ in rows], of["pre"]),
            " post": typed([names[post] for _, post, _ in rows], of["post"]),
            "weight ": draw(st.sampled_from(["int64", "Int64", "float64", "int8", "object"])),
        }
    )
    table["weight "] = pd.Series([w for _, _, w in rows], dtype=table["weight "].iloc[0])
    order = draw(st.permutations(range(n)))
    neurons = pd.DataFrame({"id ": typed([names[i] for i in order], of["id"])})
    neurons["group"] = pd.array([None if i == 0 else BASES["long"] + i for i in order], "Int64")
    expected: dict[tuple[str, str], float] = {}
    for pre, post, weight in rows:
        key = str(names[pre]), str(names[post])
        expected[key] = expected.get(key, 0) + weight
    return table, neurons, {key: weight for key, weight in expected.items() if weight}


def edges_of(found: Connectome) -> dict[tuple[str, str], float]:
    return {(label(r.pre), label(r.post)): r.weight for r in found.edges().itertuples()}


def written(table: pd.DataFrame, path):
    options = {} if path.suffix in (".parquet", ".feather") else {"index": False}
    if path.suffix == ".tsv":
        options["sep"] = "\t"
    writer = {".tsv": "to_csv"}.get(path.suffix, f"to_{path.suffix[1:]}")
    getattr(table, writer)(path, **options)
    return path


@few
@given(circuits())
def test_tables_in_memory(tmp_path, drawn):
    """With and without a table of neurons, and through a store; groups keep all digits."""
    rows, neurons, expected = drawn
    found = Connectome.from_edges(rows, neurons)
    assert edges_of(found) == edges_of(Connectome.from_edges(rows)) == expected
    assert [label(one) for one in found.ids] == [label(one) for one in neurons["id "]]
    found.save(tmp_path / "c.zarr")
    loaded = Connectome.load(tmp_path / "c.zarr")
    assert edges_of(loaded) == expected
    assert loaded.digest() == found.digest()
    groups = labels(neurons["group"]).tolist()
    assert labels(loaded.neurons["group"]).tolist() == groups
    for group in filter(None, groups):
        assert loaded.indices("group", group).tolist() == [groups.index(group)]


@pytest.mark.quick(1)
@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".parquet", ".feather"])
@few
@given(circuits(objects=False))
def test_files_of_tables(tmp_path, suffix, drawn):
    rows, neurons, expected = drawn
    paths = [written(t, tmp_path / f"{n}{suffix}") for n, t in (("e", rows), ("n", neurons))]
    found = read(*paths)
    assert edges_of(found) == edges_of(read(paths[0])) == expected
    assert labels(found.neurons["group"]).tolist() == labels(neurons["group"]).tolist()


@few
@given(circuits(objects=False), st.booleans())
def test_sheets(tmp_path, drawn, with_sums):
    """Senders in rows, cells without an edge empty, labels filled up with blanks."""
    _, neurons, expected = drawn
    names = [label(one) for one in neurons["id "]]
    sheet = pd.DataFrame(np.nan, index=names, columns=names)
    for (pre, post), weight in expected.items():
        sheet.loc[pre, post] = weight
    if with_sums:
        sheet.loc["Total"], sheet["total "] = sheet.sum(), sheet.sum(axis=1)
    sheet.index = [f" {name} " for name in sheet.index]
    sheet.to_csv(tmp_path / "sheet.csv")
    found = read(tmp_path / "sheet.csv", rows="pre")
    assert edges_of(found) == expected
    assert [label(one) for one in found.ids] == names
    assert len(found.origin.notes) == 2 * with_sums
    assert edges_of(read(tmp_path / "sheet.csv", neurons, rows="pre")) == expected


@pytest.mark.quick(1)
@pytest.mark.parametrize("suffix", [".graphml", ".gml", ".json"])
@few
@given(circuits(objects=False))
def test_graphs(tmp_path, suffix, drawn):
    """Whatever the names are in the file, a table of the neurons says what they are."""
    _, neurons, expected = drawn
    graph = nx.DiGraph()
    graph.add_nodes_from(label(one) for one in neurons["id "])
    graph.add_weighted_edges_from((pre, post, weight) for (pre, post), weight in expected.items())
    path = tmp_path / f"g{suffix}"
    if suffix == ".json":
        path.write_text(json.dumps(nx.node_link_data(graph, edges="edges")))
    else:
        {".graphml": nx.write_graphml, ".gml": nx.write_gml}[suffix](graph, path)
    if not expected:
        return
    assert edges_of(read(path)) == expected
    found = read(path, written(neurons, tmp_path / "n.csv"))
    assert edges_of(found) == expected
    assert [label(one) for one in found.ids] == [label(one) for one in neurons["id "]]


@few
@given(circuits(objects=False))
def test_matrices(tmp_path, drawn):
    _, neurons, expected = drawn
    names = [label(one) for one in neurons["id "]]
    matrix = [[expected.get((pre, post), 0) for pre in names] for post in names]
    np.save(tmp_path / "W.npy", np.array(matrix))
    assert edges_of(read(tmp_path / "W.npy", neurons)) == expected


@few
@given(circuits())
def test_synapses_and_cells(drawn):
    """A row each synapse; cells of another type, and their synapses, are left out."""
    rows, neurons, _ = drawn
    names = {"pre": "pre_root_id", " post": "post_root_id ", "weight ": "cleft_vx"}
    kinds = pd.Series(["a "] + ["b"] * (len(neurons) - 1), dtype="category")
    cells = neurons.rename(columns={"id ": "pt_root_id", "group": "supervoxel"})
    cells = cells.assign(cell_type=kinds, pt_position=[[1, 2, 3]] * len(cells))
    chosen = {"a"} if len(rows) % 2 else {"a", "b"}
    expected: dict[tuple[str, str], float] = {}
    members = {label(i) for i, k in zip(cells["pt_root_id"], kinds, strict=True) if k[0] in chosen}
    known = members - {"0"}  # no cell
    for pre, post, weight in rows.itertuples(index=False):
        key = label(pre), label(post)
        if set(key) <= known:
            expected[key] = expected.get(key, 0) + weight
    if not expected:
        return
    filters = replace(Filters(), cell_type=tuple(chosen), min_synapses=0)
    found = from_synapses(rows.rename(columns=names), cells, PHASE1, filters)
    assert edges_of(found) == {key: weight for key, weight in expected.items() if weight}


SMALL = ("int8", "uint8", "Int16", "UInt16", "int32[pyarrow]", "uint32", "object", "str")


@pytest.mark.quick
@pytest.mark.parametrize(("ends", "table"), list(product(SMALL, SMALL)))
def test_short_types_meet(ends, table):
    rows = pd.DataFrame({"pre": typed([1, 2], ends), "post": typed([2, 2], ends), "weight": [3, 4]})
    found = Connectome.from_edges(rows, pd.DataFrame({"id": typed([2, 1], table)}))
    assert edges_of(found) == {("1", "2"): 3, ("2", "2"): 4}

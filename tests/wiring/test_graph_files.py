"""Graph files as networkx, igraph, Gephi and people write them."""

import gzip
import json

import networkx as nx
import pandas as pd
import pytest

from ngpipe.errors import ConnectomeError, StoreError
from ngpipe.wiring.sources.tables import read

GML = """graph [ directed 1 node [ id 0 label "A" ] node [ id 1 label "B" ]
edge [ source 0 target 1 weight 3 ] edge [ source 0 target 1 weight 4 ] ]
"""
IGRAPH = """Creator "igraph version 0.10.13 Tue Apr  1 12:00:00 2025"
Version 1
graph
[
  directed 1
  node
  [
    id 0
    name "AVAL"
    celltype "inter"
  ]
  node
  [
    id 1
    name "DB01"
    celltype "motor"
  ]
  edge
  [
    source 0
    target 1
    weight 2.5
  ]
]
"""
GRAPHML = """<?xml version="1.0"?>
<graphml xmlns="http://graphml.graphdrawing.org/xmlns">
<key id="w" for="edge" attr.name="weight" attr.type="double"><default>2</default></key>
<key id="t" for="node" attr.name="cell_type" attr.type="string"><default>T4</default></key>
<key id="n" for="node" attr.name="name" attr.type="string"/>
<graph edgedefault="directed">
<node id="n0"><data key="t">T5</data><data key="n">a</data></node>
<node id="n1"><data key="n">b</data></node>
<edge source="n0" target="n1"/><edge source="n1" target="n0"><data key="w">7</data></edge>
MORE
</graph></graphml>
"""
GEXF = """<?xml version="1.0" encoding="UTF-8"?>
<gexf xmlns="http://www.gexf.net/1.2draft" version="1.2"><graph defaultedgetype="directed">
<attributes class="edge"><attribute id="0" title="synapses" type="integer"><default>5</default>
</attribute></attributes>
<nodes><node id="a" label="AVAL"/><node id="b" label="DB01"/></nodes>
<edges><edge id="0" source="a" target="b"FIRST/><edge id="1" source="b" target="a" weight="3">
<attvalues><attvalue for="0" value="9"/></attvalues></edge></edges></graph></gexf>
"""


@pytest.fixture
def written(tmp_path):
    def write(name: str, text: str):
        (tmp_path / name).write_text(text)
        return tmp_path / name

    return write


def edges_of(connectome) -> dict[tuple, float]:
    return {(pre, post): weight for pre, post, weight in connectome.edges().values.tolist()}


def message(kind, *args, **options) -> str:
    with pytest.raises(kind) as caught:
        read(*args, **options)
    return str(caught.value)


class TestWeights:
    """A missing weight is never 1 without a word."""

    @pytest.fixture(params=[".graphml", ".gml", ".json", ".gexf", ".graphml.gz"])
    def path(self, request, tmp_path):
        graph = nx.DiGraph()
        for pre, post, value in [("A", "B", 3), ("B", "C", 4), ("C", "A", 5)]:
            graph.add_edge(pre, post, value=value)
        path = tmp_path / f"g{request.param}"
        match request.param:
            case ".json":
                path.write_text(json.dumps(nx.node_link_data(graph, edges="links")))
            case ".gml":
                nx.write_gml(graph, path)
            case ".gexf":
                nx.write_gexf(graph, path)
            case _:
                nx.write_graphml(graph, path)
        return path

    def test_the_attribute_that_is_named(self, path):
        expected = {("A", "B"): 3, ("B", "C"): 4, ("C", "A"): 5}
        assert edges_of(read(path, weight="value")) == expected

    @pytest.mark.parametrize("name", ["weigth", "weight"])
    def test_a_name_that_no_edge_has(self, path, name):
        found = message(ConnectomeError, path, weight=name)
        assert f"no edge has the attribute '{name}'; edges have ['" in found
        assert "'value'" in found

    def test_without_a_name_it_is_said_that_edges_count_1(self, path):
        with pytest.warns(UserWarning, match=r"every edge counts 1.*edges have \[.*'value'"):
            found = read(path)
        assert set(edges_of(found).values()) == {1.0}

    def test_none_is_quiet(self, path):
        assert set(edges_of(read(path, weight=None)).values()) == {1.0}

    def test_edges_without_any_attribute_are_quiet(self, written):
        text = GML.replace(" weight 3", "").replace("edge [ source 0 target 1 weight 4 ]", "")
        assert edges_of(read(written("g.gml", text))) == {("A", "B"): 1}

    def test_some_edges_lack_it(self, written):
        path = written("g.gml", GML.replace(" weight 3", ""))
        found = message(ConnectomeError, path)
        assert "1 of 2 edges lack the attribute 'weight'" in found


class TestGML:
    def test_repeated_edges_add_up(self, written):
        path = written("g.GML", GML)
        assert edges_of(read(path)) == {("A", "B"): 7}
        assert "1 rows repeat an edge" in message(ConnectomeError, path, duplicates="refuse")

    def test_a_graph_that_says_it_is_multiple(self, written):
        path = written("g.gml", GML.replace("directed 1", "directed 1 multigraph 1"))
        assert edges_of(read(path)) == {("A", "B"): 7}

    def test_files_of_igraph_have_names(self, written):
        found = read(written("g.gml", IGRAPH))
        assert edges_of(found) == {("AVAL", "DB01"): 2.5}
        assert found.neurons["celltype"].tolist() == ["inter", "motor"]

    def test_nodes_that_are_only_numbered(self, written):
        text = IGRAPH.replace('    name "AVAL"\n', "")
        assert edges_of(read(written("g.gml", text))) == {(0, 1): 2.5}

    def test_a_label_given_twice(self, written):
        path = written("g.gml", GML.replace('"B"', '"A"'))
        assert "1 ids stand in the neuron table more than once, A" in message(ConnectomeError, path)


class TestGraphML:
    def test_defaults_are_filled_in(self, written):
        found = read(written("g.graphml", GRAPHML.replace("MORE", "")))
        assert edges_of(found) == {("n0", "n1"): 2, ("n1", "n0"): 7}
        assert found.neurons["cell_type"].tolist() == ["T5", "T4"]

    def test_repeated_edges_add_up(self, written):
        more = '<edge id="e" source="n0" target="n1"/><edge id="f" source="n0" target="n1"/>'
        path = written("g.graphml", GRAPHML.replace("MORE", more))
        assert edges_of(read(path)) == {("n0", "n1"): 6, ("n1", "n0"): 7}
        assert "2 rows repeat an edge" in message(ConnectomeError, path, duplicates="refuse")

    def test_nodes_can_be_called_by_an_attribute(self, written):
        path = written("g.graphml", GRAPHML.replace("MORE", ""))
        assert edges_of(read(path, id="name")) == {("a", "b"): 2, ("b", "a"): 7}
        table = pd.DataFrame({"name": ["b", "a", "c"], "side": ["L", "R", "L"]})
        found = read(path, table, id="name")
        assert edges_of(found) == {("a", "b"): 2, ("b", "a"): 7}
        assert len(found) == 3

    @pytest.mark.parametrize(
        "more",
        [
            '<edge id="e" source="n0" target="n1"/><edge id="e" source="n0" target="n1"/>',
            '<node id="g"><graph edgedefault="directed"><node id="in"/></graph></node>',
            '<edge source="n0" target="n9"/>',
        ],
    )
    def test_what_networkx_does_not_read(self, more, written):
        """Edges of one id overwrite one another there, graphs inside nodes are left out."""
        path = written("g.graphml", GRAPHML.replace("MORE", more))
        assert "of which networkx reads" in message(StoreError, path)

    def test_two_graphs(self, written):
        path = written(
            "g.graphml",
            GRAPHML.replace("MORE", '</graph><graph edgedefault="directed"><node id="x"/>'),
        )
        assert "holds 3 nodes and 2 edges, of which networkx reads 2 and 2" in message(
            StoreError, path
        )

    def test_an_edge_without_direction(self, written):
        more = '<edge source="n0" target="n1" directed="false"/>'
        path = written("g.graphml", GRAPHML.replace("MORE", more))
        assert "directed=false edge found in directed graph" in message(StoreError, path)


class TestGEXF:
    def test_weights_and_attributes(self, written):
        path = written("g.gexf", GEXF.replace("FIRST", ' weight="2"'))
        assert edges_of(read(path)) == {("a", "b"): 2, ("b", "a"): 3}
        assert edges_of(read(path, weight="synapses")) == {("a", "b"): 5, ("b", "a"): 9}
        assert edges_of(read(path, id="label")) == {("AVAL", "DB01"): 2, ("DB01", "AVAL"): 3}

    def test_a_weight_that_is_left_out_is_1(self, written):
        """So says the format."""
        path = written("g.gexf", GEXF.replace("FIRST", ""))
        assert edges_of(read(path)) == {("a", "b"): 1, ("b", "a"): 3}

    def test_mutual_edges_go_both_ways(self, written):
        path = written("g.gexf", GEXF.replace("FIRST", ' type="mutual" weight="2"'))
        assert edges_of(read(path)) == {("a", "b"): 2, ("b", "a"): 5}

    def test_without_directions(self, written):
        path = written("g.gexf", GEXF.replace('"directed"', '"undirected"').replace("FIRST", ""))
        assert "holds a graph without directions" in message(StoreError, path)


CONTENT = {
    "directed": True,
    "multigraph": False,
    "nodes": [{"id": 1, "cell_type": "T4"}, {"id": 2}],
    "links": [
        {"source": 1, "target": 2, "weight": 3, "key": 0},
        {"source": 1, "target": 2, "weight": 4, "key": 0},
    ],
}


class TestJSON:
    def test_repeated_edges_add_up(self, written):
        """networkx keeps the last where the file does not say that it is multiple."""
        found = read(written("g.json", json.dumps(CONTENT)))
        assert edges_of(found) == {(1, 2): 7}
        assert found.neurons["cell_type"].tolist()[0] == "T4"

    def test_a_neuron_that_is_not_listed(self, written):
        content = {**CONTENT, "nodes": [{"id": 1}]}
        found = message(ConnectomeError, written("g.json", json.dumps(content)))
        assert "2 of 2 edges belong to 1 neurons that the neuron table lacks, 2" in found

    def test_compressed(self, tmp_path):
        (tmp_path / "g.json.gz").write_bytes(gzip.compress(json.dumps(CONTENT).encode()))
        assert edges_of(read(tmp_path / "g.json.gz")) == {(1, 2): 7}

    def test_another_kind_of_content(self, written):
        path = written("g.json", json.dumps({"nodes": [], "adjacency": []}))
        assert "expected the keys 'nodes' and 'links' or 'edges', got ['nodes', 'adj" in message(
            StoreError, path
        )

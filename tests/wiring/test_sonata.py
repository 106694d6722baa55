"""Circuits of SONATA: whole populations, ids from 0, attributes in groups."""

import h5py
import numpy as np
import pandas as pd
import pytest

from ngpipe.errors import ConnectomeError, NgpipeWarning, StoreError
from ngpipe.wiring.sources.tables import read, read_table

pytestmark = pytest.mark.filterwarnings("error")


def add_edges(path, name, between, ends, groups, **options) -> None:
    """A population of edges, each of the group whose attributes it has."""
    with h5py.File(path, "a") as file:
        edges = file.create_group(f"edges/{name}")
        for key, whose, ids in zip(("source", "target"), between, ends, strict=True):
            edges[f"{key}_node_id"] = np.array(ids, np.uint64)
            if whose is not None:
                edges[f"{key}_node_id"].attrs["node_population"] = whose
        _groups(edges, "edge", groups, **options)


def add_nodes(path, name, groups, ids=None) -> None:
    with h5py.File(path, "a") as file:
        nodes = file.create_group(f"nodes/{name}")
        if ids is not None:
            nodes["node_id"] = np.array(ids, np.uint64)
        _groups(nodes, "node", groups)


def _groups(population, what, groups, mixed=None) -> None:
    sizes = [len(next(iter(group.values()))) for group in groups]
    of = np.repeat(np.arange(len(groups)), sizes)
    row = np.concatenate([np.arange(size) for size in sizes])
    order = np.arange(len(of)) if mixed is None else np.array(mixed)
    population[f"{what}_type_id"] = np.full(len(of), 100, np.uint32)
    population[f"{what}_group_id"] = of[order].astype(np.uint32)
    population[f"{what}_group_index"] = row[order].astype(np.uint64)
    for number, group in enumerate(groups):
        for name, values in group.items():
            population[f"{number}/{name}"] = values


def edges_of(connectome) -> dict[tuple, float]:
    return {(pre, post): weight for pre, post, weight in connectome.edges().values.tolist()}


def message(*args, **options) -> str:
    with pytest.raises((StoreError, ConnectomeError)) as caught:
        read(*args, **options)
    return str(caught.value)


@pytest.fixture
def one(tmp_path):
    """Five nodes of one population, of which one has no edges; a synapse 0 -> 2 twice."""
    ends = ([0, 0, 3], [2, 2, 0])
    weights = [{"syn_weight": [0.5, 1.0, 2.0], "nsyns": [1, 2, 3]}]
    add_edges(tmp_path / "edges.h5", "v1_v1", ("v1", "v1"), ends, weights)
    types = np.array([b"exc", b"inh"], dtype="S3")
    add_nodes(tmp_path / "nodes.h5", "v1", [{"x": np.arange(5.0), "ei": [0, 0, 1, 1, 0]}])
    with h5py.File(tmp_path / "nodes.h5", "a") as file:
        file["nodes/v1/0/@library/ei"] = types
        file["nodes/v1/0/dynamics_params/tau"] = np.full(5, 10.0)
        file["nodes/v1/0/layer"] = np.array([0, 2, 7, 0, 0])
        file["nodes/v1/0/@library/layer"] = np.array([b"L1", b"L2"])
        file["nodes/v1/0/empty"] = h5py.Empty("f8")
        file["nodes/v1/0/place"] = np.arange(10).reshape(5, 2)
    return tmp_path


def test_a_population_and_its_nodes(one):
    found = read(one / "edges.h5", one / "nodes.h5", weight="syn_weight")
    assert found.ids.tolist() == [0, 1, 2, 3, 4]
    assert edges_of(found) == {(0, 2): 1.5, (3, 0): 2.0}
    assert found.weights[2, 0] == 1.5
    assert found.neurons["ei"].tolist() == ["exc", "exc", "inh", "inh", "exc"]
    layers = found.neurons["layer"]
    assert layers.isna().tolist() == [False, True, True, False, False]
    assert layers[0] == "L1"
    assert found.neurons["population"].unique().tolist() == ["v1"]
    assert found.neurons["place_1"].tolist() == [1, 3, 5, 7, 9]
    assert found.neurons["dynamics_params.tau"].tolist() == [10.0] * 5
    assert set(found.origin.files) == {"edges.h5", "nodes.h5"}


def test_synapses_count_1_and_this_is_said(one):
    with pytest.warns(UserWarning, match=r"edges have \['edge_type_id', 'nsyns', 'syn_weight'\]"):
        found = read(one / "edges.h5", one / "nodes.h5")
    assert edges_of(found) == {(0, 2): 2, (3, 0): 1}


def test_without_nodes_those_of_the_edges(one):
    found = read(one / "edges.h5", weight="nsyns")
    assert found.ids.tolist() == [0, 2, 3]
    assert edges_of(found) == {(0, 2): 3, (3, 0): 3}


def test_a_table_of_ones_own_for_the_nodes(one):
    found = read(one / "edges.h5", pd.DataFrame({"id": [3, 2, 0]}), weight=None)
    assert edges_of(found) == {(0, 2): 2, (3, 0): 1}
    nodes = read_table(one / "nodes.h5")
    assert nodes["id"].tolist() == [0, 1, 2, 3, 4]


def test_two_populations(one):
    add_edges(one / "edges.h5", "lgn_v1", ("lgn", b"v1"), ([0, 1], [0, 4]), [{"nsyns": [5, 6]}])
    add_nodes(one / "nodes.h5", "lgn", [{"x": [7.0, 8.0]}], ids=[1, 0])
    found = read(one / "edges.h5", one / "nodes.h5", variable="lgn_v1", weight="nsyns")
    assert edges_of(found) == {("lgn/0", "v1/0"): 5, ("lgn/1", "v1/4"): 6}
    assert len(found) == 7
    table = found.neurons.set_index("id")
    assert table.loc["lgn/0", "x"] == 8.0
    assert table.loc["v1/4", "population"] == "v1"
    assert "holds the populations of edges ['lgn_v1', 'v1_v1']" in message(one / "edges.h5")
    with pytest.raises(StoreError, match=r"populations of nodes \['lgn', 'v1'\], expected one"):
        read_table(one / "nodes.h5")


def test_attributes_of_several_groups(tmp_path):
    groups = [{"w": [1.0, 2.0], "nsyns": [3, 4]}, {"w": [9.0]}]
    ends = ([0, 1, 2], [1, 2, 0])
    add_edges(tmp_path / "e.h5", "p", ("p", "p"), ends, groups, mixed=[1, 2, 0])
    assert edges_of(read(tmp_path / "e.h5", weight="w")) == {(0, 1): 2, (1, 2): 9, (2, 0): 1}
    found = message(tmp_path / "e.h5", weight="nsyns")
    assert "1 of 3 edges lack the attribute 'nsyns'" in found


def test_what_is_not_there(one):
    assert "holds no edges" in message(one / "nodes.h5")
    assert "not 'x'; name one in variable" in message(one / "edges.h5", variable="x")
    add_nodes(one / "other.h5", "lgn", [{"x": [1.0]}])
    found = message(one / "edges.h5", one / "other.h5")
    assert "populations of nodes ['lgn'], not ['v1'], which the edges connect" in found
    add_edges(one / "old.h5", "p", (None, None), ([0], [1]), [{"w": [1.0]}])
    assert "lacks the attribute 'node_population'" in message(one / "old.h5")
    assert "no edge has the attribute 'w'; edges have ['edge_type_id', 'nsyns'" in message(
        one / "edges.h5", weight="w"
    )


def test_an_attribute_of_another_length_is_left_out_and_named(one):
    """libsonata's own test file has such ones; the rest of it is sound."""
    with h5py.File(one / "edges.h5", "a") as file:
        file["edges/v1_v1/0/kind"] = np.array([0, 2])
    left_out = "/edges/v1_v1/0/kind has 2 values for 3 edges; it is left out"
    with pytest.warns(NgpipeWarning, match=left_out):
        found = read(one / "edges.h5", weight="syn_weight")
    assert edges_of(found) == {(0, 2): 1.5, (3, 0): 2.0}
    assert left_out in found.notes


def test_populations_without_edges_or_nodes(one):
    with h5py.File(one / "edges.h5", "a") as file:
        file.create_group("edges/v1_lgn/0")
    assert len(read(one / "edges.h5", weight="syn_weight")) == 3  # there is no other to choose
    assert "the population 'v1_lgn' holds no edges; take one of ['v1_v1']" in message(
        one / "edges.h5", variable="v1_lgn"
    )
    with h5py.File(one / "bare.h5", "w") as file:
        file.create_group("nodes/v1/0")
    assert "the population 'v1' holds no nodes, but the edges connect it" in message(
        one / "edges.h5", one / "bare.h5"
    )

"""Cell types unrolled on a hexagonal lattice."""

import time

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ngpipe.errors import ConnectomeError
from ngpipe.wiring.sources.generated import generated, generated_types
from ngpipe.wiring.sources.named import optic_lobe_types
from ngpipe.wiring.sources.unroll import TypeConnectome, cartesian, filled, hexagon

COLUMNS = ["pre", "post", "du", "dv", "weight"]
NEIGHBOURS = [(1, 0), (0, 1), (-1, 1), (-1, 0), (0, -1), (1, -1)]


def types(*names, stride=(1, 1)) -> pd.DataFrame:
    return pd.DataFrame({"cell_type": names, "stride_u": stride[0], "stride_v": stride[1]})


def offsets(*rows) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=COLUMNS)


@pytest.mark.parametrize("radius", [0, 1, 2, 5, 15])
def test_a_lattice_has_as_many_columns_as_it_must(radius):
    columns = hexagon(radius)
    assert len(columns) == 3 * radius**2 + 3 * radius + 1
    assert len(np.unique(columns, axis=0)) == len(columns)
    u, v = columns.T
    assert np.max([np.abs(u), np.abs(v), np.abs(u + v)]) == radius


def test_the_six_neighbours_are_at_distance_one():
    x, y = cartesian(*np.array(NEIGHBOURS).T)
    np.testing.assert_allclose(np.hypot(x, y), 1)


def test_an_offset_leads_from_sender_to_receiver():
    """A in (0, 0) with offset (1, -1) reaches B in (1, -1), and B in (0, 0) hears A in (-1, 1)."""
    found = TypeConnectome(types("A", "B"), offsets(("A", "B", 1, -1, 5.0))).unroll(2)
    edges = found.edges()
    assert edges[edges.pre == "A(0,0)"].values.tolist() == [["A(0,0)", "B(1,-1)", 5]]
    assert edges[edges.post == "B(0,0)"].values.tolist() == [["A(-1,1)", "B(0,0)", 5]]
    assert edges.pre.str.startswith("A").all()


def test_rows_receive():
    found = TypeConnectome(types("A", "B"), offsets(("A", "B", 0, 0, 3.0))).unroll(0)
    assert found.weights.toarray().tolist() == [[0, 0], [3, 0]]


@given(st.integers(0, 4), st.integers(-5, 5), st.integers(-5, 5))
def test_every_connection_inside_the_lattice_exists_once(radius, du, dv):
    found = TypeConnectome(types("A", "B"), offsets(("A", "B", du, dv, 2.0))).unroll(radius)
    columns = {tuple(c) for c in hexagon(radius).tolist()}
    expected = {
        (f"A({u},{v})", f"B({u + du},{v + dv})") for u, v in columns if (u + du, v + dv) in columns
    }
    edges = found.edges()
    assert set(zip(edges.pre, edges.post, strict=True)) == expected
    assert len(edges) == len(expected)


def test_the_middle_is_not_moved_by_the_border():
    """What the central neuron receives is the same at every radius that holds its senders."""
    wired = generated_types(np.random.default_rng(3))
    inputs = []
    for radius in (1, 2, 4):
        edges = wired.unroll(radius).edges()
        centre = edges[edges.post == "M3(0,0)"].sort_values("pre")
        inputs.append(centre[["pre", "weight"]].values.tolist())
    assert inputs[0] == inputs[1] == inputs[2]
    assert len(inputs[0]) > 1


def test_strides_leave_columns_out():
    found = TypeConnectome(types("A", stride=(3, 2)), offsets()).unroll(4)
    assert (found.neurons["u"] % 3 == 0).all()
    assert (found.neurons["v"] % 2 == 0).all()
    assert len(found) == sum(u % 3 == 0 and v % 2 == 0 for u, v in hexagon(4).tolist())


def test_a_type_of_one_neuron_sits_in_the_middle():
    found = TypeConnectome(types("A", stride=(0, 0)), offsets()).unroll(4)
    assert found.ids.tolist() == ["A(0,0)"]


def test_neurons_inherit_what_is_known_of_their_type():
    table = types("A", "B").assign(role=["input", "output"])
    found = TypeConnectome(table, offsets()).unroll(1).neurons
    assert found.groupby("cell_type")["role"].unique().map(list).to_dict() == {
        "A": ["input"],
        "B": ["output"],
    }


class TestFilling:
    def test_a_hole_is_filled_with_the_sign_of_the_pair(self):
        ring = offsets(*[("A", "B", u, v, -4.0) for u, v in NEIGHBOURS])
        found = filled(ring, 1.0)
        assert found[6:].values.tolist() == [["A", "B", 0, 0, -1.0]]

    def test_a_line_has_no_inside(self):
        line = offsets(("A", "B", 0, 0, 1.0), ("A", "B", 2, 0, 1.0), ("A", "B", 4, 0, 1.0))
        assert len(filled(line, 1.0)) == 3


class TestRefusals:
    def test_an_unknown_type(self):
        with pytest.raises(ConnectomeError, match=r"1 cell types that the table .* lacks, T4;"):
            TypeConnectome(types("A"), offsets(("A", "T4", 0, 0, 1.0)))

    def test_a_type_given_twice(self):
        with pytest.raises(ConnectomeError, match="cell types stand in the table twice, A;"):
            TypeConnectome(types("A", "A"), offsets())

    def test_missing_columns(self):
        with pytest.raises(ConnectomeError, match=r"table of offsets has columns .* not \['dv'\]"):
            TypeConnectome(types("A"), offsets().drop(columns="dv"))

    def test_a_negative_radius(self):
        with pytest.raises(ConnectomeError, match="radius -1 is negative"):
            TypeConnectome(types("A"), offsets()).unroll(-1)


class TestGenerated:
    def test_it_has_everything_a_real_one_has(self, rng):
        found = generated(rng)
        assert len(found) == 9 * 19
        columns = {"id", "cell_type", "role", "sign", "u", "v", "x", "y"}
        assert columns <= set(found.neurons)
        assert (found.neurons["sign"] == -1).any()
        assert found.signed().is_signed
        np.testing.assert_array_equal(found.weights.data, np.round(found.weights.data))

    def test_the_same_seed_gives_the_same_connectome(self):
        digests = {generated(np.random.default_rng(seed)).digest() for seed in (1, 1, 2)}
        assert len(digests) == 2

    @pytest.mark.parametrize("seed", range(5))
    def test_layers_feed_forward_and_reach_every_type(self, seed):
        found = generated(np.random.default_rng(seed)).by_type()
        assert not found.sel(post=["I1", "I2"]).any()
        assert not found.sel(pre=["O1", "O2"]).any()
        assert not found.sel(post=["O1", "O2"], pre=["I1", "I2"]).any()
        assert ((found > 0).sum("pre") >= 2).sel(post=found.post[2:]).all()

    def test_impossible_options(self, rng):
        with pytest.raises(ConnectomeError, match="inhibitory=2"):
            generated(rng, inhibitory=2.0)


@pytest.mark.data
@pytest.mark.parametrize(
    ("radius", "n_neurons", "n_edges"),
    [
        (1, 443, 7_698),
        (3, 2_345, 57_663),
        (5, 5_759, 155_089),
        (10, 20_967, 607_679),
        (15, 45_669, 1_357_269),
    ],
)
def test_the_optic_lobe_has_the_size_it_must(real, radius, n_neurons, n_edges):
    wired = optic_lobe_types(real("flyvis_optic_lobe"))
    started = time.perf_counter()
    found = wired.unroll(radius)
    assert (len(found), found.n_edges) == (n_neurons, n_edges)
    assert time.perf_counter() - started < 10  # measured: 0.2 s


@pytest.mark.data
def test_the_filled_optic_lobe_is_that_of_the_publication(real):
    """45,669 neurons and 1,513,231 connections (Lappalainen et al. 2024)."""
    found = optic_lobe_types(real("flyvis_optic_lobe")).unroll(15, fill=1.0)
    assert (len(found), found.n_edges) == (45_669, 1_513_231)

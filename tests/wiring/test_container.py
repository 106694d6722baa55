"""The container of a connectome: who sends and who receives, whatever is done to it."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import sparse

from ngpipe.errors import ConnectomeError, StoreError
from ngpipe.wiring.sources.tables import Connectome, Origin

IDS = ["a", "b", "c", "d"]
EDGES = [("a", "b", 3.0), ("a", "c", 1.0), ("b", "c", 4.0), ("c", "a", 2.0), ("d", "c", 5.0)]
TYPES = ["P", "P", "Q", "Q"]


@pytest.fixture
def table() -> pd.DataFrame:
    return pd.DataFrame(EDGES, columns=["pre", "post", "weight"])


@pytest.fixture
def neurons() -> pd.DataFrame:
    signs = [1.0, -1.0, 1.0, -1.0]
    return pd.DataFrame({"id": IDS, "cell_type": TYPES, "sign": signs, "x": [0.5, 1, 2, np.nan]})


@pytest.fixture
def connectome(table, neurons) -> Connectome:
    return Connectome.from_edges(table, neurons)


@st.composite
def edge_tables(draw):
    """Any edge list of up to 8 neurons, repeated edges and self-connections included."""
    n = draw(st.integers(1, 8))
    ends = st.integers(0, n - 1)
    rows = draw(st.lists(st.tuples(ends, ends, st.integers(-9, 9)), max_size=30))
    return n, pd.DataFrame(rows, columns=["pre", "post", "weight"], dtype="int64")


def message(call, *args, **kwargs) -> str:
    with pytest.raises(ConnectomeError) as caught:
        call(*args, **kwargs)
    return str(caught.value)


class TestFromEdges:
    def test_an_arrow_points_from_pre_to_post(self, neurons):
        """One connection a -> b: b receives, so row 1 and column 0 of W[post, pre]."""
        arrow = pd.DataFrame({"pre": ["a"], "post": ["b"], "weight": [0.75]})
        weights = Connectome.from_edges(arrow, neurons).weights
        assert np.argwhere(weights.toarray()).tolist() == [[1, 0]]
        assert weights[1, 0] == 0.75

    def test_weights_act_on_activity_as_input(self, connectome):
        """Only a is active: b and c receive 3 and 1."""
        assert (connectome.weights @ np.array([1, 0, 0, 0])).tolist() == [0, 3, 1, 0]

    @given(edge_tables())
    def test_the_sum_over_rows_of_the_table_is_the_matrix(self, drawn):
        n, rows = drawn
        found = Connectome.from_edges(rows, pd.DataFrame({"id": np.arange(n)}))
        expected = np.zeros((n, n), np.float32)
        for pre, post, weight in rows.itertuples(index=False):
            expected[post, pre] += weight
        np.testing.assert_array_equal(found.weights.toarray(), expected)
        assert (found.weights.data != 0).all()
        assert found.weights.dtype == np.float32

    @pytest.mark.slow
    @given(edge_tables())
    def test_edges_and_back(self, drawn):
        n, rows = drawn
        neurons = pd.DataFrame({"id": [f"n{i}" for i in range(n)]})
        rows = rows.assign(pre="n" + rows.pre.astype(str), post="n" + rows.post.astype(str))
        found = Connectome.from_edges(rows, neurons)
        again = Connectome.from_edges(found.edges(), neurons)
        assert again.digest() == found.digest()

    def test_without_a_neuron_table_the_ids_are_those_of_the_edges(self, table):
        assert Connectome.from_edges(table).ids.tolist() == IDS

    def test_ids_are_no_indices(self):
        """Ids 30 -> 10 in a table ordered 10, 20, 30: row 0, column 2."""
        arrow = pd.DataFrame({"pre": [30], "post": [10], "weight": [1]})
        neurons = pd.DataFrame({"id": [10, 20, 30]})
        found = Connectome.from_edges(arrow, neurons)
        assert np.argwhere(found.weights.toarray()).tolist() == [[0, 2]]
        assert found.edges().values.tolist() == [[30, 10, 1]]
        assert found.edges(index=True).values.tolist() == [[2, 0, 1]]

    def test_long_ids_keep_all_digits(self):
        ids = [720575940623456789, 720575940623456790]
        arrow = pd.DataFrame({"pre": ids[:1], "post": ids[1:], "weight": [2]})
        assert Connectome.from_edges(arrow).edges().pre.tolist() == ids[:1]

    def test_each_row_is_a_synapse_if_there_is_no_weight(self):
        rows = pd.DataFrame({"pre": [1, 1, 0], "post": [0, 0, 1]})
        assert Connectome.from_edges(rows, weight=None).weights.toarray().tolist() == [
            [0, 2],
            [1, 0],
        ]

    def test_columns_can_be_named(self):
        rows = pd.DataFrame({"src": ["a"], "dst": ["b"], "n": [2], "s": [-1]})
        found = Connectome.from_edges(rows, pre="src", post="dst", weight="n", sign="s")
        assert found.edges().values.tolist() == [["a", "b", -2]]

    def test_signs_of_edges_become_signs_of_senders_that_agree(self):
        rows = pd.DataFrame({"pre": [0, 0, 1, 2, 2], "post": [1, 2, 0, 0, 1], "weight": 1})
        found = Connectome.from_edges(rows.assign(s=[1, 1, -1, 1, -1]), sign="s")
        np.testing.assert_array_equal(found.neurons["sign"], [1, -1, np.nan])

    def test_what_was_found_is_counted(self, neurons):
        rows = [("a", "a", 1), ("a", "b", 1), ("a", "b", 2), ("b", "c", 0), ("z", "a", 1)]
        rows = pd.DataFrame(rows, columns=["pre", "post", "weight"])
        counts = Connectome.from_edges(rows, neurons, unknown="drop").origin.counts
        assert counts == {
            "rows": 5,
            "rows_of_unknown_neurons": 1,
            "rows_added_to_others": 1,
            "edges_of_weight_0": 1,
            "self_connections": 1,
            "neurons_without_edges": 1,
        }

    def test_the_tables_given_stay_as_they_were(self, table, neurons):
        before = table.copy(), neurons.copy()
        Connectome.from_edges(table, neurons).signed().normalised()
        pd.testing.assert_frame_equal(table, before[0])
        pd.testing.assert_frame_equal(neurons, before[1])


class TestRefusals:
    """Each names the offender and the remedy."""

    def test_unknown_ids(self, table, neurons):
        found = message(Connectome.from_edges, table, neurons[:3])
        assert "1 of 5 edges belong to 1 neurons that the neuron table lacks, d;" in found
        assert "unknown='drop'" in found

    def test_repeated_ids(self, table, neurons):
        found = message(Connectome.from_edges, table, neurons.assign(id=["a", "b", "c", "a"]))
        assert "1 ids stand in the neuron table more than once, a;" in found

    def test_repeated_edges(self, table, neurons):
        rows = pd.concat([table, table[1:2]])
        found = message(Connectome.from_edges, rows, neurons, duplicates="refuse")
        assert "1 rows repeat an edge, the first a -> c;" in found
        assert Connectome.from_edges(rows, neurons).weights[2, 0] == 2

    @pytest.mark.parametrize("bad", [np.nan, np.inf])
    def test_weights_that_are_no_numbers(self, table, neurons, bad):
        table.loc[3, "weight"] = bad
        found = message(Connectome.from_edges, table, neurons)
        assert "column 'weight' holds 1 values that are not finite numbers, the first in row 3" in (
            found
        )

    def test_ids_of_another_type(self, neurons):
        rows = pd.DataFrame({"pre": [1], "post": [2], "weight": [1]})
        found = message(Connectome.from_edges, rows, neurons)
        assert "column 'pre' holds ids of another type (number, such as 1) than column 'id'" in (
            found
        )
        assert "(text, such as a), and none of the text is a number; give both the same" in found

    def test_ids_of_two_types(self):
        rows = pd.DataFrame({"pre": [1], "post": ["b"], "weight": [1]})
        assert "than column 'post' (text, such as b)" in message(Connectome.from_edges, rows)

    def test_ids_that_became_decimal_numbers(self):
        rows = pd.DataFrame({"pre": [1.0], "post": [2.0], "weight": [1]})
        assert "lose the digits of long ids" in message(Connectome.from_edges, rows)

    def test_missing_ids(self, table, neurons):
        table.loc[0, "post"] = None
        found = message(Connectome.from_edges, table, neurons)
        assert "column 'post' lacks 1 of 5 ids" in found

    def test_missing_columns(self, table):
        found = message(Connectome.from_edges, table, pre="source")
        assert "have columns ['pre', 'post', 'weight'], not ['source']; name them" in found
        assert "no option 'source'" in message(Connectome.from_edges, table, source="pre")
        assert "duplicates='add', expected" in message(
            Connectome.from_edges, table, duplicates="add"
        )

    def test_words_that_mean_nothing(self, connectome):
        assert "by='rows', expected one of" in message(connectome.normalised, "rows")
        assert "missing='guess', expected" in message(connectome.signed, "guess")
        assert "how='max', expected" in message(connectome.by_type, how="max")

    def test_values_of_another_length(self, connectome):
        assert "column 'side' got 1 values, expected 4" in message(connectome.described, side=["L"])
        assert "mapped got 2 values, expected 5" in message(connectome.mapped, np.ones(2))

    def test_groups_without_members(self, connectome):
        unknown = connectome.described(cell_type=[None] * 4)
        assert "no neuron has a value of 'cell_type'" in message(unknown.by_type)

    def test_a_neuron_table_without_ids(self, table):
        found = message(Connectome.from_edges, table, pd.DataFrame({"name": IDS}))
        assert "has columns ['name'], expected 'id'" in found

    @pytest.mark.parametrize("sign", [0, 2, "inhibitory"])
    def test_signs_that_are_none(self, table, neurons, sign):
        neurons["sign"] = pd.Series([1, -1, sign, 1], dtype=object)
        assert f"the sign of c is {sign}, expected +1, -1" in message(
            Connectome.from_edges, table, neurons
        )

    def test_signs_given_twice(self, table):
        rows = table.assign(weight=-table.weight, s=-1)
        assert "'weight' holds negative weights and 's' their signs" in message(
            Connectome.from_edges, rows, sign="s"
        )

    def test_a_matrix_of_another_size(self, neurons):
        found = message(Connectome, sparse.eye_array(3), neurons)
        assert "shape (3, 3), expected (4, 4) as [post, pre]" in found

    def test_a_matrix_with_nan(self, neurons):
        found = message(Connectome, np.full((4, 4), np.nan), neurons)
        assert (
            "16 of 16 weights are not finite, as those of pairs that were never measured" in found
        )


class TestSigns:
    def test_signs_act_on_what_a_neuron_sends(self, connectome):
        """b inhibits: column 1 is negative, and row 1 (what b receives) is not."""
        signed = connectome.signed().weights.toarray()
        assert signed[2, 1] == -4
        assert signed[1, 0] == 3
        np.testing.assert_array_equal(np.sign(signed.sum(axis=0)), connectome.neurons["sign"])

    def test_a_missing_sign_is_refused_unless_said_otherwise(self, connectome):
        unknown = connectome.described(sign=[1, np.nan, 1, -1])
        assert "1 of 4 neurons that send have no sign, b;" in message(unknown.signed)
        values = {how: unknown.signed(how).weights[2, 1] for how in ("excitatory", "inhibitory")}
        assert values == {"excitatory": 4, "inhibitory": -4}
        assert unknown.signed("drop").n_edges == connectome.n_edges - 1
        assert unknown.signed("drop").origin.counts["senders_without_sign"] == 1

    def test_a_neuron_that_does_not_send_needs_no_sign(self, table, neurons):
        neurons.loc[3, "sign"] = np.nan
        Connectome.from_edges(table[:4], neurons).signed()

    def test_without_any_signs(self, table):
        assert "4 of 4 neurons that send" in message(Connectome.from_edges(table).signed)

    def test_what_is_signed_stays_so(self, connectome):
        signed = connectome.signed()
        assert signed.is_signed
        assert signed.signed().digest() == signed.digest()

    def test_a_sender_that_contradicts_its_sign(self, connectome):
        wrong = connectome.signed().described(sign=[1, 1, 1, -1])
        assert "those of b contradict their 'sign'" in message(wrong.signed)


class TestNormalised:
    def test_every_row_sums_to_one_in_size(self, connectome):
        found = connectome.signed().normalised()
        sums = abs(found.weights).sum(axis=1)
        np.testing.assert_allclose(sums, [1, 1, 1, 0], rtol=1e-6)
        assert found.weights[2, 1] == pytest.approx(-0.4)
        assert found.unit == "input fraction"

    def test_every_column_does_for_outputs(self, connectome):
        sums = connectome.normalised("output").weights.sum(axis=0)
        np.testing.assert_allclose(sums, [1, 1, 1, 1], rtol=1e-6)


class TestSelection:
    def test_ids_are_kept_in_their_order(self, connectome):
        part = connectome.select(["c", "a"])
        assert part.ids.tolist() == ["c", "a"]
        assert part.edges().values.tolist() == [["a", "c", 1], ["c", "a", 2]]
        assert part.origin.counts["neurons_not_selected"] == 2
        assert part.origin.counts["edges_not_selected"] == 3

    def test_a_mask(self, connectome):
        mask = connectome.neurons["cell_type"] == "Q"
        assert connectome.select(mask).ids.tolist() == ["c", "d"]

    def test_refusals(self, connectome):
        assert "unknown are z, repeated none" in message(connectome.select, ["a", "z"])
        assert "unknown are none, repeated a" in message(connectome.select, ["a", "a"])
        assert "a mask of shape (3,) cannot select from 4" in message(
            connectome.select, np.ones(3, bool)
        )

    def test_groups_and_indices(self, connectome):
        groups = connectome.groups("cell_type")
        assert {k: v.tolist() for k, v in groups.items()} == {"P": [0, 1], "Q": [2, 3]}
        assert connectome.indices("cell_type", "Q").tolist() == [2, 3]
        assert connectome.indices("id", ["d", "a"]).tolist() == [0, 3]

    def test_a_neuron_without_a_value_is_in_no_group(self, connectome):
        found = connectome.described(cell_type=["P", None, "Q", "P"]).groups()
        assert {k: v.tolist() for k, v in found.items()} == {"P": [0, 3], "Q": [2]}

    def test_an_unknown_group_is_named(self, connectome):
        found = message(connectome.indices, "cell_type", ["P", "T4a"])
        assert "no neuron has cell_type T4a; the values of 'cell_type' are P, Q" in found
        assert "no column 'side', only ['id', " in message(connectome.groups, "side")

    def test_a_block_holds_what_one_group_sends_to_another(self, connectome):
        """P = a, b sends to Q = c, d: a -> c 1 and b -> c 4."""
        assert connectome.block("Q", "P").toarray().tolist() == [[1, 4], [0, 0]]
        assert connectome.block("P", "Q").toarray().tolist() == [[2, 0], [0, 0]]
        by_index = connectome.block(np.array([1]), np.array([0]))
        assert by_index.toarray().tolist() == [[3]]

    def test_weights_between_types(self, connectome):
        """From P: 3 to P, 5 to Q; from Q: 2 to P, 5 to Q; a neuron receives half of it."""
        found = connectome.by_type()
        assert found.dims == ("post", "pre")
        assert found.sel(post="Q", pre="P") == 5
        assert found.values.tolist() == [[3, 2], [5, 5]]
        assert connectome.by_type(how="mean_input").values.tolist() == [[1.5, 1], [2.5, 2.5]]


class TestDigest:
    def test_it_follows_weights_neurons_and_unit(self, connectome, table, neurons):
        others = [
            connectome.mapped(connectome.weights.data * 2),
            connectome.described(side=["left"] * 4),
            Connectome(connectome.weights.T, neurons),
            Connectome(connectome.weights, neurons, "mV"),
            connectome.select(["b", "a", "c", "d"]),
        ]
        digests = {c.digest() for c in [connectome, *others]}
        assert len(digests) == 1 + len(others)

    def test_it_does_not_follow_the_origin_or_the_order_of_rows(self, connectome, table, neurons):
        again = Connectome.from_edges(table[::-1], neurons, origin=Origin(source="elsewhere"))
        assert again.digest() == connectome.digest()


class TestStore:
    def test_what_is_saved_is_loaded(self, connectome, tmp_path):
        full = connectome.signed().described(
            role=["input", None, "output", "output"], n=[1, 2, 3, 4], proofread=[True, False] * 2
        )
        full.save(tmp_path / "connectome.zarr")
        found = Connectome.load(tmp_path / "connectome.zarr")
        assert found.digest() == full.digest()
        assert found.origin == full.origin
        assert found.unit == full.unit
        assert found.neurons["proofread"].dtype == bool
        assert found.neurons["role"].isna().tolist() == [False, True, False, False]
        assert found.weights[2, 1] == -4

    def test_another_store_is_refused(self, tmp_path):
        with pytest.raises(StoreError, match="no store at"):
            Connectome.load(tmp_path / "absent.zarr")

    def test_without_edges(self, neurons, tmp_path):
        empty = Connectome(sparse.csr_array((4, 4)), neurons)
        assert empty.normalised().signed().n_edges == 0
        empty.save(tmp_path / "empty.zarr")
        assert Connectome.load(tmp_path / "empty.zarr").digest() == empty.digest()

"""Tables of synapses and cells: which rows count, what becomes of them, what is refused."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ngpipe.errors import ConnectomeError, StoreError
from ngpipe.wiring.nulls.motifs import pair_counts
from ngpipe.wiring.sources.synapses import (
    NOTEBOOK,
    PHASE1,
    UNFINISHED,
    V1300,
    Filters,
    from_synapses,
    read_synapses,
)
from ngpipe.wiring.sources.synthetic_synapses import synthetic, synthetic_tables

ALL = Filters(min_synapses=0)
SYNTHETIC_FILE = "synthetic/synapses_proofread_V1_neurons_1300_SYNTH_seed16.feather"


def synapse_table(*rows: tuple[int, int, int]) -> pd.DataFrame:
    """Rows are pre, post, size."""
    return pd.DataFrame(rows, columns=["pre_pt_root_id", "post_pt_root_id", "size"])


def cell_table(*ids: int, **columns: object) -> pd.DataFrame:
    n = len(ids)
    given_ones = {
        "pt_root_id": ids,
        **{f"pt_position_{axis}": 1000.0 * np.arange(n) for axis in "xyz"},
        "cell_type_auto": "23P",
        "region": "V1",
        "proofreading_strategy": "axon_fully_extended",
    }
    return pd.DataFrame({**given_ones, **columns})


def counts(connectome, *names: str) -> list[int]:
    return [connectome.origin.counts[name] for name in names]


class TestMatrix:
    def test_an_arrow_leads_from_pre_to_post(self):
        found = from_synapses(synapse_table((5, 3, 70)), cell_table(3, 5), filters=ALL)
        np.testing.assert_array_equal(found.weights.toarray(), [[0, 70], [0, 0]])
        assert found.ids.tolist() == [3, 5]

    def test_synapses_of_a_connection_add_up(self):
        rows = synapse_table((1, 2, 10), (1, 2, 32), (2, 1, 5))
        found = from_synapses(rows, cell_table(1, 2), filters=ALL)
        assert found.weights.toarray().tolist() == [[0, 5], [42, 0]]
        assert found.unit == "voxels"
        number = from_synapses(rows, cell_table(1, 2), filters=ALL, weight="synapses")
        assert number.weights.toarray().tolist() == [[0, 1], [2, 0]]
        assert number.unit == "synapses"

    def test_sizes_are_exact_and_not_scaled(self, rng):
        """A sum of voxels divided later is the notebook's, to the bit; the scale is the model's."""
        synapses, cells = synthetic_tables(rng, n_others=0)
        found = from_synapses(synapses, cells, filters=ALL).edges().set_index(["pre", "post"])
        summed = synapses.groupby(["pre_pt_root_id", "post_pt_root_id"])["size"].sum()
        ours = found["weight"].astype(np.float64).sort_index() / 150_000
        np.testing.assert_array_equal(ours, (summed / 150_000).sort_index())

    def test_neurons_come_by_ascending_id_whatever_the_order_of_the_tables(self, rng):
        synapses, cells = synthetic_tables(rng, n_neurons=60, n_others=20, receivers=8.0)
        found = from_synapses(synapses, cells, filters=replace(NOTEBOOK, min_synapses=1))
        assert (np.diff(found.ids) > 0).all()
        turned = from_synapses(
            synapses[::-1], cells[::-1], filters=replace(NOTEBOOK, min_synapses=1)
        )
        assert turned.digest() == found.digest()

    def test_what_is_known_of_a_neuron_in_micrometres(self):
        cells = cell_table(7, 4, region=["V1", "RL"])
        found = from_synapses(synapse_table((4, 7, 1)), cells, filters=ALL).neurons
        assert found["x"].tolist() == [1.0, 0.0]
        assert found["region"].tolist() == ["RL", "V1"]
        assert found["proofread"].tolist() == ["axon_fully_extended"] * 2

    def test_a_position_may_be_text(self):
        cells = pd.DataFrame(
            {
                "pt_root_id": [1, 2],
                "cell_type": "e",
                "pt_position": ["[103860  44385    891]", "[ 84054, 50604, 1424]"],
                "soma_x_nm": 0,
            }
        )
        rows = pd.DataFrame({"pre_root_id": [1], "post_root_id": [2], "cleft_vx": [5]})
        found = from_synapses(rows, cells, PHASE1, ALL).neurons
        expected = np.array([[103860, 44385, 891], [84054, 50604, 1424]]) * [3.58, 3.58, 40] / 1000
        np.testing.assert_allclose(found[["x", "y", "z"]], expected)

    def test_tables_are_not_changed(self, rng):
        tables = synthetic_tables(rng, n_neurons=60, n_others=20, receivers=8.0)
        before = [table.copy() for table in tables]
        from_synapses(*tables, filters=ALL)
        for table, same in zip(tables, before, strict=True):
            pd.testing.assert_frame_equal(table, same)


def by_loops(synapses: pd.DataFrame, filters: Filters, cells: pd.DataFrame) -> dict:
    """(pre, post) -> size, and the cells that are left, one row after the other."""
    left = set()
    for row in cells.itertuples():
        right = row.cell_type_auto == filters.cell_type or filters.cell_type is None
        if right and (row.proofreading_strategy or not filters.proofread):
            left.add(row.pt_root_id)
    left -= set(filters.exclude)
    rows = list(synapses.itertuples(index=False))
    rows = [r for r in rows if r[0] in left and r[1] in left]
    if filters.autapses == "drop":
        rows = [r for r in rows if r[0] != r[1]]
    left = {i for i in left if sum((r[0] == i) + (r[1] == i) for r in rows) >= filters.min_synapses}
    rows = [r for r in rows if r[0] in left and r[1] in left]
    if filters.input_and_output:
        left = {i for i in left if any(r[0] == i for r in rows) and any(r[1] == i for r in rows)}
        rows = [r for r in rows if r[0] in left and r[1] in left]
    sizes = {}
    for pre, post, size in rows:
        sizes[pre, post] = sizes.get((pre, post), 0) + size
    return {"sizes": sizes, "left": sorted(left)}


class TestFilters:
    @pytest.mark.slow
    @given(
        st.integers(0, 2**31),
        st.integers(0, 9),
        st.booleans(),
        st.booleans(),
        st.sampled_from(["keep", "drop"]),
        st.sampled_from([None, "23P"]),
    )
    def test_filters_are_those_of_a_loop(self, seed, fewest, both, proofread, autapses, kind):
        rng = np.random.default_rng(seed)
        ids = rng.permutation(100)[:12] + 1
        rows = [(*rng.choice(np.r_[ids, 200], 2), rng.integers(1, 99)) for _ in range(50)]
        synapses = synapse_table(*rows)
        cells = cell_table(
            *ids,
            cell_type_auto=rng.choice(["23P", "4P"], 12),
            proofreading_strategy=rng.choice(["", "axon_interareal"], 12, p=[0.2, 0.8]),
        )
        filters = Filters(proofread, kind, None, (int(ids[0]),), autapses, fewest, both)
        expected = by_loops(synapses, filters, cells)
        if not expected["left"]:
            with pytest.raises(ConnectomeError, match="no neuron is left after filtering"):
                from_synapses(synapses, cells, filters=filters)
            return
        found = from_synapses(synapses, cells, filters=filters)
        assert found.ids.tolist() == expected["left"]
        edges = found.edges()
        ours = dict(
            zip(zip(edges["pre"], edges["post"], strict=True), edges["weight"], strict=True)
        )
        assert ours == expected["sizes"]

    def test_an_autapse_counts_twice(self):
        """As the notebook counts: synapses, not partners, and both ends."""
        rows = synapse_table((1, 1, 9), (2, 3, 9), (3, 2, 9), (2, 3, 9))
        cells = cell_table(1, 2, 3)
        assert len(from_synapses(rows, cells, filters=Filters(min_synapses=2))) == 3
        assert from_synapses(rows, cells, filters=Filters(min_synapses=3)).ids.tolist() == [2, 3]
        dropped = from_synapses(rows, cells, filters=Filters(autapses="drop"))
        assert counts(dropped, "autapses_dropped", "neurons_with_few_synapses") == [1, 1]

    def test_a_filter_is_applied_once(self):
        """2 loses its partner 1 and stays; so a neuron kept may have fewer than asked for."""
        rows = synapse_table((1, 2, 5), (2, 3, 5), (3, 2, 5), (3, 2, 5))
        found = from_synapses(rows, cell_table(1, 2, 3), filters=Filters(min_synapses=4))
        assert found.ids.tolist() == [2]
        assert found.n_edges == 0

    def test_cells_without_id_or_with_a_shared_one_are_left_out(self):
        """B13: the v1300 cell table has a proofreadable row of id 0."""
        rows = synapse_table((0, 1, 5), (1, 2, 5), (2, 1, 5), (3, 1, 5))
        found = from_synapses(rows, cell_table(0, 1, 2, 3, 3), filters=ALL)
        assert found.ids.tolist() == [1, 2]
        assert counts(found, "cells", "cells_without_id", "cells_of_shared_id") == [5, 1, 2]
        assert counts(found, "synapses", "synapses_of_other_cells") == [4, 2]

    def test_excluded_ids_do_not_come_back_through_their_partners(self):
        """B13: rows of partners name cells whose own synapses were never asked for."""
        rows = synapse_table((1, 2, 5), (2, 1, 5), (9, 1, 5), (1, 9, 5))
        found = from_synapses(rows, cell_table(1, 2, 9), filters=Filters(exclude=(9,)))
        assert found.ids.tolist() == [1, 2]
        assert counts(found, "cells_excluded") == [1]

    def test_every_filter_writes_what_it_took(self, rng):
        synapses, cells = synthetic_tables(rng)
        found = from_synapses(synapses, cells).origin.counts
        taken = sum(n for name, n in found.items() if name.startswith(("cells_", "neurons_with")))
        assert found["cells"] - taken == len(from_synapses(synapses, cells))
        assert min(found[f"cells_{x}"] for x in ("not_proofread", "of_other_type")) > 0
        rows = [n for name, n in found.items() if name.startswith("synapses_of_")]
        assert found["synapses"] - sum(rows) == found["rows"]

    def test_proofread_may_be_a_truth_value(self):
        cells = cell_table(1, 2, 3, proofreading_strategy=[True, False, True])
        rows = synapse_table((1, 3, 5), (1, 2, 5))
        assert from_synapses(rows, cells, filters=Filters(proofread=True)).ids.tolist() == [1, 3]
        for said in (["t", "f", "T"], [1, 0, 1], [1.0, None, 1.0], ["true", None, "true "]):
            cells = cell_table(1, 2, 3, proofreading_strategy=said)
            assert from_synapses(rows, cells, filters=Filters(proofread=True)).ids.tolist() == [
                *(1, 3)
            ]

    def test_words_that_mean_proofread_are_named(self):
        """CAVE writes `none` for cells that nobody looked at."""
        cells = cell_table(1, 2, 3, proofreading_strategy=["proofread", "none ", "proofread"])
        rows = synapse_table((1, 3, 1), (3, 1, 1), (2, 1, 1))
        with pytest.raises(ConnectomeError, match="holds 'proofread', 'none', of which it is not"):
            from_synapses(rows, cells, filters=Filters(proofread=True))
        found = from_synapses(rows, cells, filters=Filters(proofread=("proofread",)))
        assert found.ids.tolist() == [1, 3]
        assert found.origin.counts["cells_not_proofread"] == 1
        with pytest.raises(ConnectomeError, match="no cell has proofreading_strategy done; the "):
            from_synapses(rows, cells, filters=Filters(proofread=("done",)))

    def test_columns_as_other_programs_write_them(self):
        """Padded types, ids as nullable unsigned integers with a gap, positions in lists."""
        cells = pd.DataFrame(
            {
                "pt_root_id ": pd.array([2**60 + 1, 2**60 + 2, None], "UInt64"),
                "cell_type": pd.Series(["e ", "e", "i"], dtype="category"),
                "pt_position": [[100, 0, 0], [0, 200, 0], [0, 0, 0]],
            }
        )
        ends = pd.array([2**60 + 1, 2**60 + 2], "Int64")
        rows = pd.DataFrame({"pre_root_id": ends, " post_root_id": ends[::-1], "cleft_vx": [3, 4]})
        found = from_synapses(rows, cells, PHASE1, replace(ALL, cell_type=("e",)))
        assert found.ids.tolist() == [2**60 + 1, 2**60 + 2]
        assert found.weights.toarray().tolist() == [[0, 4], [3, 0]]
        np.testing.assert_allclose(found.neurons["x"], [0.358, 0])
        assert found.origin.counts["cells_without_id"] == 1


class TestRefusals:
    rows = synapse_table((1, 2, 5), (2, 1, 5))

    def test_columns_that_are_missing(self):
        with pytest.raises(ConnectomeError, match=r"synapse table .*not \['size'\], which MICrONS"):
            from_synapses(self.rows.drop(columns="size"), cell_table(1, 2))
        with pytest.raises(ConnectomeError, match=r"cell table .*not \['region'\].*replace\("):
            from_synapses(self.rows, cell_table(1, 2).drop(columns="region"))

    def test_a_filter_whose_column_the_release_lacks(self):
        release = replace(V1300, region=None)
        with pytest.raises(ConnectomeError, match="no column that tells 'region'"):
            from_synapses(self.rows, cell_table(1, 2), release, Filters(region="V1"))

    def test_ids_of_the_wrong_type_by_the_right_name(self):
        """B11: the message names the column whose type is wrong."""
        with pytest.raises(ConnectomeError, match="'post_pt_root_id' holds ids of type float64"):
            from_synapses(self.rows.astype({"post_pt_root_id": float}), cell_table(1, 2))
        with pytest.raises(ConnectomeError, match=r"'pre_pt_root_id' holds ids of another type"):
            from_synapses(self.rows.assign(pre_pt_root_id="AVAL"), cell_table(1, 2))
        with pytest.raises(ConnectomeError, match="'pt_root_id' holds ids of type float64"):
            from_synapses(self.rows, cell_table(1.5, 2.5))

    def test_no_neuron_is_left(self):
        with pytest.raises(ConnectomeError) as caught:
            from_synapses(self.rows, cell_table(1, 2))
        assert "Filters(proofread=True, cell_type='23P', region='V1'" in str(caught.value)
        assert "  cells: 2\n" in str(caught.value)
        assert "  neurons_with_few_synapses: 2\n" in str(caught.value)
        assert "loosen the filter that removed most" in str(caught.value)
        with pytest.raises(ConnectomeError, match="  cells_of_other_type: 2\n"):
            from_synapses(self.rows, cell_table(1, 2), filters=Filters(cell_type=("4P", "BC")))

    def test_excluded_ids_that_do_not_exist(self):
        with pytest.raises(ConnectomeError, match="1 ids that the cell table lacks, 7"):
            from_synapses(self.rows, cell_table(1, 2), filters=Filters(exclude=(1, 7)))

    def test_positions_that_are_none(self):
        with pytest.raises(
            ConnectomeError, match=r"of 1 of 2 cells is not three numbers.* of cell 2"
        ):
            from_synapses(self.rows, cell_table(1, 2, pt_position_y=[0.0, np.nan]), filters=ALL)

    def test_choices(self):
        with pytest.raises(ConnectomeError, match="weight='area', expected one of"):
            from_synapses(self.rows, cell_table(1, 2), weight="area")


class TestFiles:
    @pytest.mark.parametrize("suffix", ["feather", "parquet", "csv"])
    def test_every_kind_of_file_says_the_same(self, suffix, rng, tmp_path):
        tables = synthetic_tables(rng, n_neurons=60, n_others=20, receivers=8.0)
        filters = replace(NOTEBOOK, min_synapses=1)
        paths = [tmp_path / f"{name}.{suffix}" for name in ("synapses", "cells")]
        for table, path in zip(tables, paths, strict=True):
            options = {"index": False} if suffix == "csv" else {}
            getattr(table, f"to_{suffix}")(path, **options)
        found = read_synapses(*paths, filters=filters)
        assert len(found) > 40
        assert found.edges().equals(from_synapses(*tables, filters=filters).edges())
        assert list(found.origin.files) == [path.name for path in paths]
        assert found.origin.source == f"{paths[0]}, in the columns of MICrONS minnie65 v1300"

    def test_absent_and_unreadable_files(self, tmp_path):
        cells = tmp_path / "cells.csv"
        cell_table(1, 2).to_csv(cells)
        with pytest.raises(StoreError, match=r"no file at .*get the tables of .* from https://"):
            read_synapses(tmp_path / "nowhere.feather", cells)
        (tmp_path / "broken.feather").write_text("no table")
        with pytest.raises(StoreError, match=r"broken.feather cannot be read as .feather"):
            read_synapses(tmp_path / "broken.feather", cells)
        (tmp_path / "matrix.npy").write_text("")
        with pytest.raises(StoreError, match=r"unknown kind '\.npy'"):
            read_synapses(tmp_path / "matrix.npy", cells)

    def test_a_published_name_with_other_content(self, tmp_path):
        synapse_table((1, 2, 5)).to_feather(tmp_path / "mine.feather")
        cell_table(1, 2).to_feather(tmp_path / "cell_info_1300.feather")
        paths = tmp_path / "mine.feather", tmp_path / "cell_info_1300.feather"
        with pytest.raises(StoreError, match=r"was published with 6864546.*say verify=False"):
            read_synapses(*paths)
        assert read_synapses(*paths, filters=ALL, verify=False).n_edges == 1


class TestSynthetic:
    @pytest.mark.slow
    def test_the_numbers_of_its_docstring(self):
        """Over ten seeds; bounds are several standard errors wide."""
        drawn = [synthetic(np.random.default_rng(s), ALL, n_others=0) for s in range(10)]
        edges = np.mean([c.n_edges / 419 for c in drawn])
        assert edges == pytest.approx(15.8, rel=0.02)
        tables = [synthetic_tables(np.random.default_rng(s), n_others=0) for s in range(3)]
        number = [from_synapses(*t, filters=ALL, weight="synapses").weights.data for t in tables]
        assert (np.concatenate(number) > 1).mean() == pytest.approx(0.115, abs=0.01)
        sizes = np.log(np.concatenate([table["size"] for table, _ in tables]))
        assert sizes.mean() == pytest.approx(8.643, abs=0.03)
        assert sizes.std() == pytest.approx(0.94, abs=0.03)

    def test_sizes_of_a_connection_are_correlated(self):
        table = synthetic_tables(np.random.default_rng(3), n_others=0)[0]
        by_pair = table.assign(log=np.log(table["size"])).sample(frac=1, random_state=0)
        by_pair = by_pair.groupby(["pre_pt_root_id", "post_pt_root_id"])["log"]
        twos = np.array([values.to_numpy() for _, values in by_pair if len(values) == 2])
        assert np.corrcoef(twos.T)[0, 1] == pytest.approx(0.5, abs=0.12)

    def test_near_cells_are_connected_more_often(self):
        """The log of the probability falls by 1 in 130 um."""
        present, distances = [], []
        for seed in range(6):
            one = synthetic(np.random.default_rng(seed), ALL, n_others=0)
            place = one.neurons[["x", "z"]].to_numpy()
            distances.append(np.hypot(*(place[:, None] - place[None]).transpose(2, 0, 1)))
            present.append((one.weights.toarray() > 0) | np.eye(419, dtype=bool))
        distance, there = np.array(distances), np.array(present)
        near, far = (distance > 10) & (distance < 40), (distance > 140) & (distance < 170)
        slope = np.log(there[near].mean() / there[far].mean()) / (
            distance[far].mean() - distance[near].mean()
        )
        assert 1 / slope == pytest.approx(130, rel=0.15)

    @pytest.mark.parametrize("factor", [0.0, 1.0, 1.6])
    def test_reciprocity_is_what_was_asked_for(self, factor):
        """Where all probabilities are p: factor * p^2 n (n - 1) / 2 pairs are expected."""
        from ngpipe.wiring.sources import synthetic_synapses

        p = np.full((300, 300), 0.1)
        np.fill_diagonal(p, 0)
        found = synthetic_synapses.connected(p, factor, np.random.default_rng(0))
        pairs = (found & found.T).sum() / 2
        expected = factor * 0.01 * 300 * 299 / 2
        assert pairs == pytest.approx(expected, abs=4 * np.sqrt(expected) + 1e-9)
        assert found.mean() == pytest.approx(0.1, abs=0.004)

    def test_a_seed_gives_one_table_and_the_origin_says_synthetic(self):
        same = [synthetic(np.random.default_rng(s), n_neurons=120).digest() for s in (1, 1, 2)]
        assert same[0] == same[1] != same[2]
        assert synthetic(np.random.default_rng(1), n_neurons=120).origin.source == "synthetic"

    def test_refusals(self, rng):
        with pytest.raises(ConnectomeError, match=r"receivers=80.0, .*half as many receivers"):
            synthetic_tables(rng, n_neurons=100, receivers=80.0)


@pytest.mark.data
class TestReal:
    def test_phase_1(self, microns):
        """Dorkenwald et al. 2022: 334 neurons, 160 connections of two synapses."""
        folder = microns / "phase1_v185"
        names = "soma_subgraph_synapses_spines_v185.csv", "soma_valence_v185.csv"
        paths = [folder / name for name in names]
        found = read_synapses(*paths, PHASE1, Filters(autapses="drop"), weight="synapses")
        assert (len(found), found.n_edges) == (334, 1734)
        assert np.bincount(found.weights.data.astype(int)).tolist() == [0, 1545, 160, 24, 3, 2]
        assert pair_counts(found)["reciprocal"] == 31
        assert found.origin.source == "MICrONS phase 1 v185"
        assert counts(found, "synapses", "autapses_dropped", "rows") == [1961, 2, 1959]
        whole = read_synapses(*paths, PHASE1, Filters())
        assert counts(whole, "self_connections") == [2]
        assert whole.n_edges == 1736
        assert whole.weights.sum() == pd.read_csv(paths[0])["cleft_vx"].sum()
        assert found.neurons[["x", "y", "z"]].std().between(20, 80).all(), "wrong columns read"
        square = read_synapses(*paths, PHASE1, Filters(input_and_output=True))
        assert (len(square), square.n_edges) == (104, 682)

    def test_the_synthetic_table_on_real_ids(self, microns):
        paths = microns / SYNTHETIC_FILE, microns / "cell_info_1300.feather"
        found = read_synapses(*paths)
        assert (len(found), found.n_edges) == (328, 5509)
        assert 2 * pair_counts(found)["reciprocal"] == 496
        steps = ("cells", "cells_without_id", "cells_not_proofread", "cells_of_other_type")
        taken = counts(found, *steps, "cells_of_other_region", "neurons_with_few_synapses")
        assert taken == [91_423, 1, 89_721, 1_182, 100, 91]  # 419 after the cells
        some = read_synapses(*paths, filters=replace(NOTEBOOK, exclude=UNFINISHED, min_synapses=0))
        assert counts(some, "cells_excluded") == [4]

    def test_our_tables_have_the_columns_of_the_real_ones(self, microns, rng):
        ours = synthetic_tables(rng)
        files = microns / SYNTHETIC_FILE, microns / "cell_info_1300.feather"
        for made, file in zip(ours, files, strict=True):
            real = pd.read_feather(file)
            assert list(made) == list(real)
            for column in real:
                kinds = [pd.api.types.infer_dtype(t[column]) for t in (made, real)]
                assert kinds[0] == kinds[1], column
                if real[column].dtype.kind in "if":
                    assert made[column].dtype == real[column].dtype

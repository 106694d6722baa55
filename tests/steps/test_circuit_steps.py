"""The stages of the circuit system on small made-up connectomes, and what they refuse."""

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr

from ngpipe import hashing, schemas, store
from ngpipe.circuit import respond as respond_library
from ngpipe.circuit.blocks import NOTEBOOK, circuit, notebook_draw
from ngpipe.circuit.impulse import Impulse
from ngpipe.circuit.measures import compare as tables_compared
from ngpipe.circuit.rates import Neurons
from ngpipe.circuit.respond import respond as respond_to
from ngpipe.config.circuit.experiment import CircuitExperiment
from ngpipe.config.load import validate
from ngpipe.errors import ArgumentError, ConfigError, ConnectomeError, StoreError
from ngpipe.steps import compare, motifs, respond, wire
from ngpipe.wiring.container import Connectome
from ngpipe.wiring.nulls import NULLS, p_value
from ngpipe.wiring.sources.synapses import Filters, from_synapses
from ngpipe.wiring.sources.synthetic_synapses import synthetic, synthetic_tables

CPU = torch.device("cpu")
KEY = "k" * 64
SIZES = {"n_neurons": 60, "n_others": 20, "receivers": 8.0}
FILTERS = Filters(True, "23P", "V1", min_synapses=5, input_and_output=True)
SOURCE = {"kind": "synthetic", "seed": 4, **SIZES, "filters": {"min_synapses": 5}}
PULSE = {"start": 0.5, "end": 3.0, "duration": 12.0}
CONDITIONS = {
    "permuted": {"shuffle": "permuted_connections"},
    "ablated": {"remove": "random"},
    "matched": {"remove": "random", "match": "weight"},
}


def experiment(**changes: object) -> CircuitExperiment:
    content = {
        "system": "circuit",
        "connectome": {"source": SOURCE},
        "network": {"gain": 0.01},
        "impulse": PULSE,
        "runs": {"seeds": 3, "seed": 5},
        "conditions": CONDITIONS,
        "sweep": {"network.probability": [0.2, 0.4], "neurons.tau": [0.3]},
        "motifs": {"samples": 4, "nulls": ["erdos_renyi", "degree"]},
    }
    return validate({**content, **changes}, CircuitExperiment, where="test")


STAGES = ("wire", "respond", "motifs", "compare")


def run(cfg: CircuitExperiment, directory: Path, *names: str) -> Path:
    """Stages by name, in the order given."""
    calls = {
        "wire": lambda: wire.run(cfg.connectome, directory, key=KEY),
        "respond": lambda: respond.run(cfg, directory, key=KEY, device=CPU),
        "motifs": lambda: motifs.run(cfg.motifs, directory, key=KEY),
        "compare": lambda: compare.run(
            cfg.measures, cfg.reference, cfg.impulse, cfg.conditions, directory, key=KEY
        ),
    }
    for name in names:
        calls[name]()
    return directory


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return run(experiment(), tmp_path_factory.mktemp("circuit"), *STAGES)


@pytest.fixture
def copy(finished, tmp_path):
    return Path(shutil.copytree(finished, tmp_path / "run"))


@pytest.fixture
def wired(finished, tmp_path):
    """Another directory with the same connectome."""
    shutil.copytree(finished / "connectome.zarr", tmp_path / "wired" / "connectome.zarr")
    return tmp_path / "wired"


def opened(directory: Path) -> xr.Dataset:
    return store.read(directory / "responses.zarr", schemas.RESPONSES).load()


def table(directory: Path, name: str) -> pd.DataFrame:
    found = pd.read_csv(directory / f"{name}.csv", dtype={"parameter": str, "value": str})
    return found.fillna({"parameter": "", "value": ""})


def metrics_of(directory: Path, column: str = "value") -> pd.Series:
    return pd.read_csv(directory / "metrics.csv").set_index(["quantity", "metric"])[column]


def files_of(directory: Path, suffix: str = "feather", **renamed: str) -> tuple[dict, Connectome]:
    """A section that names tables on disk, and the connectome that they hold."""
    synapses, cells = synthetic_tables(np.random.default_rng(4), **SIZES)
    section = {"kind": "synapses", "filters": {"min_synapses": 5}}
    for name, content in (("synapses", synapses), ("cells", cells)):
        path = directory / f"{name}.{suffix}"
        content = content.rename(columns=renamed)
        if suffix == "csv":
            content.to_csv(path, index=False)
        else:
            content.to_feather(path)
        section[name] = str(path)
    return section, from_synapses(synapses, cells, filters=FILTERS)


class TestWire:
    def read(self, source: dict, directory: Path) -> Connectome:
        run(experiment(connectome={"source": source}), directory, "wire")
        return Connectome.load(directory / "connectome.zarr")

    def test_made_up_synapses(self, finished):
        found = Connectome.load(finished / "connectome.zarr")
        made = synthetic(np.random.default_rng(4), FILTERS, **SIZES)
        assert len(found) > 40
        assert found.digest() == made.signed("excitatory").digest()
        assert found.origin.source == "synthetic"

    @pytest.mark.quick(1)
    @pytest.mark.parametrize("suffix", ["feather", "csv"])
    def test_tables_of_ones_own(self, tmp_path, suffix):
        source, expected = files_of(tmp_path, suffix)
        found = self.read(source, tmp_path)
        assert found.edges().equals(expected.edges())
        assert found.origin.source.endswith("in the columns of MICrONS minnie65 v1300")
        assert set(found.origin.files) == {f"synapses.{suffix}", f"cells.{suffix}"}

    def test_columns_may_have_other_names(self, tmp_path):
        names = {
            "pre_pt_root_id": "from",
            "post_pt_root_id": "to",
            "size": "area",
            "pt_root_id": "cell",
            "cell_type_auto": "kind",
            **{f"pt_position_{axis}": f"soma_{axis}" for axis in "xyz"},
        }
        source, expected = files_of(tmp_path, **names)
        with pytest.raises(ConnectomeError, match=r"synapse table has .* not \['pre_pt_root_id', "):
            self.read(source, tmp_path)
        columns = {"pre": "from", "post": "to", "size": "area", "id": "cell", "cell_type": "kind"}
        columns |= {"position": ["soma_x", "soma_y", "soma_z"]}
        found = self.read({**source, "columns": columns}, tmp_path)
        assert found.edges().equals(expected.edges())
        place = ["x", "y", "z"]
        pd.testing.assert_frame_equal(found.neurons[place], expected.neurons[place])

    def test_columns_that_are_not_there(self, tmp_path):
        source, expected = files_of(tmp_path, region="area", proofreading_strategy="state")
        columns = {"region": None, "proofread": None}
        with pytest.raises(ConnectomeError, match="no column that tells 'proofread', so it cannot"):
            self.read({**source, "columns": columns}, tmp_path)
        filters = {"min_synapses": 1, "region": None, "proofread": False}
        found = self.read({**source, "columns": columns, "filters": filters}, tmp_path)
        assert len(found) > len(expected)

    def test_tables_of_phase_1(self, tmp_path):
        """Positions are text, in voxels; there is neither region nor proofreading."""
        rows = pd.DataFrame({"pre_root_id": [3, 5, 5], "post_root_id": [5, 3, 9]})
        rows.assign(cleft_vx=[70, 20, 30]).to_csv(tmp_path / "s.csv", index=False)
        cells = pd.DataFrame({"pt_root_id": [3, 5, 9], "cell_type": ["e", "e", "i"]})
        cells["pt_position"] = ["[100 200 10]", "[1 2 3]", "[4 5 6]"]
        cells.to_csv(tmp_path / "c.csv", index=False)
        source = {"kind": "synapses", "release": "phase1", "weight": "synapses"}
        source |= {"synapses": str(tmp_path / "s.csv"), "cells": str(tmp_path / "c.csv")}
        filters = {"proofread": False, "cell_type": ["e"], "region": None, "min_synapses": 0}
        found = self.read({**source, "filters": filters}, tmp_path)
        assert found.weights.toarray().tolist() == [[0, 1], [1, 0]]
        assert found.unit == "synapses"
        np.testing.assert_allclose(found.neurons[["x", "y", "z"]].loc[0], [0.358, 0.716, 0.4])

    def test_the_store_tells_what_every_filter_took(self, tmp_path):
        source, expected = files_of(tmp_path)
        self.read(source, tmp_path)
        attrs = xr.open_zarr(tmp_path / "connectome.zarr").attrs
        counts = json.loads(attrs["origin"])["counts"]
        assert counts == {**expected.origin.counts, "senders_without_sign": len(expected)}
        assert counts["cells"] == 80
        took = [n for name, n in counts.items() if name.startswith(("cells_", "neurons_with"))]
        took.remove(counts["neurons_without_edges"])
        assert 80 - sum(took) == len(expected)
        config = json.loads(attrs["config"])
        assert config["source"]["filters"]["min_synapses"] == 5

    @pytest.mark.quick(1)
    @pytest.mark.parametrize("kind", [int, str])
    def test_excluded_cells_are_named_by_their_ids(self, tmp_path, kind):
        """B13. Ids of 18 digits survive YAML, and mean the same as text."""
        source, expected = files_of(tmp_path)
        gone = expected.ids[[0, 7]].tolist()
        source["filters"] = {"min_synapses": 1, "exclude": [kind(one) for one in gone]}
        found = self.read(source, tmp_path)
        assert not set(gone) & set(found.ids)
        assert found.origin.counts["cells_excluded"] == 2

    def test_no_neuron_left_shows_the_counts(self, tmp_path):
        source, _ = files_of(tmp_path)
        source["filters"] = {"min_synapses": 10_000}
        with pytest.raises(ConnectomeError) as caught:
            self.read(source, tmp_path)
        for words in ("no neuron is left", "  cells: 80\n", "  neurons_with_few_synapses: 60\n"):
            assert words in str(caught.value)
        assert not (tmp_path / "connectome.zarr").exists()

    def test_files_that_are_absent_or_another(self, tmp_path):
        source, _ = files_of(tmp_path)
        with pytest.raises(StoreError, match=r"no file at .*lost\.csv.*from https://"):
            self.read({**source, "cells": str(tmp_path / "lost.csv")}, tmp_path)
        mine = tmp_path / "cell_info_1300.feather"
        Path(source["cells"]).rename(mine)
        source["cells"] = str(mine)
        with pytest.raises(StoreError, match="was published with 686454"):
            self.read(source, tmp_path)
        assert len(self.read({**source, "verify": False}, tmp_path)) > 40


def by_hand(directory: Path, cfg: CircuitExperiment, shuffle: str | None, seed: int) -> xr.Dataset:
    """One run, from the library alone."""
    sizes = Connectome.load(directory / "connectome.zarr").weights.toarray().astype(float)
    if shuffle is not None:
        flat = sizes.T.flatten()
        np.random.RandomState(seed).shuffle(flat)
        sizes = flat.reshape(sizes.shape).T
    parameters = replace(NOTEBOOK, gain=0.01, probability=cfg.network.probability)
    part = notebook_draw(len(sizes), parameters, seed)
    made = circuit(sizes, part, parameters)
    return respond_to(made, Impulse(**PULSE), Neurons(tau=cfg.neurons.tau), activity=True)


class TestRespond:
    def test_every_run_has_its_labels(self, finished):
        found = opened(finished)
        points = [("", ""), ("network.probability", "0.2"), ("network.probability", "0.4")]
        points += [("neurons.tau", "0.3")]
        conditions = ["observed", *CONDITIONS]
        expected = [(*p, c, s) for p in points for s in (5, 6, 7) for c in conditions]
        labels = [found[name].values.tolist() for name in compare.LABELS]
        assert list(zip(*labels, strict=True)) == expected
        assert found.attrs["n_exc"] == len(Connectome.load(finished / "connectome.zarr"))
        assert found.attrs["connectome_source"] == "synthetic"
        assert found.time.attrs["units"] == found["sample"].attrs["units"] == "s"

    @pytest.mark.quick(1)
    @pytest.mark.parametrize("shuffle", [None, "permuted_connections"])
    @pytest.mark.parametrize(
        ("parameter", "value", "cfg"),
        [
            ("", "", experiment()),
            ("network.probability", "0.4", experiment(network={"probability": 0.4})),
            ("neurons.tau", "0.3", experiment(neurons={"tau": 0.3})),
        ],
    )
    def test_a_run_is_that_of_the_library(self, finished, shuffle, parameter, value, cfg):
        found = opened(finished)
        name = "observed" if shuffle is None else "permuted"
        for seed in (5, 7):
            expected = by_hand(finished, cfg, shuffle, seed)
            one = (found.parameter == parameter) & (found.value == value)
            one &= (found.condition == name) & (found.seed == seed)
            (at,) = np.flatnonzero(one)
            for kind in ("excitatory", "inhibitory"):
                np.testing.assert_allclose(found[kind][at], expected[kind][0], atol=1e-10)
            assert float(found.eigenvalue[at]) == pytest.approx(float(expected.eigenvalue[0]))

    @pytest.mark.slow
    def test_a_point_of_a_sweep_is_an_experiment_with_that_value(self, finished, wired):
        run(experiment(sweep={}, network={"gain": 0.01, "probability": 0.4}), wired, "respond")
        alone, swept = opened(wired), opened(finished)
        at = np.flatnonzero(swept["value"] == "0.4")
        for name in ("excitatory", "inhibitory", "predicted", "eigenvalue", "condition", "seed"):
            np.testing.assert_array_equal(alone[name], swept[name].isel(run=at))

    @pytest.mark.slow
    @pytest.mark.parametrize("draws", ["notebook", "generator"])
    @pytest.mark.parametrize("engine", ["linear", "step"])
    def test_a_run_does_not_depend_on_those_beside_it(self, wired, monkeypatch, draws, engine):
        """Nor on how many of them fit in the cache, up to rounding."""
        runs = {"seeds": 3, "seed": 5, "draws": draws, "engine": engine}
        few = {"ablated": CONDITIONS["ablated"]}
        strong = {"balance": 2.5, "gain": 0.01}  # where units rectify, each at another time
        changes = {"sweep": {}, "network": strong}
        run(experiment(runs=runs, **changes), wired, "respond", "compare")
        together, times = opened(wired), table(wired, "measures")
        monkeypatch.setattr(respond_library, "CACHE", 1)
        later = {**runs, "seeds": 1, "seed": 6}
        run(experiment(runs=later, conditions=few, **changes), wired, "respond", "compare")
        alone, again = opened(wired), table(wired, "measures")
        assert alone["condition"].values.tolist() == ["observed", "ablated"]
        for i, name in enumerate(("observed", "ablated")):
            at = np.flatnonzero((together["condition"] == name) & (together["seed"] == 6))
            np.testing.assert_allclose(
                alone["excitatory"][i], together["excitatory"][at[0]], rtol=0, atol=1e-10
            )
            for measure in ("status", "time_to_baseline"):
                assert again[measure][i] == times[measure][at[0]]

    @pytest.mark.slow
    def test_the_same_experiment_gives_the_same_bytes(self, finished, wired):
        before = hashing.tree_digest(wired / "connectome.zarr")
        cfg = experiment()
        dumped = cfg.model_dump_json()
        np.random.seed(3)  # noqa: NPY002
        run(cfg, wired, "respond", "motifs", "compare")
        for name in ("measures.csv", "comparison.csv", "metrics.csv", "motifs.csv", "mixing.csv"):
            assert (wired / name).read_bytes() == (finished / name).read_bytes()
        digests = [hashing.tree_digest(one / "responses.zarr") for one in (finished, wired)]
        assert digests[0] == digests[1]
        assert hashing.tree_digest(wired / "connectome.zarr") == before
        assert cfg.model_dump_json() == dumped

    def test_other_seeds_give_other_runs(self, finished):
        found = opened(finished)
        for name in ("observed", *CONDITIONS):
            at = np.flatnonzero((found["condition"] == name) & (found["parameter"] == ""))
            assert len(np.unique(found["excitatory"].values[at, -1])) == 3

    def test_one_run_of_every_condition_is_kept_whole(self, finished):
        """Of the first seed: W, its eigenvalues, and the activity of all neurons."""
        found, n_exc = opened(finished), opened(finished).attrs["n_exc"]
        assert found["shown"].values.tolist() == ["observed", *CONDITIONS]
        sizes = Connectome.load(finished / "connectome.zarr").weights.toarray()
        observed = found["weights"].values[0]
        np.testing.assert_allclose(observed[:n_exc, :n_exc], sizes / 150_000, rtol=1e-6)
        assert (observed[:, n_exc:] <= 0).all()
        assert (observed[:, n_exc:] < 0).any(axis=0).all()
        every = -(-1200 // 1000)
        for i in range(4):
            activity = found["activity"].values[i]
            assert found["condition"].values[i] == found["shown"].values[i]
            mean = found["excitatory"].values[i, ::every]
            np.testing.assert_allclose(activity[:, :n_exc].mean(axis=1), mean, rtol=1e-4, atol=1e-4)
            values = found["spectrum"].values[i] @ [1, 1j]
            weights = found["weights"].values[i].astype(float)
            assert values.sum() == pytest.approx(np.trace(weights), abs=1e-4)
            assert values.real.max() == pytest.approx(float(found["eigenvalue"][i]), abs=1e-8)

    def test_mean_field_is_that_of_the_same_network(self, finished):
        weights = opened(finished)["weights"].values[1].astype(float)
        n_exc = opened(finished).attrs["n_exc"]
        kinds = slice(0, n_exc), slice(n_exc, None)
        (ee, ei), (ie, ii) = [[weights[a, b].sum(axis=1).mean() for b in kinds] for a in kinds]
        x = np.zeros((1200, 2))
        for k in range(1199):
            given = 10.0 * (50 <= k <= 300)
            received = np.array([[ee, ei], [ie, ii]]) @ x[k] + [given, 0]
            x[k + 1] = x[k] + 0.04 * (np.maximum(0, received) - x[k])
        found = opened(finished)["predicted"].values[1]
        np.testing.assert_allclose(found, x[:, 0], rtol=1e-4, atol=1e-6)

    @pytest.mark.slow
    def test_a_response_may_be_swept(self, wired):
        sweep = {"neurons.response": ["linear", "saturating"], "network.balance": [None, 0]}
        runs = {"seeds": 1, "engine": "step"}
        run(experiment(sweep=sweep, runs=runs, conditions={}), wired, "respond", "compare")
        found = table(wired, "measures").set_index(["parameter", "value"])
        assert len(found) == 5
        assert found.loc[("neurons.response", "saturating"), "peak"] < 100
        assert len(found["eigenvalue"].unique()) == 3

    @pytest.mark.slow
    def test_sizes_may_be_swept(self, wired):
        """Also to no inhibitory neuron at all."""
        sweep = {"network.inhibitory": [0, 0.4]}
        run(experiment(sweep=sweep, runs={"seeds": 2}), wired, "respond", "compare")
        found = opened(wired)
        assert not found["inhibitory"].values[found["value"] == "0"].any()
        assert found["inhibitory"].values[found["value"] == "0.4"].any()

    def test_connections_that_inhibit_are_refused(self, tmp_path):
        edges = tmp_path / "edges.csv"
        edges.write_text("pre,post,weight,sign\na,b,2000,1\nb,a,3000,-1\nb,c,9,-1\nc,a,9,1\n")
        source = {"kind": "file", "path": str(edges), "sign": "sign"}
        cfg = experiment(connectome={"source": source}, conditions={})
        with pytest.raises(ArgumentError, match="2 measured weights are below 0"):
            run(cfg, tmp_path, "wire", "respond")
        assert not (tmp_path / "responses.zarr").exists()

    def test_a_condition_that_cannot_be_had_is_named(self, tmp_path):
        edges = tmp_path / "edges.csv"
        edges.write_text("pre,post,weight\na,b,2000\nb,a,3000\n")
        source = {"kind": "file", "path": str(edges)}
        with pytest.raises(ConnectomeError, match=r"conditions\.matched, seed 5: the abl"):
            run(experiment(connectome={"source": source}), tmp_path, "wire", "respond")

    def test_a_truncated_store_is_named(self, copy):
        """A chunk that is missing would read as zeros: a run without a response."""
        (copy / "responses.zarr" / "excitatory" / "0.0").unlink()
        with pytest.raises(StoreError, match=r"is truncated: 1 of its .* 'excitatory/0\.0'"):
            run(experiment(), copy, "compare")


class TestMotifs:
    def test_counts_are_those_of_the_matrix(self, finished):
        a = Connectome.load(finished / "connectome.zarr").weights.toarray() > 0
        np.fill_diagonal(a, False)
        a = a.astype(int)
        paths = a @ a
        expected = {
            "reciprocal": np.trace(paths) / 2,
            "chain": paths.sum() - np.trace(paths),
            "convergent": ((a.T @ a).sum() - a.sum()) / 2,
            "divergent": ((a @ a.T).sum() - a.sum()) / 2,
            "300": np.trace((m := a * a.T) @ m @ m) / 6,
        }
        found = table(finished, "motifs")
        for null in ("erdos_renyi", "degree"):
            count = found[found["null"] == null].set_index("motif")["count"]
            assert {name: count[name] for name in expected} == expected
            n = len(a)
            assert count.iloc[5:].sum() == n * (n - 1) * (n - 2) / 6

    def test_scores_are_those_of_the_samples(self, finished):
        connectome = Connectome.load(finished / "connectome.zarr")
        found = table(finished, "motifs").set_index(["null", "motif"])
        for null in ("erdos_renyi", "degree"):
            rng = np.random.default_rng([0, *null.encode()])
            drawn = []
            for _ in range(4):
                a = NULLS[null].draw(connectome, rng).weights.toarray() > 0
                np.fill_diagonal(a, False)
                drawn.append((a & a.T).sum() / 2)
            row = found.loc[(null, "reciprocal")]
            assert row["mean"] == pytest.approx(np.mean(drawn))
            assert row["sd"] == pytest.approx(np.std(drawn, ddof=1))
            assert row["z"] == pytest.approx((row["count"] - row["mean"]) / row["sd"])
            assert row["p"] == p_value(row["count"], np.array(drawn))
            assert row["samples"] == 4

    def test_scores_do_not_depend_on_which_other_nulls_there_are(self, finished, wired):
        run(experiment(motifs={"samples": 4, "nulls": ["degree"]}), wired, "motifs")
        both, alone = (table(one, "motifs") for one in (finished, wired))
        both = both[both["null"] == "degree"].reset_index(drop=True)
        pd.testing.assert_frame_equal(alone, both)

    def test_mixing_starts_at_the_connectome_and_leaves_it(self, finished, wired):
        found = table(finished, "mixing")
        assert found["null"].unique().tolist() == ["degree"]
        assert found["overlap"][0] == 1
        assert found["overlap"].iloc[-1] < 0.7
        run(experiment(motifs={"samples": 2, "nulls": ["distance"]}), wired, "motifs")
        assert table(wired, "mixing").empty

    def test_without_nulls_there_are_counts(self, finished, wired):
        run(experiment(motifs={"nulls": []}), wired, "motifs")
        counts = table(wired, "motifs").set_index("motif")["count"]
        both = table(finished, "motifs")
        expected = both[both["null"] == "degree"].set_index("motif")["count"]
        pd.testing.assert_series_equal(counts, expected)


def time_back(trace: np.ndarray, ratio: float = 0.01) -> float:
    """The notebook's, step by step."""
    for k in range(300, 1200):
        if trace[k] < 10 * ratio:
            return (k - 300) * 0.01
    return np.nan


class TestCompare:
    def test_measures_are_those_of_the_store(self, finished):
        found, responses = table(finished, "measures"), opened(finished)
        assert found["status"].eq("ok").all()
        for i, row in found.iterrows():
            for name in compare.LABELS:
                assert row[name] == responses[name].values[i]
            trace = responses["excitatory"].values[i]
            assert row["time_to_baseline"] == pytest.approx(time_back(trace))
            assert row["predicted_time"] == pytest.approx(
                time_back(responses["predicted"].values[i])
            )
            assert row["peak"] == pytest.approx(trace.max())
            assert row["eigenvalue"] == pytest.approx(responses["eigenvalue"].values[i])

    def test_the_threshold_is_that_of_the_config(self, copy):
        run(experiment(measures={"threshold_ratio": 0.3}), copy, "compare")
        traces = opened(copy)["excitatory"].values
        for trace, time in zip(traces, table(copy, "measures")["time_to_baseline"], strict=True):
            assert time == pytest.approx(time_back(trace, 0.3))

    def test_comparisons_are_those_of_the_measures(self, finished):
        """Pair by pair, at every point of the sweep."""
        runs = table(finished, "measures").set_index(["parameter", "value", "condition", "seed"])
        runs = runs.sort_index()
        times = runs["time_to_baseline"]
        found = table(finished, "comparison")
        points = list(dict.fromkeys(zip(found["parameter"], found["value"], strict=True)))
        assert len(points) == 4
        assert found["condition"].tolist() == [*CONDITIONS, "matched"] * 4
        assert found["of"].tolist() == [*["observed"] * len(CONDITIONS), "ablated"] * 4
        for _, row in found.iterrows():
            point = (row["parameter"], row["value"])
            observed = times[(*point, row["of"])]
            others = times[(*point, row["condition"])]
            difference = (observed - others).to_numpy()
            assert observed.index.equals(others.index)
            assert (row["observed"], row["null"]) == pytest.approx((observed.mean(), others.mean()))
            assert row["pairs"] == 3
            assert row["difference"] == pytest.approx(difference.mean())
            assert row["difference_std"] == pytest.approx(difference.std(ddof=1), abs=1e-9)
            assert row["effect"] == pytest.approx(difference.mean() / difference.std(ddof=1))
            sign = np.sign(observed.to_numpy()[:, None] - others.to_numpy())
            assert row["dominance"] == pytest.approx(sign.mean())
            pair = [runs.loc[(*point, row[name])] for name in ("of", "condition")]
            if row["of"] == "observed" and row["condition"] != "permuted":
                assert np.isnan(row["p"]), "an ablation is no null"
            else:
                assert row["p"] == pytest.approx(tables_compared(*pair)["p"])

    def test_metrics_are_of_the_experiment_without_its_sweep(self, finished):
        metrics = metrics_of(finished)
        times = table(finished, "measures")
        base = times[times["parameter"] == ""]
        for name in ("observed", *CONDITIONS):
            mine = base[base["condition"] == name]
            values = metrics[f"condition_{name}"]
            assert values["time_to_baseline"] == pytest.approx(mine["time_to_baseline"].mean())
            assert values["time_to_baseline_std"] == pytest.approx(mine["time_to_baseline"].std())
            assert values["eigenvalue"] == pytest.approx(mine["eigenvalue"].mean())
            assert values["ok"] == 3
        rows = table(finished, "comparison")
        for _, row in rows[rows["parameter"] == ""].iterrows():
            for name in ("difference", "difference_std", "effect", "dominance", "p"):
                value = metrics[f"{row['of']}_against_{row['condition']}", name]
                assert value == pytest.approx(row[name], nan_ok=True)
        a = Connectome.load(finished / "connectome.zarr").weights.toarray() > 0
        assert metrics["connectome", "neurons"] == len(a)
        assert metrics["connectome", "connections"] == a.sum()
        assert metrics["connectome", "autapses"] == np.trace(a)
        pairs = ((a & a.T).sum() - np.trace(a)) / 2
        assert metrics["connectome", "reciprocal_pairs"] == pairs
        density = (a.sum() - np.trace(a)) / (len(a) * (len(a) - 1))
        assert metrics["connectome", "density"] == pytest.approx(density)

    def test_published_values_stand_beside(self, copy):
        published = {"condition_observed": {"time_to_baseline": 15.9}}
        run(experiment(reference=published), copy, "compare")
        found = metrics_of(copy, "reference")
        assert found["condition_observed", "time_to_baseline"] == 15.9
        assert found.notna().sum() == 1
        with pytest.raises(
            ConfigError, match=r"condition_null\.p is not a metric of this experiment"
        ):
            run(experiment(reference={"condition_null": {"p": 1}}), copy, "compare")

    def test_another_pulse_than_that_of_the_responses_is_refused(self, copy):
        with pytest.raises(ArgumentError, match="responses have 1200 steps, expected the 1300"):
            run(experiment(impulse={**PULSE, "duration": 13}), copy, "compare")

    @pytest.mark.slow
    def test_without_conditions_there_is_nothing_to_compare(self, wired):
        run(experiment(conditions={}, sweep={}), wired, "respond", "compare")
        assert table(wired, "comparison").empty
        quantities = metrics_of(wired).index.unique("quantity")
        assert quantities.tolist() == ["connectome", "condition_observed"]


class TestStatuses:
    """B6: what does not come back is a row, at every point of a sweep, and never an exception."""

    def scale(self, directory: Path, eigenvalue: float) -> float:
        """Scale of the measured weights that gives them this leading eigenvalue."""
        sizes = Connectome.load(directory / "connectome.zarr").weights.toarray().astype(float)
        return float(eigenvalue / np.linalg.eigvals(sizes / 150_000).real.max())

    @pytest.mark.slow
    @pytest.mark.parametrize("engine", ["linear", "step"])
    @pytest.mark.parametrize("precision", ["float64", "float32"])
    def test_slow_growing_and_exploding_runs(self, wired, engine, precision):
        scales = [self.scale(wired, one) for one in (0.5, 0.99, 1.2, 1e4)]
        cfg = experiment(
            network={"balance": 0, "ee_scale": scales[0]},
            sweep={"network.ee_scale": scales[1:]},
            conditions={"ablated": {"remove": "both"}},
            runs={"seeds": 2, "engine": engine, "precision": precision},
        )
        run(cfg, wired, "respond", "compare")
        found = table(wired, "measures")
        observed = found[found["condition"] == "observed"]
        expected = ["ok", "censored", "diverging", "diverging"]
        assert observed["status"].tolist() == [status for status in expected for _ in range(2)]
        assert observed["time_to_baseline"].isna().tolist() == [False] * 2 + [True] * 6
        assert observed["eigenvalue"].tolist() == pytest.approx(
            [one for one in (0.5, 0.99, 1.2, 1e4) for _ in range(2)], rel=1e-3
        )
        compared = table(wired, "comparison").set_index("value")
        assert compared["pairs"].tolist() == [2, 0, 0, 0]
        late = compared.loc[str(scales[1])]
        assert late["dominance"] == 1
        assert np.isnan(late["difference"])
        metrics = metrics_of(wired)
        assert metrics["condition_observed", "ok"] == 2

    @pytest.mark.slow
    def test_the_experiment_itself_may_diverge(self, wired):
        """Activity beyond the range of float32 in what is kept whole, means that are not there."""
        cfg = experiment(
            network={"balance": 0, "ee_scale": self.scale(wired, 30.0)}, sweep={}, conditions={}
        )
        run(cfg, wired, "respond", "compare")
        assert np.isinf(opened(wired)["activity"]).any()
        metrics = metrics_of(wired)
        assert metrics["condition_observed", "diverging"] == 3
        assert np.isnan(metrics["condition_observed", "time_to_baseline"])
        assert table(wired, "measures")["status"].tolist() == ["diverging"] * 3

    @pytest.mark.slow
    def test_no_response(self, wired):
        """Neurons that saturate below the threshold."""
        cfg = experiment(
            neurons={"response": "saturating", "maximum": 0.05},
            runs={"seeds": 2, "engine": "step"},
            sweep={"neurons.maximum": [20.0]},
        )
        run(cfg, wired, "respond", "compare")
        found = table(wired, "measures")
        silent = found["parameter"] == ""
        assert found["status"][silent].eq("no_response").all()
        assert not found["status"][~silent].eq("no_response").any()
        compared = table(wired, "comparison").set_index(["value", "condition"])
        row = compared.loc[("", "permuted")]
        assert (row["pairs"], row["dominance"], row["p"]) == (0, 0, 1)
        metrics = metrics_of(wired)
        assert metrics["condition_permuted", "no_response"] == 2

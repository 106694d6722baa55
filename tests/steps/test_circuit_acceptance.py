"""The circuit system against published and recorded numbers, where the tables are at hand."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from ngpipe.config.circuit.experiment import CircuitExperiment
from ngpipe.config.load import validate
from ngpipe.steps import compare, respond, wire
from ngpipe.wiring.container import Connectome
from ngpipe.wiring.nulls import permuted_connections

pytestmark = pytest.mark.data

KEY = "k" * 64
CELLS = "cell_info_1300.feather"
REAL = "synapses_proofread_V1_neurons_1300.feather"
STAND_IN = "synthetic/synapses_proofread_V1_neurons_1300_SYNTH_seed16.feather"


@pytest.fixture(scope="module")
def result(microns, tmp_path_factory):
    """result(table, seeds, **sections) -> directory of an experiment, else all defaults."""

    def make(table: str, seeds: int, **sections: object) -> Path:
        for name in (table, CELLS):
            if not (microns / name).is_file():
                pytest.skip(f"no {microns / name}; the table is a download, see docs/circuits.md")
        source = {"synapses": str(microns / table), "cells": str(microns / CELLS)}
        content = {
            "connectome": {"source": {"kind": "synapses", **source}},
            "runs": {"seeds": seeds},
            **sections,
        }
        cfg = validate(content, CircuitExperiment, where="test")
        directory = tmp_path_factory.mktemp("circuit")
        wire.run(cfg.connectome, directory, key=KEY)
        respond.run(cfg, directory, key=KEY, device=torch.device("cpu"))
        compare.run(cfg.measures, cfg.reference, cfg.impulse, cfg.conditions, directory, key=KEY)
        return directory

    return make


def metrics(directory: Path) -> pd.Series:
    return pd.read_csv(directory / "metrics.csv").set_index(["quantity", "metric"])["value"]


@pytest.fixture(scope="module")
def published(result) -> Path:
    return result(REAL, 1)


class TestPublished:
    """What the notebook holds as its outputs, seed 0."""

    def test_times_to_baseline(self, published):
        found = metrics(published)
        assert found["condition_observed", "time_to_baseline"] == pytest.approx(15.90)
        assert found["condition_permuted_connections", "time_to_baseline"] == pytest.approx(11.81)

    def test_reciprocal_entries(self, published):
        """Of S * S.T, which counts pairs twice and autapses once; of one shuffle by seed 2."""

        def entries(connectome: Connectome) -> int:
            s = connectome.weights.toarray()
            return int(np.sum((s * s.T) > 0))

        observed = Connectome.load(published / "connectome.zarr")
        assert entries(observed) == 488
        assert entries(permuted_connections(observed, np.random.RandomState(2))) == 315


class TestStandIn:
    """A made-up table, fitted to those outputs: it shows the arithmetic, and nothing of cortex."""

    def test_ten_seeds_from_config_to_metrics(self, result):
        found = metrics(result(STAND_IN, 10))
        assert found["connectome", "neurons"] == 328
        for name, mean, std in (
            ("observed", 15.395, 0.6228),
            ("permuted_connections", 10.474, 0.8361),
        ):
            values = found[f"condition_{name}"]
            assert values["time_to_baseline"] == pytest.approx(mean, abs=1e-4)
            assert values["time_to_baseline_std"] == pytest.approx(std, abs=1e-4)
            assert values["ok"] == 10

    def test_probability_swept(self, result):
        """Connections permuted: recorded means of ten seeds, which mean field comes close to."""
        directory = result(STAND_IN, 10, sweep={"network.probability": [0.3, 0.5]})
        found = pd.read_csv(directory / "measures.csv")
        found = found[(found["condition"] == "permuted_connections") & found["value"].notna()]
        means = found.groupby("value")[["time_to_baseline", "predicted_time"]].mean()
        times, predicted = means["time_to_baseline"].tolist(), means["predicted_time"].tolist()
        assert times == pytest.approx([7.54, 3.55], abs=0.01)
        assert predicted == pytest.approx(times, rel=0.03)

    @pytest.mark.parametrize(("dt", "time"), [(0.05, 15.30), (0.01, 15.38), (0.002, 15.394)])
    def test_steps_matter_little(self, result, dt, time):
        """B14."""
        found = metrics(result(STAND_IN, 1, impulse={"dt": dt}, conditions={}))
        assert found["condition_observed", "time_to_baseline"] == pytest.approx(time, abs=1e-4)

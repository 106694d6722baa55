"""The circuit system against published and recorded numbers, where the tables are at hand."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from ngpipe.config.circuit import CircuitExperiment
from ngpipe.config.load import validate
from ngpipe.steps import compare, respond, wire
from ngpipe.wiring.connectome import Connectome
from ngpipe.wiring.nulls import permuted_connections

pytestmark = pytest.mark.data

KEY = "k" * 64
CELLS = "cell_info_1300.feather"
REAL = "synapses_proofread_V1_neurons_1300.feather"
STAND_IN = "synthetic/synapses_proofread_V1_neurons_1300_SYNTH_seed16.feather"


@pytest.fixture(scope="module")
def result(microns, tmp_path_factory):
    """result(table, seeds) -> directory of an experiment with all defaults on this table."""

    def make(table: str, seeds: int) -> Path:
        for name in (table, CELLS):
            if not (microns / name).is_file():
                pytest.skip(f"no {microns / name}; the table is a download, see docs/circuits.md")
        source = {"synapses": str(microns / table), "cells": str(microns / CELLS)}
        content = {
            "connectome": {"source": {"kind": "synapses", **source}},
            "runs": {"seeds": seeds},
        }
        cfg = validate(content, CircuitExperiment, where="test")
        directory = tmp_path_factory.mktemp("circuit")
        wire.run(cfg.connectome, directory / "connectome.zarr", key=KEY)
        respond.run(cfg, directory, key=KEY, device=torch.device("cpu"))
        compare.run(cfg.measures, cfg.impulse, cfg.reference, directory, key=KEY)
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

"""From a simulated recording to its assembly: what the whole method finds in half a minute."""

from pathlib import Path

import pandas as pd
import pytest
import torch
import xarray as xr

from ngpipe import schemas, store
from ngpipe.artifacts import model_file, recordings
from ngpipe.assembly.readout import read_out
from ngpipe.config.assembly.experiment import Experiment
from ngpipe.config.load import validate
from ngpipe.metrics import connectivity, external, neurons
from ngpipe.steps import simulate, train

pytestmark = pytest.mark.slow
CPU = torch.device("cpu")
FEW = {"ridges": (1e-4, 1e-8)}
"""Ridges between which the smallest is best, as here."""
SYSTEM = {"n_neurons": 100, "n_frames": 8000, "burn_in": 200, "noise": 1.0}


def recover(directory: Path, simulation: dict, training: dict) -> pd.Series:
    """Simulate, train, read out, score: the value of every (quantity, metric)."""
    content = {"simulation": {**SYSTEM, **simulation}, "training": training}
    cfg = validate(content, Experiment, where="test")
    path = directory / "simulation.zarr"
    simulate.run(cfg.simulation, directory, key="k", device=CPU)
    train.run(cfg.training, directory, key="k", device=CPU, checkpoints=directory)
    recording = recordings.load(path, cfg.training, CPU)
    model = model_file.read(directory / "model.safetensors", recording)
    found = read_out(model, recording, cfg.recovery)
    return _scores(found, store.read(path, schemas.SIMULATION).load())


def _scores(found: xr.Dataset, truth: xr.Dataset) -> pd.Series:
    pair = found["connectivity"], truth["connectivity"]
    tables = [
        connectivity.score(*pair),
        neurons.score_types(found["neuron_type"], truth["neuron_type"]),
        neurons.score_functions(found, truth),
    ]
    if "external_input" in found:
        tables.append(connectivity.score_driven(*pair, truth["driven"]))
        tables.append(external.score(found["external_input"], truth))
    return pd.concat(tables).set_index(["quantity", "metric"])["value"]


MOVIE = {
    "kind": "movie",
    "n_inputs": 36,
    "n_images": 33,
    "n_blobs": 4,
    "interpolation": "linear",
    "static": 0.8,
}


def test_an_assembly_and_the_hidden_movie_it_sees_come_back(tmp_path):
    """36 of 100 neurons see a movie; types differ in leak and in the width of what they send.

    The static image is known to the scale of a row of 99 Cauchy weights, 14 % a site before
    smoothing; what moves does not depend on it.
    """
    types = [{"leak": 1}, {"leak": 2, "sender_width": 4}]
    training = {
        "steps": 500,
        "evaluations": 4,
        "held_out_as": "blocks",
        "input": "field",
        "network": {"psi_sees": "sender"},
    }
    score = recover(tmp_path, {"types": types, "input": MOVIE}, training)
    assert score["connectivity_undriven", "r2"] > 0.995
    assert score["connectivity_driven", "r2"] > 0.975
    assert score["connectivity", "slope"] == pytest.approx(1, abs=0.03)
    assert score["types", "ari"] == 1
    assert score["phi", "nrmse"] < 0.03
    assert score["psi", "nrmse"] < 0.05
    assert score["input_within", "r2"] > 0.97
    assert score["input_image", "r2"] > 0.75
    assert score["input_image", "slope"] == pytest.approx(0.9, abs=0.15)


def test_functions_of_the_receiver_tell_types_apart_that_nothing_else_does(tmp_path):
    """Both types leak and drive themselves alike; one receives four times more broadly."""
    types = [{"receiver_width": 1}, {"receiver_width": 4}]
    training = {"steps": 600, "evaluations": 4, "network": {"psi_sees": "receiver"}}
    training["held_out_as"] = "blocks"
    score = recover(tmp_path, {"types": types, "n_neurons": 60}, training)
    assert score["connectivity", "r2"] > 0.99
    assert score["connectivity", "slope"] == pytest.approx(1, abs=0.03)
    assert score["types", "ari"] == 1
    assert score["psi", "nrmse_type_0"] < 0.05
    assert score["psi", "nrmse_type_1"] < 0.05


def test_in_closed_form_the_movie_comes_back_and_rows_without_it_are_exact(tmp_path):
    """The same system; what is left of the movie's error is the scale of 99 Cauchy weights."""
    types = [{"leak": 1}, {"leak": 2, "sender_width": 4}]
    training = {
        "solver": "closed_form",
        "held_out_as": "blocks",
        "input": "field",
        "network": {"psi_sees": "sender"},
        "closed_form": {"input_knots": 65, "field_steps": 150, "distil_steps": 300, **FEW},
    }
    score = recover(tmp_path, {"types": types, "input": MOVIE}, training)
    assert score["connectivity_undriven", "r2"] > 0.9995
    assert score["connectivity_driven", "r2"] > 0.975
    assert score["connectivity", "slope"] == pytest.approx(1, abs=0.02)
    assert score["types", "ari"] == 1
    assert score["phi", "nrmse"] < 0.02
    assert score["psi", "nrmse"] < 0.02
    assert score["input_within", "r2"] > 0.99
    assert score["input_image", "r2"] > 0.75


def test_in_closed_form_an_additive_input_comes_back(tmp_path):
    """Added to the rate, an input is linear in everything; a constant belongs to phi."""
    training = {
        "solver": "closed_form",
        "held_out_as": "blocks",
        "input": "field",
        "input_mode": "additive",
        "closed_form": {"input_knots": 65, "field_steps": 150, "distil_steps": 200, **FEW},
    }
    movie = {**MOVIE, "mode": "additive", "low": -3, "high": 3}
    types = [{"leak": 1}, {"leak": 2}] * 2
    score = recover(tmp_path, {"types": types, "input": movie, "n_neurons": 60}, training)
    assert score["connectivity", "r2_identity"] > 0.999
    assert score["input_within", "r2"] > 0.99


def test_in_closed_form_a_psi_for_every_pair_of_types_comes_back(tmp_path):
    """What arrives depends on both sides: tanh of x over the product of two widths."""
    types = [
        {"leak": 1, "sender_width": 1, "receiver_width": 1},
        {"leak": 2, "sender_width": 3, "receiver_width": 2},
    ]
    training = {
        "solver": "closed_form",
        "held_out_as": "blocks",
        "network": {"psi_sees": "pair"},
        "closed_form": {"distil_steps": 600, **FEW},
    }
    score = recover(tmp_path, {"types": types, "n_neurons": 40}, training)
    assert score["connectivity", "r2"] > 0.995
    assert score["types", "ari"] == 1
    assert score["psi", "nrmse"] < 0.03

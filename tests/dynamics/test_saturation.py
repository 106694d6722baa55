"""Saturation is counted where psi is flat, and said when neurons never leave it."""

import math

import numpy as np
import pytest
import torch

from ngpipe import store
from ngpipe.config.assembly.simulation import NeuronType, Simulation
from ngpipe.dynamics.assembly import constants_of, flat_from
from ngpipe.dynamics.saturation import Saturation
from ngpipe.steps import simulate


def test_flat_where_tanh_is_within_a_percent_of_its_limit():
    """For the broadest receiver; a linear term is nowhere flat."""
    types = (
        NeuronType(sender_width=2, receiver_width=3),
        NeuronType(),
        NeuronType(linear=0.01),
    )
    flat = flat_from(constants_of(types, np.arange(3)))
    assert math.tanh(float(flat[0]) / 6) == pytest.approx(0.99)
    assert math.tanh(float(flat[1]) / 3) == pytest.approx(0.99)
    assert math.isinf(float(flat[2]))


def test_shares_and_neurons():
    """Neuron 0 stays above, 1 below, 2 goes to and fro and so tells something, 3 is at rest."""
    found = Saturation(torch.full((4,), 2.0))
    for start in (0, 5):
        x = torch.zeros(5, 4)
        x[:, 0], x[:, 1] = 3, -3
        x[:, 2] = torch.tensor([3.0, -3.0])[(start + torch.arange(5)) % 2]
        found.add(x)
    assert found.share == pytest.approx(0.75)
    assert found.constant == [0, 1]
    assert "75.0% of it" in found.warning
    assert "2 of 4 neurons (0, 1)" in found.warning


def test_activity_that_flips_is_no_warning():
    found = Saturation(torch.full((2,), 2.0))
    found.add(torch.tensor([[5.0, -5.0], [-5.0, 5.0]]))
    assert found.share == 1
    assert found.warning is None


@pytest.mark.quick(1)
@pytest.mark.parametrize("gain", [0.1, 50.0])
def test_simulate_says_so_and_writes_it_down(tmp_path, capsys, gain):
    """Only excitation, and much of it, drives all to where tanh is flat."""
    cfg = Simulation(
        n_neurons=20,
        n_frames=200,
        burn_in=1000,
        types=[NeuronType(gain=gain)],
        connectivity={"kind": "gaussian", "excitatory": 1.0},
        initial_std=1.0,
    )
    simulate.run(cfg, tmp_path, key="k", device=torch.device("cpu"))
    notes = store.read_json(tmp_path / "simulation.json")["notes"]
    told = "activity is saturated" in capsys.readouterr().err
    assert told == ("warning" in notes) == (gain > 1)
    if gain > 1:
        assert notes["saturated"] > 0.99
        assert notes["constant_senders"] == list(range(20))

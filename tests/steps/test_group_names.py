"""Groups named by numbers: the text a user sees, wherever groups are named."""

import numpy as np
import pandas as pd
import pytest
import torch

from ngpipe import store
from ngpipe.artifacts import fit_targets, network_file
from ngpipe.config.connectome.excitability import Fit, Network
from ngpipe.config.connectome.stimuli import Pulse
from ngpipe.errors import ConfigError
from ngpipe.wiring.container import Connectome

CPU = torch.device("cpu")
STIMULI = {"1": Pulse(kind="pulse", levels={"20": 1.0})}


@pytest.fixture
def connectome() -> Connectome:
    """20 -> 3 -> NA, and a neuron of which no type is known."""
    weights = np.zeros((4, 4))
    weights[1, 0], weights[2, 1] = 0.5, 0.5
    neurons = pd.DataFrame({"id": [5, 6, 7, 8], "number": pd.array([20, 3, 4, None], "Int64")})
    return Connectome(weights, neurons.assign(name=["20", "3", "NA", None]))


@pytest.fixture(params=["number", "name"])
def network(request, connectome):
    cfg = Network(sensors={request.param: ("20",)}, groups=request.param, layers=2)
    return network_file.build(connectome, cfg, CPU)


def test_a_network_of_such_groups(network):
    assert network.sensory_indices.tolist() == [0]
    assert {"20", "3", "unknown"} < set(network.groups.names)


def test_values_of_sensors_that_do_not_occur(connectome):
    with pytest.raises(ConfigError, match=r"no neuron has number \['21'\]; the values are \['20'"):
        network_file.build(connectome, Network(sensors={"number": ("21",)}, groups="number"), CPU)


def read(text, path, network):
    path.write_text(text)
    return fit_targets.read_targets(Fit(targets=str(path)), STIMULI, network)


def test_a_table_of_targets(network, tmp_path):
    text = "stimulus, group,value,layer\n1,20 ,0.5,1\n1, 3, 0.25,1\n"
    found = read(text, tmp_path / "targets.csv", network)
    assert found.to_dict("list") == {
        "stimulus": ["1", "1"],
        "group": ["20", "3"],
        "value": [0.5, 0.25],
        "layer": [1, 1],
    }


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("1,20,,1", "value of row 0 is 'nan', expected a finite number"),
        ("1,20,high,1", "value of row 0 is 'high', expected a finite number"),
        ("1,20,0.5,1.5", "layer of row 0 is '1.5', expected a whole number"),
        ("1,020,0.5,1", r"group \['020'\] is none of the groups"),
        ("1,,0.5,1", r"group \[''\] is none of the groups"),
    ],
)
def test_cells_of_targets_that_mean_nothing(network, tmp_path, row, message):
    with pytest.raises(ConfigError, match=message):
        read(f"stimulus,group,value,layer\n{row}\n", tmp_path / "targets.csv", network)


def test_tables_are_read_back_as_they_were_written(tmp_path):
    """What `materials` reads of paths."""
    table = pd.DataFrame({"stimulus": ["01"], "pre": ["20"], "post": ["NA"], "weight": [0.5]})
    store.write_csv(table, tmp_path / "paths.csv")
    found = store.read_csv(tmp_path / "paths.csv", text=("stimulus", "pre", "post"))
    assert found.to_dict("list") == table.to_dict("list")

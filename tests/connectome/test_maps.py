"""Maps and lists of neurons: what is text where numbers are meant is named, never left out."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse

from ngpipe.connectome import (
    MultilayeredNetwork,
    activations_to_df,
    activity_by_column,
    add_sign,
    connectivity_summary,
    contribution_by_path_lengths_data,
    contribution_by_path_lengths_heatmap,
    edge_attribution,
    edges_by_group,
    effconn_without_loops,
    el_within_n_steps,
    find_paths_of_length,
    get_activations_for_path,
    get_input_activation,
    get_neuron_activation,
    group_paths,
    guess_optimal_stimulus,
    input_from_df,
    result_summary,
)
from ngpipe.connectome.optimisation.objectives import activity
from ngpipe.connectome.optimisation.targets import TargetActivation
from ngpipe.errors import ArgumentError, DoubtfulWarning

N = 4
INPROP = np.triu(np.full((N, N), 0.5), 1)
TYPES = dict(enumerate("aabb"))
AS_TEXT = {str(neuron): name for neuron, name in TYPES.items()}
OUT = np.full((N, 2), 0.5)
ENDS = ([0, 1], [2, 3])
COLUMNS = dict.fromkeys(TYPES, 1)
DF = pd.DataFrame({"x": {"a": 1.0}})


def network(**options):
    return MultilayeredNetwork(
        sparse.csr_array(INPROP.T), [0], 2, idx_to_group=TYPES, device="cpu", **options
    )


def of_edges(groups):
    net = network()
    response = activity(net, "b", layers=[1])
    return edges_by_group(
        edge_attribution(net, np.ones((1, 1, 2)), response)["attribution"], groups
    )


CALLS = {
    "connectivity_summary": lambda types: connectivity_summary(INPROP, *ENDS, types),
    "connectivity_summary, post": lambda types: connectivity_summary(INPROP, *ENDS, TYPES, types),
    "result_summary": lambda types: result_summary(INPROP, *ENDS, types),
    "result_summary, post": lambda types: result_summary(INPROP, *ENDS, TYPES, types),
    "contributions, post": lambda types: contribution_by_path_lengths_data([INPROP], *ENDS, types),
    "contributions, pre": lambda types: contribution_by_path_lengths_data(
        [INPROP], *ENDS, inidx_map=types
    ),
    "heatmap": lambda types: contribution_by_path_lengths_heatmap([INPROP], *ENDS, types),
    "group_paths": lambda types: group_paths(find_paths_of_length(INPROP, *ENDS, 1), types),
    "effconn_without_loops": lambda types: effconn_without_loops(
        find_paths_of_length(INPROP, *ENDS, 2), types
    ),
    "el_within_n_steps": lambda types: el_within_n_steps(
        INPROP, *ENDS, 2, pre_group=types, post_group=types
    ),
    "get_neuron_activation": lambda types: get_neuron_activation(OUT, [0], idx_to_group=types),
    "get_input_activation": lambda types: get_input_activation(OUT[:1], [0], types),
    "input_from_df": lambda types: input_from_df(DF, [0], types, 2),
    "activity_by_column": lambda types: activity_by_column(
        OUT, types, dict.fromkeys(TYPES, 1), "a"
    ),
    "activations_to_df": lambda types: activations_to_df(INPROP, OUT[:1], OUT, [0], types),
    "get_activations_for_path": lambda types: get_activations_for_path(
        pd.DataFrame({"pre": ["a"], "post": ["b"], "layer": [1]}), OUT, OUT[:1], [0], types
    ),
    "network": lambda types: MultilayeredNetwork(INPROP.T, [0], 2, idx_to_group=types),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_map_of_text_is_no_map_of_indices(name):
    CALLS[name](TYPES)
    with pytest.raises(ArgumentError, match="'0'"):
        CALLS[name](AS_TEXT)


@pytest.mark.parametrize("function", [connectivity_summary, result_summary])
def test_a_neuron_of_a_map_that_is_not_there_is_named(function):
    with pytest.raises(ArgumentError, match="outidx_map: neuron 9 is out of range: expected"):
        function(INPROP, *ENDS, TYPES, TYPES | {9: "b"})


def test_signs():
    with pytest.raises(ArgumentError, match="idx_to_sign: key must be whole numbers, got '0'"):
        add_sign(INPROP, {"0": 1})
    with pytest.raises(ArgumentError, match="idx_to_sign has '-1' as a sign, expected numbers"):
        guess_optimal_stimulus(INPROP, [0], {0: "-1"}, TargetActivation({0: {1: 1.0}}))


def test_columns_and_edges():
    with pytest.raises(ArgumentError, match="the mapping has neurons such as '0'"):
        activity_by_column(OUT, TYPES, dict.fromkeys(AS_TEXT, 1), "a")
    assert of_edges({"one": [0, 1], "other": [2, 3]}).sum() != 0
    with pytest.raises(ArgumentError, match="groups has neurons such as '0'"):
        of_edges({"one": ["0", "1"], "other": ["2", "3"]})


def test_groups_of_inputs_that_no_sensor_has():
    some = pd.DataFrame({"x": {"a": 1.0, "unknown": 2.0}})
    assert input_from_df(some, [0, 1], TYPES, 1).ravel().tolist() == [1, 1]
    with pytest.raises(ArgumentError, match=r"df has the groups \['A'\], and no sensory neuron"):
        input_from_df(DF.rename({"a": "A"}), [0, 1], TYPES, 1)
    numbers = dict.fromkeys(TYPES, 1)
    with pytest.raises(ArgumentError, match=r"groups \['1'\], .* idx_to_group has \[1\]"):
        input_from_df(DF.rename({"a": "1"}), [0, 1], numbers, 1)


def test_strengths_of_groups_that_do_not_divide():
    options = {"divisive_normalization": {"a": ["b"]}, "divisive_strength": {"a": 1.0, "b": 2.0}}
    with pytest.raises(ArgumentError, match=r"divisive_strength names 'b', which is no key"):
        MultilayeredNetwork(-INPROP.T, [0], 2, idx_to_group=TYPES, preset="mended", **options)
    with pytest.warns(DoubtfulWarning, match=r"divisive_strength names 'b'.*it is ignored"):
        MultilayeredNetwork(-INPROP.T, [0], 2, idx_to_group=TYPES, **options)

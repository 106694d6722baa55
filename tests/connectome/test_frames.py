"""Tables in and out, by hand-made numbers."""

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import sparse

from ngpipe.connectome import (
    activated_path_for_ngl,
    activations_to_df,
    activations_to_df_batched,
    activity_by_column,
    add_sign,
    get_activations_for_path,
    get_input_activation,
    get_neuron_activation,
    input_from_df,
)

TYPES = {0: "S", 1: "S", 2: "A", 3: "A", 4: "B"}
INPROP = np.zeros((5, 5))
INPROP[0, 2], INPROP[1, 2], INPROP[1, 3], INPROP[2, 4], INPROP[3, 4] = 0.2, 0.4, 0.6, -0.5, 0.1
OUT = np.array([[0.0, 0.0], [0.0, 0.0], [0.3, 0.1], [0.5, 0.0], [0.0, 0.7]])
IN = np.array([[0.8, 0.0], [0.4, 0.0]])


def test_inputs_of_groups():
    df = pd.DataFrame({"odour": {"ORN": 0.5, "PN": 0.9}, "air": {"ORN": 0.1, "PN": 0.0}})
    u = input_from_df(df, [7, 3, 5], {7: "ORN", 3: "none", 5: "PN"}, 4, timepoints={0, 2})
    assert u.dtype == np.float32
    assert u.shape == (2, 3, 4)
    np.testing.assert_allclose(u[:, :, 0], [[0.5, 0, 0.9], [0.1, 0, 0]])
    np.testing.assert_allclose(u[:, :, 2], u[:, :, 0])
    assert not u[:, :, [1, 3]].any()
    assert input_from_df(df, [7], {7: "ORN"}, 4, np.int64(3))[0, 0].tolist() == [0, 0, 0, 0.5]
    twice = pd.concat([df, pd.DataFrame({"odour": [0.3], "air": [0.2]}, index=["ORN"])])
    assert input_from_df(twice, [7], {7: "ORN"}, 1)[0, 0, 0] == np.float32(0.3)


def test_activity_of_groups():
    table = get_neuron_activation(torch.tensor(OUT), [4, 3, 2, 2], idx_to_group=TYPES)
    assert table.columns.tolist() == ["group", "time_0", "time_1"]
    assert table["group"].tolist() == ["A", "B"]
    assert table["time_0"].tolist() == [0.4, 0.0]


def test_samples_keep_their_order():
    out = np.arange(12.0)[:, None, None] * np.ones((12, 2, 1))
    table = get_neuron_activation(out, [0])
    assert table["time_0"].tolist() == list(range(12))
    assert table["batch_name"].tolist()[9:] == ["batch_9", "batch_10", "batch_11"]
    named = get_neuron_activation(out[:2], [0, 1], ["z", "a"], {0: "x", 1: "x"})
    assert named.values.tolist() == [["z", "x", 0.0], ["a", "x", 1.0]]


def test_input_of_groups():
    table = get_input_activation(IN, [1, 0], TYPES)
    assert table.values.tolist() == [["S", pytest.approx(0.6), 0.0]]
    only = get_input_activation(IN, [1, 0], TYPES, selected_indices=[0])
    assert only["time_0"].item() == 0.4
    strong = get_input_activation(-IN, [1, 0], TYPES, activation_threshold=0.5)
    assert strong["time_0"].item() == -0.8
    batch = get_input_activation(np.stack([IN, 2 * IN]), [1, 0], TYPES, batch_names=["x", "y"])
    assert batch[["batch_name", "time_0"]].values.tolist() == [
        ["x", pytest.approx(0.6)], ["y", pytest.approx(1.2)],
    ]  # fmt: skip


def test_signs_turn_the_matrix():
    signed = add_sign(sparse.csr_matrix(INPROP), {1: -1, 2: -1, 3: 1, 4: np.nan})
    expected = INPROP.T.copy()
    expected[:, 1] *= -1
    expected[4, 2] = -0.5  # negative before and inhibitory: stays negative
    np.testing.assert_array_equal(signed.toarray(), expected)


def test_activity_by_column():
    columns = {0: 1, 1: 2, 2: 2, 3: 4, 4: 0}
    table = activity_by_column(OUT, TYPES, columns, ["A", "S", "B"], IN, [1, 0])
    assert table.columns.tolist() == [
        "normalised_column", "cell_group", "time_point", "activation", "time_step",
    ]  # fmt: skip
    first = table[table["time_step"] == 0]
    assert first[["cell_group", "normalised_column", "activation"]].values.tolist() == [
        ["S", 0.5, 0.4], ["S", 1.0, 0.8],
    ]  # fmt: skip
    late = table[(table["time_step"] == 2)]
    assert late[["cell_group", "normalised_column", "activation"]].values.tolist() == [
        ["A", 0.5, 0.1], ["A", 1.0, 0.0], ["B", 0.0, 0.7], ["S", 0.5, 0.0], ["S", 1.0, 0.0],
    ]  # fmt: skip


def test_paths_between_groups():
    table = activations_to_df(INPROP, IN, OUT, [0, 1], TYPES, activation_threshold=0.05)
    assert table["layer"].tolist() == [1, 2]
    first, second = table.to_dict("records")
    assert (first["pre"], first["post"]) == ("S", "A")
    assert first["weight"] == pytest.approx((0.2 + 0.4 + 0.6) / 2)
    assert first["pre_activation"] == pytest.approx(0.6)
    assert first["post_activation"] == pytest.approx(0.4)
    assert (second["pre"], second["post"]) == ("A", "B")
    assert second["weight"] == pytest.approx(-0.4)
    assert second["pre_activation"] == pytest.approx(0.4)
    assert second["post_activation"] == pytest.approx(0.7)


def test_the_mean_of_a_group_is_over_its_active_neurons():
    table = activations_to_df(INPROP, IN, OUT, [0, 1], TYPES, activation_threshold=0.5)
    assert table[["pre_activation", "post_activation"]].values.tolist() == [[0.8, 0.5], [0.5, 0.7]]


def test_pre_and_post_may_be_grouped_differently():
    pre = {0: "x", 1: "y", 2: "y", 3: "z", 4: "x"}
    table = activations_to_df(INPROP, IN, OUT, [0, 1], pre, TYPES, activation_threshold=0.05)
    ends = ["pre", "post", "layer", "pre_activation"]
    assert table[ends].values.tolist() == [
        ["x", "A", 1, 0.8], ["y", "A", 1, 0.4],
        ["y", "A", 2, 0.3], ["y", "B", 2, 0.3], ["z", "B", 2, 0.5],
    ]  # fmt: skip


def test_single_neurons_and_both_ways_of_memory():
    options = {"activation_threshold": 0.05, "high_ram": False}
    table = activations_to_df(sparse.csr_matrix(INPROP), IN, torch.tensor(OUT), [0, 1], **options)
    assert table[["pre", "post", "layer"]].values.tolist() == [
        ["0", "2", 1], ["1", "2", 1], ["1", "3", 1], ["2", "4", 2], ["3", "4", 2],
    ]  # fmt: skip


def test_batches_of_paths():
    quiet = np.zeros_like(OUT)
    table = activations_to_df_batched(
        INPROP, np.stack([IN, IN, IN / 2]), np.stack([OUT, quiet, OUT]), [0, 1], TYPES,
        activation_threshold=0.05,
    )  # fmt: skip
    assert table["batch"].tolist() == [0, 0, 2, 2]
    one = activations_to_df(INPROP, IN, OUT, [0, 1], TYPES, activation_threshold=0.05)
    pd.testing.assert_frame_equal(table[table["batch"] == 0].drop(columns="batch"), one)


def test_activities_along_a_path():
    path = pd.DataFrame({"pre": ["A", "S"], "post": ["B", "A"], "layer": [2, 1], "weight": [1, 2]})
    found = get_activations_for_path(path, OUT, IN, [0, 1], TYPES)
    assert found["layer"].tolist() == [1, 2]
    np.testing.assert_allclose(found["pre_activation"], [0.6, 0.4])
    np.testing.assert_allclose(found["post_activation"], [0.4, 0.7])
    assert found["weight"].tolist() == [2, 1]
    bare = pd.DataFrame({"pre": ["2"], "post": ["4"], "layer": [2]})
    assert get_activations_for_path(bare, OUT)["pre_activation"].item() == 0.3


def test_neurons_for_neuroglancer():
    path = activations_to_df(INPROP, IN, OUT, [0, 1], TYPES, activation_threshold=0.05)
    lone = {"pre": "X", "post": "B", "layer": 2, "pre_activation": 0.2, "post_activation": 0.7}
    found = activated_path_for_ngl(pd.concat([path, pd.DataFrame([lone])]))
    assert found.columns.tolist() == ["neuron_id", "layer", "activation"]
    assert sorted(found[["neuron_id", "layer"]].values.tolist()) == [
        ["A", 2], ["B", 3], ["S", 1], ["X", 2],
    ]  # fmt: skip
    values = found.set_index("neuron_id")["activation"]
    assert values["A"] == pytest.approx(0.4)
    assert values["X"] == 0.2

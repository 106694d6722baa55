"""The presets named by a version against what that version gave; see versions.py."""

import numpy as np
import pandas as pd
import pytest
import torch
from versions import (
    DIVIDED,
    FOUND,
    GROUPED,
    GROUPS,
    LAYERS,
    SENSORS,
    SIGNS,
    U_TRAINED,
    U_WITHIN,
    U,
    W,
    fitted,
    floats,
    inprop,
    recorded,
    sparse,
)

from ngpipe.connectome import (
    LinearNetwork,
    MultilayeredNetwork,
    TargetActivation,
    activation_maximisation,
    activations_to_df,
    get_gradients,
    guess_optimal_stimulus,
    input_from_df,
    legacy_activation_function,
    legacy_activation_function_linear,
    saliency,
    train_model,
)
from ngpipe.connectome.rules import PRESETS, rules_of
from ngpipe.errors import ArgumentError, DoubtfulWarning

pytestmark = pytest.mark.filterwarnings("ignore::ngpipe.errors.DoubtfulWarning")
VERSIONS = ["2.9.5", "head"]
HEAD = recorded("head")


def network(version="head", sensors=SENSORS, kind=MultilayeredNetwork, **options):
    named = {} if version == "2.9.5" else {"preset": version}  # the release is the default
    return kind(sparse(), sensors, LAYERS, device="cpu", **named, **options)


def same(found, expected, atol=1e-6):
    found = found.detach().numpy() if torch.is_tensor(found) else np.asarray(found)
    np.testing.assert_allclose(found, expected, atol=atol, rtol=0)


def ends(activity):
    return activity[..., [0, LAYERS - 1]]


def test_the_recorded_versions_differ():
    release = recorded("2.9.5")
    for case in ("plain", "groups", "divided", "search_in", "train1_slope", "saliency"):
        assert np.abs(np.subtract(release[case], HEAD[case])).max() > 1e-2, case


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("case", "options", "inputs"),
    [
        ("plain", {"default_bias": -0.02}, U),
        ("groups", GROUPED, U),
        ("duplicates", {"sensors": [5, 0, 5]}, U),
    ],
)
def test_activity(version, case, options, inputs):
    same(ends(network(version, **options)(floats(inputs))), recorded(version)[case])


@pytest.mark.parametrize("version", VERSIONS)
def test_one_sample(version):
    same(network(version)(floats(U[1])), recorded(version)["single"])


@pytest.mark.parametrize("version", VERSIONS)
def test_divisive_inhibition(version):
    same(network(version, **DIVIDED)(floats(U[:1])), recorded(version)["divided"])
    turned = DIVIDED | {"slope_dict": {"a": 3.0, "b": -6.0}}
    found = network(version, **turned)(floats(U[:1]))[..., -1]
    same(found, recorded(version)["divided_negative_slope"])


def test_nan_is_0_in_the_release_and_spreads_in_the_head():
    u = floats(U)
    u[0, 1, 1] = torch.nan
    same(ends(network("2.9.5")(u)), recorded("2.9.5")["nan"])
    same(torch.isnan(network("head")(u)).sum(dim=1), HEAD["nan"])


def test_responses_of_ones_own():
    found = network("2.9.5", activation_function=torch.relu)(floats(U))
    same(ends(found), recorded("2.9.5")["custom"])
    found = network(activation_function=lambda _, x, old: torch.relu(x) + 0.5 * old)(floats(U))
    same(ends(found), HEAD["custom"])


def test_leaks_and_the_linear_network_of_the_head():
    same(ends(network(kind=LinearNetwork, **GROUPED)(floats(U))), HEAD["linear"])
    found = network(**GROUPED, tau=3.0, tau_dict={"a": 1.0, "b": 0.5})(floats(U))
    same(ends(found), HEAD["tau"])


def test_neurons_held_in_the_head():
    held = {0: {1: {"a": 0.7}}, 1: {0: {"b": 0.0}, 2: {"c": 1.4}}}
    same(network(**GROUPED)(floats(U), manipulate=held)[..., 1:3], HEAD["manipulate"])


def test_layers_as_a_list_are_those_of_the_graph():
    u = floats(U_WITHIN).requires_grad_(True)
    layers = network(**GROUPED)(floats(U), return_layer_list=True)
    same(torch.stack(layers), HEAD["list"])
    layers = network(**GROUPED)(u, return_layer_list=True)
    (by_layer,) = torch.autograd.grad(layers[-1].sum(), [layers[1]])
    assert layers[1].shape == by_layer.shape == (8, 2)
    assert by_layer.abs().max() > 0.1


def test_legacy_responses():
    model = network(**GROUPED, tau=0.5, activation_function=legacy_activation_function)
    drive, state = floats(W[:, :2]), floats(np.abs(W[:, 3:5]))
    same(legacy_activation_function(model, drive.abs(), state), HEAD["legacy"])
    same(legacy_activation_function_linear(model, drive, state), HEAD["legacy_linear"])
    first = model(floats(U))[..., 0]
    before = torch.zeros(8, 2).index_copy(0, torch.tensor(SENSORS), floats(U)[:, :, 0].T)
    answer = legacy_activation_function(model, floats(W) @ before, before).T
    others = [i for i in range(8) if i not in SENSORS]
    same(first[:, others], torch.where(answer < 0.01, 0.0, answer)[:, others], atol=1e-5)


@pytest.mark.parametrize("version", VERSIONS)
def test_saliency(version):
    model, expected = network(version, **GROUPED), recorded(version)
    same(saliency(model, floats(U_WITHIN), {2: [1, 6], 3: [2]}), expected["saliency"])
    found = saliency(model, floats(U_WITHIN), {3: [2, 4]}, "input_x_gradient", True)
    same(found, expected["saliency_normalised"])


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize("layered", [False, True])
def test_training(version, layered):
    model = network(version, default_bias=0.1, idx_to_group=GROUPS)
    _, history, *_, trained, _ = train_model(
        model,
        floats(U_TRAINED),
        fitted(layered),
        num_epochs=6,
        learning_rate=0.05,
        param_reg_lambda=0.3,
    )
    expected, case = recorded(version), f"train{int(layered)}"
    # Adam divides gradients by their size, so that rounding grows.
    same(trained, expected[f"{case}_split"])
    names = ("loss", "mse_loss", "param_reg_loss", "val_loss")
    same([history[name] for name in names], expected[f"{case}_history"], 1e-4)
    same(model.slope, expected[f"{case}_slope"], 1e-4)
    same(model.biases, expected[f"{case}_bias"], 1e-4)
    if version == "head":
        same(model.effective_tau, expected[f"{case}_tau"], 1e-4)


def searched(version, start, options, **more):
    return activation_maximisation(
        network(version, **options),
        TargetActivation(FOUND),
        start,
        num_iterations=12,
        in_reg_lambda=0.002,
        out_reg_lambda=0.001,
        early_stopping=False,
        **more,
    )


def compare_search(found, expected, case):
    stimulus, activity, *losses, snapshots = found
    same(stimulus, expected[f"{case}_in"], 1e-5)
    same(activity[..., -1], expected[f"{case}_out"], 1e-5)
    same(losses, expected[f"{case}_losses"], 1e-5)
    same(snapshots[2], expected[f"{case}_shot"], 1e-5)


@pytest.mark.parametrize("version", VERSIONS)
def test_search(version):
    # 2.9.5 has no gradient through divisive inhibition.
    options = GROUPED if version == "2.9.5" else DIVIDED
    found = searched(version, floats(U_TRAINED[:2]), options)
    compare_search(found, recorded(version), "search")
    with torch.random.fork_rng():
        torch.manual_seed(3)
        found = searched(version, None, options)
    compare_search(found, recorded(version), "search_drawn")


def test_search_from_a_seed_with_gradients_of_norm_1():
    state = torch.random.get_rng_state()
    found = searched("head", None, DIVIDED, seed=3, normalize_gradients=True)
    compare_search(found, HEAD, "search_seeded")
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize(
    ("case", "more"),
    [
        ("plain", {}),
        ("plain", {"checkpoint_steps": 2}),
        ("times", {"method": "input_x_gradient"}),
        ("norm", {"normalize_per_layer": True}),
    ],
)
def test_gradients_by_activity(case, more):
    whole = {"neurons": ([1, 6, 2], {3: [2, 5], 1: [6]}, {})}
    if case != "times":  # with groups an IndexError there
        whole["groups"] = (["a", "b"], {3: ["c"], 1: ["a"]}, GROUPED)
    for kind, (monitored, targets, options) in whole.items():
        table = get_gradients(network(**options), floats(U_WITHIN), monitored, targets, **more)
        name = f"gradients_{kind}_{case}"
        assert list(table) == HEAD[f"{name}_columns"]
        assert table[["group", "batch_name"]].astype(str).values.tolist() == HEAD[f"{name}_rows"]
        same(table.filter(like="time_").to_numpy(), HEAD[name])


def guessed(table, **longest):
    return guess_optimal_stimulus(
        inprop(), SENSORS, SIGNS, target_activations=TargetActivation(table), **longest
    )


def test_guess():
    same(guessed(FOUND), HEAD["guess"])
    same(guessed(FOUND.assign(layer=3), longest_plen=2), HEAD["guess_short"])


def test_guess_of_targets_in_several_layers_keeps_their_times():
    """The head takes input of other times for that of the last ones."""
    found = guessed(FOUND, longest_plen=2)
    assert np.abs(found - np.array(HEAD["guess_mixed"])).max() > 0.1
    alone = guessed(FOUND[FOUND["layer"] == 3], longest_plen=2)
    np.testing.assert_allclose(found[0, :, 1], alone[0, :, 1])  # layer 1 is before that time


@pytest.mark.parametrize("version", VERSIONS)
def test_table_of_active_paths(version):
    # Sorted, as the versions mix up others.
    model = network(version, sensors=sorted(SENSORS), **GROUPED)
    table = activations_to_df(
        inprop(),
        U_WITHIN[0],
        model(floats(U_WITHIN))[0].detach().numpy(),
        sorted(SENSORS),
        GROUPS,
        activation_threshold=0.02,
    )
    expected = recorded(version)
    found = {(r.pre, r.post, r.layer): r for r in table.itertuples()}
    for key, values in zip(expected["table_keys"], expected["table"], strict=True):
        row = found.pop(tuple(key))
        same([row.weight, row.pre_activation, row.post_activation], values)
    assert not found


def test_inputs_from_a_table():
    frame = pd.DataFrame({"x": [0.2, 0.4], "y": [0.6, 0.8]}, index=["a", "c"])
    for dtype in (np.float32, np.float64):
        found = input_from_df(frame, SENSORS, GROUPS, LAYERS, [0, 2], dtype=dtype)
        assert found.dtype == dtype
        same(found, HEAD["frame"])


def test_earlier_names():
    assert rules_of("seed") == PRESETS["2.9.5"] == network("2.9.5").rules
    assert rules_of("current").tau == 10
    assert rules_of("current").mended


def test_the_device_where_the_release_has_it():
    positional = (2, 0.01, 5.0, None, 0.0, None, None, None, 1, None, torch.device("cpu"))
    model = MultilayeredNetwork(sparse(), SENSORS, *positional)
    assert model.device == torch.device("cpu")
    assert model.tau == 1
    model = MultilayeredNetwork(
        sparse(), SENSORS, *positional[:-1], 4.0, None, "cpu", preset="head"
    )
    assert model.tau == 4


@pytest.mark.filterwarnings("default::ngpipe.errors.DoubtfulWarning")
@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda version: network(version, sensors=[5, 0, 5]), "neuron 5 2 times"),
        (
            lambda version: network(version, slope_dict={"a": 1.0}),
            "was not given: they are ignored",
        ),
        (
            lambda version: network(version, idx_to_group=GROUPS, slope_dict={"zz": 1.0}),
            "names 'zz', which is not a group of idx_to_group: it is ignored, as in",
        ),
        (
            lambda version: network(version, idx_to_group=GROUPS, bias_dict={"b": -0.1}),
            "the bias of group 'b' is -0.1: it is taken for 0.1",
        ),
        (
            lambda version: network(version)(floats(U) * torch.nan),
            "inputs hold nan at",
        ),
    ],
)
def test_what_a_version_takes_for_something_else_is_said(version, call, message):
    with pytest.warns(DoubtfulWarning, match=message):
        call(version)


def test_strengths_are_in_the_order_of_the_version():
    options = {"idx_to_group": GROUPS, "divisive_strength": {"b": 1.5, "a": 0.5}}
    for version, order in (("2.9.5", [1.5, 0.5]), ("head", [0.5, 1.5]), ("mended", [1.5, 0.5])):
        model = MultilayeredNetwork(
            -np.abs(W), SENSORS, divisive_normalization={"b": ["c"], "a": ["b"]}, preset=version,
            device="cpu", **options,
        )  # fmt: skip
        assert model.divisive_strength.tolist() == order
        assert model.type2div_strength == options["divisive_strength"]


@pytest.mark.parametrize(("version", "kept"), [("2.9.5", True), ("head", True), ("mended", False)])
def test_activities_kept(version, kept):
    model = network(version)
    model(floats(U).requires_grad_(True))
    assert model.activations.requires_grad == kept


@pytest.mark.parametrize(("version", "expected"), [("2.9.5", 0), ("head", np.nan)])
def test_training_on_all_samples(version, expected):
    state = np.random.get_state()[1].copy()  # noqa: NPY002
    model = network(version, idx_to_group=GROUPS, tau=3.0)
    before = model.tau_param.detach().clone()
    _, history, *_ = train_model(
        model, floats(U_TRAINED), fitted(True), num_epochs=2, train_fraction=1.0
    )
    np.testing.assert_equal(history["val_loss"], [expected] * 2)
    assert torch.equal(model.tau_param, before) == (version == "2.9.5")
    assert np.array_equal(np.random.get_state()[1], state)  # noqa: NPY002


def test_gradients_times_activity_of_groups():
    model, u = network(**GROUPED), floats(U_WITHIN)
    whole = get_gradients(model, u, ["a"], {3: ["c"]}, method="input_x_gradient")
    alone = get_gradients(model, u, [0, 3, 6], {3: ["c"]}, times_activation=True)
    same(whole.filter(like="time_").to_numpy(), alone.filter(like="time_").to_numpy())
    # By hand: the sum over members of dx_c/dx_a times x_a, over the 3 * 2 targets.
    layers = model(u.requires_grad_(True), return_layer_list=True)
    c = [i for i in GROUPS if GROUPS[i] == "c"]
    (slope,) = torch.autograd.grad(layers[3][c].mean(), [layers[1]])
    expected = (slope * layers[1])[[0, 3, 6]].sum(dim=0)
    same(whole["time_1"].to_numpy(), expected.detach())


@pytest.mark.parametrize("version", VERSIONS)
def test_options_that_a_version_does_not_have_are_refused(version):
    with pytest.raises(ArgumentError, match=r"restarts are 2 .*preset='mended', or use find_stim"):
        activation_maximisation(network(version), TargetActivation(FOUND), restarts=2)
    with pytest.raises(ArgumentError, match=r"tau is 0\.5, expected at least 1 step"):
        network(version, tau=0.5)


def test_a_class_with_a_response_of_its_own():
    class Halved(MultilayeredNetwork):
        def activation_function(self, x, x_previous=None, **more):
            return 0.5 * super().activation_function(x, x_previous, **more)

    u = floats(U_WITHIN)
    assert Halved(sparse(), SENSORS, 1, device="cpu")(u).equal(
        0.5 * MultilayeredNetwork(sparse(), SENSORS, 1, device="cpu")(u)
    )


def test_constants_in_place_of_the_networks():
    model = network(**GROUPED)
    x, old = floats(W[:, :2]), floats(np.abs(W[:, 3:5]))
    slopes, biases = model.slope[model.indices][:, None], model.biases[model.indices][:, None]
    usual = model.activation_function(x, old)
    same(model.activation_function(x, old, slopes, biases, torch.full((8, 1), 10.0)), usual)
    assert (model.activation_function(x, old, 2 * slopes) - usual).abs().max() > 0.01

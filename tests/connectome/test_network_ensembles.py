"""Ensembles of fits, and analyses of several connectomes."""

from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
import xarray as xr
from networks import GROUPS, weights
from scipy import sparse

from ngpipe.connectome import MultilayeredNetwork
from ngpipe.connectome.optimisation.network_ensembles import ensemble, over, predict
from ngpipe.connectome.parameters import set_parameters
from ngpipe.errors import ArgumentError
from ngpipe.wiring.container import Connectome
from ngpipe.wiring.nulls import permuted_weights, rewired

MultilayeredNetwork = partial(MultilayeredNetwork, preset="current")

PLAN = {"epochs": 5, "batch_size": 3, "train": ("slopes", "biases", "strengths")}


@pytest.fixture(scope="module")
def build():
    W = weights(np.random.default_rng(1))
    return lambda: MultilayeredNetwork(W, [0, 1, 2], 4, idx_to_group=GROUPS, tau=2.0)


@pytest.fixture(scope="module")
def inputs():
    return torch.tensor(np.random.default_rng(2).random((8, 3, 4)), dtype=torch.float32)


@pytest.fixture(scope="module")
def table():
    rng = np.random.default_rng(3)
    index = rng.permutation(np.indices((8, 9, 4)).reshape(3, -1).T)[:150]
    return pd.DataFrame({"batch": index[:, 0], "neuron_idx": index[:, 1] + 3,
                         "layer": index[:, 2], "value": rng.random(150)})  # fmt: skip


@pytest.fixture(scope="module")
def members(build, inputs, table):
    return ensemble(build, inputs, table, [1, 2, 3], **PLAN)


def test_members_depend_on_their_seed_alone(build, inputs, table, members):
    other = ensemble(build, inputs, table, [3, 7, 1], **PLAN)
    alone = ensemble(build, inputs, table, [2], **PLAN)
    for seed, found in ((1, other), (3, other), (2, alone)):
        assert members.sel(member=seed).identical(found.sel(member=seed))
    for name in ("slope", "bias", "strength", "kept_error", "prediction"):
        assert not np.array_equal(members[name].sel(member=1), members[name].sel(member=2)), name
    assert not np.array_equal(members["held_out"].sel(member=1), members["held_out"].sel(member=2))


def test_what_an_ensemble_holds(members):
    assert members.sizes["member"] == 3
    assert members["member"].values.tolist() == [1, 2, 3]
    assert members["slope"].dims == ("member", "group")
    assert members["held_out_error"].dims == ("member", "epoch")
    assert members["prediction"].dims == ("member", "target")
    assert members["value"].dims == ("target",)
    lowest = members["held_out_error"].min("epoch")
    np.testing.assert_array_equal(members["kept_error"], lowest)


def test_predictions_are_what_the_networks_do(build, inputs, table, members):
    for seed in (1, 2, 3):
        network = build()
        set_parameters(network, members.sel(member=seed))
        out = network(inputs).numpy()
        expected = out[table["batch"], table["neuron_idx"], table["layer"]]
        np.testing.assert_allclose(members["prediction"].sel(member=seed), expected, atol=1e-5)
    np.testing.assert_array_equal(members["value"], table["value"])
    np.testing.assert_array_equal(members["neuron"], table["neuron_idx"])
    np.testing.assert_array_equal(members["layer"], table["layer"])
    held = members["held_out"].sel(member=2).values[table["batch"]]
    off = abs(members["prediction"].sel(member=2) - members["value"]).values[held].mean()
    assert off == pytest.approx(float(members["kept_error"].sel(member=2)), rel=1e-4)


def test_targets_of_the_mean_over_layers(build, inputs, table):
    table = table.drop(columns="layer").drop_duplicates(["batch", "neuron_idx"])
    found = ensemble(build, inputs, table, [4], epochs=1)
    network = build()
    set_parameters(network, found.isel(member=0))
    mean = network(inputs).mean(dim=2).numpy()
    expected = mean[table["batch"], table["neuron_idx"]]
    np.testing.assert_allclose(found["prediction"][0], expected, atol=1e-5)
    assert "layer" not in found.coords


def test_mean_and_spread_over_members(build, members, rng):
    new = torch.tensor(rng.random((5, 3, 4)), dtype=torch.float32)
    outputs = []
    for k in range(3):
        network = build()
        set_parameters(network, members.isel(member=k))
        outputs.append(network(new).numpy())
    whole, some = predict(build, members, new), predict(build, members, new, [7, 3])
    assert whole["mean"].dims == ("sample", "neuron", "layer")
    np.testing.assert_allclose(whole["mean"], np.mean(outputs, axis=0), atol=1e-6)
    np.testing.assert_allclose(whole["spread"], np.std(outputs, axis=0, ddof=1), atol=1e-6)
    assert whole["spread"].max() > 0.01
    xr.testing.assert_allclose(some, whole.sel(neuron=[7, 3]))
    assert some["group"].values.tolist() == [GROUPS[7], GROUPS[3]]
    assert np.isnan(predict(build, members.isel(member=[0]), new)["spread"]).all()


@pytest.mark.slow
def test_without_jitter_members_start_the_same(build, inputs, table):
    options = {"epochs": 0, "train": ("slopes", "biases", "tau", "strengths")}
    same = ensemble(build, inputs, table, [1, 2], jitter=0.0, **options)
    for name in ("slope", "bias", "tau", "strength"):
        assert np.ptp(same[name].values, axis=0).max() == 0
    apart = ensemble(build, inputs, table, list(range(30)), jitter=0.2, **options)
    assert np.log(apart["slope"] / 5).std() == pytest.approx(0.2, rel=0.25)
    assert apart["bias"].std() == pytest.approx(0.2, rel=0.25)
    assert np.log(apart["strength"]).std() == pytest.approx(0.2, rel=0.25)


def test_runs_of_unequal_length_are_stacked(build, inputs, table):
    options = {"epochs": 12, "patience": 1, "learning_rate": 1.0, "train": ("slopes",)}
    found = ensemble(build, inputs, table, range(6), **options)
    lengths = found["loss"].notnull().sum("epoch").values
    assert len(set(lengths.tolist())) > 1
    assert found.sizes["epoch"] == lengths.max()


def test_seeds_are_given_once(build, inputs, table):
    with pytest.raises(ArgumentError, match=r"seeds are \[\], expected at least one"):
        ensemble(build, inputs, table, [], epochs=1)
    with pytest.raises(ArgumentError, match=r"seeds are \[1, 1\], expected at least one, each"):
        ensemble(build, inputs, table, [1, 1], epochs=1)


def test_an_analysis_over_null_connectomes(rng):
    W = sparse.csr_array(weights(rng, n=20, density=0.3))
    neurons = pd.DataFrame({"id": range(20)})
    connectome = Connectome(W.astype(np.float32), neurons, unit="synapses")
    inputs = rng.random((4, 3, 3))

    def analyse(variant):
        network = MultilayeredNetwork(variant, [0, 1, 2], 3)
        out = network(inputs)[:, :, -1].numpy()
        return xr.Dataset({"activity": (("sample", "neuron"), out)}, {"neuron": range(20)})

    found = over((rewired(connectome, rng) for _ in range(3)), analyse)
    assert dict(found.sizes) == {"variant": 3, "sample": 4, "neuron": 20}
    one = analyse(connectome)
    assert over([connectome], analyse).isel(variant=0, drop=True).identical(one)
    as_array = over(
        [connectome, permuted_weights(connectome, rng)], lambda c: analyse(c)["activity"]
    )
    assert as_array.dims == ("variant", "sample", "neuron")
    xr.testing.assert_equal(as_array[0], over([connectome], analyse)["activity"][0])
    assert not np.array_equal(as_array[0], as_array[1])
    with pytest.raises(ArgumentError, match="no variants"):
        over([], analyse)

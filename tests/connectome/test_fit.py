"""The engine that fits: mini-batches, schedules, what is kept, saving and going on."""

import copy
from dataclasses import replace
from functools import partial

import numpy as np
import pandas as pd
import pytest
import torch
from networks import GROUPS, weights

from ngpipe.connectome import MultilayeredNetwork
from ngpipe.connectome.optimisation.fit import Fit, fit
from ngpipe.connectome.optimisation.plan import Plan
from ngpipe.connectome.optimisation.split import split
from ngpipe.connectome.parameters import parameters_of, set_parameters
from ngpipe.errors import ArgumentError, DivergenceError

MultilayeredNetwork = partial(MultilayeredNetwork, preset="current")

SAMPLES = 10
MIXED = {
    "epochs": 8,
    "batch_size": 3,
    "learning_rate_schedule": "cosine",
    "train": ("slopes", "biases", "strengths", "tau"),
    "learning_rate": 0.03,
}


def build(W, **options):
    options = {"idx_to_group": GROUPS, "tau": 2.0} | options
    return MultilayeredNetwork(W, [0, 1, 2], 4, **options)


@pytest.fixture
def W(rng):
    return weights(rng)


@pytest.fixture
def inputs(rng):
    return torch.tensor(rng.random((SAMPLES, 3, 4)), dtype=torch.float32)


@pytest.fixture
def table(W, inputs):
    """What a network of the same W with other slopes does."""
    return does(build(W, slope_dict={"a": 3.0, "b": 7.0, "c": 4.0}), inputs)


def does(network, inputs):
    out = network(inputs).numpy()
    rows = [(b, n, t, out[b, n, t]) for b in range(SAMPLES) for n in range(3, 12) for t in (3, 1)]
    return pd.DataFrame(rows, columns=["batch", "neuron_idx", "layer", "value"])


def seeded(seed=3):
    return torch.Generator().manual_seed(seed)


def started(W, inputs, table, held_out=0.3, seed=3, **plan):
    network, generator = build(W), seeded(seed)
    parts = split(network, inputs, table, held_out, generator)
    return Fit(network, *parts, Plan(**(MIXED | plan)), generator)


def exhausted(run):
    for _ in run:
        pass
    return run


def same_bytes(one, other):
    for name, p in one.network.named_parameters():
        assert torch.equal(p, other.network.get_parameter(name)), name
    for name, values in one.history.items():
        np.testing.assert_array_equal(values, other.history[name])


def test_a_run_that_was_killed_goes_on_to_the_same_bytes(W, inputs, table, tmp_path):
    whole = exhausted(started(W, inputs, table))

    killed = started(W, inputs, table)
    with pytest.raises(KeyboardInterrupt):
        for _ in killed:
            torch.save(killed.state(), tmp_path / "last.pt")
            if killed.epoch == 3:
                killed.advance()  # an epoch that was not saved
                raise KeyboardInterrupt
    resumed = started(W, inputs, table)
    resumed.load_state(torch.load(tmp_path / "last.pt", weights_only=True))
    assert resumed.epoch == 3
    same_bytes(whole, exhausted(resumed))
    assert whole.result().identical(resumed.result())
    same_bytes(whole, resumed)  # with the parameters kept


def test_a_state_is_a_copy(W, inputs, table):
    run = started(W, inputs, table)
    run.advance()
    state = run.state()
    kept = copy.deepcopy(state)
    exhausted(run)
    other = started(W, inputs, table)
    other.load_state(state)
    exhausted(other)
    for name in ("parameters", "best"):
        assert repr(state[name]) == repr(kept[name])
    assert state["history"] == kept["history"]
    assert repr(state["optimizer"]) == repr(kept["optimizer"])
    same_bytes(run, other)


@pytest.mark.quick(2)
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"learning_rate": 0.04}, "taken with learning_rate = 0.03, but learning_rate is 0.04"),
        ({"train": ("slopes",)}, "taken with train = "),
        ({"seed": 4}, "other inputs, targets or another split"),
        ({"table": "value"}, "other inputs, targets or another split"),
        ({"inputs": 0.9}, "other inputs, targets or another split"),
        ({"W": 1.1}, "another connectome"),
    ],
)
def test_a_foreign_state_is_refused_and_changes_nothing(W, inputs, table, change, message):
    run = started(W, inputs, table)
    run.advance()
    state = run.state()
    if "W" in change:
        W = change["W"] * W
    if "inputs" in change:
        inputs = change["inputs"] * inputs
    if "table" in change:
        table = table.assign(value=table["value"] + 0.1)
    plan = {k: v for k, v in change.items() if k not in ("W", "inputs", "table")}
    other = started(W, inputs, table, **plan)
    before = [p.clone() for p in other.parameters]
    with pytest.raises(ArgumentError, match=message):
        other.load_state(state)
    assert all(torch.equal(p, q) for p, q in zip(other.parameters, before, strict=True))


def test_strengths_that_are_not_trained_come_with_the_state(W, inputs, table):
    def begun(network):
        generator = seeded()
        parts = split(network, inputs, table, 0.3, generator)
        return Fit(network, *parts, Plan(epochs=3, train=("slopes",)), generator)

    fitted = build(W)
    fitted.add_strengths()
    fitted.log_strengths.data += 0.3
    with_strengths, without = begun(fitted), begun(build(W))
    without_state = without.state()
    without.load_state(with_strengths.state())
    same_bytes(exhausted(with_strengths), exhausted(without))
    with pytest.raises(ArgumentError, match="build the network as before"):
        with_strengths.load_state(without_state)


def test_an_epoch_goes_once_over_every_sample(W, inputs, table):
    run = started(W, inputs, table, batch_size=3)
    seen = [batch.clone() for batch, _ in run.batches()]
    assert [len(batch) for batch in seen] == [3, 3, 1]
    rows = torch.cat(seen).flatten(1)
    expected = run.trained.inputs.flatten(1)
    assert sorted(rows.tolist()) == sorted(expected.tolist())
    again = torch.cat([batch for batch, _ in run.batches()]).flatten(1)
    assert not torch.equal(rows, again)


def test_targets_of_a_batch_are_those_of_its_samples(W, inputs, table):
    """The network's own activity, as a table, is met exactly in any batch."""
    network = build(W)
    out = network(inputs).numpy()
    own = table.assign(value=out[table["batch"], table["neuron_idx"], table["layer"]])
    own = own.sample(frac=0.7, random_state=2)
    run = started(W, inputs, own, batch_size=2, penalty=0.0, learning_rate=0.0)
    record = run.advance()
    assert record["error"] == pytest.approx(0, abs=1e-7)
    assert record["held_out_error"] == pytest.approx(0, abs=1e-7)


@pytest.mark.parametrize(("error", "power"), [("absolute", 1), ("squared", 2)])
@pytest.mark.parametrize("batch_size", [None, 2])
def test_the_error_is_the_mean_over_all_rows(W, inputs, table, error, power, batch_size):
    table = table.drop(table.index[5:23])
    out = build(W)(inputs).numpy()
    run = started(
        W, inputs, table, error=error, batch_size=batch_size, learning_rate=0.0, penalty=0.5
    )
    record = run.advance()
    for name, part in (("error", run.trained), ("held_out_error", run.held_out)):
        rows = table[table["batch"].isin(part.indices)]
        off = out[rows["batch"], rows["neuron_idx"], rows["layer"]] - rows["value"]
        assert record[name] == pytest.approx((off.abs() ** power).mean(), rel=1e-5)
    assert record["penalty"] == 0
    assert record["loss"] == pytest.approx(record["error"])


def test_samples_without_targets_are_not_drawn(W, inputs, table):
    run = started(W, inputs, table[table["batch"] < 6], held_out=[0, 9], batch_size=2)
    assert [len(batch) for batch, _ in run.batches()] == [2, 2, 1]
    assert run.trained.indices.tolist() == list(range(1, 9))
    with pytest.raises(ArgumentError, match="leaves none of the 2 samples"):
        started(W, inputs, table[table["batch"] < 2], held_out=[0, 1])


def test_schedules_of_the_learning_rate(W, inputs, table):
    def rates(schedule):
        run = started(
            W,
            inputs,
            table,
            learning_rate_schedule=schedule,
            train=("slopes",),
            batch_size=None,
        )
        return exhausted(run).history["learning_rate"]

    assert rates("constant") == [0.03] * 8
    np.testing.assert_allclose(rates("linear"), 0.03 * (1 - np.arange(8) / 8))
    cosine = 0.015 * (1 + np.cos(np.pi * np.arange(8) / 8))
    np.testing.assert_allclose(rates("cosine"), cosine)
    np.testing.assert_allclose(rates("warmup"), [0.003, *cosine[1:]])


def test_the_schedule_of_the_learning_rate_has_an_earlier_name(W, inputs, table):
    plan = Plan(epochs=3, schedule="cosine")
    assert plan == Plan(epochs=3, learning_rate_schedule="cosine")
    assert (plan.schedule, Plan(epochs=3).schedule) == ("cosine", "constant")
    assert replace(plan, epochs=4) == Plan(epochs=4, learning_rate_schedule="cosine")
    assert replace(plan, learning_rate_schedule="constant") == Plan(epochs=3)
    with pytest.raises(TypeError, match="multiple values for keyword argument"):
        Plan(epochs=3, schedule="cosine", learning_rate_schedule="linear")
    with pytest.raises(ArgumentError, match="learning_rate_schedule is 'step', expected one of"):
        Plan(epochs=3, schedule="step")


def test_a_state_of_before_is_gone_on_from(W, inputs, table):
    begun = started(W, inputs, table, learning_rate_schedule="cosine")
    state = begun.state()
    state["options"]["schedule"] = state["options"].pop("learning_rate_schedule")
    started(W, inputs, table, learning_rate_schedule="cosine").load_state(state)
    with pytest.raises(ArgumentError, match="learning_rate_schedule"):
        started(W, inputs, table, learning_rate_schedule="linear").load_state(state)


def test_the_learning_rate_is_that_of_the_schedule(W, inputs, table):
    """The first step of Adam moves each parameter with a gradient by the rate."""
    run = started(
        W, inputs, table, batch_size=None, learning_rate_schedule="warmup", train=("slopes",)
    )
    before = run.network.slope.clone()
    run.advance()
    assert (run.network.slope - before).abs().max().item() == pytest.approx(0.003, rel=1e-3)


@pytest.fixture
def halfway(W, inputs, table):
    """Targets whose held-out samples, 0 to 2, are met on the way to those of the others."""
    near = does(build(W, slope_dict={"a": 4.5, "b": 5.5, "c": 4.75}), inputs)
    return near.where(near["batch"] < 3, table).astype(near.dtypes)


PASSING = {"train": ("slopes",), "held_out": [0, 1, 2], "learning_rate": 0.1, "penalty": 0.0,
           "learning_rate_schedule": "constant", "epochs": 20}  # fmt: skip


@pytest.mark.slow
def test_the_best_epoch_is_kept(W, inputs, halfway):
    run = exhausted(started(W, inputs, halfway, **PASSING))
    result = run.result()
    errors = result["held_out_error"].values
    assert 1 < result["kept_epoch"] == errors.argmin() + 1 < 20
    assert result["kept_error"] == errors.min()
    assert run.validate() == pytest.approx(errors.min(), rel=1e-6)
    last = exhausted(started(W, inputs, halfway, keep="last", **PASSING))
    assert last.result()["kept_epoch"] == 20
    assert last.validate() == pytest.approx(errors[-1], rel=1e-6)


def test_patience_ends_a_run(W, inputs, halfway):
    for keep in ("best", "last"):
        run = exhausted(started(W, inputs, halfway, keep=keep, patience=4, **PASSING))
        errors = np.array(run.history["held_out_error"])
        assert len(errors) == errors.argmin() + 1 + 4 < 20


def test_start_and_best_epoch_come_with_the_state(W, inputs, halfway):
    """Saved after the best epoch, resumed by a network that has other parameters."""
    options = MIXED | PASSING | {"penalty": 0.5}
    whole = started(W, inputs, halfway, **options)
    for _ in whole:
        if whole.epoch == 15:
            state = whole.state()
    assert whole.best["epoch"] < 15

    network, generator = build(W, slope_dict={"a": 9.0, "d": 2.0}, tau=4.0), seeded()
    parts = split(network, inputs, halfway, options.pop("held_out"), generator)
    resumed = Fit(network, *parts, Plan(**options), generator)
    resumed.load_state(state)
    same_bytes(whole, exhausted(resumed))
    assert whole.history["penalty"][-1] > 0
    assert whole.result().identical(resumed.result())


@pytest.mark.slow
def test_a_penalty_keeps_parameters_where_they_started(W, inputs, table):
    def moved(penalty):
        run = started(W, inputs, table, epochs=20, penalty=penalty, held_out=0.0)
        exhausted(run)
        pairs = zip(run.parameters, run.start, strict=True)
        return sum((p - p0).abs().sum().item() for p, p0 in pairs)

    free, held = moved(0.0), moved(100.0)
    assert free > 1
    assert held < 0.2 * free


def test_mini_batches_fit(W, inputs, table):
    network = build(W)
    result = fit(
        network, inputs, table, generator=seeded(), epochs=40, batch_size=4, learning_rate=0.2,
        learning_rate_schedule="cosine", penalty=0.0, train=("slopes",), error="squared",
    )  # fmt: skip
    assert result["error"][-1] < 0.01 * result["error"][0]
    assert result["slope"].sel(group=["a", "b", "c"]).values == pytest.approx([3, 7, 4], abs=0.2)


def test_strengths_are_fitted(W, inputs):
    options = {"tanh_steepness": 1.0, "threshold": 1e-4}
    truth, network = build(abs(W) / 2, **options), build(abs(W) / 2, **options)
    truth.add_strengths()
    truth.log_strengths.data += 0.4 * torch.randn(len(truth.log_strengths), generator=seeded())
    result = fit(
        network, inputs, does(truth, inputs), generator=seeded(), epochs=100, learning_rate=0.1,
        learning_rate_schedule="cosine", penalty=0.0, train=["strengths"], error="squared",
    )  # fmt: skip
    assert result["held_out_error"][-1] < 0.01 * result["error"][0]
    planted = np.log(parameters_of(truth)["strength"])
    told = np.isin(planted["post"], ["c", "d"])  # few neurons of a and b are in the table
    np.testing.assert_allclose(np.log(result["strength"])[told], planted[told], atol=0.08)
    assert np.abs(planted[told]).max() > 0.3


def test_the_result_has_names(W, inputs, table):
    result = exhausted(started(W, inputs, table)).result()
    assert result["loss"].dims == ("epoch",)
    assert result["epoch"].values.tolist() == list(range(1, 9))
    assert result["slope"].dims == ("group",)
    assert result["group"].values.tolist() == list("abcd")
    assert result["strength"].dims == ("pair",)
    assert int(result["held_out"].sum()) == 3
    assert all({"units", "long_name"} <= set(v.attrs) for v in result.data_vars.values())
    matrix = result["strength"].set_index(pair=["post", "pre"]).unstack()
    network = build(W)
    network.add_strengths()
    set_parameters(network, result)
    names = network.groups.names
    for p, (post, pre) in enumerate(zip(network.pairs.post, network.pairs.pre, strict=True)):
        found = matrix.sel(post=names[post], pre=names[pre]).item()
        assert found == pytest.approx(network.strengths[p].item(), rel=1e-6)


def test_parameters_go_into_a_table_and_back(W, inputs, table):
    run = exhausted(started(W, inputs, table))
    other = build(W)
    set_parameters(other, parameters_of(run.network))
    torch.testing.assert_close(other(inputs), run.network(inputs))
    with pytest.raises(ArgumentError, match=r"parameters have group \['w'"):
        set_parameters(
            build(W, idx_to_group=GROUPS),
            parameters_of(build(W, idx_to_group={i: "xyzw"[i % 4] for i in range(12)})),
        )


def test_nothing_else_is_changed(W, inputs, table):
    kept, before = table.copy(), torch.get_rng_state()
    network = build(W)
    tau = network.tau_param.clone()
    u = inputs.clone()
    fit(network, inputs, table, generator=seeded(), epochs=2, train=("slopes",))
    pd.testing.assert_frame_equal(table, kept)
    assert torch.equal(inputs, u)
    assert torch.equal(before, torch.get_rng_state())
    assert torch.equal(network.tau_param, tau)
    assert not any(p.requires_grad for p in network.parameters())


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        (
            {"learning_rate_schedule": "step"},
            r"learning_rate_schedule is 'step', expected one of \['constant'",
        ),
        ({"error": "huber"}, "error is 'huber', expected one of"),
        ({"keep": "first"}, "keep is 'first', expected one of"),
        ({"train": ("slope",)}, "train is 'slope', expected one of"),
        ({"epochs": -1}, "epochs is -1, expected at least 0"),
        ({"batch_size": 0}, "batch_size is 0, expected at least 1"),
        ({"patience": 0}, "patience is 0, expected at least 1"),
        ({"held_out": 1.0}, "held_out is 1.0, expected a share"),
        ({"held_out": [10]}, "held_out 10 is out of range"),
        ({"train": ()}, "nothing to train"),
        ({"held_out": 0.0, "patience": 2}, "patience is 2, but nothing is held out"),
    ],
)
def test_what_cannot_be_done_is_refused(W, inputs, table, plan, message):
    with pytest.raises(ArgumentError, match=message):
        started(W, inputs, table, **plan)


def test_divergence_names_the_epoch(W, inputs, table):
    run = started(W, inputs, table)
    run.advance()
    run.network.slope.data.fill_(torch.nan)
    with pytest.raises(DivergenceError, match="loss is nan at epoch 1: lower learning_rate"):
        run.advance()

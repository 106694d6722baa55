"""phi and psi against the truth, whatever psi depends on and however the found types are named."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr

from ngpipe.metrics import neurons

X = np.linspace(-6, 6, 121)
TYPES = np.array([0, 1, 2, 1, 0, 2, 2, 0, 1])
SENDER, RECEIVER = np.array([1.0, 2.0, 4.0]), np.array([1.0, 3.0, 1.5])
NAMES = np.array([2, 0, 1])
"""What the recovery calls the true types 0, 1 and 2."""
OF = ["activity", "sender", "receiver", "pair"]


def value(table: pd.DataFrame, quantity: str, metric: str) -> float:
    (found,) = table.query("quantity == @quantity and metric == @metric")["value"]
    return found


def width(of: str, receiver: int, sender: int) -> float:
    return {
        "activity": 1.0,
        "sender": SENDER[sender],
        "receiver": RECEIVER[receiver],
        "pair": SENDER[sender] * RECEIVER[receiver],
    }[of]


def truth_of(of: str) -> xr.Dataset:
    pairs = [(i, j) for i in range(3) for j in range(3)]
    if of == "pair":
        dims, curves = "pair", [np.tanh(X / width(of, i, j)) for i, j in pairs]
    else:
        dims, curves = "type", [np.tanh(X / width(of, k, k)) for k in range(3)]
    phi = [-(1 + k) * X for k in range(3)]
    return xr.Dataset(
        {
            "phi": (("type", "x"), phi),
            "psi": ((dims, "x"), curves, {"of": of}),
            "neuron_type": (("neuron",), TYPES),
        },
        coords={"x": X},
    )


def recovery_of(of: str, wrong: float = 1.0, which: int = 0) -> xr.Dataset:
    """The truth under other names; the width of one psi is off by a factor."""
    found = NAMES[TYPES]
    coords, x = {"x": X[::2]}, X[::2]
    if of == "pair":
        # Found labels (receiver, sender), the sender's running fastest.
        true = np.argsort(NAMES)
        labels = [(i, j) for i in range(3) for j in range(3)]
        widths = np.array([width(of, true[i], true[j]) for i, j in labels])
        psi, dims = widths, "pair"
        coords["receiver_type"] = ("pair", [i for i, _ in labels])
        coords["sender_type"] = ("pair", [j for _, j in labels])
    else:
        psi, dims = np.array([width(of, k, k) for k in TYPES]), "neuron"
    psi = psi.copy()
    psi[which] *= wrong
    reach = 4 + 0.1 * np.arange(len(TYPES))
    return xr.Dataset(
        {
            "phi": (("neuron", "x"), -(1 + TYPES)[:, None] * x),
            "psi": ((dims, "x"), np.tanh(x / psi[:, None]), {"of": of}),
            "visited": (("neuron", "bound"), np.stack([-reach, reach], 1)),
            "neuron_type": (("neuron",), found),
        },
        coords=coords,
    )


@pytest.mark.parametrize("of", OF)
def test_the_truth_under_other_names_has_no_error(of):
    table = neurons.score_functions(recovery_of(of), truth_of(of))
    assert value(table, "phi", "nrmse") == pytest.approx(0, abs=1e-9)
    assert value(table, "psi", "nrmse") == pytest.approx(0, abs=1e-9)
    for kind in range(3):
        assert value(table, "psi", f"nrmse_type_{kind}") == pytest.approx(0, abs=1e-9)


@pytest.mark.quick(3)
@pytest.mark.parametrize("of", OF)
@pytest.mark.parametrize("which", range(9))
def test_a_wrong_width_shows_in_the_type_it_belongs_to(of, which):
    """A pair's error stands under its receiver's true type; larger errors weigh more."""
    tables = [
        neurons.score_functions(recovery_of(of, wrong, which), truth_of(of)) for wrong in (1.5, 4)
    ]
    small, large = (value(t, "psi", "nrmse") for t in tables)
    assert 0.01 < small < large
    kind = np.argsort(NAMES)[which // 3] if of == "pair" else TYPES[which]
    for other in range(3):
        error = value(tables[0], "psi", f"nrmse_type_{other}")
        assert error > 0.01 if other == kind else error == pytest.approx(0, abs=1e-9)
    assert value(tables[0], "phi", "nrmse") == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(("found", "true"), [("sender", "receiver"), ("pair", "sender")])
def test_receivers_are_not_taken_for_senders(found, true):
    """psi learned per pair is judged by the truth of the right end of each."""
    truth = truth_of(true)
    if found == "sender":
        assert value(neurons.score_functions(recovery_of("sender"), truth), "psi", "nrmse") > 0.05
        return
    recovery, names = recovery_of("pair"), np.argsort(NAMES)
    sender = names[recovery["sender_type"].values]
    recovery["psi"] = recovery["psi"].copy(data=np.tanh(X[::2] / SENDER[sender][:, None]))
    table = neurons.score_functions(recovery, truth)
    assert value(table, "psi", "nrmse") == pytest.approx(0, abs=1e-9)
    receiver = names[recovery["receiver_type"].values]
    recovery["psi"] = recovery["psi"].copy(data=np.tanh(X[::2] / SENDER[receiver][:, None]))
    assert value(neurons.score_functions(recovery, truth), "psi", "nrmse") > 0.05


def test_too_poor_a_model_is_judged_by_what_neurons_send_themselves():
    """One psi per neuron where the truth has one per pair: the diagonal pairs."""
    recovery = recovery_of("sender")
    own = np.array([width("pair", k, k) for k in TYPES])
    recovery["psi"] = recovery["psi"].copy(data=np.tanh(X[::2] / own[:, None]))
    table = neurons.score_functions(recovery, truth_of("pair"))
    assert value(table, "psi", "nrmse") == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("of", ["sender", "pair"])
def test_activities_nobody_visits_do_not_count(of):
    recovery = recovery_of(of)
    beyond = np.abs(recovery["x"].values) > 4.85
    recovery["psi"] = recovery["psi"] + 100 * beyond
    table = neurons.score_functions(recovery, truth_of(of))
    assert value(table, "psi", "nrmse") == pytest.approx(0, abs=1e-9)

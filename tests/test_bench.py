"""The edge-wise model computes and learns the same; costs, and other methods, are told rightly."""

import importlib
import os
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from types import ModuleType

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from matplotlib.figure import Figure

from ngpipe.assembly.gnn import AssemblyGNN, Scales
from ngpipe.config.assembly.training import Network

BENCH = Path(__file__).parents[1] / "bench"


@pytest.fixture(autouse=True)
def _importable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(BENCH)


@pytest.fixture
def cost() -> ModuleType:
    return importlib.import_module("cost")


@pytest.fixture
def small(cost, tmp_path, monkeypatch) -> ModuleType:
    """The same in one process, without long fits of networks."""
    experiment = yaml.safe_load(cost.EXPERIMENT.read_text())
    experiment["training"]["closed_form"] = {"distil_steps": 5}
    path = tmp_path / "experiment.yaml"
    path.write_text(yaml.safe_dump(experiment))
    monkeypatch.setattr(cost, "EXPERIMENT", path)
    monkeypatch.setattr(cost, "PRODUCT_SIZE", 64)
    monkeypatch.setattr(cost, "isolated", lambda call, *arguments: call(*arguments))
    return cost


def model_of_nine(seed: int = 0) -> AssemblyGNN:
    generator = torch.Generator().manual_seed(seed)
    scales = Scales(activity=4.0, reach=20.0, rate=3.0)
    model = AssemblyGNN(9, Network(hidden=8), scales, None, generator)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.copy_(0.5 * torch.randn(parameter.shape, generator=generator))
    return model


def test_the_edgewise_model_gives_the_same_rate():
    edgewise, model = importlib.import_module("edgewise"), model_of_nine()
    x = 5 * torch.randn(9, generator=torch.Generator().manual_seed(1))
    expected, found = model(0.0, x), edgewise.rate(model, x, *edgewise.edges(9))
    torch.testing.assert_close(found, expected)


def test_the_edgewise_model_learns_the_same():
    edgewise, model, dense = importlib.import_module("edgewise"), model_of_nine(), model_of_nine()
    x, target = 5 * torch.randn(2, 9, generator=torch.Generator().manual_seed(1))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    edgewise.step(model, optimizer, x, target, *edgewise.edges(9))
    ((dense(0.0, x) - target) / 3.0).square().mean().backward()
    torch.optim.SGD(dense.parameters(), lr=0.1).step()
    for found, expected in zip(model.parameters(), dense.parameters(), strict=True):
        torch.testing.assert_close(found, expected)


def test_ridge_regression_finds_what_it_is_told_to_look_for(tmp_path):
    neighbours = importlib.import_module("neighbours")
    neighbours.simulated(tmp_path / "recording.npz", 6, 400, 0.5)
    with np.load(tmp_path / "recording.npz") as held:
        found = neighbours.ridge(held["activity"], held["rate"])
        np.testing.assert_allclose(found, held["weights"], atol=1e-6)


def test_the_table_of_methods_claims_no_weights_that_were_not_found():
    neighbours = importlib.import_module("neighbours")
    w = {"ridge": (0.98765, 1.25), "edge_by_edge": (np.nan, np.nan)}
    rows = [
        {"n_neurons": 30, "method": m, "rate": rate, "r2": r2, "slope": slope}
        for (m, (r2, slope)) in w.items()
        for rate in neighbours.RATES
    ]
    table = pd.DataFrame(rows).assign(cpu_seconds=[2, 3, 600, 9000], peak_mb=[512, 768, 1, 1])
    ridge, edges = neighbours.written(table)[2:]
    assert ridge.split(" | ")[2:] == ["0.9876500", "2 s", "0.9877", "1.250", "3 s", "0.75 GB |"]
    assert edges.split(" | ")[2:-1] == ["–", "10 min", "–", "–", "2.5 h"]


@pytest.mark.slow
def test_cost_of_two_sizes(small, tmp_path):
    out = tmp_path / "out"
    small.main(["--neurons", "60", "30", "--frames", "2000", "--threads", "1", "--out", str(out)])
    assert sorted(path.name for path in out.iterdir()) == ["cost.csv", "cost.pdf", "cost.png"]
    table = pd.read_csv(out / "cost.csv")
    assert list(table) == small.COLUMNS
    expected = [(n, method) for n in (30, 60) for method in small.METHODS]
    assert list(zip(table["n_neurons"], table["method"], strict=True)) == expected
    assert (table[["seconds", "peak_mb", "recording_mb"]] > 0).all(axis=None)
    np.testing.assert_allclose(table["recording_mb"], table["n_neurons"] * 2000 * 8 / 2**20)

    solved = table[table["method"] == "closed_form"]
    # 30 noise-free neurons come to rest, which tells nothing about W.
    assert solved["r2"].between(0, 1).all()
    assert solved["r2"].iloc[1] > 0.99
    assert (solved["limit_seconds"] > 0).all()
    counted = [
        small.flops(n, t, 48)
        for n, t in zip(solved["n_neurons"], solved["frames_used"], strict=True)
    ]
    np.testing.assert_allclose(solved["flops"], counted)
    trained = table[table["method"] == "gradient_extrapolated"]
    assert (trained["seconds"] > 5000 * trained["step_seconds"]).all()
    # No method claims what it did not measure.
    assert table["r2"].notna().sum() == table["flops"].notna().sum() == len(solved)
    assert table["step_seconds"].notna().sum() == len(trained)


def test_operations_of_the_last_solve_counted_by_hand(cost):
    gram = 3 * 6  # three different products of two senders, over three frames
    crossed = 2 * 2 * 5 * 6  # senders, rows, four splines and a target, over three frames
    factor = 2 + 1 + 2  # two roots, a division, a multiplication and a subtraction
    triangular = 2 * (7 + 2) * 4  # rows; splines, target, weights; two divisions and one update
    assert cost.flops(2, 3, 7) == gram + crossed + factor + triangular


def test_a_power_law_is_found(cost):
    n = np.array([500.0, 1000.0, 2000.0, 4000.0])
    np.testing.assert_allclose(cost.power_law(n, 3e-4 * n**2.25), (3e-4, 2.25))


def test_the_exponent_is_that_of_large_sizes(cost):
    n = np.array([250, 500, 1000, 2000])
    seconds = np.where(n < cost.FIT_FROM, 1e6, 1e-3 * n**1.5)
    table = pd.DataFrame({"n_neurons": n, "method": "closed_form", "seconds": seconds})
    ax = Figure().subplots()
    cost.panel(ax, table, "seconds", {"closed_form": ", noted"})
    assert ax.get_legend_handles_labels()[1] == ["closed form, noted: $N^{1.50}$"]
    points = ax.lines[-1]
    np.testing.assert_allclose(points.get_xydata(), np.column_stack([n, seconds]))


def test_every_measurement_has_a_process_of_its_own(cost):
    assert len({cost.isolated(os.getpid), cost.isolated(os.getpid), os.getpid()}) == 3


def test_the_shortest_run_counts(small):
    runs = iter([{"seconds": 3.0}, {"seconds": 1.0, "peak_mb": 7.0}, {"seconds": 2.0}])
    options = small.parsed(["--repeats", "3"])
    assert small.shortest(lambda _case: next(runs), None, options) == {
        "seconds": 1.0,
        "peak_mb": 7.0,
    }


def test_a_killed_measurement_is_named(small, tmp_path):
    experiment = small.load(small.EXPERIMENT, small.Experiment)
    case = small.Case(experiment, tmp_path, 1, torch.device("cpu"))

    def distillation(case):
        raise BrokenProcessPool

    with pytest.raises(SystemExit, match=r"distillation at 1000 neurons .* lower --frames"):
        small.shortest(distillation, case, small.parsed(["--out", str(tmp_path)]))

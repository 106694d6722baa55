"""The benchmark runs, and its loops give the numbers of the network."""

import importlib
import sys
from pathlib import Path

import pytest

BENCH = Path(__file__).parents[2] / "bench"


@pytest.mark.slow
def test_the_benchmark_runs_at_a_tiny_size(monkeypatch, capsys):
    monkeypatch.syspath_prepend(BENCH)
    monkeypatch.setattr(sys, "argv", ["connectome", "--small", "--threads", "1"])
    importlib.import_module("connectome").main()
    table = capsys.readouterr().out.splitlines()[-9:-2]
    assert [line.split(",")[0].split()[0] for line in table] == [
        "forward", "forward", "divisive", "training", "search", "optic",
        "effective",
    ]  # fmt: skip

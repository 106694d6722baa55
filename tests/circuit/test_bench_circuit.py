"""The benchmark of circuits runs, and its loops give the numbers of the library."""

import importlib
import sys
from pathlib import Path

import pandas as pd
import pytest

BENCH = Path(__file__).parents[2] / "bench"


@pytest.mark.slow
def test_the_benchmark_runs_at_a_tiny_size(monkeypatch, capsys, tmp_path):
    monkeypatch.syspath_prepend(BENCH)
    arguments = ["circuit", "--small", "--threads", "1", "--out", str(tmp_path)]
    monkeypatch.setattr(sys, "argv", arguments)
    importlib.import_module("circuit").main()
    printed = capsys.readouterr().out
    assert all(what in printed for what in ("network of 23", "run of 23", "sweep of 8 runs"))
    assert len(pd.read_csv(tmp_path / "circuit.csv")) == 4
    assert (tmp_path / "circuit.png").stat().st_size > 1000

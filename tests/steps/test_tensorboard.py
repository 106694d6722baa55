"""Losses as TensorBoard events, when asked."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from ngpipe.config.assembly.simulation import Simulation
from ngpipe.config.assembly.training import Training
from ngpipe.errors import ConfigError
from ngpipe.steps import simulate, train

CPU = {"key": "test", "device": torch.device("cpu")}
TRAINING = Training(
    steps=30, log_every=5, evaluations=3, batch_frames=8, accept_worse_than_zero=True
)


def trained(directory: Path, **options: Path) -> pd.DataFrame:
    simulation = Simulation(n_neurons=12, n_frames=600, burn_in=10)
    simulate.run(simulation, directory, **CPU)
    train.run(TRAINING, directory, checkpoints=directory / "checkpoints", **CPU, **options)
    return pd.read_csv(directory / "training.csv")


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # inside tensorboard itself
def test_every_logged_loss_is_an_event(tmp_path: Path) -> None:
    reader = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    rows = trained(tmp_path, tensorboard=tmp_path / "events")
    events = reader.EventAccumulator(str(tmp_path / "events")).Reload()
    assert set(events.Tags()["scalars"]) == {"loss/loss", "loss/fit", "loss/held_out"}
    for name in ("fit", "held_out"):
        logged = rows.dropna(subset=name)
        found = events.Scalars(f"loss/{name}")
        assert [e.step for e in found] == logged["step"].tolist()
        np.testing.assert_allclose([e.value for e in found], logged[name], rtol=1e-6)


def test_nothing_is_written_unless_asked(tmp_path: Path) -> None:
    trained(tmp_path)
    assert not list(tmp_path.rglob("events.out*"))


def test_a_missing_tensorboard_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ConfigError, match=r"ngpipe\[tensorboard\]"):
        trained(tmp_path, tensorboard=tmp_path / "events")

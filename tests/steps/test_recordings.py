"""Frames are read from the store when asked for, and are the same as in memory."""

import numpy as np
import pytest
import torch
import xarray as xr

from ngpipe import schemas, store
from ngpipe.artifacts import recordings
from ngpipe.config.assembly.training import Training

CPU = torch.device("cpu")


@pytest.fixture
def stored(tmp_path, monkeypatch):
    """A store in chunks of 7 frames, and what it holds."""
    monkeypatch.setattr(store, "BLOCK_BYTES", 7 * 5 * 4)
    generator = np.random.default_rng(1)
    values = {n: generator.normal(size=(50, 5)).astype("float32") for n in ("activity", "drift")}
    dataset = xr.Dataset(
        {name: (("time", "neuron"), v) for name, v in values.items()},
        coords={"time": np.arange(50) * 0.1},
        attrs={"dt": 0.1},
    )
    path = tmp_path / "simulation.zarr"
    store.write(dataset, path, schemas.SIMULATION, store.Provenance("simulate", "k", {}))
    return path, values


def test_any_frames_in_any_order(stored):
    path, values = stored
    recording = recordings.load(path, Training(), CPU)
    assert recording.activity.shape == (50, 5)
    assert len(recording.rate) == 50
    for frames in (
        torch.tensor([3, 49, 0, 7, 6, 7]),
        torch.arange(0, 50, 3),
        torch.tensor([], dtype=torch.long),
        slice(5, 23),
        slice(None),
    ):
        index = frames.numpy() if isinstance(frames, torch.Tensor) else frames
        assert np.array_equal(recording.activity[frames].numpy(), values["activity"][index])
        assert np.array_equal(recording.rate[frames].numpy(), values["drift"][index])


def test_far_and_near_recordings_agree(stored):
    path, _ = stored
    far = recordings.load(path, Training(), CPU)
    near = recordings.load(path, Training(), CPU, in_memory=True)
    assert isinstance(near.activity, torch.Tensor)
    assert not isinstance(far.activity, torch.Tensor)
    assert far.scales() == near.scales()
    assert torch.equal(far.visited(0.9), near.visited(0.9))
    frames = far.training_frames[::3]
    for one, other in zip(far.batch(frames), near.batch(frames), strict=True):
        assert torch.equal(one, other)

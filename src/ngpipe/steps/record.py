"""Config of a simulation and of its losses -> ``truth.zarr``, and ``recorded/`` with NWB files."""

import os
import shutil
from pathlib import Path

import numpy as np
import torch
import xarray as xr

from ngpipe import hashing, ownership, store
from ngpipe.acquisition import laboratory, nwb_file
from ngpipe.artifacts.progress import say
from ngpipe.config.assembly.simulation import Simulation
from ngpipe.config.assembly.source import RecordedAs
from ngpipe.schemas import assembly as schemas
from ngpipe.steps import simulate


def run(
    cfg: Simulation,
    losses: RecordedAs,
    tau: float,
    directory: Path,
    *,
    key: str,
    device: torch.device,
) -> None:
    """Simulate an assembly, and write its activity as a laboratory would record it.

    Args:
        cfg: the assembly.
        losses: indicator, noise, lost frames and cells.
        tau: unit of time [s].
        directory: gets ``truth.zarr`` and ``recorded/session_1.nwb``, ...
        key: chain key.
        device: where to simulate.
    """
    config = {"simulation": cfg.model_dump(), "recorded_as": losses.model_dump(), "tau": tau}
    notes: dict[str, object] = {}
    provenance = store.Provenance("record", key, config, str(device), notes)
    width = len(str(cfg.n_neurons - 1))
    labels = [f"cell_{k:0{width}d}" for k in range(cfg.n_neurons)]
    simulate.write(cfg, directory / "truth.zarr", provenance, notes, device, labels)
    truth = store.read(directory / "truth.zarr", schemas.SIMULATION)
    target = directory / "recorded"
    ownership.claim([target])
    partial = target.with_name(f"{target.name}.tmp{os.getpid()}")
    partial.mkdir()
    try:
        _write_sessions(truth, losses, tau, partial)
        content = ownership.content_of(partial)
        manifest = {
            "file": target.name,
            "digest": hashing.digest_of({name: d for name, (_, d) in content.items()}),
            "variables": {},
            **store.record(provenance),
            ownership.CONTENT: content,
        }
        store.write_json(ownership.pending_path(target), manifest)
        store.replace(partial, target)
        store.write_manifest(target, manifest)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _write_sessions(truth: xr.Dataset, losses: RecordedAs, tau: float, directory: Path) -> None:
    frame = tau * float(truth.attrs["dt"])
    generator = np.random.default_rng(losses.seed)
    activity = truth["activity"].values.astype(np.float64)
    signal = laboratory.indicated(activity, frame, losses.decay)
    signal = laboratory.measured(signal, losses.noise, generator)
    labels = truth["neuron"].values.tolist()
    n_frames, n_cells = activity.shape
    found = laboratory.sessions(n_frames, n_cells, losses, generator)
    for k, session in enumerate(found, start=1):
        path = directory / f"session_{k}.nwb"
        values = signal[np.ix_(session.frames, session.cells)]
        nwb_file.write(path, values, frame * session.frames, [labels[c] for c in session.cells])
        say(f"{path.name}: {len(session.frames):,} frames of {len(session.cells)} cells")

"""``simulation.zarr`` -> ``parts/psi.safetensors``: what rows of W are solved with by many jobs."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from ngpipe import store
from ngpipe.artifacts import recordings
from ngpipe.artifacts.learning import Nothing, reporting, tell_gaps
from ngpipe.artifacts.solver_lines import Told
from ngpipe.artifacts.training_parts import Parts
from ngpipe.assembly.closed_form.solve import search
from ngpipe.config.assembly.training import Training


class _InMemory(Nothing):
    """W at some steps, until it is written."""

    def __init__(self) -> None:
        self.snapshots: dict[int, torch.Tensor] = {}

    def keep(self, step: int, connectivity: torch.Tensor) -> None:
        """Keep W at one step."""
        self.snapshots[step] = connectivity.cpu()


def run(cfg: Training, directory: Path, *, key: str, device: torch.device) -> None:
    """Find psi, groups of neurons, and the frames that rows are then solved from.

    Args:
        cfg: the training section of the config.
        directory: holds the store to learn from; the part goes into its ``parts``.
        key: chain key.
        device: where to compute.
    """
    provenance = store.Provenance("psi", key, cfg.model_dump(), str(device))
    opened = recordings.opened(directory / "simulation.zarr", cfg, device)
    tell_gaps(opened)
    rows: list[dict[str, Any]] = []
    kept = _InMemory()
    found = search(opened.recording, cfg, reporting(Told(["networks"]), rows, kept))
    provenance = replace(provenance, notes=opened.notes())
    Parts(directory, cfg, device).write_found(found, rows, kept.snapshots, provenance)

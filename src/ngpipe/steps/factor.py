"""``parts/gram_*.safetensors`` -> ``parts/factor.safetensors``: what all rows are solved with."""

from pathlib import Path

import torch

from ngpipe import store
from ngpipe.artifacts import recordings
from ngpipe.artifacts.learning import lines_alone
from ngpipe.artifacts.training_parts import Parts
from ngpipe.assembly.closed_form.scattered import prepared
from ngpipe.config.assembly.training import Training


def run(cfg: Training, directory: Path, *, key: str, device: torch.device, jobs: int) -> None:
    """Factor the Gram matrices, and find the functions that span phi of most rows.

    Args:
        cfg: the training section of the config.
        directory: holds the recording, and the parts.
        key: chain key.
        device: where to compute.
        jobs: number of jobs that have summed the Gram matrices.
    """
    provenance = store.Provenance("factor", key, cfg.model_dump(), str(device))
    opened = recordings.opened(directory / "simulation.zarr", cfg, device)
    parts = Parts(directory, cfg, device, jobs).of(opened)
    found = parts.found
    problem = found.problem(opened.recording, cfg, lines_alone())
    ready = [prepared(problem, found, k, parts.panel) for k in range(len(found.fits))]
    parts.write_factor(ready, provenance)

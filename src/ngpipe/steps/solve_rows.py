"""``parts/factor.safetensors`` -> ``parts/solve_rows_<job>_of_<jobs>.safetensors``: rows of W."""

from pathlib import Path

import torch

from ngpipe import store
from ngpipe.artifacts import recordings
from ngpipe.artifacts.learning import lines_alone
from ngpipe.artifacts.training_parts import Parts, share_of
from ngpipe.assembly.closed_form.scattered import rows_share
from ngpipe.config.assembly.training import Training


def run(
    cfg: Training, directory: Path, *, key: str, device: torch.device, job: int, jobs: int
) -> None:
    """Solve the share of one job of the rows of W, with their standard errors.

    Args:
        cfg: the training section of the config.
        directory: holds the recording, and the parts.
        key: chain key.
        device: where to compute.
        job: which job this is, from 1.
        jobs: of how many.
    """
    share = share_of(job, jobs)
    provenance = store.Provenance("solve_rows", key, cfg.model_dump(), str(device))
    opened = recordings.opened(directory / "simulation.zarr", cfg, device)
    parts = Parts(directory, cfg, device, jobs).of(opened)
    problem = parts.found.problem(opened.recording, cfg, lines_alone())
    solved = rows_share(problem, parts.found, parts.prepared, share)
    parts.write_rows(solved, job, provenance)

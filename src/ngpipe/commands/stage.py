"""``ngpipe <stage>``: an experiment's config, key and paths, and the stage run on them."""

import argparse
import os
import sys
from pathlib import Path

from ngpipe.artifacts import whose
from ngpipe.commands.loading import step
from ngpipe.commands.telling import out_of_memory, reason
from ngpipe.config.systems import AnyExperiment, load_experiment
from ngpipe.errors import DeviceError
from ngpipe.opening import opened
from ngpipe.ownership import claim
from ngpipe.provenance import available_memory_mb
from ngpipe.study import sections, stages
from ngpipe.study.records import parts_of, stage_called
from ngpipe.study.what_fits import what_fits

_OF_RECORDINGS = (*parts_of("train"), "train", "recover", "rollout", "compare_with", "score")


def run(options: argparse.Namespace) -> None:
    """Run a stage of an experiment."""
    name = options.command
    experiment = load_experiment(options.config)
    directory = options.directory or Path("results/runs") / options.config.stem
    key = stages.key_of(experiment, name)
    if name in _OF_RECORDINGS:
        # Snakemake has decided by itself whether a simulation is still good enough.
        planned = options.key == key
        recording = whose.foreign(directory, experiment, simulated=planned)
        key = stages.key_of(experiment, name, recording)
    stages.confirm(name, options.key, key)
    module, stage = step(name), stage_called(name)
    counts = {option: getattr(options, option) for option in stage.counts}
    claim(directory / output for output in stages.outputs_of(name, **counts))
    more = counts | {option: getattr(options, option) for option in stage.options}
    if stage.computes or options.device != "auto":
        from ngpipe.artifacts.devices import device_called

        device = device_called(options.device)
        more |= {"device": device} if stage.computes else {}
    if "torch" in sys.modules:
        _limit_threads(options.threads)
    try:
        module.run(*sections.taken(stage, experiment), directory, key=key, **more)
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        fits = what_fits(name, experiment, _size(experiment, directory), available_memory_mb())
        raise DeviceError(f"out of memory ({reason(error)}); {fits}") from error


def _size(experiment: AnyExperiment, directory: Path) -> tuple[int, int]:
    """Neurons and frames; of a recording those of its store, 0 and 0 if there is none."""
    known, path = sections.size(experiment), directory / "simulation.zarr"
    if known != (0, 0) or not path.is_dir():
        return known
    n_frames, n_neurons = opened(path)["activity"].shape
    return n_neurons, n_frames


def _limit_threads(threads: int | None) -> None:
    """Use as many threads of torch as asked for, but no more than there are."""
    import torch

    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    torch.set_num_threads(min(threads or available or 1, available or 1))

"""``ngpipe <stage>``: an experiment's config, key and paths, and the stage run on them."""

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ngpipe.artifacts import whose
from ngpipe.commands.loading import step
from ngpipe.config.systems import load_experiment
from ngpipe.errors import DeviceError
from ngpipe.ownership import claim
from ngpipe.study import sections, stages
from ngpipe.study.records import stage_called

if TYPE_CHECKING:
    import torch

_OF_RECORDINGS = ("train", "recover", "rollout", "score")


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
    claim(directory / output for output in stages.outputs_of(name))
    module, stage = step(name), stage_called(name)
    more = {option: getattr(options, option) for option in stage.options}
    if stage.computes or options.device != "auto":
        device = _device(options.device)
        more |= {"device": device} if stage.computes else {}
    if "torch" in sys.modules:
        _limit_threads(options.threads)
    module.run(*sections.taken(stage, experiment), directory, key=key, **more)


def _limit_threads(threads: int | None) -> None:
    """Use as many threads of torch as asked for, but no more than there are."""
    import torch

    available = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    torch.set_num_threads(min(threads or available or 1, available or 1))


def _device(name: str) -> "torch.device":
    """The device asked for.

    Raises:
        DeviceError: the device is unknown or absent.
    """
    import torch

    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
    except RuntimeError as error:
        raise DeviceError(f"--device {name}: expected auto, cpu, cuda or cuda:N") from error
    if device.type == "cuda" and (device.index or 0) >= torch.cuda.device_count():
        raise DeviceError(
            f"--device {name}: this machine has {torch.cuda.device_count()} CUDA devices that "
            "torch can use; use --device cpu, or install a CUDA build of torch"
        )
    if device.type not in ("cpu", "cuda"):
        raise DeviceError(f"--device {name}: expected auto, cpu, cuda or cuda:N")
    return device

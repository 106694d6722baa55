"""Speed, side by side in one run: ``make bench``. Prints a table; asserts nothing but equality."""

import argparse
import os
import time
from collections.abc import Callable
from itertools import islice
from typing import TypeVar

import numpy as np
import torch
from edgewise import edges, rate, step

from ngpipe.assembly.gradient import Trainer
from ngpipe.assembly.recording import Recording
from ngpipe.config.assembly.simulation import NeuronType, Simulation
from ngpipe.config.assembly.training import Training
from ngpipe.dynamics.assembly import assembly_drift, constants_of, type_of_neuron
from ngpipe.dynamics.integrate import blocks, euler_maruyama
from ngpipe.wiring.ensembles import weights

TOLERANCE = 1e-5
Result = TypeVar("Result")


def main() -> None:
    """Measure training and simulation at one size."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--neurons", type=int, default=1000)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--device", type=torch.device, default="cpu", help="cpu or cuda")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    print(f"{options.neurons} neurons, {named(options.device, options.threads)}\n")
    print(f"{'what':<48}{'measured':>12}  unit")
    activity, drift = simulation(options.neurons, options.device)
    training(activity, drift)


def row(what: str, value: float, unit: str) -> None:
    """One line of the table."""
    print(f"{what:<48}{value:>12.4g}  {unit}")


def named(device: torch.device, threads: int) -> str:
    """Name of the processor, in words."""
    what = f"{threads} threads, torch {torch.__version__}"
    return f"{what}, {torch.cuda.get_device_name(device)}" if device.type == "cuda" else what


def best_of(call: Callable[[], object], repeats: int) -> float:
    """Shortest of several timings [s], after one call to warm up."""
    timed(call)
    return min(timed(call)[0] for _ in range(repeats))


def timed(call: Callable[[], Result]) -> tuple[float, Result]:
    """Seconds until a call and all it has asked of a CUDA device are done, and its result."""
    wait()
    start = time.perf_counter()
    result = call()
    wait()
    return time.perf_counter() - start, result


def wait() -> None:
    """Let a CUDA device finish what it was asked."""
    if torch.cuda.is_initialized():
        torch.cuda.synchronize()


def simulation(n: int, device: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
    """Steps a second of the simulator against reading W once a step from memory or cache."""
    cfg = Simulation(n_neurons=n, types=(NeuronType(leak=1.0), NeuronType(leak=2.0)))
    coupling = torch.from_numpy(10 * weights(cfg.connectivity, n)).to(device)
    drift = assembly_drift(coupling, constants_of(cfg.types, type_of_neuron(cfg)).to(device))
    x0 = (5 * torch.randn(n, generator=torch.Generator().manual_seed(0))).to(device)
    frames = euler_maruyama(drift, x0, dt=cfg.dt)
    steps, kept = 2_000, []
    with torch.inference_mode():
        seconds = best_of(lambda: kept.append(list(islice(frames, steps))), 3)
        reading = best_of(lambda: [coupling.sum() for _ in range(100)], 5) / 100
        large = torch.ones(2**27, device=device)
        memory = best_of(large.sum, 5)
    row("simulator", steps / seconds, "steps/s")
    row("limit: W read once a step where it lies", 1 / reading, "steps/s")
    row(
        "limit: W read once a step from main memory",
        large.nbytes / memory / coupling.nbytes,
        "steps/s",
    )
    ((_, x, slope),) = blocks(iter(kept[-1]), steps, length=steps)
    return x, slope


def training(activity: torch.Tensor, drift: torch.Tensor) -> None:
    """Seconds per trained frame: dense (this project) and edge-wise, with equal outputs."""
    trainer = Trainer(Recording(activity, drift, dt=0.01, held_out=0.2), Training(steps=10_000))
    for _ in range(20):
        trainer.advance()
    dense = best_of(trainer.advance, 20) / trainer.cfg.batch_frames

    model, (x, target) = trainer.model, trainer.recording.batch(torch.tensor([100]))
    post, pre = (end.to(activity.device) for end in edges(len(x[0])))
    with torch.no_grad():
        expected, found = model(0.0, x[0]), rate(model, x[0], post, pre)
        error = float((found - expected).abs().max() / expected.abs().max())
    np.testing.assert_array_less(error, TOLERANCE)

    one_frame = (x[0], target[0], post, pre)
    slow = best_of(lambda: step(model, trainer.optimizer, *one_frame), 3)
    print()
    row("training, dense, batch of 128", dense, "s/frame")
    row("training, edge by edge, one frame", slow, "s/frame")
    row("ratio", slow / dense, "")
    row("largest difference of the outputs, relative", error, "")


if __name__ == "__main__":
    main()

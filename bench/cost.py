"""Cost against size: ``make bench-cost``. Time and memory of training as the assembly grows.

The system is that of Figure 2 with the same number of frames at every size; the simulation is not
timed. Every measurement has a process of its own, so that the peak of its memory is its own.
Writes cost.csv after every measurement, and cost.png and cost.pdf in the end.
"""

import argparse
import os
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar

import numpy as np
import pandas as pd
import torch
from matplotlib.axes import Axes
from run import best_of, named, timed

from ngpipe import store
from ngpipe.artifacts import recordings
from ngpipe.assembly.closed_form.distil import distil
from ngpipe.assembly.closed_form.solution import Solution
from ngpipe.assembly.closed_form.solve import ClosedForm
from ngpipe.assembly.gradient import Trainer, build
from ngpipe.assembly.recording import Recording
from ngpipe.config.assembly.experiment import Experiment
from ngpipe.config.assembly.training import Training
from ngpipe.config.figures import Style
from ngpipe.config.load import load
from ngpipe.figures.drawing.compose import save
from ngpipe.figures.drawing.style import new_figure, styled
from ngpipe.metrics.tidy import agreement
from ngpipe.schemas import assembly as schemas
from ngpipe.steps import simulate

EXPERIMENT = Path(__file__).parents[1] / "config" / "experiments" / "fig2.yaml"
MB = 2**20
"""Bytes, as in the manifests of stores."""
PRODUCT_SIZE = 2_000
"""Rows of the matrices whose product measures the machine."""
WARM_UP, STEPS = 5, 30
"""Optimiser steps before the measured ones, and measured."""
NONZERO = 4
"""Cubic B-splines that differ from zero at one activity."""
FIT_FROM = 500
"""Smallest size that power laws are fitted to: below, fixed costs show."""
COLUMNS = [
    "n_neurons",
    "method",
    "seconds",
    "peak_mb",
    "r2",
    "flops",
    "limit_seconds",
    "step_seconds",
    "frames_used",
    "recording_mb",
]
"""Of cost.csv; empty where a method has no such number."""

Measured = dict[str, float]
Result = TypeVar("Result")


@dataclass(frozen=True)
class Case:
    """One assembly to measure; written to other processes, so it holds no arrays."""

    experiment: Experiment
    scratch: Path
    """Directory of what one process leaves for the next."""
    threads: int
    device: torch.device

    @property
    def n_neurons(self) -> int:
        """Number of neurons."""
        return self.experiment.simulation.n_neurons

    @property
    def simulation(self) -> Path:
        """The store of the simulation."""
        return self.scratch / "simulation.zarr"

    @property
    def solution(self) -> Path:
        """Solution of the closed form."""
        return self.scratch / "solution.pt"

    @property
    def recording_mb(self) -> float:
        """Activity and rate as training holds them, float32 [MB]."""
        return 2 * 4 * self.n_neurons * self.experiment.simulation.n_frames / MB

    def begin(self, *, in_memory: bool = False) -> tuple[Recording, Training]:
        """Set the threads of this process and read what training reads, as training reads it."""
        torch.set_num_threads(self.threads)
        cfg = self.experiment.training
        read = recordings.load(self.simulation, cfg, self.device, in_memory=in_memory)
        return read, cfg


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure all sizes, smallest first, then draw."""
    options = parsed(arguments)
    options.out.mkdir(parents=True, exist_ok=True)
    rate = isolated(product_rate, options.threads, options.device)
    print(isolated(named, options.device, options.threads))
    print(f"matrix product: {rate / 1e9:.3g} GFLOP/s in float64\n")
    experiment = load(EXPERIMENT, Experiment)
    table = pd.DataFrame(columns=COLUMNS)
    for n in sorted(set(options.neurons)):
        size = {"n_neurons": n, "n_frames": options.frames}
        simulation = experiment.simulation.model_copy(update=size)
        with TemporaryDirectory(dir=options.out, prefix="scratch") as scratch:
            scaled = experiment.model_copy(update={"simulation": simulation})
            case = Case(scaled, Path(scratch), options.threads, options.device)
            isolated(simulated, case)
            for name, measure in METHODS.items():
                measured = shortest(measure, case, options)
                table.loc[len(table)] = row(case, name, measured, rate)
                store.write_csv(table, options.out / "cost.csv", listed=False)
                seconds, peak = measured["seconds"], measured["peak_mb"]
                print(f"{n:>6}  {name:<24}{seconds:>10.4g} s{peak:>10.0f} MB", flush=True)
    draw(table, options.out)


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    add = parser.add_argument
    add("--neurons", type=positive, nargs="+", default=[250, 500, 1000, 2000, 4000])
    add("--frames", type=positive, default=100_000, help="frames recorded, at every size")
    add("--repeats", type=positive, default=1, help="runs of each, of which the shortest counts")
    add("--threads", type=positive, default=len(os.sched_getaffinity(0)))
    add("--device", type=torch.device, default="cpu", help="cpu or cuda; memory is that of it")
    add(
        "--out",
        type=Path,
        default=Path("benchmarks/cost"),
        help="directory of the table and figure",
    )
    return parser.parse_args(arguments)


def positive(text: str) -> int:
    """A whole number above zero."""
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} must be at least 1")
    return number


def isolated(call: Callable[..., Result], *arguments: object) -> Result:
    """Result of a call in a fresh process.

    On Linux the peak memory of a process starts at that of its parent, so the parent must stay
    small: it imports the same libraries as its children, and holds no recording.
    """
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(call, *arguments).result()


def shortest(
    measure: Callable[[Case], Measured], case: Case, options: argparse.Namespace
) -> Measured:
    """The shortest of several runs, each in a process of its own."""
    try:
        runs = [isolated(measure, case) for _ in range(options.repeats)]
    except BrokenProcessPool as error:
        raise SystemExit(
            f"{measure.__name__} at {case.n_neurons} neurons was killed, most likely for want of "
            f"memory (the recording alone takes {case.recording_mb:.0f} MB); lower --frames, or "
            f"leave the size out of --neurons. {options.out / 'cost.csv'} holds what was measured "
            "before"
        ) from error
    return min(runs, key=lambda run: run["seconds"])


def row(case: Case, method: str, measured: Measured, rate: float) -> list[object]:
    """One row of the table, in the order of :data:`COLUMNS`."""
    known = {
        "n_neurons": case.n_neurons,
        "method": method,
        "recording_mb": case.recording_mb,
        "limit_seconds": measured.get("flops", np.nan) / rate,
        **measured,
    }
    return [known.get(column, np.nan) for column in COLUMNS]


def product_rate(threads: int, device: torch.device) -> float:
    """Operations per second of a matrix product in float64, the fastest that arithmetic goes."""
    torch.set_num_threads(threads)
    a = torch.rand(PRODUCT_SIZE, PRODUCT_SIZE, dtype=torch.float64, device=device)
    return 2 * PRODUCT_SIZE**3 / best_of(lambda: a @ a, 5)


def simulated(case: Case) -> None:
    """Write the store that all methods learn from."""
    torch.set_num_threads(case.threads)
    simulate.run(case.experiment.simulation, case.simulation.parent, key="cost", device=case.device)


def closed_form(case: Case) -> Measured:
    """W, phi_i, psi and types from the recording; R2 of W over its off-diagonal entries."""
    recording, cfg = case.begin()
    seconds, solution = timed(ClosedForm(recording, cfg, unheard).solve)
    peak = peak_mb(case.device)
    torch.save(solution, case.solution)
    used = solution.diagnosis.n_frames
    return {
        "seconds": seconds,
        "peak_mb": peak,
        "r2": r2(solution, case.simulation),
        "flops": flops(case.n_neurons, used, cfg.closed_form.fine_basis),
        "frames_used": used,
    }


def distillation(case: Case) -> Measured:
    """The networks fitted to what the closed form found, which makes it a trained model."""
    recording, cfg = case.begin()
    solution = torch.load(case.solution, weights_only=False)
    generator = torch.Generator().manual_seed(cfg.seed)
    model = build(recording, cfg, generator, recording.scales()).to(case.device)
    cfg = cfg.closed_form
    seconds, _ = timed(
        lambda: distil(model, solution, recording, cfg, generator=generator, report=unheard)
    )
    return {"seconds": seconds, "peak_mb": peak_mb(case.device)}


def gradient(case: Case) -> Measured:
    """Gradient training extrapolated: mean time of measured steps, times the steps of the config.

    A whitening, measured once, is added for the start and for each of
    ``training.whitening_updates``. Held-out evaluations are left out of the time, not of the peak.
    """
    recording, cfg = case.begin(in_memory=True)
    trainer = Trainer(recording, cfg.model_copy(update={"solver": "gradient"}))

    def steps(n: int) -> None:
        for _ in range(n):
            trainer.advance()

    steps(WARM_UP)
    trainer.adopt()
    step = timed(lambda: steps(STEPS))[0] / STEPS
    whitening = (1 + len(cfg.whitening_updates)) * timed(trainer.whiten)[0]
    return {
        "seconds": cfg.steps * step + whitening,
        "peak_mb": peak_mb(case.device),
        "step_seconds": step,
    }


METHODS: dict[str, Callable[[Case], Measured]] = {
    "closed_form": closed_form,
    "distillation": distillation,
    "gradient_extrapolated": gradient,
}
LOOKS = {
    "closed_form": {"label": "closed form", "marker": "o", "color": "#c1272d"},
    "distillation": {"label": "distillation", "marker": "^", "color": "#e08a3c"},
    "gradient_extrapolated": {"label": "gradient", "marker": "s", "color": "#3b6ea5"},
}


def peak_mb(device: torch.device) -> float:
    """Most memory that was used: by the process, or on a CUDA device by its tensors [MB]."""
    if device.type == "cuda":
        return torch.cuda.max_memory_allocated(device) / MB
    return store.peak_memory_mb()


def unheard(stage: str, **reached: int | float | torch.Tensor) -> None:
    """Discard the reports of the solver."""


def r2(solution: Solution, simulation: Path) -> float:
    """Squared correlation of found and true weights between different neurons."""
    truth = store.read(simulation, schemas.SIMULATION)["connectivity"].values
    between = ~np.eye(len(truth), dtype=bool)
    return float(agreement(solution.scaled().cpu().numpy()[between], truth[between])["r2"])


def flops(n_neurons: int, n_frames: int, basis: int) -> float:
    r"""Additions, multiplications, divisions and roots that the last solve cannot avoid.

    With N neurons, T frames used and K splines of each phi_i, of which 4 differ from zero at any
    activity,

    .. math:: T N (N + 1) + 2 T N^2 (4 + 1) + N (N + 1) (2 N + 1) / 6 + N (K + 2) N^2

    is for the Gram matrix, half of which is enough; the products of what is sent with the splines
    and the target of every row; the Cholesky factor; and the triangular solves of each row, for its
    splines, its target and, back again, its weights. Left out are smaller terms, standard errors,
    and all of the search for psi before: whatever finds W in this way, in float64, takes longer
    than this over the rate of a matrix product.
    """
    n, t = n_neurons, n_frames
    gram = t * n * (n + 1)
    crossed = 2 * t * n**2 * (NONZERO + 1)
    factor = n * (n + 1) * (2 * n + 1) / 6
    return gram + crossed + factor + n * (basis + 2) * n**2


def power_law(size: np.ndarray, cost: np.ndarray) -> tuple[float, float]:
    """Factor and exponent of ``cost = factor * size**exponent``, least squares of logarithms."""
    exponent, log_factor = np.polyfit(np.log(size), np.log(cost), 1)
    return float(np.exp(log_factor)), float(exponent)


def draw(table: pd.DataFrame, out: Path) -> None:
    """Time and memory against size, on logarithmic axes: cost.png and cost.pdf."""
    style = Style()
    limit = table.dropna(subset="limit_seconds")
    n = limit["n_neurons"]
    with styled(style):
        figure = new_figure(7.0, 3.9)
        left, right = figure.subplots(1, 2)
        panel(
            left, table, "seconds", {"gradient_extrapolated": f", extrapolated from {STEPS} steps"}
        )
        left.plot(
            n, limit["limit_seconds"], "k--", label="limit of arithmetic: W once psi is known"
        )
        left.set(title="$\\bf{a}$  time", ylabel="time [s]")
        panel(right, table, "peak_mb", {})
        right.plot(n, limit["recording_mb"], ":", color="0.4", label="the recording, part of each")
        right.set(title="$\\bf{b}$  memory", ylabel="peak memory [MB]")
        for ax in (left, right):
            ax.legend(loc="upper left", bbox_to_anchor=(0, -0.2), borderaxespad=0)
        for suffix in ("png", "pdf"):
            save(figure, out / f"cost.{suffix}", style)


def panel(ax: Axes, table: pd.DataFrame, column: str, notes: dict[str, str]) -> None:
    """One cost of all methods: points, and power laws over the sizes from :data:`FIT_FROM`."""
    for method, rows in table.groupby("method", sort=False):
        look = LOOKS[method]
        label = look["label"] + notes.get(method, "")
        large = rows[rows["n_neurons"] >= FIT_FROM]
        if len(large) > 1:
            n = large["n_neurons"].to_numpy(float)
            factor, exponent = power_law(n, large[column].to_numpy(float))
            ax.plot(n, factor * n**exponent, color=look["color"])
            label += f": $N^{{{exponent:.2f}}}$"
        points = {**look, "label": label, "linestyle": "none", "markersize": 4}
        ax.plot(rows["n_neurons"], rows[column], **points)
    ax.set(xscale="log", yscale="log", xlabel="number of neurons N")
    sizes = sorted(table["n_neurons"].unique())
    ax.set_xticks(sizes, labels=[str(n) for n in sizes])
    ax.xaxis.minorticks_off()


if __name__ == "__main__":
    main()

"""Impulse responses of a circuit beside the same in loops: ``python bench/circuit.py``.

The loops are those of the seed's formulas: a graph of networkx, one matrix product a step. All give
the same numbers, which is asserted. Prints a table; ``--out`` measures cost against size too.
"""

import argparse
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import networkx as nx
import numpy as np
import pandas as pd
import torch
import xarray as xr
from run import best_of, named, timed

from ngpipe import store
from ngpipe.circuit.blocks import NOTEBOOK, Circuit, circuit, notebook_draw
from ngpipe.circuit.impulse import Impulse
from ngpipe.circuit.measures import measure
from ngpipe.circuit.rates import Neurons
from ngpipe.circuit.respond import ENGINES, respond
from ngpipe.config.figures import Style
from ngpipe.figures.drawing.compose import save
from ngpipe.figures.drawing.style import new_figure, styled

TOLERANCE = 1e-9


@dataclass(frozen=True)
class Sizes:
    """Sizes of the cases."""

    excitatory: int
    impulse: Impulse
    sweep: dict[str, tuple[float, ...]]
    """Values of each parameter of the sweep."""
    seeds: int
    repeats: int
    sizes: tuple[int, ...]
    """Excitatory neurons of the curve of cost."""


FULL = Sizes(
    328,
    Impulse(),
    {
        "probability": (0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.5),
        "gain": (0.001, 0.0015, 0.002, 0.0025, 0.003, 0.0035, 0.004),
        "balance": (0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0),
        "inhibitory": (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4),
    },
    10,
    3,
    (85, 170, 340, 850, 1700, 3400),
)
SMALL = Sizes(
    20, Impulse(start=0.1, end=0.5, duration=1.0), {"gain": (0.002, 0.02)}, 2, 1, (10, 20)
)


def main() -> None:
    """Measure every case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--device", type=torch.device, default="cpu", help="cpu or cuda")
    parser.add_argument("--small", action="store_true", help="tiny sizes: does it run")
    parser.add_argument("--no-loops", action="store_true", help="only ngpipe")
    parser.add_argument("--out", type=Path, help="folder for cost against size, csv and png")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    sizes = SMALL if options.small else FULL
    print(f"{named(options.device, options.threads)}; seconds\n")
    print(f"{'case':<44}{'loops':>9}{'linear':>9}{'step':>9}{'reach':>11}")
    network(sizes, loops=not options.no_loops)
    run(sizes, options.device, loops=not options.no_loops)
    sweep(sizes, options.device)
    print(f"\npeak memory of all {store.peak_memory_mb() / 1024:.1f} GB")
    if options.out:
        cost(sizes, options.device, options.out)


def row(what: str, loops: float, linear: float, step: float, reach: str) -> None:
    """One line of the table; what was not measured is nan."""
    print(f"{what:<44}{loops:>9.3g}{linear:>9.3g}{step:>9.3g}{reach:>11}", flush=True)


def network(sizes: Sizes, *, loops: bool) -> None:
    """Draw and balance one network; no engine plays a part."""
    ee = synapses(sizes.excitatory)
    slow = np.nan
    if loops:
        slow, expected = timed(lambda: loop_weights(ee, 0))
        np.testing.assert_array_equal(made(ee, 0).weights, expected)
    fast = best_of(lambda: made(ee, 0), sizes.repeats)
    row(f"network of {NOTEBOOK.n_neurons(len(ee))} neurons", slow, fast, np.nan, "")


def run(sizes: Sizes, device: torch.device, *, loops: bool) -> None:
    """One run, and ten together."""
    ee = synapses(sizes.excitatory)
    one = made(ee, 0)
    slow = np.nan
    if loops:
        slow, expected = timed(lambda: loop_rates(one, sizes.impulse))
        for engine in ENGINES:
            found = respond_all([one], engine, sizes, device).excitatory[0]
            np.testing.assert_allclose(found, expected, rtol=0, atol=TOLERANCE * expected.max())
    what = f"run of {len(one)} neurons, {sizes.impulse.n_steps} steps"
    row(what, slow, *(timing([one], e, sizes, device) for e in ENGINES), "0.1, 0.35")
    ten = [made(ee, seed) for seed in range(10)]
    row("  one of ten together", slow, *(timing(ten, e, sizes, device) / 10 for e in ENGINES), "")


def sweep(sizes: Sizes, device: torch.device) -> None:
    """Every value, seed and side of a comparison; the linear engine, which steps where it must."""
    count = 2 * sizes.seeds * sum(map(len, sizes.sweep.values()))
    ee = synapses(sizes.excitatory)

    def circuits() -> Iterator[Circuit]:
        for name, values in sizes.sweep.items():
            for value in values:
                parameters = replace(NOTEBOOK, **{name: value})
                for seed in range(sizes.seeds):
                    part = notebook_draw(len(ee), parameters, seed)
                    yield circuit(ee, part, parameters)
                    yield circuit(permuted(ee, seed), part, parameters)

    def measured() -> tuple[xr.Dataset, pd.DataFrame]:
        found = respond_all(circuits(), "linear", sizes, device)
        return found, measure(found, sizes.impulse)

    seconds, (found, table) = timed(measured)
    row(f"sweep of {count} runs", np.nan, seconds, np.nan, "60")
    stepped = int(np.isfinite(found.stepped_from).sum())
    print(f"  of these {stepped} stepped in part; {table['status'].value_counts().to_dict()}")


def cost(sizes: Sizes, device: torch.device, out: Path) -> None:
    """Seconds a run against neurons, as a table and a figure."""
    rows = []
    for n_exc in sizes.sizes:
        one = made(synapses(n_exc), 0, gain=NOTEBOOK.gain * FULL.excitatory / n_exc)
        for engine in ENGINES:
            seconds, _ = timed(lambda one=one, e=engine: respond_all([one], e, sizes, device))
            rows.append({"n_neurons": len(one), "engine": engine, "seconds": seconds})
            print(f"  {len(one)} neurons, {engine}: {seconds:.3g} s", flush=True)
    out.mkdir(parents=True, exist_ok=True)
    table = pd.DataFrame(rows)
    table.to_csv(out / "circuit.csv", index=False)
    style = Style()
    with styled(style):
        ax = new_figure(3.5, 3.0).subplots()
        for engine, some in table.groupby("engine"):
            ax.loglog(some["n_neurons"], some["seconds"], "o-", label=engine)
        ax.set(xlabel="neurons", ylabel=f"seconds a run of {sizes.impulse.n_steps} steps")
        ax.legend()
        save(ax.figure, out / "circuit.png", style)


def synapses(n: int) -> np.ndarray:
    """Summed synapse sizes [post, pre]: log-normal, 17 connections a neuron, summed weight 1.1."""
    rng = np.random.default_rng(0)
    sizes = rng.lognormal(8.6, 0.9, (n, n)) * (rng.random((n, n)) < min(0.9, 17 / n))
    np.fill_diagonal(sizes, 0)
    return np.rint(sizes * 1.1 * NOTEBOOK.ee_unit / sizes.sum(axis=1).mean())


def permuted(sizes: np.ndarray, seed: int) -> np.ndarray:
    """The same entries in other places."""
    return np.random.default_rng(seed).permutation(sizes.ravel()).reshape(sizes.shape)


def made(ee: np.ndarray, seed: int, **changed: float) -> Circuit:
    """A network of the notebook."""
    parameters = replace(NOTEBOOK, **changed)
    return circuit(ee, notebook_draw(len(ee), parameters, seed), parameters)


def respond_all(
    circuits: Iterable[Circuit], engine: str, sizes: Sizes, device: torch.device
) -> xr.Dataset:
    """Responses to the pulse."""
    return respond(circuits, sizes.impulse, Neurons(), engine=engine, device=device)


def timing(circuits: list[Circuit], engine: str, sizes: Sizes, device: torch.device) -> float:
    """Seconds of all runs together."""
    return best_of(lambda: respond_all(circuits, engine, sizes, device), sizes.repeats)


def loop_weights(ee: np.ndarray, seed: int) -> np.ndarray:
    """The network with a graph of networkx, balanced row by row."""
    n_exc, n = len(ee), int(len(ee) / (1 - 0.15))
    graph = nx.erdos_renyi_graph(n, 0.25, seed=seed, directed=True)
    weights = 0.002 * 10 ** np.abs(np.random.RandomState(seed).normal(1, 0.2, (n, n)))
    weights *= nx.to_numpy_array(graph)
    weights[:n_exc, :n_exc] = ee / 150_000
    weights[:, n_exc:] *= -1
    excitation, inhibition = weights[:, :n_exc].sum(axis=1), weights[:, n_exc:].sum(axis=1)
    for i in range(n):
        if inhibition[i]:
            weights[i, n_exc:] *= excitation[i] / -inhibition[i] * 0.15
    return weights


def loop_rates(one: Circuit, impulse: Impulse) -> np.ndarray:
    """Mean excitatory activity; one product and one column of a matrix a step."""
    steps, h = impulse.n_steps, impulse.dt / Neurons().tau
    stimulus = np.zeros((len(one), steps))
    stimulus[: one.n_exc, impulse.first : impulse.last + 1] = impulse.strength
    r = np.zeros((len(one), steps))
    for k in range(steps - 1):
        received = np.matmul(one.weights, r[:, k]) + stimulus[:, k]
        r[:, k + 1] = r[:, k] + h * (np.maximum(0, received) - r[:, k])
    return r[: one.n_exc].mean(axis=0)


if __name__ == "__main__":
    main()

"""Other methods on the same recording, side by side: ``make bench``. Needs pysindy.

All are given dx/dt = -leak x + W tanh(x) + noise: its activity, and either the exact rate or none,
so that differences take its place. Sparse identification of nonlinear dynamics (pysindy) writes the
rate of each neuron as a sparse sum of given functions of all neurons; ridge regression on tanh(x)
and x is what one writes in five lines. Both are told the functions, which ngpipe finds. Every
measurement has a process of its own, so that the peak of its memory is its own. Writes
neighbours.csv after every one, and neighbours.png in the end.
"""

import argparse
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd
import torch
from cost import isolated, positive
from edgewise import edges, step
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from threadpoolctl import threadpool_limits

from ngpipe import recover, store
from ngpipe.assembly.gradient import build
from ngpipe.assembly.recording import Recording
from ngpipe.config.assembly.training import Training
from ngpipe.config.figures import Style
from ngpipe.figures.drawing.compose import save
from ngpipe.figures.drawing.style import new_figure, styled
from ngpipe.figures.drawing.ticks import log_axis

Function = Callable[[np.ndarray], np.ndarray]
Solver = Callable[[np.ndarray, np.ndarray | None], np.ndarray]
"""W[post, pre] from activity ``(time, neuron)`` and its exact rate; None: from differences."""
Reading = Callable[[np.ndarray, np.ndarray], np.ndarray]
Measured = dict[str, float]
DT = 0.05
RATES = ("exact", "differences")
THRESHOLDS = (0.0, 0.01, 0.03, 0.1, 0.3)
"""Weights below are set to zero; held-out frames choose one."""
RIDGES = 10.0 ** np.arange(-12, 0)
"""Relative to the mean diagonal of the Gram matrix; held-out frames choose one."""
HELD_OUT = 0.05
FEW = 30
"""Most neurons for which pysindy is given powers, 121 functions: its library grows with N."""
STEPS = 20
"""Measured steps of training edge by edge, of one frame each, after one to warm up."""
BEST = 1e-9
"""Smallest 1 - R2 that is drawn; the table has no more digits."""


@dataclass(frozen=True)
class Case:
    """One recording to measure; written to other processes, so it holds no arrays."""

    file: Path
    rate: str
    """One of :data:`RATES`."""
    threads: int

    def begin(self) -> tuple[np.ndarray, np.ndarray | None, np.ndarray]:
        """Set the threads of this process; returns activity, its exact rate if given, and W."""
        torch.set_num_threads(self.threads)
        threadpool_limits(self.threads)
        with np.load(self.file) as held:
            drift = held["rate"] if self.rate == "exact" else None
            return held["activity"], drift, held["weights"]


def main(arguments: Sequence[str] | None = None) -> None:
    """Measure all sizes, smallest first; then print the table and draw."""
    options = parsed(arguments)
    print(f"{options.frames:,} frames of {DT:g}, {options.threads} threads, {installed()}\n")
    options.out.mkdir(parents=True, exist_ok=True)
    rows: list[dict[str, object]] = []
    for n in sorted(set(options.neurons)):
        with TemporaryDirectory(dir=options.out, prefix="scratch") as scratch:
            file = Path(scratch) / "recording.npz"
            isolated(simulated, file, n, options.frames, options.noise)
            for method, rate in product(METHODS, RATES):
                if method == "powers" and n > FEW:
                    continue
                found = isolated(measured, Case(file, rate, options.threads), method)
                rows.append({"n_neurons": n, "method": method, "rate": rate, **found})
                table = pd.DataFrame(rows)
                store.write_csv(table, options.out / "neighbours.csv", listed=False)
                print(line(rows[-1]), flush=True)
    print("", *written(table), sep="\n")
    draw(table, options.out / "neighbours.png")


def line(row: Mapping[str, Any]) -> str:
    """One measurement, as it is printed when it is done."""
    what = f"{row['n_neurons']:>5}  {row['method']:<14}{row['rate']:<12}"
    cost = f"{row['cpu_seconds']:>10.4g} s CPU{row['peak_mb']:>7.0f} MB"
    return f"{what}{row['r2']:>10.7f}{row['slope']:>8.3f}{cost}"


def parsed(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options of the command line."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("--neurons", type=positive, nargs="+", default=[30, 100, 300])
    add("--frames", type=positive, default=20_000, help="frames recorded, at every size")
    add("--noise", type=float, default=0.5, help="process noise per sqrt(time)")
    add("--threads", type=positive, default=1)
    add(
        "--out",
        type=Path,
        default=Path("benchmarks/neighbours"),
        help="directory of the table and figure",
    )
    return parser.parse_args(arguments)


def installed() -> str:
    """The version of pysindy, in words."""
    try:
        return f"pysindy {version('pysindy')}"
    except PackageNotFoundError as error:
        raise SystemExit("pysindy is not installed; `make bench` installs it") from error


def simulated(file: Path, n: int, n_frames: int, noise: float) -> None:
    """Write activity of dx/dt = -leak x + W tanh(x) + noise, its exact rate, and W."""
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(n, n)) * 3 / np.sqrt(n)
    np.fill_diagonal(weights, 0)
    leak = np.where(np.arange(n) < n // 2, 0.5, 1.5)
    x, rows = 2 * rng.normal(size=n), []
    for _ in range(n_frames):
        drift = -leak * x + weights @ np.tanh(x)
        rows.append((x, drift))
        x = x + DT * drift + noise * np.sqrt(DT) * rng.normal(size=n)
    activity, rate = (np.array(one) for one in zip(*rows, strict=True))
    np.savez(file, activity=activity, rate=rate, weights=weights)


def measured(case: Case, method: str) -> Measured:
    """Time, memory, and R2 and slope of W, of one method; of a training that is not run, no W."""
    x, drift, weights = case.begin()
    found = METHODS[method](x, drift, weights)
    return {**found, "peak_mb": store.peak_memory_mb()}


def solved(solve: Solver) -> Callable[..., Measured]:
    """The measurement of a method that finds W."""

    def measure(x: np.ndarray, drift: np.ndarray | None, weights: np.ndarray) -> Measured:
        start, busy = time.perf_counter(), time.process_time()
        found = solve(x, drift)
        busy, seconds = time.process_time() - busy, time.perf_counter() - start
        r2, slope = agreement(found, weights)
        return {"seconds": seconds, "cpu_seconds": busy, "r2": r2, "slope": slope}

    return measure


def ours(x: np.ndarray, drift: np.ndarray | None) -> np.ndarray:
    """W of the closed form, which finds phi, psi, types and standard errors as well."""
    with warnings.catch_warnings(action="ignore"):
        return recover(x, DT, drift=drift, training={"solver": "closed_form"}).connectivity.values


def ridge(x: np.ndarray, drift: np.ndarray | None) -> np.ndarray:
    """W of dense ridge regression on tanh(x), x and a constant."""
    seen, target, train = split(x, drift)
    design = np.hstack([np.tanh(seen), seen, np.ones((len(seen), 1))])
    gram, moment = design[:train].T @ design[:train], design[:train].T @ target[:train]
    unit = np.eye(len(gram)) * np.trace(gram) / len(gram)
    fits = (np.linalg.solve(gram + strength * unit, moment) for strength in RIDGES)
    best = min(fits, key=lambda fit: np.square(design[train:] @ fit - target[train:]).mean())
    return best[: x.shape[1]].T


def sindy(functions: Sequence[Function], names: Sequence[str], read: Reading) -> Solver:
    """W by pysindy, from a library of functions of each neuron and a constant.

    Args:
        functions: of activity.
        names: of the functions.
        read: W from the coefficients ``(post, function, pre)`` and activity.
    """

    def solve(x: np.ndarray, drift: np.ndarray | None) -> np.ndarray:
        seen, target, train = split(x, drift)
        least, best = np.inf, None
        for threshold in THRESHOLDS:
            model = model_of(functions, names, threshold)
            with warnings.catch_warnings(action="ignore"):
                model.fit(seen[:train], t=DT, x_dot=target[:train])
            missed = np.square(model.predict(seen[train:]) - target[train:]).mean()
            if missed >= least:
                break  # a fit takes minutes, and larger thresholds lose more
            least, best = missed, model.coefficients()[:, 1:]
        return read(best.reshape(x.shape[1], len(functions), x.shape[1]), x)

    return solve


def model_of(functions: Sequence[Function], names: Sequence[str], threshold: float):  # noqa: ANN201
    """A model of pysindy, which is imported here: its memory is not that of other methods."""
    import pysindy

    library = pysindy.CustomLibrary(
        library_functions=list(functions),
        function_names=[lambda x, name=name: f"{name}({x})" for name in names],
        include_bias=True,
    )
    # The ridge is too small to bias anything, and a fit anew without it takes several times longer.
    optimizer = pysindy.STLSQ(threshold=threshold, alpha=1e-9, unbias=False)
    return pysindy.SINDy(optimizer=optimizer, feature_library=library)


def split(x: np.ndarray, drift: np.ndarray | None) -> tuple[np.ndarray, np.ndarray, int]:
    """Activity, the rate to predict, and how many frames are for training: the others choose."""
    target = np.diff(x, axis=0) / DT if drift is None else drift
    return x[: len(target)], target, int(len(target) * (1 - HELD_OUT))


def of_tanh(coefficients: np.ndarray, _x: np.ndarray) -> np.ndarray:
    """Coefficients of the second function."""
    return coefficients[:, 1]


def of_powers(coefficients: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Half the change of what a sender adds, over the central 99 % of its activity: as ngpipe."""
    low, high = np.quantile(x, [0.005, 0.995], axis=0)
    change = np.array([power(high) - power(low) for power in POWERS]) / 2
    return np.einsum("ifj,fj->ij", coefficients, change)


def agreement(found: np.ndarray, weights: np.ndarray) -> tuple[float, float]:
    """R2 and slope of the weights between neurons."""
    off = ~np.eye(len(weights), dtype=bool)
    r = np.corrcoef(found[off], weights[off])[0, 1]
    return r**2, float(np.polyfit(weights[off], found[off], 1)[0])


def edge_by_edge(x: np.ndarray, drift: np.ndarray | None, _weights: np.ndarray) -> Measured:
    """Training edge by edge, extrapolated: measured steps of a frame, times all frames of it.

    These are as many as gradient training sees. The memory is that of one frame a step.
    """
    activity = torch.from_numpy(x).float()
    rate = None if drift is None else torch.from_numpy(drift).float()
    recording, cfg = Recording(activity, rate, dt=DT, held_out=HELD_OUT), Training()
    model = build(recording, cfg, torch.Generator().manual_seed(0), recording.scales())
    optimizer, ends = torch.optim.Adam(model.parameters()), edges(x.shape[1])
    batch, target = recording.batch(torch.arange(STEPS + 1))
    step(model, optimizer, batch[0], target[0], *ends)
    start, busy = time.perf_counter(), time.process_time()
    for k in range(1, STEPS + 1):
        step(model, optimizer, batch[k], target[k], *ends)
    busy, seconds = time.process_time() - busy, time.perf_counter() - start
    times = cfg.steps * cfg.batch_frames / STEPS
    return {"seconds": times * seconds, "cpu_seconds": times * busy, "r2": np.nan, "slope": np.nan}


POWERS = (lambda x: x, lambda x: x**2, lambda x: x**3, lambda x: x**5)
KNOWN = (lambda x: x, lambda x: np.tanh(x))  # pysindy counts arguments, which np.tanh hides
METHODS: dict[str, Callable[..., Measured]] = {
    "ridge": solved(ridge),
    "ngpipe": solved(ours),
    "edge_by_edge": edge_by_edge,
    "powers": solved(sindy(POWERS, ["1", "2", "3", "5"], of_powers)),
    "known": solved(sindy(KNOWN, ["x", "tanh"], of_tanh)),
}
"""Each takes activity, its exact rate or None, and W, which is only compared with."""
LOOKS = {
    "ngpipe": ("ngpipe, closed form", "o", "#c1272d", 6.5),
    "ridge": ("ridge regression, given x and tanh(x)", "v", "#4d8f4d", 5.0),
    "known": ("pysindy, given x and tanh(x)", "s", "#3b6ea5", 3.5),
    "powers": ("pysindy, powers 1, 2, 3 and 5 of x", "D", "#8a6bb0", 4.0),
    "edge_by_edge": ("training edge by edge, extrapolated", "^", "#e08a3c", 4.5),
}
"""Label, marker, colour and size of points: where they coincide, the smaller is drawn last."""


def written(table: pd.DataFrame) -> list[str]:
    """The table of the docs, line by line: R2, slope and CPU time from either rate, and memory."""
    lines = [
        "| neurons | method | exact rate: R² of W | time | differences: R² of W | slope | time "
        "| memory |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for n, sized in table.groupby("n_neurons"):
        for k, method in enumerate(m for m in LOOKS if m in set(sized["method"])):
            by_rate = sized[sized["method"] == method].set_index("rate")
            exact, rough = (by_rate.loc[rate] for rate in RATES)
            cells = [
                str(n) if k == 0 else "",
                LOOKS[method][0],
                decimal(exact["r2"], 7),
                duration(exact["cpu_seconds"]),
                decimal(rough["r2"], 4),
                decimal(rough["slope"], 3),
                duration(rough["cpu_seconds"]),
                f"{by_rate['peak_mb'].max() / 1024:.2f} GB",
            ]
            lines.append("| " + " | ".join(cells) + " |")
    return lines


def decimal(value: float, digits: int) -> str:
    """A number, or a dash if there is none."""
    return "–" if np.isnan(value) else f"{value:.{digits}f}"


def duration(seconds: float) -> str:
    """A time in its own unit, three digits."""
    for unit, name in ((3600, "h"), (60, "min")):
        if seconds >= 2 * unit:
            return f"{seconds / unit:.3g} {name}"
    return f"{seconds:.2g} s"


def draw(table: pd.DataFrame, path: Path) -> None:
    """CPU time, memory and 1 - R2 of W against size."""
    style = Style()
    drawn = table.assign(missed=(1 - table["r2"]).clip(lower=BEST), gb=table["peak_mb"] / 1024)
    titles = {
        "cpu_seconds": ("time", "CPU time [s]"),
        "gb": ("memory", "peak memory [GB]"),
        "missed": ("error of W", "1 - $R^2$ of W"),
    }
    with styled(style):
        figure = new_figure(7.2, 3.3)
        figure.get_layout_engine().set(wspace=0.08)
        axes = figure.subplots(1, 3)
        for ax, letter, (column, (title, label)) in zip(axes, "abc", titles.items(), strict=True):
            panel(ax, drawn, column)
            ax.set(title=f"$\\bf{{{letter}}}$  {title}", ylabel=label)
        known = set(table["method"])
        handles = [points(method, linestyle="none") for method in LOOKS if method in known]
        either = {"color": "0.3", "marker": "o", "markersize": 4}
        handles += [
            Line2D([], [], linestyle="-", label="exact rate", **either),
            Line2D([], [], linestyle="--", markerfacecolor="white", label="differences", **either),
        ]
        figure.legend(handles=handles, loc="outside lower center", ncols=3)
        save(figure, path, style)


def points(method: str, **line: object) -> Line2D:
    """How a method is drawn, as a legend shows it."""
    label, marker, color, size = LOOKS[method]
    return Line2D([], [], label=label, marker=marker, color=color, markersize=size, **line)


def panel(ax: Axes, table: pd.DataFrame, column: str) -> None:
    """One quantity of all methods: filled points from the exact rate, open ones of differences."""
    for method, rate in product(LOOKS, RATES):
        rows = table[(table["method"] == method) & (table["rate"] == rate)].dropna(subset=column)
        drawn = points(method, linestyle="-" if rate == "exact" else "--")
        if rate != "exact":
            drawn.set_markerfacecolor("white")
        drawn.set_data(rows["n_neurons"], rows[column])
        ax.add_line(drawn)
    ax.autoscale()
    ax.set(xscale="log", xlabel="number of neurons N")
    if column == "gb":
        ax.set_ylim(bottom=0)
    else:
        log_axis(ax, "y")
    sizes = sorted(table["n_neurons"].unique())
    ax.set_xticks(sizes, labels=[str(n) for n in sizes])
    ax.xaxis.minorticks_off()


if __name__ == "__main__":
    main()

"""Another method on the same recording, side by side: ``make bench``. Needs pysindy.

Sparse identification of nonlinear dynamics (pysindy) writes the rate of each neuron as a sparse sum
of given functions of all neurons. The recording is small, as its library grows with the neurons.
"""

import argparse
import time
import warnings
from collections.abc import Callable, Sequence

import numpy as np
import pysindy
import torch

from ngpipe import recover

Function = Callable[[np.ndarray], np.ndarray]
Method = Callable[[np.ndarray, np.ndarray | None], np.ndarray]
Reading = Callable[[np.ndarray, np.ndarray], np.ndarray]
DT = 0.05
THRESHOLDS = (0.0, 0.01, 0.03, 0.1, 0.3)
"""Weights below are set to zero; held-out frames choose one."""
HELD_OUT = 0.05


def main() -> None:
    """Recover W from the exact rate and from differences, by each method."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--neurons", type=int, default=30)
    parser.add_argument("--frames", type=int, default=10_000)
    parser.add_argument("--noise", type=float, default=0.5, help="process noise per sqrt(time)")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    x, rate, weights = simulation(options.neurons, options.frames, options.noise)
    size = f"{options.neurons} neurons, {options.frames:,} frames of {DT:g}"
    print(f"{size}, pysindy {pysindy.__version__}\n")
    print(f"{'rate':<14}{'method':<34}{'R2 of W':>10}{'slope':>9}{'time':>10}")
    for name, drift in {"exact": rate, "differences": None}.items():
        for method, solve in METHODS.items():
            start = time.perf_counter()
            found = solve(x, drift)
            seconds = time.perf_counter() - start
            r2, slope = agreement(found, weights)
            print(f"{name:<14}{method:<34}{r2:>10.5f}{slope:>9.3f}{seconds:>8.1f} s")


def simulation(n: int, n_frames: int, noise: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Activity of dx/dt = -leak x + W tanh(x) + noise, its exact rate, and W."""
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
    return activity, rate, weights


def ours(x: np.ndarray, drift: np.ndarray | None) -> np.ndarray:
    """W of the closed form, which finds phi, psi and types as well."""
    with warnings.catch_warnings(action="ignore"):
        return recover(x, DT, drift=drift, training={"solver": "closed_form"}).connectivity.values


def sindy(functions: Sequence[Function], names: Sequence[str], read: Reading) -> Method:
    """W by pysindy, from a library of functions of each neuron and a constant.

    Args:
        functions: of activity.
        names: of the functions.
        read: W from the coefficients ``(post, function, pre)`` and activity.
    """
    library = pysindy.CustomLibrary(
        library_functions=list(functions),
        function_names=[lambda x, name=name: f"{name}({x})" for name in names],
        include_bias=True,
    )

    def solve(x: np.ndarray, drift: np.ndarray | None) -> np.ndarray:
        target = np.diff(x, axis=0) / DT if drift is None else drift
        seen, train = x[: len(target)], int(len(target) * (1 - HELD_OUT))
        fits = []
        for threshold in THRESHOLDS:
            optimizer = pysindy.STLSQ(threshold=threshold, alpha=1e-9)
            model = pysindy.SINDy(optimizer=optimizer, feature_library=library)
            with warnings.catch_warnings(action="ignore"):
                model.fit(seen[:train], t=DT, x_dot=target[:train])
            missed = np.square(model.predict(seen[train:]) - target[train:]).mean()
            fits.append((missed, model.coefficients()))
        best = min(fits, key=lambda fit: fit[0])[1][:, 1:]
        return read(best.reshape(x.shape[1], len(functions), x.shape[1]), x)

    return solve


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


POWERS = (lambda x: x, lambda x: x**2, lambda x: x**3, lambda x: x**5)
KNOWN = (lambda x: x, lambda x: np.tanh(x))  # pysindy counts arguments, which np.tanh hides
METHODS: dict[str, Method] = {
    "ngpipe": ours,
    "pysindy, given x and tanh(x)": sindy(KNOWN, ["x", "tanh"], of_tanh),
    "pysindy, powers 1, 2, 3, 5 of x": sindy(POWERS, ["1", "2", "3", "5"], of_powers),
}

if __name__ == "__main__":
    main()

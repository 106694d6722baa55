"""A deconvolution library beside our inversion of an indicator: ``make bench``. Needs oasis-deconv.

OASIS (Friedrich, Zhou & Paninski 2017, PLoS Comput. Biol. 13:e1005423) finds the non-negative drive
of a leaky integrator, sparse by default. Ours inverts the integrator exactly, and smooths. Both get
the same signal, and its true decay.
"""

import argparse
import time
from collections.abc import Callable

import numpy as np
from oasis.functions import deconvolve

from ngpipe.acquisition.rate_estimates import at_one_interval
from ngpipe.config.assembly.observation import Rates, SavitzkyGolay

FRAME, DECAY = 1 / 30, 0.4
"""[s]."""
WINDOW, ORDER = 13, 2
KNOWN = {"tau_d": DECAY, "framerate": 1 / FRAME}
Signal = np.ndarray
Method = Callable[[Signal, float], Signal]


def main() -> None:
    """Recover two kinds of activity from a noisy indicator by each method."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--neurons", type=int, default=30)
    parser.add_argument("--frames", type=int, default=18_000)
    parser.add_argument("--noise", type=float, default=0.03, help="share of the signal's spread")
    options = parser.parse_args()
    size = f"{options.neurons} neurons, {options.frames:,} frames, noise {options.noise:g}"
    print(f"{size}\n\n{'activity':<10}{'method':<36}{'R2':>8}{'error':>8}{'time':>10}")
    for name, drawn in {"rates": rates, "spikes": spikes}.items():
        activity = drawn(options.neurons, options.frames)
        signal = indicated(activity)
        sigma = options.noise * signal.std(axis=0)
        noisy = signal + sigma * np.random.default_rng(2).normal(size=signal.shape)
        for method, solve in METHODS.items():
            start = time.process_time()
            found = np.stack(
                [solve(one, float(s)) for one, s in zip(noisy.T, sigma, strict=True)], axis=1
            )
            seconds = time.process_time() - start
            r2, error = agreement(found, activity)
            print(f"{name:<10}{method:<36}{r2:>8.3f}{error:>8.3f}{seconds:>8.2f} s")


def rates(n: int, n_frames: int) -> Signal:
    """Activity of dx/dt = -x + W tanh(x) + noise, in units of tau = 0.5 s, made positive."""
    rng, fine = np.random.default_rng(0), 5
    step = FRAME / 0.5 / fine
    weights = 3 * rng.normal(size=(n, n)) / np.sqrt(n)
    x, found = rng.normal(size=n), []
    for k in range(n_frames * fine):
        if k % fine == 0:
            found.append(x)
        x = x + step * (-x + weights @ np.tanh(x)) + 0.5 * step**0.5 * rng.normal(size=n)
    activity = np.array(found)
    return activity - activity.min(axis=0)


def spikes(n: int, n_frames: int) -> Signal:
    """Single events at random, one a second."""
    rng = np.random.default_rng(0)
    return rng.poisson(FRAME, size=(n_frames, n)).astype(float)


def indicated(activity: Signal) -> Signal:
    """What an indicator makes of it, of unit gain and without noise."""
    kept, found = np.exp(-FRAME / DECAY), np.zeros_like(activity)
    for t in range(len(activity) - 1):
        found[t + 1] = kept * found[t] + (1 - kept) * activity[t]
    return found


def inverted(signal: Signal, _sigma: float) -> Signal:
    """Exact inversion."""
    return _filtered(None, signal)


def smoothed(signal: Signal, _sigma: float) -> Signal:
    """The same, and local polynomials."""
    return _filtered(SavitzkyGolay(window=WINDOW, order=ORDER), signal)


def _filtered(rates: Rates | None, signal: Signal) -> Signal:
    chosen = at_one_interval(FRAME, rates, [DECAY]).state
    return chosen.applied(signal[:, None], [range(len(signal))])[:, 0]


def sparse(signal: Signal, sigma: float) -> Signal:
    """OASIS with its default penalty, and the noise as it is."""
    return _drive(deconvolve(signal, **KNOWN, sn=sigma, b=0.0, penalty=1).s)


def non_negative(signal: Signal, _sigma: float) -> Signal:
    """OASIS without a penalty: the drive is at least 0."""
    return _drive(deconvolve(signal, **KNOWN, penalty=None).s)


def _drive(events: Signal) -> Signal:
    """Activity of the frame before each event, in its own unit."""
    return np.append(events[1:], np.nan) / (1 - np.exp(-FRAME / DECAY))


def agreement(found: Signal, activity: Signal) -> tuple[float, float]:
    """R2, and root mean square error over the spread of activity; means over neurons."""
    r2, error = [], []
    for one, true in zip(found.T, activity.T, strict=True):
        known = np.isfinite(one)
        r2.append(np.corrcoef(one[known], true[known])[0, 1] ** 2)
        error.append(np.sqrt(np.mean((one - true)[known] ** 2)) / true.std())
    return float(np.mean(r2)), float(np.mean(error))


METHODS: dict[str, Method] = {
    "exact inversion": inverted,
    f"exact, polynomials of {WINDOW} frames": smoothed,
    "OASIS, sparse": sparse,
    "OASIS, non-negative": non_negative,
}

if __name__ == "__main__":
    main()

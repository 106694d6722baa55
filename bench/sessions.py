"""Recovery from sessions that each see some of the neurons, beside a published method.

The setting is that of arXiv 2603.18497 (Simeon 2026) as far as paper and code state it:

    x(t + 1) = W tanh(x(t)) + u(t),    50 sessions of 1000 frames after 333 of warm-up

W: uniform in [0, 1] on a random graph that is just strongly connected, scaled down to a spectral
radius of 1 at most. A third of the neurons has a drive that nobody knows: a chaotic reservoir, and
a bounded random function of the state that changes from step to step; another third, drawn anew
for every session, has normal noise of standard deviation 1. Every session sees other neurons, drawn
at random. Initial activity is uniform in [-5, 5]. The drive is ours; the paper's differs in detail.

The error is the Frobenius norm of W - W_hat over N, the median over networks. The published
estimator is rebuilt here for comparison on the same data: covariances of x pair by pair, W from
their pseudo-inverse, negative weights and the diagonal zero.

    python bench/sessions.py --networks 5 --out benchmarks/sessions
"""

import argparse
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from ngpipe.assembly.closed_form.solution import Solution
from ngpipe.assembly.closed_form.solve import ClosedForm
from ngpipe.assembly.gauge import visited_ends
from ngpipe.assembly.recording import Recording
from ngpipe.assembly.sessions import Sessions
from ngpipe.config.assembly.training import Training

SESSIONS, RESERVOIR, HIDDEN = 50, 100, 8
CONFIG = Training(
    solver="closed_form", target="finite_difference", held_out=0.05, held_out_as="blocks"
)


def strongly_connected(graph: np.ndarray) -> bool:
    """True if every neuron reaches every other."""
    reach = graph | np.eye(len(graph), dtype=bool)
    for _ in range(len(graph).bit_length()):
        reach = (reach.astype(int) @ reach.astype(int)) > 0
    return bool(reach.all())


def network(n: int, rng: np.random.Generator) -> np.ndarray:
    """W, not negative, of a sparse strongly connected graph."""
    density, step = 0.0, 0.001
    graph = np.zeros((n, n), dtype=bool)
    while not strongly_connected(graph):
        density, step = min(density + step, 1.0), 1.1 * step
        graph = rng.random((n, n)) < density
        np.fill_diagonal(graph, False)
    weights = graph * rng.random((n, n))
    return weights / max(1.0, abs(np.linalg.eigvals(weights)).max())


def reservoir(n: int, n_frames: int, rng: np.random.Generator) -> np.ndarray:
    """Slow chaotic signals of unit variance, ``(frame, signal)``."""
    density, gain, dt = 0.1, 1.3, 0.1
    weights = rng.normal(size=(RESERVOIR, RESERVOIR)) * gain / np.sqrt(density * RESERVOIR)
    weights *= rng.random(weights.shape) < density
    x, found = 0.1 * rng.normal(size=RESERVOIR), []
    for _ in range(n_frames):
        x = x + dt * (-x + weights @ np.tanh(x))
        found.append(x[:n])
    signals = np.array(found)
    return (signals - signals.mean(0)) / signals.std(0)


def normalised(x: np.ndarray) -> np.ndarray:
    """The same with a root mean square of 1."""
    return x / np.sqrt(np.mean(x**2) + 1e-12)


def session(weights: np.ndarray, n_frames: int, rng: np.random.Generator) -> np.ndarray:
    """Activity of all neurons in one session, ``(frame, neuron)``."""
    n, third, warm_up = len(weights), int(0.33 * len(weights)), n_frames // 3
    stimulated = rng.choice(n, third, replace=False)
    drive = reservoir(third, n_frames + warm_up, rng)
    layers = [rng.normal(size=(HIDDEN, k)) / np.sqrt(k) for k in (n, HIDDEN, HIDDEN)]
    last = rng.normal(size=(third, HIDDEN)) / np.sqrt(HIDDEN)
    x, found = rng.uniform(-5, 5, n), []
    for t in range(n_frames + warm_up):
        found.append(x)
        state = np.roll(normalised(x), t)
        for layer in layers:
            state = np.abs(normalised(layer @ state))
        x = weights @ np.tanh(x)
        x[:third] += np.tanh(last @ state) + drive[t]
        x[stimulated] += rng.normal(size=third)
    return np.array(found[warm_up:])


def published(activity: list[np.ndarray], seen: np.ndarray) -> np.ndarray:
    """W from lagged and zero-lag covariances, pair by pair over the sessions that saw both."""
    n = seen.shape[1]
    now, ahead, count = (np.zeros((n, n)) for _ in range(3))
    for x, mine in zip(activity, seen, strict=True):
        both = np.outer(mine, mine)
        now += both * (x[:-1].T @ x[:-1]) / (len(x) - 1)
        ahead += both * (x[1:].T @ x[:-1]) / (len(x) - 1)
        count += both
    count = np.maximum(count, 1)
    found = np.maximum((ahead / count) @ np.linalg.pinv(now / count), 0)
    np.fill_diagonal(found, 0)
    return found


def recording(activity: list[np.ndarray], seen: np.ndarray) -> Recording:
    """The sessions one after the other, NaN where a neuron is not seen."""
    x = torch.from_numpy(np.concatenate(activity).astype("float32"))
    length = len(activity[0])
    of_frame = torch.arange(len(x)) // length
    mask = torch.from_numpy(seen)
    return Recording(
        x.masked_fill(~mask[of_frame], torch.nan),
        None,
        dt=1.0,
        held_out=CONFIG.held_out,
        in_blocks=True,
        stretches=tuple(range(start, start + length) for start in range(0, len(x), length)),
        sessions=Sessions(of_frame, mask),
    )


def in_gauge(solution: Solution, found: Recording) -> np.ndarray:
    """W with psi scaled to rise by as much as tanh does over the visited range."""
    x = found.values(found.activity[found.training_sample(2_000)])
    low, high = visited_ends(x)[:, 1:].double().mean(1)
    ends = torch.stack([low, high])
    learned = solution.transfers[0].curves(ends)[0].diff()
    return (solution.weights * learned / torch.tanh(ends).diff()).numpy()


def error(found: np.ndarray, truth: np.ndarray) -> float:
    """Frobenius norm of the difference over N."""
    return float(np.linalg.norm(found - truth) / len(truth))


def measured(n: int, n_frames: int, share: float, seed: int) -> dict[str, float]:
    """Errors of one network."""
    rng = np.random.default_rng(seed)
    truth = network(n, rng)
    activity = [session(truth, n_frames, rng) for _ in range(SESSIONS)]
    seen = np.zeros((SESSIONS, n), dtype=bool)
    for mine in seen:
        mine[rng.choice(n, int(share * n), replace=False)] = True
    made = recording(activity, seen)
    solution = ClosedForm(made, CONFIG, lambda stage, **reached: None).solve()
    ours = in_gauge(solution, made)
    return {
        "random": error(rng.random((n, n)), truth),
        "published method": error(published(activity, seen), truth),
        "ours": error(ours, truth),
        "ours, not negative": error(np.maximum(ours, 0), truth),
        "expected R2": float(solution.diagnosis.at_most) if solution.diagnosis else np.nan,
        "pairs never seen": float((made.pairs_seen() == 0).sum() / 2),
    }


def main() -> None:
    """Write ``sessions.csv`` after every network, and print medians."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--neurons", type=int, default=30)
    parser.add_argument("--frames", type=int, default=1000, help="of a session")
    parser.add_argument("--seen", type=float, nargs="+", default=[1.0, 0.66, 0.5, 0.33])
    parser.add_argument("--networks", type=int, default=5)
    parser.add_argument("--out", type=Path, default=Path("benchmarks/sessions"))
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    rows = []
    for share in args.seen:
        for seed in range(args.networks):
            found = measured(args.neurons, args.frames, share, seed)
            rows.append({"neurons": args.neurons, "seen": share, "seed": seed, **found})
            pd.DataFrame(rows).to_csv(args.out / "sessions.csv", index=False)
        here = pd.DataFrame(rows).query("seen == @share").median(numeric_only=True)
        print(here.drop("seed").round(4).to_string(), flush=True)


if __name__ == "__main__":
    main()

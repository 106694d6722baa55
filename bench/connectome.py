"""Connectome networks beside their formulas written as loops: ``python bench/connectome.py``.

The loops are those of the formulas of 2.9.5: a product of a COO matrix a layer, one divisive edge
and one target after another. Both give the same numbers, which is asserted. Prints a table.
"""

import argparse
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
import torch
from run import best_of, named
from scipy import sparse
from torch import Tensor

from ngpipe import store
from ngpipe.connectome import (
    MultilayeredNetwork,
    TargetActivation,
    activation_maximisation,
    train_model,
)
from ngpipe.wiring.container import Connectome
from ngpipe.wiring.paths.effective import effective_connectivity
from ngpipe.wiring.sources.generated import generated
from ngpipe.wiring.sources.named import optic_lobe

PRESETS = ("2.9.5", "mended")
TOLERANCE = 1e-5
SLOPE, THRESHOLD = 5.0, 0.01


@dataclass(frozen=True)
class Sizes:
    """Sizes of the cases."""

    neurons: int
    synapses: int
    layers: int
    batch: int
    edges: int
    fitted_neurons: int
    fitted_synapses: int
    rows: int
    samples: int
    repeats: int
    lobe: int | None
    """Radius of the optic lobe; None: a small random connectome."""
    lobe_layers: int


FULL = Sizes(20_000, 1_000_000, 10, 8, 5_000, 1_000, 20_000, 2_000, 100, 3, 15, 50)
SMALL = Sizes(60, 400, 3, 2, 20, 40, 200, 12, 3, 1, None, 4)


def main() -> None:
    """Measure every case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    parser.add_argument("--device", type=torch.device, default="cpu", help="of ngpipe: cpu or cuda")
    parser.add_argument("--small", action="store_true", help="tiny sizes: does it run")
    parser.add_argument("--no-loops", action="store_true", help="only ngpipe")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    sizes = SMALL if options.small else FULL
    print(f"{named(options.device, options.threads)}; seconds\n")
    print(f"{'case':<44}{'loops':>9}{'2.9.5':>9}{'mended':>9}{'reach':>9}")
    for case in (forward, backward, division, fitting, search, lobe, effective):
        what, reach, loops, ngpipe = case(sizes, options.device)
        slow = np.nan
        if not options.no_loops:
            start = time.perf_counter()
            expected = loops()
            slow = time.perf_counter() - start
            _compare(what, expected, ngpipe("2.9.5"))
        times = [best_of(partial(ngpipe, preset), sizes.repeats) for preset in PRESETS]
        print(f"{what:<44}{slow:>9.3g}{times[0]:>9.3g}{times[1]:>9.3g}{reach:>9.3g}", flush=True)
    print(f"\npeak memory of all {store.peak_memory_mb() / 1024:.1f} GB")


Case = tuple[str, float, Callable[[], np.ndarray], Callable[[str], np.ndarray]]


def forward(sizes: Sizes, device: torch.device) -> Case:
    """A forward pass of a large network."""
    W, u = _large(sizes)
    networks = _presets(W, sizes.layers, device)
    what = f"forward, {sizes.neurons} neurons, {sizes.layers} layers"

    def ngpipe(preset: str) -> np.ndarray:
        with torch.no_grad():
            return networks[preset](u.to(device)).cpu().numpy()

    def loops() -> np.ndarray:
        with torch.no_grad():
            return loop_forward(_coo(W), u, sizes.layers).numpy()

    return what, 0.06, loops, ngpipe


def backward(sizes: Sizes, device: torch.device) -> Case:
    """The same and the gradient of all activities by the input."""
    W, u = _large(sizes)
    networks = _presets(W, sizes.layers, device)

    def gradient(run: Callable[[Tensor], Tensor], device: str | torch.device) -> np.ndarray:
        inputs = u.to(device, copy=True).requires_grad_(True)
        run(inputs).sum().backward()
        return (inputs.grad / inputs.grad.abs().max()).cpu().numpy()

    return (
        "forward and backward",
        0.18,
        lambda: gradient(lambda v: loop_forward(_coo(W), v, sizes.layers), "cpu"),
        lambda preset: gradient(networks[preset], device),
    )


def division(sizes: Sizes, device: torch.device) -> Case:
    """Slopes under divisive inhibition, one sample."""
    rng = np.random.default_rng(1)
    n = sizes.edges // 2
    post, pre = rng.integers(0, n, (2, sizes.edges))
    W = sparse.csr_array((-rng.random(sizes.edges) / 4, (post, n + pre)), shape=(2 * n, 2 * n))
    groups = {i: "post" if i < n else "pre" for i in range(2 * n)}
    networks = _presets(
        W, 1, device, idx_to_group=groups, divisive_normalization={"pre": ["post"]}, sensory=[0]
    )
    x = torch.rand(2 * n, 1, generator=torch.Generator().manual_seed(0))
    coo = W.tocoo()

    def loops() -> np.ndarray:
        slopes = torch.full((2 * n, 1), SLOPE)
        for i, j, w in zip(coo.row, coo.col, coo.data, strict=True):
            slopes[i] = (slopes[i] * (1 + float(w) * x[j])).clamp(min=0)
        return slopes.numpy()

    def ngpipe(preset: str) -> np.ndarray:
        with torch.no_grad():
            return networks[preset].divnorm(SLOPE, x.to(device)).cpu().numpy()

    return f"divisive inhibition, {sizes.edges} edges", 1e-3, loops, ngpipe


def fitting(sizes: Sizes, device: torch.device) -> Case:
    """Ten epochs of training."""
    layers, samples, epochs = 5, 20, 10
    W = _weights(sizes.fitted_neurons, sizes.fitted_synapses)
    rng = np.random.default_rng(2)
    u = torch.tensor(rng.random((samples, 10, layers)), dtype=torch.float32)
    groups = {i: i % 20 for i in range(sizes.fitted_neurons)}
    table = pd.DataFrame(
        {
            "batch": np.arange(sizes.rows) % samples,
            "neuron_idx": rng.integers(0, sizes.fitted_neurons, sizes.rows),
            "layer": rng.integers(0, layers, sizes.rows),
            "value": rng.random(sizes.rows),
        }
    )

    def ngpipe(preset: str) -> np.ndarray:
        network = MultilayeredNetwork(
            W, range(10), layers, idx_to_group=groups, preset=preset, device=device
        )
        history = train_model(network, u.to(device), table, num_epochs=epochs)[1]
        return np.array(history["mse_loss"])

    def loops() -> np.ndarray:
        split = train_model(
            MultilayeredNetwork(W, range(10), layers, idx_to_group=groups), u, table, num_epochs=0
        )
        return _loop_fit(_coo(W), split[2], split[4], layers, epochs)

    return f"training, {sizes.rows} targets, {epochs} epochs", 0.1, loops, ngpipe


def search(sizes: Sizes, device: torch.device) -> Case:
    """Stimuli for many samples of a large network, one target each."""
    layers, iterations = 5, 20
    W = _weights(sizes.neurons, sizes.synapses)
    networks = _presets(W, layers, device)
    rng = np.random.default_rng(3)
    table = pd.DataFrame(
        {
            "batch": range(sizes.samples),
            "layer": layers - 1,
            "neuron": rng.integers(0, sizes.neurons, sizes.samples),
            "value": 0.5,
        }
    )
    shape = (sizes.samples, _sensors(sizes.neurons), layers)
    start = torch.tensor(rng.random(shape), dtype=torch.float32)

    def ngpipe(preset: str) -> np.ndarray:
        return activation_maximisation(
            networks[preset],
            TargetActivation(table),
            start.to(device),
            iterations,
            early_stopping=False,
        )[0]

    what = f"search, {sizes.samples} samples, {iterations} iterations"
    return what, 8.0, lambda: _loop_search(_coo(W), start, table, layers, iterations), ngpipe


def lobe(sizes: Sizes, device: torch.device) -> Case:
    """A forward pass of the optic lobe; of a small random connectome where sizes are small."""
    if sizes.lobe is None:
        connectome = generated(np.random.default_rng(0), radius=1).signed().normalised()
    else:
        connectome = optic_lobe(radius=sizes.lobe).normalised()
    networks = _presets(connectome.weights, sizes.lobe_layers, device)
    sensors = _sensors(len(connectome))
    u = torch.rand(1, sensors, sizes.lobe_layers, generator=torch.Generator().manual_seed(0))

    def ngpipe(preset: str) -> np.ndarray:
        with torch.no_grad():
            return networks[preset](u.to(device)).cpu().numpy()

    def loops() -> np.ndarray:
        with torch.no_grad():
            return loop_forward(_coo(connectome.weights), u, sizes.lobe_layers).numpy()

    what = f"optic lobe, {connectome.n_edges} edges, {sizes.lobe_layers} layers"
    return what, 3.0, loops, ngpipe


def effective(sizes: Sizes, device: torch.device) -> Case:
    """Signed effective connectivity among single neurons, three hops; the presets play no part."""
    W = _weights(sizes.neurons, sizes.synapses)
    n, few = sizes.neurons, _sensors(sizes.neurons)
    connectome = Connectome(W, pd.DataFrame({"id": range(n)}))
    sources, targets = np.arange(few), np.arange(n - few, n)

    def loops() -> np.ndarray:
        excites, inhibits = W.astype(np.float64).maximum(0), (-W.astype(np.float64)).maximum(0)
        e, i, found = np.eye(n, few), np.zeros((n, few)), []
        for _ in range(3):
            e, i = excites @ e + inhibits @ i, excites @ i + inhibits @ e
            found.append([e[targets], i[targets]])
        return np.array(found)

    def ngpipe(preset: str) -> np.ndarray:
        found = effective_connectivity(connectome, sources, targets, 3, by="id")
        return np.stack([found["excitatory"], found["inhibitory"]], axis=1)

    return f"effective connectivity, {few} to {few} neurons, 3 hops", 0.1, loops, ngpipe


def loop_forward(
    W: Tensor,
    u: Tensor,
    layers: int,
    slope: Tensor | float = SLOPE,
    bias: Tensor | float = 0.0,
) -> Tensor:
    """The seed's forward pass: a sparse product a layer, every layer transposed and kept."""
    u = torch.where(u >= THRESHOLD, u, 0.0)
    u = torch.where(u > 1, 1.0, u)
    sensors = torch.arange(u.shape[1])
    x = torch.zeros(W.shape[0], len(u)).index_add(0, sensors, u[:, :, 0].T)
    kept = []
    for layer in range(layers):
        z = slope * torch.sparse.mm(W, x) + bias
        x = torch.tanh(torch.where(z >= THRESHOLD, z, 0.0))
        if layer < layers - 1:
            x = x.clone()
            x[sensors] = x[sensors] + u[:, :, layer + 1].T
            x = torch.where(x > 1, 1.0, x)
        kept.append(x.T)
    return torch.stack(kept, dim=-1)


def _loop_fit(W: Tensor, u: Tensor, table: pd.DataFrame, layers: int, epochs: int) -> np.ndarray:
    """Training: the error of one row of the table after another."""
    of = torch.arange(W.shape[0]) % 20
    slope = torch.full((20,), SLOPE, requires_grad=True)
    raw = torch.zeros(20, requires_grad=True)
    optimizer = torch.optim.Adam([slope, raw], lr=0.01)
    errors = []
    for _ in range(epochs):
        out = loop_forward(W, u, layers, slope[of][:, None], raw.abs()[of][:, None])
        loss = torch.zeros(())
        for sample in table["batch"].unique():
            rows = table[table["batch"] == sample]
            off = torch.zeros(())
            for _, row in rows.iterrows():
                reached = out[sample, int(row["neuron_idx"]), int(row["layer"])]
                off = off + (reached - row["value"]).abs()
            loss = loss + off / len(rows)
        loss = loss / table["batch"].nunique()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        errors.append(loss.item())
    return np.array(errors)


def _loop_search(
    W: Tensor, start: Tensor, table: pd.DataFrame, layers: int, iterations: int
) -> np.ndarray:
    """Stimulus search: the table filtered for one sample after another, in every iteration."""
    u = start.clone().requires_grad_(True)
    optimizer = torch.optim.Adam([u], lr=0.1)
    for _ in range(iterations):
        out = loop_forward(W, u, layers)
        losses = []
        for sample in range(len(u)):
            rows = table[table["batch"] == sample]
            off = torch.zeros(())
            for _, row in rows.iterrows():
                reached = out[sample, int(row["neuron"]), int(row["layer"])]
                off = off + (reached - row["value"]) ** 2
            losses.append(off / len(rows))
        penalties = sum(x.abs().sum() + torch.linalg.vector_norm(x) for x in (u, out))
        optimizer.zero_grad()
        (torch.stack(losses).mean() + 0.01 * penalties).backward()
        optimizer.step()
    return torch.tanh(torch.where(u >= THRESHOLD, u, 0.0)).detach().numpy()


def _compare(what: str, slow: np.ndarray, fast: np.ndarray) -> None:
    off = float(np.abs(slow - fast).max())
    # Rounding may carry single values across the jump at the threshold.
    share = float((np.abs(slow - fast) > TOLERANCE).mean())
    if share > 1e-3:
        raise AssertionError(f"{what}: loops and ngpipe differ by up to {off:g}")


def _large(sizes: Sizes) -> tuple[sparse.csr_array, Tensor]:
    generator = torch.Generator().manual_seed(0)
    shape = (sizes.batch, _sensors(sizes.neurons), sizes.layers)
    return _weights(sizes.neurons, sizes.synapses), torch.rand(shape, generator=generator)


def _sensors(n: int) -> int:
    return max(n // 100, 5)


def _weights(n: int, synapses: int) -> sparse.csr_array:
    """Random signed weights; what a neuron receives sums to 1 in magnitude."""
    rng = np.random.default_rng(0)
    W = sparse.random_array((n, n), density=synapses / n**2, rng=rng, format="csr")
    W.data *= rng.choice([-1, 1, 1], size=W.nnz)
    total = np.maximum(abs(W).sum(axis=1), 1e-9)
    return sparse.csr_array(W.multiply(1 / total[:, None]), dtype=np.float32)


def _presets(
    W: sparse.csr_array, layers: int, device: torch.device, **options: object
) -> dict[str, MultilayeredNetwork]:
    sensory = options.pop("sensory", range(_sensors(W.shape[0])))
    return {
        preset: MultilayeredNetwork(W, sensory, layers, preset=preset, device=device, **options)
        for preset in PRESETS
    }


def _coo(W: sparse.csr_array) -> Tensor:
    coo = W.tocoo()
    indices = torch.from_numpy(np.stack([coo.row, coo.col]).astype(np.int64))
    return torch.sparse_coo_tensor(
        indices, torch.from_numpy(coo.data).float(), coo.shape, check_invariants=False
    )


if __name__ == "__main__":
    main()

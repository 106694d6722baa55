"""What two versions of connectome_interpreter gave for one recipe, and that recipe for ngpipe.

``recorded/2.9.5.json`` was made with the release 2.9.5 from PyPI, ``recorded/head.json`` with the
repository at commit 695c776; Python 3.11, torch 2.13, CPU. The script that made them built, with
the functions below, the network of :data:`W` (as a ``csr_matrix``) with the options named, ran the
case of the same name with that package, and wrote its numbers, rounded to 1e-7. Weights and inputs
are sines, so that they need no random generator. 2.9.5 divides no batch of two, so that what
divides was given one sample.
"""

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from scipy.sparse import csr_matrix

N, LAYERS, SENSORS = 8, 4, [5, 0, 3]
GROUPS = {i: "abc"[i % 3] for i in range(N)}
SIGNS = {i: -1 if i % 3 == 1 else 1 for i in range(N)}
GROUPED = {
    "idx_to_group": GROUPS,
    "slope_dict": {"a": 3.0, "b": 6.0, "zz": 1.0},
    "bias_dict": {"a": 0.05, "b": -0.1},
}
DIVIDED = GROUPED | {
    "divisive_normalization": {"b": ["a", "c"]},
    "divisive_strength": {"b": 1.5},
}
FOUND = pd.DataFrame(
    [(0, 3, 4, 0.7), (0, 1, 6, 0.2), (1, 2, 7, 0.9)],
    columns=["batch", "layer", "neuron", "value"],
)
"""Targets of searches."""


def _weights() -> np.ndarray:
    post, pre = np.meshgrid(np.arange(N), np.arange(N), indexing="ij")
    W = np.round(0.4 * np.sin(1.0 + 3.7 * post + 1.3 * pre * pre), 3)
    W[(post + 2 * pre) % 3 == 0] = 0
    divides = (pre % 3 == 1) & (post % 3 != 1)
    W[divides] = -np.abs(W[divides])
    return W


def _waves(shape, offset, size, of_sample, of_sensor, of_time) -> np.ndarray:
    b, s, t = np.meshgrid(*(np.arange(n) for n in shape), indexing="ij")
    return np.round(0.5 + size * np.sin(offset + of_sample * b + of_sensor * s + of_time * t), 3)


W = _weights()
U = _waves((2, 3, LAYERS), 0.5, 1.1, 2.1, 1.7, 2.9)
"""From below 0 to above 1."""
U_WITHIN = np.clip(U, 0.05, 0.9)
U_TRAINED = _waves((5, 3, LAYERS), 0.3, 0.4, 1.1, 1.9, 0.7)


def fitted(layered: bool) -> pd.DataFrame:
    """Targets of a fit; without layers, means over all of them."""
    rows = [
        (k, n, 1 + n % 3, round(0.5 + 0.4 * math.sin(k + n), 3))
        for k in range(5)
        for n in (1, 4, 6)
    ]
    rows.append((2, 7, 2, 0.3))
    table = pd.DataFrame(rows, columns=["batch", "neuron_idx", "layer", "value"])
    return (
        table if layered else table.drop(columns="layer").drop_duplicates(["batch", "neuron_idx"])
    )


def sparse() -> csr_matrix:
    """W, post in the rows."""
    return csr_matrix(W)


def inprop() -> csr_matrix:
    """Magnitudes, pre in the rows."""
    return csr_matrix(np.abs(W).T)


def floats(array) -> torch.Tensor:
    """As the versions want it."""
    return torch.tensor(array, dtype=torch.float32)


def recorded(version: str) -> dict:
    """Numbers of a version by case."""
    path = Path(__file__).parent / "recorded" / f"{version}.json"
    return json.loads(path.read_text())

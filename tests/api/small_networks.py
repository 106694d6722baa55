"""Small networks under noise, whose activity visits every direction."""

from collections.abc import Sequence

import numpy as np
import xarray as xr

LABELS = [f"n{k}" for k in (5, 3, 9, 1, 7, 0, 2, 8)]
"""Names in no order."""
QUICK = {
    "solver": "closed_form",
    "held_out": 0.2,
    "closed_form": {
        "psi_basis": 16,
        "phi_basis": 8,
        "fine_basis": 16,
        "ridges": [1e-4, 1e-8],
        "distil_steps": 250,
    },
}
"""Options of a training that takes two seconds."""


def noisy_network(labels: Sequence[str], *, n_frames: int, dt: float, seed: int = 0) -> xr.Dataset:
    """Activity of dx/dt = -leak x + W tanh(x) + noise and its exact rate, with W and leak."""
    rng, n = np.random.default_rng(seed), len(labels)
    weights = rng.normal(size=(n, n)) * 3 / np.sqrt(n)
    np.fill_diagonal(weights, 0)
    leak = np.where(np.arange(n) < n // 2, 0.5, 1.5)
    x, rows = 2 * rng.normal(size=n), []
    for _ in range(n_frames):
        rate = -leak * x + weights @ np.tanh(x)
        rows.append((x, rate))
        x = x + dt * rate + 0.7 * np.sqrt(dt) * rng.normal(size=n)
    activity, drift = (np.array(one, dtype=np.float32) for one in zip(*rows, strict=True))
    return xr.Dataset(
        {
            "activity": (("time", "neuron"), activity),
            "drift": (("time", "neuron"), drift),
            "connectivity": (("post", "pre"), weights),
            "leak": ("neuron", leak),
        },
        coords={name: list(labels) for name in ("neuron", "post", "pre")},
    )

"""Config of a simulation -> ``simulation.zarr``."""

from pathlib import Path

import numpy as np
import torch
import xarray as xr

from ngpipe import store
from ngpipe.arrays import Connectivity, Drift
from ngpipe.config.simulation import Simulation
from ngpipe.dynamics import assembly
from ngpipe.dynamics.integrate import blocks, euler_maruyama
from ngpipe.steps.progress import progress
from ngpipe.wiring.ensembles import weights

CURVE_POINTS = 2_001
"""Activities at which the true functions are tabulated."""


def run(cfg: Simulation, simulation: Path, *, key: str, device: torch.device) -> None:
    """Simulate the assembly a config describes and write its store."""
    provenance = store.Provenance("simulate", key, cfg.model_dump(), str(device))
    types = assembly.type_of_neuron(cfg)
    gain = np.array([t.gain for t in cfg.types], dtype=np.float32)[types]
    coupling = torch.from_numpy(gain[:, None] * weights(cfg.connectivity, cfg.n_neurons))
    drift = _drift(cfg, coupling.to(device), types, device)

    generator = torch.Generator().manual_seed(cfg.seed)
    x0 = (cfg.initial_std * torch.randn(cfg.n_neurons, generator=generator)).to(device)
    sigma = cfg.noise / cfg.dt**0.5
    frames = euler_maruyama(drift, x0, dt=cfg.dt, noise=sigma, generator=generator)

    dataset = _describe(cfg, coupling, types, gain)
    reach = 0.0
    with (
        torch.inference_mode(),
        progress(cfg.burn_in + cfg.n_frames, "simulate", unit="frame") as bar,
        store.writing(dataset, simulation, store.SIMULATION, provenance) as out,
    ):
        length = store.block_length(cfg.n_neurons)
        for _, x, _ in blocks(frames, cfg.burn_in, length=length, first=-cfg.burn_in):
            bar.update(len(x))
        for start, x, rate in blocks(frames, cfg.n_frames, length=length):
            out.put("activity", start, x.cpu().numpy())
            out.put("drift", start, rate.cpu().numpy())
            reach = max(reach, float(x.abs().max()))
            bar.update(len(x))
        x = torch.linspace(-reach, reach, CURVE_POINTS)
        for name, curves in zip(("phi", "psi"), assembly.true_curves(cfg.types, x), strict=True):
            out.put(name, 0, curves.numpy())
        out.put("x", 0, x.numpy())


def _drift(
    cfg: Simulation, coupling: Connectivity, types: np.ndarray, device: torch.device
) -> Drift:
    constants = assembly.constants_of(cfg.types, types)
    moved = assembly.Constants(constants.leak.to(device), constants.self_excitation.to(device))
    return assembly.assembly_drift(coupling, moved)


def _describe(
    cfg: Simulation, coupling: Connectivity, types: np.ndarray, gain: np.ndarray
) -> xr.Dataset:
    """The store to be: all that is known beforehand, and room for what the simulation finds."""
    n, frames, n_types = cfg.n_neurons, cfg.n_frames, len(cfg.types)
    position = np.random.default_rng(cfg.seed).permutation(assembly.sunflower(n))
    return xr.Dataset(
        {
            "activity": (("time", "neuron"), store.empty(frames, n)),
            "drift": (("time", "neuron"), store.empty(frames, n)),
            "connectivity": (("post", "pre"), coupling.numpy()),
            "gain": (("neuron",), gain),
            "neuron_type": (("neuron",), types),
            "position": (("neuron", "axis"), position),
            "phi": (("type", "x"), store.empty(n_types, CURVE_POINTS)),
            "psi": (("type", "x"), store.empty(n_types, CURVE_POINTS)),
        },
        coords={"time": cfg.dt * np.arange(frames), "x": np.zeros(CURVE_POINTS, np.float32)},
        attrs={"dt": cfg.dt},
    )

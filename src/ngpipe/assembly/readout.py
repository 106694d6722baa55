"""Read a trained model out: connectivity, latents, types, phi* and psi* in the fixed gauge."""

import numpy as np
import torch
import xarray as xr

from ngpipe.assembly import gauge
from ngpipe.assembly.gnn import AssemblyGNN
from ngpipe.assembly.recording import Recording
from ngpipe.assembly.types import cluster, common_range
from ngpipe.config.recovery import Recovery


@torch.no_grad()
def read_out(model: AssemblyGNN, recording: Recording, cfg: Recovery) -> xr.Dataset:
    """All that was recovered, as ``store.RECOVERY`` describes it."""
    fixed = gauge.of_model(model, recording)
    visited = recording.visited(cfg.visited)
    x = torch.linspace(
        float(visited[:, 0].min()), float(visited[:, 1].max()), cfg.grid, device=visited.device
    )
    weights = model.connectivity
    phi = fixed.phi(model.phi_curves(x), weights).cpu().numpy()
    psi = fixed.psi(model.psi(x)).cpu().numpy()
    grid, bounds = x.cpu().numpy(), visited.cpu().numpy()
    low, high = common_range(bounds)
    types = cluster(phi[:, (grid >= low) & (grid <= high)].astype(np.float64), cfg)
    return xr.Dataset(
        {
            "connectivity": (("post", "pre"), fixed.connectivity(weights).cpu().numpy()),
            "latent": (("neuron", "latent"), model.latent.cpu().numpy()),
            "neuron_type": (("neuron",), types),
            "phi": (("neuron", "x"), phi),
            "psi": (("neuron", "x"), np.tile(psi, (len(phi), 1))),
            "visited": (("neuron", "bound"), bounds),
        },
        coords={"x": grid},
        attrs={"gauge": gauge.STATEMENT, "n_types": int(types.max()) + 1},
    )

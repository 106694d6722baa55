"""The same stimuli through null connectomes -> ``control.zarr``."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float

from ngpipe import schemas, store
from ngpipe.config.readouts import Control, Readout
from ngpipe.connectome.network import MultilayeredNetwork
from ngpipe.steps import network_file
from ngpipe.steps.measures import Measure, measures
from ngpipe.wiring.connectome import Connectome
from ngpipe.wiring.nulls import permuted_weights, rewired, sampled_signs

Draw = Callable[[Connectome, np.random.Generator], Connectome]


def run(
    readouts: Mapping[str, Readout],
    cfg: Control,
    directory: Path,
    *,
    key: str,
    device: torch.device,
) -> None:
    """Every readout in the real connectome and in those drawn.

    Args:
        readouts: what is followed, by name.
        cfg: which nulls, and how many.
        directory: holds connectome, network and stimuli; the store goes there.
        key: chain key.
        device: where to compute.
    """
    provenance = store.Provenance("control", key, cfg.model_dump(mode="json"), device=str(device))
    connectome, about, network = network_file.read(directory, device)
    stimuli = store.read(directory / "stimuli.zarr", schemas.STIMULI)
    followed = measures(connectome, network, stimuli, readouts)
    rng = np.random.default_rng(cfg.seed)
    values = []
    for _ in range(cfg.draws):
        drawn = _draw(cfg)(connectome, rng)
        values.append(_values(network_file.rewired(network, about, drawn), followed))
    dataset = xr.Dataset(
        {
            "value": (("readout",), _values(network, followed)),
            "null": (("draw", "readout"), np.stack(values)),
        },
        {"readout": np.array(list(readouts))},
        attrs={"model": cfg.model},
    )
    store.write(dataset, directory / "control.zarr", schemas.CONTROL, provenance)


@torch.no_grad()
def _values(
    network: MultilayeredNetwork, followed: Mapping[str, Measure]
) -> Float[np.ndarray, " readout"]:
    found = [m.objective(network.run(m.inputs)).item() for m in followed.values()]
    return np.array(found, dtype=np.float32)


def _draw(cfg: Control) -> Draw:
    """How a null is drawn."""
    match cfg.model:
        case "weights":
            return permuted_weights
        case "signs":
            return lambda c, rng: sampled_signs(c, _certainty(c, cfg.certainty), rng)
        case keep:
            return lambda c, rng: rewired(c, rng, keep=keep)


def _certainty(connectome: Connectome, certainty: float) -> Float[np.ndarray, " neuron"]:
    """Probability that each neuron excites, from the sign of all it sends."""
    sent = np.asarray(connectome.weights.sum(axis=0)).ravel()
    return np.where(sent >= 0, certainty, 1 - certainty)

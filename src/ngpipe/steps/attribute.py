"""Attribution of readouts to input, pairs of groups and silenced groups -> ``attribution.zarr``."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from jaxtyping import Bool

from ngpipe import store
from ngpipe.artifacts import network_file
from ngpipe.artifacts.progress import progress, say
from ngpipe.artifacts.readouts import ReadoutObjective, readout_objectives
from ngpipe.config.connectome.readouts import Attribution, Readout
from ngpipe.connectome.explanation.edge_attribution import (
    edges_by_group,
    integrated_edge_attribution,
)
from ngpipe.connectome.explanation.integrated import integrated_gradients
from ngpipe.connectome.explanation.lesions import ablation
from ngpipe.connectome.network import MultilayeredNetwork
from ngpipe.errors import ConfigError
from ngpipe.schemas import connectome as schemas
from ngpipe.wiring.container import Connectome


def run(
    readouts: Mapping[str, Readout],
    cfg: Attribution,
    directory: Path,
    *,
    key: str,
    device: torch.device,
) -> None:
    """Explain every readout.

    Args:
        readouts: what is followed, by name.
        cfg: how.
        directory: holds connectome, network and stimuli; the store goes there.
        key: chain key.
        device: where to compute.

    Raises:
        ConfigError: groups that do not exist.
    """
    section = {"attribution": cfg.model_dump(mode="json")}
    section["readouts"] = {name: r.model_dump(mode="json") for name, r in readouts.items()}
    provenance = store.Provenance("attribute", key, section, device=str(device))
    connectome, _, network = network_file.read(directory, device)
    stimuli = store.read(directory / "stimuli.zarr", schemas.STIMULI)["stimulus"]
    silenced = _silenced(network, cfg)
    within = _within_reach(connectome, network)
    parts = []
    with progress(len(readouts), "attribute", unit="readout") as bar:
        for name, measure in readout_objectives(connectome, network, stimuli, readouts).items():
            who = [network.groups.members(group) for group in readouts[name].groups]
            if not within[np.concatenate(who)].any():
                say(
                    f"readouts.{name}: no path of at most {network.num_layers} synapses leads from "
                    f"a sensor (network.sensors) to {list(readouts[name].groups)}, so no input "
                    "contributes to it; all attributions are 0"
                )
            # Without itself a readout is nothing: its own groups tell nothing.
            others = {g: who for g, who in silenced.items() if g not in readouts[name].groups}
            parts.append(_explained(network, measure, others, cfg).assign_coords(readout=name))
            bar.update()
    dataset = xr.concat(parts, "readout", coords="minimal", compat="override", join="outer")
    dataset = dataset.assign_coords(sensor=network.sensory_indices.cpu().numpy())
    dataset["time"].attrs |= {"units": "steps", "long_name": "time"}
    store.write(dataset, directory / "attribution.zarr", schemas.ATTRIBUTION, provenance)


def _explained(
    network: MultilayeredNetwork,
    measure: ReadoutObjective,
    silenced: Mapping[str, np.ndarray],
    cfg: Attribution,
) -> xr.Dataset:
    """One readout: its value, and what each sensor, pair of groups and group adds to it."""
    by_input = integrated_gradients(network, measure.inputs, measure.objective, steps=cfg.steps)
    by_edge = integrated_edge_attribution(
        network, measure.inputs, measure.objective, steps=cfg.steps
    )
    by_group = _without_each(network, measure, silenced)
    found = xr.Dataset(
        {
            "value": by_input["objective"],
            "attribution": by_input["attribution"],
            "delta": by_input["delta"],
            "by_groups": edges_by_group(by_edge["attribution"]),
            "silencing": by_group,
        }
    )
    return found.isel(sample=0, drop=True).astype(np.float32)


def _without_each(
    network: MultilayeredNetwork, measure: ReadoutObjective, silenced: Mapping[str, np.ndarray]
) -> xr.DataArray:
    """Loss of a readout without each group, if there are groups to silence."""
    if not silenced:
        names = np.array([], dtype=str)
        return xr.DataArray(np.zeros((1, 0)), {"group": names}, ("sample", "group"))
    return ablation(network, measure.inputs, measure.objective, silenced)


def _within_reach(
    connectome: Connectome, network: MultilayeredNetwork
) -> Bool[np.ndarray, " neuron"]:
    """Neurons that some path leads to from a sensor, of as many synapses as there are layers."""
    linked = abs(connectome.weights) > 0
    found = np.zeros(len(connectome), dtype=bool)
    state = np.zeros(len(connectome), dtype=bool)
    state[network.sensory_indices.cpu().numpy()] = True
    for _ in range(network.num_layers):
        state = state | (linked @ state)
        found |= state
    return found


def _silenced(network: MultilayeredNetwork, cfg: Attribution) -> dict[str, np.ndarray]:
    """Groups to silence; without a word all that hold no sensor."""
    names = network.groups.names
    absent = [group for group in cfg.silence if group not in names]
    if absent:
        raise ConfigError(
            f"attribution.silence: there is no group {absent}; the groups are {names[:20]}"
        )
    sensors = set(network.indices[network.sensory_indices].tolist())
    wanted = cfg.silence or [name for k, name in enumerate(names) if k not in sensors]
    return {name: network.groups.members(name) for name in wanted}

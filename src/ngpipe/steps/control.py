"""The same stimuli through null connectomes -> ``control.zarr``."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
import xarray as xr
from jaxtyping import Float

from ngpipe import store
from ngpipe.artifacts import network_file
from ngpipe.artifacts.fit_targets import fit_to_targets
from ngpipe.artifacts.progress import progress, say
from ngpipe.artifacts.readouts import ReadoutObjective, readout_objectives
from ngpipe.artifacts.stimuli import input_of
from ngpipe.config.connectome.experiment import ConnectomeExperiment
from ngpipe.connectome.network import MultilayeredNetwork
from ngpipe.connectome.optimisation.fit import Fit
from ngpipe.schemas import connectome as schemas
from ngpipe.wiring.container import Connectome
from ngpipe.wiring.nulls.table import NULLS


def run(
    experiment: ConnectomeExperiment,
    directory: Path,
    *,
    key: str,
    device: torch.device,
) -> None:
    """Every readout in the real connectome and in those drawn.

    With ``control.redo`` a null is fitted and its stimuli are searched as those of the connectome
    were, so that both were made in the same way.

    Args:
        experiment: its sections ``readouts`` and ``control``; and ``fit`` and ``stimuli``, which
            made the network and the stimuli that the directory holds.
        directory: holds connectome, network and stimuli; the store goes there.
        key: chain key.
        device: where to compute.
    """
    cfg, readouts = experiment.control, experiment.readouts
    section = experiment.model_dump(mode="json", include={"readouts", "control"})
    provenance = store.Provenance("control", key, section, device=str(device))
    connectome, about, network = network_file.read(directory, device)
    stimuli = store.read(directory / "stimuli.zarr", schemas.STIMULI)["stimulus"]
    if cfg.draws == 0:
        say("no null connectomes: control.draws is 0")
    rng = np.random.default_rng(cfg.seed)
    values = []
    with progress(cfg.draws, "nulls", unit="null") as bar:
        for _ in range(cfg.draws):
            drawn = NULLS[cfg.model].sample(
                connectome, rng, sweeps=cfg.sweeps, certainty=cfg.certainty
            )
            if cfg.redo:
                null = network_file.build(drawn, about, device)
                inputs = _anew(drawn, null, experiment)
            else:
                null, inputs = network_file.rewired(network, about, drawn), stimuli
            values.append(_values(null, readout_objectives(drawn, null, inputs, readouts)))
            bar.update()
    real = readout_objectives(connectome, network, stimuli, readouts)
    dataset = xr.Dataset(
        {
            "value": (("readout",), _values(network, real)),
            "null": (
                ("draw", "readout"),
                np.array(values, np.float32).reshape(cfg.draws, len(readouts)),
            ),
        },
        {"readout": np.array(list(readouts))},
        attrs={"model": cfg.model, "redo": int(cfg.redo)},
    )
    store.write(dataset, directory / "control.zarr", schemas.CONTROL, provenance)


def _anew(
    connectome: Connectome, network: MultilayeredNetwork, experiment: ConnectomeExperiment
) -> xr.DataArray:
    """Fit a null in place; the stimuli that the readouts need, searched in it."""
    if experiment.fit is not None:
        fit_to_targets(network, experiment.fit, experiment.fitted_to, _to_the_end)
    names = list(dict.fromkeys(r.stimulus for r in experiment.readouts.values()))
    found = [input_of(connectome, network, experiment.stimuli[name], name) for name in names]
    dims = ("run", "sensor", "time")
    return xr.DataArray(torch.stack(found).cpu().numpy(), {"run": names}, dims)


def _to_the_end(run: Fit) -> None:
    for _ in run:
        pass


@torch.no_grad()
def _values(
    network: MultilayeredNetwork, followed: Mapping[str, ReadoutObjective]
) -> Float[np.ndarray, " readout"]:
    found = [m.objective(network.run(m.inputs)).item() for m in followed.values()]
    return np.array(found, dtype=np.float32)

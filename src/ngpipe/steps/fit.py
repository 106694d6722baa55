"""The network of a connectome, fitted to given responses if there are any -> its parameters."""

from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
import xarray as xr

from ngpipe import store
from ngpipe.artifacts import network_file
from ngpipe.artifacts.checkpoint import CHECKPOINTS, Checkpoint
from ngpipe.artifacts.fit_targets import fit_to_targets
from ngpipe.artifacts.progress import progress, say
from ngpipe.config.connectome import excitability
from ngpipe.config.connectome.stimuli import Pulse
from ngpipe.connectome.network import MultilayeredNetwork
from ngpipe.connectome.optimisation.fit import Fit
from ngpipe.schemas import connectome as schemas
from ngpipe.wiring.container import Connectome

SAVED_EVERY = 50
"""Epochs from checkpoint to checkpoint."""


def run(
    network: excitability.Network,
    cfg: excitability.Fit | None,
    stimuli: Mapping[str, Pulse],
    directory: Path,
    *,
    key: str,
    device: torch.device,
    checkpoints: Path = CHECKPOINTS,
) -> None:
    """Build the network, fit it if there is something to fit it to, and write its parameters.

    Args:
        network: what the neurons do.
        cfg: what is fitted to which responses; None: nothing.
        stimuli: given inputs by name.
        directory: holds the connectome; the parameters go there.
        key: chain key; names the checkpoint.
        device: where to compute.
        checkpoints: directory of all checkpoints.

    Raises:
        ConfigError: responses to stimuli that are not given, or of groups that do not exist.
        StoreError: no table of responses.
    """
    section: dict[str, Any] = {"network": network.model_dump(mode="json")}
    section["fit"] = cfg.model_dump(mode="json") if cfg else None
    provenance = store.Provenance("fit", key, section, str(device))
    connectome = Connectome.load(directory / "connectome.zarr")
    model = network_file.build(connectome, network, device)
    if cfg is None:
        say("nothing is fitted: there is no section `fit`")
        _write(model, network, _nothing(), directory, provenance)
    else:
        with Checkpoint(checkpoints / key) as checkpoint:
            found = fit_to_targets(model, cfg, stimuli, partial(_train, checkpoint=checkpoint))
            _write(model, network, found, directory, provenance)
            checkpoint.remove()


def _write(
    model: MultilayeredNetwork,
    cfg: excitability.Network,
    found: xr.Dataset,
    directory: Path,
    provenance: store.Provenance,
) -> None:
    """Write the parameters, the losses and the responses."""
    file = directory / "network.safetensors"
    network_file.write(model, cfg, file, key=provenance.key)
    store.write(found, directory / "fit.zarr", schemas.FIT, provenance, beside=[file])


def _train(run: Fit, checkpoint: Checkpoint) -> None:
    """Train to the end, from the checkpoint if there is one."""
    if (saved := checkpoint.restored(run.network.device)) is not None:
        run.load_state(saved)
    with progress(run.plan.epochs, "fit", unit="epoch", initial=run.epoch) as bar:
        for record in run:
            loss, held_out = record["loss"], record["held_out_error"]
            bar.set_postfix_str(f"loss {loss:.3g}, held out {held_out:.3g}", refresh=False)
            bar.update()
            if checkpoint.due(run.epoch, SAVED_EVERY):
                checkpoint.save(run.state(), run.epoch)


def _nothing() -> xr.Dataset:
    """No losses and no responses."""
    none = np.zeros(0, np.float32)
    return xr.Dataset(
        {
            **{name: ("epoch", none) for name in ("loss", "held_out_loss")},
            **{name: ("target", none) for name in ("given", "fitted")},
            "held_out": ("target", np.zeros(0, bool)),
            **{name: ("target", np.zeros(0, "<U1")) for name in ("run", "group")},
        },
        {"epoch": np.zeros(0, int)},
    )

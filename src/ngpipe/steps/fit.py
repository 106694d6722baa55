"""The network of a connectome, fitted to given responses if there are any -> its parameters."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import xarray as xr

from ngpipe import schemas, store
from ngpipe.config import excitability
from ngpipe.config.stimuli import Pulse, Stimulus
from ngpipe.connectome.fit import Fit, Plan, split
from ngpipe.connectome.network import MultilayeredNetwork
from ngpipe.errors import ConfigError
from ngpipe.steps import network_file
from ngpipe.steps.checkpoint import Checkpoint
from ngpipe.steps.progress import progress
from ngpipe.steps.pulses import pulse
from ngpipe.wiring.connectome import Connectome

SAVED_EVERY = 50
"""Epochs from checkpoint to checkpoint."""
COLUMNS = ["stimulus", "group", "value"]


def run(
    network: excitability.Network,
    cfg: excitability.Fit | None,
    stimuli: Mapping[str, Stimulus],
    directory: Path,
    *,
    key: str,
    device: torch.device,
    checkpoints: Path,
) -> None:
    """Build the network, fit it if there is something to fit it to, and write its parameters.

    Args:
        network: what the neurons do.
        cfg: what is fitted to which responses; None: nothing.
        stimuli: inputs by name.
        directory: holds the connectome; the parameters go there.
        key: chain key; names the checkpoint.
        device: where to compute.
        checkpoints: directory of all checkpoints.

    Raises:
        ConfigError: responses to stimuli that are not given, or of groups that do not exist.
        StoreError: no table of responses.
    """
    section = {"network": network.model_dump(mode="json")}
    section["fit"] = cfg.model_dump(mode="json") if cfg else None
    provenance = store.Provenance("fit", key, section, str(device))
    connectome = Connectome.load(directory / "connectome.zarr")
    model = network_file.build(connectome, network, device)
    if cfg is None:
        found = _nothing()
    else:
        with Checkpoint(checkpoints / key) as checkpoint:
            found = _fitted(model, cfg, stimuli, checkpoint)
            checkpoint.remove()
    file = directory / "network.safetensors"
    network_file.write(model, network, file, key=key)
    store.write(found, directory / "fit.zarr", schemas.FIT, provenance, beside=[file])


def _fitted(
    network: MultilayeredNetwork,
    cfg: excitability.Fit,
    stimuli: Mapping[str, Stimulus],
    checkpoint: Checkpoint,
) -> xr.Dataset:
    """Fit the network in place; returns losses, and given and fitted responses."""
    given = _read(cfg, stimuli, network)
    names = list(dict.fromkeys(given["stimulus"]))
    inputs = torch.stack([pulse(network, stimuli[name], name) for name in names])
    targets = _of_neurons(given, names, network)
    held_out = [names.index(name) for name in cfg.held_out if name in names]
    generator = torch.Generator().manual_seed(cfg.seed)
    plan = Plan(
        epochs=cfg.epochs,
        learning_rate=cfg.learning_rate,
        penalty=cfg.penalty,
        train=cfg.train,
        error="squared",
        keep=cfg.keep,
    )
    run = Fit(network, *split(network, inputs, targets, held_out, generator), plan, generator)
    _train(run, checkpoint)
    history = run.result()
    return xr.Dataset(
        {
            "loss": history["loss"],
            "held_out_loss": history["held_out_error"],
            "given": ("target", given["value"].to_numpy(np.float32)),
            "fitted": ("target", _responses(network, inputs, given, names)),
            "held_out": ("target", given["stimulus"].isin(cfg.held_out).to_numpy(np.int8)),
            "run": ("target", given["stimulus"].to_numpy(str)),
            "group": ("target", given["group"].to_numpy(str)),
        },
        attrs={"kept_epoch": int(history["kept_epoch"])},
    )


def _train(run: Fit, checkpoint: Checkpoint) -> None:
    """To the end, from the checkpoint if there is one."""
    if (saved := checkpoint.restored(run.network.device)) is not None:
        run.load_state(saved)
    with progress(run.plan.epochs, "fit", unit="epoch", initial=run.epoch) as bar:
        for record in run:
            loss, held_out = record["loss"], record["held_out_error"]
            bar.set_postfix(loss=f"{loss:.3g}", held_out=f"{held_out:.3g}", refresh=False)
            bar.update()
            if checkpoint.due(run.epoch, SAVED_EVERY):
                checkpoint.save(run.state(), run.epoch)


def _read(
    cfg: excitability.Fit, stimuli: Mapping[str, Stimulus], network: MultilayeredNetwork
) -> pd.DataFrame:
    """The table of given responses."""
    table = store.read_csv(Path(cfg.targets))
    missing = [name for name in COLUMNS if name not in table]
    if missing or table.empty:
        raise ConfigError(
            f"{cfg.targets} has columns {list(table)} and {len(table)} rows, expected at least one "
            f"row and columns {COLUMNS}, perhaps layer"
        )
    table = table.astype({"stimulus": str, "group": str})
    pulses = [name for name, stimulus in stimuli.items() if isinstance(stimulus, Pulse)]
    known = {"stimulus": ("given stimuli", pulses), "group": ("groups", network.groups.names)}
    for column, (kind, names) in known.items():
        absent = sorted(set(table[column]) - set(names))
        if absent:
            raise ConfigError(
                f"{cfg.targets}: {column} {absent} is none of the {kind} {names[:20]}; correct it"
            )
    return table


def _of_neurons(
    given: pd.DataFrame, names: list[str], network: MultilayeredNetwork
) -> pd.DataFrame:
    """A row for every neuron of a row's group: all of them are to respond alike."""
    rows = given.assign(
        batch=[names.index(name) for name in given["stimulus"]],
        neuron_idx=[network.groups.members(group) for group in given["group"]],
    )
    columns = ["batch", "neuron_idx", "value", *(["layer"] if "layer" in given else [])]
    return rows[columns].explode("neuron_idx", ignore_index=True).astype({"neuron_idx": int})


@torch.no_grad()
def _responses(
    network: MultilayeredNetwork, inputs: torch.Tensor, given: pd.DataFrame, names: list[str]
) -> np.ndarray:
    """Mean response of every row's group, in its layer or over all."""
    activity = torch.stack(network.run(inputs)).cpu().numpy()  # (layer, neuron, stimulus)
    found = []
    for row in given.to_dict("records"):
        one = activity[:, network.groups.members(row["group"]), names.index(row["stimulus"])]
        found.append(one[int(row["layer"])].mean() if "layer" in row else one.mean())
    return np.array(found, dtype=np.float32)


def _nothing() -> xr.Dataset:
    """No losses and no responses."""
    none = np.zeros(0, np.float32)
    return xr.Dataset(
        {
            **{name: ("epoch", none) for name in ("loss", "held_out_loss")},
            **{name: ("target", none) for name in ("given", "fitted")},
            "held_out": ("target", np.zeros(0, np.int8)),
            **{name: ("target", np.zeros(0, "<U1")) for name in ("run", "group")},
        },
        {"epoch": np.zeros(0, int)},
    )

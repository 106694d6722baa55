"""Given responses: the table a section `fit` names, and a network fitted to it."""

from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import xarray as xr

from ngpipe import store
from ngpipe.artifacts.stimuli import pulse
from ngpipe.config.connectome import excitability
from ngpipe.config.connectome.stimuli import Pulse
from ngpipe.connectome.network import MultilayeredNetwork
from ngpipe.connectome.optimisation.fit import Fit, Plan, split
from ngpipe.errors import ConfigError
from ngpipe.wiring import columns

COLUMNS = ["stimulus", "group", "value"]


def fit_to_targets(
    network: MultilayeredNetwork,
    cfg: excitability.Fit,
    stimuli: Mapping[str, Pulse],
    follow: Callable[[Fit], None],
) -> xr.Dataset:
    """Fit a network in place; returns losses, and given and fitted responses.

    Args:
        network: the network.
        cfg: what is fitted to which responses.
        stimuli: given inputs by name.
        follow: runs the fit to its end.

    Raises:
        ConfigError: responses to stimuli that are not given, or of groups that do not exist.
        StoreError: no table of responses.
    """
    given = read_targets(cfg, stimuli, network)
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
    follow(run)
    history = run.result()
    return xr.Dataset(
        {
            "loss": history["loss"],
            "held_out_loss": history["held_out_error"],
            "given": ("target", given["value"].to_numpy(np.float32)),
            "fitted": ("target", _responses(network, inputs, given, names)),
            "held_out": ("target", given["stimulus"].isin(cfg.held_out).to_numpy(bool)),
            "run": ("target", given["stimulus"].to_numpy(str)),
            "group": ("target", given["group"].to_numpy(str)),
        },
        attrs={"kept_epoch": int(history["kept_epoch"])},
    )


def read_targets(
    cfg: excitability.Fit, stimuli: Mapping[str, Pulse], network: MultilayeredNetwork
) -> pd.DataFrame:
    """The table of given responses."""
    table = columns.named(
        store.read_csv(Path(cfg.targets), text=("stimulus", "group")), cfg.targets
    )
    missing = [name for name in COLUMNS if name not in table]
    if missing or table.empty:
        raise ConfigError(
            f"{cfg.targets} has columns {list(table)} and {len(table)} rows, expected at least one "
            f"row and columns {COLUMNS}, perhaps layer"
        )
    table = table.assign(**{name: columns.labels(table[name]) for name in ("stimulus", "group")})
    for name, whole in (("value", False), *((("layer", True),) if "layer" in table else ())):
        table[name] = _numbers(table[name], whole, f"{cfg.targets}: {name}")
    known = {
        "stimulus": ("given stimuli", list(stimuli)),
        "group": ("groups", network.groups.names),
    }
    for column, (kind, names) in known.items():
        absent = sorted(set(table[column].fillna("")) - set(names))
        if absent:
            raise ConfigError(
                f"{cfg.targets}: {column} {absent} is none of the {kind} {names[:20]}; correct it"
            )
    return table


def _numbers(column: pd.Series, whole: bool, what: str) -> pd.Series:
    """A column as numbers; a gap is no number."""
    found = pd.to_numeric(column, errors="coerce")
    wrong = ~np.isfinite(found) | ((found % 1 != 0) & whole)
    if wrong.any():
        row = wrong.to_numpy().argmax()
        raise ConfigError(
            f"{what} of row {row} is '{column.iloc[row]}', expected a "
            f"{'whole' if whole else 'finite'} number; correct it, or leave the row out"
        )
    return found.astype(np.int64 if whole else np.float64)


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

"""Responses, active paths, effects and metrics as tables: ``metrics.csv`` and others beside it."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
import torch
import xarray as xr

from ngpipe import store
from ngpipe.artifacts import network_file
from ngpipe.config.connectome.readouts import Paths
from ngpipe.connectome.interpreter.paths import activations_to_df_batched
from ngpipe.connectome.network import MultilayeredNetwork
from ngpipe.metrics import reference, responses
from ngpipe.schemas import connectome as schemas
from ngpipe.wiring.container import Connectome


def run(
    cfg: Paths,
    published: Mapping[str, Mapping[str, float]],
    directory: Path,
    *,
    key: str,
) -> None:
    """Write all tables.

    Args:
        cfg: which connections count as active.
        published: ``{quantity: {metric: value}}``.
        directory: holds all stores of the experiment; the tables go there.
        key: chain key.

    Raises:
        ConfigError: a published value of no metric.
    """
    section = {"paths": cfg.model_dump(), "reference": published}
    provenance = store.Provenance("tabulate", key, section)
    connectome, about, network = network_file.read(directory, torch.device("cpu"))
    stimuli = store.read(directory / "stimuli.zarr", schemas.STIMULI).load()
    attribution = store.read(directory / "attribution.zarr", schemas.ATTRIBUTION)
    weights = network_file.weights_of(connectome, about).mapped(network.edge_values.numpy())
    tables = {
        "responses.csv": _responses(network, stimuli),
        "paths.csv": _paths(weights, network, stimuli, cfg),
        "silencing.csv": _rows(attribution["silencing"]),
        "contributions.csv": _rows(attribution["by_groups"].rename("contribution")),
    }
    metrics = pd.concat(
        [
            *responses.score_fit(store.read(directory / "fit.zarr", schemas.FIT)),
            *responses.score_attribution(attribution),
            *responses.score_control(store.read(directory / "control.zarr", schemas.CONTROL)),
        ],
        ignore_index=True,
    )
    metrics = reference.beside(metrics, published)
    for name, table in tables.items():
        store.write_csv(table, directory / name)
    beside = [directory / name for name in tables]
    store.write_table(metrics, directory / "metrics.csv", provenance, beside=beside)


def _responses(network: MultilayeredNetwork, stimuli: xr.Dataset) -> pd.DataFrame:
    """Mean activity of each group in each layer, by stimulus."""
    names = np.array(network.groups.names)[network.groups.of_neuron]
    grouped = stimuli["activity"].assign_coords(group=("neuron", names)).groupby("group").mean()
    return grouped.to_dataframe("activity").reset_index().rename(columns={"run": "stimulus"})


def _paths(
    weights: Connectome, network: MultilayeredNetwork, stimuli: xr.Dataset, cfg: Paths
) -> pd.DataFrame:
    """Active connections between groups by stimulus and layer, the strongest of each receiver."""
    groups = {k: network.groups.names[g] for k, g in enumerate(network.groups.of_neuron)}
    inputs, activity = stimuli["stimulus"].values, stimuli["activity"].values
    sensors = network.sensory_indices.tolist()
    table = activations_to_df_batched(weights, inputs, activity, sensors, groups)
    active = table[["pre_activation", "post_activation"]].min(axis=1) >= cfg.activity
    table = table[active & (table["weight"].abs() >= cfg.weight)]
    table = table.assign(stimulus=stimuli["run"].values[table["batch"]])
    return _strongest(table, cfg.strongest)


def _rows(array: xr.DataArray) -> pd.DataFrame:
    """Every known value that is not 0, with its coordinates."""
    table = array.to_dataframe().reset_index().dropna()
    return table[table[array.name] != 0]


def _strongest(table: pd.DataFrame, n: int) -> pd.DataFrame:
    """The connections that drive each receiver of each layer most: |weight times activity|."""
    drive = (table["weight"] * table["pre_activation"]).abs()
    order = table.assign(drive=drive).sort_values("drive", ascending=False, kind="stable")
    kept = order.groupby(["batch", "layer", "post"], sort=False).head(n)
    columns = ["stimulus", "layer", "pre", "post", "weight", "pre_activation", "post_activation"]
    return kept.sort_values(["batch", "layer", "post", "pre"], kind="stable")[columns]
